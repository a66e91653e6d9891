"""Who refers to a resource: the edges of `ref` read backwards, as far as the caller sees them."""

from service.search.restriction import Restriction
from service.store.engine import Store
from service.store.visible import Sql, join, visible_any

MANY = 200


async def referrers(store: Store, key: int, vid: int, restriction: Restriction) -> list[str]:
    """References of current resources that lead to the resource, itself excepted; at most 200."""
    seen: Sql = ("", []) if restriction.unrestricted else visible_any("r", restriction.types, restriction)
    condition, params = join(("e.target = ? AND e.vid <> ?", [key, vid]), seen)
    rows = await store.fetch(
        "SELECT DISTINCT r.rtype, r.fhir_id FROM ref e JOIN version v ON v.vid = e.vid "
        "JOIN resource r ON r.key = v.key "
        f"WHERE {condition} ORDER BY r.rtype, r.fhir_id LIMIT ?",
        (*params, MANY),
    )
    return [f"{rtype}/{fhir_id}" for rtype, fhir_id in rows]
