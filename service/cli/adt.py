"""`enlace adt`: send and simulate ADT messages, look into the durable inbox, replay, register sending systems."""

import asyncio
import json
import os
import re
from pathlib import Path
from typing import Annotated, Any

import typer

from service.cli.client import Json, with_store
from service.clock import instant
from service.settings import load
from service.store import inbox as inbox_rows
from service.store import sources
from service.store.change import Change, Job, Statement
from service.store.sources import RegisteredSource

app = typer.Typer(no_args_is_help=True, help="ADT messages: send, simulate, look into the inbox, replay, sources.")
source_app = typer.Typer(no_args_is_help=True, help="Sending systems: add, list, edit.")
app.add_typer(source_app, name="source")

_NAME = re.compile(r"[A-Za-z0-9._-]{1,60}", re.ASCII)
Host = Annotated[str | None, typer.Option(help="Listener's address; default ENLACE_MLLP_HOST.")]
Port = Annotated[int | None, typer.Option(help="Listener's port; default ENLACE_MLLP_PORT.")]


def _place(host: str | None, port: int | None) -> tuple[str, int]:
    settings = load(os.environ)
    return host or settings.mllp_host, port or settings.mllp_port


def _fail(sentence: str) -> typer.Exit:
    typer.echo(sentence, err=True)
    return typer.Exit(1)


@app.command("send")
def send(
    files: Annotated[list[Path], typer.Argument(help="Files with ER7 messages, one or several each.")],
    host: Host = None,
    port: Port = None,
    as_json: Json = False,
) -> None:
    """Send messages over MLLP and print each ACK code.

    Example: enlace adt send tests/golden/hl7v2/A01.hl7
    """
    from mappers.hl7v2.message import split_messages
    from service.cli.mllp_client import Connection, Refused

    where = _place(host, port)
    try:
        messages = [(path.name, message) for path in files for message in split_messages(path.read_bytes())]
    except OSError as error:
        raise _fail(f"Nothing was sent: {error.filename} cannot be read ({error.strerror}).") from None

    async def run() -> list[tuple[str, str]]:
        async with Connection(*where) as connection:
            return [(name, await connection.send(message)) for name, message in messages]

    try:
        answers = asyncio.run(run())
    except OSError as error:
        raise _fail(f"Nothing was sent: {error.strerror or 'no listener'} at {where[0]}:{where[1]}.") from None
    except Refused as error:
        raise _fail(str(error)) from None
    for name, code in answers:
        typer.echo(json.dumps({"file": name, "ack": code}) if as_json else f"{code}  {name}")
    if any(code not in ("AA", "CA") for _, code in answers):
        raise typer.Exit(1)


@app.command("simulate")
def simulate(
    rate: Annotated[float, typer.Option(min=0.01, help="Messages a second.")] = 1.0,
    seconds: Annotated[float, typer.Option(min=0.1, help="For how long.")] = 60.0,
    seed: Annotated[int, typer.Option(help="The same number gives the same feed.")] = 1,
    host: Host = None,
    port: Port = None,
) -> None:
    """Play a synthetic feed of the seeded members over MLLP.

    Example: enlace adt simulate --rate 5 --seconds 30
    """
    from service.cli.feed import play_feed

    where = _place(host, port)

    async def run(store: Any, _settings: Any) -> tuple[int, int]:
        return await play_feed(store, where, rate=rate, seconds=seconds, seed=seed)

    try:
        sent, accepted = with_store(run)
    except OSError as error:
        raise _fail(f"The feed stopped: {error.strerror or 'no listener'} at {where[0]}:{where[1]}.") from None
    typer.echo(f"{sent} sent, {accepted} accepted.")
    if accepted < sent:
        raise typer.Exit(1)


