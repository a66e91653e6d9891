"""`enlace serve | worker | adt-listener | demo`: the long-running verbs."""

import asyncio
import os
import signal
import subprocess
import sys
from typing import Annotated

import typer

from service.cli.stories import NAMES as STORIES
from service.settings import Settings, load

DEMO_RECEIVER = "127.0.0.1:9009"
Host = Annotated[str | None, typer.Option(help="Address to listen on; default ENLACE_HTTP_HOST.")]
Port = Annotated[int | None, typer.Option(help="Port to listen on; default ENLACE_HTTP_PORT.")]


def settings_with(**given: object) -> Settings:
    """The environment's settings, with what the command line says over them."""
    environ = dict(os.environ)
    environ.update({f"ENLACE_{name.upper()}": str(value) for name, value in given.items() if value is not None})
    return load(environ)


def serve(
    host: Host = None,
    port: Port = None,
    workers: Annotated[int, typer.Option(help="API processes (PostgreSQL only).")] = 1,
    all_parts: Annotated[bool, typer.Option("--all", help="Also worker and ADT listener, in this process.")] = False,
    reuse_port: Annotated[bool, typer.Option("--reuse-port", hidden=True)] = False,
) -> None:
    """API and pages; --all adds worker and ADT listener.

    Example: enlace serve --all --port 8000
    """
    from service.cli.processes import Parts
    from service.cli.processes import serve as run

    settings = settings_with(http_host=host, http_port=port)
    sqlite = settings.database_url.get_secret_value().startswith("sqlite")
    if workers > 1 and sqlite:
        typer.echo("SQLite is served by one process: leave out --workers, or use PostgreSQL.", err=True)
        raise typer.Exit(2)
    if workers > 1 and all_parts:
        typer.echo("--all runs in one process: start `enlace worker` and `enlace adt-listener` beside it.", err=True)
        raise typer.Exit(2)
    if workers > 1:
        raise typer.Exit(_several(workers, settings))
    parts = Parts(worker=all_parts, listener=all_parts, reuse_port=reuse_port)
    _run(run(settings, parts))


def worker(
    concurrency: Annotated[int | None, typer.Option(help="Jobs at a time; default ENLACE_WORKER_CONCURRENCY.")] = None,
) -> None:
    """Background work: matching, alerts.

    Example: enlace worker --concurrency 4
    """
    from service.cli.processes import work

    _run(work(settings_with(worker_concurrency=concurrency)))


def adt_listener(
    host: Annotated[str | None, typer.Option(help="Address; default ENLACE_MLLP_HOST.")] = None,
    port: Annotated[int | None, typer.Option(help="Port; default ENLACE_MLLP_PORT.")] = None,
) -> None:
    """Takes HL7 v2 over MLLP into the inbox.

    Example: enlace adt-listener --port 2575
    """
    from adt_listener.process import run

    _run(run(settings_with(), host, port))


def demo(
    port: Port = None,
    mllp_port: Annotated[int | None, typer.Option(help="Port of the ADT listener.")] = None,
    no_feed: Annotated[bool, typer.Option("--no-feed", help="Do not play the ADT feed.")] = False,
    story: Annotated[str | None, typer.Option(help=f"Play one story instead: {', '.join(STORIES)}.")] = None,
    pace: Annotated[float, typer.Option(min=0, help="Seconds between the steps of the story.")] = 1.5,
    once: Annotated[bool, typer.Option("--once", help="Stop after the story.")] = False,
    members: Annotated[int, typer.Option(min=1, hidden=True, help="Members of a new county.")] = 200,
) -> None:
    """What `make run` starts: database, county, everything in one process, a paced ADT feed.

    Example: enlace demo --story sonja
    """
    from service.cli.demo import Telling, play
    from service.cli.stories.story import StoryFailed

    if story not in (None, *STORIES):
        raise typer.BadParameter(f"there is no such story; use {', '.join(STORIES)}.", param_hint="--story")
    if once and not story:
        raise typer.BadParameter("it says when to stop after a story: name one with --story.", param_hint="--once")
    level = "warning" if story and not os.environ.get("ENLACE_LOG_LEVEL") else None
    settings = settings_with(
        http_port=port, mllp_port=mllp_port, log_format="console", log_level=level, egress_allow=_receiver()
    )
    try:
        telling = Telling(story, pace, once) if story else None
        _run(play(settings, feed=not no_feed, telling=telling, members=members))
    except StoryFailed as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(1) from None


def _receiver() -> str | None:
    """Where the receiver of docs/subscriptions.md listens, unless the environment names exceptions or is no sandbox."""
    said = os.environ.get("ENLACE_EGRESS_ALLOW") or os.environ.get("ENLACE_ENV", "sandbox") != "sandbox"
    return None if said else DEMO_RECEIVER


def _run(work: object) -> None:
    import uvloop

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(work)  # type: ignore[arg-type]
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, signal.SIG_IGN)  # all is done: a second signal must not spoil the exit code


def _several(workers: int, settings: Settings) -> int:
    """Starts API processes on one port, forwards the stop signal, returns the worst exit code."""
    from service.cli.processes import die_with_parent

    place = ["--host", settings.http_host, "--port", str(settings.http_port), "--reuse-port"]
    command = [sys.executable, "-m", "service.cli", "serve", *place]
    children = [subprocess.Popen(command, preexec_fn=die_with_parent) for _ in range(workers)]

    def stop(_number: int, _frame: object) -> None:
        for child in children:
            child.terminate()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, stop)
    codes = [child.wait() for child in children]
    return max(abs(code) for code in codes)
