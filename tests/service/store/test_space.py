"""Space: what grows is refused below the reserve, what is small passes; the engines tell a full disk from a defect."""

import asyncio
import sqlite3
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import asyncpg
import httpx
import pytest
from fastapi import FastAPI

from service.store import inbox, space, sqlite
from service.store.change import AuditRow, Change, Committed, Job, Statement
from service.store.credentials import insert_token
from service.store.database import Full, Unavailable
from service.store.engine import Store, open_store
from service.store.sources import RegisteredSource, put
from service.store.space import DiskReserve, SizeLimit, grows
from service.store.steps import Insert
from service.worker import Worker
from tests.service.store.test_commit import chain_holds, gathered
from tests.service.world import change_of, patient
from tests.service.world import put as put_resources

ROW = AuditRow("R", "read", 0, "me", "Organization/o", "Patient/p", ("Patient/p",))


class Room:
    """A room that the test fills."""

    def __init__(self) -> None:
        self.is_full = False

    def full(self) -> bool:
        return self.is_full


@pytest.fixture
def room(store: Store) -> Room:
    store._room = made = Room()
    return made


def message(number: int) -> Change:
    insert = inbox.insert(
        id=number, source="s", control_id=f"C{number}", hash=b"h", received_us=1, event="A01", raw=b"r", ack=b"a",
        state="stored",
    )  # fmt: skip
    return Change(statements=[insert])


async def test_what_grows_is_refused_and_what_is_small_passes(store: Store, room: Room) -> None:
    await put_resources(store, patient("Patient/p"))
    room.is_full = True
    growing = [change_of(store, patient("Patient/q")), change_of(store, patient("Patient/p"), expect=1), message(1)]
    for change in growing:
        assert grows(change)
        with pytest.raises(Full):
            await store.commit(change)
    delete = change_of(store, patient("Patient/p"), expect=1)
    delete.writes[0] = _deletion(delete)
    small = [
        Change(audit=[ROW]),
        Change(statements=[insert_token(b"h", "c", "s", 1, 2)], audit=[ROW]),
        Change(statements=[put(RegisteredSource("m", "A", "F", "Organization/o", {}, True))]),
        Change(statements=[Statement("DELETE FROM token WHERE expires_us < ?", (3,))]),
        Change(jobs=[Job("x.do", {})]),
        delete,
    ]
    for change in small:
        assert not grows(change)
        assert isinstance(await store.commit(change), Committed)
    room.is_full = False
    for change in (growing[0], growing[2]):
        assert isinstance(await store.commit(change), Committed)


def _deletion(change: Change) -> Any:
    from dataclasses import replace

    return replace(change.writes[0], resource=None, hole=(b"", b""))


def test_the_volume_is_asked_five_times_a_second_at_most() -> None:
    now, free, asked = [10.0], [100 * space.MB], []

    def look(folder: str) -> int:
        asked.append(folder)
        return free[0]

    reserve = DiskReserve("/data", 64, now=lambda: now[0], free=look)
    assert [reserve.full() for _ in range(100)] == [False] * 100
    assert asked == ["/data"]
    free[0] = 63 * space.MB
    now[0] += 0.19
    assert not reserve.full()
    now[0] += 0.02
    assert reserve.full()
    free[0] = 65 * space.MB
    now[0] += 0.21
    assert not reserve.full()


def test_a_volume_that_cannot_be_asked_is_not_full() -> None:
    def broken(_folder: str) -> int:
        raise OSError

    assert not DiskReserve("/data", 64, free=broken).full()
    assert space.free_bytes("/") > 0


def test_the_size_of_a_database_is_compared_with_its_limit() -> None:
    limit = SizeLimit(10)
    for megabytes, full in ((9, False), (10, True), (9, False)):
        limit.measured(megabytes * space.MB)
        assert limit.full() is full


