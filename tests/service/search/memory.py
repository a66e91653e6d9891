"""A Criteria answered in memory from IndexRows: what find.py must answer in SQL, in the plainest form.

Tests of the search layer use it as the evaluator, tests of the store as the oracle.
"""

import math
from collections.abc import Iterable

from service.search.criteria import (
    AllOf,
    AnyOf,
    Between,
    Clause,
    Criteria,
    HasDate,
    HasEdge,
    HasId,
    HasKey,
    HasNear,
    HasNumber,
    HasString,
    Linked,
    Not,
    Updated,
    Within,
)
from service.search.index_rows import IndexRows

EPOCH_2020_US = 1_577_836_800_000_000
"""A vid is (microseconds since 2020-01-01) << 12 | slot | counter: ../shared/decisions.md 6."""


def vid_of(updated_us: int) -> int:
    return (updated_us - EPOCH_2020_US) << 12


def matches(criteria: Criteria, rows: IndexRows, fhir_id: str, vid: int) -> bool:
    """All clauses hold for one resource, alone in the world. Includes, sort and paging are not looked at."""
    return all(holds(clause, rows, fhir_id, (vid >> 12) + EPOCH_2020_US) for clause in criteria.clauses)


def holds(clause: Clause, rows: IndexRows, fhir_id: str, updated_us: int) -> bool:
    match clause:
        case HasKey(keys, _, negate):
            return _any(key in rows.keys for key in keys) != negate
        case HasEdge(params, targets, negate):
            return _any(param in params and target in targets for param, target in rows.edges) != negate
        case HasDate(key, any_of):
            spans = [(lo, hi) for row, lo, hi in rows.dates if row == key]
            return _any(fits(bound, lo, hi) for lo, hi in spans for bound in any_of)
        case HasNumber(key, bounds):
            pairs = [(lo, hi) for row, lo, hi in rows.numbers if row == key]
            return _any(fits(bound, lo, hi) for lo, hi in pairs for bound in bounds)
        case HasNear(key, latitude, longitude, km):
            places = [(lo, hi) for row, lo, hi in rows.numbers if row == key]
            return _any(distance_km((latitude, longitude), place) <= km for place in places)
        case AllOf(clauses):
            return all(holds(each, rows, fhir_id, updated_us) for each in clauses)
        case AnyOf(clauses):
            return any(holds(each, rows, fhir_id, updated_us) for each in clauses)
        case Not(inner):
            return not holds(inner, rows, fhir_id, updated_us)
        case Linked():
            return False  # one resource alone is linked to nothing
        case HasString(key, values, "contains"):
            fronts = [text.split("\x1f")[0] for row, text in rows.strings if row == key]
            return _any(value in front for front in fronts for value in values)
        case HasString(key, values, "exact"):
            return _any(row == key and text in values for row, text in rows.strings)
        case HasString(key, values, "prefix"):
            return _any(row == key and text.startswith(values) for row, text in rows.strings)
        case HasId(ids):
            return fhir_id in ids
        case Updated(any_of):
            return _any((lo is None or lo <= updated_us) and (hi is None or updated_us < hi) for lo, hi in any_of)
    raise AssertionError(f"no such clause: {clause}")


def _any(found: Iterable[bool]) -> bool:
    return any(found)


def distance_km(here: tuple[float, float], there: tuple[float, float]) -> float:
    """The great circle between two points in degrees."""
    (lat1, lon1), (lat2, lon2) = ((math.radians(a), math.radians(b)) for a, b in (here, there))
    half = math.sin((lat2 - lat1) / 2) ** 2 + math.cos(lat1) * math.cos(lat2) * math.sin((lon2 - lon1) / 2) ** 2
    return 2 * 6371.0088 * math.asin(min(1.0, math.sqrt(half)))


def fits(bound: Between | Within, lo: float, hi: float) -> bool:
    """One bound against one stored range."""
    holds = (
        (bound.lo_ge is None or lo >= bound.lo_ge)
        and (bound.lo_lt is None or lo < bound.lo_lt)
        and (bound.hi_le is None or hi <= bound.hi_le)
        and (bound.hi_gt is None or hi > bound.hi_gt)
    )
    return holds != bound.negate
