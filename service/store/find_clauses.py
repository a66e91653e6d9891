"""Clauses of a search -> conditions of SQL: each an EXISTS, so that no join can multiply rows; nested to any depth.

Every resource that a clause reaches over a reference passes store/visible.py: what the caller may not see is no match.
"""

import math
from collections.abc import Iterable, Sequence

from service.errors import Category, FhirError, Issue
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
    Linked,
    Not,
    Updated,
    Within,
)
from service.search.restriction import Restriction
from service.search.strings import SEPARATOR
from service.store.dialect import marks
from service.store.slots import vid_at
from service.store.visible import Sql, either, join, visible

KM_PER_DEGREE = math.pi * 6371.0088 / 180
FEW_TARGETS = 4
NEVER: Sql = ("1 = 0", [])


class At:
    """The row that a condition speaks of: `vid` may stand in another alias, so that its table need not be read."""

    def __init__(self, alias: str, vid: str = ""):
        self.alias, self.vid = alias, vid or f"{alias}.vid"
        self.used = not vid
        """Whether a column beside the vid is asked for."""

    def column(self, name: str) -> str:
        self.used = True
        return f"{self.alias}.{name}"


class Compiler:
    """Conditions of one statement: aliases are unique in it. linked: what the caller sees of linked types."""

    def __init__(self, engine: str, linked: Restriction, prefix: str = "x"):
        self.engine, self.linked, self._prefix = engine, linked, prefix
        self._aliases = self._depth = 0
        # SQLite takes the tables of a CROSS JOIN in the order written.
        self.join = "CROSS JOIN" if engine == "sqlite" else "JOIN"
        # PostgreSQL would make the EXISTS of a chain a join over all that fits; behind an OFFSET it asks row by row.
        self.fence = " LIMIT 1 OFFSET 0" if engine == "postgresql" else ""

    def alias(self) -> str:
        self._aliases += 1
        return f"{self._prefix}{self._aliases}"

    def all_of(self, clauses: Iterable[Clause], at: At) -> Sql:
        return join(*(self.condition(clause, at) for clause in clauses))

    def access(self, at: At, rtype: str, restriction: Restriction) -> Sql:
        sql = visible(at.alias, rtype, restriction, vid=at.vid, fence=self.fence)
        at.used = at.used or bool(sql[0])
        return sql

    def condition(self, clause: Clause, at: At) -> Sql:
        depth = self._depth
        self._depth += DEPTHS.get(type(clause), 0)
        if self._depth > DEEPEST:
            raise FhirError(Category.MALFORMED, [Issue(_DEEP, code="too-costly")])
        sql = self._condition(clause, at)
        self._depth = depth
        return sql

    def _condition(self, clause: Clause, at: At) -> Sql:
        match clause:
            case HasKey(keys, _, negate):
                return _negated(self._row("ix", at, ("key", keys)), negate)
            case HasEdge(params, targets, negate):
                return _negated(self._row("ref", at, ("param", params), ("target", targets)), negate)
            case HasDate() | HasNumber() | HasNear() | HasString():
                return self._value(clause, at)
            case HasId(ids):
                return (f"{at.column('fhir_id')} IN ({marks(len(ids))})", list(ids)) if ids else NEVER
            case Updated(any_of):
                return either([between_vids(at.vid, low, high) for low, high in any_of])
            case Linked():
                return self._backward(clause, at) if clause.reverse else self._forward(clause, at)
            case AllOf(clauses):
                sql, values = self.all_of(clauses, at)
                return f"({sql})", values
            case AnyOf(clauses):
                return either([self.condition(each, at) for each in clauses])
            case Not(inner):
                return _negated(self.condition(inner, at), True)

    def _row(self, table: str, at: At, *columns: tuple[str, Sequence[int]]) -> Sql:
        """A row of an index table of this version. A long list is compared, not looked up value by value (`+`)."""
        if not all(values for _, values in columns):
            return NEVER
        k = self.alias()
        parts = [f"{k}.vid = {at.vid}"]
        for name, values in columns:
            plus = "+" if name == "target" and len(values) > FEW_TARGETS else ""
            parts.append(f"{plus}{k}.{name} IN ({marks(len(values))})")
        params = [value for _, values in columns for value in values]
        return f"EXISTS (SELECT 1 FROM {table} {k} WHERE {' AND '.join(parts)})", params

    def _value(self, clause: HasDate | HasNumber | HasNear | HasString, at: At) -> Sql:
        k = self.alias()
        fits, values = fits_row(clause, f"{k}.", self.engine)
        sql = f"EXISTS (SELECT 1 FROM {TABLES[type(clause)]} {k} WHERE {k}.vid = {at.vid} AND {k}.key = ? AND {fits})"
        return sql, [clause.key, *values]

    def _forward(self, clause: Linked, at: At) -> Sql:
        e, r = self.alias(), At(self.alias())
        inner, values = self._inner(clause, r)
        sql = (
            f"EXISTS (SELECT 1 FROM ref {e} {self.join} resource {r.alias} ON {r.alias}.key = {e}.target "
            f"WHERE {e}.vid = {at.vid} AND {e}.param IN ({marks(len(clause.params))}) "
            f"AND {r.alias}.rtype = ? AND {r.alias}.deleted = 0 AND {inner}{self.fence})"
        )
        return sql, [*clause.params, clause.rtype, *values]

    def _backward(self, clause: Linked, at: At) -> Sql:
        """An edge row is of a current version; `version` is found by vid, which `resource` is not."""
        e, r = self.alias(), At(self.alias())
        inner, values = self._inner(clause, r)
        sql = (
            f"EXISTS (SELECT 1 FROM ref {e} {self.join} version {r.alias} ON {r.alias}.vid = {e}.vid "
            f"WHERE {e}.param IN ({marks(len(clause.params))}) AND {e}.target = {at.column('key')} "
            f"AND {r.alias}.rtype = ? AND {inner}{self.fence})"
        )
        return sql, [*clause.params, clause.rtype, *values]

    def _inner(self, clause: Linked, at: At) -> Sql:
        return join(self.all_of(clause.clauses, at), self.access(at, clause.rtype, self.linked))


