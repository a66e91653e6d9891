"""Reads as the reader role, under row-level security: a pool of its own, each statement under the rights of its caller.

A connection remembers the rights that it was given last, and is given others before a statement of another caller; so
nobody reads under rights that are not their own, and a caller that comes again costs no round trip.
"""

import asyncio
from typing import Any, cast
from urllib.parse import urlsplit
from weakref import WeakKeyDictionary

import asyncpg

from service.search.restriction import Restriction
from service.store.database import Row, TooCostly, Unavailable
from service.store.dialect import dollars
from service.store.postgresql_faults import Fault, as_unavailable, fault_of
from service.store.postgresql_pool import SEARCHES, for_values, rows_of
from service.store.row_security import SET, rights, statements

ACQUIRE_S = 3.0
CUT_S = 6.0


class Reader:
    """fetch() of one caller's rights; whoever has no restriction does not read here."""

    def __init__(self, url: str):
        self._url = url
        self._pool: asyncpg.Pool[asyncpg.Record] | None = None
        self._held: WeakKeyDictionary[Any, tuple[str, ...]] = WeakKeyDictionary()

    async def open(self) -> None:
        settings = {**for_values(), "default_transaction_read_only": "on"}
        self._pool = await asyncpg.create_pool(
            self._url, min_size=1, max_size=2 * SEARCHES, server_settings=settings, reset=_no_reset, timeout=ACQUIRE_S
        )

    async def fetch(
        self, sql: str, params: tuple[Any, ...], restriction: Restriction, *, exact: bool = False
    ) -> list[Row]:
        """Raises ValueError for who sees all: that is not for this role."""
        if restriction.unrestricted:
            raise ValueError("an unrestricted read is not for the reader role")
        wanted = rights(restriction, exact=exact)
        assert self._pool is not None
        try:
            async with asyncio.timeout(CUT_S), self._pool.acquire(timeout=ACQUIRE_S) as lent:
                con = cast(Any, lent)._con  # the proxy is another at each loan
                if self._held.get(con) != wanted:
                    # Forgotten first: where it fails half-way nobody knows what the connection has.
                    self._held.pop(con, None)
                    await lent.fetchrow(SET, *wanted)
                    self._held[con] = wanted
                return rows_of(await lent.fetch(dollars(sql), *params))
        except TimeoutError as error:
            raise Unavailable("reader") from error
        except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError) as error:
            fault = fault_of(error)
            if fault is None:
                raise
            if fault is Fault.TOO_LONG:
                raise TooCostly from error
            raise as_unavailable(error, fault) from error

    async def close(self) -> None:
        if self._pool is not None:
            try:
                await asyncio.wait_for(self._pool.close(), 2)
            except Exception:  # a server that does not answer hears no farewell
                self._pool.terminate()


async def _no_reset(_connection: object) -> None:
    """Rights are set before each statement; the default RESET ALL would cost a round trip each."""


async def secure(owner_url: str, reader_url: str) -> None:
    """Makes policies and grants anew, in one transaction. The role must exist: CREATE ROLE ... LOGIN PASSWORD ..."""
    con = await asyncpg.connect(owner_url)
    try:
        async with con.transaction():
            for statement in statements(urlsplit(reader_url).username or ""):
                await con.execute(statement)
    finally:
        await con.close()