@app.command("inbox")
def inbox(
    state: Annotated[str | None, typer.Option(help=f"One of: {', '.join(inbox_rows.STATES)}.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=1000)] = 50,
    as_json: Json = False,
) -> None:
    """List received messages, newest first, with what became of each.

    Example: enlace adt inbox --state unmatched
    """
    if state and state not in inbox_rows.STATES:
        typer.echo(f"--state is one of: {', '.join(inbox_rows.STATES)}.", err=True)
        raise typer.Exit(2)
    rows = with_store(lambda store, _s: inbox_rows.listed(store, state=state, limit=limit))  # type: ignore[arg-type]
    for row in rows:
        facts = {
            "id": row.id,
            "received": instant(row.received_us),
            "source": row.source,
            "control_id": row.control_id,
            "event": row.event,
            "state": row.state,
            "reason": row.reason,
        }
        line = (
            f"{row.id}  {instant(row.received_us)[:19]}Z  {row.source:<20} {row.event:<4} {row.state:<12} {row.reason}"
        )
        typer.echo(json.dumps(facts) if as_json else line)
    if not rows and not as_json:
        typer.echo("No messages.")


@app.command("show")
def show(
    id: Annotated[int, typer.Argument(help="Number from `enlace adt inbox`.")],
    raw: Annotated[bool, typer.Option("--raw", help="Print the message as it came (personal data!).")] = False,
) -> None:
    """One message: its state, its stay, its answer; --raw prints its text.

    Example: enlace adt show 1234
    """

    async def run(store: Any, _settings: Any) -> tuple[Any, Any, Any]:
        return (
            await inbox_rows.one(store, id),
            await inbox_rows.message(store, id),
            await inbox_rows.ack_of(store, id),
        )

    row, message, ack = with_store(run)
    if row is None or message is None:
        raise _fail(f"There is no message {id}: see `enlace adt inbox`.")
    for name in ("id", "source", "control_id", "event", "state", "reason", "patient", "stay"):
        typer.echo(f"{name:<11}{getattr(row, name)}")
    typer.echo(f"received   {instant(row.received_us)}")
    typer.echo(f"size       {len(message[0])} bytes")
    typer.echo(f"answer     {(ack or b'none').decode(errors='replace').splitlines()[-1]}")
    if raw:
        typer.echo(message[0].decode(errors="replace").replace("\r", "\n"))


@app.command("replay")
def replay(
    ids: Annotated[list[int] | None, typer.Argument(help="Numbers from `enlace adt inbox`.")] = None,
    state: Annotated[str | None, typer.Option(help="All messages in this state.")] = None,
) -> None:
    """Process messages again; a message that had its effect has none the second time.

    Example: enlace adt replay 1234 1235
    """
    if not ids and not state:
        typer.echo("Give message numbers, or --state unmatched.", err=True)
        raise typer.Exit(2)

    async def run(store: Any, _settings: Any) -> int:
        known = {s.name for s in await sources.all_sources(store)}
        rows = [await inbox_rows.one(store, id) for id in ids or ()]
        rows += await inbox_rows.listed(store, state=state, limit=100_000) if state else []
        wanted = sorted({row.id: row for row in rows if row}.items())
        renamed = {row.id: await _registered(store, row, known) for _, row in wanted}
        change = Change()
        for _, row in wanted:
            source = renamed[row.id]
            if source != row.source:
                change.statements.append(Statement("UPDATE inbox SET source = ? WHERE id = ?", (source, row.id)))
            change.jobs.append(
                Job("adt.apply", {"inbox": row.id}, ordering_key=f"source:{source}", dedupe=f"replay:{row.id}")
            )
        await store.commit(change)
        return len(change.jobs)

    typer.echo(f"{with_store(run)} queued.")


async def _registered(store: Any, row: inbox_rows.Received, known: set[str]) -> str:
    """The source's name now: a message of a sender that was registered later takes its name."""
    if row.source in known:
        return row.source
    application, _, facility = row.source.removeprefix("?").partition("/")
    found = [s.name for s in await sources.all_sources(store) if (s.application, s.facility) == (application, facility)]
    return found[0] if found else row.source


@source_app.command("add")
def source_add(
    name: Annotated[str, typer.Argument(help="A short name.")],
    application: Annotated[str, typer.Option(help="MSH-3, first component.")],
    facility: Annotated[str, typer.Option(help="MSH-4, first component.")],
    organization: Annotated[str, typer.Option(help="The hospital: Organization/ID.")],
    display: Annotated[str, typer.Option(help="The hospital's name in alerts.")] = "",
    zone: Annotated[str, typer.Option(help="Zone of times without an offset.")] = "America/Los_Angeles",
    charset: Annotated[str, typer.Option(help="Charset where MSH-18 is silent.")] = "",
    ack_mode: Annotated[str | None, typer.Option(help="original or enhanced, whatever MSH-15/16 ask.")] = None,
    maps: Annotated[Path | None, typer.Option(help='JSON file: {"class_map": {"PV1-2:HOV": "OBSERVATION"}}.')] = None,
) -> None:
    """Register a sending system, or change it (edit is the same).

    Example: enlace adt source add mercy --application EPIC --facility MERCY --organization Organization/mercy
    """
    from zoneinfo import ZoneInfo

    if not _NAME.fullmatch(name):
        typer.echo("The name is 1 to 60 letters, digits, hyphens, dots and underscores.", err=True)
        raise typer.Exit(2)
    try:
        ZoneInfo(zone)
        config: dict[str, Any] = json.loads(maps.read_text()) if maps else {}
    except (OSError, ValueError, KeyError):
        typer.echo("--zone must be an IANA zone, --maps a readable JSON file.", err=True)
        raise typer.Exit(2) from None
    if ack_mode not in (None, "original", "enhanced"):
        typer.echo("--ack-mode is original or enhanced.", err=True)
        raise typer.Exit(2)
    config |= {"display": display, "zone": zone, "charset": charset, "ack_mode": ack_mode}
    source = RegisteredSource(name, application, facility, organization, config, True)
    with_store(lambda store, _s: store.commit(Change(statements=[sources.put(source)])))
    typer.echo(f"Registered {name}. Messages that came before: enlace adt replay --state unregistered")


source_app.command("edit")(source_add)


@source_app.command("list")
def source_list(as_json: Json = False) -> None:
    """List sending systems.

    Example: enlace adt source list
    """
    for s in with_store(lambda store, _s: sources.all_sources(store)):  # type: ignore[arg-type]
        facts = {"name": s.name, "application": s.application, "facility": s.facility, "organization": s.organization}
        line = f"{s.name:<24} {s.application}/{s.facility:<20} {s.organization}"
        typer.echo(json.dumps(facts | {"config": s.config}) if as_json else line)
