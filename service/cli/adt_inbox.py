"""`enlace adt inbox`: which messages came, and what became of each."""

import json
from typing import TYPE_CHECKING, Annotated, Any

import typer

from service.cli.client import Json, with_store
from service.clock import instant
from service.store import inbox as inbox_rows

if TYPE_CHECKING:  # reading the mappers costs every other verb its start time
    from service.workflow.feed_search import Found

LOOK = 10_000
HOUR_US = 3_600_000_000
ZONE = "America/Los_Angeles"


def inbox(
    state: Annotated[str | None, typer.Option(help=f"One of: {', '.join(inbox_rows.STATES)}.")] = None,
    source: Annotated[str, typer.Option(help="Name from `enlace adt source list`, or ?APP/FAC as listed.")] = "",
    control_id: Annotated[str, typer.Option(help="MSH-10, whole.")] = "",
    visit: Annotated[str, typer.Option(help="Visit number: PV1-19, PV1-50, PV1-5, or one that a merge names.")] = "",
    account: Annotated[str, typer.Option(help="Account number, PID-18, or one that a merge names.")] = "",
    mrn: Annotated[str, typer.Option(help="An identifier of the patient, PID-3, or one that a merge names.")] = "",
    cin: Annotated[str, typer.Option(help="Medi-Cal number, wherever the message has it.")] = "",
    name: Annotated[str, typer.Option(help='Surname or a part of it, whole words: "Garcia" or "Garcia, Maria".')] = "",
    patient: Annotated[str, typer.Option(help="A member: Patient/ID.")] = "",
    event: Annotated[str, typer.Option(help="Event code, such as A03.")] = "",
    since: Annotated[float | None, typer.Option(min=0, metavar="HOURS", help="Received in the last HOURS.")] = None,
    day: Annotated[str, typer.Option(help="Received on this day, YYYY-MM-DD, of the zone in --zone.")] = "",
    zone: Annotated[str, typer.Option(help="Whose days are meant.")] = ZONE,
    limit: Annotated[int, typer.Option(min=1, max=1000)] = 50,
    look: Annotated[int, typer.Option(min=1, max=1_000_000, help="Look at so many of the newest, no more.")] = LOOK,
    as_json: Json = False,
) -> None:
    """List received messages, newest first, with what became of each. Several options: what fits all of them.

    Example: enlace adt inbox --state unmatched --since 24
    """
    checked_state(state)
    asked: dict[str, Any] = {"state": state or "", "source": source, "control_id": control_id, "visit": visit}
    asked |= {"account": account, "mrn": mrn, "cin": cin, "name": name, "patient": patient, "event": event.upper()}
    asked |= window(day, zone)

    async def run(store: Any, _settings: Any) -> "tuple[Found, set[int]]":
        from service.cli.acts import act, recorded
        from service.store.inbox_find import reusing
        from service.workflow.feed_search import Asked, find

        if since is not None:
            asked["since_us"] = max(0, store.clock.now_us() - int(since * HOUR_US), asked.get("since_us", 0))
        wanted = Asked(**asked)
        found = await find(store, wanted, limit=limit, look=look)
        # Looking for a person by a number is what the audit must know; the number itself stays out of it.
        await recorded(store, act("message-search", "inbox", by=wanted.about, shown=len(found.rows)))
        return found, await reusing(store, [row.id for row in found.rows])

    found, reused = with_store(run)
    if as_json:
        typer.echo(json.dumps([_facts(row) | {"same_control_id": row.id in reused} for row in found.rows]))
    for row in () if as_json else found.rows:
        when = f"{instant(row.received_us)[:19]}Z"
        became = f"{row.state:<12} {row.reason}{_twice(row, reused)}"
        typer.echo(f"{row.id}  {when}  {row.source:<20} {row.event:<4} {became}")
    if not found.rows and not as_json:
        typer.echo("No messages.")
    if found.unseen:
        typer.echo(_bounded(found, look), err=True)


def _twice(row: inbox_rows.Received, reused: set[int]) -> str:
    return " (same-control-id)" if row.id in reused and row.reason != "same-control-id" else ""


def checked_state(state: str | None) -> None:
    if state and state not in inbox_rows.STATES:
        typer.echo(f"--state is one of: {', '.join(inbox_rows.STATES)}.", err=True)
        raise typer.Exit(2)


def window(day: str, zone: str) -> dict[str, int]:
    """The day as [since_us, until_us); nothing where none is named. Exit 2 where it is no day."""
    from service.workflow.feed_search import NotADay, day_bounds

    try:
        return day_bounds(day, zone) if day else {}
    except NotADay as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(2) from None


def _facts(row: inbox_rows.Received) -> dict[str, Any]:
    facts = {name: getattr(row, name) for name in ("source", "control_id", "event", "state", "reason")}
    return {"id": row.id, "received": instant(row.received_us), **facts}


def _bounded(found: "Found", look: int) -> str:
    back = instant(found.back_us)[:19]
    further = (
        f"--look {min(look * 10, 1_000_000)} looks at more" if look < 1_000_000 else "narrow it by --source or --day"
    )
    return f"Looked at the newest {found.looked} messages only, back to {back}Z: {further}."