DEPTHS = {Linked: 10, AllOf: 3, AnyOf: 3, Not: 3}
DEEPEST = 80
"""SQLite's parser holds a hundred open brackets and keywords: what a clause within a clause takes of them."""
_DEEP = "The search holds conditions within conditions too deeply: ask with fewer brackets or a shorter chain."

TABLES: dict[type, str] = {HasDate: "ix_date", HasNumber: "ix_num", HasNear: "ix_num", HasString: "ix_str"}


def _negated(sql: Sql, negate: bool) -> Sql:
    return (f"NOT {sql[0]}" if sql[0].startswith("EXISTS") else f"NOT ({sql[0]})", sql[1]) if negate else sql


def between_vids(vid: str, low: int | None, high: int | None) -> Sql:
    return join(
        (f"{vid} >= ?", [vid_at(low)]) if low is not None else ("", []),
        (f"{vid} < ?", [vid_at(high)]) if high is not None else ("", []),
    )


def fits_row(clause: HasDate | HasNumber | HasNear | HasString, prefix: str, engine: str) -> Sql:
    """Whether a row of the clause's table (columns behind `prefix`) fits; its key is compared elsewhere."""
    match clause:
        case HasString(_, values, match):
            return either([_string(value, match, f"{prefix}val", engine) for value in values])
        case HasNear():
            return _near(clause, prefix)
    return either([_between(bound, prefix) for bound in clause.any_of])


def _between(b: Between | Within, prefix: str) -> Sql:
    bounds: list[Sql] = []
    for column, sign, value in (
        ("lo", ">=", b.lo_ge),
        ("lo", "<", b.lo_lt),
        ("hi", "<=", b.hi_le),
        ("hi", ">", b.hi_gt),
        ("lo", "<=", b.hi_le),  # follows from lo <= hi, and ends the scan of an index by lo
    ):
        if value is not None:
            bounds.append((f"{prefix}{column} {sign} ?", [value]))
    sql, params = join(*bounds)
    return (f"NOT ({sql})" if b.negate else sql), params


def _string(value: str, match: str, column: str, engine: str) -> Sql:
    if match == "exact":
        return f"{column} = ?", [value]
    if match == "contains":
        # Only the normalised form counts: what stands behind the first separator is the value as sent, and a hash.
        # The whole is looked at first, which is quicker.
        if engine == "sqlite":
            front = f"substr({column}, 1, instr({column} || ?, ?) - 1)"
            return f"instr({column}, ?) > 0 AND instr({front}, ?) > 0", [value, SEPARATOR, SEPARATOR, value]
        return f"strpos({column}, ?) > 0 AND strpos(split_part({column}, ?, 1), ?) > 0", [value, SEPARATOR, value]
    return f"{column} >= ? AND {column} < ?", [value, value + "\U0010ffff"]


def _near(clause: HasNear, prefix: str) -> Sql:
    """A box by the index, then the equirectangular distance: what SQL has to know of the earth is one number.

    The shorter way round the earth is |difference| or 360 - |difference| degrees, whichever fits.
    """
    latitude, longitude, km = clause.latitude, clause.longitude, clause.km
    tall = km / KM_PER_DEGREE
    shrink = math.cos(math.radians(latitude))
    lat, lon = f"{prefix}lo", f"{prefix}hi"
    north = f"({lat} - ?) * ({lat} - ?)"
    east = f"abs({lon} - ?)"
    flat = f"{north} + ? * {east} * {east} <= ?"
    round_ = f"{north} + ? * (360 - {east}) * (360 - {east}) <= ?"
    values = [latitude, latitude, shrink * shrink, longitude, longitude, tall * tall]
    sql = f"{lat} >= ? AND {lat} <= ? AND (({flat}) OR ({round_}))"
    return sql, [latitude - tall, latitude + tall, *values, *values]
