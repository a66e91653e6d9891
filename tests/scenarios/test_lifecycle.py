"""How processes start, refuse to start, lose their database, stop and die; and what they write down meanwhile.

Issue 2, points 2 and 12. Everything is seen from outside: exit codes, output, sockets.
"""

import json
import os
import select
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import httpx
import pytest

from service.log_events import CATALOGUE, RESERVED
from tests import postgres_server
from tests.postgres_server import free_port
from tests.scenarios.harness import HOSPITAL, LUIS, ROOT, ROSA, Service, ack_code, adt, running, wait_for, write_world
from tests.service.web.browsing import Forms

CANARY = "Zyxwvutsrq"
"""A name that exists nowhere else: in a body, a URL, a message."""
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


def start(env: dict[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
    """Runs `enlace ...` to its end; a start that should be refused and is not ends by the time limit."""
    command = [sys.executable, "-m", "service.cli", *arguments]
    return subprocess.run(command, env=env, cwd=ROOT, capture_output=True, text=True, timeout=60)


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


def test_an_unmigrated_database_is_refused(unmigrated_url: str, tmp_path: Path) -> None:
    env = environment(unmigrated_url, tmp_path)
    together(*(lambda p=part: refused(start(env, *p), "enlace migrate") for part in PROCESSES))  # type: ignore[misc]


def test_an_unknown_revision_is_refused(database_url: str, tmp_path: Path) -> None:
    _revision(database_url, "9999")
    env = environment(database_url, tmp_path)
    words = ("revision 9999", "use a newer one")
    together(*(lambda p=part: refused(start(env, *p), *words) for part in (("serve", "--all"), ("adt-listener",))))  # type: ignore[misc]


def _revision(url: str, revision: str) -> None:
    statement = f"UPDATE alembic_version SET version_num = '{revision}'"
    if not url.startswith("sqlite"):
        postgres_server.on_server(url, statement)
        return
    import sqlite3

    with sqlite3.connect(url.removeprefix("sqlite:///")) as connection:
        connection.execute(statement)
    connection.close()


def test_bad_and_unknown_settings_are_named_never_shown(sqlite_url: str, tmp_path: Path) -> None:
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


def test_production_refuses_what_is_for_trials(sqlite_url: str, tmp_path: Path) -> None:
    env = environment(sqlite_url, tmp_path, ENLACE_ENV="production")
    names = ("ENLACE_PUBLIC_URL", "ENLACE_SECRET_KEY_FILE", "ENLACE_AUDIT_KEY_FILE")
    together(
        lambda: refused(start(env, "serve"), *names, sentences=3),
        lambda: refused(start(env, "adt-listener"), *names, sentences=3),
    )


def test_a_port_in_use_is_a_sentence(sqlite_url: str, tmp_path: Path) -> None:
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


def test_a_database_server_that_is_not_there_is_a_sentence(postgresql_url: str, tmp_path: Path) -> None:
    nowhere = f"postgresql://enlace:x@127.0.0.1:{free_port()}/enlace"
    absent = postgres_server.with_database(postgresql_url, "enlace_absent")
    together(
        lambda: refused(start(environment(nowhere, tmp_path), "serve"), "ENLACE_DATABASE_URL"),
        lambda: refused(start(environment(nowhere, tmp_path), "token", "--role", "lcm"), "ENLACE_DATABASE_URL"),
        lambda: refused(start(environment(absent, tmp_path), "worker"), "ENLACE_DATABASE_URL"),
    )


def test_sqlite_is_one_process(sqlite_url: str, tmp_path: Path) -> None:
    env = environment(sqlite_url, tmp_path)
    refused(start(env, "serve", "--workers", "2"), "SQLite", "--workers", code=2)


# --- an orderly end ----------------------------------------------------------------------------------------------


def test_sigterm_finishes_what_is_in_hand(database_url: str, tmp_path: Path) -> None:
    tokens = write_world(database_url)
    with running(database_url, tmp_path, ENLACE_LOG_LEVEL="debug") as service:
        _work_with_names(service, tokens)
        stream = _open_stream(service)
        half = _HalfSent(service, tokens["north"])
        reading = _Readers(service, tokens["ada"])
        with service.mllp() as idle:
            assert ack_code(idle.exchange(adt("A01", LUIS.said, visit="V3"))) == "AA"
            time.sleep(0.3)
            asked = time.monotonic()
            for process in service._running.values():
                process.terminate()
            time.sleep(0.3)
            assert half.finish().startswith(b"HTTP/1.1 201"), "a request in hand was cut off"
            codes = {name: process.wait(30) for name, process in service._running.items()}
            seconds = time.monotonic() - asked
            assert idle.answer() == b"", "the listener closes its connections"
        answers = reading.stop()
        ended = stream.read()
    assert set(codes.values()) == {0}, (codes, service.output()[-2000:])
    assert seconds < 12, f"{seconds:.1f} s until all processes were gone"
    assert ended.startswith(b"HTTP/1.1 200")
    assert answers["200"] > 0 and set(answers) <= {"200", "503", "not-connected"}, answers
    _check_log(service.output())


class _HalfSent:
    """A create whose body comes in two halves."""

    def __init__(self, service: Service, token: str):
        subject = {"reference": ROSA.reference, "display": CANARY}
        body = {"resourceType": "Observation", "status": "final", "code": {"text": CANARY}, "subject": subject}
        text = json.dumps(body).encode()
        head = (
            f"POST /fhir/Observation HTTP/1.1\r\nHost: enlace\r\nAuthorization: Bearer {token}\r\n"
            f"Content-Type: application/fhir+json\r\nContent-Length: {len(text)}\r\n\r\n"
        )
        self._socket = socket.create_connection(("127.0.0.1", service.http_port), 15)
        self._socket.sendall(head.encode() + text[:20])
        self._rest = text[20:]

    def finish(self) -> bytes:
        self._socket.sendall(self._rest)
        with self._socket:
            return self._socket.recv(65_536)


class _Readers:
    """Reads without a pause; counts the answers by status, and those that broke off in the middle."""

    def __init__(self, service: Service, token: str):
        self._counts: dict[str, int] = {}
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._read, args=(service, token))
        self._thread.start()

    def _read(self, service: Service, token: str) -> None:
        while not self._ended.is_set():
            try:
                with service.client(token) as client:
                    outcome = str(client.get(f"/{ROSA.reference}").status_code)
            except (httpx.ConnectError, httpx.ConnectTimeout):
                outcome = "not-connected"
                time.sleep(0.05)
            except httpx.TransportError as error:
                # Connected after the last accept: the kernel's queue is dropped with the socket, nothing was begun.
                outcome = "not-connected" if "disconnected without" in str(error) or _reset(error) else repr(error)
            self._counts[outcome] = self._counts.get(outcome, 0) + 1

    def stop(self) -> dict[str, int]:
        self._ended.set()
        self._thread.join(20)
        return self._counts


def _reset(error: BaseException) -> bool:
    return "reset by peer" in str(error).lower()


class _Stream:
    """An open text/event-stream, read by a plain socket until the server ends it."""

    def __init__(self, service: Service, cookie: str):
        self._socket = socket.create_connection(("127.0.0.1", service.http_port), 15)
        request = f"GET /inbox/events HTTP/1.1\r\nHost: 127.0.0.1:{service.http_port}\r\nCookie: {cookie}\r\n\r\n"
        self._socket.sendall(request.encode())
        self._got = b""
        while b"event: seen" not in self._got:
            data = self._socket.recv(65_536)
            assert data, self._got
            self._got += data

    def read(self) -> bytes:
        """All that came, once the server has closed."""
        with self._socket, suppress(ConnectionResetError):
            while data := self._socket.recv(65_536):
                self._got += data
        return self._got


def _open_stream(service: Service) -> _Stream:
    with httpx.Client(base_url=service.base, timeout=15) as browser:
        page = browser.get("/")
        action, fields, _ = next(form for form in Forms(page.text).found if form[2].startswith("Sign in as"))
        assert browser.post(action, data=fields).status_code == 303
        cookie = "; ".join(f"{name}={value}" for name, value in browser.cookies.items())
    return _Stream(service, cookie)


# --- what is written down ----------------------------------------------------------------------------------------


def _work_with_names(service: Service, tokens: dict[str, str]) -> None:
    """Reads, writes, refusals and messages that carry names, CINs, a secret token and free text."""
    with service.client(tokens["ada"]) as client:
        assert client.get(f"/Patient?family={ROSA.family}&given={CANARY}").status_code == 200
        assert client.get(f"/Patient/{CANARY}").status_code == 404
        assert client.get(f"/Patient?nonsense={CANARY}", headers={"Prefer": "handling=strict"}).status_code == 400
        assert client.post("/Observation", content=b'{"resourceType": "' + CANARY.encode()).status_code in (400, 415)
        wrong = {"resourceType": "Condition", "subject": {"reference": f"Patient/{CANARY}"}, CANARY: CANARY}
        assert client.post("/Condition", json=wrong).status_code in (400, 422)
    with service.client(CANARY) as stranger:
        assert stranger.get(f"/{ROSA.reference}").status_code == 401
    assert httpx.get(f"{service.base}/{CANARY}?name={ROSA.family}", timeout=15).status_code == 404
    nobody = {"mrn": CANARY, "family": CANARY, "given": CANARY, "birth_date": "1990-01-01", "sex": "F"}
    service.send(adt("A01"), adt("A01", nobody, visit="V2"), f"PID|1||{CANARY}\r".encode())
    with socket.create_connection(("127.0.0.1", service.mllp_port), 15) as loose:
        loose.sendall(f"GET /{CANARY} HTTP/1.1\r\n\r\n".encode())
    wait_for(lambda: [row["state"] for row in service.inbox()][:2] == ["applied", "unmatched"])


def _check_log(output: str) -> None:
    """Every line is JSON of the catalogue; no name, CIN, date of birth, token or free text stands in it."""
    lines = output.splitlines()
    seen = set()
    for line in lines:
        fields: dict[str, Any] = json.loads(line)
        event = CATALOGUE[fields["event"]]
        assert fields["message"] == event.sentence
        assert set(fields) <= event.fields | RESERVED, fields
        seen.add(event.code)
    assert seen >= {"service.ready", "service.stopping", "service.stopped", "request.done", "request.refused"}
    assert seen >= {"adt.stored", "adt.matched", "adt.unmatched", "adt.unreadable"}, seen
    secrets = (CANARY, ROSA.family, ROSA.given, ROSA.cin, ROSA.birth_date, LUIS.family, LUIS.cin, "19800517")
    for secret in secrets:
        assert secret.lower() not in output.lower(), [line for line in lines if secret.lower() in line.lower()]
    assert HOSPITAL["name"] not in output


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
