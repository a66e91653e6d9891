"""All tables, as SQLModel classes: the one definition from which migrations and statements are made.

Times are INT8 microseconds since 1970-01-01T00:00:00Z. Keys are signed 64-bit hashes (service/search/keys.py).
"""

from typing import Any

from sqlalchemy import BigInteger, Column, Index, Integer, LargeBinary, SmallInteger, Text, UniqueConstraint
from sqlalchemy.types import Double
from sqlmodel import Field, SQLModel


def _int8(**options: Any) -> Any:
    return Field(sa_column=Column(BigInteger, nullable=options.pop("nullable", False), **options))


def _bytewise() -> Any:
    """Text compared by its UTF-8 bytes on both databases, so that order and paging agree."""
    return Text().with_variant(Text(collation="C"), "postgresql")


def _rowid() -> Any:
    """A 64-bit primary key that is SQLite's own row number: no second index."""
    kind = BigInteger().with_variant(Integer(), "sqlite")
    return Field(sa_column=Column(kind, primary_key=True, autoincrement=False))


def _text(**options: Any) -> Any:
    return Field(sa_column=Column(_bytewise(), nullable=options.pop("nullable", False), **options))


def _key() -> Any:
    return Field(sa_column=Column(_bytewise(), primary_key=True))


def _blob(**options: Any) -> Any:
    return Field(sa_column=Column(LargeBinary, nullable=options.pop("nullable", True), **options))


def _small(**options: Any) -> Any:
    return Field(sa_column=Column(SmallInteger, nullable=False, **options))


# --- resources ---------------------------------------------------------------------------------------------------


class Version(SQLModel, table=True):
    """Every version of every resource: append only; history reads here. op: 1 create, 2 update, 3 delete."""

    __tablename__ = "version"
    __table_args__ = (
        UniqueConstraint("key", "version", name="version_key_version"),
        Index("version_rtype", "rtype", "vid"),
    )
    vid: int = _rowid()
    key: int = _int8()
    rtype: str = _text()
    fhir_id: str = _text()
    version: int = _int8()
    op: int = _small()
    patient: int | None = _int8(nullable=True)
    labels: int = _int8()
    source_org: int = _int8()
    keys: bytes | None = _blob()
    body: bytes | None = _blob()


class Resource(SQLModel, table=True):
    """The head of each resource: its current version."""

    __tablename__ = "resource"
    __table_args__ = (
        Index("resource_patient", "patient"),
        Index("resource_source", "source_org"),
        Index("resource_id", "rtype", "fhir_id"),
        {"sqlite_with_rowid": False},
    )
    key: int = _int8(primary_key=True, autoincrement=False)
    rtype: str = _text()
    fhir_id: str = _text()
    vid: int = _int8()
    version: int = _int8()
    deleted: int = _small()
    patient: int | None = _int8(nullable=True)
    labels: int = _int8()
    source_org: int = _int8()


class Ix(SQLModel, table=True):
    """Hashed index keys of current versions."""

    __tablename__ = "ix"
    __table_args__ = ({"sqlite_with_rowid": False},)
    key: int = _int8(primary_key=True, autoincrement=False)
    vid: int = _int8(primary_key=True, autoincrement=False)


class IxDate(SQLModel, table=True):
    """Date ranges [lo, hi) of current versions."""

    __tablename__ = "ix_date"
    __table_args__ = (Index("ix_date_vid", "vid", "key", "lo", "hi"), {"sqlite_with_rowid": False})
    key: int = _int8(primary_key=True, autoincrement=False)
    lo: int = _int8(primary_key=True, autoincrement=False)
    vid: int = _int8(primary_key=True, autoincrement=False)
    hi: int = _int8(primary_key=True, autoincrement=False)


class IxStr(SQLModel, table=True):
    """Normalised strings of current versions; compared bytewise on both databases."""

    __tablename__ = "ix_str"
    __table_args__ = (Index("ix_str_vid", "vid", "key"), {"sqlite_with_rowid": False})
    key: int = _int8(primary_key=True, autoincrement=False)
    val: str = _key()
    vid: int = _int8(primary_key=True, autoincrement=False)


