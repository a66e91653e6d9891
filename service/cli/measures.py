"""`enlace measures`: what came of referrals, in numbers with stored definitions. docs/measures.md"""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from service.cli import operator
from service.cli.acts import OPERATOR
from service.cli.client import Json
from service.cli.listing import table

if TYPE_CHECKING:
    from service.settings import Settings
    from service.store.engine import Store

OPTIONS = {
    "periodStart": "--start",
    "periodEnd": "--end",
    "asOf": "--at",
    "months": "--months",
    "stratifier": "--by",
}
"""Parameter of $evaluate-measure -> what it is called here."""
app = typer.Typer(no_args_is_help=True, help="Measures of referrals: list, run.")


@app.command("list")
def list_measures(as_json: Json = False) -> None:
    """List the measures, and what each counts.

    Example: enlace measures list
    """
    from service.workflow.measure_definitions import shipped

    rows = [(one["id"], one["version"], one["description"]) for one in shipped().values()]
    if as_json:
        typer.echo(json.dumps([dict(zip(("id", "version", "counts"), row, strict=True)) for row in rows]))
        return
    typer.echo(table(("MEASURE", "VERSION", "COUNTS"), rows))


@app.command("run")
def run_measures(
    names: Annotated[list[str] | None, typer.Argument(help="Ids of measures; without: all.")] = None,
    start: Annotated[str, typer.Option(help="First day on which referrals were opened; without: a year ago.")] = "",
    end: Annotated[str, typer.Option(help="Last day; without: today.")] = "",
    at: Annotated[str, typer.Option(help="Count what was committed up to this instant or day; without: now.")] = "",
    by: Annotated[list[str] | None, typer.Option(help="Only by these, such as need or plan.")] = None,
    totals: Annotated[bool, typer.Option("--totals", help="The whole alone, by nothing.")] = False,
    months: Annotated[int, typer.Option(min=1, max=120, help="For still-receiving.")] = 6,
    small: Annotated[int, typer.Option(min=0, max=1000, help="Leave out counts below this, to hand the table on.")] = 0,
    csv: Annotated[bool, typer.Option("--csv", help="As CSV.")] = False,
    as_json: Json = False,
    out: Annotated[Path | None, typer.Option(help="Write to this file instead.")] = None,
) -> None:
    """Compute measures of all referrals; the same period and instant give the same numbers, whatever is written later.

    Example: enlace measures run referrals-made --by need
    Example: enlace measures run --start 2026-01-01 --end 2026-06-30 --at 2026-07-31 --csv
    """
    params = [("periodStart", start), ("periodEnd", end), ("asOf", at), ("months", str(months))]
    params += [("stratifier", one) for one in by or ()]

    async def work(store: "Store", settings: "Settings") -> str:
        return await _computed(store, settings, names or [], params, small, totals=totals, form=form)

    form = "json" if as_json else "csv" if csv else "table"
    text = operator.run(work, OPTIONS)
    if out is not None:
        out.write_text(text, encoding="utf-8")
        typer.echo(f"Written: {out}")
        return
    typer.echo(text.rstrip("\n"))


async def _computed(
    store: "Store",
    settings: "Settings",
    names: list[str],
    params: list[tuple[str, str]],
    small: int,
    *,
    totals: bool,
    form: str,
) -> str:
    from dataclasses import replace
    from datetime import timedelta

    from service.clock import utc
    from service.operations import evaluate_measure
    from service.search.dates import PACIFIC
    from service.store.change import Change
    from service.workflow import measure_fill
    from service.workflow.measure_definitions import CALCULATIONS
    from service.workflow.measure_evaluation import evaluate
    from service.workflow.measure_report import csv_text, report

    ctx = operator.context(store, settings)
    today = utc(ctx.now_us).astimezone(PACIFIC).date()
    usual = {"periodStart": str(today - timedelta(days=365)), "periodEnd": str(today)}
    given = [(name, value or usual.get(name, "")) for name, value in params]
    found = []
    for name in names or CALCULATIONS:
        wanted = evaluate_measure.parse([(key, value) for key, value in given if value], name)
        wanted = replace(wanted, stratifiers=()) if totals else wanted
        question = replace(evaluate_measure.asked(ctx, wanted), small=small)
        await measure_fill.settled(store, question.period.at_us, ctx.settings.base_url)
        found.append(await evaluate(store, question))
    targets = [f"Measure/{one.question.measure['id']}" for one in found]
    audit = [replace(ctx.audit("E", "evaluate-measure", target), actor=OPERATOR) for target in targets]
    await store.commit(Change(audit=audit))
    if form == "csv":
        return csv_text(found)
    if form == "json":
        return json.dumps([report(one, "") for one in found])
    return "\n\n".join(_shown(one) for one in found)


def _shown(found: "object") -> str:
    from service.workflow.measure_evaluation import Evaluated
    from service.workflow.measure_report import table as rows_of

    assert isinstance(found, Evaluated)
    measure = found.question.measure
    populations = [one["code"]["coding"][0]["code"] for one in measure["group"][0]["population"]]
    heading = ("GROUP", "BY", *(one.upper().replace("-", " ") for one in populations), "SCORE", "VALUE")
    rows = []
    for row in rows_of(found):
        counts = [row[one.replace("-", "_")] for one in populations]
        score = f"{row['score']} {row['unit']}".strip() or "-"
        rows.append((row["group"], row["stratifier"] or "all", *counts, score, row["name"]))
    return f"{measure['title']} ({measure['id']} {measure['version']})\n{table(heading, rows)}"
