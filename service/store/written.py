"""SQL of Provenance: versions by their number, and the audit rows of the acts that wrote them."""

from collections.abc import Iterable
from dataclasses import dataclass

from service.store.audit_rows import COLUMNS, StoredAudit, as_stored
from service.store.dialect import marks
from service.store.engine import Store
from service.store.slots import updated_us

SLACK_US = 60_000_000
"""A version's instant runs ahead of its audit row's while a slot gives numbers faster than the clock moves."""


@dataclass(frozen=True)
class WrittenVersion:
    """source_org: key of the author's organization."""

    vid: int
    rtype: str
    fhir_id: str
    version: int
    op: int
    patient: int | None
    source_org: int

    @property
    def reference(self) -> str:
        return f"{self.rtype}/{self.fhir_id}"


_VERSION = "SELECT vid, rtype, fhir_id, version, op, patient, source_org FROM version"


async def version_of(store: Store, vid: int) -> WrittenVersion | None:
    rows = await store.fetch(f"{_VERSION} WHERE vid = ?", (vid,))
    return WrittenVersion(*rows[0]) if rows else None


async def versions_of(store: Store, reference: str, limit: int) -> list[WrittenVersion]:
    """Newest first."""
    key = store.keys.resource(reference)
    rows = await store.fetch(f"{_VERSION} WHERE key = ? ORDER BY version DESC LIMIT ?", (key, limit))
    return [WrittenVersion(*row) for row in rows]


async def acts(store: Store, versions: Iterable[WrittenVersion]) -> dict[int, StoredAudit]:
    """vid -> the audit row of the act that wrote it, as far as rows say so (detail `w`); over the index of patients."""
    found: dict[int, StoredAudit] = {}
    for one in versions:
        if one.vid in found or one.patient is None:
            continue
        at_us = updated_us(one.vid)
        rows = await store.fetch(
            f"SELECT {COLUMNS} FROM (SELECT slot, seq FROM audit_patient WHERE patient = ? AND at_us >= ? "
            "AND at_us <= ?) p CROSS JOIN audit a WHERE a.slot = p.slot AND a.seq = p.seq AND a.detail LIKE ?",
            (one.patient, at_us - SLACK_US, at_us, f"%{one.vid}%"),
        )
        for row in (as_stored(one, store.keys) for one in rows):
            found |= {int(vid): row for vid in row.more.get("w", ())}
    return found


async def references(store: Store, keys: Iterable[int]) -> dict[int, str]:
    """Key -> relative reference, of resources that are stored."""
    wanted = sorted(set(keys))
    found: dict[int, str] = {}
    for at in range(0, len(wanted), 500):
        part = wanted[at : at + 500]
        sql = f"SELECT key, rtype, fhir_id FROM resource WHERE key IN ({marks(len(part))})"
        found |= {int(key): f"{rtype}/{fhir_id}" for key, rtype, fhir_id in await store.fetch(sql, tuple(part))}
    return found
