"""Starts the service as separate processes, writes a small made-up world, speaks MLLP and HTTP to it.

Use: `world = write_world(url)` before the start, then `with running(url, tmp_path) as service:`. Everything here is
synchronous; a test that looks into the database says `look(url, lambda store: ...)`. No process outlives its test.
"""

import ctypes
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, TypeVar

import httpx
from typer.testing import CliRunner

from service.cli import app as cli_app
from tests.postgres_server import free_port
from tests.scenarios.people import (
    CIN_SYSTEM,
    CLIENTS,
    HOSPITAL,
    LUIS,
    MINUTE,
    ORGANIZATIONS,
    ROSA,
    SOON,
    SOURCE,
    Cast,
    Member,
    adt,
    cast,
    look,
    now_us,
    patient,
    put,
    put_member,
    put_members,
    rows,
    write_world,
)
from tests.scenarios.proxy import Proxy

__all__ = [
    "ALL",
    "CIN_SYSTEM",
    "CLIENTS",
    "FIVE",
    "HOSPITAL",
    "LUIS",
    "MINUTE",
    "ORGANIZATIONS",
    "ROOT",
    "ROSA",
    "SOON",
    "SOURCE",
    "THREE",
    "Cast",
    "Member",
    "Mllp",
    "Service",
    "ack_code",
    "adt",
    "as_json",
    "cast",
    "look",
    "now_us",
    "patient",
    "put",
    "put_member",
    "put_members",
    "rows",
    "running",
    "wait_for",
    "write_world",
]
T = TypeVar("T")
ROOT = Path(__file__).parents[2]
ALL = ("serve", "--all")
THREE = (("serve",), ("worker",), ("adt-listener",))
FIVE = (("serve",), ("serve",), ("worker",), ("worker",), ("adt-listener",))
"""Behind a proxy: two of each that may be several. ENLACE_TEST_TOPOLOGY=five runs every PostgreSQL scenario so."""


def wait_for(what: Callable[[], T], seconds: float = 15.0, every: float = 0.02) -> T:
    """The first truthy value of `what`; fails after `seconds` with the last one."""
    until = time.monotonic() + seconds
    while not (value := what()):
        assert time.monotonic() < until, f"nothing after {seconds} s: {value!r}"
        time.sleep(every)
    return value


# --- the processes -----------------------------------------------------------------------------------------------


def _die_with_parent() -> None:
    with suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(1, signal.SIGKILL)


