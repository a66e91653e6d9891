"""Servers and load generators as processes of their own: start, wait until ready, CPU time, memory, stop."""

import contextlib
import http.client
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from service.cli.processes import die_with_parent
from tests.postgres_server import free_port

ROOT = Path(__file__).resolve().parent.parent
START_S = 60


@dataclass
class Server:
    """A running process. port: HTTP, or MLLP for the listener alone. ready_s: from start to the first answer."""

    process: "subprocess.Popen[bytes]"
    port: int
    mllp_port: int = 0
    ready_s: float = 0.0

    def cpu_us(self) -> float:
        """User and system time of the process and its children so far."""
        return cpu_us(psutil.Process(self.process.pid))

    def rss_mb(self) -> float:
        me = psutil.Process(self.process.pid)
        return float(sum(p.memory_info().rss for p in [me, *me.children(recursive=True)])) / 1e6


def cpu_us(root: psutil.Process) -> float:
    total = 0.0
    for process in [root, *root.children(recursive=True)]:
        with contextlib.suppress(psutil.Error):
            times = process.cpu_times()
            total += times.user + times.system
    return total * 1e6


def environment(url: str, folder: Path, port: int, mllp_port: int) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("ENLACE_")}
    return kept | {
        "ENLACE_DATABASE_URL": url,
        "ENLACE_HTTP_PORT": str(port),
        "ENLACE_MLLP_PORT": str(mllp_port),
        "ENLACE_LOG_LEVEL": "warning",
        "ENLACE_CLIENT_RATE": "0",
        "ENLACE_SECRET_KEY_FILE": str(folder / "secret.key"),
        "ENLACE_AUDIT_KEY_FILE": str(folder / "audit.key"),
    }


@contextlib.contextmanager
def service(url: str, folder: Path, *arguments: str, **env: str) -> Iterator[Server]:
    """`python -m service.cli serve --all`, or what `arguments` say instead; its log goes to a file in the folder.

    env: further settings.
    """
    port, mllp_port = free_port(), free_port()
    command = [sys.executable, "-m", "service.cli", *(arguments or ("serve", "--all"))]
    with _started(command, environment(url, folder, port, mllp_port) | env, folder / "server.log") as process:
        started = time.perf_counter()
        if arguments[:1] == ("adt-listener",):
            _wait(process, lambda: _connects(mllp_port))
        else:
            _wait(process, lambda: _answers(port, "/readyz"))
        yield Server(process, port, mllp_port, time.perf_counter() - started)


@contextlib.contextmanager
def static_server(folder: Path) -> Iterator[Server]:
    port = free_port()
    command = [sys.executable, "-m", "bench.static_app", str(port)]
    with _started(command, dict(os.environ), folder / "static.log") as process:
        _wait(process, lambda: _answers(port, "/static"))
        yield Server(process, port)


@contextlib.contextmanager
def _started(command: list[str], env: dict[str, str], log: Path) -> Iterator["subprocess.Popen[bytes]"]:
    with log.open("ab") as output:
        process = subprocess.Popen(command, env=env, cwd=ROOT, stdout=output, stderr=output, preexec_fn=die_with_parent)
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _wait(process: "subprocess.Popen[bytes]", ready: Any) -> None:
    until = time.monotonic() + START_S
    while not ready():
        if process.poll() is not None or time.monotonic() > until:
            raise SystemExit(f"A process did not start: {process.args!r}")
        time.sleep(0.005)


def _answers(port: int, path: str) -> bool:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request("GET", path)
        return connection.getresponse().status == 200
    except OSError:
        return False
    finally:
        connection.close()


def _connects(port: int) -> bool:
    import socket

    try:
        socket.create_connection(("127.0.0.1", port), 1).close()
        return True
    except OSError:
        return False


@dataclass
class Measured:
    """One run of the generator with the CPU time that the servers spent on it."""

    result: dict[str, Any]
    server_us: float = 0.0
    database_us: float = 0.0

    @property
    def count(self) -> int:
        return int(self.result.get("count", 0))


def begin(order: dict[str, Any]) -> "subprocess.Popen[str]":
    """Starts a generator; returns when its warm-up is over."""
    process = subprocess.Popen(
        [sys.executable, "-m", "bench.load"],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        preexec_fn=die_with_parent,
    )
    assert process.stdin and process.stdout
    process.stdin.write(json.dumps(order))
    process.stdin.close()
    if process.stdout.readline().strip() != "begin":
        process.kill()
        raise SystemExit("The load generator did not begin.")
    return process


def end(process: "subprocess.Popen[str]") -> dict[str, Any]:
    assert process.stdout
    text = process.stdout.readline()
    process.stdout.close()
    process.wait(60)
    found: dict[str, Any] = json.loads(text)
    return found


def drive(order: dict[str, Any], server: Server, database: psutil.Process | None) -> Measured:
    """Runs a generator against a server."""
    process = begin({"host": "127.0.0.1", "port": server.port, **order})
    before, database_before = server.cpu_us(), cpu_us(database) if database else 0.0
    result = end(process)
    count = max(int(result.get("count", 0)), 1)
    used = (server.cpu_us() - before) / count
    return Measured(result, used, ((cpu_us(database) if database else 0.0) - database_before) / count)
