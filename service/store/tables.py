"""The tables of resources and work, as SQLModel classes; tables_access.py has those of rights, credentials and audit,
tables_notify.py those of notification, tables_feeds.py more of hospital feeds, tables_referrals.py of referrals.

Together the one definition from which migrations and statements are made. Times are INT8 microseconds since
1970-01-01T00:00:00Z. Keys are signed 64-bit hashes (service/search/keys.py).
"""

from sqlalchemy import Column, Index, UniqueConstraint
from sqlalchemy.types import Double
from sqlmodel import Field, SQLModel

from service.store import tables_access as tables_access  # its classes register themselves
from service.store import tables_feeds as tables_feeds
from service.store import tables_notify as tables_notify
from service.store import tables_referrals as tables_referrals
from service.store.table_columns import blob, int8, rowid, small, text
from service.store.table_columns import key as key_column

# --- resources ---------------------------------------------------------------------------------------------------


class Version(SQLModel, table=True):
    """Every version of every resource: append only; history reads here. op: 1 create, 2 update, 3 delete."""

    __tablename__ = "version"
    __table_args__ = (
        UniqueConstraint("key", "version", name="version_key_version"),
        Index("version_rtype", "rtype", "vid"),
    )
    vid: int = rowid()
    key: int = int8()
    rtype: str = text()
    fhir_id: str = text()
    version: int = int8()
    op: int = small()
    patient: int | None = int8(nullable=True)
    labels: int = int8()
    source_org: int = int8()
    keys: bytes | None = blob()
    body: bytes | None = blob()


class Resource(SQLModel, table=True):
    """The head of each resource: its current version."""

    __tablename__ = "resource"
    __table_args__ = (
        Index("resource_patient", "patient"),
        Index("resource_source", "source_org"),
        Index("resource_id", "rtype", "fhir_id"),
        {"sqlite_with_rowid": False},
    )
    key: int = int8(primary_key=True, autoincrement=False)
    rtype: str = text()
    fhir_id: str = text()
    vid: int = int8()
    version: int = int8()
    deleted: int = small()
    patient: int | None = int8(nullable=True)
    labels: int = int8()
    source_org: int = int8()


class Ix(SQLModel, table=True):
    """Hashed index keys of current versions."""

    __tablename__ = "ix"
    __table_args__ = ({"sqlite_with_rowid": False},)
    key: int = int8(primary_key=True, autoincrement=False)
    vid: int = int8(primary_key=True, autoincrement=False)


class IxDate(SQLModel, table=True):
    """Date ranges [lo, hi) of current versions."""

    __tablename__ = "ix_date"
    __table_args__ = (Index("ix_date_vid", "vid", "key", "lo", "hi"), {"sqlite_with_rowid": False})
    key: int = int8(primary_key=True, autoincrement=False)
    lo: int = int8(primary_key=True, autoincrement=False)
    vid: int = int8(primary_key=True, autoincrement=False)
    hi: int = int8(primary_key=True, autoincrement=False)


class IxStr(SQLModel, table=True):
    """Normalised strings of current versions; compared bytewise on both databases."""

    __tablename__ = "ix_str"
    __table_args__ = (Index("ix_str_vid", "vid", "key"), {"sqlite_with_rowid": False})
    key: int = int8(primary_key=True, autoincrement=False)
    val: str = key_column()
    vid: int = int8(primary_key=True, autoincrement=False)


class IxNum(SQLModel, table=True):
    """Quantities and numbers as ranges."""

    __tablename__ = "ix_num"
    __table_args__ = (Index("ix_num_vid", "vid", "key"), {"sqlite_with_rowid": False})
    key: int = int8(primary_key=True, autoincrement=False)
    lo: float = Field(sa_column=Column(Double, primary_key=True))
    vid: int = int8(primary_key=True, autoincrement=False)
    hi: float = Field(sa_column=Column(Double, primary_key=True))


class Ref(SQLModel, table=True):
    """Every reference of a current version as an edge: chains, includes and parties are joins in both directions."""

    __tablename__ = "ref"
    __table_args__ = (
        Index("ref_vid", "vid", "param", "target"),
        Index("ref_target", "target"),
        {"sqlite_with_rowid": False},
    )
    param: int = int8(primary_key=True, autoincrement=False)
    target: int = int8(primary_key=True, autoincrement=False)
    vid: int = int8(primary_key=True, autoincrement=False)


