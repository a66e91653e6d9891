"""How processes refuse to start, lose their database and die; how they stop is in test_sigterm.py.

Issue 2, points 2 and 12. Everything is seen from outside: exit codes, output, sockets.
"""

import os
import select
import shutil
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import httpx
import pytest

from tests import postgres_server
from tests.postgres_server import free_port
from tests.scenarios.forked_starts import Starter
from tests.scenarios.harness import ROOT, ROSA, adt, running, wait_for, write_world

Start = Callable[..., "subprocess.CompletedProcess[str]"]
PROCESSES = (("serve",), ("worker",), ("adt-listener",))


def environment(url: str, home: Path, **more: str) -> dict[str, str]:
    clean = {name: value for name, value in os.environ.items() if not name.startswith("ENLACE_")}
    facts = {
        "ENLACE_DATABASE_URL": url,
        "ENLACE_SECRET_KEY_FILE": str(home / "secret.key"),
        "ENLACE_HTTP_PORT": str(free_port()),
        "ENLACE_MLLP_PORT": str(free_port()),
        "PYTHONPATH": str(ROOT),
    }
    return clean | facts | more


@pytest.fixture(scope="module")
def starter() -> Iterator[Starter]:
    made = Starter()
    yield made
    made.close()


@pytest.fixture
def start(starter: Starter, tmp_path: Path) -> Start:
    """Runs `enlace ...` to its end; a start that should be refused and is not ends by the time limit."""
    return lambda env, *arguments: starter.run(env, tmp_path, *arguments)


def refused(done: subprocess.CompletedProcess[str], *words: str, code: int = 1, sentences: int = 1) -> None:
    """The last lines are sentences, nothing else is there but log lines."""
    assert done.returncode == code, (done.returncode, done.stdout, done.stderr)
    lines = [line for line in (done.stdout + done.stderr).splitlines() if not line.startswith("{")]
    assert "Traceback" not in done.stderr, done.stderr
    assert len(lines) == sentences, lines
    assert all(line.endswith(".") or line.endswith("?") for line in lines), lines
    assert all(word in "\n".join(lines) for word in words), lines


def together(*work: Callable[[], None]) -> None:
    """Side by side: a Python process that starts mostly waits for the other core."""
    with ThreadPoolExecutor(2) as pool:
        for done in [pool.submit(one) for one in work]:
            done.result()


# --- starts that are refused -------------------------------------------------------------------------------------


@pytest.fixture(params=["sqlite", "sqlite-empty", "postgresql"])
def unmigrated_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    if request.param.startswith("sqlite"):
        path = tmp_path / "empty.db"
        if request.param == "sqlite-empty":
            path.touch()
        yield f"sqlite:///{path}"
        return
    url = postgres_server.new_database(request.getfixturevalue("postgres_url"))
    yield url
    postgres_server.drop_database(url)


def test_an_unmigrated_database_is_refused(start: Start, unmigrated_url: str, tmp_path: Path) -> None:
    env = environment(unmigrated_url, tmp_path)
    together(*(lambda p=part: refused(start(env, *p), "enlace migrate") for part in PROCESSES))


def test_an_unknown_revision_is_refused(start: Start, database_url: str, tmp_path: Path) -> None:
    _revision(database_url, "9999")
    env = environment(database_url, tmp_path)
    words = ("revision 9999", "use a newer one")
    together(*(lambda p=part: refused(start(env, *p), *words) for part in (("serve", "--all"), ("adt-listener",))))


def _revision(url: str, revision: str) -> None:
    statements = [
        f"UPDATE alembic_version SET version_num = '{revision}'",
        f"UPDATE meta SET value = '{revision}' WHERE name = 'serves_from'",
    ]
    if not url.startswith("sqlite"):
        postgres_server.on_server(url, *statements)
        return
    import sqlite3

    with sqlite3.connect(url.removeprefix("sqlite:///")) as connection:
        for statement in statements:
            connection.execute(statement)
    connection.close()


