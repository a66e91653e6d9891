"""`enlace doctor`: each check has its fault injected into a real database, socket or file, and says the next step."""

import asyncio
import json
import os
import sqlite3
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from service.cli import app
from service.cli.doctor import examine
from service.cli.doctor_checks import CHECKS
from service.cli.doctor_site import Check, Finding, Site
from service.clock import SystemClock
from service.store import backup_marker, backup_postgresql, credentials, notices, reindex, sources
from service.store.backup_marker import LastBackup
from service.store.change import AuditRow, Change, Job
from service.store.credentials import RegisteredClient
from service.store.engine import Store
from service.store.notices import Notice
from service.store.schema import revisions
from service.workflow.hospital_events import SPARSE
from tests import postgres_server
from tests.frozen_clock import FrozenClock
from tests.postgres_server import free_port
from tests.scenarios.harness import running
from tests.scenarios.people import SOURCE, look, write_world
from tests.service.auth.smart_client import jwks_text
from tests.service.cli.installation import Patient, listening

HOUR = 3_600_000_000
AUDIT = AuditRow("R", "read", 0, "me", "Organization/o")


@pytest.fixture
def patient(database_url: str, tmp_path: Path) -> Patient:
    return Patient(database_url, tmp_path)


@pytest.fixture
def lite(sqlite_url: str, tmp_path: Path) -> Patient:
    return Patient(sqlite_url, tmp_path)


PRODUCTION = {"ENLACE_ENV": "production", "ENLACE_PUBLIC_URL": "https://enlace.example.org"}


def test_a_running_sandbox_gives_no_fail(database_url: str, tmp_path: Path) -> None:
    write_world(database_url)
    with running(database_url, tmp_path) as service:
        service.send(b"MSH|^~\\&|EPIC|MERCY|||20260101||ADT^A01|1|P|2.5.1\r")
        found = json.loads(service.cli("doctor", "--json", "--deep"))
        said = {one["name"]: one for one in found}
        assert [one for one in found if one["level"] == "fail"] == []
        assert said.keys() == {check.name for check in CHECKS}
        assert all(one["next"] for one in found if one["level"] == "warn")
        ports = [one["sentence"] for one in found if one["name"] == "ports"]
        assert "is ready" in ports[0] and "ADT listener answers" in ports[1]
        assert (said["workers"]["level"], said["clock"]["level"], said["audit"]["level"]) == ("ok", "ok", "ok")
        service.cli("backup", str(tmp_path / "a.backup"))
        assert "\nok    backup " in service.cli("doctor")
        assert "Traceback" not in service.output()


def test_every_check_is_named_once_and_stands_alone(lite: Patient) -> None:
    names = [check.name for check in CHECKS]
    assert len(names) == len(set(names))

    async def breaks(_site: Site) -> list[Finding]:
        raise RuntimeError("Zyxwvutsrq was admitted")

    async def hangs(_site: Site) -> list[Finding]:
        raise TimeoutError

    checks = (Check("a", "", breaks), Check("b", "", hangs), CHECKS[0])
    found = asyncio.run(examine(lite.env, SystemClock(), checks=checks))
    assert [(one.name, one.level) for one in found] == [("a", "fail"), ("b", "fail"), ("settings", "ok")]
    assert "Zyxwvutsrq" not in repr(found) and all(one.next for one in found[:2])


def test_space(postgresql_url: str, tmp_path: Path) -> None:
    patient = Patient(postgresql_url, tmp_path)
    assert patient.ill("space", ENLACE_DATABASE_LIMIT_MB="1").level == "fail"
    assert patient.well("space", ENLACE_DATABASE_LIMIT_MB="100000")
    size = int(next(one for one in patient.findings() if one.name == "space").sentence.split(" ")[3])
    assert patient.ill("space", ENLACE_DATABASE_LIMIT_MB=str(size + 1)).level == "warn"


