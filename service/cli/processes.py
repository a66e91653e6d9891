"""What runs in one process: API and pages, worker, ADT listener; and how it starts and stops cleanly."""

import asyncio
import contextlib
import ctypes
import os
import signal
import time
from dataclasses import dataclass

from adt_listener.process import listen, listener
from service.access.context import Settings as Behaviour
from service.api.admission import Gate
from service.api.server import GRACE_S, Server, bind, config, health_server, serving
from service.api.state import Shared
from service.api.traced import traced
from service.log_events import (
    INDEX_OLD,
    READY,
    SETTING_IDLE,
    STARTING,
    STOPPED,
    STOPPING,
    configure,
    log,
    route_libraries,
)
from service.main import build
from service.notify.channels.table import build as channels
from service.notify.channels.table import egress_of
from service.notify.offer import offering
from service.notify.runner import Notifier
from service.search.definition import digest
from service.settings import Settings
from service.store import reindex
from service.store.engine import Store, open_store
from service.worker import Worker
from service.workflow.partner_runner import Partners
from service.workflow.sealing import Sealer

WARM_AFTER_S = 10


@dataclass(frozen=True)
class Parts:
    """Which parts of the service this process runs."""

    api: bool = True
    worker: bool = False
    listener: bool = False
    reuse_port: bool = False


async def serve(settings: Settings, parts: Parts, *, ready: asyncio.Event | None = None) -> None:
    """Runs until SIGTERM or SIGINT, finishes what it holds, returns."""
    started = time.perf_counter()
    configure(settings.log_format, settings.log_level)
    route_libraries()
    settings.check()
    log(STARTING, process=_name(parts), env=settings.env, pid=os.getpid())
    for name in settings.idle:
        log(SETTING_IDLE, setting=name)
    store = await open_store(
        settings.database_url.get_secret_value(),
        disk_reserve_mb=settings.disk_reserve_mb,
        database_limit_mb=settings.database_limit_mb,
        reader_url=settings.database_reader_url.get_secret_value() if settings.database_reader_url else "",
    )
    try:
        async with contextlib.AsyncExitStack() as stack:
            await stack.enter_async_context(traced(settings, store.clock, _name(parts)))
            await _run(settings, parts, store, started, ready, stack)
    finally:
        await store.close()
    log(STOPPED, process=_name(parts))


async def _run(
    settings: Settings,
    parts: Parts,
    store: Store,
    started: float,
    ready: asyncio.Event | None,
    stack: contextlib.AsyncExitStack,
) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    app = build(store, settings) if parts.api else None
    # The same key in every process: secrets of subscribers are sealed with it, and a worker signs by them.
    shared: Shared = app.state.enlace if app else Shared(store, settings, page_key=settings.secret_key())
    gate = Gate(app, settings.max_in_flight) if app else None
    server = Server(config(gate, settings.trusted_proxies, websockets=True)) if gate else None
    tasks: list[asyncio.Task[None]] = []
    worker = Worker(store, shared.behaviour, settings.worker_concurrency) if parts.worker else None
    if worker:
        tasks.append(asyncio.create_task(worker.run()))
    notifier = await _notifier(settings, shared, stack) if parts.worker else None
    if notifier:
        tasks.append(asyncio.create_task(notifier.run()))
    partners = _partners(settings, shared, stack) if parts.worker else None
    if partners:
        tasks.append(asyncio.create_task(partners.run()))
    sealer = Sealer(store, settings.audit_key(), settings.audit_receipts) if parts.worker else None
    if sealer:
        tasks.append(asyncio.create_task(sealer.run()))
    mllp = listener(store, settings) if parts.listener else None
    if mllp:
        await listen(mllp, settings.mllp_host, settings.mllp_port)
    if server:
        sock = bind(settings.http_host, settings.http_port, "http_port", reuse_port=parts.reuse_port)
        tasks.append(await serving(server, sock))
    else:
        await stack.enter_async_context(health_server(shared, settings))
    if app and not await reindex.is_current(store, digest()):
        log(INDEX_OLD)
    warming = asyncio.create_task(_warm()) if app else None
    ms = int((time.perf_counter() - started) * 1000)
    log(READY, process=_name(parts), host=settings.http_host, port=settings.http_port, ms=ms)
    if ready:
        ready.set()
    watch = [asyncio.create_task(stop.wait()), asyncio.create_task(store.lost.wait()), *tasks]
    await asyncio.wait(watch, return_when=asyncio.FIRST_COMPLETED)
    log(STOPPING, process=_name(parts))
    if warming:
        warming.cancel()
    shared.ready = False
    if stop.is_set() and settings.drain_seconds:
        await _drain(stop, settings.drain_seconds)
    if mllp:
        await mllp.stop()
    if server:
        server.should_exit = True
    if worker:
        worker.stop()
    if notifier:
        notifier.stop()
    if partners:
        partners.stop()
    if sealer:
        sealer.stop()
    await asyncio.wait(tasks, timeout=GRACE_S + 5) if tasks else None
    for task in watch[:2]:
        task.cancel()
    for task in tasks:
        if task.done() and not task.cancelled() and task.exception():
            raise task.exception() or RuntimeError


async def _notifier(settings: Settings, shared: Shared, stack: contextlib.AsyncExitStack) -> Notifier:
    egress = egress_of(settings)
    stack.push_async_callback(egress.close)
    return Notifier(shared.store, shared.behaviour, channels(settings, egress))


def _partners(settings: Settings, shared: Shared, stack: contextlib.AsyncExitStack) -> Partners:
    egress = egress_of(settings)
    stack.push_async_callback(egress.close)
    return Partners(shared.store, shared.behaviour, egress)


async def _warm() -> None:
    """The library that words refusals takes half a second to load: not in the first refusal, nor in the start."""
    from fhir_profiles.models import warm

    await asyncio.sleep(WARM_AFTER_S)
    await asyncio.to_thread(warm)


async def _drain(stop: asyncio.Event, seconds: int) -> None:
    """A proxy sees /readyz say stopping and sends no more; until then all is answered. A second signal ends it."""
    stop.clear()
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(stop.wait(), seconds)


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
    base = f"{settings.base_url}/fhir"
    days, timer_days = settings.unmatched_days, settings.timer_days
    own = Behaviour(settings.env, base, settings.secret_key(), unmatched_days=days, timer_days=timer_days)
    return offering(own, settings)
