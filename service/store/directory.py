"""SQL of the directory: entries by an identifier or id, and all entries of a type page by page."""

from dataclasses import dataclass

from service.store.change import ABSENT
from service.store.engine import Store

_BEARER = (
    "SELECT v.fhir_id, v.version, v.body, v.source_org FROM ix i JOIN version v ON v.vid = i.vid "
    "WHERE i.key = ? ORDER BY v.fhir_id LIMIT 2"
)
_HEAD = (
    "SELECT r.fhir_id, r.version, v.body, r.source_org FROM resource r JOIN version v ON v.vid = r.vid WHERE r.key = ?"
)
_PAGE = (
    "SELECT i.vid, v.fhir_id, v.version, v.body, v.source_org FROM ix i JOIN version v ON v.vid = i.vid "
    "WHERE i.key = ? AND i.vid > ? ORDER BY i.vid LIMIT ?"
)


@dataclass(frozen=True)
class Standing:
    """A current entry. body: None for one that was deleted, or never was (version ABSENT)."""

    fhir_id: str
    version: int
    body: bytes | None
    source_org: int = 0


async def bearers(store: Store, rtype: str, system: str, value: str) -> list[Standing]:
    """At most two current entries with this identifier."""
    rows = await store.fetch(_BEARER, (store.keys.token(rtype, "identifier", system, value),))
    return [Standing(row[0], int(row[1]), bytes(row[2]), int(row[3])) for row in rows]


async def standing(store: Store, rtype: str, fhir_id: str) -> Standing:
    """The entry under an id; of a deleted one its version, so that it can come back."""
    rows = await store.fetch(_HEAD, (store.keys.resource(f"{rtype}/{fhir_id}"),))
    if not rows:
        return Standing(fhir_id, ABSENT, None)
    _, version, body, source_org = rows[0]
    return Standing(fhir_id, int(version), None if body is None else bytes(body), int(source_org))


async def page(store: Store, rtype: str, after: int, limit: int) -> tuple[list[Standing], int]:
    """The next current entries of a type, oldest version first, and from where the page behind it goes on."""
    rows = await store.fetch(_PAGE, (store.keys.marker(rtype), after, limit), heavy=True)
    found = [Standing(row[1], int(row[2]), bytes(row[3]), int(row[4])) for row in rows]
    return found, int(rows[-1][0]) if rows else after
