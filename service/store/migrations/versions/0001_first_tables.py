"""The first tables: resources and their index, access, credentials, work, audit."""

import sqlalchemy as sa
from alembic import context, op

revision = "0001"
down_revision = None
serves_from = "0001"

TEXT = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")


def upgrade() -> None:
    op.create_table(
        "access_epoch",
        sa.Column("subject", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("epoch", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("subject"),
    )
    op.create_table(
        "audit",
        sa.Column("slot", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("seq", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("at_us", sa.BigInteger(), nullable=False),
        sa.Column("actor", TEXT, nullable=False),
        sa.Column("organization", TEXT, nullable=False),
        sa.Column("action", TEXT, nullable=False),
        sa.Column("kind", TEXT, nullable=False),
        sa.Column("outcome", sa.SmallInteger(), nullable=False),
        sa.Column("target", TEXT, nullable=False),
        sa.Column("patients", TEXT, nullable=False),
        sa.Column("request_id", TEXT, nullable=False),
        sa.Column("reason", TEXT, nullable=False),
        sa.Column("purpose", TEXT, nullable=False),
        sa.Column("digest", sa.LargeBinary(), nullable=True),
        sa.PrimaryKeyConstraint("slot", "seq"),
    )
    op.create_table(
        "audit_patient",
        sa.Column("patient", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("at_us", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("slot", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("seq", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.PrimaryKeyConstraint("patient", "at_us", "slot", "seq"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "claim",
        sa.Column("key", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("holder", sa.BigInteger(), nullable=False),
        sa.Column("expires_us", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("key"),
        sqlite_with_rowid=False,
    )
    op.create_index("claim_expires", "claim", ["expires_us"], unique=False)
    op.create_table(
        "clearance",
        sa.Column("patient", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("actor_org", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("purpose", TEXT, nullable=False),
        sa.Column("consent_vid", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("label_mask", sa.BigInteger(), nullable=False),
        sa.Column("start_us", sa.BigInteger(), nullable=False),
        sa.Column("end_us", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("patient", "actor_org", "purpose", "consent_vid"),
    )
    op.create_index("clearance_actor", "clearance", ["actor_org", "patient"], unique=False)
    op.create_table(
        "client",
        sa.Column("id", TEXT, nullable=False),
        sa.Column("name", TEXT, nullable=False),
        sa.Column("organization", TEXT, nullable=False),
        sa.Column("role", TEXT, nullable=False),
        sa.Column("person", TEXT, nullable=True),
        sa.Column("scopes", TEXT, nullable=False),
        sa.Column("purpose", TEXT, nullable=False),
        sa.Column("jwks", TEXT, nullable=True),
        sa.Column("jwks_url", TEXT, nullable=True),
        sa.Column("active", sa.SmallInteger(), nullable=False),
        sa.Column("created_us", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_table(
        "inbox",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=False, nullable=False),
        sa.Column("source", TEXT, nullable=False),
        sa.Column("control_id", TEXT, nullable=False),
        sa.Column("hash", sa.LargeBinary(), nullable=False),
        sa.Column("received_us", sa.BigInteger(), nullable=False),
        sa.Column("event", TEXT, nullable=False),
        sa.Column("raw", sa.LargeBinary(), nullable=False),
        sa.Column("ack", sa.LargeBinary(), nullable=True),
        sa.Column("state", TEXT, nullable=False),
        sa.Column("reason", TEXT, nullable=False),
        sa.Column("patient", TEXT, nullable=False),
        sa.Column("stay", TEXT, nullable=False),
        sa.Column("handled_us", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("source", "control_id", "hash", name="inbox_once"),
    )
    op.create_index("inbox_received", "inbox", ["received_us"], unique=False)
    op.create_index("inbox_state", "inbox", ["state", "id"], unique=False)
    op.create_index("inbox_stay", "inbox", ["stay"], unique=False)
    op.create_table(
        "ix",
        sa.Column("key", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("vid", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.PrimaryKeyConstraint("key", "vid"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "ix_date",
        sa.Column("key", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("lo", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("vid", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("hi", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.PrimaryKeyConstraint("key", "lo", "vid", "hi"),
        sqlite_with_rowid=False,
    )
    op.create_index("ix_date_vid", "ix_date", ["vid", "key", "lo", "hi"], unique=False)
    op.create_table(
        "ix_num",
        sa.Column("key", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("lo", sa.Double(), nullable=False),
        sa.Column("vid", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("hi", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("key", "lo", "vid", "hi"),
        sqlite_with_rowid=False,
    )
    op.create_index("ix_num_vid", "ix_num", ["vid", "key"], unique=False)
    op.create_table(
        "ix_str",
        sa.Column("key", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("val", TEXT, nullable=False),
        sa.Column("vid", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.PrimaryKeyConstraint("key", "val", "vid"),
        sqlite_with_rowid=False,
    )
    op.create_index("ix_str_vid", "ix_str", ["vid", "key"], unique=False)
    op.create_table(
        "job",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=False, nullable=False),
        sa.Column("queue", TEXT, nullable=False),
        sa.Column("kind", TEXT, nullable=False),
        sa.Column("ordering_key", TEXT, nullable=False),
        sa.Column("due_us", sa.BigInteger(), nullable=False),
        sa.Column("state", TEXT, nullable=False),
        sa.Column("lease", sa.BigInteger(), nullable=False),
        sa.Column("attempts", sa.BigInteger(), nullable=False),
        sa.Column("dedupe", TEXT, nullable=True),
        sa.Column("payload", TEXT, nullable=False),
        sa.Column("last_error", TEXT, nullable=False),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("dedupe"),
    )
    op.create_index("job_due", "job", ["state", "queue", "due_us"], unique=False)
    op.create_index("job_order", "job", ["queue", "ordering_key", "id"], unique=False)
    op.create_table(
        "login_session",
        sa.Column("hash", sa.LargeBinary(), nullable=False),
        sa.Column("client_id", TEXT, nullable=False),
        sa.Column("csrf", TEXT, nullable=False),
        sa.Column("created_us", sa.BigInteger(), nullable=False),
        sa.Column("seen_us", sa.BigInteger(), nullable=False),
        sa.Column("expires_us", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("hash"),
    )
    op.create_table(
        "message_source",
        sa.Column("name", TEXT, nullable=False),
        sa.Column("application", TEXT, nullable=False),
        sa.Column("facility", TEXT, nullable=False),
        sa.Column("organization", TEXT, nullable=False),
        sa.Column("config", TEXT, nullable=False),
        sa.Column("active", sa.SmallInteger(), nullable=False),
        sa.PrimaryKeyConstraint("name"),
    )
    op.create_table(
        "meta",
        sa.Column("name", TEXT, nullable=False),
        sa.Column("value", TEXT, nullable=False),
        sa.PrimaryKeyConstraint("name"),
    )
    op.create_table(
        "mrn_link",
        sa.Column("authority", TEXT, nullable=False),
        sa.Column("mrn", TEXT, nullable=False),
        sa.Column("patient", TEXT, nullable=False),
        sa.Column("since_us", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("authority", "mrn"),
    )
    op.create_table(
        "panel",
        sa.Column("subject", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("patient", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("source", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("basis", TEXT, nullable=False),
        sa.Column("role", TEXT, nullable=False),
        sa.Column("start_us", sa.BigInteger(), nullable=False),
        sa.Column("end_us", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("subject", "patient", "source", "basis", "role"),
        sqlite_with_rowid=False,
    )
    op.create_index("panel_patient", "panel", ["patient", "subject"], unique=False)
    op.create_index("panel_source", "panel", ["source"], unique=False)
    op.create_table(
        "plan_file",
        sa.Column("id", TEXT, nullable=False),
        sa.Column("kind", TEXT, nullable=False),
        sa.Column("plan", TEXT, nullable=False),
        sa.Column("filename", TEXT, nullable=False),
        sa.Column("hash", sa.LargeBinary(), nullable=False),
        sa.Column("received_us", sa.BigInteger(), nullable=False),
        sa.Column("state", TEXT, nullable=False),
        sa.Column("report", TEXT, nullable=False),
        sa.Column("content", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("plan_file_hash", "plan_file", ["hash"], unique=False)
    op.create_table(
        "ref",
        sa.Column("param", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("target", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("vid", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.PrimaryKeyConstraint("param", "target", "vid"),
        sqlite_with_rowid=False,
    )
    op.create_index("ref_target", "ref", ["target"], unique=False)
    op.create_index("ref_vid", "ref", ["vid", "param", "target"], unique=False)
    op.create_table(
        "resource",
        sa.Column("key", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("rtype", TEXT, nullable=False),
        sa.Column("fhir_id", TEXT, nullable=False),
        sa.Column("vid", sa.BigInteger(), nullable=False),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column("deleted", sa.SmallInteger(), nullable=False),
        sa.Column("patient", sa.BigInteger(), nullable=True),
        sa.Column("labels", sa.BigInteger(), nullable=False),
        sa.Column("source_org", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("key"),
        sqlite_with_rowid=False,
    )
    op.create_index("resource_patient", "resource", ["patient"], unique=False)
    op.create_table(
        "stay_event",
        sa.Column("stay", TEXT, nullable=False),
        sa.Column("inbox_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("patient", TEXT, nullable=False),
        sa.Column("occurred_us", sa.BigInteger(), nullable=False),
        sa.Column("event", TEXT, nullable=False),
        sa.PrimaryKeyConstraint("stay", "inbox_id"),
    )
    op.create_index("stay_event_patient", "stay_event", ["patient"], unique=False)
    op.create_table(
        "token",
        sa.Column("hash", sa.LargeBinary(), nullable=False),
        sa.Column("client_id", TEXT, nullable=False),
        sa.Column("scopes", TEXT, nullable=False),
        sa.Column("issued_us", sa.BigInteger(), nullable=False),
        sa.Column("expires_us", sa.BigInteger(), nullable=False),
        sa.Column("revoked_us", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("hash"),
    )
    op.create_index("token_client", "token", ["client_id"], unique=False)
    op.create_index("token_expires", "token", ["expires_us"], unique=False)
    op.create_table(
        "version",
        sa.Column("vid", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=False, nullable=False),
        sa.Column("key", sa.BigInteger(), nullable=False),
        sa.Column("rtype", TEXT, nullable=False),
        sa.Column("fhir_id", TEXT, nullable=False),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column("op", sa.SmallInteger(), nullable=False),
        sa.Column("patient", sa.BigInteger(), nullable=True),
        sa.Column("labels", sa.BigInteger(), nullable=False),
        sa.Column("source_org", sa.BigInteger(), nullable=False),
        sa.Column("keys", sa.LargeBinary(), nullable=True),
        sa.Column("body", sa.LargeBinary(), nullable=True),
        sa.PrimaryKeyConstraint("vid"),
        sa.UniqueConstraint("key", "version", name="version_key_version"),
    )
    op.create_table(
        "worker_slot",
        sa.Column("slot", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("owner", TEXT, nullable=False),
        sa.Column("lease_until_us", sa.BigInteger(), nullable=False),
        sa.Column("audit_seq", sa.BigInteger(), nullable=False),
        sa.Column("audit_head", sa.LargeBinary(), nullable=True),
        sa.PrimaryKeyConstraint("slot"),
    )
    meta = sa.table("meta", sa.column("name"), sa.column("value"))
    op.bulk_insert(meta, [{"name": "index_secret", "value": context.config.attributes["secret"]}])
    if op.get_bind().dialect.name == "postgresql":
        # index-only scans of the search need a fresh visibility map; bodies are text and compress well
        op.execute(
            "ALTER TABLE ix SET (autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_insert_scale_factor = 0.05)"
        )
        op.execute("ALTER TABLE version ALTER COLUMN body SET COMPRESSION lz4")
