"""`enlace notices`: what people were told, over which channel, and what came of it; and how each wants to be told.

Nothing here names a member: a target is a reference, and the reasons are codes of service/notify.
"""

import json
from dataclasses import asdict
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any
from zoneinfo import ZoneInfo

import typer

from service.cli.client import Json, with_store
from service.cli.listing import table
from service.store import notice_preferences, notices
from service.store.notice_preferences import Preference
from service.store.notices import Notice

if TYPE_CHECKING:
    from service.settings import Settings
    from service.store.engine import Store

app = typer.Typer(no_args_is_help=True, help="Notices to people: list, show, send again; preferences.")
STATES = ("waiting", "sent", "read", "collected", "suppressed", "failed")
MOST = 1000
_NONE = "There is no notice with this id: see `enlace notices list`."
Id = Annotated[int, typer.Argument(metavar="ID", help="From `enlace notices list`.")]


@app.command("list")
def list_notices(
    person: Annotated[str, typer.Option(help="Only those to this person, such as Practitioner/lcm-1.")] = "",
    state: Annotated[str, typer.Option(help=f"One of {', '.join(STATES)}.")] = "",
    kind: Annotated[str, typer.Option(help="A kind, such as alert.")] = "",
    limit: Annotated[int, typer.Option(min=1, max=MOST, help="How many.")] = 50,
    as_json: Json = False,
) -> None:
    """List what people were told, newest first.

    Example: enlace notices list --state failed
    """
    if state and state not in STATES:
        typer.echo(f"--state is one of {', '.join(STATES)}.", err=True)
        raise typer.Exit(2)

    async def work(store: "Store", settings: "Settings") -> tuple[list[Notice], str]:
        return await notices.listed(store, recipient=person, state=state, kind=kind, limit=limit), settings.time_zone

    found, zone = with_store(work)
    if as_json:
        typer.echo(json.dumps([asdict(one) for one in found]))
        return
    rows = [
        (_moment(one.at_us, zone), one.recipient, one.kind, one.channel, one.state, one.reason or "-", str(one.id))
        for one in found
    ]
    heading = ("AT", "PERSON", "KIND", "CHANNEL", "STATE", "REASON", "ID")
    typer.echo(table(heading, rows) if rows else "No notices.")


@app.command("show")
def show(number: Id, as_json: Json = False) -> None:
    """Show one notice; of a digest also what it collected.

    Example: enlace notices show 7213...
    """

    async def work(store: "Store", settings: "Settings") -> tuple[Notice | None, list[Notice], str]:
        return await notices.by_id(store, number), await notices.in_digest(store, number), settings.time_zone

    found, collected, zone = with_store(work)
    if found is None:
        typer.echo(_NONE, err=True)
        raise typer.Exit(1)
    facts: dict[str, Any] = asdict(found)
    if as_json:
        typer.echo(json.dumps(facts | {"collected": [asdict(one) for one in collected]}))
        return
    for name in ("at_us", "due_us", "settled_us"):
        moment = int(facts.pop(name))
        facts[name.removesuffix("_us")] = _moment(moment, zone) if moment else "-"
    typer.echo("\n".join(f"{name}: {value}" for name, value in facts.items() if value != "" and name not in _INNER))
    for one in collected:
        typer.echo(f"collected: {one.id} {one.kind} {one.target}")


@app.command("replay")
def replay(number: Id) -> None:
    """Send a notice again that failed. Whether the person may be told is decided anew.

    Example: enlace notices replay 7213...
    """
    problem = with_store(lambda store, _settings: _replay(store, number))
    if problem:
        typer.echo(problem, err=True)
        raise typer.Exit(1)
    typer.echo("It waits to be sent again.")


@app.command("preferences")
def preferences(
    person: Annotated[str, typer.Argument(metavar="PERSON", help="Such as Practitioner/lcm-1.")],
    as_json: Json = False,
) -> None:
    """Show how a person wants to be told; set by $notification-preferences of the Practitioner.

    Example: enlace notices preferences Practitioner/lcm-1
    """
    there, found = with_store(lambda store, _settings: _preferences(store, person))
    if not there:
        typer.echo(f"There is no {person}: see `enlace notices list` for who was told something.", err=True)
        raise typer.Exit(1)
    if as_json:
        typer.echo(json.dumps([asdict(one) for one in found]))
        return
    heading = ("ROLE", "KIND", "CHANNELS", "QUIET", "DIGEST", "ZONE", "LANGUAGE", "ESCALATE TO")
    typer.echo(table(heading, map(_row, found)) if found else "No preferences: told as the table of kinds says.")


_INNER = frozenset({"key", "vid", "lease_until_us"})


async def _preferences(store: "Store", person: str) -> tuple[bool, list[Preference]]:
    """(whether such a person or organization is there, its rows)"""
    from service.store.inbox_find import has_resource

    return await has_resource(store, person), await notice_preferences.of_person(store, person)


async def _replay(store: "Store", number: int) -> str:
    """What is wrong, "" where nothing is."""
    from service.auth.registration import OPERATOR
    from service.store.change import AuditRow, Change

    found = await notices.by_id(store, number)
    if found is None:
        return _NONE
    if found.state != "failed" or found.kind == "digest":
        return f"Only a notice that failed is sent again, and this one is {found.state}."
    audit = AuditRow("E", "notice-replay", 0, OPERATOR, "", found.target)
    change = Change(statements=[notices.again(found, store.clock.now_us())], audit=[audit])
    await store.commit(change)
    return ""


def _row(one: Preference) -> tuple[str, ...]:
    to = f"{one.escalate_to} after {one.escalate_min} min" if one.escalate_to else ""
    cells = (one.role or "any", one.kind, one.channels or "none", one.quiet, one.digest, one.zone, one.language, to)
    return tuple(cell or "-" for cell in cells)


def _moment(us: int, zone: str) -> str:
    return f"{datetime.fromtimestamp(us / 1_000_000, ZoneInfo(zone)):%Y-%m-%d %H:%M:%S}"
