"""The measures that the service computes: fhir_profiles/measures holds their definitions, here stands how each is made.

https://hl7.org/fhir/R4/measure.html. Numbers: facts/california.md R94. The files are stored when the service first
looks for facts, and are not to be altered: what a number means is fixed by the version of its Measure.
"""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import fhir_profiles
from fhir_profiles import Resource
from service.access.context import Context
from service.caller import Role
from service.errors import Category, FhirError, Issue
from service.search.restriction import EVERYTHING
from service.store import read
from service.store.change import ABSENT, Change
from service.workflow.measure_results import Cells, Row, durations, made, people, percentile, still, unfit, unmet
from service.workflow.steps import Step

_FOLDER = Path(fhir_profiles.__file__).parent / "measures"
MEDIAN, P90 = 50, 90


@dataclass(frozen=True)
class Calculation:
    """event: what opens a case: opened or unmet. rows: which query of store/measures.py. groups: code -> its cells."""

    event: str
    rows: str
    groups: dict[str, Callable[[Sequence[Row]], Cells]]
    until: str = ""
    directory: bool = False


def _days() -> dict[str, Callable[[Sequence[Row]], Cells]]:
    return {
        "median": lambda rows: percentile(durations(rows), MEDIAN),
        "p90": lambda rows: percentile(durations(rows), P90),
    }


CALCULATIONS: dict[str, Calculation] = {
    "referrals-made": Calculation("opened", "referrals", {"referrals": made}),
    "referrals-per-organization": Calculation("opened", "referrals", {"referrals": made}, directory=True),
    "service-received": Calculation("opened", "people", {"people": people}),
    "still-receiving": Calculation("opened", "people", {"people": still}),
    "service-not-appropriate": Calculation("opened", "referrals", {"referrals": unfit}),
    "days-to-accept": Calculation("opened", "durations", _days(), until="accepted"),
    "days-to-close": Calculation("opened", "durations", _days(), until="closed"),
    "unmet-needs": Calculation("unmet", "unmet", {"requests": unmet}),
}
"""id of a Measure -> how it is computed"""


@lru_cache(maxsize=1)
def shipped() -> dict[str, Resource]:
    """id -> Measure, in the order of CALCULATIONS."""
    return {name: json.loads((_FOLDER / f"{name}.json").read_text("utf-8")) for name in CALCULATIONS}


def named(name: str) -> Resource | None:
    """By id, url, or url|version."""
    for fhir_id, measure in shipped().items():
        if name in (fhir_id, f"Measure/{fhir_id}", measure["url"], f"{measure['url']}|{measure['version']}"):
            return measure
    return None


def strata(measure: Resource) -> tuple[str, ...]:
    """Codes of its stratifiers; all groups of a measure have the same."""
    return tuple(one["code"]["text"] for one in measure["group"][0]["stratifier"])


async def stored(ctx: Context) -> Change:
    """Adds those definitions that are not stored, or in another version than ours."""
    change = Change()
    for measure in shipped().values():
        found = await read.head(ctx.store, "Measure", measure["id"], EVERYTHING)
        version = ABSENT if found is None else found.version
        same = found is not None and found.body is not None and _version(found.body) == measure["version"]
        if not same:
            change.writes.append(ctx.write(measure, version))
    return change


def _version(body: bytes) -> str:
    return str(json.loads(bytes(body)).get("version"))


async def check_fixed(step: Step) -> None:
    """403 for others than the operator, 422 for a change of a definition by which the service computes."""
    if step.ctx.caller.role not in (Role.ADMIN, Role.SYSTEM):
        raise FhirError(Category.FORBIDDEN, [Issue("Measures are written by the operator.", "Measure")], reason="role")
    if step.new.get("id") in CALCULATIONS and (step.interaction == "delete" or not _same(step.new)):
        text = "This Measure says what the service computes, and stays as it is: create another under an id of its own."
        raise FhirError(Category.RULE, [Issue(text, "Measure", "business-rule")], reason="measure")


def _same(measure: Resource) -> bool:
    ours = shipped()[measure["id"]]
    return {k: v for k, v in measure.items() if k != "meta"} == {k: v for k, v in ours.items() if k != "meta"}
