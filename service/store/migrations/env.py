"""Alembic's entry: runs the migrations on SQLite (sync) or PostgreSQL (asyncpg), each inside one transaction."""

import asyncio

from alembic import context
from sqlalchemy import Connection, create_engine, event
from sqlalchemy.ext.asyncio import create_async_engine

from service.store.tables import metadata


def _run(connection: Connection) -> None:
    context.configure(connection=connection, target_metadata=metadata, transaction_per_migration=False)
    with context.begin_transaction():
        context.run_migrations()


def _lite(url: str) -> None:
    engine = create_engine(url)

    @event.listens_for(engine, "connect")
    def _pragmas(connection, _record):  # type: ignore[no-untyped-def]
        connection.execute("PRAGMA page_size=8192")
        connection.execute("PRAGMA journal_mode=WAL")

    with engine.connect() as connection:
        _run(connection)
        connection.commit()
    engine.dispose()


async def _pg(url: str) -> None:
    engine = create_async_engine(url)
    async with engine.begin() as connection:
        await connection.run_sync(_run)
    await engine.dispose()


_url = context.config.attributes["url"]
if _url.startswith("sqlite"):
    _lite(_url)
else:
    asyncio.run(_pg(_url))
