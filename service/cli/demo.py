"""`enlace demo`: the whole service on an embedded database with the synthetic county and a paced ADT feed.

With a story it plays that one instead of the feed, and says what happens (service/cli/stories/).
"""

import asyncio
import contextlib
import signal
import time
from dataclasses import dataclass
from pathlib import Path

import typer

from service.cli.county import fill, unfinished
from service.cli.feed import play_feed
from service.cli.mllp_client import Refused
from service.cli.processes import Parts, serve
from service.cli.welcome import welcome
from service.settings import Settings
from service.store.engine import Store, open_store, sqlite_path

SEED = 1
RATE = 0.2
"""One message in five seconds: an inbox that visibly moves."""


@dataclass(frozen=True)
class Telling:
    """A story to be played. pace: seconds between steps. once: the service stops after it."""

    story: str
    pace: float
    once: bool


async def play(settings: Settings, *, feed: bool, telling: Telling | None = None, members: int = 200) -> None:
    """Migrates, seeds an empty database, prints addresses and logins, serves until Ctrl-C.

    Raises StoryFailed, after the service has stopped, where the story did not go as it should.
    """
    if telling:
        _check(settings)
    started = time.perf_counter()
    text = await _prepared(settings, members)
    ready = asyncio.Event()
    serving = asyncio.create_task(serve(settings, Parts(worker=True, listener=True), ready=ready))
    waiting = asyncio.create_task(ready.wait())
    await asyncio.wait({serving, waiting}, return_when=asyncio.FIRST_COMPLETED)
    playing: asyncio.Task[None] | None = None
    if not serving.done():
        typer.echo("" if telling else text)
        stops = "It stops after the story" if telling and telling.once else "Ctrl-C stops it"
        typer.echo(f"Ready after {time.perf_counter() - started:.1f} s. {stops}; the data stays.")
        work = _tell(settings, telling) if telling else _feed(settings) if feed else None
        playing = asyncio.create_task(work) if work else None
    waiting.cancel()
    try:
        await serving
    finally:
        if playing and not playing.done():
            playing.cancel()
    if playing and playing.done():
        playing.result()


async def _prepared(settings: Settings, members: int) -> str:
    """Migrates and seeds; what to print when all is ready. members: of a county that is new."""
    url = settings.database_url.get_secret_value()
    fresh = url.startswith("sqlite") and not Path(sqlite_path(url)).exists()
    from service.store.migrate import migrate

    await asyncio.to_thread(migrate, url)
    store = await open_store(url)
    try:
        part = await unfinished(store)
        if part:
            typer.echo("The county was written only in part (the last start was interrupted): writing the rest ...")
            await _fill(store, settings, *part)
        elif fresh or not await store.fetch("SELECT 1 FROM client LIMIT 1"):
            typer.echo("Writing the synthetic county (made-up people only) ...")
            await _fill(store, settings, members, SEED)
        return await welcome(store, settings)
    finally:
        await store.close()


async def _fill(store: Store, settings: Settings, members: int, number: int) -> None:
    counts = await fill(store, settings, members, number)
    typer.echo("  " + (", ".join(f"{count} {name}" for name, count in counts.items()) or "Nothing was missing."))


def _check(settings: Settings) -> None:
    """A story needs tokens that only a sandbox gives; better said before anything is written."""
    from service.cli.stories.story import StoryFailed

    if not settings.sandbox:
        raise StoryFailed("Stories are played in a sandbox only: set ENLACE_ENV=sandbox and name a database for it.")


async def _tell(settings: Settings, telling: Telling) -> None:
    """The service stops as for an operator, by the signal: after the story where it is told once, or where it fails."""
    from service.cli.stories.player import play as play_story
    from service.cli.stories.player import story, where_to_look
    from service.cli.stories.story import Stopped

    try:
        stage = await play_story(settings, story(telling.story), pace=telling.pace)
    except Stopped:  # Ctrl-C while a request was on its way
        return
    except Exception:
        signal.raise_signal(signal.SIGTERM)
        raise
    typer.echo(where_to_look(stage, serving=not telling.once))
    if telling.once:
        signal.raise_signal(signal.SIGTERM)


async def _feed(settings: Settings) -> None:
    """Plays for ever; a pause of the listener is waited out."""
    while True:
        with contextlib.suppress(OSError, Refused, TimeoutError):
            store = await open_store(settings.database_url.get_secret_value())
            try:
                where = (settings.mllp_host, settings.mllp_port)
                await play_feed(store, where, rate=RATE, seconds=1e9, seed=SEED, resume=True)
            finally:
                await store.close()
        await asyncio.sleep(5)