class IxNum(SQLModel, table=True):
    """Quantities and numbers as ranges."""

    __tablename__ = "ix_num"
    __table_args__ = (Index("ix_num_vid", "vid", "key"), {"sqlite_with_rowid": False})
    key: int = _int8(primary_key=True, autoincrement=False)
    lo: float = Field(sa_column=Column(Double, primary_key=True))
    vid: int = _int8(primary_key=True, autoincrement=False)
    hi: float = Field(sa_column=Column(Double, primary_key=True))


class Ref(SQLModel, table=True):
    """Every reference of a current version as an edge: chains, includes and parties are joins in both directions."""

    __tablename__ = "ref"
    __table_args__ = (
        Index("ref_vid", "vid", "param", "target"),
        Index("ref_target", "target"),
        {"sqlite_with_rowid": False},
    )
    param: int = _int8(primary_key=True, autoincrement=False)
    target: int = _int8(primary_key=True, autoincrement=False)
    vid: int = _int8(primary_key=True, autoincrement=False)


# --- access ------------------------------------------------------------------------------------------------------


class Panel(SQLModel, table=True):
    """Which patients an organization or person has, from when to when, and by which resource (`source`)."""

    __tablename__ = "panel"
    __table_args__ = (
        Index("panel_patient", "patient", "subject"),
        Index("panel_source", "source"),
        {"sqlite_with_rowid": False},
    )
    subject: int = _int8(primary_key=True, autoincrement=False)
    patient: int = _int8(primary_key=True, autoincrement=False)
    source: int = _int8(primary_key=True, autoincrement=False)
    basis: str = _key()
    role: str = _key()
    start_us: int = _int8()
    end_us: int = _int8()


class Clearance(SQLModel, table=True):
    """What Consents clear: compiled by the access issue; until then labelled data stays with its source."""

    __tablename__ = "clearance"
    __table_args__ = (Index("clearance_actor", "actor_org", "patient"),)
    patient: int = _int8(primary_key=True, autoincrement=False)
    actor_org: int = _int8(primary_key=True, autoincrement=False)
    purpose: str = _key()
    consent_vid: int = _int8(primary_key=True, autoincrement=False)
    label_mask: int = _int8()
    start_us: int = _int8()
    end_us: int = _int8()


class AccessEpoch(SQLModel, table=True):
    """Counts the changes of rights of a patient or organization, so that a decision can notice it became stale."""

    __tablename__ = "access_epoch"
    subject: int = _int8(primary_key=True, autoincrement=False)
    epoch: int = _int8()


class ClaimRow(SQLModel, table=True):
    """Unique keys held by resources, messages and assertions."""

    __tablename__ = "claim"
    __table_args__ = (Index("claim_expires", "expires_us"), {"sqlite_with_rowid": False})
    key: int = _int8(primary_key=True, autoincrement=False)
    holder: int = _int8()
    expires_us: int = _int8()


# --- credentials ---------------------------------------------------------------------------------------------------


class Client(SQLModel, table=True):
    """A registered system of one organization in one role. `person` set: a person's own client (a sandbox login)."""

    __tablename__ = "client"
    id: str = _key()
    name: str = _text()
    organization: str = _text()
    role: str = _text()
    person: str | None = _text(nullable=True)
    scopes: str = _text()
    purpose: str = _text()
    jwks: str | None = _text(nullable=True)
    jwks_url: str | None = _text(nullable=True)
    active: int = _small()
    created_us: int = _int8()


class Token(SQLModel, table=True):
    """Access tokens by SHA-256 of their text; opaque to everyone else."""

    __tablename__ = "token"
    __table_args__ = (Index("token_client", "client_id"), Index("token_expires", "expires_us"))
    hash: bytes = Field(sa_column=Column(LargeBinary, primary_key=True))
    client_id: str = _text()
    scopes: str = _text()
    issued_us: int = _int8()
    expires_us: int = _int8()
    revoked_us: int | None = _int8(nullable=True)


class LoginSession(SQLModel, table=True):
    """Sessions of people on the pages, by SHA-256 of the cookie."""

    __tablename__ = "login_session"
    hash: bytes = Field(sa_column=Column(LargeBinary, primary_key=True))
    client_id: str = _text()
    csrf: str = _text()
    created_us: int = _int8()
    seen_us: int = _int8()
    expires_us: int = _int8()


# --- work ----------------------------------------------------------------------------------------------------------


