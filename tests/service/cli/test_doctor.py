"""`enlace doctor`: each check has its fault injected into a real database, socket or file, and says the next step."""

import asyncio
import contextlib
import json
import os
import resource
import socket
import sqlite3
import threading
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from service.cli import app, doctor_machine
from service.cli.doctor import examine, readable
from service.cli.doctor_checks import CHECKS
from service.cli.doctor_machine import descriptors, free_space
from service.cli.doctor_site import Check, Finding, Site
from service.clock import SystemClock
from service.settings import SettingsError, load
from service.store import backup_marker, backup_postgresql, credentials, sources
from service.store.backup_marker import LastBackup
from service.store.change import AuditRow, Change, Job
from service.store.credentials import RegisteredClient
from service.store.engine import Store, open_store
from service.store.schema import revisions
from service.workflow.hospital_events import SPARSE
from tests import postgres_server
from tests.frozen_clock import FrozenClock
from tests.postgres_server import free_port
from tests.scenarios.harness import running
from tests.scenarios.people import SOURCE, look, write_world
from tests.service.auth.smart_client import jwks_text

HOUR = 3_600_000_000
AUDIT = AuditRow("R", "read", 0, "me", "Organization/o")


@dataclass
class Patient:
    """An installation to be examined: its environment and its clock."""

    url: str
    home: Path
    clock: Any = field(default_factory=SystemClock)
    env: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        ports = {"ENLACE_HTTP_PORT": str(free_port()), "ENLACE_MLLP_PORT": str(free_port())}
        keys = {f"ENLACE_{name}_KEY_FILE": str(self.home / f"{name}.key") for name in ("SECRET", "AUDIT")}
        self.env = {"ENLACE_DATABASE_URL": self.url, **ports, **keys, **self.env}

    def findings(self, *, deep: bool = False, **env: str) -> list[Finding]:
        return asyncio.run(examine(self.env | env, self.clock, deep=deep))

    def ill(self, name: str, *, deep: bool = False, **env: str) -> Finding:
        """The one finding of a check that is not ok; it must say what to do."""
        found = [one for one in self.findings(deep=deep, **env) if one.name == name and one.level != "ok"]
        assert len(found) == 1, found
        assert found[0].next and found[0].sentence.endswith((".", "?")), found
        return found[0]

    def well(self, name: str, *, deep: bool = False, **env: str) -> bool:
        return all(one.level == "ok" for one in self.findings(deep=deep, **env) if one.name == name)

    def do(self, work: Callable[[Store], Awaitable[Any]]) -> None:
        async def run() -> None:
            store = await open_store(self.url, self.clock)
            try:
                await work(store)
            finally:
                await store.close()

        asyncio.run(run())


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


def test_settings(lite: Patient) -> None:
    assert "did you mean ENLACE_HTTP_PORT" in lite.ill("settings", ENLACE_HTTP_PROT="1").sentence
    assert "ENLACE_HTTP_PORT has a bad value" in lite.ill("settings", ENLACE_HTTP_PORT="abc").sentence
    refused = lite.ill("settings", ENLACE_ENV="production")
    assert (refused.level, refused.sentence.split(" ")[0]) == ("fail", "ENLACE_PUBLIC_URL")
    assert lite.well("settings") and lite.well("settings", **PRODUCTION)
    found = {one.name: one for one in lite.findings(ENLACE_DATABASE_URL="mysql://x")}
    assert (found["database"].level, found["database"].next) == ("fail", "see settings")


def test_readable_leaves_out_what_is_wrong_only() -> None:
    settings, problems = readable({"ENLACE_HTTP_PORT": "9", "ENLACE_MLLP_PORT": "x", "ENLACE_X": "1"})
    assert (settings.http_port, len(problems)) == (9, 2)


@pytest.mark.parametrize(
    ("text", "mode", "sandbox", "production"),
    [
        (None, 0, "ok", "fail"), (b"short\n", 0o600, "fail", "fail"), (b"x" * 32, 0o600, "ok", "ok"),
        (b"sandbox-" + b"x" * 32, 0o600, "ok", "fail"), (b"x" * 32, 0o604, "warn", "fail"),
        (b"x" * 32, 0o640, "warn", "warn"),
    ],
)  # fmt: skip
def test_keys(lite: Patient, text: bytes | None, mode: int, sandbox: str, production: str) -> None:
    for name, wanted in (("ENLACE_SECRET_KEY_FILE", 0), ("ENLACE_AUDIT_KEY_FILE", 1)):
        path = Path(lite.env[name])
        if text is not None:
            path.write_bytes(text + str(wanted).encode())
            path.chmod(mode)
        for env, level in (({}, sandbox), (PRODUCTION, production)):
            found = [one for one in lite.findings(**env) if one.name == "keys"][wanted]
            assert found.level == level and bool(found.next) == (level != "ok"), found
    try:
        load(lite.env | PRODUCTION).check()
        assert production != "fail", "the doctor refuses what the service takes"
    except SettingsError:
        assert production == "fail", "the service refuses what the doctor takes"


