"""`enlace adt feeds`: how each sending system does, and what is wrong with it."""

import json
from typing import Annotated, Any

import typer

from service.cli.client import Json, with_store
from service.cli.listing import table

HEAD = ("FEED", "LAST", "HOUR", "USUAL", "DAY", "REPEATED", "ERRORS", "UNMATCHED", "ANSWER MS", "WAITING")


def feeds(
    name: Annotated[str, typer.Argument(help="Name from `enlace adt source list`; all if none is given.")] = "",
    as_json: Json = False,
) -> None:
    """Each feed: last message, messages and what is usual, errors, answer times, queue, alarms.

    Example: enlace adt feeds
    """

    async def run(store: Any, _settings: Any) -> list[dict[str, Any]]:
        from service.workflow.feed_monitor import monitor

        return await monitor(store, name)

    found = with_store(run)
    if name and not found:
        typer.echo(f"There is no feed {name}: see `enlace adt source list`.", err=True)
        raise typer.Exit(1)
    if as_json:
        typer.echo(json.dumps(found))
        return
    typer.echo(table(HEAD, [row(feed) for feed in found]))
    for feed in found:
        for alarm in feed.get("alarms", ()):
            typer.echo(f"{feed['name']} {alarm['kind']} since {alarm['since'][:16]}Z: {alarm['detail']}")


def row(feed: dict[str, Any]) -> tuple[str, ...]:
    """A feed as the columns of HEAD; "" where nothing is known."""
    counts, usual = feed["messages"], feed.get("expected_this_hour")
    answer = feed["answer"]
    return (
        feed["name"] if feed["active"] or "states_last_day" not in feed else f"{feed['name']} (inactive)",
        _ago(feed.get("silent_seconds")),
        str(counts.get("last_hour", "")),
        "" if usual is None else f"{usual:g}",
        str(counts["last_day"]),
        str(feed["repeated_last_day"]),
        _percent(feed.get("error_share")),
        _percent(feed.get("unmatched_share")),
        f"{answer['mean_ms']:g} / {answer['most_ms']:g}",
        str(feed.get("waiting", "")),
    )


def _ago(seconds: int | None) -> str:
    if seconds is None:
        return "never"
    minutes = seconds // 60
    return f"{seconds} s" if seconds < 60 else f"{minutes} min" if minutes < 180 else f"{minutes // 60} h"


def _percent(share: float | None) -> str:
    return "" if share is None else f"{share:.1%}"
