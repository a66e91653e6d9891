"""The HTTP server of a process: uvicorn without its own signals, and the small health server of worker and listener."""

import asyncio
import contextlib
import errno
import os
import socket
from collections.abc import AsyncIterator, Generator, Sequence
from typing import Literal

import uvicorn
from starlette.applications import Starlette
from starlette.types import ASGIApp

from service.api import health
from service.api.state import Shared
from service.settings import Settings, SettingsError, variable

GRACE_S = 20
LAST_PORT = 65_535


class Server(uvicorn.Server):
    """uvicorn raises a caught signal again after shutdown; ours stops worker and listener first, then exits with 0."""

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        yield


WS_MOST_BYTES = 4096
"""Of a message that a client sends over a websocket: closed with 1009, unread."""
WS_PING_S = 20
"""Who answers no ping for so long is gone."""


def config(app: ASGIApp, trusted_proxies: Sequence[str] = (), *, websockets: bool = False) -> uvicorn.Config:
    """For a socket that is bound already. How many requests are in work is bounded by api/admission.py.

    websockets: without compression, whose memory for each connection a client could have us hold.
    """
    ws: type[asyncio.Protocol] | Literal["none"] = "none"
    if websockets:
        from service.api.socket_protocol import SocketProtocol

        ws = SocketProtocol
    return uvicorn.Config(
        app,
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=bool(trusted_proxies),
        forwarded_allow_ips=list(trusted_proxies),
        timeout_keep_alive=30,
        timeout_graceful_shutdown=GRACE_S,
        h11_max_incomplete_event_size=16_384,
        backlog=2048,
        ws=ws,
        ws_max_size=WS_MOST_BYTES,
        ws_ping_interval=WS_PING_S,
        ws_ping_timeout=WS_PING_S,
        ws_per_message_deflate=False,
    )


def bind(host: str, port: int, setting: str, *, reuse_port: bool = False) -> socket.socket:
    """Takes the port. Raises SettingsError: a sentence that names the setting."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    sock = socket.socket(family)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if reuse_port:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    try:
        sock.bind((host, port))
    except OSError as error:
        sock.close()
        raise SettingsError([port_problem(variable(setting), host, port, error)]) from error
    return sock


def port_problem(name: str, host: str, port: int, error: OSError) -> str:
    """Why the port cannot be taken, and the way out. name: the environment variable that says it."""
    reason = os.strerror(error.errno) if error.errno and error.errno > 0 else "no such address"
    what = f"{name}: {host}:{port} cannot be used ({reason}): "
    if error.errno != errno.EADDRINUSE:
        return what + "choose another."
    other = port + 1 if port < LAST_PORT else port - 1
    return what + f"is Enlace running already? Stop it, or choose another, for example {name}={other}."


async def serving(server: Server, sock: socket.socket) -> "asyncio.Task[None]":
    """Serves on the socket; returns once connections are taken, or when that failed."""
    task = asyncio.create_task(server.serve(sockets=[sock]))
    while not server.started and not task.done():
        await asyncio.sleep(0.01)
    return task


@contextlib.asynccontextmanager
async def health_server(shared: Shared, settings: Settings) -> AsyncIterator[None]:
    """/healthz, /readyz and /metrics of a process without an API, where ENLACE_HEALTH_PORT names a port."""
    if not settings.health_port:
        yield
        return
    sock = bind(settings.http_host, settings.health_port, "health_port")
    app = Starlette(routes=health.routes)
    app.state.enlace = shared
    server = Server(config(app))
    task = await serving(server, sock)
    try:
        yield
    finally:
        server.should_exit = True
        await task
