"""Connections for single statements on PostgreSQL.

No statement waits longer than CUT_S, whatever the server or the network does; while the server is away nothing is sent.
"""

import asyncio
import contextlib
import time
from typing import Any, cast

import asyncpg

from service.store.database import Row, TooCostly, Unavailable
from service.store.postgresql_faults import Fault, as_unavailable, fault_of
from service.store.postgresql_reach import Reach

POINTS, SEARCHES = 6, 4
"""Connections of a process for statements whose plan is kept, and for those planned for their values."""
STATEMENTS = 300
"""Prepared ones that a connection keeps: a worker runs some 150 different ones."""
ACQUIRE_S = 3.0
TICK_S = 0.25
CUT_S = 6.0
"""Longer than statement_timeout: a server that is there answers before. Then the connection is given up."""
IDLE_S = 60.0
"""So long is a connection kept at hand that nobody uses."""
RETRY_S = 1.0
"""A read whose connection died within this time is sent once more, as often as there may be dead ones in the pool."""

SETTINGS = {
    "plan_cache_mode": "force_generic_plan",  # planning a read by key costs more than the read
    "enable_seqscan": "off",  # a kept plan was made when the table was small, and serves on while it grows
    "statement_timeout": "5000",
    "lock_timeout": "4000",
    "idle_in_transaction_session_timeout": "10000",
    "jit": "off",
    "search_path": "public",
}


def for_values() -> dict[str, str]:
    """SETTINGS of a session whose statements are planned each time: kept plans of searches were measured ten times
    slower (stack.md 3)."""
    return {**SETTINGS, "plan_cache_mode": "force_custom_plan", "enable_seqscan": "on"}


class Pool:
    """Statements that need no transaction of their own, on `size` connections at most. settings: of each session."""

    def __init__(self, url: str, reach: Reach, size: int, settings: dict[str, str]):
        self._url, self._reach, self._size, self._settings = url, reach, size, settings
        self._cutting: asyncio.Task[None] | None = None
        self._running: dict[int, tuple[Any, float]] = {}
        """Connections that carry a statement, and since when."""
        self._free: list[tuple[Any, float]] = []
        """Kept at hand, and since when, the last used last: lending one from asyncpg's pool and giving it back costs
        as much as a statement."""
        self._turns = asyncio.Semaphore(size)
        self._pool: asyncpg.Pool[asyncpg.Record] | None = None

    async def open(self) -> None:
        """Raises Unavailable: a sentence with the remedy."""
        try:
            self._pool = await asyncpg.create_pool(
                self._url,
                min_size=1,
                max_size=self._size,
                server_settings=self._settings,
                reset=_no_reset,
                timeout=ACQUIRE_S,
                statement_cache_size=STATEMENTS,
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
        for more in range(self._size if repeatable else 0, -1, -1):
            if self._reach.away:
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
                    self._reach.suspect(error, still=took_s >= CUT_S)
                    if more and took_s < RETRY_S:
                        continue
                raise as_unavailable(error, fault) from error
        raise Unavailable("the database is away")

    async def _once(self, sql: str, params: tuple[Any, ...]) -> list[Row]:
        if self._turns.locked():
            async with asyncio.timeout(ACQUIRE_S):
                await self._turns.acquire()
        else:  # a connection is at hand, or made within ACQUIRE_S
            await self._turns.acquire()
        try:
            return await self._on(await self._lent(), sql, params)
        finally:
            self._turns.release()

    async def _lent(self) -> Any:
        assert self._pool is not None
        while self._free:
            con, _ = self._free.pop()
            if not con.is_closed():
                return con
            await self._pool.release(con)
        return await self._pool.acquire()

    async def _on(self, con: Any, sql: str, params: tuple[Any, ...]) -> list[Row]:
        assert self._pool is not None
        now = time.monotonic()
        self._running[id(con)] = (con, now)
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
            if con.is_closed():
                await self._pool.release(con)
            else:
                self._free.append((con, now))

    async def _cut_forever(self) -> None:
        """asyncpg's own timeout asks the server to cancel, and waits for a server that may be frozen."""
        assert self._pool is not None
        while True:
            await asyncio.sleep(TICK_S)
            now = time.monotonic()
            for con, since in list(self._running.values()):
                if since < now - CUT_S:
                    _end(con)
            while self._free and self._free[0][1] < now - IDLE_S:  # asyncpg closes it after a while
                idle, _ = self._free.pop(0)
                try:
                    await self._pool.release(idle)
                except Exception:  # that it cannot be given back must not end the watch over the others
                    _end(idle)

    async def close(self) -> None:
        if self._cutting:
            self._cutting.cancel()
        if self._pool is None:
            return
        try:
            async with asyncio.timeout(2):
                while self._free:
                    await self._pool.release(self._free.pop()[0])
                await self._pool.close()
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
