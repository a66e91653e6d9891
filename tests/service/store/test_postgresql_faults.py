"""Every kind of error that PostgreSQL and the way to it can make, and what a fault does to commits and reads."""

import asyncio
import socket
import time
from collections.abc import AsyncIterator
from typing import Any

import asyncpg
import pytest

from service.store import engine, postgresql, postgresql_pool
from service.store.change import AuditRow, Change, Committed, Statement
from service.store.database import Full, Unavailable
from service.store.engine import Store, open_store
from service.store.postgresql_faults import FAULTS, Fault, as_unavailable, fault_of, pause_s
from tests.postgres_server import on_server
from tests.service.store.test_commit import chain_holds, gathered

ROW = AuditRow("R", "read", 0, "me", "Organization/o", "Patient/p", ("Patient/p",))
OTHERS = "datname = current_database() AND pid <> pg_backend_pid() AND usename = current_user"

ROWS: list[tuple[Exception, Fault | None]] = [
    (asyncpg.AdminShutdownError("pg_ctl stop -m fast"), Fault.LOST),
    (asyncpg.CrashShutdownError("another backend crashed"), Fault.LOST),
    (asyncpg.CannotConnectNowError("the database system is starting up"), Fault.LOST),
    (asyncpg.DatabaseDroppedError(""), Fault.LOST),
    (asyncpg.ConnectionDoesNotExistError("connection was closed in the middle of operation"), Fault.LOST),
    (asyncpg.ConnectionFailureError(""), Fault.LOST),
    (asyncpg.ProtocolViolationError(""), Fault.LOST),
    (asyncpg.IdleInTransactionSessionTimeoutError(""), Fault.LOST),
    (asyncpg.ReadOnlySQLTransactionError("cannot execute INSERT in a read-only transaction"), Fault.LOST),
    (asyncpg.InvalidPasswordError(""), Fault.LOST),
    (asyncpg.InvalidCatalogNameError(""), Fault.LOST),
    (asyncpg.PostgresIOError("could not read block"), Fault.LOST),
    (asyncpg.InterfaceError("connection is closed"), Fault.LOST),
    (asyncpg.InterfaceError("the server expects 2 arguments for this query, 1 was passed"), None),
    (asyncpg.InternalClientError("got result for unknown protocol state"), Fault.LOST),
    (ConnectionRefusedError(), Fault.LOST),
    (ConnectionResetError(), Fault.LOST),
    (socket.gaierror(), Fault.LOST),
    (TimeoutError(), Fault.LOST),
    (asyncpg.TooManyConnectionsError("too many clients already"), Fault.BUSY),
    (asyncpg.OutOfMemoryError("out of shared memory"), Fault.BUSY),
    (asyncpg.DiskFullError("could not extend file"), Fault.FULL),
    (asyncpg.QueryCanceledError("statement timeout"), Fault.TOO_LONG),
    (asyncpg.LockNotAvailableError("lock timeout"), Fault.TOO_LONG),
    (asyncpg.SerializationError(""), Fault.AGAIN),
    (asyncpg.DeadlockDetectedError(""), Fault.AGAIN),
    (asyncpg.InvalidCachedStatementError(""), Fault.AGAIN),
    (asyncpg.DataError("a wrong parameter"), None),
    (asyncpg.UniqueViolationError(""), None),
    (asyncpg.UndefinedTableError(""), None),
    (KeyError("ours"), None),
]


@pytest.mark.parametrize(("error", "fault"), ROWS, ids=lambda value: type(value).__name__)
def test_each_error_has_its_consequence(error: Exception, fault: Fault | None) -> None:
    assert fault_of(error) is fault


def test_no_row_is_hidden_by_one_above_it() -> None:
    for number, (kind, _) in enumerate(FAULTS):
        assert not any(issubclass(kind, above) for above, _ in FAULTS[:number]), kind