async def test_both_engines_take_their_setting(
    sqlite_url: str, postgresql_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(space, "free_bytes", lambda _folder: 5 * space.MB)
    for url, settings in ((sqlite_url, {"disk_reserve_mb": 6}), (postgresql_url, {"database_limit_mb": 1})):
        store = await open_store(url, **settings)  # type: ignore[arg-type]
        try:
            if isinstance(store._room, SizeLimit):
                store._room.measured((await store.fetch("SELECT pg_database_size(current_database())"))[0][0])
            assert store.full
            with pytest.raises(Full):
                await store.commit(change_of(store, patient("Patient/p")))
            await store.commit(Change(audit=[ROW]))
        finally:
            await store.close()
        without = await open_store(url)
        assert not without.full
        await without.close()


# --- a disk that is really full ------------------------------------------------------------------------------------


@pytest.fixture
async def tight(sqlite_url: str) -> AsyncIterator[Store]:
    """A SQLite file that may not grow: SQLite itself says that it is full."""
    store = await open_store(sqlite_url)
    yield store
    await store.close()


def _pages(store: Store, more: int | None) -> None:
    con = store.db._writer  # type: ignore[attr-defined]
    count = con.execute("PRAGMA page_count").fetchone()[0]
    con.execute(f"PRAGMA max_page_count = {count + more if more is not None else 1_000_000}")


async def test_a_full_disk_fails_what_is_large_and_keeps_what_is_small(tight: Store) -> None:
    _pages(tight, 6)
    large = [change_of(tight, patient(f"Patient/p{n}", extra="x" * 40_000)) for n in range(3)]
    outcomes = await gathered(tight, *large, *(Change(audit=[ROW]) for _ in range(3)))
    assert [type(outcome) for outcome in outcomes] == [Full] * 3 + [Committed] * 3
    _pages(tight, None)
    assert all(isinstance(outcome, Committed) for outcome in await gathered(tight, *large))
    assert await chain_holds(tight)


async def test_a_disk_error_is_503_and_the_writer_goes_on(tight: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_facts: Any) -> Any:
        error = sqlite3.OperationalError("disk I/O error")
        error.sqlite_errorcode, error.sqlite_errorname = sqlite3.SQLITE_IOERR_WRITE, "SQLITE_IOERR_WRITE"
        raise error

    with monkeypatch.context() as patched:
        patched.setattr(sqlite, "_run", broken)
        outcomes = await gathered(tight, *(Change(jobs=[Job("x.do", {})]) for _ in range(5)))
    assert [type(outcome) for outcome in outcomes] == [Unavailable] * 5
    assert isinstance(await tight.commit(Change(audit=[ROW])), Committed)


async def test_who_waits_behind_a_locked_file_does_not_wait_again(
    tight: Store, sqlite_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqlite, "BUSY_S", 0.05)
    holder = sqlite3.connect(Path(sqlite_url.removeprefix("sqlite:///")), isolation_level=None)
    holder.execute("BEGIN IMMEDIATE")
    outcomes = await gathered(tight, *(Change(audit=[ROW]) for _ in range(sqlite.GROUP * 3)))
    assert {type(outcome) for outcome in outcomes} == {sqlite.Locked}
    holder.execute("ROLLBACK")
    holder.close()
    assert isinstance(await tight.commit(Change(audit=[ROW])), Committed)


async def test_a_full_disk_of_postgresql(postgresql_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from service.store import postgresql

    store = await open_store(postgresql_url)
    kept = postgresql.run_step

    async def full(con: Any, step: Any) -> Any:
        if any(getattr(part, "table", "") == "version" for part in getattr(step, "parts", ()) if type(part) is Insert):
            raise asyncpg.DiskFullError("could not extend file")
        return await kept(con, step)

    monkeypatch.setattr(postgresql, "run_step", full)
    try:
        large = [change_of(store, patient(f"Patient/p{n}")) for n in range(3)]
        outcomes = await gathered(store, *large, *(Change(audit=[ROW]) for _ in range(3)))
        assert [type(outcome) for outcome in outcomes] == [Full] * 3 + [Committed] * 3
        assert await chain_holds(store)
    finally:
        await store.close()


# --- what clients and jobs notice ----------------------------------------------------------------------------------


async def test_the_refusal_says_what_to_do(world: Store, app_client: Any, app: FastAPI) -> None:
    client = await app_client()
    world._room = room = Room()
    room.is_full = True
    body = {
        "resourceType": "Observation",
        "status": "final",
        "code": {"text": "t"},
        "subject": {"reference": "Patient/a"},
    }
    answer = await client.post("/Observation", json=body)
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "30")
    issue = answer.json()["issue"][0]
    assert issue["code"] == "no-store"
    assert "operator" in issue["diagnostics"]
    assert (await client.get("/Patient/a")).status_code == 200
    room.is_full = False
    assert (await client.post("/Observation", json=body)).status_code == 201


async def test_the_token_endpoint_answers_503_while_the_store_is_away(
    world: Store, app: FastAPI, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def away(*_facts: Any, **_more: Any) -> Any:
        raise Unavailable("away")

    monkeypatch.setattr(world, "commit", away)
    monkeypatch.setattr(world, "fetch", away)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test") as client:
        answer = await client.post("/auth/token", data={"grant_type": "password"})
        assert (answer.status_code, answer.json()["error"]) == (503, "temporarily_unavailable")
        sent = await client.post(
            "/hl7v2", content=b"MSH|", headers={"Authorization": "Bearer " + "a" * 43, "Content-Type": "text/plain"}
        )
        assert sent.status_code == 503
        assert sent.headers["retry-after"] == "1"


async def test_a_job_whose_result_finds_no_space_burns_no_attempt(
    store: Store, room: Room, monkeypatch: pytest.MonkeyPatch, clock: Any
) -> None:
    from service.access.context import Settings
    from service.worker import HANDLERS

    async def handle(_ctx: Any, payload: Any) -> Change:
        return change_of(store, patient(f"Patient/made{payload['n']}"))

    monkeypatch.setitem(HANDLERS, "x.do", handle)
    await store.commit(Change(jobs=[Job("x.do", {"n": n}, "key") for n in range(2)]))
    room.is_full = True
    worker = Worker(store, Settings())

    async def turn() -> None:
        if await worker._claim():
            await asyncio.wait(set(worker._running))

    for _ in range(12):
        await turn()
        clock.advance(2_000_000)
    found = await store.fetch("SELECT state, attempts FROM job ORDER BY id")
    assert [tuple(row) for row in found] == [("ready", 0), ("ready", 0)]
    room.is_full = False
    await turn()
    assert (await store.fetch("SELECT count(*) FROM resource WHERE fhir_id IN ('made0', 'made1')"))[0][0] == 2