class JobRow(SQLModel, table=True):
    """Background work, committed with its cause. state: ready, leased, done, dead. lease: token of who works on it."""

    __tablename__ = "job"
    __table_args__ = (
        Index("job_due", "state", "queue", "due_us"),
        Index("job_order", "queue", "ordering_key", "id"),
    )
    id: int = _rowid()
    queue: str = _text()
    kind: str = _text()
    ordering_key: str = _text()
    due_us: int = _int8()
    state: str = _text()
    lease: int = _int8()
    attempts: int = _int8()
    dedupe: str | None = _text(nullable=True, unique=True)
    payload: str = _text()
    last_error: str = _text()


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
    id: int = _rowid()
    source: str = _text()
    control_id: str = _text()
    hash: bytes = _blob(nullable=False)
    received_us: int = _int8()
    event: str = _text()
    raw: bytes = _blob(nullable=False)
    ack: bytes | None = _blob()
    state: str = _text()
    """stored, applied, unmatched, ignored, unreadable, unregistered, conflicting, failed"""
    reason: str = _text()
    patient: str = _text()
    stay: str = _text()
    handled_us: int | None = _int8(nullable=True)


class MessageSource(SQLModel, table=True):
    """A sending system: MSH-3/MSH-4, its facility, zone, charset, ACK mode and code maps (JSON)."""

    __tablename__ = "message_source"
    name: str = _key()
    application: str = _text()
    facility: str = _text()
    organization: str = _text()
    config: str = _text()
    """JSON: zone, charset, ack_mode, class_map, display, ..."""
    active: int = _small()


class StayEvent(SQLModel, table=True):
    """The ADT events of each stay, as read from the messages: the reducer starts from all of them, each time."""

    __tablename__ = "stay_event"
    __table_args__ = (Index("stay_event_patient", "patient"),)
    stay: str = _key()
    inbox_id: int = _int8(primary_key=True, autoincrement=False)
    patient: str = _text()
    """Relative reference of the matched Patient, empty while unmatched."""
    occurred_us: int = _int8()
    event: str = _text()
    """The AdtEvent as JSON."""


class MrnLink(SQLModel, table=True):
    """A facility's medical record number known to belong to a Patient."""

    __tablename__ = "mrn_link"
    authority: str = _key()
    mrn: str = _key()
    patient: str = _text()
    since_us: int = _int8()


class PlanFile(SQLModel, table=True):
    """A plan file, byte for byte, with what became of its rows."""

    __tablename__ = "plan_file"
    __table_args__ = (Index("plan_file_hash", "hash"),)
    id: str = _key()
    kind: str = _text()
    plan: str = _text()
    filename: str = _text()
    hash: bytes = _blob(nullable=False)
    received_us: int = _int8()
    state: str = _text()
    report: str = _text()
    content: bytes = _blob(nullable=False)


class WorkerSlot(SQLModel, table=True):
    """Leases of the slot numbers that keep vids unique over processes."""

    __tablename__ = "worker_slot"
    slot: int = _int8(primary_key=True, autoincrement=False)
    owner: str = _text()
    lease_until_us: int = _int8()
    audit_seq: int = _int8()
    audit_head: bytes | None = _blob()


# --- audit ---------------------------------------------------------------------------------------------------------


class Audit(SQLModel, table=True):
    """One compact row per request; AuditEvents are rendered from it. One hash chain per slot."""

    __tablename__ = "audit"
    slot: int = _int8(primary_key=True, autoincrement=False)
    seq: int = _int8(primary_key=True, autoincrement=False)
    at_us: int = _int8()
    actor: str = _text()
    organization: str = _text()
    action: str = _text()
    kind: str = _text()
    outcome: int = _small()
    target: str = _text()
    patients: str = _text()
    request_id: str = _text()
    reason: str = _text()
    purpose: str = _text()
    digest: bytes | None = _blob()


class AuditPatient(SQLModel, table=True):
    """Which audit rows concern a patient."""

    __tablename__ = "audit_patient"
    __table_args__ = ({"sqlite_with_rowid": False},)
    patient: int = _int8(primary_key=True, autoincrement=False)
    at_us: int = _int8(primary_key=True, autoincrement=False)
    slot: int = _int8(primary_key=True, autoincrement=False)
    seq: int = _int8(primary_key=True, autoincrement=False)


class Meta(SQLModel, table=True):
    """Facts of this database: schema version, key secret's check value."""

    __tablename__ = "meta"
    name: str = _key()
    value: str = _text()


metadata = SQLModel.metadata
