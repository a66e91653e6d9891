"""Reads of the directory for the workflow's own decisions: entries under index keys, a member's records by type."""

from collections.abc import Sequence

from service.search.compartment import compartment_edges
from service.store.dialect import marks
from service.store.engine import Store


async def services_under(store: Store, keys: Sequence[int], limit: int) -> list[bytes]:
    """Bodies of the current HealthcareServices under one of these keys, by id, each once."""
    rows = await store.fetch(
        "SELECT DISTINCT v.fhir_id, v.body FROM ix d JOIN version v ON v.vid = d.vid "
        f"WHERE d.key IN ({marks(len(keys))}) AND v.rtype = 'HealthcareService' ORDER BY v.fhir_id LIMIT ?",
        (*keys, limit),
    )
    return [bytes(row[1]) for row in rows]


async def records_of(store: Store, patient: str, types: Sequence[str], limit: int) -> list[tuple[bytes, int]]:
    """(body, labels) of the member's current resources of these types, by type and id. No caller's rights apply."""
    edges = sorted({number for rtype in types for number in compartment_edges(rtype)})
    rows = await store.fetch(
        "SELECT DISTINCT v.rtype, v.fhir_id, v.body, v.labels FROM ref e JOIN version v ON v.vid = e.vid "
        f"WHERE e.target = ? AND e.param IN ({marks(len(edges))}) AND v.rtype IN ({marks(len(types))}) "
        "ORDER BY v.rtype, v.fhir_id LIMIT ?",
        (store.keys.resource(patient), *edges, *types, limit),
    )
    return [(bytes(row[2]), int(row[3])) for row in rows]
