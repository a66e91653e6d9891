"""The index made anew: as if every resource had been written by this version; resumable, beside writers."""

import os
import subprocess
import sys
from typing import Any

import pytest

from service.search.definition import digest
from service.store import reindex
from service.store.change import Change, Statement
from service.store.engine import Store
from service.workflow import reindexing
from service.workflow.reindexing import remade
from tests.service.world import BASE, change_of, observation, patient, put

TABLES = ("ix", "ix_date", "ix_str", "ix_num", "ref")


async def rows(store: Store) -> dict[str, list[tuple[Any, ...]]]:
    return {table: sorted(tuple(r) for r in await store.fetch(f"SELECT * FROM {table}")) for table in TABLES}


async def filled(store: Store, count: int = 7) -> None:
    for n in range(count):
        await put(store, patient(f"Patient/p{n}"), observation(f"Observation/o{n}", f"Patient/p{n}"))
    await store.commit(change_of(store, patient("Patient/p0", birthDate="1970-01-01"), expect=1))


async def forget(store: Store) -> None:
    """As if another version had made the rows: some are missing, some are too many."""
    wrong = [Statement(f"DELETE FROM {table}", ()) for table in ("ix_date", "ix_str", "ref")]
    vid = (await store.fetch("SELECT vid FROM resource WHERE deleted = 0 ORDER BY key LIMIT 1"))[0][0]
    wrong.append(Statement("INSERT INTO ix_str (key, val, vid) VALUES (?, ?, ?)", (1, "stale", vid)))
    await store.commit(Change(statements=[*wrong, reindex.made("older")]))


async def done(store: Store) -> int:
    return sum([count async for count in remade(store, BASE)])


async def test_the_rows_are_those_of_a_write(store: Store) -> None:
    await filled(store)
    before = await rows(store)
    assert await reindex.is_current(store, digest()), "an empty database is marked when it is opened"
    await forget(store)
    assert not await reindex.is_current(store, digest())
    versions = await store.fetch("SELECT count(*) FROM version")
    assert await done(store) == 14
    assert await rows(store) == before
    assert await reindex.is_current(store, digest())
    assert await store.fetch("SELECT count(*) FROM version") == versions
    # The kept keys are those of the new rows: the next update takes all of them out.
    await store.commit(change_of(store, patient("Patient/p1"), expect=1))
    left = await store.fetch("SELECT count(*) FROM ix WHERE vid NOT IN (SELECT vid FROM resource WHERE deleted = 0)")
    assert left[0][0] == 0


async def test_a_stopped_run_goes_on(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reindexing, "BATCH", 4)
    await filled(store)
    before = await rows(store)
    await forget(store)
    async for _ in remade(store, BASE):
        break
    assert await reindex.count(store, (await reindex.state(store, digest())).after) == 10
    assert await reindex.count(store, (await reindex.state(store, "other")).after) == 14, "progress to another aim"
    assert await done(store) == 10
    assert await rows(store) == before


async def test_a_write_in_between_wins(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    await filled(store)
    await forget(store)
    real = reindex.batch

    async def slow(store: Store, after: int, limit: int) -> list[reindex.Current]:
        found = await real(store, after, limit)
        if found:
            await store.commit(change_of(store, patient("Patient/p3", birthDate="1971-02-03"), expect=1))
        return found

    monkeypatch.setattr(reindex, "batch", slow)
    assert await done(store) == 13
    head = await store.fetch("SELECT version FROM resource WHERE key = ?", (store.keys.resource("Patient/p3"),))
    assert head[0][0] == 2
    dangling = await store.fetch("SELECT count(*) FROM ix WHERE vid NOT IN (SELECT vid FROM resource)")
    assert dangling[0][0] == 0


def test_the_digest_is_the_same_in_every_process() -> None:
    code = "from service.search.definition import digest; print(digest())"
    found = {
        subprocess.run(
            [sys.executable, "-c", code], env={**os.environ, "PYTHONHASHSEED": seed}, capture_output=True, check=True
        ).stdout
        for seed in ("1", "2")
    }
    assert found == {f"{digest()}\n".encode()}
