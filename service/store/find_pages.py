"""One page of a search: the vids of its matches in order, by the way of reading that fits the plan and the order."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from service.search.criteria import Clause, HasDate, HasEdge, HasId, HasKey, HasString, Position, Sort, Updated
from service.store.find_asked import COLUMNS, Asked, as_found
from service.store.find_clauses import At
from service.store.find_order import VALUES, Way, behind, column, decisive, order_by, ways
from service.store.find_plan import Plan, conditions, is_few, plan, row
from service.store.visible import Sql, join

Ranked = tuple[Any, ...]
"""(vid, value of each sort key)"""

_LIGHT = HasKey | HasEdge | HasId | HasDate | HasString | Updated
"""Clauses whose scans were measured to be short enough for the event loop (SQLite)."""


@dataclass(frozen=True)
class Span:
    """Which part of the order is wanted. back: the part before `after`, read backwards."""

    sort: tuple[Sort, ...]
    after: Position | None
    back: bool
    limit: int


def by_vid(sort: Sequence[Sort]) -> bool:
    return decisive(sort)[0].by == "_lastUpdated"


def light(clauses: Sequence[Clause]) -> bool:
    return all(isinstance(c, _LIGHT) and not (isinstance(c, HasString) and c.match == "contains") for c in clauses)


async def span(made: Plan, wanted: Span, *, whole: bool = False) -> list[Ranked]:
    """Rows in the order read: reversed where `back`. whole: bodies may be read too (Spent), where nothing is sorted."""
    if by_vid(wanted.sort):
        return await _streamed(made, wanted, whole and made.driver.ordered)
    key = wanted.sort[0]
    indexed = (len(wanted.sort) == 1 and key.by in VALUES) or key.by == "_id"
    if not indexed or await is_few(made):
        return await _sorted(made, wanted)
    return await (_by_id(made, wanted) if key.by == "_id" else _indexed(made, wanted))


async def _streamed(made: Plan, wanted: Span, whole: bool) -> list[Ranked]:
    """By vid: an ordered driver is read in the order of its index, and no row more than needed."""
    down, after = wanted.sort[0].down != wanted.back, wanted.after and wanted.after[-1:]
    found = await _in_order(made, down, after, wanted.limit, heavy=not light(made.clauses), whole=whole)
    return [(vid, vid) for vid in found]


async def _in_order(
    made: Plan,
    down: bool,
    after: Position | None,
    limit: int,
    *,
    more: Sql = ("", []),
    heavy: bool,
    whole: bool = False,
) -> list[int]:
    """Vids in their order behind `after`; more: a further condition on d.vid."""
    compiler, at = made.asked.compiler(), row()
    at.used = whole
    if made.driver.ordered and compiler.engine == "postgresql":
        made = replace(made, driver=made.driver.stream(behind([Way("vid", down, nulls=False)], after), down))
        after = None
    table, (where, params) = made.rows(compiler, at)
    order = [Way(at.vid, down, nulls=False)]
    condition, values = join((where, params), more, behind(order, after))
    columns = COLUMNS if whole else at.vid
    sql = f"SELECT {columns} FROM {table} WHERE {condition} ORDER BY {order_by(order)} LIMIT ?"
    rows = await made.asked.fetch(sql, [*values, limit], heavy=heavy)
    if not whole:
        return [vid for (vid,) in rows]
    made.asked.spent.bodies |= {one[4]: as_found(one) for one in rows}
    return [one[4] for one in rows]


async def _sorted(made: Plan, wanted: Span) -> list[Ranked]:
    """All that match with their sort keys, then sorted."""
    compiler, at = made.asked.compiler(), row()
    columns = [column(key, compiler, at) for key in wanted.sort]
    table, (where, params) = made.rows(compiler, at)
    names = [f"s{n}" for n in range(len(columns))]
    order = ways(wanted.sort, names, "vid", back=wanted.back)
    chosen = ", ".join(f"{sql} AS {name}" for (sql, _), name in zip(columns, names, strict=True))
    condition, values = join(behind(order, wanted.after))
    sql = (
        f"WITH m AS MATERIALIZED (SELECT {at.vid} AS vid, {chosen} FROM {table} WHERE {where}) "
        f"SELECT vid, {', '.join(names)} FROM m WHERE {condition} ORDER BY {order_by(order)} LIMIT ?"
    )
    every = [*(p for _, ps in columns for p in ps), *params, *values, wanted.limit]
    return [tuple(found) for found in await made.asked.fetch(sql, every, heavy=True)]


async def _by_id(made: Plan, wanted: Span) -> list[Ranked]:
    """From the heads of the type in order of id."""
    asked, at = made.asked, At("r")
    order = ways(wanted.sort, ["r.fhir_id"], "r.vid", back=wanted.back)
    after: Sql = ("", [])
    if wanted.after is not None:
        after = (f"(r.fhir_id, r.vid) {'<' if order[0].down else '>'} (?, ?)", list(wanted.after))
    where = conditions(asked, asked.compiler(), made.clauses, at)
    condition, params = join(("r.rtype = ? AND r.deleted = 0", [asked.rtype]), where, after)
    sql = f"SELECT r.vid, r.fhir_id FROM resource r WHERE {condition} ORDER BY {order_by(order)} LIMIT ?"
    return [tuple(found) for found in await asked.fetch(sql, [*params, wanted.limit], heavy=True)]


async def _indexed(made: Plan, wanted: Span) -> list[Ranked]:
    """Many candidates, one sort key: those with a value in order of its index, then (back: before) those without."""
    first, second = (_without, _valued) if wanted.back else (_valued, _without)
    out: list[Ranked] = []
    if wanted.after is None or (wanted.after[0] is None) is wanted.back:
        out = await first(made, wanted, wanted.limit)
    if len(out) < wanted.limit:
        out += await second(made, wanted, wanted.limit - len(out))
    return out


async def _valued(made: Plan, wanted: Span, limit: int) -> list[Ranked]:
    """The first row of each version in the index that runs by the value: its smallest, or its largest going down."""
    asked, compiler, key = made.asked, made.asked.compiler(), wanted.sort[0]
    table, name = VALUES[key.by]
    at, o = At("v", "s.vid"), compiler.alias()
    where = conditions(asked, compiler, made.clauses, at)
    better = f"{o}.{name} {'>' if key.down else '<'} s.{name}"
    if key.by != "string":  # two ranges may start together
        better = f"({better} OR ({o}.{name} = s.{name} AND {o}.hi < s.hi))"
    first = f"NOT EXISTS (SELECT 1 FROM {table} {o} WHERE {o}.vid = s.vid AND {o}.key = ? AND {better})"
    down = key.down != wanted.back
    after: Sql = ("", [])
    if wanted.after is not None and wanted.after[0] is not None:
        after = (f"(s.{name}, s.vid) {'<' if down else '>'} (?, ?)", list(wanted.after))
    condition, params = join(("s.key = ?", [key.keys[0]]), after, (first, [key.keys[0]]), where)
    joined = f" {compiler.join} version v ON v.vid = s.vid" if at.used else ""
    way = "DESC" if down else "ASC"
    sql = (
        f"SELECT s.vid, s.{name} FROM {table} s{joined} WHERE {condition} ORDER BY s.{name} {way}, s.vid {way} LIMIT ?"
    )
    return [tuple(found) for found in await asked.fetch(sql, [*params, limit], heavy=True)]


async def _without(made: Plan, wanted: Span, limit: int) -> list[Ranked]:
    """Those without a value, by vid."""
    key = wanted.sort[0]
    none = f"NOT EXISTS (SELECT 1 FROM {VALUES[key.by][0]} k WHERE k.vid = d.vid AND k.key = ?)"
    after = wanted.after[1:] if wanted.after is not None and wanted.after[0] is None else None
    more: Sql = (none, [key.keys[0]])
    return [(vid, None) for vid in await _in_order(made, key.down != wanted.back, after, limit, more=more, heavy=True)]


async def planned(asked: Asked, sort: Sequence[Sort]) -> Plan:
    return await plan(asked, by_vid=by_vid(sort))
