"""Runs the MLLP socket over an open store until SIGTERM or SIGINT."""

import asyncio
import signal

from adt_listener.server import MllpServer
from service.api.server import health_server, port_problem
from service.api.state import Shared
from service.api.traced import traced
from service.interactions.receive_hl7v2 import Receiver
from service.log_events import READY, STOPPED, STOPPING, configure, log, route_libraries
from service.settings import Settings, SettingsError
from service.store.engine import Store, open_store


def listener(store: Store, settings: Settings | None = None) -> MllpServer:
    """The socket server whose messages go into this store's inbox; with mutual TLS where the settings have it."""
    receiver = Receiver(store)

    async def receive(payload: bytes, peer: frozenset[str]) -> bytes | None:
        return await receiver.receive(payload, peer=peer)

    return MllpServer(receive, receiver.refuse_oversize, settings.mllp_tls() if settings else None)


async def listen(server: MllpServer, host: str, port: int) -> int:
    """Takes the port, returns it. Raises SettingsError: a sentence that names it."""
    try:
        return await server.start(host, port)
    except OSError as error:
        raise SettingsError([port_problem("ENLACE_MLLP_PORT", host, port, error)]) from error


async def run(settings: Settings, host: str | None = None, port: int | None = None) -> None:
    settings.check()
    configure(settings.log_format, settings.log_level)
    route_libraries()
    store = await open_store(
        settings.database_url.get_secret_value(),
        disk_reserve_mb=settings.disk_reserve_mb,
        database_limit_mb=settings.database_limit_mb,
    )
    try:
        await _serve(settings, store, host or settings.mllp_host, port or settings.mllp_port)
    finally:
        await store.close()
    log(STOPPED, process="adt-listener")


async def _until_stopped(store: Store) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    watch = [asyncio.create_task(stop.wait()), asyncio.create_task(store.lost.wait())]
    await asyncio.wait(watch, return_when=asyncio.FIRST_COMPLETED)
    for task in watch:
        task.cancel()


async def _serve(settings: Settings, store: Store, host: str, port: int) -> None:
    shared = Shared(store, settings, page_key=b"")
    async with traced(settings, store.clock, "adt-listener"), health_server(shared, settings):
        server = listener(store, settings)
        log(READY, process="adt-listener", host=host, port=await listen(server, host, port))
        await _until_stopped(store)
        shared.ready = False
        log(STOPPING, process="adt-listener")
        await server.stop()
