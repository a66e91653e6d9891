"""Where a search may start: each kind of clause that an index answers, as a table of vids; and how rare it is."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from service.search.criteria import (
    AllOf,
    AnyOf,
    Clause,
    HasDate,
    HasEdge,
    HasId,
    HasKey,
    HasNear,
    HasNumber,
    HasString,
    Linked,
    Updated,
)
from service.search.keys import Keys
from service.store.dialect import marks
from service.store.find_clauses import TABLES, between_vids, fits_row
from service.store.visible import Sql, join

NEVER_DRIVES = 9
SCANNED = 8
"""A clause that reads all values of its key: a driver only where nothing else is rare."""
SURE = 1
"""Up to this rank a driver is rare enough not to be counted first."""


@dataclass(frozen=True)
class Driver:
    """sql: a SELECT of `vid`, perhaps repeated unless `ordered`: each once, and in order by an index.

    answers: it holds exactly what its clause asks, which so need not be asked again.
    """

    sql: str
    params: tuple[Any, ...]
    ordered: bool
    answers: bool = True

    @property
    def table(self) -> str:
        return f"({self.sql})" if self.ordered else f"(SELECT DISTINCT vid FROM ({self.sql}) u)"

    def stream(self, after: Sql, down: bool) -> "Driver":
        """An ordered one read in this order behind `after`, for PostgreSQL: it would start from all versions."""
        sql = f"{self.sql} AND {after[0]}" if after[0] else self.sql
        order = f" ORDER BY vid {'DESC' if down else 'ASC'} OFFSET 0"
        return Driver(sql + order, (*self.params, *after[1]), True, self.answers)


def rank(clause: Clause) -> float:
    """0 rarest .. 8; 9: it cannot drive."""
    match clause:
        case HasId(()) | HasKey(()) | HasEdge(()) | HasEdge(_, ()):
            return NEVER_DRIVES
        case HasId():
            return 0
        case HasKey(_, number, False):
            return min(number, NEVER_DRIVES)
        case HasEdge(_, _, False):
            return 1
        case HasString(_, _, match):
            return SCANNED if match == "contains" else 3
        case HasNear():
            return 4
        case HasDate(_, any_of) if all(not bound.negate for bound in any_of):
            return 6
        case HasNumber(_, bounds) if all(not bound.negate for bound in bounds):
            return 6
        case Updated((_,)):
            return 6.5
        case Linked(_, _, clauses):  # to be resolved first (find_plan.py): an identifier there beats an edge here
            return 0.5 if min(map(rank, clauses), default=NEVER_DRIVES) <= SURE else 2
        case AllOf(clauses):
            return min(map(rank, clauses), default=NEVER_DRIVES)
        case AnyOf(clauses):
            return max(map(rank, clauses), default=NEVER_DRIVES)
    return NEVER_DRIVES


def driver(clause: Clause, rtype: str, keys: Keys, engine: str) -> Driver | None:
    """None where the clause cannot drive: a negation, or a chain that was not resolved."""
    if rank(clause) >= NEVER_DRIVES:
        return None
    match clause:
        case HasKey(wanted):
            return Driver(f"SELECT vid FROM ix WHERE key IN ({marks(len(wanted))})", wanted, len(wanted) == 1)
        case HasEdge(params, targets):
            sql = f"SELECT vid FROM ref WHERE param IN ({marks(len(params))}) AND target IN ({marks(len(targets))})"
            return Driver(sql, (*params, *targets), len(params) == len(targets) == 1)
        case HasId(ids):
            places = tuple(keys.resource(f"{rtype}/{fhir_id}") for fhir_id in ids)
            return Driver(f"SELECT vid FROM resource WHERE key IN ({marks(len(ids))}) AND deleted = 0", places, False)
        case HasDate() | HasNumber() | HasNear() | HasString():
            fits, values = fits_row(clause, "", engine)
            return Driver(
                f"SELECT vid FROM {TABLES[type(clause)]} WHERE key = ? AND {fits}", (clause.key, *values), False
            )
        case Updated(any_of):
            return every(rtype, keys, between_vids("vid", *any_of[0]))
        case AllOf(clauses):
            best = driver(min(clauses, key=rank), rtype, keys, engine)
            return best and Driver(best.sql, best.params, best.ordered, answers=False)
        case AnyOf(clauses):
            return _union([driver(each, rtype, keys, engine) for each in clauses])
    return None


def every(rtype: str, keys: Keys, bounds: Sql = ("", [])) -> Driver:
    """All current resources of the type."""
    sql, params = join(("key = ?", [keys.marker(rtype)]), bounds)
    return Driver(f"SELECT vid FROM ix WHERE {sql}", tuple(params), True)


def _union(parts: Sequence[Driver | None]) -> Driver | None:
    found = [part for part in parts if part is not None]
    if len(found) < len(parts) or not found:
        return None
    sql = " UNION ALL ".join(part.sql for part in found)
    return Driver(sql, tuple(p for part in found for p in part.params), False, all(part.answers for part in found))


def flat(clauses: Sequence[Clause]) -> list[Clause]:
    """Clauses that hold together, without the AllOf and the AnyOf of one around them."""
    out: list[Clause] = []
    for clause in clauses:
        match clause:
            case AllOf(inner):
                out += flat(inner)
            case AnyOf((only,)):
                out += flat((only,))
            case _:
                out.append(clause)
    return out