def test_database(lite: Patient, postgresql_url: str) -> None:
    absent = lite.ill("database", ENLACE_DATABASE_URL=f"sqlite:///{lite.home}/none.db")
    assert (absent.level, absent.next) == ("fail", "run `enlace migrate` first")
    near = lite.ill("database", ENLACE_DATABASE_URL="sqlite:///none-of-that-name.db")
    assert f"{Path.cwd()}/none-of-that-name.db" in near.sentence, "where it was looked for"
    broken = lite.home / "broken.db"
    broken.write_bytes(b"this is no database" * 100)
    assert lite.ill("database", ENLACE_DATABASE_URL=f"sqlite:///{broken}").level == "fail"
    parts = postgresql_url.rpartition("/")
    for url in (
        parts[0] + "/none_of_that_name",
        f"postgresql://x:y@127.0.0.1:{free_port()}/x",
        f"postgresql://{parts[2]}",
    ):
        found = lite.findings(ENLACE_DATABASE_URL=url)
        assert [one.level for one in found if one.name == "database"] == ["fail"], url
        rest = [one for one in found if "Not looked at" in one.sentence]
        assert [(one.level, one.next) for one in rest] == [("warn", "see database")], "one line for all"
        assert "queue, workers, messages" in rest[0].sentence and "no database" not in rest[0].sentence
        assert not {one.name for one in found} & {"queue", "feeds", "backup"}
        assert "y@" not in repr(found)


def test_the_file_is_its_owners(lite: Patient) -> None:
    path = Path(lite.url.removeprefix("sqlite:///"))
    path.chmod(0o640)
    found = lite.ill("database")
    assert (found.level, found.next.split(" ")[:3]) == ("warn", ["chmod", "600", str(path)])
    path.chmod(0o600)
    found = next(one for one in lite.findings() if one.name == "database")
    assert found.level == "ok" and found.sentence.endswith(f" answers at {path}.")


def test_a_server_that_takes_and_says_nothing_is_given_up(lite: Patient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backup_postgresql, "CONNECT_S", 0.5)
    with listening(lambda _peer: None) as port:
        assert lite.ill("database", ENLACE_DATABASE_URL=f"postgresql://x:y@127.0.0.1:{port}/x").level == "fail"


def test_durability(patient: Patient, postgres_admin_url: str) -> None:
    if patient.url.startswith("sqlite"):
        assert patient.well("durability")
        return
    name = patient.url.rpartition("/")[2]
    admin = postgres_server.with_database(postgres_admin_url, name)
    postgres_server.on_server(admin, f"ALTER DATABASE {name} SET synchronous_commit = off")
    assert "synchronous_commit" in patient.ill("durability").sentence
    production = {**PRODUCTION, "ENLACE_DATABASE_URL": patient.url}
    assert [one.level for one in patient.findings(**production) if one.name == "durability"] == ["fail"]


def test_migrations(patient: Patient) -> None:
    assert patient.well("migrations")
    patient.do(lambda store: store.db.execute("UPDATE alembic_version SET version_num = '9999'"))
    assert patient.ill("migrations").level == "warn", "the newer schema says that this code may go on"
    patient.do(lambda store: store.db.execute("DELETE FROM meta WHERE name = 'serves_from'"))
    newer = patient.ill("migrations")
    assert (newer.level, "newer" in newer.next) == ("fail", True)
    unseen = patient.ill("the rest")
    assert unseen.next == "see migrations" and "queue" in unseen.sentence and "durability" not in unseen.sentence


def test_no_tables_is_the_first_migration(lite: Patient) -> None:
    sqlite3.connect(lite.home / "bare.db").close()
    found = lite.ill("migrations", ENLACE_DATABASE_URL=f"sqlite:///{lite.home}/bare.db")
    assert (found.level, found.next) == ("fail", "run `enlace migrate` first")


def test_index(patient: Patient) -> None:
    write_world(patient.url)
    assert patient.well("index")
    patient.do(lambda store: store.commit(Change(statements=[reindex.made("another version")])))
    found = patient.ill("index")
    assert found.level == "fail" and "enlace reindex" in found.next
    verb = CliRunner().invoke(app, ["reindex"], env=patient.env)
    assert verb.exit_code == 0 and "resources are in the index" in verb.output, verb.output
    assert patient.well("index")
    assert "nothing to do" in CliRunner().invoke(app, ["reindex"], env=patient.env).output


def test_clock(patient: Patient) -> None:
    write_world(patient.url)
    behind = FrozenClock()
    behind.advance(SystemClock().now_us() - behind.now_us() - 2 * HOUR)
    assert patient.well("clock")
    found = replace(patient, clock=behind).ill("clock")
    said = "in the future" if patient.url.startswith("sqlite") else "database's are"
    assert found.level == "fail" and said in found.sentence


