"""Measure/$evaluate-measure: a measure of referrals for a period, as of an instant. Nothing is stored.

https://hl7.org/fhir/R4/measure-operation-evaluate-measure.html, summary reports only; asOf, months and stratifier are
ours. Who asks counts its own referrals, a plan those of its members, the operator all: in the SQL (store/measures.py).
"""

import asyncio
from dataclasses import dataclass

from fhir_profiles.json_text import write_json
from service.access.context import Context
from service.access.roles import check_scope
from service.caller import Role
from service.errors import Category, FhirError, Issue
from service.interactions.decision import Answer, Decision, fixed
from service.operations.parameters import Params, known
from service.search.dates import parse as parse_date
from service.store.change import Change
from service.store.measures import Period
from service.workflow import measure_definitions, measure_fill
from service.workflow.measure_definitions import strata
from service.workflow.measure_evaluation import Question, evaluate
from service.workflow.measure_report import report
from service.workflow.measure_scope import available, whose

NAMES = (
    *("_format", "_pretty", "asOf", "measure", "months", "periodEnd", "periodStart", "practitioner", "reportType"),
    *("stratifier", "subject"),
)
MOST_MONTHS = 120
AT_ONCE = 1
"""Evaluations at a time, each process: a large one reads for many seconds."""
_SUMMARY = ("population", "summary")


@dataclass(frozen=True)
class Wanted:
    """measure: id, url or url|version. at_us: None for now."""

    measure: str
    start_us: int
    end_us: int
    at_us: int | None = None
    stratifiers: tuple[str, ...] | None = None
    months: int = 6


def parse(params: Params, fhir_id: str = "") -> Wanted:
    """fhir_id: of the Measure in the URL, "" for the type. Raises MALFORMED with one issue per parameter."""
    found, issues = known(params, NAMES, several=("stratifier",))
    for name in ("subject", "practitioner"):
        if name in found:
            text = f"Parameter '{name}' is not supported: measures are of all that you may count, never of one person."
            issues.append(Issue(text, code="not-supported"))
    if found.get("reportType", ["population"])[0] not in _SUMMARY:
        issues.append(Issue("Parameter 'reportType' takes population: reports name no person.", code="not-supported"))
    if fhir_id and "measure" in found:
        issues.append(Issue("Parameter 'measure' is for the type: here the URL names the measure.", code="value"))
    if not fhir_id and "measure" not in found:
        issues.append(Issue("Parameter 'measure' is required: the url or id of a Measure.", code="required"))
    times = {name: _time(found, name, issues) for name in ("periodStart", "periodEnd", "asOf")}
    start, end, at = (times[name] for name in ("periodStart", "periodEnd", "asOf"))
    if start and end and start[0] >= end[1]:
        issues.append(Issue("periodEnd lies before periodStart: give the later day as periodEnd.", code="value"))
    months = found.get("months", ["6"])[0]
    if not (months.isascii() and months.isdigit() and 1 <= int(months[:4]) <= MOST_MONTHS):
        issues.append(Issue(f"Parameter 'months' takes a number from 1 to {MOST_MONTHS}.", code="value"))
    if issues or start is None or end is None:
        raise FhirError(Category.MALFORMED, issues)
    strata = tuple(dict.fromkeys(one for value in found.get("stratifier", ()) for one in value.split(",")))
    named = fhir_id or found["measure"][0]
    at_us = at[1] - 1 if at else None
    return Wanted(named, start[0], end[1], at_us, strata if "stratifier" in found else None, int(months))


def _time(found: dict[str, list[str]], name: str, issues: list[Issue]) -> tuple[int, int] | None:
    if name not in found:
        if name != "asOf":
            issues.append(Issue(f"Parameter '{name}' is required: a date such as 2026-01-31.", code="required"))
        return None
    try:
        return parse_date(found[name][0])
    except ValueError:
        issues.append(Issue(f"Parameter '{name}' takes a date such as 2026-01-31, or an instant.", code="value"))
        return None


def check_caller(ctx: Context) -> None:
    """403 for who may not read the Tasks that are counted, or a part of them only."""
    check_scope(ctx.caller, "r", "Measure")
    check_scope(ctx.caller, "s", "Task")
    if ctx.caller.role is Role.HOSPITAL:
        text = "Clients with the role hospital have no referrals to count."
        raise FhirError(Category.FORBIDDEN, text, reason="role")
    if ctx.restriction.narrowed.get("Task") is not None:
        text = "The scopes of this token reach a part of the Tasks only: a measure needs system/Task.rs as a whole."
        raise FhirError(Category.FORBIDDEN, text, reason="scope")


async def evaluated(ctx: Context, wanted: Wanted) -> Decision:
    question = asked(ctx, wanted)
    async with _gate():
        await measure_fill.settled(ctx.store, question.period.at_us, ctx.settings.base_url)
        found = await evaluate(ctx.store, question)
    reporter = ctx.caller.organization if ctx.caller.organization.startswith("Organization/") else ""
    row = ctx.audit("E", "evaluate-measure", f"Measure/{question.measure['id']}")
    return Decision(Change(audit=[row]), fixed(Answer(200, write_json(report(found, reporter)))))


def asked(ctx: Context, wanted: Wanted) -> Question:
    """Raises NOT_FOUND for a measure that is not computed here, MALFORMED for other values that do not fit it."""
    measure = measure_definitions.named(wanted.measure)
    if measure is None:
        text = f"This measure is not computed here; known are: {', '.join(measure_definitions.CALCULATIONS)}."
        raise FhirError(Category.NOT_FOUND, [Issue(text, code="not-found")], reason="measure")
    issues = []
    open_to = available(ctx.caller)
    offered = tuple(one for one in strata(measure) if one in open_to)
    if any(one not in offered for one in wanted.stratifiers or ()):
        text = f"Parameter 'stratifier' takes {', '.join(offered)}: of this measure, as your role may see the members."
        issues.append(Issue(text, code="value"))
    at_us = ctx.now_us - 1 if wanted.at_us is None else wanted.at_us
    if at_us >= ctx.now_us:
        issues.append(Issue("asOf lies in the future: leave it out for now.", code="value"))
    if issues:
        raise FhirError(Category.MALFORMED, issues)
    chosen = offered if wanted.stratifiers is None else tuple(one for one in offered if one in wanted.stratifiers)
    mine = whose(ctx)
    return Question(
        measure,
        Period(wanted.start_us, wanted.end_us, at_us),
        mine,
        chosen,
        wanted.months,
        0 if mine.everything else ctx.settings.small_cell,
    )


_GATES: dict[int, asyncio.Semaphore] = {}


def _gate() -> asyncio.Semaphore:
    """One for each loop, so one for each process that serves."""
    loop = id(asyncio.get_running_loop())
    if loop not in _GATES:
        _GATES.clear()
        _GATES[loop] = asyncio.Semaphore(AT_ONCE)
    return _GATES[loop]
