"""`enlace adt replay`: messages processed again, by number or by what they fit; --dry-run says what would change."""

import json
from typing import TYPE_CHECKING, Annotated, Any

import typer

from service.cli.adt_inbox import HOUR_US, ZONE, checked_state, window
from service.cli.client import Json, with_store
from service.store import inbox as inbox_rows

if TYPE_CHECKING:
    from service.store.inbox import Received

MOST = 100_000


def replay(
    ids: Annotated[list[int] | None, typer.Argument(help="Numbers from `enlace adt inbox`.")] = None,
    state: Annotated[str | None, typer.Option(help="All messages in this state.")] = None,
    reason: Annotated[str, typer.Option(help="Only those with this reason, as `enlace adt inbox` shows it.")] = "",
    source: Annotated[str, typer.Option(help="Only those of this sender.")] = "",
    event: Annotated[str, typer.Option(help="Only those with this event code, such as A03.")] = "",
    visit: Annotated[str, typer.Option(help="Only those of this visit number.")] = "",
    mrn: Annotated[str, typer.Option(help="Only those with this identifier of the patient.")] = "",
    since: Annotated[float | None, typer.Option(min=0, metavar="HOURS", help="Received in the last HOURS.")] = None,
    day: Annotated[str, typer.Option(help="Received on this day, YYYY-MM-DD, of the zone in --zone.")] = "",
    zone: Annotated[str, typer.Option(help="Whose days are meant.")] = ZONE,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what each would change.")] = False,
    as_json: Json = False,
) -> None:
    """Process messages again; a message that had its effect has none the second time.

    Example: enlace adt replay --state unmatched --reason no-candidate --since 48 --dry-run
    """
    checked_state(state)
    asked: dict[str, Any] = {"state": state or "", "source": source, "event": event.upper()}
    asked |= {"visit": visit, "mrn": mrn, **window(day, zone)}
    if not ids and not any(asked.values()) and since is None:
        typer.echo("Give message numbers, or what they fit: --state unmatched, --source, --day, ...", err=True)
        raise typer.Exit(2)

    async def run(store: Any, settings: Any) -> dict[str, Any]:
        from service.access.context import Settings as Behaviour
        from service.cli.acts import act, recorded
        from service.workflow.feed_replay import replay_messages
        from service.workflow.feed_trial import trial

        if since is not None:
            asked["since_us"] = max(0, store.clock.now_us() - int(since * HOUR_US), asked.get("since_us", 0))
        wanted = await _wanted(store, ids or (), asked, reason)
        how: dict[str, Any] = {
            "messages": len(wanted),
            "trial": dry_run,
            "by": sorted(name for name, value in asked.items() if value),
        }
        await recorded(store, act("message-replay", "inbox", action="E" if dry_run else "U", **how))
        if dry_run:
            return await trial(store, wanted, Behaviour(env=settings.env, base_url=f"{settings.base_url}/fhir"))
        done = await replay_messages(store, wanted, vouched=bool(ids))
        return {"queued": done.queued, "repeated": done.repeated, "purged": done.purged}

    done = with_store(run)
    if as_json:
        typer.echo(json.dumps(done))
        return
    for line in lines(done) if dry_run else _told(done):
        typer.echo(line)


async def _wanted(store: Any, ids: Any, asked: dict[str, Any], reason: str) -> "list[Received]":
    from service.workflow.feed_search import Asked, find

    rows = [row for id in ids if (row := await inbox_rows.one(store, id))]
    if not ids:
        rows = (await find(store, Asked(**asked), limit=MOST, look=10 * MOST)).rows
    unique = {row.id: row for row in rows if not reason or row.reason == reason}
    return [unique[id] for id in sorted(unique)]


def _told(done: dict[str, Any]) -> list[str]:
    told = [f"{done['queued']} queued."]
    if done["repeated"]:
        told.append(f"{done['repeated']} ignored: the sender has sent the same again since it was registered.")
    if done["purged"]:
        told.append(f"{done['purged']} left out: what they held was deleted after its time.")
    return told


def lines(done: dict[str, Any]) -> list[str]:
    """A trial for people: a line a message that would change something, and one for each resource."""
    out = []
    for one in done["messages"]:
        if not one["changes"]:
            continue
        out.append(f"{one['id']}  {_became(one)}".rstrip())
        for write in one.get("writes", ()):
            status = write.get("status")
            moved = f" status {status['from'] or 'none'} -> {status['to'] or 'none'}" if status else ""
            elements = f" ({', '.join(write['elements'])})" if write.get("elements") else ""
            out.append(f"  {write['change']:<8} {write['reference']}{moved}{elements}")
    out.append(f"{done['changed']} of {done['looked']} would change something, each looked at alone. Nothing was done.")
    if done["asked"] > done["looked"]:
        out.append(f"{done['asked'] - done['looked']} more were not looked at: narrow the question.")
    return out


def _became(one: dict[str, Any]) -> str:
    if "renamed" in one:
        return f"takes the name {one['renamed']} and is processed for the first time"
    if "fails" in one:
        return f"would fail with {one['fails']}"
    moved = [f"{name} {one[name]['from'] or 'none'} -> {one[name]['to'] or 'none'}" for name in _SHOWN if name in one]
    return "; ".join(moved)


_SHOWN = ("state", "reason", "patient", "stay")