def test_clients(patient: Patient) -> None:
    good = RegisteredClient("good", "n", "Organization/o", "cbo", "system/Task.rs", jwks=jwks_text())
    patient.do(lambda store: store.commit(Change(statements=[credentials.insert_client(good)])))
    assert patient.well("clients")
    keyless = replace(good, id="keyless", jwks=None)
    patient.do(lambda store: store.commit(Change(statements=[credentials.insert_client(keyless)])))
    assert patient.well("clients"), "a sandbox login needs none"
    assert [one.sentence for one in patient.findings() if one.name == "clients"] == [
        "1 active clients with a key set that can be used, 1 without one (sandbox tokens and logins only)."
    ]
    assert "1 active clients have no key set" in patient.ill("clients", **PRODUCTION).sentence
    useless = replace(good, id="useless", jwks='{"keys":[]}')
    patient.do(lambda store: store.commit(Change(statements=[credentials.insert_client(useless)])))
    assert "useless" in patient.ill("clients").sentence
    patient.do(lambda store: store.commit(Change(statements=[credentials.deactivate_client("useless")])))
    assert patient.well("clients"), "a revoked client harms nobody"


def message(id: int, at_us: int, state: str = "applied", reason: str = "") -> tuple[str, tuple[Any, ...]]:
    values = (id, SOURCE.name, str(id), b"h", at_us, "A01", b"", None, state, reason, "", "", None)
    return f"INSERT INTO inbox VALUES ({', '.join('?' * len(values))})", values


def test_feeds(patient: Patient) -> None:
    patient.clock = clock = FrozenClock()
    patient.do(lambda store: store.commit(Change(statements=[sources.put(SOURCE)])))
    assert "never heard" in patient.ill("feeds").sentence
    patient.do(lambda store: store.db.execute(*message(1, clock.now_us() - 5 * HOUR)))
    assert patient.well("feeds")
    silent = patient.ill("feeds", ENLACE_FEED_SILENCE_HOURS="4")
    assert (silent.level, "silent for 5 h" in silent.sentence) == ("warn", True)
    clock.advance(20 * HOUR)
    assert "silent for 25 h" in patient.ill("feeds").sentence
    patient.do(lambda store: store.commit(Change(statements=[sources.put(replace(SOURCE, active=False))])))
    assert patient.well("feeds"), "a source that was ended is not missed"


def test_zones(patient: Patient) -> None:
    moon = replace(SOURCE, config={"zone": "Moon/Tycho"})
    patient.do(lambda store: store.commit(Change(statements=[sources.put(moon)])))
    assert (patient.ill("zones").level, "Moon/Tycho" in patient.ill("zones").sentence) == ("fail", True)


def test_queue_and_workers(patient: Patient) -> None:
    patient.clock = clock = FrozenClock()
    patient.do(lambda store: store.commit(Change(jobs=[Job("adt.apply", {"inbox": 1})])))
    assert patient.well("queue") and "No process" in patient.ill("workers").sentence
    clock.advance(3 * 60_000_000)
    assert (patient.ill("queue").level, "for 3 min" in patient.ill("queue").sentence) == ("warn", True)
    clock.advance(HOUR)
    assert patient.ill("queue").level == "fail"
    alive = "UPDATE worker_slot SET lease_until_us = ?"
    patient.do(lambda store: store.db.execute(alive + " WHERE slot < 0", (0,)))
    look_at = clock.now_us() + 10 * HOUR

    async def beside(store: Store) -> list[Finding]:
        await store.db.execute(alive, (look_at,))
        return await examine(patient.env, clock)

    found = {one.name: one for one in look(patient.url, beside)}
    assert (found["workers"].level, "nobody does the work" in found["workers"].sentence) == ("fail", True)
    patient.do(lambda store: store.db.execute("UPDATE job SET due_us = 0"))
    assert patient.ill("queue").level == "fail", "given back untried: it waits since it was made"
    patient.do(lambda store: store.db.execute("UPDATE job SET state = 'dead'"))
    dead = patient.ill("queue")
    assert (dead.level, "replay" in dead.next) == ("warn", True)


def test_messages(patient: Patient) -> None:
    assert patient.well("messages")
    patient.do(lambda store: store.db.execute(*message(1, 1)))
    assert patient.well("messages")
    for id, reason in enumerate(sorted(SPARSE - {"ambiguous"}), 10):
        patient.do(lambda store, id=id, reason=reason: store.db.execute(*message(id, 1, "unmatched", reason)))
    assert patient.well("messages"), "most patients of a hospital are nobody's member"
    for id, reason in ((2, "ambiguous"), (3, "cin-conflict"), (4, "cin-conflict")):
        patient.do(lambda store, id=id, reason=reason: store.db.execute(*message(id, 1, "unmatched", reason)))
    found = patient.ill("messages")
    assert "need a person: 1 unmatched (ambiguous), 2 unmatched (cin-conflict)." in found.sentence
    assert "--state unmatched`" in found.next
    patient.do(lambda store: store.db.execute(*message(5, 1, "failed")))
    found = patient.ill("messages")
    assert "person: 1 failed, 1 unmatched (ambiguous)" in found.sentence and "--state failed`" in found.next