# --- work ----------------------------------------------------------------------------------------------------------


class JobRow(SQLModel, table=True):
    """Background work, committed with its cause. state: ready, leased, done, dead. lease: token of who works on it."""

    __tablename__ = "job"
    __table_args__ = (
        Index("job_due", "state", "queue", "due_us"),
        Index("job_order", "queue", "ordering_key", "id"),
    )
    id: int = rowid()
    queue: str = text()
    kind: str = text()
    ordering_key: str = text()
    due_us: int = int8()
    state: str = text()
    lease: int = int8()
    attempts: int = int8()
    dedupe: str | None = text(nullable=True, unique=True)
    payload: str = text()
    last_error: str = text()


class Inbox(SQLModel, table=True):
    """Every HL7 v2 message received, byte for byte, with the answer that was given and what became of it."""

    __tablename__ = "inbox"
    __table_args__ = (
        UniqueConstraint("source", "control_id", "hash", name="inbox_once"),
        Index("inbox_state", "state", "id"),
        Index("inbox_received", "received_us"),
        Index("inbox_source", "source", "received_us"),
        Index("inbox_stay", "stay"),
    )
    id: int = rowid()
    source: str = text()
    control_id: str = text()
    hash: bytes = blob(nullable=False)
    received_us: int = int8()
    event: str = text()
    raw: bytes = blob(nullable=False)
    ack: bytes | None = blob()
    state: str = text()
    """stored, applied, unmatched, ignored, unreadable, unregistered, failed, purged"""
    reason: str = text()
    patient: str = text()
    stay: str = text()
    handled_us: int | None = int8(nullable=True)


class MessageSource(SQLModel, table=True):
    """A sending system: MSH-3/MSH-4, its facility, zone, charset, ACK mode and code maps (JSON)."""

    __tablename__ = "message_source"
    name: str = key_column()
    application: str = text()
    facility: str = text()
    organization: str = text()
    config: str = text()
    """JSON: zone, charset, ack_mode, class_map, display, ..."""
    active: int = small()


class StayEvent(SQLModel, table=True):
    """The ADT events of each stay, as read from the messages: the reducer starts from all of them, each time."""

    __tablename__ = "stay_event"
    __table_args__ = (Index("stay_event_patient", "patient"), Index("stay_event_inbox", "inbox_id"))
    stay: str = key_column()
    inbox_id: int = int8(primary_key=True, autoincrement=False)
    patient: str = text()
    """Relative reference of the Patient whose stay it counts for, empty while for nobody's."""
    occurred_us: int = int8()
    event: str = text()
    """The AdtEvent as JSON; empty once purged."""
    own: str | None = text(nullable=True)
    """The Patient whom the message by itself was matched to, empty where it said too little."""
    reason: str | None = text(nullable=True)
    """Why, as Match.reason."""


class MrnLink(SQLModel, table=True):
    """A facility's medical record number known to belong to a Patient; ended_us: since when no more (a correction)."""

    __tablename__ = "mrn_link"
    authority: str = key_column()
    mrn: str = key_column()
    patient: str = text()
    since_us: int = int8()
    ended_us: int | None = int8(nullable=True)
    inbox_id: int | None = int8(nullable=True)
    """The message that made it known."""


class PlanFile(SQLModel, table=True):
    """A plan file, byte for byte, with what became of its rows."""

    __tablename__ = "plan_file"
    __table_args__ = (Index("plan_file_hash", "hash"),)
    id: str = key_column()
    kind: str = text()
    plan: str = text()
    filename: str = text()
    hash: bytes = blob(nullable=False)
    received_us: int = int8()
    state: str = text()
    report: str = text()
    content: bytes = blob(nullable=False)


class WorkerSlot(SQLModel, table=True):
    """Leases of the slot numbers that keep vids unique over processes."""

    __tablename__ = "worker_slot"
    slot: int = int8(primary_key=True, autoincrement=False)
    owner: str = text()
    lease_until_us: int = int8()
    audit_seq: int = int8()
    audit_head: bytes | None = blob()


class Meta(SQLModel, table=True):
    """Facts of this database: schema version, key secret's check value."""

    __tablename__ = "meta"
    name: str = key_column()
    value: str = text()


metadata = SQLModel.metadata
