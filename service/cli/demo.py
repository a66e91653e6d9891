"""`enlace demo`: the whole service on an embedded database with the synthetic county and a paced ADT feed."""

import asyncio
import contextlib
import time
from pathlib import Path

import typer

from service.cli.county import fill
from service.cli.feed import play_feed
from service.cli.mllp_client import Refused
from service.cli.processes import Parts, serve
from service.cli.welcome import welcome
from service.settings import Settings
from service.store.engine import open_store, sqlite_path

MEMBERS, SEED = 200, 1
RATE = 0.2
"""One message in five seconds: an inbox that visibly moves."""


async def play(settings: Settings, *, feed: bool) -> None:
    """Migrates, seeds an empty database, prints addresses and logins, serves until Ctrl-C."""
    url = settings.database_url.get_secret_value()
    fresh = url.startswith("sqlite") and not Path(sqlite_path(url)).exists()
    started = time.perf_counter()
    from service.store.migrate import migrate

    await asyncio.to_thread(migrate, url)
    store = await open_store(url)
    try:
        if fresh or not await store.fetch("SELECT 1 FROM client LIMIT 1"):
            typer.echo("Writing the synthetic county (made-up people only) ...")
            counts = await fill(store, settings, MEMBERS, SEED)
            typer.echo("  " + ", ".join(f"{count} {name}" for name, count in counts.items()))
        text = await welcome(store, settings)
    finally:
        await store.close()
    ready = asyncio.Event()
    serving = asyncio.create_task(serve(settings, Parts(worker=True, listener=True), ready=ready))
    waiting = asyncio.create_task(ready.wait())
    await asyncio.wait({serving, waiting}, return_when=asyncio.FIRST_COMPLETED)
    playing: asyncio.Task[None] | None = None
    if not serving.done():
        typer.echo(text)
        typer.echo(f"Ready after {time.perf_counter() - started:.1f} s. Ctrl-C stops it; the data stays.")
        playing = asyncio.create_task(_feed(settings)) if feed else None
    waiting.cancel()
    try:
        await serving
    finally:
        if playing:
            playing.cancel()


async def _feed(settings: Settings) -> None:
    """Plays for ever; a pause of the listener is waited out."""
    while True:
        with contextlib.suppress(OSError, Refused, TimeoutError):
            store = await open_store(settings.database_url.get_secret_value())
            try:
                where = (settings.mllp_host, settings.mllp_port)
                await play_feed(store, where, rate=RATE, seconds=1e9, seed=SEED)
            finally:
                await store.close()
        await asyncio.sleep(5)
