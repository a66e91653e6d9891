"""Connections for single statements on PostgreSQL, and whether the server can be reached at all.

No statement waits longer than CUT_S, whatever the server or the network does; while the server is away nothing is sent
and a probe looks for it.
"""

import asyncio
import contextlib
import time
from typing import Any, cast

import asyncpg

from service.log_events import STORE_AWAY, STORE_BACK, log, where
from service.store.database import Row, TooCostly, Unavailable
from service.store.postgresql_faults import Fault, as_unavailable, fault_of, pause_s

SIZE = 8
ACQUIRE_S = 3.0
TICK_S = 0.25
CUT_S = 6.0
"""Longer than statement_timeout: a server that is there answers before. Then the connection is given up."""
PROBE_S = 2.0
RETRY_S = 1.0
"""A read whose connection died within this time is sent once more, as often as there may be dead ones in the pool."""

SETTINGS = {
    "plan_cache_mode": "force_custom_plan",  # generic plans were measured ten times slower (stack.md 3)
    "statement_timeout": "5000",
    "lock_timeout": "4000",
    "idle_in_transaction_session_timeout": "10000",
    "jit": "off",
    "search_path": "public",
}


class Pool:
    """Statements that need no transaction of their own."""

    def __init__(self, url: str):
        self._url = url
        self.away = False
        """The last probe did not reach the server."""
        self._probing: asyncio.Task[None] | None = None
        self._cutting: asyncio.Task[None] | None = None
        self._running: dict[int, tuple[Any, float]] = {}
        """Connections that carry a statement, and since when."""
        self._wanted = 0
        self._pool: asyncpg.Pool[asyncpg.Record] | None = None

    async def open(self) -> None:
        """Raises Unavailable: a sentence with the remedy."""
        try:
            self._pool = await asyncpg.create_pool(
                self._url, min_size=1, max_size=SIZE, server_settings=SETTINGS, reset=_no_reset, timeout=ACQUIRE_S
            )
        except Exception as error:
            if fault_of(error) is None:
                raise
            name = type(error).__name__
            raise Unavailable(
                f"The database cannot be reached ({name}): check ENLACE_DATABASE_URL and that the server runs."
            ) from error
        self._cutting = asyncio.get_running_loop().create_task(self._cut_forever())

    async def run(self, sql: str, params: tuple[Any, ...], *, repeatable: bool) -> list[Row]:
        """One statement. repeatable: a read, which is sent again where its connection was found dead."""
        began = time.monotonic()
        for more in range(SIZE if repeatable else 0, -1, -1):
            if self.away:
                raise Unavailable("the database is away")
            try:
                return await self._once(sql, params)
            except Exception as error:
                fault = fault_of(error)
                if fault is None:
                    raise
                if fault is Fault.TOO_LONG:
                    raise TooCostly from error
                if fault is Fault.LOST:
                    took_s = time.monotonic() - began
                    self.suspect(error, still=took_s >= CUT_S)
                    if more and took_s < RETRY_S:
                        continue
                raise as_unavailable(error, fault) from error
        raise Unavailable("the database is away")

    async def _once(self, sql: str, params: tuple[Any, ...]) -> list[Row]:
        assert self._pool is not None
        self._wanted += 1
        try:
            if self._wanted <= SIZE:  # one is free, or made within ACQUIRE_S
                con = await self._pool.acquire()
            else:
                async with asyncio.timeout(ACQUIRE_S):
                    con = await self._pool.acquire()
            return await self._on(con, sql, params)
        finally:
            self._wanted -= 1

    async def _on(self, con: Any, sql: str, params: tuple[Any, ...]) -> list[Row]:
        assert self._pool is not None
        self._running[id(con)] = (con, time.monotonic())
        try:
            return rows_of(await con.fetch(sql, *params))
        except BaseException as error:
            # Lost, but perhaps not yet closed: the next to borrow it would hear the rest of this. Cancelled: giving it
            # back would wait for the server to cancel too.
            if isinstance(error, asyncio.CancelledError) or fault_of(error) is Fault.LOST:
                _end(con)
            raise
        finally:
            del self._running[id(con)]
            await self._pool.release(con)

    async def _cut_forever(self) -> None:
        """asyncpg's own timeout asks the server to cancel, and waits for a server that may be frozen."""
        while True:
            await asyncio.sleep(TICK_S)
            late = time.monotonic() - CUT_S
            for con, since in list(self._running.values()):
                if since < late:
                    _end(con)

    def suspect(self, error: Exception, *, still: bool = False) -> None:
        """A connection was lost: find out whether the server is there. still: it answers nothing, so nobody waits."""
        if still:
            self._gone(error)
        if self._probing is None or self._probing.done():
            self._probing = asyncio.get_running_loop().create_task(self._probe())

    async def _probe(self) -> None:
        since = time.monotonic()
        while True:
            try:
                con = await asyncpg.connect(self._url, timeout=PROBE_S)
                with contextlib.suppress(Exception):
                    await con.close(timeout=PROBE_S)
                break
            except Exception as error:
                if fault_of(error) is Fault.BUSY:
                    break  # it is there, and says that it has no connection to spare
                self._gone(error)
            await asyncio.sleep(pause_s(time.monotonic() - since))
        if self.away:
            self.away = False
            log(STORE_BACK, ms=int((time.monotonic() - since) * 1000))

    def _gone(self, error: Exception) -> None:
        if not self.away:
            self.away = True
            log(STORE_AWAY, **where(error))

    async def close(self) -> None:
        for task in (self._probing, self._cutting):
            if task:
                task.cancel()
        if self._pool is None:
            return
        try:
            await asyncio.wait_for(self._pool.close(), 2)
        except Exception:  # a server that does not answer hears no farewell
            self._pool.terminate()


def rows_of(records: "list[asyncpg.Record]") -> list[Row]:
    """A Record is read like a tuple everywhere here."""
    return cast("list[Row]", records)


def _end(con: Any) -> None:
    with contextlib.suppress(asyncpg.InterfaceError):  # it is closed, and the pool has taken it back already
        con.terminate()


async def _no_reset(_connection: object) -> None:
    """Our connections hold no session state; the default RESET ALL would cost a round trip per query."""