class Service:
    """The parts of the service, each a process; made by `running`."""

    def __init__(self, url: str, home: Path, parts: tuple[tuple[str, ...], ...], **env: str):
        self.url, self.parts = url, parts
        self.http_port, self.mllp_port = free_port(), free_port()
        self._home = home
        self._env = {k: v for k, v in os.environ.items() if not k.startswith("ENLACE_")} | {
            "ENLACE_DATABASE_URL": url,
            "ENLACE_HTTP_PORT": str(self.http_port),
            "ENLACE_MLLP_PORT": str(self.mllp_port),
            "ENLACE_SECRET_KEY_FILE": str(home / "secret.key"),
            "ENLACE_AUDIT_KEY_FILE": str(home / "audit.key"),
            "ENLACE_AUDIT_RECEIPTS": str(home / "audit-receipts.jsonl"),
            "PYTHONPATH": str(ROOT),
            # Hundreds of modules are compiled once, not with each start: half of what a start costs.
            "PYTHONPYCACHEPREFIX": str(Path(tempfile.gettempdir()) / f"enlace-bytecode-{os.getuid()}"),
            **env,
        }
        self._env.pop("PYTHONDONTWRITEBYTECODE", None)
        self._running: dict[str, subprocess.Popen[bytes]] = {}
        self._starts = 0
        self._named: dict[str, tuple[str, ...]] = {}
        for part in parts:
            number = sum(1 for named in self._named.values() if named == part) + 1
            self._named[part[0] if number == 1 else f"{part[0]}-{number}"] = part
        self.proxy: Proxy | None = None
        self.ports = {name: free_port() for name in self.names if name.startswith("serve-")} | {"serve": self.http_port}
        if len(self.ports) > 1:
            self.proxy = Proxy(home, tuple(self.ports.values()))
            self._env["ENLACE_PUBLIC_URL"] = self.base

    @property
    def names(self) -> list[str]:
        """Of the parts: serve, worker, adt-listener; a second one of a kind is `serve-2`."""
        return list(self._named)

    def start(self, *names: str) -> None:
        """Starts the named parts, all by default; returns when they take work.

        Call it from the main thread: children end with the thread that started them.
        """
        begun = [self._spawn(name) for name in self.names if not names or name in names]
        for name, log in begun:
            wait_for(lambda name=name, log=log: self._ready(name, log), 60)  # type: ignore[misc]

    def _spawn(self, name: str) -> tuple[str, Path]:
        self._starts += 1
        log = self._home / f"{self._starts:03d}-{name}.log"
        env = self._env | ({"ENLACE_HTTP_PORT": str(self.ports[name])} if name in self.ports else {})
        with log.open("wb") as output:
            self._running[name] = subprocess.Popen(
                [sys.executable, "-m", "service.cli", *self._named[name]],
                env=env, cwd=self._home, stdout=output, stderr=output, preexec_fn=_die_with_parent,
            )  # fmt: skip
        return name, log

    def _ready(self, name: str, log: Path) -> bool:
        text = log.read_text(errors="replace")
        assert self._running[name].poll() is None, f"{name} did not start: {text[-3000:]}"
        if '"service.ready"' not in text:
            return False
        with suppress(httpx.TransportError):
            if name not in self.ports:
                return True
            own = httpx.get(f"http://127.0.0.1:{self.ports[name]}/readyz").status_code == 200
            return own and httpx.get(f"{self.base}/readyz").status_code == 200
        return False

    @property
    def environment(self) -> dict[str, str]:
        """Of what is started from now on."""
        return self._env

    def use(self, **env: str) -> None:
        """Other settings for what is started from now on."""
        self._env |= env

    def pid(self, name: str = "serve") -> int:
        return self._running[name].pid

    def alive(self) -> bool:
        return all(process.poll() is None for process in self._running.values())

    def kill(self, *names: str) -> None:
        """SIGKILL, all parts by default."""
        for name in names or tuple(self._running):
            process = self._running.pop(name)
            process.kill()
            process.wait()

    def terminate(self, *names: str) -> dict[str, int]:
        """SIGTERM; the exit code of each."""
        gone = {name: self._running.pop(name) for name in names or tuple(self._running)}
        for process in gone.values():
            process.terminate()
        return {name: process.wait(30) for name, process in gone.items()}

    def output(self) -> str:
        """All that every process of this service has printed so far."""
        return "".join(path.read_text(errors="replace") for path in sorted(self._home.glob("[0-9]*.log")))

    @property
    def base(self) -> str:
        """Where clients go: the API process, or the proxy before several."""
        return f"http://127.0.0.1:{self.proxy.port if self.proxy else self.http_port}"

    def client(self, token: str, **more: Any) -> httpx.Client:
        """An HTTP client of the FHIR base; use it with `with`."""
        headers = {"Authorization": f"Bearer {token}", "Accept": "application/fhir+json"}
        return httpx.Client(base_url=f"{self.base}/fhir", headers=headers, timeout=15, **more)

    def found(self, token: str, query: str) -> list[dict[str, Any]]:
        """The resources that a search such as "Task?status=requested" gives this token (matches, first page)."""
        with self.client(token) as client:
            answer = client.get("/" + query)
        assert answer.status_code == 200, answer.text
        return [e["resource"] for e in answer.json().get("entry", ()) if e.get("search", {}).get("mode") != "outcome"]

    def mllp(self) -> "Mllp":
        return Mllp(self.mllp_port)

    def send(self, *messages: bytes) -> list[str]:
        """Sends over one MLLP connection; the ACK code of each."""
        with self.mllp() as connection:
            return [ack_code(connection.exchange(one)) for one in messages]

    def cli(self, *arguments: str, code: int = 0) -> str:
        """Runs `enlace ...` on the same database, in this process; what it prints (errors where it fails)."""
        kept = {name: value for name, value in os.environ.items() if name.startswith("ENLACE_")}
        env: dict[str, str | None] = dict.fromkeys(kept)
        env |= {name: value for name, value in self._env.items() if name.startswith("ENLACE_")}
        done = CliRunner().invoke(cli_app, arguments, env=env)
        assert done.exit_code == code, (done.exit_code, done.output[-2000:], done.exception)
        return done.stdout if code == 0 else done.output

    def drained(self, seconds: float = 30) -> None:
        """Waits until no job is left to do; timers and second looks, which come much later, are left to wait."""
        sql = (
            "SELECT count(*) FROM job WHERE state IN ('ready', 'leased') AND due_us <= ? "
            "AND NOT (state = 'ready' AND kind = 'adt.rematch' AND payload LIKE '%again%')"
        )
        wait_for(lambda: rows(self.url, sql, now_us() + SOON)[0][0] == 0, seconds, 0.2)

    def inbox(self, since: int = 0) -> list[dict[str, Any]]:
        """Every message received after the one with this id, oldest first."""
        names = "id, source, control_id, event, state, reason, patient, stay"
        found = rows(self.url, f"SELECT {names} FROM inbox WHERE id > ? ORDER BY id", since)
        return [dict(zip(names.split(", "), row, strict=True)) for row in found]


