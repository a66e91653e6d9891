"""Reads of the panel table: whose members a caller has now."""

from collections.abc import Sequence

from service.search.restriction import Restriction
from service.store.dialect import marks
from service.store.engine import Store


async def has_patients(store: Store, patients: Sequence[str], restriction: Restriction) -> set[str]:
    """Those of the Patient references that exist and are in the caller's panel now."""
    if not patients or not restriction.subjects:
        return set()
    by_key = {store.keys.resource(reference): reference for reference in patients}
    sql = (
        "SELECT DISTINCT p.patient FROM panel p JOIN resource r ON r.key = p.patient "
        f"WHERE p.patient IN ({marks(len(by_key))}) AND p.subject IN ({marks(len(restriction.subjects))}) "
        "AND p.start_us <= ? AND p.end_us > ? AND r.deleted = 0"
    )
    params = (*by_key, *restriction.subjects, restriction.now_us, restriction.now_us)
    return {by_key[row[0]] for row in await store.fetch(sql, params)}
