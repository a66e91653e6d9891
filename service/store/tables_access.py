"""The tables of rights, credentials and audit, as SQLModel classes; see tables.py."""

from sqlalchemy import Column, Index, LargeBinary
from sqlmodel import Field, SQLModel

from service.store.table_columns import blob, int8, small, text
from service.store.table_columns import key as key_column

# --- access ------------------------------------------------------------------------------------------------------


class Panel(SQLModel, table=True):
    """Which patients an organization or person has, from when to when, and by which resource (`source`)."""

    __tablename__ = "panel"
    __table_args__ = (
        Index("panel_patient", "patient", "subject"),
        Index("panel_source", "source"),
        {"sqlite_with_rowid": False},
    )
    subject: int = int8(primary_key=True, autoincrement=False)
    patient: int = int8(primary_key=True, autoincrement=False)
    source: int = int8(primary_key=True, autoincrement=False)
    basis: str = key_column()
    role: str = key_column()
    start_us: int = int8()
    end_us: int = int8()


class Clearance(SQLModel, table=True):
    """Rules of the Consents in force, compiled (service/access/consent): which labels, for whom, for what, when.

    actor: key of whom the rule names, 0: anybody; of a CareTeam: its members. purpose: v3-ActReason code, "": any.
    also: a second key that the actor must bear (a PractitionerRole: person and organization), 0: none.
    labels: bits that the rule speaks of, GENERAL among them for all data of the patient. rtype: "": any type.
    data_kind: 0 any data, 1 the resource `data`, 2 also those it refers to, 3 also those that refer to it, 4 what the
    organization `data` wrote. grade: depth, specificity and whether it denies (service/search/clearance.py).
    """

    __tablename__ = "clearance"
    __table_args__ = (Index("clearance_consent", "consent"), {"sqlite_with_rowid": False})
    patient: int = int8(primary_key=True, autoincrement=False)
    consent: int = int8(primary_key=True, autoincrement=False)
    number: int = int8(primary_key=True, autoincrement=False)
    actor: int = int8()
    also: int = int8()
    purpose: str = text()
    labels: int = int8()
    rtype: str = text()
    data_kind: int = small()
    data: int = int8()
    grade: int = int8()
    start_us: int = int8()
    end_us: int = int8()


class LabelRule(SQLModel, table=True):
    """Sensitivity that follows from where data comes from, set by the operator. kind: source, reference.

    key: of kind and value, as store/label_rules.py makes it; every commit looks its writes up by it.
    """

    __tablename__ = "label_rule"
    key: int = int8(primary_key=True, autoincrement=False)
    kind: str = text()
    value: str = text()
    """Relative reference: of the organization that writes, or of what a resource refers to."""
    labels: int = int8()
    note: str = text()


class BreakGlass(SQLModel, table=True):
    """Emergency access that somebody took: for one patient, an hour at most, with its reason and its review."""

    __tablename__ = "break_glass"
    __table_args__ = (Index("break_glass_review", "reviewed_us", "start_us"),)
    id: str = key_column()
    actor: str = text()
    organization: str = text()
    patient: str = text()
    reason: str = text()
    emergency: str = text()
    """JSON: the four facts of 42 CFR 2.51 where Part 2 data is opened, else empty."""
    start_us: int = int8()
    end_us: int = int8()
    reviewed_us: int | None = int8(nullable=True)
    reviewer: str | None = text(nullable=True)
    verdict: str | None = text(nullable=True)


class AccessEpoch(SQLModel, table=True):
    """Counts the changes of rights of a patient or organization, so that a decision can notice it became stale."""

    __tablename__ = "access_epoch"
    subject: int = int8(primary_key=True, autoincrement=False)
    epoch: int = int8()


class ClaimRow(SQLModel, table=True):
    """Unique keys held by resources, messages and assertions."""

    __tablename__ = "claim"
    __table_args__ = (Index("claim_expires", "expires_us"), {"sqlite_with_rowid": False})
    key: int = int8(primary_key=True, autoincrement=False)
    holder: int = int8()
    expires_us: int = int8()


# --- credentials ---------------------------------------------------------------------------------------------------


class Client(SQLModel, table=True):
    """A registered system of one organization in one role. `person` set: a person's own client (a sandbox login)."""

    __tablename__ = "client"
    id: str = key_column()
    name: str = text()
    organization: str = text()
    role: str = text()
    person: str | None = text(nullable=True)
    scopes: str = text()
    purpose: str = text()
    jwks: str | None = text(nullable=True)
    jwks_url: str | None = text(nullable=True)
    active: int = small()
    created_us: int = int8()
    kind: str | None = text(nullable=True)
    """backend (also where null), confidential or public: apps that people use."""
    redirect_uris: str | None = text(nullable=True)
    """JSON list; compared character by character."""
    suspended_us: int | None = int8(nullable=True)
    endpoints: str | None = text(nullable=True)
    """JSON list: hosts to which it may be notified, mail domains as @example.org, telephone numbers as +1..."""