@contextmanager
def running(
    url: str, home: Path, *, three: bool | None = None, parts: tuple[tuple[str, ...], ...] | None = None, **env: str
) -> Iterator[Service]:
    """The service over a migrated database: one process on SQLite, three (API, worker, listener) on PostgreSQL."""
    split = not url.startswith("sqlite") if three is None else three
    home = home / "service"
    home.mkdir(exist_ok=True)
    several = os.environ.get("ENLACE_TEST_TOPOLOGY") == "five" and not url.startswith("sqlite")
    service = Service(url, home, parts or (FIVE if several else THREE if split else (ALL,)), **env)
    try:
        service.start()
        yield service
    finally:
        service.kill()
        if service.proxy:
            service.proxy.close()


# --- MLLP --------------------------------------------------------------------------------------------------------


class Mllp:
    """A plain sender; framing written apart from the listener's. Use it with `with`."""

    def __init__(self, port: int, timeout: float = 15):
        self.socket = socket.create_connection(("127.0.0.1", port), timeout)
        self._buffer = b""

    def __enter__(self) -> "Mllp":
        return self

    def __exit__(self, *_facts: object) -> None:
        self.socket.close()

    def send(self, message: bytes) -> None:
        self.socket.sendall(b"\x0b" + message + b"\x1c\r")

    def answer(self) -> bytes:
        """The next acknowledgement; b"" when the listener has closed."""
        while b"\x1c\r" not in self._buffer:
            data = self.socket.recv(65_536)
            if not data:
                return b""
            self._buffer += data
        payload, self._buffer = self._buffer.split(b"\x1c\r", 1)
        return payload.removeprefix(b"\x0b")

    def exchange(self, message: bytes) -> bytes:
        self.send(message)
        return self.answer()


def ack_code(ack: bytes) -> str:
    """MSA-1: AA, AE, AR, CA, CE or CR; "" where there is no MSA."""
    return next((line[4:6].decode() for line in ack.split(b"\r") if line.startswith(b"MSA|")), "")


def as_json(text: str) -> list[Any]:
    """The array that the CLI's --json prints where it lists."""
    found = json.loads(text)
    assert isinstance(found, list)
    return found
