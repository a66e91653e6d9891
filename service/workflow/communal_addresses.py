"""Addresses that many people give as their own: those of shelters, hospitals, nursing facilities that we know.

They say nothing about who somebody is (facts/adt.md 5). Every Organization and Location counts, of whatever type, since
nobody lives at an office. The words of an address itself (match_evidence.COMMUNAL) find those that we do not know.
"""

from collections.abc import Iterable
from weakref import WeakKeyDictionary

from fhir_profiles import Resource
from service.access.context import Context, parse
from service.store import places
from service.store.engine import Store
from service.workflow.match_evidence import home_of

FRESH_US = 60_000_000
"""So long is the list used before it is read again; it is some thousands of addresses."""
Addresses = frozenset[tuple[str, str]]
_READ: WeakKeyDictionary[Store, tuple[int, Addresses]] = WeakKeyDictionary()


async def communal(ctx: Context) -> Addresses:
    """(street number, five-digit ZIP) of the places of all Organizations and Locations."""
    known = _READ.get(ctx.store)
    if known is None or not 0 <= ctx.now_us - known[0] < FRESH_US:
        rows = await places.with_addresses(ctx.store)
        known = _READ[ctx.store] = (ctx.now_us, addresses(parse(body) for body in rows))
    return known[1]


def addresses(resources: Iterable[Resource]) -> Addresses:
    found = {home_of(one) for resource in resources if not _home(resource) for one in _addresses(resource)}
    return frozenset(one for one in found if one is not None)


def _addresses(resource: Resource) -> list[Resource]:
    told = resource.get("address") or []
    return list(told) if isinstance(told, list) else [told]


def _home(resource: Resource) -> bool:
    """A patient's residence that was written down as a Location."""
    codes = {c.get("code") for t in resource.get("type") or () if isinstance(t, dict) for c in t.get("coding") or ()}
    return resource.get("resourceType") == "Location" and "PTRES" in codes
