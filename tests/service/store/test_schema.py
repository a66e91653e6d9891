"""The start refuses a database that is absent, unmigrated or newer, with a sentence that says what to do."""

import asyncio
from pathlib import Path

import pytest

from service.store.engine import Store, open_store
from service.store.migrate import migrate
from service.store.schema import SchemaError, check_schema, revisions
from tests import postgres_server


async def test_an_absent_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SchemaError, match="enlace migrate"):
        await open_store(f"sqlite:///{tmp_path}/none.db")
    assert not (tmp_path / "none.db").exists()


async def test_an_empty_database_is_refused(tmp_path: Path, postgres_url: str) -> None:
    (tmp_path / "empty.db").touch()
    with pytest.raises(SchemaError, match="enlace migrate"):
        await open_store(f"sqlite:///{tmp_path}/empty.db")
    empty = postgres_server.new_database(postgres_url)
    try:
        with pytest.raises(SchemaError, match="enlace migrate"):
            await open_store(empty)
    finally:
        postgres_server.drop_database(empty)


async def test_an_older_and_a_newer_revision_are_refused(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    await check_schema(store.db)
    await store.db.execute("UPDATE alembic_version SET version_num = '9999' RETURNING version_num")
    await store.db.execute("UPDATE meta SET value = '9998' WHERE name = 'serves_from' RETURNING name")
    with pytest.raises(SchemaError, match="newer"):
        await check_schema(store.db)
    await store.db.execute("UPDATE alembic_version SET version_num = ? RETURNING version_num", (revisions()[-1],))
    monkeypatch.setattr("service.store.schema.revisions", lambda: (revisions()[-1], "0099_later"))
    with pytest.raises(SchemaError, match="run `enlace migrate`"):
        await check_schema(store.db)


async def test_a_newer_revision_that_serves_this_code_is_taken(store: Store) -> None:
    await store.db.execute("UPDATE alembic_version SET version_num = '9999' RETURNING version_num")
    for serves_from in revisions():
        await store.db.execute("UPDATE meta SET value = ? WHERE name = 'serves_from' RETURNING name", (serves_from,))
        await check_schema(store.db)


async def test_migrating_again_changes_nothing(database_url: str) -> None:
    assert await asyncio.to_thread(migrate, database_url) == revisions()[-1]
    store = await open_store(database_url)
    await store.close()
