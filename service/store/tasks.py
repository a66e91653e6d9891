"""Reads of Tasks by what they are about, for the workflow's own decisions (no caller's restriction applies)."""

import orjson

from service.search.keys import edge
from service.store.engine import Store

_FOCUS = edge("Task", "focus")
_PART_OF = edge("Task", "part-of")
_BASED_ON = edge("ServiceRequest", "based-on")


def subject(store: Store, reference: str) -> int:
    """Whose access epoch counts the referrals opened about a resource: opening bumps it, closing relies on it."""
    return store.keys.resource(reference)


async def about(store: Store, reference: str, statuses: tuple[str, ...]) -> dict[str, int]:
    """{Task reference: version} of the Tasks whose focus is the resource and whose status is one of these."""
    rows = await store.fetch(
        "SELECT v.fhir_id, v.version, v.body FROM ref e JOIN version v ON v.vid = e.vid "
        "WHERE e.param = ? AND e.target = ?",
        (_FOCUS, store.keys.resource(reference)),
    )
    return {f"Task/{fhir_id}": version for fhir_id, version, body in rows if orjson.loads(body)["status"] in statuses}


async def focused(store: Store, reference: str) -> list[tuple[int, bytes]]:
    """(version, body) of the current Tasks whose focus is the resource, in a fixed order."""
    return await _pointing(store, _FOCUS, reference)


async def parts(store: Store, reference: str) -> list[tuple[int, bytes]]:
    """(version, body) of the current Tasks that are part of a Task, in a fixed order."""
    return await _pointing(store, _PART_OF, reference)


async def serving(store: Store, reference: str) -> list[tuple[int, bytes]]:
    """(version, body) of the current ServiceRequests that are based on one, in a fixed order."""
    return await _pointing(store, _BASED_ON, reference)


async def _pointing(store: Store, param: int, reference: str) -> list[tuple[int, bytes]]:
    rows = await store.fetch(
        "SELECT v.version, v.body FROM ref e JOIN version v ON v.vid = e.vid WHERE e.param = ? AND e.target = ? "
        "ORDER BY v.fhir_id",
        (param, store.keys.resource(reference)),
    )
    return [(int(version), bytes(body)) for version, body in rows]
