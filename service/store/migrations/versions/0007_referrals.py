"""Referrals: what happened to each, partners' servers, links for organizations without software,
what of a capped service is used. All new tables, so a former version goes on beside it.
"""

from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
serves_from = "0001"

INT8: Any = sa.BigInteger()
INT2: Any = sa.SmallInteger()
ROWID: Any = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
TEXT: Any = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")


def _table(name: str, key: tuple[str, ...], columns: Mapping[str, Any], *nullable: str) -> None:
    made = [
        sa.Column(column, kind, primary_key=column in key, autoincrement=False, nullable=column in nullable)
        for column, kind in columns.items()
    ]
    op.create_table(name, *made)


def upgrade() -> None:
    _facts()
    _traits()
    _partners()
    _links()
    _services()


def _facts() -> None:
    _table(
        "referral_event",
        ("id",),
        {
            "id": ROWID,
            "task": TEXT,
            "request": TEXT,
            "parent": TEXT,
            "kind": TEXT,
            "at_us": INT8,
            "was": TEXT,
            "status": TEXT,
            "business": TEXT,
            "reason": TEXT,
            "need": TEXT,
            "service": TEXT,
            "patient": TEXT,
            "requester": TEXT,
            "owner": TEXT,
            "plan": TEXT,
            "member": INT8,
            "vid": INT8,
            "labels": INT8,
        },
    )
    op.create_index("referral_event_at", "referral_event", ["kind", "at_us"])
    op.create_index("referral_event_member", "referral_event", ["kind", "member"])
    op.create_index("referral_event_request", "referral_event", ["request", "at_us"])
    op.create_index("referral_event_task", "referral_event", ["task", "at_us"])


def _traits() -> None:
    _table(
        "member_trait",
        ("member", "vid"),
        {"member": INT8, "vid": INT8, "race": TEXT, "ethnicity": TEXT, "language": TEXT},
    )


def _partners() -> None:
    _table(
        "referral_partner",
        ("name",),
        {
            "name": TEXT,
            "organization": TEXT,
            "base_url": TEXT,
            "client_id": TEXT,
            "token_url": TEXT,
            "key_id": TEXT,
            "scopes": TEXT,
            "direction": TEXT,
            "every_s": INT8,
            "state": TEXT,
            "cursor_us": INT8,
            "last_us": INT8,
            "failing_since_us": INT8,
            "error": TEXT,
            "owner_there": TEXT,
            "due_us": INT8,
            "retry_us": INT8,
            "tries": INT8,
            "lease_us": INT8,
            "lease": INT8,
        },
        "failing_since_us",
    )
    _table(
        "partner_referral",
        ("task",),
        {
            "task": TEXT,
            "partner": TEXT,
            "way": TEXT,
            "remote": TEXT,
            "remote_version": TEXT,
            "remote_status": TEXT,
            "state": TEXT,
            "seen_us": INT8,
            "error": TEXT,
            "work": TEXT,
            "wanted": INT8,
            "done": INT8,
            "tries": INT8,
            "due_us": INT8,
        },
    )
    op.create_index("partner_referral_partner", "partner_referral", ["partner", "state"])
    op.create_index("partner_referral_remote", "partner_referral", ["remote"])
    _table(
        "partner_resource",
        ("partner", "local"),
        {"partner": TEXT, "local": TEXT, "remote": TEXT, "digest": TEXT, "seen_us": INT8},
    )
    op.create_index("partner_resource_remote", "partner_resource", ["partner", "remote"])


def _links() -> None:
    _table(
        "reply_link",
        ("link",),
        {
            "link": TEXT,
            "task": TEXT,
            "organization": TEXT,
            "channel": TEXT,
            "sealed_to": TEXT,
            "code": TEXT,
            "code_expires_us": INT8,
            "codes_sent": INT8,
            "tries": INT2,
            "state": TEXT,
            "made_us": INT8,
            "expires_us": INT8,
            "used_us": INT8,
        },
        "used_us",
    )
    op.create_index("reply_link_task", "reply_link", ["task"])
    _table("reply_session", ("session",), {"session": TEXT, "link": TEXT, "expires_us": INT8})
    op.create_index("reply_session_link", "reply_session", ["link"])


def _services() -> None:
    _table(
        "service_use",
        ("task",),
        {
            "task": TEXT,
            "patient": TEXT,
            "service": TEXT,
            "units": INT8,
            "start_us": INT8,
            "end_us": INT8,
            "state": TEXT,
        },
    )
    op.create_index("service_use_patient", "service_use", ["patient", "service"])
