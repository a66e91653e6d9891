"""Criteria -> SQL: searches in keyset order, with the caller's Restriction inside (design D, ../shared/stack.md 3).

find_plan.py says how a search is driven, find_clauses.py what holds, find_order.py and find_pages.py in which order it
is read, find_includes.py what comes with it. Here these make one Page, also of several types at once.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from service.errors import Category, FhirError, Issue
from service.search.criteria import Criteria, Position
from service.search.restriction import Restriction
from service.store.database import TooCostly
from service.store.dialect import marks
from service.store.engine import Store
from service.store.find_asked import COLUMNS, Asked, Spent, as_found
from service.store.find_includes import included
from service.store.find_order import decisive, position
from service.store.find_pages import Ranked, Span, planned, span
from service.store.find_plan import Plan, row
from service.store.read import Found

ESTIMATED = 10_000
"""An estimate is exact up to here; where there are more it is this number: at least so many."""

_TOO_COSTLY = "The search took too long. Add a criterion such as patient, owner, identifier or _lastUpdated."


@dataclass(frozen=True)
class Page:
    """matches in order; next, prev: positions from which the pages beside it are read, or None; total only if asked.

    The page before is read with `back`.
    """

    matches: list[Found]
    included: list[Found]
    next: Position | None
    total: int | None
    prev: Position | None = None


async def search(
    store: Store,
    criteria: Criteria | Sequence[Criteria],
    restriction: Restriction,
    *,
    include_restriction: Restriction,
    linked_restriction: Restriction | None = None,
) -> Page:
    """One page. include_restriction: what the caller may see of linked and included types (scopes differ by type).

    linked_restriction: where linked ones, in chains and _has, are shown otherwise than included ones.

    Several criteria are of different types and agree in all but rtype and clauses: their matches are merged in order of
    _lastUpdated or _id.
    """
    several = (criteria,) if isinstance(criteria, Criteria) else tuple(criteria)
    if not several:
        return Page([], [], None, None)
    try:
        linked = include_restriction if linked_restriction is None else linked_restriction
        return await _Search(store, several, restriction, include_restriction, linked).page()
    except TooCostly as error:
        raise FhirError(Category.UNAVAILABLE, [Issue(_TOO_COSTLY, code="too-costly")]) from error


class _Search:
    def __init__(
        self,
        store: Store,
        several: tuple[Criteria, ...],
        restriction: Restriction,
        wider: Restriction,
        linked: Restriction,
    ):
        self.store, self.several, self.wider = store, several, wider
        self.criteria = several[0]
        self.sort = decisive(self.criteria.sort)
        if len(several) > 1 and self.sort[0].by not in ("_lastUpdated", "_id"):
            raise ValueError("several types are sorted by _lastUpdated or _id")
        spent = Spent()
        self.asked = [Asked(store, one.rtype, one.clauses, restriction, wider, spent, linked) for one in several]

    async def page(self) -> Page:
        plans = [await planned(asked, self.sort) for asked in self.asked]
        total = await self._total(plans)
        if self.criteria.count == 0 or self.criteria.total == "count":
            return Page([], [], None, total)
        page = await self._rows(plans)
        found = await self._bodies([one[0] for one in page.rows])
        more = await included(self.asked[0], self.criteria.includes, found)
        return Page(found, more, page.next, total, page.prev)

    async def _rows(self, plans: list[Plan]) -> "_Rows":
        """The page's rows in order, and where its neighbours start. Behind the first page is the first page."""
        criteria = self.criteria
        count, after, back = criteria.count, criteria.after, criteria.back and criteria.after is not None
        rows = await self._merged(plans, Span(self.sort, after, back, count + 1))
        if back and not rows:
            after, back = None, False
            rows = await self._merged(plans, Span(self.sort, None, False, count + 1))
        page, more = rows[:count], len(rows) > count
        if back:
            page.reverse()
            return _Rows(page, position(page[-1]), position(page[0]) if more else None)
        following = position(page[-1]) if more else None
        return _Rows(page, following, None if after is None else position(page[0]) if page else after)

    async def _merged(self, plans: list[Plan], wanted: Span) -> list[Ranked]:
        if len(plans) == 1:
            return await span(plans[0], wanted, whole=True)
        parts = [await span(made, wanted) for made in plans]
        down = wanted.sort[0].down != wanted.back
        rows = sorted({one for part in parts for one in part}, key=_bytewise, reverse=down)
        return rows[: wanted.limit]

    async def _total(self, plans: list[Plan]) -> int | None:
        kind = self.criteria.total
        if kind == "none":
            return None
        bound = ESTIMATED + 1 if kind == "estimate" else None
        total = sum([await _count(made, bound) for made in plans])
        return total if bound is None else min(total, ESTIMATED)

    async def _bodies(self, vids: list[int]) -> list[Found]:
        found = self.asked[0].spent.bodies
        if missing := [vid for vid in vids if vid not in found]:
            sql = f"SELECT {COLUMNS} FROM version v WHERE v.vid IN ({marks(len(missing))})"
            found |= {row[4]: as_found(row) for row in await self.asked[0].fetch(sql, missing, heavy=False)}
        return [found[vid] for vid in vids]


@dataclass(frozen=True)
class _Rows:
    rows: list[Ranked]
    next: Position | None
    prev: Position | None


def _bytewise(one: Ranked) -> tuple[Any, ...]:
    """Ids are compared by their bytes, as the databases do."""
    vid, value = one
    return (value.encode() if isinstance(value, str) else value, vid)


async def _count(made: Plan, bound: int | None) -> int:
    at = row()
    compiler = made.asked.compiler()
    compiler.fence = ""  # all rows are wanted, so a join over all that fits is the better way
    table, (where, params) = made.rows(compiler, at)
    sql = f"SELECT count(*) FROM {table} WHERE {where}"
    if bound is not None:
        sql = f"SELECT count(*) FROM (SELECT 1 FROM {table} WHERE {where} LIMIT ?) c"
        params = [*params, bound]
    return int((await made.asked.fetch(sql, params, heavy=True))[0][0])
