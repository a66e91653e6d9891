"""PostgreSQL: asyncpg; one committer per process that takes all that waits as one group."""

import asyncio
import contextlib
from collections.abc import Callable
from typing import Any, cast

import asyncpg

from service.search.keys import Keys
from service.store.change import Change
from service.store.commit import group
from service.store.database import Row, TooCostly, Unavailable
from service.store.dialect import columns, dollars, pg_insert
from service.store.slots import Slot
from service.store.steps import Collision, DeleteIn, DeletePairs, FetchIn, Insert, Outcome, Run, Step

GROUP = 128
CHANNEL = "enlace"
_LOST = (
    asyncpg.PostgresConnectionError,
    asyncpg.InterfaceError,
    ConnectionError,
    OSError,
    asyncpg.CannotConnectNowError,
)
_AGAIN = (asyncpg.SerializationError, asyncpg.DeadlockDetectedError)
_SETTINGS = {
    "plan_cache_mode": "force_custom_plan",  # generic plans were measured ten times slower (stack.md 3)
    "statement_timeout": "5000",
    "lock_timeout": "4000",
    "idle_in_transaction_session_timeout": "10000",
    "jit": "off",
    "search_path": "public",
}


class Postgresql:
    """See database.Database."""

    name = "postgresql"

    def __init__(self, url: str):
        self._url = url
        self._queue: asyncio.Queue[tuple[Change, asyncio.Future[Outcome]]] = asyncio.Queue()
        self._listeners: list[Callable[[], None]] = []
        self._tasks: list[asyncio.Task[None]] = []
        self._pool: asyncpg.Pool[asyncpg.Record]
        self._notified = False

    async def open(self) -> None:
        self._pool = await asyncpg.create_pool(
            self._url,
            min_size=1,
            max_size=8,
            server_settings=_SETTINGS,
            command_timeout=10,
            reset=_no_reset,
            timeout=5,
        )

    async def start(self, keys: Keys, slot: Slot, now_us: Callable[[], int]) -> None:
        self._keys, self._slot, self._now = keys, slot, now_us
        self._tasks.append(asyncio.create_task(self._commit_forever()))

    # reads

    async def fetch(self, sql: str, params: tuple[Any, ...] = (), *, heavy: bool = False) -> list[Row]:
        try:
            return _rows(await self._pool.fetch(dollars(sql), *params))
        except asyncpg.QueryCanceledError as error:
            raise TooCostly from error
        except (*_LOST, TimeoutError) as error:
            if _is_lost(error):
                raise Unavailable(type(error).__name__) from error
            raise

    async def fetch_in(self, sql: str, *params: Any) -> list[Row]:
        """A SELECT that speaks PostgreSQL's own placeholders, for coalesced reads."""
        try:
            return _rows(await self._pool.fetch(sql, *params))
        except (*_LOST, TimeoutError) as error:
            raise Unavailable(type(error).__name__) from error

    # writes

    async def commit(self, change: Change) -> Outcome:
        future: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
        self._queue.put_nowait((change, future))
        return await future

    async def execute(self, sql: str, params: tuple[Any, ...] = ()) -> list[Row]:
        try:
            return _rows(await self._pool.fetch(dollars(sql), *params))
        except (*_LOST, TimeoutError) as error:
            raise Unavailable(type(error).__name__) from error

    async def _commit_forever(self) -> None:
        con: asyncpg.Connection[asyncpg.Record] | None = None
        former: int | None = None
        while True:
            try:
                batch = [await self._queue.get()]
            except asyncio.CancelledError:
                if con is not None:
                    con.terminate()
                raise
            while len(batch) < GROUP and not self._queue.empty():
                batch.append(self._queue.get_nowait())
            try:
                if con is None or con.is_closed():
                    con = await self._connect(former)
                    former = con.get_server_pid()
                await self._group(batch, con)
            except asyncio.CancelledError:
                _fail(batch, Unavailable("shutting down"))
                if con is not None:
                    con.terminate()
                raise
            except (*_LOST, TimeoutError) as error:
                # Whether the commit happened is unknown: the caller hears 503; a retry is safe by version or claim.
                _fail(batch, Unavailable(type(error).__name__))
                if con is not None:
                    con.terminate()
                con = None
            for listener in self._listeners:
                listener()

    async def _connect(self, former: int | None) -> "asyncpg.Connection[asyncpg.Record]":
        """After a lost connection nobody knows what was committed: the audit chain goes on from what is stored."""
        con = await asyncpg.connect(self._url, server_settings=_SETTINGS, timeout=5, command_timeout=10)
        if former is not None:
            mine = "FROM pg_stat_activity WHERE pid = $1 AND usename = current_user AND datname = current_database()"
            await con.fetch(f"SELECT pg_terminate_backend(pid, 4000) {mine}", former)
            sql = "SELECT seq, digest FROM audit WHERE slot = $1 ORDER BY seq DESC LIMIT 1"
            head = await con.fetchrow(sql, self._slot.number)
            self._slot.audit_seq, self._slot.audit_head = tuple(head) if head else (0, b"")
        return con

    async def _group(
        self, batch: list[tuple[Change, "asyncio.Future[Outcome]"]], con: "asyncpg.Connection[asyncpg.Record]"
    ) -> None:
        kept = self._slot.copy()
        for attempt in range(5):
            try:
                async with con.transaction():
                    outcomes = await self._drive([change for change, _ in batch], con)
                break
            except asyncio.CancelledError:
                raise
            except Exception as error:
                if _is_lost(error):
                    raise
                vars(self._slot).update(vars(kept))
                if isinstance(error, _AGAIN) and attempt < 4:
                    await asyncio.sleep(0.002 * 2**attempt)
                    continue
                if len(batch) > 1:
                    for item in batch:
                        await self._group([item], con)
                elif isinstance(error, Collision) and attempt < 4:
                    continue
                elif not batch[0][1].done():
                    batch[0][1].set_exception(error)
                return
        for (_, future), outcome in zip(batch, outcomes, strict=True):
            if not future.done():
                future.set_result(outcome)

    async def _drive(self, changes: list[Change], con: "asyncpg.Connection[asyncpg.Record]") -> list[Outcome]:
        steps = group(changes, self._keys, self._slot, self._now)
        answer: Any = None
        while True:
            try:
                step = steps.send(answer)
            except StopIteration as end:
                if any(_wakes(change) for change in changes):
                    await con.execute(f"NOTIFY {CHANNEL}")
                return end.value  # type: ignore[no-any-return]
            answer = await _run(con, step)

    # wake-up

    def on_commit(self, listener: Callable[[], None]) -> None:
        self._listeners.append(listener)
        if not self._notified:
            self._notified = True
            self._tasks.append(asyncio.create_task(self._listen()))

    async def _listen(self) -> None:
        """NOTIFY of other processes; on a lost connection the one-second poll of the worker bridges the gap."""
        while True:
            with contextlib.suppress(*_LOST, TimeoutError):
                con = await asyncpg.connect(self._url, timeout=5)
                try:
                    await con.add_listener(CHANNEL, self._notify)
                    while not con.is_closed():
                        await asyncio.sleep(0.5)
                finally:
                    await con.close(timeout=1)
            await asyncio.sleep(0.5)

    def _notify(self, *_facts: object) -> None:
        for listener in self._listeners:
            listener()

    async def close(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._pool.close(), 2)