def test_bad_and_unknown_settings_are_named_never_shown(start: Start, sqlite_url: str, tmp_path: Path) -> None:
    secret = "hunter2-is-no-zone"
    bad = {"ENLACE_HTTP_PROT": "80", "ENLACE_LOG_LEVEL": "loud", "ENLACE_TIME_ZONE": secret, "ENLACE_MLLP_PORT": "x"}
    env = environment(sqlite_url, tmp_path) | bad

    def check(*arguments: str) -> None:
        done = start(env, *arguments)
        words = ("ENLACE_HTTP_PORT?", "ENLACE_LOG_LEVEL", "ENLACE_TIME_ZONE", "ENLACE_MLLP_PORT")
        refused(done, *words, sentences=4)
        assert secret not in done.stderr

    together(lambda: check("serve"), lambda: check("adt-listener"), lambda: check("migrate"))
    ignored = environment(sqlite_url, tmp_path, ENLACE_TEST_WHATEVER="1", ENLACE_DATABASE_URL="mysql://x")
    refused(start(ignored, "worker"), "ENLACE_DATABASE_URL has a bad value")


def test_production_refuses_what_is_for_trials(start: Start, sqlite_url: str, tmp_path: Path) -> None:
    env = environment(sqlite_url, tmp_path, ENLACE_ENV="production")
    names = ("ENLACE_PUBLIC_URL", "ENLACE_SECRET_KEY_FILE", "ENLACE_AUDIT_KEY_FILE")
    together(
        lambda: refused(start(env, "serve"), *names, sentences=3),
        lambda: refused(start(env, "adt-listener"), *names, sentences=3),
    )


def test_a_port_in_use_is_a_sentence(start: Start, sqlite_url: str, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        http = environment(sqlite_url, tmp_path, ENLACE_HTTP_PORT=port)
        mllp = environment(sqlite_url, tmp_path, ENLACE_MLLP_PORT=port)
        together(
            lambda: refused(start(http, "serve"), "ENLACE_HTTP_PORT", port, "choose another"),
            lambda: refused(start(http, "serve", "--all"), "ENLACE_HTTP_PORT", port, "choose another"),
            lambda: refused(start(mllp, "adt-listener"), "ENLACE_MLLP_PORT", port, "choose another"),
            lambda: refused(start(mllp, "serve", "--all"), "ENLACE_MLLP_PORT", port, "choose another"),
        )


def test_a_database_server_that_is_not_there_is_a_sentence(start: Start, postgresql_url: str, tmp_path: Path) -> None:
    nowhere = f"postgresql://enlace:x@127.0.0.1:{free_port()}/enlace"
    absent = postgres_server.with_database(postgresql_url, "enlace_absent")
    together(
        lambda: refused(start(environment(nowhere, tmp_path), "serve"), "ENLACE_DATABASE_URL"),
        lambda: refused(start(environment(nowhere, tmp_path), "token", "--role", "lcm"), "ENLACE_DATABASE_URL"),
        lambda: refused(start(environment(absent, tmp_path), "worker"), "ENLACE_DATABASE_URL"),
    )


def test_sqlite_is_one_process(start: Start, sqlite_url: str, tmp_path: Path) -> None:
    env = environment(sqlite_url, tmp_path)
    refused(start(env, "serve", "--workers", "2"), "SQLite", "--workers", code=2)


# --- the database goes away --------------------------------------------------------------------------------------


class _Wire:
    """A TCP relay to the database server that can be cut and mended."""

    def __init__(self, host: str, port: int):
        self._target = (host, port)
        self.port = free_port()
        self._open: set[socket.socket] = set()
        self._server: socket.socket | None = None
        self.mend()

    def mend(self) -> None:
        self._server = socket.create_server(("127.0.0.1", self.port), backlog=64)
        threading.Thread(target=self._accept, args=(self._server,), daemon=True).start()

    def cut(self) -> None:
        server, self._server = self._server, None
        if server:
            with suppress(OSError):
                server.shutdown(socket.SHUT_RDWR)
            server.close()
        for one in tuple(self._open):
            with suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)

    def _accept(self, server: socket.socket) -> None:
        while True:
            try:
                client, _ = server.accept()
            except OSError:
                return
            threading.Thread(target=self._relay, args=(client,), daemon=True).start()

    def _relay(self, client: socket.socket) -> None:
        with client, suppress(OSError), socket.create_connection(self._target) as database:
            pair = {client: database, database: client}
            self._open |= set(pair)
            try:
                while ready := select.select(list(pair), [], [])[0]:
                    for one in ready:
                        data = one.recv(65_536)
                        if not data:
                            return
                        pair[one].sendall(data)
            finally:
                self._open -= set(pair)


