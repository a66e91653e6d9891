"""`enlace deliveries`: the ledger of what was sent to subscribers, and sending it again. docs/subscriptions.md"""

import json
import re
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any

import typer

from service.cli import operator
from service.cli.client import Json
from service.cli.listing import table
from service.cli.subscription_facts import REACTIVATE
from service.clock import instant

if TYPE_CHECKING:
    from service.settings import Settings
    from service.store.deliveries import Attempt
    from service.store.engine import Store
    from service.store.notify_rows import State

ID = Annotated[str, typer.Argument(metavar="ID", help="Of the subscription, from `enlace subscriptions list`.")]
NUMBERS = re.compile(r"([1-9][0-9]{0,14})(?:-([1-9][0-9]{0,14}))?\Z")

app = typer.Typer(no_args_is_help=True, help="What was sent to subscribers: list, show, replay.")


@app.command("list")
def list_attempts(
    fhir_id: Annotated[str, typer.Argument(metavar="[ID]", help="Of one subscription; without: of all.")] = "",
    outcome: Annotated[str | None, typer.Option(help="ok, failed or refused.")] = None,
    number: Annotated[int | None, typer.Option(min=1, help="Attempts at this event.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="At most so many.")] = 50,
    as_json: Json = False,
) -> None:
    """List attempts at telling a subscriber, or all of them, newest first, failures in words.

    Example: enlace deliveries list 0b6f... --outcome failed
    """
    if outcome not in (None, "ok", "failed", "refused"):
        typer.echo("--outcome is one of ok, failed, refused.", err=True)
        raise typer.Exit(2)
    if number is not None and not fhir_id:
        typer.echo("--number is of one subscription: give its ID, too.", err=True)
        raise typer.Exit(2)

    async def work(store: "Store", settings: "Settings") -> list[dict[str, Any]]:
        from service.store import deliveries

        if not fhir_id:
            return await _of_all(store, settings, outcome, limit)
        state = await _asked(store, settings, fhir_id)
        found = await deliveries.attempts(store, state.key, outcome=outcome, number=number, limit=limit)
        return [_facts(one) for one in found]

    rows = operator.run(work)
    if as_json:
        typer.echo(json.dumps(rows))
        return
    cells: list[tuple[str, ...]] = [
        (row["at"], row["kind"], row["events"], row["outcome"], str(row["ms"]), row["why"] or row["receipt"])
        for row in rows
    ]
    heading: tuple[str, ...] = ("AT", "KIND", "EVENTS", "OUTCOME", "MS", "WHY OR RECEIPT")
    if not fhir_id:
        heading = ("SUBSCRIPTION", *heading)
        cells = [(row["subscription"], *cell) for row, cell in zip(rows, cells, strict=True)]
    typer.echo(table(heading, cells) if rows else "No attempts yet; they are kept for 30 days.")


@app.command("show")
def show(
    fhir_id: ID,
    number: Annotated[int, typer.Argument(min=1, help="Number of the event.")],
    as_json: Json = False,
) -> None:
    """Show one event: when it came, whether it arrived, each attempt. What it told of stands in the audit.

    Example: enlace deliveries show 0b6f... 17
    """
    found = operator.run(lambda store, settings: _shown(store, settings, fhir_id, number))
    if found is None:
        typer.echo(
            f"No event {number} is kept: see `enlace subscriptions show {fhir_id}`; events stay 30 days.", err=True
        )
        raise typer.Exit(1)
    if as_json:
        typer.echo(json.dumps(found))
        return
    typer.echo(f"event {number}: {found['kind']}, came {found['at']}, {_end(found)}")
    for row in found["attempts"]:
        typer.echo(f"{row['at']} {row['outcome']} in {row['ms']} ms {row['why'] or row['receipt']}".rstrip())


@app.command("replay")
def replay(
    fhir_id: ID,
    numbers: Annotated[list[str] | None, typer.Argument(help="Event numbers: 7, or 7-12; several.")] = None,
    dead: Annotated[bool, typer.Option("--dead", help="What did not arrive before the subscription failed.")] = False,
    as_json: Json = False,
) -> None:
    """Send events again under their numbers: one, several, a range. Access is decided anew.

    Example: enlace deliveries replay 0b6f... 7 20-31
    """
    ranges = [_range(text) for text in numbers or ()]
    if dead == bool(ranges):
        typer.echo("Name event numbers, such as 7 or 7-12, or give --dead.", err=True)
        raise typer.Exit(2)
    if dead:
        told = operator.run(lambda store, settings: _dead(store, settings, fhir_id))
    else:
        told = operator.run(lambda store, settings: _replayed(store, settings, fhir_id, ranges))
    typer.echo(json.dumps(told) if as_json else told["told"])


def _range(text: str) -> tuple[int, int]:
    match = NUMBERS.match(text)
    first, last = (int(match[1]), int(match[2] or match[1])) if match else (1, 0)
    if last < first:
        typer.echo(f"{text[:40]!r} is no event number and no range: write 7 or 7-12.", err=True)
        raise typer.Exit(2)
    return first, last


async def _asked(store: "Store", settings: "Settings", fhir_id: str) -> "State":
    """Its row, after the audit row of the look into its ledger. FhirError where there is none."""
    from service.operations.subscription_deliveries import Wanted, ledger
    from service.store import subscriptions

    bare = fhir_id.removeprefix("Subscription/")
    ctx = operator.context(store, settings)
    await operator.answered(ctx, lambda given: ledger(given, bare, Wanted(count=1)))
    state = await subscriptions.by_id(store, bare)
    assert state is not None
    return state


async def _of_all(store: "Store", settings: "Settings", outcome: str | None, limit: int) -> list[dict[str, Any]]:
    from service.store import deliveries
    from service.store.change import Change

    ctx = operator.context(store, settings)
    await store.commit(Change(audit=[ctx.audit("E", "subscription-deliveries", "Subscription")]))
    found = await deliveries.attempts_of_all(store, outcome=outcome, limit=limit)
    return [{"subscription": fhir_id, **_facts(one)} for fhir_id, one in found]


async def _shown(store: "Store", settings: "Settings", fhir_id: str, number: int) -> dict[str, Any] | None:
    from service.store import deliveries

    state = await _asked(store, settings, fhir_id)
    found = await deliveries.events(store, state.key, number, number, 1)
    if not found:
        return None
    event = found[0]
    attempts = await deliveries.attempts(store, state.key, number=number, limit=1_000)
    return {
        "number": number,
        "kind": event.kind,
        "at": instant(event.at_us),
        "arrived": instant(event.settled_us) if event.settled_us else None,
        "emptied": event.emptied,
        "attempts": [_facts(one) for one in reversed(attempts)],
    }


async def _replayed(
    store: "Store", settings: "Settings", fhir_id: str, ranges: list[tuple[int, int]]
) -> dict[str, Any]:
    from service.operations.subscription_steering import Range, resend

    bare = fhir_id.removeprefix("Subscription/")
    done = 0
    for first, last in ranges:
        ctx = operator.context(store, settings)
        answer = await operator.answered(ctx, partial(resend, fhir_id=bare, wanted=Range(first, last)))
        done += int(operator.parameters(answer)["events"])
    return {"id": bare, "events": done, "told": f"{done} event{'s' * (done != 1)} will be sent again."}


async def _dead(store: "Store", settings: "Settings", fhir_id: str) -> dict[str, Any]:
    """The service may not start it again: the client said where to send, so the client says that it may be sent to."""
    state = await _asked(store, settings, fhir_id)
    left = state.numbered - state.delivered
    facts = {"id": state.fhir_id, "status": state.status, "events": left}
    if state.status != "error":
        return facts | {"told": f"It is {state.status}, not in error: what is left is sent by itself."}
    which = f"Events {state.delivered + 1} to {state.numbered} wait." if left else "No numbered event waits."
    return facts | {"told": f"{which} {REACTIVATE} $events gives them meanwhile."}


def _facts(one: "Attempt") -> dict[str, Any]:
    from service.notify.failure_words import in_words

    return {
        "id": str(one.id),
        "at": instant(one.at_us),
        "kind": one.kind,
        "events": "" if not one.last else str(one.first) if one.first == one.last else f"{one.first}-{one.last}",
        "outcome": one.outcome,
        "status": one.status,
        "ms": one.ms,
        "why": "" if one.outcome == "ok" else in_words(one.reason, one.status),
        "receipt": one.receipt,
    }


def _end(found: dict[str, Any]) -> str:
    end = f"arrived {found['arrived']}" if found["arrived"] else "has not arrived"
    return f"{end}, without content since the right to it had ended" if found["emptied"] else end
