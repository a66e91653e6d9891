"""A search decided on one rendered AuditEvent: pure, on the same index rows and clauses as stored resources.

Source: https://hl7.org/fhir/R4/search.html. Audit rows are not indexed: what can be narrowed in SQL is read off here.
"""

from service.errors import Category, FhirError, Issue
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
from service.search.keys import edge
from service.search.strings import SEPARATOR

_PATIENT = (edge("AuditEvent", "patient"),)
_UNLINKED = "AuditEvents are not searched by chains, _has or lists: name what they hold, such as patient or date."
_SLACK_US = 2_000_000
"""Bounds are widened by this much before the exact look: a recorded instant is a range of a millisecond."""


def holds(clause: Clause, rows: IndexRows, fhir_id: str, updated_us: int) -> bool:
    match clause:
        case HasKey(keys, _, negate):
            return any(key in rows.keys for key in keys) != negate
        case HasEdge(params, targets, negate):
            return any(param in params and target in targets for param, target in rows.edges) != negate
        case HasDate(key, any_of):
            return any(_fits(bound, lo, hi) for row, lo, hi in rows.dates if row == key for bound in any_of)
        case HasString(key, values, match):
            stored = [text for row, text in rows.strings if row == key]
            return any(_reads(text, values, match) for text in stored)
        case HasNumber(key, within):
            return any(_fits(bound, lo, hi) for row, lo, hi in rows.numbers if row == key for bound in within)
        case HasId(ids):
            return fhir_id in ids
        case Updated(any_of):
            return any(
                (low is None or low <= updated_us) and (high is None or updated_us < high) for low, high in any_of
            )
        case AllOf(clauses):
            return all(holds(each, rows, fhir_id, updated_us) for each in clauses)
        case AnyOf(clauses):
            return any(holds(each, rows, fhir_id, updated_us) for each in clauses)
        case Not(inner):
            return not holds(inner, rows, fhir_id, updated_us)
        case Linked() | HasNear():
            raise FhirError(Category.MALFORMED, [Issue(_UNLINKED, code="not-supported")])


def _reads(text: str, values: tuple[str, ...], match: str) -> bool:
    if match == "exact":
        return text in values
    if match == "contains":
        return any(value in text.partition(SEPARATOR)[0] for value in values)
    return text.startswith(values)


def _fits(bound: Between | Within, lo: float, hi: float) -> bool:
    inside = (
        (bound.lo_ge is None or lo >= bound.lo_ge)
        and (bound.lo_lt is None or lo < bound.lo_lt)
        and (bound.hi_le is None or hi <= bound.hi_le)
        and (bound.hi_gt is None or hi > bound.hi_gt)
    )
    return inside != bound.negate


def patients_in(criteria: Criteria) -> tuple[int, ...]:
    """Keys of the patients of the first `patient` parameter; () where none is asked for."""
    for clause in criteria.clauses:
        if isinstance(clause, HasEdge) and clause.params == _PATIENT and not clause.negate:
            return clause.targets
    return ()


def narrowed(criteria: Criteria) -> tuple[int | None, int | None]:
    """[low, high) in which every match was recorded, in microseconds since the epoch; None: no bound."""
    low: int | None = None
    high: int | None = None
    for clause in criteria.clauses:
        if isinstance(clause, HasDate) and len(clause.any_of) == 1 and not clause.any_of[0].negate:
            bound = clause.any_of[0]
            starts = [us for us in (bound.lo_ge, bound.hi_gt) if us is not None]
            ends = [us for us in (bound.hi_le, bound.lo_lt) if us is not None]
            low = max([us - _SLACK_US for us in starts] + ([low] if low is not None else []), default=low)
            high = min([us + _SLACK_US for us in ends] + ([high] if high is not None else []), default=high)
    return low, high
