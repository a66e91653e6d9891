"""The PostgreSQL side of backup and restore: COPY in binary form, streamed, from one REPEATABLE READ snapshot."""

from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any, cast

import asyncpg

from service.store.backup_archive import BackupError
from service.store.backup_places import VERSION_TABLE, Row, quoted
from service.store.backup_rows import Table
from service.store.database import TooCostly
from service.store.dialect import dollars

CONNECT_S = 4.0
_KINDS = {"bigint": "int8", "smallint": "int2", "text": "text", "bytea": "bytea", "double precision": "float8"}
_SETTINGS = {
    "search_path": "public",
    "lock_timeout": "10000",
    "idle_in_transaction_session_timeout": "0",
    "row_security": "off",  # a policy that hides rows is an error here, never a smaller backup
    "application_name": "enlace backup",
    "jit": "off",
}
_NAMES = (
    "SELECT c.relname::text FROM pg_class c WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p') "
    f"AND NOT c.relispartition AND c.relname <> '{VERSION_TABLE}' ORDER BY c.relname::text COLLATE \"C\""
)
_COLUMNS = (
    "SELECT a.attname::text, format_type(a.atttypid, a.atttypmod) FROM pg_attribute a "
    "WHERE a.attrelid = to_regclass(?) AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum"
)
_KEY = (
    "SELECT a.attname::text FROM pg_index i CROSS JOIN LATERAL unnest(i.indkey) WITH ORDINALITY k(number, at) "
    "JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.number "
    "WHERE i.indrelid = to_regclass(?) AND i.indisprimary ORDER BY k.at"
)


class PgPlace:
    """See backup_places.Place."""

    engine = "postgresql"

    def __init__(self, con: "asyncpg.Connection[asyncpg.Record]"):
        self._con = con

    @classmethod
    async def open(cls, url: str, statement_ms: int) -> "PgPlace":
        settings = _SETTINGS | {"statement_timeout": str(statement_ms)}
        try:
            return cls(await asyncpg.connect(url, server_settings=settings, timeout=CONNECT_S, statement_cache_size=0))
        except asyncpg.InvalidCatalogNameError:
            raise BackupError("The server has no database of that name: create it (CREATE DATABASE), empty.") from None
        except asyncpg.InvalidAuthorizationSpecificationError:
            raise BackupError("The database refuses the user or password of ENLACE_DATABASE_URL.") from None
        except (OSError, TimeoutError, ValueError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
            raise BackupError(
                f"The database server cannot be reached ({type(error).__name__}): check it and ENLACE_DATABASE_URL."
            ) from None

    async def fetch(self, sql: str, params: tuple[Any, ...] = ()) -> list[Row]:
        try:
            return cast("list[Row]", await self._con.fetch(dollars(sql), *params))
        except asyncpg.QueryCanceledError as error:
            raise TooCostly from error

    async def execute(self, sql: str, params: tuple[Any, ...] = ()) -> None:
        await self._con.execute(dollars(sql), *params)

    async def table_names(self) -> tuple[str, ...]:
        return tuple(row[0] for row in await self.fetch(_NAMES))

    async def tables(self) -> tuple[Table, ...]:
        found = []
        for name in await self.table_names():
            facts = await self.fetch(_COLUMNS, (name,))
            unknown = [kind for _, kind in facts if kind not in _KINDS]
            key = tuple(row[0] for row in await self.fetch(_KEY, (name,)))
            if unknown or not key:
                raise BackupError(
                    f"Table {name} is none of Enlace's: it has no primary key, or a column of type {unknown}."
                )
            found.append(Table(name, tuple((column, _KINDS[kind]) for column, kind in facts), key))
        return tuple(found)

    async def snapshot(self) -> None:
        await self._con.execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
        await self._con.fetch("SELECT 1")  # the first statement is what takes the snapshot

    async def lock(self, tables: tuple[Table, ...]) -> None:
        await self._con.execute("BEGIN")
        await self._con.execute(f"LOCK TABLE {quoted(tuple(table.name for table in tables))} IN ACCESS EXCLUSIVE MODE")

    async def commit(self) -> None:
        await self._con.execute("COMMIT")

    async def rollback(self) -> None:
        if self._con.is_in_transaction():
            await self._con.execute("ROLLBACK")

    async def copy_out(self, table: Table, write: Callable[[bytes], None]) -> int:
        kinds = dict(table.columns)
        order = ", ".join(f'"{name}"' + (' COLLATE "C"' if kinds[name] == "text" else "") for name in table.key)

        async def output(data: bytes) -> None:
            write(data)

        sql = f'SELECT {quoted(table.names)} FROM "{table.name}" ORDER BY {order}'
        status = await self._con.copy_from_query(sql, output=output, format="binary")
        return int(status.split()[-1])

    async def copy_in(self, table: Table, chunks: Iterator[bytes]) -> int:
        async def source() -> AsyncIterator[bytes]:
            for data in chunks:
                yield data

        status = await self._con.copy_to_table(
            table.name, source=source(), columns=list(table.names), schema_name="public", format="binary"
        )
        return int(status.split()[-1])

    async def finish(self) -> None:
        await self._con.execute("ANALYZE")

    async def close(self) -> None:
        await self._con.close(timeout=5)
