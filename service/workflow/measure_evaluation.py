"""A measure for a period as of an instant: what is counted, for whom, and what may be shown of it."""

import json
from collections.abc import Sequence
from dataclasses import dataclass

from fhir_profiles import Resource
from service.errors import Category, FhirError, Issue
from service.store import measures
from service.store.database import TooCostly
from service.store.engine import Store
from service.store.measures import Part, Period, Wanted, Whose
from service.workflow.measure_definitions import CALCULATIONS, Calculation, strata
from service.workflow.measure_results import Cell, Cells, Row
from service.workflow.measure_small_cells import Shown, guarded
from service.workflow.referral_facts import NOT_APPROPRIATE

MONTH_US = 30 * 86_400_000_000
PAGE = 5_000
MOST_HALVES = 5
ORGANIZATIONS = ("plan", "requester", "owner")
Guarded = dict[tuple[str, str], Shown]


@dataclass(frozen=True)
class Question:
    """stratifiers: of the measure, None: all. months: of still-receiving. small: counts below it are not shown."""

    measure: Resource
    period: Period
    whose: Whose
    stratifiers: tuple[str, ...] | None = None
    months: int = 6
    small: int = 11


@dataclass(frozen=True)
class Evaluated:
    """groups: code -> cells as they may leave. names: reference of an organization -> its name as of the instant."""

    question: Question
    groups: dict[str, Guarded]
    names: dict[str, str]


async def evaluate(store: Store, question: Question) -> Evaluated:
    """All that was committed up to the instant must be known: measure_fill.settled."""
    row = CALCULATIONS[question.measure["id"]]
    dims = strata(question.measure) if question.stratifiers is None else question.stratifiers
    wanted = Wanted(question.whose, question.period, ("", *dims), NOT_APPROPRIATE, question.months * MONTH_US)
    rows: list[Row] = []
    for part in await measures.parts(store, row.event, question.period):
        rows += await _counted(store, row, wanted, part)
    groups = {code: dict(calculate(rows)) for code, calculate in row.groups.items()}
    names: dict[str, str] = {}
    if row.directory and "owner" in dims:
        names = await directory(store, question.period.at_us)
        for cells in groups.values():
            _with_zeros(cells, names)
    for cells in groups.values():
        cells.setdefault(("", ""), _empty(question.measure))
    names |= await _named(store, groups, names, question.period.at_us)
    return Evaluated(question, {code: guarded(cells, question.small) for code, cells in groups.items()}, names)


async def _counted(store: Store, row: Calculation, wanted: Wanted, part: Part, depth: int = 0) -> list[Row]:
    """A part that takes longer than a read may is counted in halves."""
    try:
        if row.rows == "durations":
            return await measures.durations(store, wanted, part, row.until)
        return await _QUERIES[row.rows](store, wanted, part)
    except TooCostly as error:
        if depth == MOST_HALVES:
            issue = Issue("The database is too busy to count so much: ask for a shorter period.", code="too-costly")
            raise FhirError(Category.UNAVAILABLE, [issue], reason="too-costly") from error
    found = [await _counted(store, row, wanted, half, depth + 1) for half in measures.halves(part)]
    return found[0] + found[1]


_QUERIES = {"referrals": measures.referrals, "people": measures.people, "unmet": measures.unmet}


def _empty(measure: Resource) -> Cell:
    return Cell(tuple((one["code"]["coding"][0]["code"], 0) for one in measure["group"][0]["population"]))


def _with_zeros(cells: Cells, names: dict[str, str]) -> None:
    for reference in names:
        cells.setdefault(("owner", reference), Cell((("initial-population", 0),)))


async def directory(store: Store, at_us: int) -> dict[str, str]:
    """Reference -> name of the organizations that offered a service then, neither of them inactive."""
    offering: set[str] = set()
    after = 0
    while page := await measures.offering(store, at_us, after, PAGE):
        after = page[-1][0]
        for _, body in page:
            service = json.loads(body)
            reference = str((service.get("providedBy") or {}).get("reference", ""))
            if service.get("active") is not False and reference.startswith("Organization/"):
                offering.add(reference.partition("/_history")[0])
    found = await measures.bodies(store, sorted(offering), at_us)
    made = {reference: json.loads(found[reference]) for reference in sorted(found)}
    return {reference: str(one.get("name", "")) for reference, one in made.items() if one.get("active") is not False}


async def _named(store: Store, groups: dict[str, Cells], known: dict[str, str], at_us: int) -> dict[str, str]:
    asked = {at[1] for cells in groups.values() for at in cells if at[0] in ORGANIZATIONS and at[1] not in known}
    found = await measures.bodies(store, _organizations(sorted(asked)), at_us)
    return {reference: str(json.loads(body).get("name", "")) for reference, body in found.items()}


def _organizations(references: Sequence[str]) -> list[str]:
    return [reference for reference in references if reference.startswith("Organization/")]