class Token(SQLModel, table=True):
    """Access tokens by SHA-256 of their text; opaque to everyone else."""

    __tablename__ = "token"
    __table_args__ = (Index("token_client", "client_id"), Index("token_expires", "expires_us"))
    hash: bytes = Field(sa_column=Column(LargeBinary, primary_key=True))
    client_id: str = text()
    scopes: str = text()
    issued_us: int = int8()
    expires_us: int = int8()
    revoked_us: int | None = int8(nullable=True)
    person: str | None = text(nullable=True)
    """From here on null, or what counts instead of the client's own: a person used the app."""
    organization: str | None = text(nullable=True)
    role: str | None = text(nullable=True)
    purpose: str | None = text(nullable=True)
    patient: str | None = text(nullable=True)
    """Launch context: the one Patient for whom `patient/` scopes count."""
    family: str | None = text(nullable=True)
    """All tokens of one authorization end together."""
    account: str | None = text(nullable=True)
    """Through which the person came: what the person may do there is asked at each request."""


class LoginSession(SQLModel, table=True):
    """Sessions of people on the pages, by SHA-256 of the cookie."""

    __tablename__ = "login_session"
    hash: bytes = Field(sa_column=Column(LargeBinary, primary_key=True))
    client_id: str = text()
    csrf: str = text()
    created_us: int = int8()
    seen_us: int = int8()
    expires_us: int = int8()
    account: str | None = text(nullable=True)
    """Of a person who came through an identity provider; then the following count instead of the client's."""
    person: str | None = text(nullable=True)
    organization: str | None = text(nullable=True)
    role: str | None = text(nullable=True)


class IdentityProvider(SQLModel, table=True):
    """An organization's OpenID Provider. client_secret: sealed with the service's key, or null."""

    __tablename__ = "identity_provider"
    id: str = key_column()
    issuer: str = text()
    name: str = text()
    organization: str = text()
    client_id: str = text()
    client_secret: bytes | None = blob()
    roles: str = text()
    """Roles that people who come through it may have, separated by blanks: their organization cannot widen them."""
    active: int = small()
    created_us: int = int8()


class Account(SQLModel, table=True):
    """A person as an identity provider knows it, bound to a Practitioner."""

    __tablename__ = "account"
    id: str = key_column()
    provider: str = text()
    subject: str = text()
    practitioner: str = text()
    active: int = small()
    created_us: int = int8()


class LoginAttempt(SQLModel, table=True):
    """A sign-in that is on its way through an identity provider, by SHA-256 of its state. payload: JSON."""

    __tablename__ = "login_attempt"
    hash: bytes = Field(sa_column=Column(LargeBinary, primary_key=True))
    provider: str = text()
    payload: str = text()
    expires_us: int = int8()


class AuthorizationCode(SQLModel, table=True):
    """Codes of the authorization endpoint by SHA-256 of their text; good for one exchange. payload: JSON."""

    __tablename__ = "authorization_code"
    hash: bytes = Field(sa_column=Column(LargeBinary, primary_key=True))
    client_id: str = text()
    family: str = text()
    payload: str = text()
    """What the tokens will hold: redirect URI, challenge, scopes, person, organization, role, patient, nonce."""
    expires_us: int = int8()
    used_us: int | None = int8(nullable=True)


class RefreshToken(SQLModel, table=True):
    """Refresh tokens by SHA-256 of their text; each use makes the next. payload: JSON as of the code."""

    __tablename__ = "refresh_token"
    __table_args__ = (Index("refresh_token_family", "family"),)
    hash: bytes = Field(sa_column=Column(LargeBinary, primary_key=True))
    client_id: str = text()
    family: str = text()
    payload: str = text()
    issued_us: int = int8()
    expires_us: int = int8()
    used_us: int | None = int8(nullable=True)
    revoked_us: int | None = int8(nullable=True)
    session: bytes | None = blob()
    """Digest of the session with which online access ends."""


class SigningKey(SQLModel, table=True):
    """Our keys for id_tokens. private: sealed with the service's key. Published from the start until retired."""

    __tablename__ = "signing_key"
    kid: str = key_column()
    private: bytes = blob(nullable=False)
    public: str = text()
    created_us: int = int8()
    signs_from_us: int = int8()
    retired_us: int | None = int8(nullable=True)


# --- audit ---------------------------------------------------------------------------------------------------------


class Audit(SQLModel, table=True):
    """One compact row per request; AuditEvents are rendered from it. One hash chain per slot."""

    __tablename__ = "audit"
    slot: int = int8(primary_key=True, autoincrement=False)
    seq: int = int8(primary_key=True, autoincrement=False)
    at_us: int = int8()
    actor: str = text()
    organization: str = text()
    action: str = text()
    kind: str = text()
    outcome: int = small()
    target: str = text()
    patients: str = text()
    request_id: str = text()
    reason: str = text()
    purpose: str = text()
    digest: bytes | None = blob()
    detail: str | None = text(nullable=True)
    """JSON: the query as sent, consents consulted, end of the token's hash; what the row's kind needs."""


class AuditPatient(SQLModel, table=True):
    """Which audit rows concern a patient."""

    __tablename__ = "audit_patient"
    __table_args__ = ({"sqlite_with_rowid": False},)
    patient: int = int8(primary_key=True, autoincrement=False)
    at_us: int = int8(primary_key=True, autoincrement=False)
    slot: int = int8(primary_key=True, autoincrement=False)
    seq: int = int8(primary_key=True, autoincrement=False)


class AuditSeal(SQLModel, table=True):
    """The heads of all chains at an instant, signed with a key that is not in the database."""

    __tablename__ = "audit_seal"
    number: int = int8(primary_key=True, autoincrement=False)
    at_us: int = int8()
    heads: str = text()
    """JSON: slot -> [seq, digest in hex]."""
    signature: bytes = blob(nullable=False)
