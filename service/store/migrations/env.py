"""Alembic's entry: runs the migrations on SQLite (sync) or PostgreSQL (asyncpg), each in a transaction of its own.

A migration runs while the old version serves. So it only adds (columns with a default, tables, indexes
made CONCURRENTLY), names in `serves_from` the oldest revision whose code works on it, and waits for no lock for long.
One process migrates at a time; what is killed midway leaves the last whole migration.
"""

import asyncio
import contextlib
import fcntl
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from alembic import context
from sqlalchemy import Connection, create_engine, event, text
from sqlalchemy.ext.asyncio import create_async_engine

from service.store.schema import SchemaError, revisions, too_new
from service.store.tables import metadata

LOCK = 0x456E6C616365
"""The advisory lock of who migrates, on PostgreSQL."""
WAIT_S = 120.0
BUSY_S = 60.0
"""SQLite: so long does a migration wait for the writer that serves."""


def _run(connection: Connection) -> None:
    if connection.dialect.name == "postgresql":
        # A lock that waits makes all behind it wait: give up instead, and be run again.
        connection.exec_driver_sql("SET lock_timeout = '3s'")
        connection.commit()
        _wait_for_others(connection)
    context.configure(
        connection=connection,
        target_metadata=metadata,
        transaction_per_migration=True,
        transactional_ddl=True,
        on_version_apply=_remember,
    )
    if not _is_newer(connection):
        with context.begin_transaction():
            context.run_migrations()


def _is_newer(connection: Connection) -> bool:
    """Whether a later version has migrated, and nothing is left to do. Raises SchemaError where it left us behind."""
    current = context.get_context().get_current_revision()
    if not current or current in revisions():
        connection.commit()
        return False
    serves_from = connection.execute(text("SELECT value FROM meta WHERE name = 'serves_from'")).scalar()
    if serves_from not in revisions():
        raise too_new(current)
    context.config.attributes["newer"] = current
    return True


def _wait_for_others(connection: Connection) -> None:
    """Not pg_advisory_lock: its waiting statement is a snapshot, for which CREATE INDEX CONCURRENTLY would wait."""
    until = time.monotonic() + WAIT_S
    while not connection.exec_driver_sql(f"SELECT pg_try_advisory_lock({LOCK})").scalar():
        connection.commit()
        if time.monotonic() > until:
            raise SchemaError("Another `enlace migrate` is at work on this database: run this again when it has ended.")
        time.sleep(0.2)
    connection.commit()


def _remember(ctx: Any, step: Any, heads: Any, run_args: Any) -> None:
    """Says in the database which older code it still serves (store/schema.py), together with the new revision."""
    connection = ctx.connection
    connection.execute(text("DELETE FROM meta WHERE name = 'serves_from'"))
    value = step.up_revision.module.serves_from
    connection.execute(text("INSERT INTO meta (name, value) VALUES ('serves_from', :value)"), {"value": value})


def _lite(url: str) -> None:
    engine = create_engine(url, connect_args={"timeout": BUSY_S})

    @event.listens_for(engine, "connect")
    def _pragmas(connection, _record):  # type: ignore[no-untyped-def]
        connection.isolation_level = None  # else the driver commits each statement that makes a table by itself
        connection.execute("PRAGMA page_size=8192")
        connection.execute("PRAGMA journal_mode=WAL")

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        connection.exec_driver_sql("BEGIN IMMEDIATE")

    try:
        with _alone(Path(url.removeprefix("sqlite:///")).absolute().parent), engine.connect() as connection:
            _run(connection)
    finally:
        engine.dispose()


@contextlib.contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Waits for who else migrates here. The lock is on the folder: it leaves no file, and ends with its process."""
    number = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(number, fcntl.LOCK_EX)
        yield
    finally:
        os.close(number)


async def _pg(url: str) -> None:
    engine = create_async_engine(url)
    try:
        async with engine.connect() as connection:
            await connection.run_sync(_run)
    finally:
        await engine.dispose()


_url = context.config.attributes["url"]
if _url.startswith("sqlite"):
    _lite(_url)
else:
    asyncio.run(_pg(_url))
