"""Row-level security as the reader role: foreign rows are not there, whatever the query; PostgreSQL only."""

import asyncio
import os
import secrets
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import NamedTuple
from urllib.parse import urlsplit, urlunsplit

import asyncpg
import httpx
import pytest

from service.access.roles import restriction
from service.access.tripwire import asked_of, judged
from service.caller import Caller, Role
from service.main import build
from service.search.clearance import DataKind, Rule, grade
from service.search.restriction import Restriction
from service.settings import load
from service.store import clearance, visible
from service.store.change import Change
from service.store.engine import Store, open_store
from service.store.raw_facts import raw_facts
from service.store.reader import Reader, secure
from service.store.visible import visible_any
from tests.frozen_clock import FrozenClock
from tests.service.access.random_rights import TYPES, asker, fill
from tests.service.world import ECM1, ECM2, SUD, access_token, build_world, condition, episode, make, put, ref

DEEP = bool(os.environ.get("ENLACE_TEST_DEEP"))
WORLDS, RESOURCES, CALLERS = (50, 100, 20) if DEEP else (1, 50, 10)


class Wall(NamedTuple):
    store: Store
    reader: Reader
    url: str


@pytest.fixture
async def wall(postgresql_url: str, clock: FrozenClock) -> AsyncIterator[Wall]:
    """A store of the owner, and the reader's pool beside it."""
    store = await open_store(postgresql_url, clock)
    role, password = f"reader_{secrets.token_hex(4)}", secrets.token_hex(8)
    owner = await asyncpg.connect(postgresql_url)
    await owner.execute(f"CREATE ROLE {role} LOGIN PASSWORD '{password}'")
    parts = urlsplit(postgresql_url)
    url = urlunsplit(parts._replace(netloc=f"{role}:{password}@{parts.netloc.rpartition('@')[2]}"))
    await secure(postgresql_url, url)
    reader = Reader(url)
    await reader.open()
    yield Wall(store, reader, url)
    await reader.close()
    await store.close()
    await owner.execute(f"GRANT {role} TO CURRENT_USER")
    await owner.execute(f"DROP OWNED BY {role}")
    await owner.execute(f"DROP ROLE {role}")
    await owner.close()


def seen_by(wall: Wall, role: Role, organization: str) -> Restriction:
    return restriction(Caller("c", role, organization), wall.store.keys, wall.store.clock.now_us(), env="production")


async def ids(wall: Wall, seen: Restriction, sql: str) -> set[str]:
    return {row[0] for row in await wall.reader.fetch(sql, (), seen, exact=True)}


async def test_foreign_rows_are_not_there(wall: Wall) -> None:
    await build_world(wall.store)
    await put(wall.store, condition("Condition/hid", "Patient/a", meta=SUD), source=ECM2)
    ours = seen_by(wall, Role.ECM_PROVIDER, ECM1)
    plain = await ids(wall, ours, "SELECT fhir_id FROM resource WHERE rtype IN ('Patient', 'Condition')")
    assert plain == {"a", "sud-a"}
    assert await ids(wall, ours, "SELECT fhir_id FROM version WHERE rtype IN ('Patient', 'Condition')") == plain
    leads = "SELECT r.rtype FROM resource r WHERE EXISTS (SELECT 1 FROM resource p WHERE p.rtype = 'Patient' "
    assert await ids(wall, ours, leads + "AND p.fhir_id = 'b')") == set()
    joined = "SELECT t.fhir_id FROM resource t JOIN resource p ON p.key = t.patient WHERE t.rtype = 'Task'"
    assert await ids(wall, ours, joined) == {"a"}
    assert await ids(wall, seen_by(wall, Role.HOSPITAL, ECM2), "SELECT fhir_id FROM resource") == set()


async def test_unset_gives_nothing_and_the_reader_writes_nothing(wall: Wall) -> None:
    await build_world(wall.store)
    con = await asyncpg.connect(wall.url)
    try:
        for table in ("resource", "version"):
            with pytest.raises(asyncpg.PostgresError):
                await con.fetch(f"SELECT * FROM {table}")
        await con.execute("SET default_transaction_read_only = off")
        wrong = ("DELETE FROM resource", "UPDATE panel SET patient = 1", "SELECT * FROM token", "SELECT * FROM audit")
        for sql in (*wrong, "ALTER TABLE resource DISABLE ROW LEVEL SECURITY"):
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await con.execute(sql)
    finally:
        await con.close()
    with pytest.raises(ValueError, match="unrestricted"):
        await wall.reader.fetch("SELECT 1", (), Restriction(unrestricted=True))


