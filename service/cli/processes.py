"""What runs in one process: API and pages, worker, ADT listener; and how it starts and stops cleanly."""

import asyncio
import contextlib
import ctypes
import os
import signal
import socket
import time
from collections.abc import Generator
from dataclasses import dataclass

import uvicorn

from adt_listener.process import listen, listener
from service.access.context import Settings as Behaviour
from service.log_events import READY, STARTING, STOPPED, STOPPING, configure, log, route_libraries
from service.main import build
from service.settings import Settings, SettingsError
from service.store.engine import Store, open_store
from service.worker import Worker

GRACE_S = 20


@dataclass(frozen=True)
class Parts:
    """Which parts of the service this process runs."""

    api: bool = True
    worker: bool = False
    listener: bool = False
    reuse_port: bool = False


class _Server(uvicorn.Server):
    """uvicorn raises a caught signal again after shutdown; ours stops worker and listener first, then exits with 0."""

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        yield


async def serve(settings: Settings, parts: Parts, *, ready: asyncio.Event | None = None) -> None:
    """Runs until SIGTERM or SIGINT, finishes what it holds, returns."""
    started = time.perf_counter()
    configure(settings.log_format, settings.log_level)
    route_libraries()
    settings.check()
    log(STARTING, process=_name(parts), env=settings.env, pid=os.getpid())
    store = await open_store(settings.database_url.get_secret_value())
    try:
        await _run(settings, parts, store, started, ready)
    finally:
        await store.close()
    log(STOPPED, process=_name(parts))


async def _run(settings: Settings, parts: Parts, store: Store, started: float, ready: asyncio.Event | None) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    app = build(store, settings)
    shared = app.state.enlace
    server = _Server(_config(app, settings)) if parts.api else None
    tasks: list[asyncio.Task[None]] = []
    worker = Worker(store, shared.behaviour, settings.worker_concurrency) if parts.worker else None
    if worker:
        tasks.append(asyncio.create_task(worker.run()))
    mllp = listener(store) if parts.listener else None
    if mllp:
        await listen(mllp, settings.mllp_host, settings.mllp_port)
    if server:
        sock = _bind(settings, parts.reuse_port)
        tasks.append(asyncio.create_task(server.serve(sockets=[sock])))
        while not server.started and not tasks[-1].done():
            await asyncio.sleep(0.01)
    ms = int((time.perf_counter() - started) * 1000)
    log(READY, process=_name(parts), host=settings.http_host, port=settings.http_port, ms=ms)
    if ready:
        ready.set()
    watch = [asyncio.create_task(stop.wait()), asyncio.create_task(store.lost.wait()), *tasks]
    await asyncio.wait(watch, return_when=asyncio.FIRST_COMPLETED)
    log(STOPPING, process=_name(parts))
    shared.ready = False
    if mllp:
        await mllp.stop()
    if server:
        server.should_exit = True
    if worker:
        worker.stop()
    await asyncio.wait(tasks, timeout=GRACE_S + 5) if tasks else None
    for task in watch[:2]:
        task.cancel()
    for task in tasks:
        if task.done() and not task.cancelled() and task.exception():
            raise task.exception() or RuntimeError


def _config(app: object, settings: Settings) -> uvicorn.Config:
    return uvicorn.Config(
        app,  # type: ignore[arg-type]
        host=settings.http_host,
        port=settings.http_port,
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_keep_alive=30,
        timeout_graceful_shutdown=GRACE_S,
        limit_concurrency=2000,
        h11_max_incomplete_event_size=16_384,
        ws="none",
    )


def _bind(settings: Settings, reuse_port: bool) -> socket.socket:
    family = socket.AF_INET6 if ":" in settings.http_host else socket.AF_INET
    sock = socket.socket(family)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if reuse_port:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    try:
        sock.bind((settings.http_host, settings.http_port))
    except OSError as error:
        sock.close()
        place = f"{settings.http_host}:{settings.http_port}"
        raise SettingsError(
            [f"ENLACE_HTTP_PORT: {place} cannot be used ({error.strerror}): choose another."]
        ) from error
    return sock


def _name(parts: Parts) -> str:
    if parts.api and parts.worker:
        return "all"
    return "api" if parts.api else "worker" if parts.worker else "adt-listener"


async def work(settings: Settings) -> None:
    """The worker alone."""
    await serve(settings, Parts(api=False, worker=True))


def die_with_parent() -> None:
    """A child does not outlive a parent that was killed (Linux)."""
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(1, signal.SIGTERM)


def behaviour(settings: Settings) -> Behaviour:
    return Behaviour(env=settings.env, base_url=f"{settings.base_url}/fhir")
