"""Whether a resource fits clauses, by its index rows alone: what the database would say of it, without asking it.

For scopes: keys and edges, and what is made of these. For filters of subscriptions also dates, and with a Head the id
and the time of the version. Anything else is not decided here and does not fit.
"""

from collections.abc import Iterable
from typing import NamedTuple

from service.search.criteria import AllOf, AnyOf, Between, Clause, HasDate, HasEdge, HasId, HasKey, Not, Updated
from service.search.index_rows import IndexRows


class Head(NamedTuple):
    """What stands not in index rows. updated_us: meta.lastUpdated."""

    fhir_id: str
    updated_us: int


def fits(clauses: Iterable[Clause], rows: IndexRows, head: Head | None = None) -> bool:
    """Whether all clauses hold for the resource of these rows."""
    return all(_fits(clause, rows, head) is True for clause in clauses)


def _fits(clause: Clause, rows: IndexRows, head: Head | None) -> bool | None:
    """None: it cannot be said, and no negation makes it true."""
    match clause:
        case HasKey(keys, _, negate):
            return (not set(keys).isdisjoint(rows.keys)) is not negate
        case HasEdge(params, targets, negate):
            found = any(param in params and target in targets for param, target in rows.edges)
            return found is not negate
        case HasDate(key, any_of):
            spans = [(low, high) for row, low, high in rows.dates if row == key]
            return any(_within(bound, *span) for span in spans for bound in any_of)
        case HasId(ids):
            return None if head is None else head.fhir_id in ids
        case Updated(any_of):
            return None if head is None else any(_since(bounds, head.updated_us) for bounds in any_of)
        case AllOf(clauses):
            return _all([_fits(each, rows, head) for each in clauses])
        case AnyOf(clauses):
            inner = [_fits(each, rows, head) for each in clauses]
            return True if True in inner else None if None in inner else False
        case Not(each):
            said = _fits(each, rows, head)
            return None if said is None else not said
    return None


def _all(said: list[bool | None]) -> bool | None:
    return False if False in said else None if None in said else True


def _within(bound: Between, low: int, high: int) -> bool:
    """As store/find_clauses.py asks the database for a stored range [low, high)."""
    holds = (
        (bound.lo_ge is None or low >= bound.lo_ge)
        and (bound.lo_lt is None or low < bound.lo_lt)
        and (bound.hi_le is None or high <= bound.hi_le)
        and (bound.hi_gt is None or high > bound.hi_gt)
    )
    return holds is not bound.negate


def _since(bounds: tuple[int | None, int | None], at_us: int) -> bool:
    low, high = bounds
    return (low is None or low <= at_us) and (high is None or at_us < high)
