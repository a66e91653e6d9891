"""Order of a search and its pages: sort keys as columns, and where the next page starts as a condition on them.

Resources without a value of a key come last, whichever way it runs. Ties are broken by vid in the direction of the
last key: with `-` the newest first, else the oldest; so the order of an index is the order of the page. Of several
values counts the smallest going up and the largest going down; of a date range its start.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from fhir_profiles.catalog import catalog
from service.search.criteria import NEWEST, Position, Sort
from service.store.dialect import marks
from service.store.find_clauses import At, Compiler
from service.store.visible import Sql, either, join, visible_any

VALUES = {"date": ("ix_date", "lo"), "string": ("ix_str", "val"), "number": ("ix_num", "lo")}
"""Where the values of a kind stand; the primary key is (key, value, vid, ...): an index in order of the page."""


@dataclass(frozen=True)
class Way:
    """A column of the order. first: those without a value come first (only when the page is read backwards)."""

    column: str
    down: bool
    first: bool = False
    nulls: bool = True

    @property
    def text(self) -> str:
        nulls = f" NULLS {'FIRST' if self.first else 'LAST'}" if self.nulls else ""
        return f"{self.column} {'DESC' if self.down else 'ASC'}{nulls}"


def decisive(sort: Sequence[Sort]) -> tuple[Sort, ...]:
    """The keys up to the first that leaves no ties."""
    out: list[Sort] = []
    for key in sort or (NEWEST,):
        out.append(key)
        if key.by in ("_lastUpdated", "_id"):
            break
    return tuple(out)


def ways(sort: Sequence[Sort], columns: Sequence[str], vid: str, *, back: bool) -> list[Way]:
    """The order as columns: one per key, and the vid."""
    out = [
        Way(column, key.down != back, back, key.by not in ("_lastUpdated", "_id"))
        for key, column in zip(sort, columns, strict=True)
    ]
    return [*out, Way(vid, sort[-1].down != back, nulls=False)]


def order_by(order: Sequence[Way]) -> str:
    return ", ".join(way.text for way in order)


def behind(order: Sequence[Way], position: Position | None) -> Sql:
    """Whether a row stands behind the position in this order."""
    if position is None:
        return "", []
    way, value = order[0], position[0]
    same: Sql = (f"{way.column} IS NULL", []) if value is None else (f"{way.column} = ?", [value])
    beyond: list[Sql] = []
    if value is not None:
        beyond.append((f"{way.column} {'<' if way.down else '>'} ?", [value]))
        if way.nulls and not way.first:
            beyond.append((f"{way.column} IS NULL", []))
    elif way.first:
        beyond.append((f"{way.column} IS NOT NULL", []))
    if len(order) > 1:
        beyond.append(join(same, behind(order[1:], position[1:])))
    return either(beyond)


def column(key: Sort, compiler: Compiler, at: At) -> Sql:
    """The value of a sort key for a row; null where it has none."""
    match key.by:
        case "_lastUpdated":
            return at.vid, []
        case "_id":
            return at.column("fhir_id"), []
        case "code":
            return _place(key, compiler, at)
        case "reference":
            return _target(key, compiler, at)
        case "near":
            return _distance(key, compiler, at)
    table, name = VALUES[key.by]
    k, pick = compiler.alias(), "max" if key.down else "min"
    return f"(SELECT {pick}({k}.{name}) FROM {table} {k} WHERE {k}.vid = {at.vid} AND {k}.key = ?)", [key.keys[0]]


def _place(key: Sort, compiler: Compiler, at: At) -> Sql:
    """The position of the first code that the resource carries."""
    parts = []
    for place in range(len(key.keys)):
        k = compiler.alias()
        parts.append(f"WHEN EXISTS (SELECT 1 FROM ix {k} WHERE {k}.vid = {at.vid} AND {k}.key = ?) THEN {place}")
    return (f"CASE {' '.join(parts)} END" if parts else "NULL"), list(key.keys)


def _target(key: Sort, compiler: Compiler, at: At) -> Sql:
    """The id of a target that the caller may see: one that is hidden sorts like one that is not there."""
    k, r, pick = compiler.alias(), compiler.alias(), "max" if key.down else "min"
    where: Sql = ("", [])
    if not compiler.linked.unrestricted:
        where = visible_any(r, catalog().types, compiler.linked, fence=compiler.fence)
    condition, params = join(
        (f"{k}.vid = {at.vid}", []), (f"{k}.param IN ({marks(len(key.keys))})", list(key.keys)), where
    )
    sql = (
        f"(SELECT {pick}({r}.fhir_id) FROM ref {k} {compiler.join} resource {r} ON {r}.key = {k}.target "
        f"WHERE {r}.deleted = 0 AND {condition})"
    )
    return sql, params


def _distance(key: Sort, compiler: Compiler, at: At) -> Sql:
    """Square of the distance in degrees of latitude, as `near` measures it (find_clauses.py): an order needs no root.

    Of several places the nearest, whichever way it is sorted.
    """
    assert key.point is not None
    k, (latitude, longitude) = compiler.alias(), key.point
    shrink = math.cos(math.radians(latitude))
    east = f"abs({k}.hi - ?)"
    short = f"CASE WHEN {east} > 180 THEN 360 - {east} ELSE {east} END"
    square = f"min(({k}.lo - ?) * ({k}.lo - ?) + ? * ({short}) * ({short}))"
    values = [latitude, latitude, shrink * shrink, *[longitude] * 6]
    if len(key.keys) == 1:
        return f"(SELECT {square} FROM ix_num {k} WHERE {k}.vid = {at.vid} AND {k}.key = ?)", [*values, key.keys[0]]
    e, r = compiler.alias(), At(compiler.alias())
    seen, params = join((f"{r.alias}.deleted = 0", []), compiler.access(r, "Location", compiler.linked))
    sql = (
        f"(SELECT {square} FROM ref {e} {compiler.join} resource {r.alias} ON {r.alias}.key = {e}.target "
        f"{compiler.join} ix_num {k} ON {k}.vid = {r.alias}.vid WHERE {e}.vid = {at.vid} AND {e}.param = ? "
        f"AND {k}.key = ? AND {r.alias}.rtype = 'Location' AND {seen})"
    )
    return sql, [*values, key.keys[1], key.keys[0], *params]


def position(row: Sequence[Any]) -> Position:
    """Of a row (vid, value of each key)."""
    return (*row[1:], row[0])
