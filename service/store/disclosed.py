"""SQL of the accounting of disclosures: audit rows about a patient in which something left its author."""

from service.store.audit_rows import COLUMNS, StoredAudit, as_stored
from service.store.engine import Store

_STEP = 5_000


async def of_patient(
    store: Store, patient: int, since_us: int, until_us: int, most: int
) -> tuple[list[StoredAudit], bool]:
    """(rows, newest first; whether there are more than `most`), over the index of patients alone."""
    found: list[StoredAudit] = []
    while len(found) <= most:
        # CROSS JOIN: SQLite has no statistics, and the index of the patient is the one to start from.
        rows = await store.fetch(
            f"SELECT {COLUMNS} FROM (SELECT slot, seq, at_us FROM audit_patient WHERE patient = ? AND at_us >= ? "
            "AND at_us < ? ORDER BY at_us DESC, slot DESC, seq DESC LIMIT ?) p "
            "CROSS JOIN audit a WHERE a.slot = p.slot AND a.seq = p.seq",
            (patient, since_us, until_us, _STEP),
            heavy=True,
        )
        read = [as_stored(row, store.keys) for row in rows]
        stored = sorted(read, key=lambda one: (one.at_us, one.slot, one.seq), reverse=True)
        found += [one for one in stored if one.outcome == 0 and one.more.get("d")]
        if len(rows) < _STEP:
            break
        # Rows of the same instant as the last are read again, and known by their place.
        until_us = stored[-1].at_us + 1 if stored[-1].at_us + 1 < until_us else stored[-1].at_us
    unique = {(one.slot, one.seq): one for one in found}
    return list(unique.values())[:most], len(unique) > most