def test_disk(lite: Patient) -> None:
    stat = os.statvfs(lite.home)
    free_mb = stat.f_bavail * stat.f_frsize // 1_000_000
    assert lite.ill("disk", ENLACE_DISK_RESERVE_MB=str(free_mb + 1000)).level == "fail"
    assert lite.ill("disk", ENLACE_DISK_RESERVE_MB=str(free_mb // 4)).level == "warn"
    assert free_space("/x", 2 * 10**9, 10**12, 0).level == "warn", "two of a thousand GB are little"
    assert free_space("/x", 9 * 10**10, 10**12, 0).level == "ok"


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


def test_who_makes_the_keys(lite: Patient) -> None:
    def told(**env: str) -> list[bool]:
        return ["first start" in one.sentence for one in lite.findings(**env) if one.name == "keys"]

    assert told() == [False, False], "there was a start"
    assert told(ENLACE_DATABASE_URL=f"sqlite:///{lite.home}/none.db") == [True, True]


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


def test_one_key_for_both(lite: Patient) -> None:
    for name in ("ENLACE_SECRET_KEY_FILE", "ENLACE_AUDIT_KEY_FILE"):
        Path(lite.env[name]).write_bytes(b"x" * 32)
        Path(lite.env[name]).chmod(0o600)
    assert (lite.ill("keys").level, lite.ill("keys", **PRODUCTION).level) == ("warn", "fail")


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


def test_clock(patient: Patient) -> None:
    write_world(patient.url)
    behind = FrozenClock()
    behind.advance(SystemClock().now_us() - behind.now_us() - 2 * HOUR)
    assert patient.well("clock")
    found = replace(patient, clock=behind).ill("clock")
    said = "in the future" if patient.url.startswith("sqlite") else "database's are"
    assert found.level == "fail" and said in found.sentence


def test_ntp(lite: Patient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor_machine, "ntp_synchronised", lambda: False)
    assert lite.ill("ntp").level == "warn"
    for said in (True, None):
        monkeypatch.setattr(doctor_machine, "ntp_synchronised", lambda said=said: said)
        assert lite.well("ntp")


def test_ports(lite: Patient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor_machine, "_ANSWER_S", 0.3)
    assert lite.well("ports")
    with listening(lambda peer: peer.sendall(b"SSH-2.0-somebody\r\n")) as port:
        assert "Another program" in lite.ill("ports", ENLACE_HTTP_PORT=str(port)).sentence
        assert "ENLACE_MLLP_PORT" in lite.ill("ports", ENLACE_MLLP_PORT=str(port)).next
    with listening(lambda _peer: None) as port:
        assert lite.ill("ports", ENLACE_HTTP_PORT=str(port)).level == "fail", "it takes connections and is silent"
        assert lite.ill("ports", ENLACE_MLLP_PORT=str(port)).level == "fail"
    assert "cannot be used" in lite.ill("ports", ENLACE_HTTP_HOST="192.0.2.1").sentence


@contextlib.contextmanager
def listening(greet: Callable[[socket.socket], object]) -> Iterator[int]:
    """Another program at a port: takes connections, greets, keeps them."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        peers: list[socket.socket] = []

        def serve() -> None:
            with contextlib.suppress(OSError):
                while True:
                    peers.append(server.accept()[0])
                    greet(peers[-1])

        threading.Thread(target=serve, daemon=True).start()
        yield server.getsockname()[1]
        server.shutdown(socket.SHUT_RDWR)
        for peer in peers:
            peer.close()


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


def test_mail(lite: Patient) -> None:
    assert lite.well("outbound")
    idle = lite.ill("outbound", ENLACE_SMTP_URL="smtps://u:p@mail.example.org:465")
    assert idle.next == "leave ENLACE_SMTP_URL unset"


def test_files(lite: Patient) -> None:
    assert [descriptors(n).level for n in (256, 1024, 65536, resource.RLIM_INFINITY)] == ["fail", "warn", "ok", "ok"]
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (1000, hard))
        assert "LimitNOFILE" in lite.ill("files").next
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


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
