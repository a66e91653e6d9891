"""Starts the service as separate processes, writes a small made-up world, speaks MLLP and HTTP to it.

Use: `world = write_world(url)` before the start, then `with running(url, tmp_path) as service:`. Everything here is
synchronous; a test that looks into the database says `look(url, lambda store: ...)`. No process outlives its test.
"""

import asyncio
import ctypes
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

import httpx
from typer.testing import CliRunner

from mappers.hl7v2.simulate import message as er7
from service.access.context import Context
from service.caller import system_caller
from service.cli import app as cli_app
from service.store import sources
from service.store.change import ABSENT, Change
from service.store.engine import Store, open_store
from service.store.sources import RegisteredSource
from tests.postgres_server import free_port
from tests.service.world import access_token, coverage, episode, make, team

T = TypeVar("T")
ROOT = Path(__file__).parents[2]
CIN_SYSTEM = "https://enlace.example.org/fhir/NamingSystem/medi-cal-cin"
ALL = ("serve", "--all")
THREE = (("serve",), ("worker",), ("adt-listener",))
MINUTE = 60_000_000


def now_us() -> int:
    return time.time_ns() // 1000


def wait_for(what: Callable[[], T], seconds: float = 15.0, every: float = 0.02) -> T:
    """The first truthy value of `what`; fails after `seconds` with the last one."""
    until = time.monotonic() + seconds
    while not (value := what()):
        assert time.monotonic() < until, f"nothing after {seconds} s: {value!r}"
        time.sleep(every)
    return value


# --- the database ------------------------------------------------------------------------------------------------


def look(url: str, work: Callable[[Store], Awaitable[T]]) -> T:
    """Opens the database beside the running service, runs `work`, closes it."""

    async def run() -> T:
        store = await open_store(url)
        try:
            return await work(store)
        finally:
            await store.close()

    return asyncio.run(run())


def rows(url: str, sql: str, *params: Any) -> list[tuple[Any, ...]]:
    """A SELECT with `?` placeholders."""

    async def fetch(store: Store) -> list[tuple[Any, ...]]:
        return [tuple(row) for row in await store.fetch(sql, params)]

    return look(url, fetch)


async def put(store: Store, *items: dict[str, Any]) -> None:
    """Writes new resources as the service itself, in one Change."""
    ctx = Context(store, system_caller(), store.clock.now_us())
    await store.commit(Change(writes=[ctx.write(item, ABSENT) for item in items]))


# --- the world ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Member:
    """A member and the lead care manager (`lead`) of the ECM provider (`organization`) who answers for it."""

    key: str
    cin: str
    family: str
    given: str
    birth_date: str
    lead: str
    organization: str

    @property
    def reference(self) -> str:
        return f"Patient/{self.key}"

    @property
    def said(self) -> dict[str, Any]:
        """What a hospital that knows the CIN says of the person."""
        return {"cin": self.cin, "mrn": f"M-{self.key}", "family": self.family, "given": self.given,
                "birth_date": self.birth_date, "sex": "F", "phone": "(555) 555-0142"}  # fmt: skip


ROSA = Member("rosa", "91000001A", "Quillfeather", "Rosalind", "1980-05-17", "Practitioner/ada", "Organization/north")
LUIS = Member("luis", "91000002A", "Brambleton", "Luisa", "1971-11-02", "Practitioner/ben", "Organization/south")
HOSPITAL = {"name": "Mercy Made-up", "application": "EPIC", "facility": "MERCY"}
SOURCE = RegisteredSource("mercy", "EPIC", "MERCY", "Organization/mercy", {"display": "Mercy Made-up"}, True)
ORGANIZATIONS = ("north", "south", "plan", "mercy", "cbo")
CLIENTS: dict[str, tuple[str, str, str | None]] = {
    "ada": ("lcm", "Organization/north", "Practitioner/ada"),
    "ben": ("lcm", "Organization/south", "Practitioner/ben"),
    "north": ("ecm-provider", "Organization/north", None),
    "south": ("ecm-provider", "Organization/south", None),
    "plan": ("mcp", "Organization/plan", None),
    "cbo": ("cbo", "Organization/cbo", None),
    "mercy": ("hospital", "Organization/mercy", None),
    "admin": ("admin", "Organization/enlace", None),
}
"""name -> (role, organization, person) of a client with all scopes"""


def patient(member: Member) -> dict[str, Any]:
    return make(
        member.reference,
        identifier=[{"system": CIN_SYSTEM, "value": member.cin}],
        name=[{"use": "official", "family": member.family, "given": [member.given]}],
        birthDate=member.birth_date,
        gender="female",
        telecom=[{"system": "phone", "value": "(555) 555-0142"}],
    )


async def put_member(store: Store, member: Member, *, lead: bool = True) -> None:
    """Patient, Coverage, EpisodeOfCare and CareTeam, as a plan file would make them."""
    key, who = member.key, member.reference
    await put(
        store,
        patient(member),
        coverage(f"Coverage/{key}", who, "Organization/plan"),
        episode(f"EpisodeOfCare/{key}", who, member.organization, member.lead if lead else None),
        team(f"CareTeam/{key}", who, member.organization, *([member.lead] if lead else [])),
    )


