"""SQL of stays: their events, the alerts about them, who is told, and how candidates for a match are found."""

from dataclasses import dataclass
from typing import Any

import orjson

from service.search.keys import edge
from service.store.dialect import marks
from service.store.engine import Store

_ABOUT = (edge("Communication", "encounter"), edge("Task", "encounter"))


@dataclass(frozen=True)
class StoredStayEvent:
    """event: the AdtEvent as plain JSON. patient: relative reference, "" while unmatched; reason: why (inbox)."""

    inbox_id: int
    received_us: int
    patient: str
    event: dict[str, Any]
    reason: str = ""


async def events(store: Store, stay: str) -> list[StoredStayEvent]:
    rows = await store.fetch(
        "SELECT s.inbox_id, i.received_us, s.patient, s.event, i.reason "
        "FROM stay_event s JOIN inbox i ON i.id = s.inbox_id "
        "WHERE s.stay = ? OR s.stay IN (SELECT a.stay FROM stay_account a WHERE a.encounter = ?) ORDER BY s.inbox_id",
        (stay, stay),
    )
    return [StoredStayEvent(r[0], r[1], r[2], orjson.loads(r[3]) if r[3] else {}, r[4]) for r in rows]


async def told(store: Store, encounter: str, *, author: int | None = None) -> list[tuple[str, str, int, bytes]]:
    """(type, id, version, body) of the Communications and Tasks about an Encounter; author: key of who filed them."""
    mine = "" if author is None else " AND v.source_org = ?"
    rows = await store.fetch(
        "SELECT v.rtype, v.fhir_id, v.version, v.body FROM ref e JOIN version v ON v.vid = e.vid "
        f"WHERE e.param IN ({marks(len(_ABOUT))}) AND e.target = ?{mine}",
        (*_ABOUT, store.keys.resource(encounter), *(() if author is None else (author,))),
    )
    return [(row[0], row[1], row[2], bytes(row[3])) for row in rows]


async def responsible(store: Store, patient: str, role: str, now_us: int) -> list[str]:
    """References of those who have the patient in this role now, in a fixed order."""
    rows = await store.fetch(
        "SELECT DISTINCT r.rtype, r.fhir_id FROM panel p JOIN resource r ON r.key = p.subject "
        "WHERE p.patient = ? AND p.role = ? AND p.start_us <= ? AND p.end_us > ? AND r.deleted = 0 "
        "ORDER BY r.rtype, r.fhir_id",
        (store.keys.resource(patient), role, now_us, now_us),
    )
    return [f"{row[0]}/{row[1]}" for row in rows]


async def patients_by_key(store: Store, key: int, limit: int = 20) -> list[tuple[str, bytes]]:
    """(reference, body) of current Patients under an index key: an identifier, a birth date's marker."""
    rows = await store.fetch(
        "SELECT v.fhir_id, v.body FROM ix d JOIN version v ON v.vid = d.vid WHERE d.key = ? "
        "AND v.rtype = 'Patient' LIMIT ?",
        (key, limit),
    )
    return [(f"Patient/{row[0]}", bytes(row[1])) for row in rows]


async def patients_born(store: Store, key: int, low: int, high: int, limit: int = 500) -> list[tuple[str, bytes]]:
    """Current Patients whose birth date is the day [low, high)."""
    rows = await store.fetch(
        "SELECT v.fhir_id, v.body FROM ix_date d JOIN version v ON v.vid = d.vid "
        "WHERE d.key = ? AND d.lo = ? AND d.hi = ? AND v.rtype = 'Patient' LIMIT ?",
        (key, low, high, limit),
    )
    return [(f"Patient/{row[0]}", bytes(row[1])) for row in rows]


async def patient_by_id(store: Store, fhir_id: str) -> list[tuple[str, bytes]]:
    rows = await store.fetch(
        "SELECT v.fhir_id, v.body FROM resource r JOIN version v ON v.vid = r.vid WHERE r.key = ? AND r.deleted = 0",
        (store.keys.resource(f"Patient/{fhir_id}"),),
    )
    return [(f"Patient/{row[0]}", bytes(row[1])) for row in rows]


async def patients_by_mrn(store: Store, authority: str, mrn: str) -> list[tuple[str, bytes]]:
    """Patients to whom this medical record number was linked by an earlier match."""
    rows = await store.fetch("SELECT patient FROM mrn_link WHERE authority = ? AND mrn = ?", (authority, mrn))
    found = []
    for (reference,) in rows:
        found += await patient_by_id(store, reference.partition("/")[2])
    return found
