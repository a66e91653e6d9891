"""`enlace break-glass`: the review of emergency accesses, each within a day. docs/operator.md tells who does it."""

import json
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any
from zoneinfo import ZoneInfo

import typer

from service.cli.client import Json, with_store
from service.cli.listing import table
from service.store import break_glass
from service.store.break_glass import Taken

if TYPE_CHECKING:
    from service.settings import Settings
    from service.store.engine import Store

app = typer.Typer(no_args_is_help=True, help="Emergency accesses: list and review.")


@app.command("list")
def list_taken(
    everything: Annotated[bool, typer.Option("--all", help="Those that were reviewed, too.")] = False,
    as_json: Json = False,
) -> None:
    """List emergency accesses that wait for their review, newest first.

    Example: enlace break-glass list
    """
    found, zone = with_store(lambda store, settings: _listed(store, settings, everything))
    if as_json:
        typer.echo(json.dumps([_shown(one) for one in found]))
        return
    rows = [
        (_moment(one.start_us, zone), one.actor, one.patient, "yes" if one.part2 else "no", one.verdict or "", one.id)
        for one in found
    ]
    heading = ("TAKEN", "WHO", "MEMBER", "PART 2", "VERDICT", "ID")
    typer.echo(table(heading, rows) if rows else "No emergency access waits for its review.")
    for one in found:
        typer.echo(f"{one.id}: {one.reason}")


@app.command("review")
def review(
    fhir_id: Annotated[str, typer.Argument(metavar="ID", help="From `enlace break-glass list`.")],
    verdict: Annotated[str, typer.Option(help="justified or not-justified.")],
    reviewer: Annotated[str, typer.Option(help="Who decided.")] = "privacy officer",
) -> None:
    """Close the review of an emergency access with a verdict.

    Example: enlace break-glass review 0b6f... --verdict justified --reviewer "P. Officer"
    """
    from service.workflow.emergency_reviews import VERDICTS

    if verdict not in VERDICTS:
        typer.echo(f"--verdict is one of {', '.join(VERDICTS)}.", err=True)
        raise typer.Exit(2)
    problem = with_store(lambda store, settings: _review(store, settings, fhir_id, reviewer, verdict))
    if problem:
        typer.echo(problem, err=True)
        raise typer.Exit(1)
    typer.echo(f"Reviewed: {verdict}.")


async def _listed(store: "Store", settings: "Settings", everything: bool) -> tuple[list[Taken], str]:
    return await break_glass.all_taken(store, waiting=not everything), settings.time_zone


async def _review(store: "Store", settings: "Settings", fhir_id: str, reviewer: str, verdict: str) -> str:
    """What is wrong, "" where nothing is."""
    from service.access.context import Context
    from service.access.context import Settings as Behaviour
    from service.caller import system_caller
    from service.workflow import emergency_reviews

    taken = await break_glass.by_id(store, fhir_id)
    if taken is None:
        return "There is no emergency access with this id: see `enlace break-glass list --all`."
    if taken.reviewed_us is not None:
        return f"It was reviewed already: {taken.verdict}."
    behaviour = Behaviour(settings.env, f"{settings.base_url}/fhir")
    ctx = Context(store, system_caller(), store.clock.now_us(), behaviour)
    await store.commit(await emergency_reviews.review(ctx, taken, reviewer, verdict))
    return ""


def _shown(one: Taken) -> dict[str, Any]:
    return one._asdict() | {"emergency": break_glass.emergency_facts(one), "part2": one.part2}


def _moment(us: int, zone: str) -> str:
    return f"{datetime.fromtimestamp(us / 1_000_000, ZoneInfo(zone)):%Y-%m-%d %H:%M}"
