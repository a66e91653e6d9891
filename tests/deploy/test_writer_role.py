"""The writer's role of deploy/postgresql/writer.sql: the service works with it, and the audit cannot be changed."""

import secrets
from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import asyncpg
import pytest

from service.store.change import AuditRow, Change
from service.store.engine import Store, open_store
from service.workflow.sealing import Sealer
from tests.frozen_clock import FrozenClock
from tests.service.world import build_world

FILE = Path(__file__).parents[2] / "deploy" / "postgresql" / "writer.sql"
APPEND_ONLY = ("audit", "audit_patient", "audit_seal")


@pytest.fixture
async def writer_url(postgresql_url: str) -> AsyncIterator[str]:
    """Roles are of the whole server, so this one has a name of its own."""
    role, password = f"writer_{secrets.token_hex(4)}", secrets.token_hex(8)
    owner = await asyncpg.connect(postgresql_url)
    await owner.execute(f"CREATE ROLE {role} LOGIN PASSWORD '{password}'")
    for _twice in range(2):
        await owner.execute(FILE.read_text().replace("enlace_writer", role))
    parts = urlsplit(postgresql_url)
    yield urlunsplit(parts._replace(netloc=f"{role}:{password}@{parts.netloc.rpartition('@')[2]}"))
    await owner.execute(f"GRANT {role} TO CURRENT_USER")
    await owner.execute(f"DROP OWNED BY {role}")
    await owner.execute(f"DROP ROLE {role}")
    await owner.close()


@pytest.fixture
async def store(writer_url: str, clock: FrozenClock) -> AsyncIterator[Store]:
    opened = await open_store(writer_url, clock)
    yield opened
    await opened.close()


async def test_the_service_writes_and_reads_as_the_writer(store: Store, tmp_path: Path) -> None:
    await build_world(store)
    await store.commit(Change(audit=[AuditRow("R", "read", 0, "a", "Organization/o", "Patient/a", ("Patient/a",))]))
    assert await store.fetch("SELECT COUNT(*) FROM resource") != [(0,)]
    await Sealer(store, b"k" * 32, tmp_path / "receipts").seal()
    assert await store.fetch("SELECT COUNT(*) FROM audit_seal") == [(1,)]


@pytest.mark.parametrize("table", APPEND_ONLY)
async def test_nothing_of_the_audit_is_changed_by_the_writer(writer_url: str, table: str) -> None:
    con = await asyncpg.connect(writer_url)
    try:
        column = await con.fetchval(
            "SELECT column_name FROM information_schema.columns WHERE table_name = $1 LIMIT 1",
            table,
        )
        for statement in (
            f"UPDATE {table} SET {column} = {column}",
            f"DELETE FROM {table}",
            f"TRUNCATE {table}",
            f"DROP TABLE {table}",
        ):
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await con.execute(statement)
        assert await con.fetchval(f"SELECT COUNT(*) FROM {table}") == 0
    finally:
        await con.close()
