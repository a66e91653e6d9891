"""Hospital feeds: words that messages are found by, numbers that changed, reviews and decisions of matches, timers,
work on alerts, how each feed does. All new tables; the new columns may be null, so a former version goes on beside it.
"""

from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
serves_from = "0001"

INT8: Any = sa.BigInteger()
INT2: Any = sa.SmallInteger()
ROWID: Any = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
TEXT: Any = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")


def _table(name: str, key: tuple[str, ...], columns: Mapping[str, Any], *nullable: str, **kw: bool) -> None:
    made = [
        sa.Column(column, kind, primary_key=column in key, autoincrement=False, nullable=column in nullable)
        for column, kind in columns.items()
    ]
    op.create_table(name, *made, **kw)


def upgrade() -> None:
    op.add_column("mrn_link", sa.Column("ended_us", INT8, nullable=True))
    op.add_column("mrn_link", sa.Column("inbox_id", INT8, nullable=True))
    op.create_index("stay_event_inbox", "stay_event", ["inbox_id"])
    op.add_column("stay_event", sa.Column("own", TEXT, nullable=True))
    op.add_column("stay_event", sa.Column("reason", TEXT, nullable=True))
    _numbers()
    _reviews()
    _work()
    _feeds()


def _numbers() -> None:
    _table(
        "inbox_term",
        ("term", "inbox_id"),
        {"term": INT8, "inbox_id": INT8},
        sqlite_with_rowid=False,
    )
    op.create_index("inbox_term_inbox", "inbox_term", ["inbox_id"])
    _table(
        "stay_alias",
        ("stay", "inbox_id"),
        {"stay": TEXT, "inbox_id": INT8, "target": TEXT, "at_us": INT8},
        sqlite_with_rowid=False,
    )
    op.create_index("stay_alias_target", "stay_alias", ["target"])
    _table("stay_number", ("number", "stay"), {"number": TEXT, "stay": TEXT}, sqlite_with_rowid=False)
    op.create_index("stay_number_stay", "stay_number", ["stay"])
    _table(
        "stay_account",
        ("stay",),
        {
            "stay": TEXT,
            "account": TEXT,
            "encounter": TEXT,
            "patient": TEXT,
            "facility": TEXT,
            "began": TEXT,
            "klass": TEXT,
            "disposition": TEXT,
            "came_from": TEXT,
            "status": TEXT,
            "start_us": INT8,
            "end_us": INT8,
            "seen_us": INT8,
        },
        "start_us",
        "end_us",
        sqlite_with_rowid=False,
    )
    op.create_index("stay_account_patient", "stay_account", ["patient"])
    op.create_index("stay_account_encounter", "stay_account", ["encounter"])
    _table(
        "mrn_merge",
        ("authority", "mrn", "inbox_id"),
        {"authority": TEXT, "mrn": TEXT, "inbox_id": INT8, "into_authority": TEXT, "into_mrn": TEXT, "at_us": INT8},
        sqlite_with_rowid=False,
    )
    op.create_index("mrn_merge_into", "mrn_merge", ["into_authority", "into_mrn"])


def _reviews() -> None:
    _table(
        "match_review",
        ("id",),
        {
            "id": ROWID,
            "stay": TEXT,
            "inbox_id": INT8,
            "source": TEXT,
            "reason": TEXT,
            "evidence": TEXT,
            "state": TEXT,
            "opened_us": INT8,
            "due_us": INT8,
            "decided_us": INT8,
            "decided_by": TEXT,
            "second_by": TEXT,
            "patient": TEXT,
            "verdict": TEXT,
            "note": TEXT,
        },
        "decided_us",
    )
    op.create_index("match_review_state", "match_review", ["state", "due_us"])
    op.create_index("match_review_stay", "match_review", ["stay"])
    _table(
        "match_decision",
        ("subject", "patient"),
        {"subject": TEXT, "patient": TEXT, "verdict": TEXT, "by": TEXT, "at_us": INT8, "review": INT8},
        "review",
        sqlite_with_rowid=False,
    )


def _work() -> None:
    _table(
        "timer",
        ("id",),
        {
            "id": ROWID,
            "kind": TEXT,
            "dedupe": TEXT,
            "subject": TEXT,
            "patient": TEXT,
            "start_us": INT8,
            "due_us": INT8,
            "state": TEXT,
            "ended_us": INT8,
            "payload": TEXT,
        },
        "ended_us",
    )
    op.create_index("timer_due", "timer", ["state", "due_us"])
    op.create_index("timer_patient", "timer", ["patient"])
    op.create_index("timer_subject", "timer", ["subject"])
    op.create_index("timer_once", "timer", ["dedupe"], unique=True)
    _table(
        "care_transition",
        ("stay",),
        {
            "stay": TEXT,
            "patient": TEXT,
            "thread": TEXT,
            "start_us": INT8,
            "end_us": INT8,
            "status": TEXT,
            "klass": TEXT,
            "disposition": TEXT,
            "facility": TEXT,
            "seen_us": INT8,
        },
        "end_us",
        sqlite_with_rowid=False,
    )
    op.create_index("care_transition_patient", "care_transition", ["patient", "start_us"])
    op.create_index("care_transition_thread", "care_transition", ["thread"])
    _table(
        "alert_work",
        ("alert",),
        {
            "alert": TEXT,
            "patient": TEXT,
            "level": INT2,
            "state": TEXT,
            "due_us": INT8,
            "sent_us": INT8,
            "by": TEXT,
            "outcome": TEXT,
        },
    )
    op.create_index("alert_work_due", "alert_work", ["state", "due_us"])


def _feeds() -> None:
    _table(
        "feed_hour",
        ("source", "hour_us"),
        {
            "source": TEXT,
            "hour_us": INT8,
            "received": INT8,
            "repeated": INT8,
            "negative": INT8,
            "ack_us": INT8,
            "ack_most_us": INT8,
        },
        sqlite_with_rowid=False,
    )
    _table(
        "feed_watch",
        ("source", "kind"),
        {"source": TEXT, "kind": TEXT, "state": TEXT, "since_us": INT8, "ended_us": INT8, "detail": TEXT},
        "ended_us",
        sqlite_with_rowid=False,
    )
