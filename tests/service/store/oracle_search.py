"""What clauses, orders and includes mean, in the plainest form over all resources in memory."""

import math
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from fhir_profiles.catalog import catalog
from service.search.criteria import (
    AllOf,
    AnyOf,
    Between,
    Clause,
    HasDate,
    HasEdge,
    HasId,
    HasKey,
    HasNear,
    HasNumber,
    HasString,
    Include,
    Linked,
    Not,
    Sort,
    Updated,
    Within,
)
from service.search.keys import edge
from service.search.restriction import Restriction
from service.search.strings import SEPARATOR
from service.store.change import Write
from service.store.slots import updated_us

if TYPE_CHECKING:
    from tests.service.store.oracle import Memory


def holds(memory: "Memory", clause: Clause, w: Write, linked: Restriction) -> bool:
    match clause:
        case AllOf(clauses):
            return all(holds(memory, each, w, linked) for each in clauses)
        case AnyOf(clauses):
            return any(holds(memory, each, w, linked) for each in clauses)
        case Not(inner):
            return not holds(memory, inner, w, linked)
        case Linked(params, rtype, clauses, reverse):
            ends = sources(memory, w, params) if reverse else targets(memory, w, params)
            return any(
                end.rtype == rtype
                and memory.sees(end, linked)
                and all(holds(memory, each, end, linked) for each in clauses)
                for end in ends
            )
        case HasId(ids):
            return w.fhir_id in ids
        case Updated(any_of):
            at = updated_us(memory.vids[w.reference])
            return any((lo is None or lo <= at) and (hi is None or at < hi) for lo, hi in any_of)
    return _row_fits(clause, w)


def _row_fits(clause: Clause, w: Write) -> bool:
    rows = w.index
    match clause:
        case HasKey(keys, _, negate):
            return (not set(keys).isdisjoint(rows.keys)) != negate
        case HasEdge(params, ends, negate):
            return any(param in params and target in ends for param, target in rows.edges) != negate
        case HasDate(key, any_of):
            return any(row == key and _within(bound, lo, hi) for row, lo, hi in rows.dates for bound in any_of)
        case HasNumber(key, bounds):
            return any(row == key and _within(bound, lo, hi) for row, lo, hi in rows.numbers for bound in bounds)
        case HasNear(key, latitude, longitude, km):
            return any(row == key and distance(latitude, longitude, lo, hi) <= km for row, lo, hi in rows.numbers)
        case HasString(key, values, match):
            return any(row == key and _text(value, match, text) for row, text in rows.strings for value in values)
    raise AssertionError(f"no such clause: {clause}")


def distance(latitude: float, longitude: float, to_latitude: float, to_longitude: float) -> float:
    """Kilometres on a flat map of the surroundings, the shorter way round the earth."""
    turn = abs(to_longitude - longitude) % 360
    east = min(turn, 360 - turn) * math.cos(math.radians(latitude))
    return math.hypot(to_latitude - latitude, east) * 2 * math.pi * 6371.0088 / 360


def _within(bound: Between | Within, lo: float, hi: float) -> bool:
    fits = (
        (bound.lo_ge is None or lo >= bound.lo_ge)
        and (bound.lo_lt is None or lo < bound.lo_lt)
        and (bound.hi_le is None or hi <= bound.hi_le)
        and (bound.hi_gt is None or hi > bound.hi_gt)
    )
    return fits != bound.negate


def _text(value: str, match: str, stored: str) -> bool:
    if match == "exact":
        return stored == value
    return value in stored.split(SEPARATOR)[0] if match == "contains" else stored.startswith(value)


def targets(memory: "Memory", w: Write, params: Iterable[int]) -> list[Write]:
    ends = [target for param, target in w.index.edges if param in set(params)]
    return [memory.by_key[end] for end in ends if end in memory.by_key]


def sources(memory: "Memory", w: Write, params: Iterable[int]) -> list[Write]:
    wanted = {(param, memory.store.keys.resource(w.reference)) for param in params}
    return [other for other in memory.writes if not wanted.isdisjoint(other.index.edges)]


# --- order -------------------------------------------------------------------------------------------------------


def ordered(memory: "Memory", hits: Sequence[Write], sort: Sequence[Sort], linked: Restriction) -> list[Write]:
    """Sorted by the last key first, since sorted() is stable: the vid in the direction of the last key breaks ties."""
    out = sorted(hits, key=lambda w: memory.vids[w.reference], reverse=sort[-1].down)
    for key in reversed(sort):
        value = {w.reference: sort_value(memory, w, key, linked) for w in out}
        with_value = [w for w in out if value[w.reference] is not None]
        with_value.sort(key=lambda w: value[w.reference], reverse=key.down)
        out = with_value + [w for w in out if value[w.reference] is None]
    return out


def sort_value(memory: "Memory", w: Write, key: Sort, linked: Restriction) -> Any:
    pick = max if key.down else min
    match key.by:
        case "_lastUpdated":
            return memory.vids[w.reference]
        case "_id":
            return w.fhir_id.encode()
        case "date":
            return pick((lo for row, lo, _ in w.index.dates if row == key.keys[0]), default=None)
        case "number":
            return pick((lo for row, lo, _ in w.index.numbers if row == key.keys[0]), default=None)
        case "string":
            return pick((text.encode() for row, text in w.index.strings if row == key.keys[0]), default=None)
        case "code":
            return next((place for place, one in enumerate(key.keys) if one in w.index.keys), None)
    ends = [end for end in targets(memory, w, key.keys) if memory.sees(end, linked)]
    return pick((end.fhir_id.encode() for end in ends), default=None)


# --- includes ----------------------------------------------------------------------------------------------------


def included(memory: "Memory", includes: Sequence[Include], matches: Sequence[Write], r: Restriction) -> set[str]:
    """References of what comes with the matches."""
    seen = {w.reference for w in matches}
    frontier, out, active = list(matches), set(), list(includes)
    while frontier and active:
        found = {w.reference: w for one in frontier for i in active for w in _step(memory, i, one) if memory.sees(w, r)}
        frontier = [w for w in found.values() if w.reference not in seen]
        seen |= set(found)
        out |= {w.reference for w in frontier}
        active = [i for i in active if i.iterate]
    return out


def _step(memory: "Memory", include: Include, one: Write) -> list[Write]:
    parameter = catalog().types[include.rtype].search[include.param]
    number, allowed = [edge(include.rtype, stored) for stored in parameter.stored_as], parameter.targets
    if include.reverse:
        return sources(memory, one, number) if include.target in (None, one.rtype) else []
    return [
        end
        for end in (targets(memory, one, number) if one.rtype == include.rtype else [])
        if include.target in (None, end.rtype) and ("Any" in allowed or end.rtype in allowed)
    ]
