"""`enlace health`: exit 0 where the process answers, 1 with a sentence where it does not; whatever kind it is."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest
from click.testing import Result
from typer.testing import CliRunner

from service.cli import app
from service.cli.health import places
from service.settings import load
from tests.postgres_server import free_port


@contextmanager
def process(status: int, body: bytes = b'{"status":"ok"}') -> Iterator[int]:
    """A server that says this status on /readyz and 200 on /healthz; its port."""

    class Answer(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200 if self.path == "/healthz" else status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_args: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Answer)
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    try:
        yield server.server_port
    finally:
        server.shutdown()
        server.server_close()


def health(*arguments: str, **env: object) -> Result:
    return CliRunner().invoke(
        app, ["health", *arguments], env={f"ENLACE_{name}": str(value) for name, value in env.items()}
    )


@pytest.mark.parametrize("name", ["HTTP_PORT", "HEALTH_PORT"])
def test_each_kind_of_process_is_found(name: str) -> None:
    with process(200) as port:
        done = health(**{"HTTP_PORT": free_port(), "HTTP_HOST": "0.0.0.0"} | {name: port})
        assert (done.exit_code, done.output) == (0, f"127.0.0.1:{port} lives.\n")


def test_an_api_in_a_container_with_a_health_port_for_others_is_found() -> None:
    with process(200) as port:
        assert health(HTTP_PORT=port, HEALTH_PORT=free_port()).exit_code == 0


def test_nothing_there_is_a_sentence() -> None:
    done = health(HTTP_PORT=free_port())
    assert done.exit_code == 1 and done.output.startswith("Nothing answers on port ")


@pytest.mark.parametrize("body", [b"<html>hello</html>", b"", b'{"status":"up"}', b"[]"])
def test_another_program_at_the_port_is_named_as_such(body: bytes) -> None:
    with process(200, body) as foreign, process(200) as ours:
        done = health(HTTP_PORT=foreign)
        assert done.exit_code == 1 and done.output.startswith(f"What answers on port {foreign} is not Enlace: ")
        assert health(HTTP_PORT=ours, HEALTH_PORT=foreign).exit_code == 0


def test_ready_is_another_question_than_alive() -> None:
    with process(503) as port:
        assert health("--port", str(port)).exit_code == 0
        done = health("--ready", "--port", str(port))
        assert done.exit_code == 1 and "/readyz answers 503" in done.output


def test_the_health_port_is_asked_first() -> None:
    assert places(load({"ENLACE_HTTP_PORT": "8000", "ENLACE_HEALTH_PORT": "9100"})) == [9100, 8000]
    assert places(load({})) == [8000]
