"""Alembic's entry: runs the migrations on SQLite (sync) or PostgreSQL (asyncpg), each in a transaction of its own.

A migration runs while the old version serves. So it only adds (columns with a default, tables, indexes
made CONCURRENTLY), names in `serves_from` the oldest revision whose code works on it, and waits for no lock for long.
"""

import asyncio

from alembic import context
from sqlalchemy import Connection, create_engine, event, text
from sqlalchemy.ext.asyncio import create_async_engine

from service.store.tables import metadata


def _run(connection: Connection) -> None:
    if connection.dialect.name == "postgresql":
        # A lock that waits makes all behind it wait: give up instead, and be run again.
        connection.exec_driver_sql("SET lock_timeout = '3s'")
        connection.commit()
    context.configure(connection=connection, target_metadata=metadata, transaction_per_migration=True)
    with context.begin_transaction():
        context.run_migrations()
    _remember(connection)


def _remember(connection: Connection) -> None:
    """Says in the database which older code it still serves (store/schema.py)."""
    now_at = context.script.get_revision(context.get_context().get_current_revision())
    connection.execute(text("DELETE FROM meta WHERE name = 'serves_from'"))
    connection.execute(
        text("INSERT INTO meta (name, value) VALUES ('serves_from', :value)"), {"value": now_at.module.serves_from}
    )
    connection.commit()


def _lite(url: str) -> None:
    engine = create_engine(url)

    @event.listens_for(engine, "connect")
    def _pragmas(connection, _record):  # type: ignore[no-untyped-def]
        connection.execute("PRAGMA page_size=8192")
        connection.execute("PRAGMA journal_mode=WAL")

    with engine.connect() as connection:
        _run(connection)
    engine.dispose()


async def _pg(url: str) -> None:
    engine = create_async_engine(url)
    async with engine.connect() as connection:
        await connection.run_sync(_run)
    await engine.dispose()


_url = context.config.attributes["url"]
if _url.startswith("sqlite"):
    _lite(_url)
else:
    asyncio.run(_pg(_url))
