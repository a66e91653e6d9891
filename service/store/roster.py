"""Patients as the synthetic feed needs them: the current ones, in the order in which they were written."""

from service.store.engine import Store


async def patients(store: Store, limit: int) -> list[bytes]:
    rows = await store.fetch(
        "SELECT v.body FROM ix d JOIN version v ON v.vid = d.vid WHERE d.key = ? ORDER BY d.vid LIMIT ?",
        (store.keys.marker("Patient"), limit),
    )
    return [bytes(row[0]) for row in rows]