async def test_two_callers_interleaved_on_one_pool(wall: Wall) -> None:
    """Connections go from one to the other; none keeps the rights of the one before."""
    await build_world(wall.store)
    ecm1, ecm2 = seen_by(wall, Role.ECM_PROVIDER, ECM1), seen_by(wall, Role.ECM_PROVIDER, ECM2)
    sql = "SELECT fhir_id FROM resource WHERE rtype = 'Patient'"

    async def one(number: int) -> None:
        mine, own = (ecm1, {"a"}) if number % 2 else (ecm2, {"b"})
        assert await ids(wall, mine, sql) == own

    for start in range(0, 1_000, 100):
        await asyncio.gather(*(one(number) for number in range(start, start + 100)))


async def test_the_service_reads_through_it(wall: Wall, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the first wall broken, reads and searches still find nothing foreign."""
    await build_world(wall.store)
    wall.store.reader = wall.reader
    token = await access_token(wall.store, "ecm-provider", ECM1)
    settings = {"ENLACE_DATABASE_URL": wall.store.url, "ENLACE_SECRET_KEY_FILE": str(tmp_path / "k")}
    app = build(wall.store, load({**settings, "ENLACE_CLIENT_RATE": "0"}))
    headers = {"Authorization": f"Bearer {token}"}
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(app), base_url="http://t/fhir", headers=headers
    ) as client:
        assert (await client.get("/Patient/a")).status_code == 200
        assert (await client.get("/Patient?_total=accurate")).json()["total"] == 1
        monkeypatch.setattr(visible, "_related", lambda *_: ("1 = 1", []))
        monkeypatch.setattr(visible, "consented", lambda *_, **__: ("1 = 1", []))
        for url in ("/Patient/b", "/Patient/b/_history/1", "/Condition/sud-b", "/Patient/b/$everything"):
            assert (await client.get(url)).status_code == 404, url
        assert (await client.get("/Patient?_total=accurate")).json()["total"] == 1
        assert "/b" not in (await client.get("/Task?_include=*&_revinclude=*&_total=accurate")).text
    wall.store.reader = None


@pytest.mark.parametrize(
    ("kind", "named"), [(DataKind.DEPENDENTS, "Patient/a"), (DataKind.RELATED, "Observation/of-sud")]
)
async def test_data_that_goes_with_other_data_is_looked_up_once(wall: Wall, kind: DataKind, named: str) -> None:
    """Whether a Consent means a resource is asked of what refers to what: rows that the policy guards in their turn."""
    await build_world(wall.store)
    about = make("Observation/of-sud", status="final", code={"text": "x"}, subject=ref("Patient/a"), meta=SUD)
    await put(wall.store, episode("EpisodeOfCare/a2", "Patient/a", ECM2))
    await put(wall.store, {**about, "focus": [ref("Condition/sud-a")]}, source=ECM1)
    theirs, labelled = seen_by(wall, Role.ECM_PROVIDER, ECM2), "SELECT fhir_id FROM resource WHERE fhir_id = 'sud-a'"
    assert await ids(wall, theirs, labelled) == set()
    [(bits,)] = await wall.store.fetch("SELECT labels FROM resource WHERE fhir_id = 'sud-a'")
    key, given = wall.store.keys.resource, grade(1, 1, denies=False)
    rule = Rule(key("Patient/a"), 7, 1, key(ECM2), 0, "", bits, "", kind, key(named), given, 0, 2**62)
    await wall.store.commit(Change(statements=clearance.replaced(7, [rule])))
    assert await ids(wall, theirs, labelled) == {"sud-a"}


@pytest.mark.parametrize("number", range(WORLDS))
async def test_g07_row_security_is_sql_is_what_the_tripwire_judges(wall: Wall, number: int) -> None:
    r = Random(f"rls {number}")
    found = await fill(wall.store, r, RESOURCES)
    named = {one.key: one for one in found}
    for _ in range(CALLERS):
        seen = asker(wall.store, r)
        condition_, params = visible_any("r", TYPES, seen)
        rows = await wall.store.fetch(f"SELECT r.key FROM resource r WHERE {condition_}", tuple(params))
        sql = {row[0] for row in rows}
        facts = await raw_facts(wall.store, asked_of(found, seen))
        python = {one.key for one in found if judged(one, facts, seen, seen.grace_us)}
        rls = {row[0] for row in await wall.reader.fetch("SELECT key FROM resource", (), seen, exact=True)}
        versions = {row[0] for row in await wall.reader.fetch("SELECT key FROM version", (), seen, exact=True)}
        assert sql == python == rls == versions, (seen, [named[k] for k in (sql ^ rls) | (sql ^ versions)])
        wider = {row[0] for row in await wall.reader.fetch("SELECT key FROM resource", (), replace(seen), exact=False)}
        assert wider >= rls
