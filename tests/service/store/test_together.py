"""Reads that belong together: what each gets, in how many statements, and that nobody waits for ever."""

import asyncio
from typing import Any

import pytest

from service.search.restriction import EVERYTHING
from service.store import read
from service.store.engine import Store
from service.store.together import current, each, together
from tests.service.world import patient, put

Rows = list[tuple[Any, ...]]
NUMBERS = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?) SELECT i FROM n"


async def told(store: Store, *values: Any) -> Rows:
    """Each value once, as the database has it."""
    rows: Rows = []
    for value in values:
        rows += [tuple(row) for row in await store.fetch("SELECT CAST(? AS TEXT), 1", (str(value),))]
    return rows


async def counted(store: Store, upto: int) -> list[int]:
    return [row[0] for row in await store.fetch(f"{NUMBERS} ORDER BY i DESC", (upto,))]


@pytest.fixture
def statements(store: Store, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What goes to PostgreSQL; on SQLite nothing is joined."""
    sent: list[str] = []
    if store.db.name == "postgresql":
        points: Any = vars(store.db)["_points"]
        run = points.run

        async def noted(sql: str, params: tuple[Any, ...], **more: Any) -> Rows:
            sent.append(sql)
            return list(await run(sql, params, **more))

        monkeypatch.setattr(points, "run", noted)
    return sent


async def test_each_gets_its_own_rows_in_order(store: Store, statements: list[str]) -> None:
    first, second, none = await together(
        store, told(store, "a"), counted(store, 3), store.fetch("SELECT 1 WHERE 1 = 0")
    )
    assert (first, second, list(none)) == ([("a", 1)], [3, 2, 1], [])
    assert len(statements) == (store.db.name == "postgresql")


async def test_types_come_as_from_a_statement_of_their_own(store: Store) -> None:
    blob = "X'00ff'" if store.db.name == "sqlite" else "'\\x00ff'::bytea"
    sql = f"SELECT {blob} AS a, {blob} AS a, NULL, -9223372036854775807, 'ö' || ?, 1.5"
    alone = await store.fetch(sql, ("x",))
    one, two = await together(store, store.fetch(sql, ("x",)), store.fetch(sql, ("x",)))
    other, _ = await together(store, store.fetch(sql, ("x",)), counted(store, 1))
    assert tuple(alone[0]) == tuple(one[0]) == tuple(two[0]) == tuple(other[0])


async def test_those_with_more_to_ask_go_on_beside_each_other(store: Store, statements: list[str]) -> None:
    found = await each(store, [told(store, *range(n)) for n in range(5)])
    assert found == [[(str(value), 1) for value in range(n)] for n in range(5)]
    assert len(statements) == 4 * (store.db.name == "postgresql"), "as many rounds as the longest has reads"


async def test_what_is_asked_twice_is_asked_once(store: Store, statements: list[str]) -> None:
    assert await together(store, told(store, 7), told(store, 7)) == ([("7", 1)], [("7", 1)])
    assert all("ARRAY" not in sql for sql in statements)


async def test_nested_ones_join_the_same_round(store: Store, statements: list[str]) -> None:
    async def inner() -> tuple[Rows, Rows]:
        found = await together(store, told(store, "b", "c"), told(store, "d"))
        assert await told(store, "e") == [("e", 1)]
        return found

    a, (b, d), f = await together(store, told(store, "a"), inner(), told(store, "f", "g", "h"))
    assert (a, b, d, f) == ([("a", 1)], [("b", 1), ("c", 1)], [("d", 1)], [("f", 1), ("g", 1), ("h", 1)])
    assert len(statements) == 3 * (store.db.name == "postgresql")
    assert current() is None


async def test_one_that_waits_for_something_else_holds_nobody_up_for_ever(store: Store) -> None:
    async def slow() -> Rows:
        await asyncio.sleep(0.05)
        return await told(store, "late")

    async def beside() -> Rows:
        return await asyncio.create_task(told(store, "of its own"))

    found = await asyncio.wait_for(together(store, told(store, "a"), slow(), beside()), 5)
    assert found == ([("a", 1)], [("late", 1)], [("of its own", 1)])


@pytest.mark.parametrize("when", ["before", "after", "wrong"])
async def test_the_first_error_ends_all_and_is_raised(store: Store, when: str) -> None:
    ended = list[str]()

    async def failing() -> Rows:
        if when == "before":
            raise LookupError("mine")
        await told(store, "a")
        if when == "wrong":
            await store.fetch("SELECT nothing FROM nowhere")
        raise LookupError("mine")

    async def long() -> Rows:
        try:
            for _ in range(50):
                await told(store, "b")
                await asyncio.sleep(0.01)
            return []
        finally:
            ended.append("long")

    with pytest.raises(Exception) as raised:
        await asyncio.wait_for(together(store, failing(), long(), failing()), 5)
    assert isinstance(raised.value, LookupError) == (when != "wrong")
    assert ended == ["long"] * (store.db.name == "postgresql")
    assert await told(store, "goes on") == [("goes on", 1)]


async def test_who_is_cancelled_takes_the_others_along(store: Store) -> None:
    async def never() -> Rows:
        await asyncio.Event().wait()
        return []

    task = asyncio.create_task(together(store, told(store, "a"), never()))
    await asyncio.sleep(0.05)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await together(store, told(store, "a"), told(store, "b")) == ([("a", 1)], [("b", 1)])


async def test_resources_are_read_within_a_round_too(store: Store, statements: list[str]) -> None:
    await put(store, patient("Patient/p"), patient("Patient/q"))
    one, other, none = await together(
        store,
        read.head(store, "Patient", "p", EVERYTHING),
        read.head(store, "Patient", "q", EVERYTHING),
        read.head(store, "Patient", "none", EVERYTHING),
    )
    assert one and other and none is None
    assert [one.reference, other.reference] == ["Patient/p", "Patient/q"]
    assert [one] == list((await read.heads(store, ["Patient/p"], EVERYTHING)).values())
    assert len([sql for sql in statements if "ARRAY(SELECT" in sql]) == (store.db.name == "postgresql")
