"""Whether a resource fits clauses, by its index rows alone: what the database would say of it, without asking it.

For scopes: keys and edges, and what is made of these. Anything else is not decided here and does not fit.
"""

from collections.abc import Iterable

from service.search.criteria import AllOf, AnyOf, Clause, HasEdge, HasKey, Not
from service.search.index_rows import IndexRows


def fits(clauses: Iterable[Clause], rows: IndexRows) -> bool:
    """Whether all clauses hold for the resource of these rows."""
    return all(_fits(clause, rows) is True for clause in clauses)


def _fits(clause: Clause, rows: IndexRows) -> bool | None:
    """None: it cannot be said, and no negation makes it true."""
    match clause:
        case HasKey(keys, _, negate):
            return (not set(keys).isdisjoint(rows.keys)) is not negate
        case HasEdge(params, targets, negate):
            found = any(param in params and target in targets for param, target in rows.edges)
            return found is not negate
        case AllOf(clauses):
            return _all([_fits(each, rows) for each in clauses])
        case AnyOf(clauses):
            inner = [_fits(each, rows) for each in clauses]
            return True if True in inner else None if None in inner else False
        case Not(each):
            said = _fits(each, rows)
            return None if said is None else not said
    return None


def _all(said: list[bool | None]) -> bool | None:
    return False if False in said else None if None in said else True
