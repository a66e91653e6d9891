"""Who refers to a resource: the edges of `ref` read backwards."""

from service.store.engine import Store

MANY = 200


async def referrers(store: Store, key: int, vid: int) -> list[str]:
    """References of current resources that lead to the resource, itself excepted; at most 200."""
    rows = await store.fetch(
        "SELECT DISTINCT v.rtype, v.fhir_id FROM ref e JOIN version v ON v.vid = e.vid "
        "WHERE e.target = ? AND e.vid <> ? ORDER BY v.rtype, v.fhir_id LIMIT ?",
        (key, vid, MANY),
    )
    return [f"{rtype}/{fhir_id}" for rtype, fhir_id in rows]
