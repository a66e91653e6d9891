"""SQL of plan files: the bytes with what became of them, and how the records that a row is about are found.

Tables: plan_file, and claim, ix, ref, resource, version, access_epoch (../shared/decisions.md 1, 5, 17).
"""

from dataclasses import dataclass
from typing import Any

from service.search.keys import PATIENT_EDGE, edge
from service.store.change import Statement
from service.store.dialect import marks
from service.store.engine import Store

RECORD_TYPES = ("Coverage", "EpisodeOfCare", "CareTeam")
_EDGES = tuple(edge(rtype, PATIENT_EDGE) for rtype in RECORD_TYPES)
_RECORDS = (
    "SELECT v.rtype, v.fhir_id, v.version, v.source_org, v.body FROM ref e JOIN version v ON v.vid = e.vid "
    f"JOIN version f ON f.key = v.key AND f.version = 1 WHERE e.target = ? AND e.param IN ({marks(len(_EDGES))}) "
    "ORDER BY f.vid"
)


@dataclass(frozen=True)
class StoredFile:
    """A row of plan_file without its bytes. plan: Organization/id. state: received, done, failed. report: JSON."""

    id: str
    kind: str
    plan: str
    filename: str
    received_us: int
    state: str
    report: str


@dataclass(frozen=True)
class Bearer:
    """A resource that bears an identifier. claimed: it holds the claim of that identifier. epoch: its access epoch."""

    key: int
    reference: str
    version: int
    deleted: bool
    source_org: int
    body: bytes | None
    claimed: bool
    epoch: int


@dataclass(frozen=True)
class StoredRecord:
    """A current Coverage, EpisodeOfCare or CareTeam of a patient."""

    rtype: str
    fhir_id: str
    version: int
    source_org: int
    body: bytes


def receive(
    file_id: str, *, kind: str, plan: str, filename: str, digest: bytes, received_us: int, content: bytes
) -> Statement:
    """Keeps a file byte for byte before anything is done with it."""
    return Statement(
        "INSERT INTO plan_file (id, kind, plan, filename, hash, received_us, state, report, content) "
        "VALUES (?, ?, ?, ?, ?, ?, 'received', '', ?)",
        (file_id, kind, plan, filename, digest, received_us, content),
    )


def finish(file_id: str, state: str, report: str) -> Statement:
    """The first report stays, also when two imports of one file ran at once."""
    return Statement(
        "UPDATE plan_file SET state = ?, report = ? WHERE id = ? AND state <> 'done'", (state, report, file_id)
    )


async def same_files(store: Store, kind: str, plan: str, digest: bytes) -> list[StoredFile]:
    """Files with these bytes from this plan, the oldest first."""
    rows = await store.fetch(
        "SELECT id, kind, plan, filename, received_us, state, report FROM plan_file "
        "WHERE hash = ? AND kind = ? AND plan = ? ORDER BY received_us, id",
        (digest, kind, plan),
    )
    return [StoredFile(*row) for row in rows]


async def bearers(store: Store, rtype: str, key: int, claim: int = 0, limit: int = 20) -> list[Bearer]:
    """Resources under an index key (an identifier, an e-mail address) and the holder of the claim, even if deleted.

    The holder of the claim comes first, then by age.
    """
    rows = await store.fetch(
        "SELECT r.key, r.fhir_id, r.version, r.deleted, r.source_org, v.body, "
        "CASE WHEN c.key IS NULL THEN 0 ELSE 1 END AS claimed, COALESCE(e.epoch, 0) "
        "FROM (SELECT holder AS key FROM claim WHERE key = ? "
        "UNION SELECT i.key FROM ix d JOIN version i ON i.vid = d.vid WHERE d.key = ?) k "
        "JOIN resource r ON r.key = k.key JOIN version v ON v.vid = r.vid "
        "JOIN version f ON f.key = r.key AND f.version = 1 "
        "LEFT JOIN claim c ON c.key = ? AND c.holder = r.key LEFT JOIN access_epoch e ON e.subject = r.key "
        "WHERE r.rtype || '' = ? ORDER BY claimed DESC, f.vid LIMIT ?",
        (claim, key, claim, rtype, limit),
    )
    return [_bearer(rtype, row) for row in rows]


def _bearer(rtype: str, row: tuple[Any, ...]) -> Bearer:
    key, fhir_id, version, deleted, source_org, body, claimed, epoch = row
    text = None if body is None else bytes(body)
    return Bearer(key, f"{rtype}/{fhir_id}", version, deleted == 1, source_org, text, claimed == 1, epoch)


async def organization(store: Store, fhir_id: str) -> bytes | None:
    """The current body of an Organization, None where there is none."""
    rows = await store.fetch(
        "SELECT v.body FROM resource r JOIN version v ON v.vid = r.vid WHERE r.key = ? AND r.deleted = 0",
        (store.keys.resource(f"Organization/{fhir_id}"),),
    )
    return bytes(rows[0][0]) if rows else None


async def records(store: Store, patient: int) -> list[StoredRecord]:
    """All current Coverages, EpisodesOfCare and CareTeams of a patient (its key), the oldest first."""
    rows = await store.fetch(_RECORDS, (patient, *_EDGES))
    return [StoredRecord(row[0], row[1], row[2], row[3], bytes(row[4])) for row in rows]
