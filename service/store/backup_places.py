"""A database as backup, restore and doctor open it: one connection of their own, no worker slot, no pool."""

from collections.abc import Callable, Iterator
from typing import Any, Protocol

from service.store.backup_rows import Table

VERSION_TABLE = "alembic_version"
Row = tuple[Any, ...]


class Place(Protocol):
    """backup_sqlite.py and backup_postgresql.py are the two. `?` placeholders, SQL of service/store only."""

    engine: str

    async def fetch(self, sql: str, params: tuple[Any, ...] = ()) -> list[Row]: ...

    async def execute(self, sql: str, params: tuple[Any, ...] = ()) -> None:
        """One statement; durable at once, or with the transaction that `lock` began."""
        ...

    async def table_names(self) -> tuple[str, ...]:
        """All tables but Alembic's, in order of their names."""
        ...

    async def tables(self) -> tuple[Table, ...]:
        """The same with columns and primary keys. Raises BackupError at a column of a kind that no backup can hold."""
        ...

    async def snapshot(self) -> None:
        """From here on, reads see the database of this instant; writers go on."""
        ...

    async def lock(self, tables: tuple[Table, ...]) -> None:
        """Begins a transaction in which nobody else reads or writes them (SQLite: nobody else writes)."""
        ...

    async def commit(self) -> None: ...

    async def rollback(self) -> None: ...

    async def copy_out(self, table: Table, write: Callable[[bytes], None]) -> int:
        """All rows in order of the primary key, as backup_rows.py says; returns how many."""
        ...

    async def copy_in(self, table: Table, chunks: Iterator[bytes]) -> int: ...

    async def finish(self) -> None:
        """After a restore: what makes the new database quick and whole on the disk."""
        ...

    async def close(self) -> None: ...


async def open_place(url: str, *, statement_ms: int = 0) -> Place:
    """Raises BackupError where it cannot be opened. statement_ms: a read that takes longer fails; 0: never."""
    if url.startswith("sqlite:///"):
        from service.store.backup_sqlite import LitePlace

        return await LitePlace.open(url.removeprefix("sqlite:///"), statement_ms)
    from service.store.backup_postgresql import PgPlace

    return await PgPlace.open(url, statement_ms)


async def revision(place: Place) -> str | None:
    """The schema's revision; None where there are no tables of Enlace."""
    if not await place.fetch(_HAS_VERSION[place.engine]):
        return None
    rows = await place.fetch(f"SELECT version_num FROM {VERSION_TABLE}")
    return str(rows[0][0]) if rows else None


_HAS_VERSION = {
    "sqlite": f"SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = '{VERSION_TABLE}'",
    "postgresql": f"SELECT 1 WHERE to_regclass('{VERSION_TABLE}') IS NOT NULL",
}


def quoted(names: tuple[str, ...]) -> str:
    """Column names as SQL; they were checked to be words."""
    return ", ".join(f'"{name}"' for name in names)
