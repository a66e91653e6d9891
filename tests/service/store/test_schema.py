"""The start refuses a database that is absent, unmigrated or newer, with a sentence that says what to do."""

import asyncio
import os
import sqlite3
import subprocess
import sys
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


async def test_a_relative_path_is_told_in_full(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SchemaError) as refused:
        await open_store("sqlite:///var/enlace.db")
    assert str(refused.value).startswith(f"There is no database at {tmp_path}/var/enlace.db. Is this the folder")


def test_a_new_database_file_is_private(tmp_path: Path) -> None:
    """With what SQLite lays beside it; a file that is there keeps its mode."""
    before = os.umask(0)
    try:
        migrate(f"sqlite:///{tmp_path}/deep/new.db")
        con = sqlite3.connect(tmp_path / "deep" / "new.db")
        con.execute("CREATE TABLE x (y)")
        modes = {path.name: path.stat().st_mode & 0o777 for path in (tmp_path / "deep").iterdir()}
        con.close()
        (tmp_path / "deep" / "new.db").chmod(0o640)
        migrate(f"sqlite:///{tmp_path}/deep/new.db")
    finally:
        os.umask(before)
    assert modes == {"new.db": 0o600, "new.db-wal": 0o600, "new.db-shm": 0o600}
    assert (tmp_path / "deep" / "new.db").stat().st_mode & 0o777 == 0o640


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


def _migrating(url: str, before: str = "") -> "subprocess.Popen[bytes]":
    code = f"{before}\nfrom service.store.migrate import migrate\nprint(migrate({url!r}))"
    return subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE)


@pytest.mark.parametrize("name", ["sqlite", "postgresql"])
def test_several_that_migrate_at_once_wait_for_one_another(name: str, tmp_path: Path, postgres_url: str) -> None:
    url = f"sqlite:///{tmp_path}/new.db" if name == "sqlite" else postgres_server.new_database(postgres_url)
    try:
        for process in [_migrating(url) for _ in range(2)]:
            said, complained = process.communicate(timeout=60)
            assert said.decode().strip() == revisions()[-1], complained.decode()[-500:]
    finally:
        if name == "postgresql":
            postgres_server.drop_database(url)


KILLED = """
import os
from sqlalchemy import event
from sqlalchemy.engine import Engine
seen = []
@event.listens_for(Engine, "before_cursor_execute")
def _look(_connection, _cursor, statement, *_rest):
    seen.append(statement)
    if {when}:
        os._exit(9)
"""


@pytest.mark.parametrize(
    ("name", "when"),
    [
        ("sqlite", 'sum("CREATE TABLE" in one for one in seen) == 9'),
        ("postgresql", "statement.startswith(\"INSERT INTO meta (name, value) VALUES ('serves_from'\")"),
    ],
)
def test_what_was_killed_midway_is_migrated_again(name: str, when: str, tmp_path: Path, postgres_url: str) -> None:
    url = f"sqlite:///{tmp_path}/new.db" if name == "sqlite" else postgres_server.new_database(postgres_url)
    try:
        process = _migrating(url, KILLED.format(when=when))
        process.communicate(timeout=60)
        assert process.returncode == 9
        assert migrate(url) == revisions()[-1]
        assert asyncio.run(_serves_from(url)) == "0001"
    finally:
        if name == "postgresql":
            postgres_server.drop_database(url)


async def _serves_from(url: str) -> str:
    store = await open_store(url)
    try:
        return str((await store.fetch("SELECT value FROM meta WHERE name = 'serves_from'"))[0][0])
    finally:
        await store.close()


async def test_migrate_of_an_older_version_leaves_what_still_serves_it(database_url: str) -> None:
    """A release is taken back: its deployment runs `enlace migrate` first, as always."""
    store = await open_store(database_url)
    await store.db.execute("UPDATE alembic_version SET version_num = '9999' RETURNING version_num")
    assert await asyncio.to_thread(migrate, database_url) == "9999"
    await store.db.execute("UPDATE meta SET value = '9998' WHERE name = 'serves_from' RETURNING name")
    with pytest.raises(SchemaError, match="newer"):
        await asyncio.to_thread(migrate, database_url)
    await store.close()


async def test_migrating_again_changes_nothing(database_url: str) -> None:
    assert await asyncio.to_thread(migrate, database_url) == revisions()[-1]
    store = await open_store(database_url)
    await store.close()