async def _world(store: Store) -> dict[str, str]:
    await put(store, *(make(f"Organization/{o}", name=f"{o.title()} Made-up", active=True) for o in ORGANIZATIONS))
    await put(store, make("Practitioner/ada", name=[{"family": "Adair"}]), make("Practitioner/ben"))
    for member in (ROSA, LUIS):
        await put_member(store, member)
    await store.commit(Change(statements=[sources.put(SOURCE)]))
    return {name: await access_token(store, *facts) for name, facts in CLIENTS.items()}


def write_world(url: str) -> dict[str, str]:
    """Hospital, two ECM providers, plan, CBO, two members with their lead care managers; a token for each CLIENTS."""
    return look(url, _world)


@dataclass(frozen=True)
class Cast:
    """Two members of their own for one test, so that tests can share a running service: ours and a foreign one.

    tokens: ada and ben (their lead care managers), south (ben's organization), cbo, mercy, plan, admin.
    """

    rosa: Member
    luis: Member
    tokens: dict[str, str]


_CASTS = iter(range(1, 99_999))


def cast(url: str, tokens: dict[str, str]) -> Cast:
    """Writes a new pair of members with lead care managers beside the running service."""
    number = next(_CASTS)
    surname = "".join(chr(97 + int(digit)) for digit in f"{number:05d}")
    rosa = replace(
        ROSA, key=f"rosa-{number}", cin=f"92{number:06d}A", family=f"Quill{surname}", lead=f"Practitioner/ada-{number}"
    )
    luis = replace(
        LUIS, key=f"luis-{number}", cin=f"93{number:06d}A", family=f"Bram{surname}", lead=f"Practitioner/ben-{number}"
    )

    async def write(store: Store) -> dict[str, str]:
        made: dict[str, str] = {}
        for name, member in (("ada", rosa), ("ben", luis)):
            await put(store, make(member.lead, name=[{"family": "Adair"}]))
            await put_member(store, member)
            made[name] = await access_token(store, "lcm", member.organization, member.lead)
        return made

    return Cast(rosa, luis, {**tokens, **look(url, write)})


def adt(
    event: str, member: Mapping[str, Any] = ROSA.said, *, ago: float = 60, visit: str = "V1", **fields: Any
) -> bytes:
    """An ADT message of Mercy of what happened `ago` minutes ago, sent at once; its control id is new by default."""
    at = now_us() - int(ago * MINUTE)
    fields = {"control_id": f"C{time.time_ns()}", "at_us": at + 1_000_000, "occurred_us": at, **fields}
    return er7(event, member, HOSPITAL, visit_number=visit, **fields)


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
            "PYTHONPATH": str(ROOT),
            **env,
        }
        self._running: dict[str, subprocess.Popen[bytes]] = {}
        self._starts = 0

    def start(self, *names: str) -> None:
        """Starts the named parts ("serve", "worker", "adt-listener"), all by default; returns when they take work.

        Call it from the main thread: children end with the thread that started them.
        """
        begun = [self._spawn(part) for part in self.parts if not names or part[0] in names]
        for name, log in begun:
            wait_for(lambda name=name, log=log: self._ready(name, log), 30)  # type: ignore[misc]

    def _spawn(self, part: tuple[str, ...]) -> tuple[str, Path]:
        self._starts += 1
        log = self._home / f"{self._starts:03d}-{part[0]}.log"
        with log.open("wb") as output:
            self._running[part[0]] = subprocess.Popen(
                [sys.executable, "-m", "service.cli", *part],
                env=self._env, cwd=self._home, stdout=output, stderr=output, preexec_fn=_die_with_parent,
            )  # fmt: skip
        return part[0], log

    def _ready(self, name: str, log: Path) -> bool:
        text = log.read_text(errors="replace")
        assert self._running[name].poll() is None, f"{name} did not start: {text[-3000:]}"
        if '"service.ready"' not in text:
            return False
        with suppress(httpx.TransportError):
            return name != "serve" or httpx.get(f"{self.base}/readyz").status_code == 200
        return False

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
        return f"http://127.0.0.1:{self.http_port}"

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
        """Waits until no job is left to do."""
        wait_for(lambda: rows(self.url, "SELECT count(*) FROM job WHERE state IN ('ready', 'leased')")[0][0] == 0,
                 seconds, 0.2)  # fmt: skip

    def inbox(self, since: int = 0) -> list[dict[str, Any]]:
        """Every message received after the one with this id, oldest first."""
        names = "id, source, control_id, event, state, reason, patient, stay"
        found = rows(self.url, f"SELECT {names} FROM inbox WHERE id > ? ORDER BY id", since)
        return [dict(zip(names.split(", "), row, strict=True)) for row in found]


@contextmanager
def running(url: str, home: Path, *, three: bool | None = None, **env: str) -> Iterator[Service]:
    """The service over a migrated database: one process on SQLite, three (API, worker, listener) on PostgreSQL."""
    split = not url.startswith("sqlite") if three is None else three
    home = home / "service"
    home.mkdir(exist_ok=True)
    service = Service(url, home, THREE if split else (ALL,), **env)
    try:
        service.start()
        yield service
    finally:
        service.kill()


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
    """Lines of JSON as the CLI's --json prints them."""
    return [json.loads(line) for line in text.splitlines()]
