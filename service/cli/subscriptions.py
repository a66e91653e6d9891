"""`enlace subscriptions`: what systems are told of, and how it goes. docs/subscriptions.md

The same functions decide as behind /fhir/Subscription and its operations; their audit rows name the operator.
"""

import json
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Annotated, Any

import typer

from service.cli import operator
from service.cli.client import Json
from service.cli.listing import table
from service.cli.subscription_facts import REACTIVATE, facts, lines, secret_of, state_of, statuses

if TYPE_CHECKING:
    from service.access.context import Context
    from service.interactions.decision import Decision
    from service.settings import Settings
    from service.store.engine import Store
    from service.store.notify_rows import State

ID = Annotated[str, typer.Argument(metavar="ID", help="From `enlace subscriptions list`.")]

app = typer.Typer(no_args_is_help=True, help="Subscriptions of systems: list, add, pause, resume, test.")


@app.command("list")
def list_subscriptions(
    status: Annotated[str | None, typer.Option(help="requested, active, error or off.")] = None,
    client: Annotated[str | None, typer.Option(help="Of one client: its id or name.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="At most so many.")] = 500,
    as_json: Json = False,
) -> None:
    """List subscriptions with their state, oldest first.

    Example: enlace subscriptions list --status error
    """
    if status not in (None, *statuses()):
        typer.echo(f"--status is one of {', '.join(statuses())}.", err=True)
        raise typer.Exit(2)

    async def work(store: "Store", settings: "Settings") -> list[dict[str, Any]]:
        return [facts(one) for one in await _found(store, status, client, limit)]

    rows = operator.run(work)
    if as_json:
        typer.echo(json.dumps(rows))
        return
    heading = ("STATUS", "TOPIC", "CHANNEL", "DELIVERED", "CLIENT", "ID")
    cells = [
        (state_of(row), row["topic"], row["channel"], f"{row['delivered']}/{row['numbered']}", row["client"], row["id"])
        for row in rows
    ]
    typer.echo(table(heading, cells) if rows else "No subscriptions.")


async def _found(store: "Store", status: str | None, client: str | None, limit: int) -> list["State"]:
    from service.cli.client import _one
    from service.search.restriction import EVERYTHING
    from service.store import subscriptions_seen

    whose = (await _one(store, client)).id if client else ""
    chosen = (status,) if status else ()
    return await subscriptions_seen.seen(store, EVERYTHING, statuses=chosen, client_id=whose, limit=limit)


@app.command("show")
def show(fhir_id: ID, as_json: Json = False) -> None:
    """Show one subscription: what it asks for, how delivery stands, the last failures in words.

    Example: enlace subscriptions show 0b6f...
    """
    from service.cli.subscription_facts import shown

    found = operator.run(lambda store, settings: shown(store, settings, fhir_id))
    typer.echo(json.dumps(found) if as_json else "\n".join(lines(found)))


@app.command("topics")
def topics(as_json: Json = False) -> None:
    """List the topics that can be subscribed to, and by which parameters each can be filtered.

    Example: enlace subscriptions topics
    """
    from fhir_profiles.topics import topics as served

    rows = [
        {
            "topic": topic.slug,
            "url": topic.url,
            "title": topic.definition.get("title", ""),
            "description": topic.definition.get("description", ""),
            "types": list(topic.rtypes),
            "filters": sorted({one["filterParameter"] for one in topic.definition.get("canFilterBy", ())}),
        }
        for topic in served().values()
    ]
    if as_json:
        typer.echo(json.dumps(rows))
        return
    cells = [(row["topic"], " ".join(row["types"]), " ".join(row["filters"]), row["url"]) for row in rows]
    typer.echo(table(("TOPIC", "OF", "FILTERS", "URL"), cells))


@app.command("add")
def add(
    client: Annotated[str, typer.Argument(help="Whose it is: client id or name. It hears what this client may see.")],
    topic: Annotated[str, typer.Option(help="Short name or URL from `enlace subscriptions topics`.")],
    endpoint: Annotated[str, typer.Option(help="https URL, mailto: or tel: address; empty for websocket.")] = "",
    channel: Annotated[str, typer.Option(help="rest-hook, email, sms or websocket.")] = "rest-hook",
    content: Annotated[
        str | None, typer.Option(help="empty, id-only or full-resource; left out: id-only, of texts for people empty.")
    ] = None,
    payload: Annotated[str | None, typer.Option(help="Media type of what is sent.")] = None,
    filter: Annotated[list[str] | None, typer.Option(help="As Task?owner=Organization/x; repeatable, all fit.")] = None,
    header: Annotated[list[str] | None, typer.Option(help="As `Name: value`; sent along; repeatable.")] = None,
    timeout: Annotated[int, typer.Option(min=0, help="Seconds that an answer may take; 0: as the service does.")] = 0,
    heartbeat: Annotated[int, typer.Option(min=0, help="Seconds without an event after which one is sent.")] = 0,
    max_count: Annotated[int, typer.Option(min=0, help="Events in one notification; 0: as the service does.")] = 0,
    as_json: Json = False,
) -> None:
    """Subscribe in the name of a registered client, and print the id and the secret that signs what is sent.

    Example: enlace subscriptions add "Plan A EHR" --topic referral-status --endpoint https://hooks.example.org/enlace
    """
    from service.cli.subscription_facts import resource

    body = resource(
        topic, channel, endpoint, content, payload, tuple(filter or ()), tuple(header or ()),
        {"timeout": timeout, "heartbeat-period": heartbeat, "max-count": max_count},
    )  # fmt: skip
    made = operator.run(lambda store, settings: _added(store, settings, client, body))
    if as_json:
        typer.echo(json.dumps(made))
        return
    typer.echo(made["id"])
    if made["secret"]:
        typer.echo(f"Secret (shown once): {made['secret']}")


async def _added(store: "Store", settings: "Settings", client: str, body: dict[str, Any]) -> dict[str, Any]:
    from service.auth.sandbox import caller_of
    from service.cli.client import _one
    from service.interactions.create import create
    from service.interactions.decision import Preconditions

    ctx = operator.context(store, settings, caller_of(await _one(store, client)))
    answer = await operator.answered(ctx, lambda given: create(given, "Subscription", body, Preconditions()))
    fhir_id = (answer.location or "").partition("/")[2]
    return {"id": fhir_id, "status": "requested", "secret": await secret_of(store, settings, fhir_id)}


@app.command("pause")
def pause(fhir_id: ID, as_json: Json = False) -> None:
    """Stop sending for now; events are kept and sent after resume.

    Example: enlace subscriptions pause 0b6f...
    """
    _steered(fhir_id, "pause", as_json, lambda _found: "Paused.")


@app.command("resume")
def resume(fhir_id: ID, as_json: Json = False) -> None:
    """Send again at once, beginning with what has waited; also one that waits after failures.

    Example: enlace subscriptions resume 0b6f...
    """
    _steered(fhir_id, "resume", as_json, _resume_words)


def _resume_words(found: dict[str, Any]) -> str:
    return f"Resumed, but it is in error. {REACTIVATE}" if found["status"] == "error" else "Resumed."


@app.command("test")
def test(fhir_id: ID, as_json: Json = False) -> None:
    """Send an event about the Subscription itself, on the way of all others.

    Example: enlace subscriptions test 0b6f...
    """
    _steered(fhir_id, "test_event", as_json, _test_words(fhir_id))


def _test_words(fhir_id: str) -> Callable[[dict[str, Any]], str]:
    def words(found: dict[str, Any]) -> str:
        if found.get("paused"):
            return "Queued; it leaves after `enlace subscriptions resume`."
        return f"Queued: `enlace deliveries list {fhir_id}` shows what came of it."

    return words


@app.command("rotate-secret")
def rotate_secret(fhir_id: ID, as_json: Json = False) -> None:
    """Make a new secret, shown once; the one before signs as well for a day.

    Example: enlace subscriptions rotate-secret 0b6f...
    """
    _steered(fhir_id, "rotate_secret", as_json, _secret_words)


def _secret_words(found: dict[str, Any]) -> str:
    """The secret alone goes to standard output, so that it may be led into a file."""
    typer.echo(f"The former secret signs as well until {found['former-valid-until']}; an older one no more.", err=True)
    return str(found["secret"])


@app.command("delete")
def delete(
    fhir_id: ID,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    as_json: Json = False,
) -> None:
    """End a subscription; what it was not told yet is told no more. Who was told what stays in the audit.

    Example: enlace subscriptions delete 0b6f... --yes
    """
    from service.interactions.decision import Preconditions
    from service.interactions.delete import delete as deleted

    if not yes:
        typer.confirm(f"End subscription {fhir_id}?", abort=True)

    async def work(store: "Store", settings: "Settings") -> None:
        ctx = operator.context(store, settings)
        await operator.answered(ctx, lambda given: deleted(given, "Subscription", _bare(fhir_id), Preconditions()))

    operator.run(work)
    typer.echo(json.dumps({"id": _bare(fhir_id), "deleted": True}) if as_json else "Deleted.")


def _steered(fhir_id: str, name: str, as_json: bool, words: Callable[[dict[str, Any]], str]) -> None:
    from service.operations import subscription_steering

    act: Callable[[Context, str], Coroutine[Any, Any, Decision]] = getattr(subscription_steering, name)

    async def work(store: "Store", settings: "Settings") -> dict[str, Any]:
        ctx = operator.context(store, settings)
        return operator.parameters(await operator.answered(ctx, lambda given: act(given, _bare(fhir_id))))

    found = operator.run(work)
    typer.echo(json.dumps({"id": _bare(fhir_id), **found}) if as_json else words(found))


def _bare(fhir_id: str) -> str:
    return fhir_id.removeprefix("Subscription/")
