"""The steps of a group on PostgreSQL beside another process: what is locked, in which order, and how fresh it is."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import asyncpg
import pytest

from service.store.postgresql_steps import run_step
from service.store.steps import Epochs, Fetches, FetchIn, Insert, Run, Together
from tests.postgres_server import on_server

MADE = "INSERT INTO meta (name, value) VALUES (?, nextval('turn'))"
EPOCHS = "SELECT subject, epoch FROM access_epoch ORDER BY subject"
HEADS = FetchIn("resource", "key, version, vid, deleted, labels", "key", [1, 2])
JOBS = FetchIn("job", "id, state, lease", "id", [1])


@pytest.fixture
async def cons(postgresql_url: str) -> AsyncIterator[list[Any]]:
    """Connections, each with an open transaction."""
    on_server(
        postgresql_url,
        "INSERT INTO resource VALUES (1, 'Patient', 'a', 10, 1, 0, NULL, 0, 0)",
        "INSERT INTO resource VALUES (2, 'Patient', 'b', 11, 1, 0, NULL, 0, 0)",
        "INSERT INTO access_epoch VALUES (5, 3)",
        "INSERT INTO job VALUES (1, 'x', 'x.do', '', 0, 'leased', 7, 0, NULL, '{}', '')",
    )
    made = [await asyncpg.connect(postgresql_url) for _ in range(3)]
    for con in made:
        await con.execute("BEGIN")
    yield made
    for con in made:
        await con.close(timeout=5)


def listed(answers: Any) -> list[list[tuple[Any, ...]]]:
    return [sorted(tuple(row) for row in rows) for rows in answers]


async def waits(con: Any, step: Any) -> "asyncio.Task[Any]":
    """The step, once it waits for a lock."""
    task = asyncio.ensure_future(run_step(con, step))
    await asyncio.sleep(0.1)
    assert not task.done()
    return task


async def test_parts_run_in_their_order_and_the_first_one_answers(cons: list[Any], postgresql_url: str) -> None:
    on_server(postgresql_url, "CREATE SEQUENCE turn")
    parts = [Run(MADE, [(f"turn-{number}",)]) for number in range(8)]
    answer = await run_step(cons[0], Together((Insert("outbox", [(3,), (4,)], "", "vid"), *parts[:5])))
    assert [tuple(row) for row in answer] == [(3,), (4,)]
    await run_step(cons[0], Together(tuple(parts[5:])))
    rows = await cons[0].fetch("SELECT name FROM meta WHERE name LIKE 'turn-%' ORDER BY value::int")
    assert [row[0] for row in rows] == [f"turn-{number}" for number in range(8)]


async def test_rows_are_locked_in_the_order_of_the_list(cons: list[Any]) -> None:
    """Who waits for an epoch holds the heads, and no job yet."""
    mine, other, third = cons
    await other.execute("SELECT 1 FROM access_epoch WHERE subject = 5 FOR UPDATE")
    task = await waits(mine, Fetches((HEADS, Epochs([4, 5]), JOBS)))
    assert await third.fetch("SELECT key FROM resource FOR UPDATE SKIP LOCKED") == []
    assert len(await third.fetch("SELECT id FROM job FOR UPDATE SKIP LOCKED")) == 1
    await third.execute("ROLLBACK")
    await other.execute("ROLLBACK")
    answers = listed(await task)
    assert answers == [[(1, 1, 10, 0, 0), (2, 1, 11, 0, 0)], [(4, 0), (5, 3)], [(1, "leased", 7)]]


async def test_what_another_moved_meanwhile_is_read_as_it_is(cons: list[Any]) -> None:
    mine, other, _ = cons
    await other.execute("UPDATE resource SET version = 2, vid = 12 WHERE key = 2")
    await other.execute("UPDATE access_epoch SET epoch = 4 WHERE subject = 5")
    await other.execute("UPDATE job SET state = 'done', lease = 0 WHERE id = 1")
    task = await waits(mine, Fetches((HEADS, Epochs([5]), JOBS)))
    await other.execute("COMMIT")
    assert listed(await task) == [[(1, 1, 10, 0, 0), (2, 2, 12, 0, 0)], [(5, 4)], [(1, "done", 0)]]


@pytest.mark.parametrize("before", [True, False])
async def test_an_epoch_that_another_made_meanwhile_is_seen_and_locked(cons: list[Any], before: bool) -> None:
    """Made before this statement came to it, or after it began and before it came to it."""
    mine, other, third = cons
    if before:
        await other.execute("INSERT INTO access_epoch VALUES (6, 1)")
        task = await waits(mine, Fetches((Epochs([5, 6, 7]),)))
    else:
        await other.execute("SELECT 1 FROM resource WHERE key = 1 FOR UPDATE")
        task = await waits(mine, Fetches((HEADS, Epochs([5, 6, 7]))))
        await other.execute("INSERT INTO access_epoch VALUES (6, 1)")
    await other.execute("COMMIT")
    assert listed(await task)[-1] == [(5, 3), (6, 1), (7, 0)]
    assert await third.fetch("SELECT subject FROM access_epoch FOR UPDATE SKIP LOCKED") == []


async def test_who_relies_on_an_epoch_that_is_not_there_makes_the_other_wait(cons: list[Any]) -> None:
    mine, other, _ = cons
    assert listed(await run_step(mine, Fetches((Epochs([8]),)))) == [[(8, 0)]]
    bump = Insert("access_epoch", [(8, 1)], "ON CONFLICT (subject) DO UPDATE SET epoch = access_epoch.epoch + 1")
    task = await waits(other, bump)
    await mine.execute("COMMIT")
    await task
    assert [tuple(row) for row in await other.fetch(EPOCHS)] == [(5, 3), (8, 1)]
