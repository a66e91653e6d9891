"""Reads of CarePlans by what their activities plan, for the workflow's own decisions (no caller's restriction)."""

from collections.abc import Sequence

from service.search.keys import edge
from service.store.dialect import marks
from service.store.engine import Store

_ACTIVITY = edge("CarePlan", "activity-reference")


async def planning(store: Store, references: Sequence[str]) -> list[str]:
    """References of the current CarePlans with an activity that plans one of these, in a fixed order."""
    if not references:
        return []
    keys = [store.keys.resource(one) for one in references]
    rows = await store.fetch(
        "SELECT DISTINCT v.fhir_id FROM ref e JOIN version v ON v.vid = e.vid "
        f"WHERE e.param = ? AND e.target IN ({marks(len(keys))}) AND v.rtype = 'CarePlan' ORDER BY v.fhir_id",
        (_ACTIVITY, *keys),
    )
    return [f"CarePlan/{row[0]}" for row in rows]
