"""Rights: compiled Consents, label rules, break-glass, identity providers, app authorizations, seals of the audit.

All new columns may be null and nobody read `clearance` before, so a former version goes on beside this schema.
"""

from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
serves_from = "0001"

INT8: Any = sa.BigInteger()
INT2: Any = sa.SmallInteger()
BLOB: Any = sa.LargeBinary()
TEXT: Any = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")

NEW_COLUMNS = (
    ("client", "kind", TEXT),
    ("client", "redirect_uris", TEXT),
    ("client", "suspended_us", INT8),
    ("token", "person", TEXT),
    ("token", "organization", TEXT),
    ("token", "role", TEXT),
    ("token", "purpose", TEXT),
    ("token", "patient", TEXT),
    ("token", "family", TEXT),
    ("token", "account", TEXT),
    ("login_session", "account", TEXT),
    ("login_session", "person", TEXT),
    ("login_session", "organization", TEXT),
    ("login_session", "role", TEXT),
    ("audit", "detail", TEXT),
)


def _table(name: str, key: tuple[str, ...], columns: Mapping[str, Any], *nullable: str, **kw: bool) -> None:
    made = [
        sa.Column(column, kind, primary_key=column in key, autoincrement=False, nullable=column in nullable)
        for column, kind in columns.items()
    ]
    op.create_table(name, *made, **kw)


def upgrade() -> None:
    for table, column, kind in NEW_COLUMNS:
        op.add_column(table, sa.Column(column, kind, nullable=True))
    op.drop_table("clearance")
    _table(
        "clearance",
        ("patient", "consent", "number"),
        dict.fromkeys(("patient", "consent", "number", "actor", "also"), INT8)
        | {"purpose": TEXT, "labels": INT8, "rtype": TEXT, "data_kind": INT2}
        | dict.fromkeys(("data", "grade", "start_us", "end_us"), INT8),
        sqlite_with_rowid=False,
    )
    op.create_index("clearance_consent", "clearance", ["consent"])
    _table("label_rule", ("key",), {"key": INT8, "kind": TEXT, "value": TEXT, "labels": INT8, "note": TEXT})
    _table(
        "break_glass",
        ("id",),
        dict.fromkeys(("id", "actor", "organization", "patient", "reason", "emergency"), TEXT)
        | dict.fromkeys(("start_us", "end_us", "reviewed_us"), INT8)
        | dict.fromkeys(("reviewer", "verdict"), TEXT),
        "reviewed_us",
        "reviewer",
        "verdict",
    )
    op.create_index("break_glass_review", "break_glass", ["reviewed_us", "start_us"])
    _table(
        "identity_provider",
        ("id",),
        dict.fromkeys(("id", "issuer", "name", "organization", "client_id"), TEXT)
        | {"client_secret": BLOB, "roles": TEXT, "active": INT2, "created_us": INT8},
        "client_secret",
    )
    _table(
        "account",
        ("id",),
        dict.fromkeys(("id", "provider", "subject", "practitioner"), TEXT) | {"active": INT2, "created_us": INT8},
    )
    _table("login_attempt", ("hash",), {"hash": BLOB, "provider": TEXT, "payload": TEXT, "expires_us": INT8})
    _authorizations()
    _table("audit_seal", ("number",), {"number": INT8, "at_us": INT8, "heads": TEXT, "signature": BLOB})


def _authorizations() -> None:
    texts = dict.fromkeys(("client_id", "family", "payload"), TEXT)
    _table("authorization_code", ("hash",), {"hash": BLOB, **texts, "expires_us": INT8, "used_us": INT8}, "used_us")
    _table(
        "refresh_token",
        ("hash",),
        {"hash": BLOB, **texts}
        | dict.fromkeys(("issued_us", "expires_us", "used_us", "revoked_us"), INT8)
        | {"session": BLOB},
        "used_us",
        "revoked_us",
        "session",
    )
    op.create_index("refresh_token_family", "refresh_token", ["family"])
    _table(
        "signing_key",
        ("kid",),
        {"kid": TEXT, "private": BLOB, "public": TEXT}
        | dict.fromkeys(("created_us", "signs_from_us", "retired_us"), INT8),
        "retired_us",
    )
