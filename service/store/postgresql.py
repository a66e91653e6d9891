"""PostgreSQL: asyncpg; one committer per process that takes all that waits as one group."""

import asyncio
import contextlib
import time
from collections.abc import Callable
from typing import Any

import asyncpg

from fhir_profiles.topics import watched
from service.log_events import COMMIT_FAILED, log, where
from service.metrics import group_committed
from service.search.keys import Keys
from service.store.change import Change
from service.store.commit import group
from service.store.database import WRITER, Row, Unavailable
from service.store.dialect import dollars
from service.store.postgresql_faults import Fault, as_unavailable, fault_of, pause_s
from service.store.postgresql_pool import POINTS, SEARCHES, SETTINGS, STATEMENTS, Pool, for_values
from service.store.postgresql_reach import Reach
from service.store.postgresql_steps import run_step
from service.store.slots import HEAD, Slot
from service.store.space import grows
from service.store.steps import Collision, Outcome
from service.store.together import current
from service.store.waiting import Item, Waiting, fail

GROUP = 128
GROUP_S = 6.0
"""A group that takes longer is given up with its connection: the server, or the way to it, stands still."""
CONNECT_S = 3.0
LOST_S = 0.05
"""After a lost group: a server that takes connections and refuses the work (a standby) is not asked without a pause."""
CHANNEL = "enlace"
LISTEN_S = 30.0
"""So often the listening connection is asked whether it is alive."""

Connection = Any
"""asyncpg.Connection, or what the pool lends."""
Former = tuple[int, Any]
"""Process id and start of the backend that the committer lost."""


