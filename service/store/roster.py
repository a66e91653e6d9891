"""Patients and open stays as the synthetic feed needs them, in the order in which they were written."""

from service.store.engine import Store


async def patients(store: Store, limit: int) -> list[bytes]:
    rows = await store.fetch(
        "SELECT v.body FROM ix d JOIN version v ON v.vid = d.vid WHERE d.key = ? ORDER BY d.vid LIMIT ?",
        (store.keys.marker("Patient"), limit),
    )
    return [bytes(row[0]) for row in rows]


async def open_stays(store: Store) -> list[bytes]:
    """Encounters of members who are in a hospital now, the newest 2,000."""
    keys = [store.keys.token("Encounter", "status", None, status) for status in ("arrived", "in-progress", "onleave")]
    rows = await store.fetch(
        "SELECT v.body FROM ix d JOIN version v ON v.vid = d.vid "
        "WHERE d.key IN (?, ?, ?) ORDER BY d.vid DESC LIMIT 2000",
        tuple(keys),
    )
    return [bytes(row[0]) for row in rows]


async def stays_numbered(store: Store, visit: str) -> list[bytes]:
    """Encounters with this visit number, of whatever hospital."""
    rows = await store.fetch(
        "SELECT v.body FROM ix d JOIN version v ON v.vid = d.vid WHERE d.key = ? ORDER BY d.vid",
        (store.keys.token("Encounter", "identifier", None, visit),),
    )
    return [bytes(row[0]) for row in rows]