def notice(id: int, now_us: int, **changes: Any) -> Notice:
    facts = {"id": id, "recipient": "Practitioner/p", "kind": "alert", "priority": "urgent", "channel": "email"}
    facts |= {"target": "Communication/c", "key": 1, "vid": id, "state": "waiting", "at_us": now_us, "due_us": now_us}
    return Notice(**(facts | changes))


def test_notices(patient: Patient) -> None:
    patient.clock = clock = FrozenClock()
    now = clock.now_us()

    def there(**changes: Any) -> None:
        patient.do(lambda store: store.db.execute("DELETE FROM notice"))
        patient.do(lambda store: store.commit(Change(statements=[notices.told(notice(1, now, **changes))])))

    assert patient.well("notices")
    there(due_us=now + 9 * HOUR)
    clock.advance(8 * HOUR)
    assert patient.well("notices"), "it waits for its hour"
    there(due_us=clock.now_us() - HOUR // 5)
    assert patient.well("notices"), "late for less than a quarter of an hour"
    clock.advance(HOUR)
    untried = patient.ill("notices")
    assert untried.level == "warn" and "nobody took it" in untried.sentence and "enlace worker" in untried.next
    there(due_us=clock.now_us() + HOUR, attempts=7, settled_us=now, reason="connect")
    failing = patient.ill("notices")
    assert failing.level == "fail" and "(email: connect) fails for" in failing.sentence and "line" in failing.next
    there(state="failed", settled_us=now, reason="no-contact")
    failed = patient.ill("notices")
    assert failed.level == "warn" and "1 email (no-contact)" in failed.sentence
    assert "telecom" in failed.next and "`enlace notices replay ID`" in failed.next


def test_backup(patient: Patient) -> None:
    patient.clock = clock = FrozenClock()
    assert "No backup was made" in patient.ill("backup").sentence
    note = backup_marker.rows(LastBackup(clock.now_us(), 5_000_000, "00"))
    for pair in note:
        patient.do(lambda store, pair=pair: store.db.execute(backup_marker.PUT, pair))
    clock.advance(25 * HOUR)
    assert patient.well("backup")
    clock.advance(2 * HOUR)
    assert "27 h old" in patient.ill("backup").sentence
    assert patient.ill("backup", **PRODUCTION).level == "fail"
    assert patient.well("backup", ENLACE_BACKUP_AGE_HOURS="48")


def test_audit(patient: Patient) -> None:
    patient.do(lambda store: store.commit(Change(audit=[AUDIT] * 5)))
    assert patient.well("audit", deep=True)
    patient.do(lambda store: store.db.execute("UPDATE audit SET actor = 'x' WHERE seq = 3"))
    assert "row 3" in patient.ill("audit", deep=True).sentence
    assert [one for one in patient.findings() if one.name == "audit"] == [], "only with --deep"


def test_the_doctor_changes_nothing(patient: Patient) -> None:
    """Neither a slot nor a key file nor a row."""
    write_world(patient.url)
    before = look(patient.url, lambda store: store.fetch("SELECT slot, owner FROM worker_slot WHERE slot > 0"))
    patient.findings(deep=True)
    assert look(patient.url, lambda store: store.fetch("SELECT slot, owner FROM worker_slot WHERE slot > 0")) == before
    assert not list(patient.home.glob("*.key"))


def test_the_verb(lite: Patient) -> None:
    env: dict[str, str | None] = {name: None for name in os.environ if name.startswith("ENLACE_")}
    done = CliRunner().invoke(app, ["doctor"], env=env | lite.env)
    assert done.exit_code == 0 and all(line[:4] in ("ok  ", "warn") for line in done.stdout.splitlines())
    assert all(" -> " in line for line in done.stdout.splitlines() if line.startswith("warn"))
    done = CliRunner().invoke(app, ["doctor", "--json"], env=env | lite.env | {"ENLACE_HTTP_PORT": "x"})
    assert done.exit_code == 1 and json.loads(done.stdout)[0]["level"] == "fail"
    assert revisions()[-1] in done.stdout