class Postgresql:
    """See database.Database."""

    name = "postgresql"

    def __init__(self, url: str):
        self._url = url
        self._reach = Reach(url)
        self._points = Pool(url, self._reach, POINTS, SETTINGS)
        self._searches = Pool(url, self._reach, SEARCHES, for_values())
        self._waiting = Waiting()
        self._former: Former | None = None
        self._listeners: list[Callable[[], None]] = []
        self._tasks: list[asyncio.Task[None]] = []
        self._notified = False

    async def open(self) -> None:
        """Raises Unavailable: a sentence with the remedy."""
        await self._points.open()
        await self._searches.open()

    async def start(self, keys: Keys, slot: Slot, now_us: Callable[[], int]) -> None:
        self._keys, self._slot, self._now = keys, slot, now_us
        self._tasks += [asyncio.create_task(self._commit_forever()), asyncio.create_task(self._expire_forever())]

    # reads

    async def fetch(
        self, sql: str, params: tuple[Any, ...] = (), *, heavy: bool = False, varying: bool = False
    ) -> list[Row]:
        if heavy or varying:
            return await self._searches.run(dollars(sql), params, repeatable=True)
        if (beside := current()) is not None and "$" not in sql:
            return await beside.fetch(sql, params)
        return await self._points.run(dollars(sql), params, repeatable=True)

    # writes

    async def commit(self, change: Change) -> Outcome:
        return await self._waiting.put(change)

    async def execute(self, sql: str, params: tuple[Any, ...] = ()) -> list[Row]:
        return await self._points.run(dollars(sql), params, repeatable=False)

    async def _expire_forever(self) -> None:
        while True:
            await asyncio.sleep(0.25)
            self._waiting.expire()

    async def _commit_forever(self) -> None:
        con: Connection | None = None
        try:
            while True:
                await self._waiting.some()
                if con is None or con.is_closed():
                    con = await self._connected()
                if not await self._take(con):
                    con.terminate()
                    con = None
                    await asyncio.sleep(LOST_S)
        finally:
            self._waiting.end()
            if con is not None:
                con.terminate()

    async def _take(self, con: Connection) -> bool:
        """Commits what waits as one group; False where the connection is of no use any more."""
        batch = self._waiting.take(GROUP)
        if not batch:
            return True
        good = True
        began = time.monotonic()
        cut = asyncio.get_running_loop().call_later(GROUP_S, con.terminate)
        try:
            await self._group(batch, con)
        except asyncio.CancelledError:
            fail(batch, Unavailable("shutting down"))
            raise
        except Exception as error:
            # Whether the commit happened is unknown: the caller hears 503; a retry is safe by version or claim.
            good, self._waiting.away = False, True
            fail(batch, Unavailable(type(error).__name__))
            self._reach.suspect(error, still=time.monotonic() - began >= GROUP_S)
        finally:
            cut.cancel()
        for listener in self._listeners:
            listener()
        return good

    async def _connected(self) -> Connection:
        """Tries until the server takes us; meanwhile what waits is bounded (store/waiting.py)."""
        since = time.monotonic()
        while True:
            try:
                con = await self._connect()
                self._waiting.away = False
                return con
            except asyncio.CancelledError:
                raise
            except Exception as error:
                self._waiting.away = True
                if fault_of(error) is not Fault.BUSY:
                    self._reach.suspect(error)
            await asyncio.sleep(pause_s(time.monotonic() - since))

    async def _connect(self) -> Connection:
        """After a lost connection nobody knows what was committed: the audit chain goes on from what is stored."""
        settings = {**SETTINGS, "application_name": WRITER}
        con = await asyncpg.connect(
            self._url, server_settings=settings, timeout=CONNECT_S, statement_cache_size=STATEMENTS
        )
        cut = asyncio.get_running_loop().call_later(GROUP_S, con.terminate)
        try:
            if self._former is not None:
                await self._take_over(con, self._former)
            mine = await con.fetchrow("SELECT pid, backend_start FROM pg_stat_activity WHERE pid = pg_backend_pid()")
            self._former = (mine["pid"], mine["backend_start"]) if mine else None
        except BaseException:
            con.terminate()
            raise
        finally:
            cut.cancel()
        return con

    async def _take_over(self, con: Connection, former: Former) -> None:
        """Ends the lost connection's backend, which may still be about to commit; then reads what is stored."""
        mine = (
            "FROM pg_stat_activity WHERE pid = $1 AND backend_start = $2 AND usename = current_user "
            "AND datname = current_database()"
        )
        ended = await con.fetch(f"SELECT pg_terminate_backend(pid, 4000) {mine}", *former)
        if not all(row[0] for row in ended):
            raise Unavailable("the former connection does not end")
        await self._read_head(con)

    async def _read_head(self, con: Connection) -> None:
        self._slot.chain_on(await con.fetchrow(dollars(HEAD), self._slot.number))

    async def _group(self, batch: list[Item], con: Connection) -> None:
        """Commits the batch and tells each. Raises where the connection is lost: what happened is unknown."""
        kept = self._slot.copy()
        for attempt in range(5):
            began = time.perf_counter()
            try:
                outcomes = await self._transaction([item.change for item in batch], con)
                break
            except Exception as error:
                fault = fault_of(error)
                if fault is Fault.LOST:
                    raise
                vars(self._slot).update(vars(kept))
                if attempt < 4 and isinstance(error, asyncpg.UniqueViolationError) and error.table_name == "audit":
                    # We, or who had our slot before us, stood still for longer than a lease and then wrote on.
                    await self._read_head(con)
                    continue
                if attempt < 4 and (fault is Fault.AGAIN or (isinstance(error, Collision) and len(batch) == 1)):
                    await asyncio.sleep(0.002 * 2**attempt)
                    continue
                await self._parted(batch, con, error)
                return
        group_committed(len(batch), time.perf_counter() - began)
        for item, outcome in zip(batch, outcomes, strict=True):
            if not item.future.done():
                item.future.set_result(outcome)

    async def _parted(self, batch: list[Item], con: Connection, error: Exception) -> None:
        """Nothing of the group happened: who is to be tried again, and who hears the error."""
        fault = fault_of(error)
        if fault is Fault.AGAIN or fault is None:
            if fault is None and not isinstance(error, Collision):
                log(COMMIT_FAILED, changes=len(batch), **where(error))
            if len(batch) == 1:
                fail(batch, as_unavailable(error, fault) if fault else error)
                return
            for item in batch:
                await self._group([item], con)
            return
        large = [item for item in batch if grows(item.change)] if fault is Fault.FULL else batch
        fail(large, as_unavailable(error, fault))
        small = [item for item in batch if not item.future.done()]
        if small and large:
            await self._group(small, con)
        else:
            fail(small, as_unavailable(error, fault))

    async def _transaction(self, changes: list[Change], con: Connection) -> list[Outcome]:
        """Raises where nothing of it happened, or the connection is lost. Not by con.transaction(): fewer trips."""
        await con.execute("BEGIN")
        try:
            outcomes = await self._drive(changes, con)
            wakes = any(_wakes(change) for change in changes)
            await con.execute(f"NOTIFY {CHANNEL}; COMMIT" if wakes else "COMMIT")
        except Exception:
            if not con.is_closed() and con.is_in_transaction():
                await con.execute("ROLLBACK")
            raise
        return outcomes

    async def _drive(self, changes: list[Change], con: Connection) -> list[Outcome]:
        steps = group(changes, self._keys, self._slot, self._now)
        answer: Any = None
        while True:
            try:
                step = steps.send(answer)
            except StopIteration as end:
                return end.value  # type: ignore[no-any-return]
            answer = await run_step(con, step)

    # wake-up

    def on_commit(self, listener: Callable[[], None]) -> None:
        self._listeners.append(listener)
        if not self._notified:
            self._notified = True
            self._tasks.append(asyncio.create_task(self._listen()))

    async def _listen(self) -> None:
        """NOTIFY of other processes; on a lost connection the one-second poll of the worker bridges the gap."""
        since = time.monotonic()
        while True:
            with contextlib.suppress(Exception):  # whatever ended it: connect anew
                con = await asyncpg.connect(self._url, timeout=CONNECT_S)
                try:
                    await con.add_listener(CHANNEL, self._notify)
                    since = time.monotonic()
                    self._notify()  # of what was committed meanwhile nobody told us
                    await _watch(con)
                finally:
                    con.terminate()
            await asyncio.sleep(pause_s(time.monotonic() - since) * 5)

    def _notify(self, *_facts: object) -> None:
        for listener in self._listeners:
            listener()

    async def close(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._reach.close()
        await asyncio.gather(self._points.close(), self._searches.close())


async def _watch(con: Connection) -> None:
    """Returns or raises once the connection is dead, also where nobody told us (a half-open one)."""
    looked = time.monotonic()
    while not con.is_closed():
        await asyncio.sleep(0.5)
        if time.monotonic() - looked > LISTEN_S:
            looked = time.monotonic()
            cut = asyncio.get_running_loop().call_later(CONNECT_S, con.terminate)
            await con.execute("SELECT 1")
            cut.cancel()


def _wakes(change: Change) -> bool:
    """Work for a worker, or what a live page waits for. NOTIFY takes a lock at commit: not for every write."""
    return bool(change.jobs) or any(write.rtype in watched() for write in change.writes)
