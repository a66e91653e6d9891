"""deploy/haproxy/haproxy.cfg: HAProxy takes it, and does with two processes behind it what the file says."""

import os
import shutil
import socket
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import NamedTuple

import httpx
import pytest

from tests.postgres_server import free_port
from tests.scenarios.harness import wait_for

FILE = Path(__file__).parents[2] / "deploy" / "haproxy" / "haproxy.cfg"


def haproxy() -> str:
    tool = shutil.which("haproxy") or shutil.which("haproxy", path="/usr/sbin:/usr/local/sbin")
    if tool is None:
        pytest.skip("There is no haproxy here: install it to check deploy/haproxy/haproxy.cfg.")
    return tool


class Behind(ThreadingHTTPServer):
    """One API process, as the proxy sees it: ready or not, and who it is."""

    daemon_threads = True
    ready = True

    def __init__(self, name: str):
        self.name = name
        super().__init__(("127.0.0.1", 0), _Answer)

    def handle_error(self, request: object, client_address: object) -> None:
        """The proxy cuts connections when it has had its answer."""


class _Answer(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        assert isinstance(self.server, Behind)
        refused = self.path == "/readyz" and not self.server.ready
        body = f"{self.server.name} {self.path} {self.headers.get_all('X-Forwarded-For')}".encode()
        self.send_response(503 if refused else 200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        with suppress(OSError):
            self.wfile.write(body)

    def log_message(self, *_args: object) -> None:
        pass


@contextmanager
def behind(name: str) -> Iterator[Behind]:
    server = Behind(name)
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()


@contextmanager
def listener() -> Iterator[int]:
    """Answers every MLLP frame by itself; its port."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            with suppress(OSError):
                while True:
                    connection, _ = server.accept()
                    with connection:
                        connection.sendall(connection.recv(1000))

        threading.Thread(target=serve, daemon=True).start()
        yield server.getsockname()[1]


class Proxy(NamedTuple):
    one: Behind
    two: Behind
    http: str
    mllp: int
    client: httpx.Client
    """A connection for each request, so that the proxy chooses each time."""

    def names(self, count: int = 12) -> set[str]:
        """Which processes answered so many requests; every one must be answered."""
        return {self.get("/fhir/metadata").split()[0] for _ in range(count)}

    def get(self, path: str, **headers: str) -> str:
        answer = self.client.get(self.http + path, headers=headers)
        assert answer.status_code == 200, (path, answer.status_code)
        return answer.text


@pytest.fixture(scope="module")
def proxy() -> Iterator[Proxy]:
    tool = haproxy()
    with ExitStack() as stack:
        one, two = stack.enter_context(behind("one")), stack.enter_context(behind("two"))
        adt = stack.enter_context(listener())
        http, mllp = free_port(), free_port()
        places = {
            "HTTP_BIND": f"127.0.0.1:{http}", "MLLP_BIND": f"127.0.0.1:{mllp}", "ADT": f"127.0.0.1:{adt}",
            "API_1": f"127.0.0.1:{one.server_port}", "API_2": f"127.0.0.1:{two.server_port}",
            "ADT_HEALTH_PORT": str(one.server_port),
        }  # fmt: skip
        env = os.environ | {f"HAPROXY_{name}": value for name, value in places.items()}
        process = subprocess.Popen([tool, "-db", "-q", "-f", str(FILE)], env=env, stdout=subprocess.DEVNULL)
        stack.callback(lambda: (process.kill(), process.wait()))
        client = stack.enter_context(httpx.Client(headers={"Connection": "close"}))
        found = Proxy(one, two, f"http://127.0.0.1:{http}", mllp, client)
        wait_for(lambda: answers(found))
        yield found


def answers(proxy: Proxy) -> bool:
    with suppress(httpx.TransportError):
        return proxy.client.get(proxy.http + "/fhir/metadata").status_code == 200
    return False


def until(condition: Callable[[], bool]) -> None:
    wait_for(condition, 20, 0.1)


def test_haproxy_takes_the_file() -> None:
    done = subprocess.run([haproxy(), "-c", "-f", str(FILE)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    left = [line for line in done.stderr.splitlines() if "WARNING" in line and "could not resolve address" not in line]
    assert left == []


def test_both_processes_get_work(proxy: Proxy) -> None:
    until(lambda: proxy.names() == {"one", "two"})


def test_what_the_client_says_about_its_address_does_not_count(proxy: Proxy) -> None:
    assert proxy.get("/fhir/Task", **{"X-Forwarded-For": "203.0.113.9"}).endswith("/fhir/Task ['127.0.0.1']")


@pytest.mark.parametrize("path", ["/metrics", "/metrics/", "/METRICS", "/%6detrics", "/metrics?a=b"])
def test_metrics_stay_inside(proxy: Proxy, path: str) -> None:
    assert proxy.client.get(proxy.http + path).status_code == 404


def test_mllp_goes_through(proxy: Proxy) -> None:
    def sent() -> bool:
        with suppress(OSError), socket.create_connection(("127.0.0.1", proxy.mllp), 5) as connection:
            connection.sendall(b"\x0bMSH|^~\\&|\x1c\r")
            return connection.recv(1000) == b"\x0bMSH|^~\\&|\x1c\r"
        return False

    until(sent)


def test_a_process_that_stops_gets_nothing_new_and_no_request_fails(proxy: Proxy) -> None:
    until(lambda: proxy.names() == {"one", "two"})
    proxy.two.ready = False
    until(lambda: proxy.names() == {"one"})
    proxy.two.ready = True
    until(lambda: proxy.names() == {"one", "two"})


def test_a_process_that_is_gone_fails_no_request(proxy: Proxy) -> None:
    """Last: the process stays gone. Every answer on the way must be a 200 (`names` looks)."""
    until(lambda: proxy.names() == {"one", "two"})
    proxy.two.shutdown()
    proxy.two.server_close()
    until(lambda: proxy.names() == {"one"})