@contextmanager
def wired(url: str) -> Iterator[tuple[str, _Wire]]:
    parts = urlsplit(url)
    wire = _Wire(parts.hostname or "", parts.port or 5432)
    credentials = parts.netloc.rpartition("@")[0]
    try:
        yield urlunsplit(parts._replace(netloc=f"{credentials}@127.0.0.1:{wire.port}")), wire
    finally:
        wire.cut()


def test_the_database_goes_and_comes_back(postgresql_url: str, tmp_path: Path) -> None:
    tokens = write_world(postgresql_url)
    with wired(postgresql_url) as (url, wire), running(url, tmp_path, three=True) as service:

        def status(path: str) -> int:
            headers = {"Authorization": f"Bearer {tokens['ada']}"}
            return httpx.get(service.base + path, headers=headers, timeout=15).status_code

        read = f"/fhir/{ROSA.reference}"
        assert (status("/healthz"), status("/readyz"), status(read)) == (200, 200, 200)
        wire.cut()
        wait_for(lambda: status("/readyz") == 503)
        assert status("/healthz") == 200, "a process without its database is alive: nobody restarts it for that"
        assert status(read) == 503
        assert service.send(adt("A01", control_id="LOST")) in ([""], ["AE"], ["CE"]), "nothing may be accepted"
        wire.mend()
        wait_for(lambda: status("/readyz") == 200)
        wait_for(lambda: status(read) == 200)
        assert service.alive(), "every process waits for its database"
        wait_for(lambda: service.send(adt("A01", control_id="LOST")) == ["AA"], every=0.3)
        wait_for(lambda: service.found(tokens["ada"], "Communication?category=enlace-alert"), 20)
        assert set(service.terminate().values()) == {0}
        assert "Traceback" not in service.output()


# --- several API processes ---------------------------------------------------------------------------------------


def children(pid: int) -> list[int]:
    found = subprocess.run(["ps", "-o", "pid=", "--ppid", str(pid)], capture_output=True, text=True)
    return [int(word) for word in found.stdout.split()]


def gone(pids: list[int]) -> bool:
    return not any(Path(f"/proc/{pid}").exists() and "Z" not in _state(pid) for pid in pids)


def _state(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return "Z"


@pytest.mark.skipif(not shutil.which("ps") or not Path("/proc").exists(), reason="Needs ps and /proc (Linux).")
def test_two_api_processes_end_with_their_parent(postgresql_url: str, tmp_path: Path) -> None:
    tokens = write_world(postgresql_url)
    env = environment(postgresql_url, tmp_path)
    base = f"http://127.0.0.1:{env['ENLACE_HTTP_PORT']}"
    for last in (signal.SIGTERM, signal.SIGKILL):
        log = tmp_path / f"{last.name}.log"
        with log.open("wb") as output:
            command = [sys.executable, "-m", "service.cli", "serve", "--workers", "2"]
            parent = subprocess.Popen(command, env=env, cwd=ROOT, stdout=output, stderr=output)
        pids: list[int] = []
        try:
            wait_for(lambda log=log: log.read_text().count('"service.ready"') == 2, 40)  # type: ignore[misc]
            pids = children(parent.pid)
            assert len(pids) == 2, pids
            for _ in range(8):
                headers = {"Authorization": f"Bearer {tokens['ada']}"}
                assert httpx.get(f"{base}/fhir/{ROSA.reference}", headers=headers, timeout=15).status_code == 200
            parent.send_signal(last)
            code = parent.wait(20)
            assert code == (0 if last is signal.SIGTERM else -9), log.read_text()[-2000:]
            wait_for(lambda pids=pids: gone(pids), 15)  # type: ignore[misc]
            assert log.read_text().count('"service.stopped"') == 2
        finally:
            for pid in [parent.pid, *pids]:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            parent.wait()
