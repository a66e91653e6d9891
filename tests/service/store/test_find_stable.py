"""Pages while others write, and statements that take too long: for each kind of sort, on both databases."""

import contextlib
import os
import random
from dataclasses import replace
from typing import Any

import asyncpg
import pytest

from service.errors import Category, FhirError
from service.search.criteria import Criteria, HasKey, HasString, Sort
from service.search.restriction import EVERYTHING
from service.store import find, find_asked, find_plan, postgresql, postgresql_pool, sqlite
from service.store.change import Change, Write
from service.store.engine import Store, open_store
from tests.service.store.oracle import Memory, filled
from tests.service.store.random_criteria import decorated

DEEP = bool(os.environ.get("ENLACE_TEST_DEEP"))
KINDS = ("_lastUpdated", "_id", "date", "string", "number", "code", "reference", "date,_id")
FIELDS = {"date": "x-date", "string": "x-name", "number": "x-number"}


def sort_of(store: Store, kind: str, down: bool) -> tuple[Sort, ...]:
    def one(by: str) -> Sort:
        keys: tuple[int, ...] = ()
        if by in FIELDS:
            keys = (store.keys.values("Task", FIELDS[by]),)
        elif by == "code":
            keys = tuple(store.keys.token("Task", "x-code", None, f"c{n}") for n in range(3))
        elif by == "reference":
            keys = (store.keys.of("no edge"),)
        return Sort(by, down, keys)

    return tuple(map(one, kind.split(",")))


async def touch(store: Store, write: Write) -> None:
    """A new version with the same content."""
    key = store.keys.resource(write.reference)
    version = (await store.fetch("SELECT version FROM resource WHERE key = ?", (key,)))[0][0]
    await store.commit(Change(writes=[replace(write, expect=version)]))


@pytest.mark.parametrize("few", [5_000, 0], ids=["sorted", "by index"])
@pytest.mark.parametrize("back", [False, True], ids=["on", "back"])
async def test_each_resource_comes_once_while_others_are_written(
    store: Store, monkeypatch: pytest.MonkeyPatch, few: int, back: bool
) -> None:
    """Those that nobody writes meanwhile: each exactly once and in order, on the way there and on the way back."""
    monkeypatch.setattr(find_plan, "FEW", few)
    chance = random.Random(3)
    memory: Memory = await filled(store, 9, lambda write: decorated(store.keys, chance, write))
    victims = [w for w in memory.writes if w.rtype == "Task" and w.fhir_id.endswith(("1", "2"))]
    for number, kind in enumerate(KINDS):
        for down in (False, True) if DEEP else (bool((number + bool(few) + back) % 2),):
            criteria = Criteria("Task", sort=sort_of(store, kind, down), count=7, back=back)
            if back:
                criteria = replace(criteria, after=await end(store, criteria))
            shown = await find.search(store, replace(criteria, count=200), EVERYTHING, include_restriction=EVERYTHING)
            untouched = [f.fhir_id for f in shown.matches if not f.fhir_id.endswith(("1", "2"))]
            got = [i for i in await read(store, criteria, victims) if not i.endswith(("1", "2"))]
            assert got == untouched, (kind, down)


async def end(store: Store, criteria: Criteria) -> Any:
    """The position of the last match."""
    forward = replace(criteria, back=False, after=None)
    while (page := await find.search(store, forward, EVERYTHING, include_restriction=EVERYTHING)).next is not None:
        forward = replace(forward, after=page.next)
    return forward.after


async def read(store: Store, criteria: Criteria, victims: list[Write]) -> list[str]:
    """All ids in order, with a write after each page."""
    got: list[str] = []
    for turn in range(100):
        page = await find.search(store, criteria, EVERYTHING, include_restriction=EVERYTHING)
        found = [f.fhir_id for f in page.matches]
        got = [*found, *got] if criteria.back else [*got, *found]
        following = page.prev if criteria.back else page.next
        if following is None:
            return got
        criteria = replace(criteria, after=following)
        await touch(store, victims[turn % len(victims)])
    raise AssertionError("pages without end")


async def test_a_statement_that_takes_too_long_is_503_and_the_connection_goes_on(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The deadline of the database itself: by very many rows, or by a table that somebody else holds."""
    store = await open_store(database_url)
    await many_rows(store)
    await store.close()
    monkeypatch.setattr(sqlite, "DEADLINE_S", 0.0)
    monkeypatch.setitem(postgresql_pool.SETTINGS, "statement_timeout", "100")
    monkeypatch.setattr(postgresql, "SEARCHES", 1)
    store = await open_store(database_url)
    async with contextlib.AsyncExitStack() as held:
        held.push_async_callback(store.close)
        if store.db.name == "postgresql":
            other = await asyncpg.connect(database_url)
            held.push_async_callback(other.close)
            await other.execute("BEGIN; LOCK TABLE ix_str IN ACCESS EXCLUSIVE MODE")
        slow = Criteria("Task", (HasString(1, ("zzz",), "contains"),), total="accurate")
        for _ in range(3):
            with pytest.raises(FhirError) as refused:
                await find.search(store, slow, EVERYTHING, include_restriction=EVERYTHING)
            assert refused.value.category is Category.UNAVAILABLE
            assert refused.value.issues[0].code == "too-costly"
            quick = Criteria("Task", (HasKey((5,), 0),))
            assert (await find.search(store, quick, EVERYTHING, include_restriction=EVERYTHING)).matches == []


async def many_rows(store: Store) -> None:
    """Rows of a string parameter, too many to be looked through in no time."""
    numbers = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 100000) "
    await store.db.execute(f"{numbers} INSERT INTO ix_str (key, val, vid) SELECT 1, i || 'abcdefghijklmnop', i FROM n")


async def test_no_further_statement_is_begun_when_the_time_is_over(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A search of many statements ends with its budget, not with the sum of their deadlines."""
    monkeypatch.setattr(find_asked, "BUDGET_S", -1.0)
    with pytest.raises(FhirError) as refused:
        await find.search(store, Criteria("Task"), EVERYTHING, include_restriction=EVERYTHING)
    assert refused.value.issues[0].code == "too-costly"
    monkeypatch.setattr(find_asked, "BUDGET_S", 5.0)
    assert (await find.search(store, Criteria("Task"), EVERYTHING, include_restriction=EVERYTHING)).matches == []
