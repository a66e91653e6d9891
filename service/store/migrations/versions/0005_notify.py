"""Notification: the outbox, subscriptions with their events and attempts, notices to people and their preferences.

All tables are new and the new column may be null, so a former version goes on beside this schema; what it writes
meanwhile reaches no outbox.
"""

from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
serves_from = "0001"

INT8: Any = sa.BigInteger()
INT2: Any = sa.SmallInteger()
BLOB: Any = sa.LargeBinary()
ROWID: Any = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
TEXT: Any = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")


def _table(name: str, key: tuple[str, ...], columns: Mapping[str, Any], *nullable: str, **kw: bool) -> None:
    made = [
        sa.Column(column, kind, primary_key=column in key, autoincrement=False, nullable=column in nullable)
        for column, kind in columns.items()
    ]
    op.create_table(name, *made, **kw)


def upgrade() -> None:
    op.add_column("client", sa.Column("endpoints", TEXT, nullable=True))
    _table("outbox", ("vid",), {"vid": INT8}, sqlite_with_rowid=False)
    _subscriptions()
    _table("ws_token", ("hash",), {"hash": BLOB, "client_id": TEXT, "subscriptions": TEXT, "expires_us": INT8})
    _people()


def _subscriptions() -> None:
    texts = dict.fromkeys(
        ("fhir_id", "client_id", "organization", "scopes", "topic", "channel", "spec", "status"), TEXT
    )
    numbers = ("numbered", "delivered", "due_us", "lease_until_us", "failures", "failing_since_us")
    _table(
        "subscription",
        ("key",),
        {"key": INT8, **texts, "paused": INT2, **dict.fromkeys(numbers, INT8), "error": TEXT, "beat_us": INT8}
        | {"secret": BLOB, "secret_before": BLOB, "secret_before_until_us": INT8, "created_us": INT8},
        "secret_before",
    )
    op.create_index("subscription_due", "subscription", ["due_us"])
    op.create_index("subscription_client", "subscription", ["client_id"])
    _table(
        "subscription_anchor",
        ("topic", "subject", "subscription"),
        {"topic": TEXT, "subject": INT8, "subscription": INT8},
        sqlite_with_rowid=False,
    )
    op.create_index("subscription_anchor_subscription", "subscription_anchor", ["subscription"])
    _table(
        "event_waiting",
        ("subscription", "id"),
        dict.fromkeys(("subscription", "id", "vid", "key"), INT8) | {"kind": TEXT, "at_us": INT8},
        sqlite_with_rowid=False,
    )
    op.create_index("event_waiting_vid", "event_waiting", ["subscription", "vid"], unique=True)
    _table(
        "subscription_event",
        ("subscription", "number"),
        dict.fromkeys(("subscription", "number", "vid", "key"), INT8)
        | {"kind": TEXT, "emptied": INT2, "at_us": INT8, "settled_us": INT8},
        sqlite_with_rowid=False,
    )
    op.create_index("subscription_event_age", "subscription_event", ["at_us"])
    _table(
        "delivery_attempt",
        ("subscription", "id"),
        {"subscription": INT8, "id": INT8, "at_us": INT8, "kind": TEXT, "first": INT8, "last": INT8}
        | {"outcome": TEXT, "status": INT8, "reason": TEXT, "ms": INT8, "receipt": TEXT},
        sqlite_with_rowid=False,
    )
    op.create_index("delivery_attempt_age", "delivery_attempt", ["at_us"])


def _people() -> None:
    _table(
        "notice",
        ("id",),
        {"id": ROWID, **dict.fromkeys(("recipient", "kind", "priority", "channel", "target"), TEXT)}
        | {"key": INT8, "vid": INT8, "state": TEXT, "at_us": INT8, "due_us": INT8, "lease_until_us": INT8}
        | {"attempts": INT2, "settled_us": INT8, "digest": INT8, "reason": TEXT, "receipt": TEXT},
    )
    op.create_index("notice_due", "notice", ["state", "due_us"])
    op.create_index("notice_recipient", "notice", ["recipient", "at_us"])
    op.create_index("notice_once", "notice", ["recipient", "vid", "kind", "channel"], unique=True)
    _table(
        "notice_preference",
        ("person", "role", "kind"),
        dict.fromkeys(("person", "role", "kind", "channels", "quiet", "digest", "zone", "escalate_to"), TEXT)
        | {"escalate_min": INT8, "language": TEXT, "changed_us": INT8},
    )
