"""`enlace timers`: clocks that somebody must meet, and how they were met. docs/transitional-care.md"""

import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from service.cli import operator
from service.cli.client import Json
from service.cli.listing import table
from service.clock import instant

if TYPE_CHECKING:
    from service.settings import Settings
    from service.store.engine import Store

STATES = ("running", "met", "breached", "cancelled")
DAY_US = 86_400_000_000
app = typer.Typer(no_args_is_help=True, help="Clocks that somebody must meet: list, measure.")


@app.command("list")
def list_timers(
    kind: Annotated[str, typer.Option(help="Such as tcs-visit.")] = "",
    state: Annotated[str, typer.Option(help="running, met, breached or cancelled.")] = "running",
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="At most so many.")] = 50,
    as_json: Json = False,
) -> None:
    """List timers, soonest due first.

    Example: enlace timers list --state breached
    """
    _known(kind)
    if state not in STATES:
        typer.echo(f"--state is one of {', '.join(STATES)}.", err=True)
        raise typer.Exit(2)

    async def work(store: "Store", _settings: "Settings") -> list[dict[str, Any]]:
        from service.store import timers

        return [
            {
                "kind": one.kind,
                "about": one.subject,
                "started": instant(one.start_us),
                "due": instant(one.due_us),
                "state": one.state,
                "ended": instant(one.ended_us) if one.ended_us is not None else "",
            }
            for one in await timers.listed(store, kind, state, limit)
        ]

    rows = operator.run(work)
    if as_json:
        typer.echo(json.dumps(rows))
        return
    heading = ("KIND", "ABOUT", "STARTED", "DUE", "STATE", "ENDED")
    shown = [tuple(to_the_second(value) for value in row.values()) for row in rows]
    typer.echo(table(heading, shown) if rows else f"No timers that are {state}.")


def to_the_second(value: str) -> str:
    day, dot, fraction = value.partition(".")
    return f"{day}Z" if dot and fraction.endswith("Z") else value


@app.command("measure")
def measure_timers(
    kind: Annotated[str, typer.Option(help="Of this kind only.")] = "",
    days: Annotated[int, typer.Option(min=1, max=3_650, help="Of those that began in so many days.")] = 30,
    as_json: Json = False,
) -> None:
    """Say how timers were met: how many in time, and how long it took.

    adt-relay is the rule of 24 hours: from the event in the hospital until a care manager was told; plan-relay: until a
    notification of it arrived at the member's plan. A timer that ended is kept for ENLACE_TIMER_DAYS, 400 unless set.

    Example: enlace timers measure --kind adt-relay
    """
    _known(kind)

    async def work(store: "Store", settings: "Settings") -> dict[str, dict[str, Any]]:
        from service.store import timers
        from service.workflow.timer_kinds import kinds
        from service.workflow.timer_measure import measure

        if 0 < settings.timer_days < days:  # those that ended before are gone, those that did not would look late
            kept = f"timers that ended are kept for {settings.timer_days} days (ENLACE_TIMER_DAYS)"
            typer.echo(f"--days is {settings.timer_days} at most here: {kept}.", err=True)
            raise typer.Exit(2)
        now_us, found = store.clock.now_us(), {}
        for code in [kind] if kind else kinds():
            made = measure(await timers.ended_since(store, code, now_us - days * DAY_US), now_us)
            found[code] = asdict(made) | {"share": made.share}
        return found

    found = operator.run(work)
    if as_json:
        typer.echo(json.dumps(found))
        return
    heading = ("KIND", "STARTED", "IN TIME", "LATE", "WAITING", "SHARE", "P50", "P95", "P95 SINCE RECEIPT")
    typer.echo(table(heading, [_cells(code, row) for code, row in found.items()]))


def _cells(code: str, row: dict[str, Any]) -> tuple[str, ...]:
    share = "-" if row["share"] is None else f"{row['share']:.1%}"
    times = (_minutes(row[name]) for name in ("p50", "p95", "from_receipt_p95"))
    return (code, *(str(row[name]) for name in ("count", "within", "late", "waiting")), share, *times)


def _minutes(value: float | None) -> str:
    if value is None:
        return "-"
    return f"{value * 60:.0f} s" if value < 2 else f"{value:.0f} min" if value < 120 else f"{value / 60:.1f} h"


def _known(kind: str) -> None:
    from service.workflow.timer_kinds import kinds

    if kind and kind not in kinds():
        typer.echo(f"--kind is one of {', '.join(kinds())}.", err=True)
        raise typer.Exit(2)
