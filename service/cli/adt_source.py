"""`enlace adt source`: the sending systems. add registers one, edit changes what is named and nothing else."""

import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from service.auth.registration import OPERATOR
from service.cli.client import Json, with_store
from service.cli.listing import table
from service.store import sources
from service.store.change import AuditRow, Stale
from service.store.sources import RegisteredSource
from service.workflow.source_form import NAME, BadSource, config_problems
from service.workflow.source_writes import source_change, version

if TYPE_CHECKING:
    from service.store.engine import Store

app = typer.Typer(no_args_is_help=True, help="Sending systems: add, list, edit.")

Zone = Annotated[str | None, typer.Option(help="Zone of times without an offset; America/Los_Angeles at first.")]
Charset = Annotated[str | None, typer.Option(help="Charset where MSH-18 is silent.")]
AckMode = Annotated[str | None, typer.Option(help='original or enhanced, whatever MSH-15/16 ask; "" as they ask.')]
Display = Annotated[str | None, typer.Option(help="The hospital's name in alerts.")]
Maps = Annotated[Path | None, typer.Option(help='JSON file: {"class_map": {"PV1-2:HOV": "OBSERVATION"}}.')]


@app.command("add")
def add(
    name: Annotated[str, typer.Argument(help="A short name.")],
    application: Annotated[str, typer.Option(help="MSH-3, first component.")],
    facility: Annotated[str, typer.Option(help="MSH-4, first component.")],
    organization: Annotated[str, typer.Option(help="The hospital: Organization/ID.")],
    display: Display = None,
    zone: Zone = None,
    charset: Charset = None,
    ack_mode: AckMode = None,
    maps: Maps = None,
) -> None:
    """Register a sending system.

    Example: enlace adt source add mercy --application EPIC --facility MERCY --organization Organization/mercy
    """
    if not NAME.fullmatch(name):
        raise _wrong("The name is 1 to 60 letters, digits, hyphens, dots and underscores, and no number of a person.")
    start = {"display": "", "zone": "America/Los_Angeles", "charset": "", "ack_mode": None}
    config = _config(start, maps, display=display, zone=zone, charset=charset, ack_mode=ack_mode)
    source = RegisteredSource(name, application, facility, organization, config, True)

    async def run(store: "Store", _settings: Any) -> None:
        if await sources.named(store, name):
            raise Refused(f"{name} exists: use `enlace adt source edit`.")
        await _write(store, source)

    _done(run)
    typer.echo(f"Registered {name}. Messages that came before: enlace adt replay --state unregistered")


@app.command("edit")
def edit(
    name: Annotated[str, typer.Argument(help="Name from `enlace adt source list`.")],
    application: Annotated[str | None, typer.Option(help="MSH-3, first component.")] = None,
    facility: Annotated[str | None, typer.Option(help="MSH-4, first component.")] = None,
    organization: Annotated[str | None, typer.Option(help="The hospital: Organization/ID.")] = None,
    display: Display = None,
    zone: Zone = None,
    charset: Charset = None,
    ack_mode: AckMode = None,
    maps: Maps = None,
) -> None:
    """Change a sending system: what is not named stays as it is. Of --maps, each word of the file is replaced.

    Example: enlace adt source edit mercy --zone America/Denver
    """

    async def run(store: "Store", _settings: Any) -> None:
        known = await sources.named(store, name)
        if known is None:
            raise Refused(f"There is no source {name}: see `enlace adt source list`.")
        changed = RegisteredSource(
            name,
            known.application if application is None else application,
            known.facility if facility is None else facility,
            known.organization if organization is None else organization,
            _config(known.config, maps, display=display, zone=zone, charset=charset, ack_mode=ack_mode),
            known.active,
        )
        await _write(store, changed, known)

    _done(run)
    typer.echo(f"Changed {name}. It holds for messages from two seconds on.")


@app.command("list")
def list_sources(as_json: Json = False) -> None:
    """List sending systems.

    Example: enlace adt source list
    """
    found = with_store(lambda store, _s: sources.all_sources(store))
    if as_json:
        rows = [
            {"name": s.name, "application": s.application, "facility": s.facility, "organization": s.organization}
            | {"config": s.config}
            for s in found
        ]
        typer.echo(json.dumps(rows))
        return
    lines = [(s.name, f"{s.application}/{s.facility}", s.organization) for s in found]
    typer.echo(table(("NAME", "MSH-3/MSH-4", "ORGANIZATION"), lines) if lines else "No sending systems.")


class Refused(Exception):
    """The source cannot be stored so: one sentence with the remedy."""


async def _write(store: "Store", source: RegisteredSource, former: RegisteredSource | None = None) -> None:
    """Refused where the source cannot be so (workflow/source_writes.py), or another wrote it in this moment."""
    target = f"source/{source.name}"
    row = AuditRow(*(("U", "source-change") if former else ("C", "source-add")), 0, OPERATOR, "", target)
    try:
        await store.commit(await source_change(store, source, row, former, await version(store, source.name)))
    except BadSource as bad:
        raise Refused(" ".join(bad.problems)) from None
    except Stale:
        raise Refused(f"{source.name} was written just now by another: look at it and try again.") from None


def _done(work: Callable[["Store", Any], Awaitable[None]]) -> None:
    try:
        with_store(work)
    except Refused as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(1) from None


def _config(start: dict[str, Any], maps: Path | None, **named: str | None) -> dict[str, Any]:
    """start, over it the file, over it the options that were given. Exit 2 where one of them cannot be."""
    try:
        told = json.loads(maps.read_text()) if maps else {}
        config: dict[str, Any] = start | told | {key: value for key, value in named.items() if value is not None}
    except (OSError, ValueError, TypeError):
        raise _wrong("--maps must be a readable JSON file with an object.") from None
    problems = config_problems(config)
    if problems:
        raise _wrong("\n".join(problems))
    return config | {"ack_mode": config.get("ack_mode") or None}


def _wrong(sentence: str) -> typer.Exit:
    typer.echo(sentence, err=True)
    return typer.Exit(2)
