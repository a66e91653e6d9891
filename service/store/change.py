"""Change: all that one interaction decided, as plain data. commit.py makes many of them durable in one group.

A Change states what it relied on (versions, epochs, leases), so that deciding needs no open transaction.
"""

from dataclasses import dataclass, field
from typing import Any

from fhir_profiles import Resource
from service.search.index_rows import IndexRows

ABSENT = 0
"""Expected version of a resource that must not exist yet."""


@dataclass(frozen=True)
class PanelRow:
    """While start_us <= now < end_us, `subject` (key of an organization or person) has the patient in its panel.

    basis: coverage, episode, care-team, task. role: the part played, for example lead-care-manager.
    """

    subject: int
    patient: int
    basis: str
    role: str
    start_us: int
    end_us: int


@dataclass(frozen=True)
class Write:
    """One new version of one resource; made by service/access/new_version.py. `resource` is None for a delete.

    hole: the JSON text before and after the place where commit writes meta.versionId and meta.lastUpdated.

    expect: the version of the head when it was read (ABSENT: none). patient: key of the compartment's Patient.
    labels: bits of the sensitivity groups. source_org: key of the organization that wrote it.
    ruled: keys under which a label_rule may add bits (store/label_rules.py): looked up within the commit.
    panel: panel rows that follow from this resource; they replace those of its former version.
    """

    rtype: str
    fhir_id: str
    expect: int
    resource: Resource | None
    hole: tuple[bytes, bytes] = (b"", b"")
    index: IndexRows = IndexRows()
    patient: int | None = None
    labels: int = 0
    source_org: int = 0
    panel: tuple[PanelRow, ...] = ()
    ruled: tuple[int, ...] = ()

    @property
    def reference(self) -> str:
        return f"{self.rtype}/{self.fhir_id}"


@dataclass(frozen=True)
class Claim:
    """A unique key taken by this Change: conditional create, message id, jti. Taken by another: ClaimTaken."""

    key: int
    holder: int = 0
    """What holds it: a resource key, an inbox id."""
    expires_us: int = 2**62


@dataclass(frozen=True)
class Job:
    """Background work that must commit with its cause. Jobs of one ordering_key run one after the other, by id.

    kind: a row of worker.HANDLERS. dedupe: at most one job with it while it is not done (later ones are dropped).
    """

    kind: str
    payload: dict[str, Any]
    ordering_key: str = ""
    due_us: int = 0
    dedupe: str | None = None


@dataclass(frozen=True)
class AuditRow:
    """One row per request: who did what to which patients, and how it ended.

    action: C R U D E (FHIR audit-event-action). outcome: 0 success, 4 refused, 8 failed. kind: interaction, such as
    "read", or "refusal", "adt-alert". target: relative reference or query without values. patients: their references.
    """

    action: str
    kind: str
    outcome: int
    actor: str
    organization: str
    target: str = ""
    patients: tuple[str, ...] = ()
    request_id: str = ""
    reason: str = ""
    purpose: str = ""
    detail: str = ""
    """JSON of what the kind needs beside: the query as sent, consents consulted."""
    shown: tuple[Any, ...] = field(default=(), compare=False, repr=False)
    """What leaves with the answer (read.Found), for service/access/tripwire.py; not stored."""


@dataclass(frozen=True)
class Lease:
    """A job that this Change finishes: fails unless it is still leased under this token."""

    job_id: int
    token: int
    state: str = "done"
    error: str = ""


@dataclass(frozen=True)
class Statement:
    """SQL with `?` placeholders from a file of service/store; runs inside the group after the writes."""

    sql: str
    params: tuple[Any, ...]


@dataclass
class Change:
    """Everything that must happen together, or not at all."""

    relied: dict[str, int] = field(default_factory=dict)
    """Relative reference -> version read; a version that moved meanwhile fails this Change (Stale)."""
    epochs: dict[int, int] = field(default_factory=dict)
    """Subject key (patient, organization) -> access epoch on which a permission was decided."""
    bump_epochs: set[int] = field(default_factory=set)
    writes: list[Write] = field(default_factory=list)
    reindexed: list[Write] = field(default_factory=list)
    """Current versions (`expect`) whose index rows are written anew; no version comes of it (store/reindex.py)."""
    claims: list[Claim] = field(default_factory=list)
    jobs: list[Job] = field(default_factory=list)
    leases: list[Lease] = field(default_factory=list)
    statements: list[Statement] = field(default_factory=list)
    audit: list[AuditRow] = field(default_factory=list)

    def merge(self, other: "Change") -> "Change":
        """Adds another Change to this one; both succeed or fail together."""
        self.relied |= other.relied
        # Of two readings the earlier one counts: something was decided on it.
        self.epochs |= {key: min(seen, self.epochs.get(key, seen)) for key, seen in other.epochs.items()}
        self.bump_epochs |= other.bump_epochs
        self.writes += other.writes
        self.reindexed += other.reindexed
        self.claims += other.claims
        self.jobs += other.jobs
        self.leases += other.leases
        self.statements += other.statements
        self.audit += other.audit
        return self


@dataclass(frozen=True)
class Written:
    """What commit made of a Write: its vid (and so its lastUpdated), version and the bytes as stored."""

    reference: str
    vid: int
    version: int
    body: bytes | None
    labels: int = 0


@dataclass(frozen=True)
class Committed:
    written: tuple[Written, ...]
    job_ids: tuple[int, ...] = ()


class NotCommitted(Exception):
    """This Change alone was refused; nothing of it happened."""


class Stale(NotCommitted):
    """A version, an epoch or a lease that the Change relied on has moved. `what` names it."""

    def __init__(self, what: str):
        super().__init__(what)
        self.what = what


class ClaimTaken(NotCommitted):
    """Another Change holds the claim; `holder` is what it noted."""

    def __init__(self, key: int, holder: int):
        super().__init__("claim taken")
        self.key = key
        self.holder = holder
