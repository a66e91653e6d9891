"""`enlace adt inbox` and `replay`: which messages came, what became of each, and once more."""

import json
from typing import TYPE_CHECKING, Annotated, Any

import typer

from service.cli.client import Json, with_store
from service.clock import instant
from service.store import inbox as inbox_rows

if TYPE_CHECKING:  # reading the mappers costs every other verb its start time
    from service.cli.adt_search import Found

LOOK = 10_000
HOUR_US = 3_600_000_000


def inbox(
    state: Annotated[str | None, typer.Option(help=f"One of: {', '.join(inbox_rows.STATES)}.")] = None,
    source: Annotated[str, typer.Option(help="Name from `enlace adt source list`, or ?APP/FAC as listed.")] = "",
    control_id: Annotated[str, typer.Option(help="MSH-10, whole.")] = "",
    visit: Annotated[str, typer.Option(help="Visit number, PV1-19, first component.")] = "",
    mrn: Annotated[str, typer.Option(help="An identifier of the patient, PID-3, first component.")] = "",
    since: Annotated[float | None, typer.Option(min=0, metavar="HOURS", help="Received in the last HOURS.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=1000)] = 50,
    look: Annotated[int, typer.Option(min=1, max=1_000_000, help="Look at so many of the newest, no more.")] = LOOK,
    as_json: Json = False,
) -> None:
    """List received messages, newest first, with what became of each. Several options: what fits all of them.

    Example: enlace adt inbox --state unmatched --since 24
    """
    if state and state not in inbox_rows.STATES:
        typer.echo(f"--state is one of: {', '.join(inbox_rows.STATES)}.", err=True)
        raise typer.Exit(2)

    async def run(store: Any, _settings: Any) -> "Found":
        from service.cli.acts import act, recorded
        from service.cli.adt_search import Asked, find

        since_us = 0 if since is None else max(0, store.clock.now_us() - int(since * HOUR_US))
        asked = Asked(state or "", source, control_id, visit, mrn, since_us)
        found = await find(store, asked, limit=limit, look=look)
        # Looking for a person by a number is what the audit must know; the number itself stays out of it.
        by = [name for name, value in (("visit", visit), ("mrn", mrn), ("control-id", control_id)) if value]
        await recorded(store, act("message-search", "inbox", by=by, shown=len(found.rows)))
        return found

    found = with_store(run)
    if as_json:
        typer.echo(json.dumps([_facts(row) for row in found.rows]))
    for row in () if as_json else found.rows:
        when = f"{instant(row.received_us)[:19]}Z"
        typer.echo(f"{row.id}  {when}  {row.source:<20} {row.event:<4} {row.state:<12} {row.reason}")
    if not found.rows and not as_json:
        typer.echo("No messages.")
    if found.unseen:
        typer.echo(_bounded(found, bool(visit or mrn), look), err=True)


def _facts(row: inbox_rows.Received) -> dict[str, Any]:
    facts = {name: getattr(row, name) for name in ("source", "control_id", "event", "state", "reason")}
    return {"id": row.id, "received": instant(row.received_us), **facts}


def _bounded(found: "Found", content: bool, look: int) -> str:
    older = "; of older ones only those of a stay or member known by this number" if content else ""
    back = instant(found.back_us)[:19]
    further = f"--look {min(look * 10, 1_000_000)} looks at more" if look < 1_000_000 else "narrow it by --source"
    return f"Looked at the newest {found.looked} messages only, back to {back}Z{older}: {further}."


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
    if state and state not in inbox_rows.STATES:
        typer.echo(f"--state is one of: {', '.join(inbox_rows.STATES)}.", err=True)
        raise typer.Exit(2)

    async def run(store: Any, _settings: Any) -> tuple[int, int]:
        from service.cli.acts import act, recorded
        from service.cli.adt_replay import replay_messages

        rows = [await inbox_rows.one(store, id) for id in ids or ()]
        rows += await inbox_rows.listed(store, state=state, limit=100_000) if state else []
        wanted = [row for _, row in sorted({row.id: row for row in rows if row}.items())]
        await recorded(store, act("message-replay", "inbox", action="U", messages=len(wanted)))
        done = await replay_messages(store, wanted)
        return done.queued, done.repeated

    queued, repeated = with_store(run)
    typer.echo(f"{queued} queued.")
    if repeated:
        typer.echo(f"{repeated} ignored: the sender has sent the same again since it was registered.")