def test_only_a_full_disk_is_called_full_and_pauses_grow() -> None:
    assert type(as_unavailable(asyncpg.DiskFullError(""), Fault.FULL)) is Full
    assert type(as_unavailable(TimeoutError(), Fault.LOST)) is Unavailable
    assert str(as_unavailable(asyncpg.AdminShutdownError("with a value"), Fault.LOST)) == "AdminShutdownError"
    assert (pause_s(0), pause_s(4.9), pause_s(5), pause_s(3600)) == (0.1, 0.1, 1.0, 1.0)


@pytest.fixture
async def away(postgresql_url: str) -> AsyncIterator[Store]:
    """A store on PostgreSQL that has committed and read."""
    store = await open_store(postgresql_url)
    await store.commit(Change(audit=[ROW]))
    yield store
    await store.close()


def _injected(monkeypatch: pytest.MonkeyPatch, *errors: Exception) -> None:
    """The next statements of a commit fail so."""
    left, run = list(errors), postgresql.run_step

    async def failing(con: Any, step: Any) -> Any:
        if left:
            raise left.pop(0)
        return await run(con, step)

    monkeypatch.setattr(postgresql, "run_step", failing)


@pytest.mark.parametrize(
    "error", [e for e, fault in ROWS if fault in (Fault.LOST, Fault.BUSY, Fault.TOO_LONG)], ids=repr
)
async def test_a_fault_fails_the_group_with_503_and_the_next_goes_through(
    away: Store, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    _injected(monkeypatch, error)
    outcomes = await gathered(away, *(Change(audit=[ROW]) for _ in range(4)))
    assert {type(outcome) for outcome in outcomes} == {Unavailable}, "not one by one: each would wait as long again"
    assert isinstance(await away.commit(Change(audit=[ROW])), Committed)
    assert await chain_holds(away)


async def test_a_wrong_count_of_parameters_fails_alone_and_not_as_503(away: Store) -> None:
    wrong = Change(statements=[Statement("UPDATE job SET state = ? WHERE id = ?", (1,))])
    outcomes = await gathered(away, Change(audit=[ROW]), wrong, Change(audit=[ROW]))
    assert [type(outcome) for outcome in outcomes] == [Committed, asyncpg.InterfaceError, Committed]
    with pytest.raises(asyncpg.InterfaceError):
        await away.fetch("SELECT 1 FROM job WHERE id = ?")
    assert await chain_holds(away)


async def test_a_read_survives_the_end_of_its_connection(away: Store, postgresql_url: str) -> None:
    for _ in range(5):
        on_server(postgresql_url, f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE {OTHERS}")
        assert (await away.fetch("SELECT count(*) FROM audit"))[0][0] >= 1


async def test_a_read_survives_a_pool_of_dead_connections(away: Store, postgresql_url: str) -> None:
    await asyncio.gather(*(away.fetch("SELECT pg_sleep(0.1)") for _ in range(postgresql_pool.POINTS)))
    on_server(postgresql_url, f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE {OTHERS}")
    reads = await asyncio.gather(*(away.fetch("SELECT count(*) FROM audit") for _ in range(3)))
    assert all(rows[0][0] >= 1 for rows in reads)


async def test_while_the_server_is_away_reads_fail_at_once_and_commits_wait(
    away: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    connect, refused = asyncpg.connect, []

    async def refuse(*facts: Any, **more: Any) -> Any:
        refused.append(1)
        raise ConnectionRefusedError

    db: Any = away.db
    monkeypatch.setattr(asyncpg, "connect", refuse)
    db._reach.suspect(ConnectionRefusedError(), still=True)
    _injected(monkeypatch, asyncpg.AdminShutdownError(""))
    with pytest.raises(Unavailable):
        await away.commit(Change(audit=[ROW]))
    with pytest.raises(Unavailable):
        await away.fetch("SELECT 1")
    waits = asyncio.ensure_future(away.commit(Change(audit=[ROW])))
    await asyncio.sleep(0.35)
    assert not waits.done()
    assert 2 <= len(refused) < 20, "tries again, but is not busy with it"
    monkeypatch.setattr(asyncpg, "connect", connect)
    assert isinstance(await asyncio.wait_for(waits, 5), Committed)
    while db._reach.away:
        await asyncio.sleep(0.02)
    assert await away.fetch("SELECT 1")
    assert await chain_holds(away)


async def test_a_server_that_stands_still_is_given_up(away: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(postgresql_pool, "CUT_S", 0.2)
    monkeypatch.setattr(postgresql, "GROUP_S", 0.2)
    began = time.monotonic()
    with pytest.raises(Unavailable):
        await away.fetch("SELECT pg_sleep(4)")
    run = postgresql.run_step

    async def slow(con: Any, step: Any) -> Any:
        await con.fetch("SELECT pg_sleep(4)")
        return await run(con, step)

    with monkeypatch.context() as patched:
        patched.setattr(postgresql, "run_step", slow)
        with pytest.raises(Unavailable):
            await away.commit(Change(audit=[ROW]))
    assert time.monotonic() - began < 3.9
    monkeypatch.setattr(postgresql, "GROUP_S", 6.0)
    assert isinstance(await away.commit(Change(audit=[ROW])), Committed)
    assert await chain_holds(away)


async def test_a_server_that_became_read_only_is_asked_anew(away: Store, postgresql_url: str) -> None:
    name = postgresql_url.rpartition("/")[2]
    writable = ("SET default_transaction_read_only = off", f"ALTER DATABASE {name} RESET default_transaction_read_only")
    on_server(postgresql_url, f"ALTER DATABASE {name} SET default_transaction_read_only = on")
    on_server(postgresql_url, f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE {OTHERS}")
    with pytest.raises(Unavailable):
        for _ in range(3):  # the first may only learn that its connection is dead
            await away.commit(Change(audit=[ROW]))
    on_server(postgresql_url, *writable)
    for _ in range(3):
        done = (await gathered(away, Change(audit=[ROW])))[0]
    assert isinstance(done, Committed)
    assert await chain_holds(away)


async def test_no_server_at_the_start_is_one_sentence(free_port: int) -> None:
    with pytest.raises(Unavailable, match=r"cannot be reached .*ENLACE_DATABASE_URL"):
        await open_store(f"postgresql://nobody:x@127.0.0.1:{free_port}/none")


# --- the slot ------------------------------------------------------------------------------------------------------


async def test_a_slot_that_nobody_took_is_kept_after_a_long_outage(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine, "LEASE_US", 4_000)  # renewed every millisecond
    store._leased_s = time.monotonic() - 3600
    store._tasks[0].cancel()
    monkeypatch.setattr(engine, "MARGIN_S", -30.0)
    with pytest.raises(Unavailable, match="renewed"):
        await store.commit(Change(audit=[ROW]))
    store._tasks[0] = asyncio.ensure_future(store._renew())
    while time.monotonic() - store._leased_s > 30:
        await asyncio.sleep(0.01)
    assert not store.lost.is_set()
    assert isinstance(await store.commit(Change(audit=[ROW])), Committed)


async def test_two_that_write_under_one_slot_keep_its_chain_whole(store: Store) -> None:
    """One stood still for longer than its lease, and wrote before it noticed: the other goes on behind that."""
    await store.commit(Change(audit=[ROW]))
    await store.db.execute("UPDATE worker_slot SET lease_until_us = 1 RETURNING slot")
    other = await open_store(store.url)
    try:
        assert other._slot.number == store._slot.number
        for writer in (store, other, other, store, other):
            outcomes = await gathered(writer, *(Change(audit=[ROW]) for _ in range(3)))
            assert {type(outcome) for outcome in outcomes} == {Committed}
        assert (await store.fetch("SELECT count(*), max(seq) FROM audit"))[0][:] == (16, 16)
        assert await chain_holds(store)
    finally:
        await other.close()


async def test_a_slot_that_somebody_took_ends_the_process(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "LEASE_US", 4_000)
    await store.db.execute("UPDATE worker_slot SET owner = 'another'")
    store._tasks[0].cancel()
    store._tasks[0] = asyncio.ensure_future(store._renew())
    await asyncio.wait_for(store.lost.wait(), 5)
    with pytest.raises(Unavailable, match="lost"):
        await store.commit(Change(audit=[ROW]))