def _rows(records: "list[asyncpg.Record]") -> list[Row]:
    """A Record is read like a tuple everywhere here."""
    return cast("list[Row]", records)


def _wakes(change: Change) -> bool:
    """Work for a worker, or what a live page waits for. NOTIFY takes a lock at commit: not for every write."""
    return bool(change.jobs) or any(write.rtype == "Communication" for write in change.writes)


async def _no_reset(_connection: object) -> None:
    """Our connections hold no session state; the default RESET ALL would cost a round trip per query."""


def _is_lost(error: Exception) -> bool:
    """Whether the connection is gone. asyncpg's word for a wrong parameter is an InterfaceError and a ValueError."""
    return isinstance(error, (*_LOST, TimeoutError)) and not isinstance(error, ValueError)


def _fail(batch: list[tuple[Change, "asyncio.Future[Outcome]"]], error: Exception) -> None:
    for _, future in batch:
        if not future.done():
            future.set_exception(error)


async def _run(con: "asyncpg.Connection[asyncpg.Record]", step: Step) -> list[Row]:
    match step:
        case FetchIn(table, names, column, values):
            lock = "" if table == "version" else " FOR UPDATE"
            sql = f"SELECT {names} FROM {table} WHERE {column} = ANY($1::int8[]) ORDER BY {column}{lock}"
            return _rows(await con.fetch(sql, list(values)))
        case Insert(table, rows, on_conflict, returning, params):
            arrays = list(zip(*rows, strict=True)) if rows else [()] * len(columns(table))
            return _rows(await con.fetch(pg_insert(table, on_conflict, returning), *arrays, *params))
        case DeletePairs(pairs):
            keys, vids = zip(*pairs, strict=True)
            await con.execute(
                "DELETE FROM ix USING unnest($1::int8[], $2::int8[]) AS d(key, vid) "
                "WHERE ix.key = d.key AND ix.vid = d.vid",
                keys,
                vids,
            )
        case DeleteIn(table, column, values):
            await con.execute(f"DELETE FROM {table} WHERE {column} = ANY($1::int8[])", list(values))
        case Run(sql, rows):
            await con.executemany(dollars(sql), rows)
    return []
