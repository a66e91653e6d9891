"""The SQLite side of backup and restore: a read transaction is the snapshot, and in WAL mode it stops no writer.

No copy of the file is made: it would need its size once more, and pages would be copied unread. While the transaction
is open the WAL grows by what is written meanwhile.
"""

import asyncio
import sqlite3
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from service.store.backup_archive import BackupError
from service.store.backup_places import VERSION_TABLE, Row, quoted
from service.store.backup_rows import HEADER, TRAILER, Table, decode, encode
from service.store.database import TooCostly, Unavailable
from service.store.dialect import marks
from service.store.sqlite import connect

_KINDS = {"BIGINT": "int8", "INTEGER": "int8", "SMALLINT": "int2", "TEXT": "text", "BLOB": "bytea", "DOUBLE": "float8"}
_BATCH = 1000
_BUSY_S = 30.0
_NAMES = (
    "SELECT name FROM sqlite_master WHERE type = 'table' AND substr(name, 1, 7) <> 'sqlite_' "
    f"AND name <> '{VERSION_TABLE}' ORDER BY name"
)


class LitePlace:
    """See backup_places.Place. Statements run in a thread, so that a limit of time or Ctrl-C is heard."""

    engine = "sqlite"

    def __init__(self, con: sqlite3.Connection, statement_ms: int):
        self._con, self._statement_ms = con, statement_ms

    @classmethod
    async def open(cls, path: str, statement_ms: int) -> "LitePlace":
        if not Path(path).exists():
            raise BackupError(f"There is no database at {Path(path).absolute()}: run `enlace migrate` first.")
        try:
            return cls(await asyncio.to_thread(connect, path, writer=True), statement_ms)
        except sqlite3.Error as error:
            raise BackupError(
                f"{Path(path).absolute()} cannot be opened as a database ({error}): check ENLACE_DATABASE_URL."
            ) from None

    async def fetch(self, sql: str, params: tuple[Any, ...] = ()) -> list[Row]:
        return await asyncio.to_thread(self._fetch, sql, params)

    def _fetch(self, sql: str, params: tuple[Any, ...]) -> list[Row]:
        if self._statement_ms:
            until = time.monotonic() + self._statement_ms / 1000
            self._con.set_progress_handler(lambda: time.monotonic() > until, 200_000)
        try:
            return self._con.execute(sql, params).fetchall()
        except sqlite3.OperationalError as error:
            if "interrupted" in str(error):
                raise TooCostly from error
            raise

    async def execute(self, sql: str, params: tuple[Any, ...] = ()) -> None:
        await asyncio.to_thread(self._patiently, sql, params)

    def _patiently(self, sql: str, params: tuple[Any, ...] = ()) -> None:
        """Beside a busy writer: every 0.5 ms, as the store itself does (../shared/decisions.md 32)."""
        until = time.monotonic() + _BUSY_S
        while True:
            try:
                self._con.execute(sql, params)
                return
            except sqlite3.OperationalError as error:
                if "locked" not in str(error) and "busy" not in str(error):
                    raise
                if time.monotonic() > until:
                    raise Unavailable("the database file is locked by another process") from error
                time.sleep(0.0005)

    async def table_names(self) -> tuple[str, ...]:
        return tuple(row[0] for row in await self.fetch(_NAMES))

    async def tables(self) -> tuple[Table, ...]:
        found = []
        for name in await self.table_names():
            facts = await self.fetch("SELECT name, type, pk FROM pragma_table_info(?) ORDER BY cid", (name,))
            unknown = [kind for _, kind, _ in facts if kind not in _KINDS]
            key = tuple(column for column, _, pk in sorted(facts, key=lambda fact: fact[2]) if pk)
            if unknown or not key:
                raise BackupError(
                    f"Table {name} is none of Enlace's: it has no primary key, or a column of type {unknown}."
                )
            found.append(Table(name, tuple((column, _KINDS[kind]) for column, kind, _ in facts), key))
        return tuple(found)

    async def snapshot(self) -> None:
        await self.execute("PRAGMA query_only=ON")
        await self.execute("BEGIN")
        await self.fetch("SELECT count(*) FROM sqlite_master")  # the first read is what takes the snapshot

    async def lock(self, tables: tuple[Table, ...]) -> None:
        await self.execute("BEGIN EXCLUSIVE")

    async def commit(self) -> None:
        await self.execute("COMMIT")

    async def rollback(self) -> None:
        if self._con.in_transaction:
            await self.execute("ROLLBACK")

    async def copy_out(self, table: Table, write: Callable[[bytes], None]) -> int:
        return await asyncio.to_thread(self._copy_out, table, write)

    def _copy_out(self, table: Table, write: Callable[[bytes], None]) -> int:
        sql = f'SELECT {quoted(table.names)} FROM "{table.name}" ORDER BY {quoted(table.key)}'
        cursor, count = self._con.execute(sql), 0
        write(HEADER)
        while rows := cursor.fetchmany(_BATCH):
            write(encode(table, rows))
            count += len(rows)
        write(TRAILER)
        return count

    async def copy_in(self, table: Table, chunks: Iterator[bytes]) -> int:
        sql = f'INSERT INTO "{table.name}" ({quoted(table.names)}) VALUES ({marks(len(table.columns))})'

        def work() -> int:
            return self._con.executemany(sql, decode(table, chunks)).rowcount

        return max(await asyncio.to_thread(work), 0)

    async def finish(self) -> None:
        await self.fetch("PRAGMA wal_checkpoint(TRUNCATE)")

    async def close(self) -> None:
        self._con.close()
