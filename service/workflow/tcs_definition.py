"""The checklist of Transitional Care Services: a PlanDefinition, whose actions become Tasks.

https://hl7.org/fhir/R4/plandefinition.html. Ours is fhir_profiles/plan_definitions/enlace-tcs.json; the service stores
it with the first discharge, and from then on the stored one counts, so that an operator can change it.
"""

import json
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import fhir_profiles
from fhir_profiles import Resource
from service.access.context import Context
from service.errors import Category, FhirError, Issue
from service.search.restriction import EVERYTHING
from service.store import read
from service.store.change import ABSENT, Change
from service.workflow.steps import Step
from service.workflow.transitions_of_care import FOLLOW_UP_SYSTEM

URL = "https://enlace.example.org/fhir/PlanDefinition/enlace-tcs"
ID = "enlace-tcs"
_FILE = Path(fhir_profiles.__file__).parent / "plan_definitions" / f"{ID}.json"
_HOURS = {"h": 1, "d": 24, "wk": 168}


@dataclass(frozen=True)
class Action:
    """id: names the Task. code: of it, also the kind of its timer where timers.json has one. hours: until it is due."""

    id: str
    title: str
    description: str
    code: str
    hours: int


class Unusable(ValueError):
    """problems: (expression, sentence)"""

    def __init__(self, problems: list[tuple[str, str]]):
        super().__init__("; ".join(words for _, words in problems))
        self.problems = problems


@lru_cache(maxsize=1)
def shipped() -> Resource:
    made: Resource = json.loads(_FILE.read_text("utf-8"))
    return made


def actions_of(definition: Resource) -> tuple[Action, ...]:
    """Raises Unusable with all problems at once."""
    problems: list[tuple[str, str]] = []
    made: list[Action] = []
    for number, action in enumerate(definition.get("action") or ()):
        at = f"PlanDefinition.action[{number}]"
        codes = [c.get("code") for one in action.get("code") or () for c in one.get("coding") or ()
                 if c.get("system") == FOLLOW_UP_SYSTEM]  # fmt: skip
        timing = action.get("timingDuration") or {}
        unit, value = _HOURS.get(str(timing.get("code"))), timing.get("value")
        if not action.get("id") or any(one.id == action["id"] for one in made):
            problems.append((at, "Each action needs an id of its own: it names the Task."))
        if not action.get("title"):
            problems.append((f"{at}.title", "An action needs a title: it is what the Task says."))
        if len(codes) != 1:
            problems.append((f"{at}.code", f"An action needs one code of {FOLLOW_UP_SYSTEM}."))
        if unit is None or value is None or value <= 0:
            problems.append((f"{at}.timingDuration", "An action needs a timingDuration above 0 in h, d or wk."))
        elif not problems:
            text = str(action.get("description", ""))
            made.append(Action(action["id"], action["title"], text, str(codes[0]), int(value * unit)))
    if not made and not problems:
        problems.append(("PlanDefinition.action", "The checklist needs one action at least."))
    if problems:
        raise Unusable(problems)
    return tuple(made)


async def checklist(ctx: Context, change: Change) -> tuple[Action, ...]:
    """The actions in force; with the first use ours is stored, so that it can be read and changed."""
    found = await read.head(ctx.store, "PlanDefinition", ID, EVERYTHING)
    if found is None:
        change.writes.append(ctx.write(shipped(), ABSENT))
    elif not found.deleted and (stored := await ctx.resource(f"PlanDefinition/{ID}")) is not None:
        try:
            return actions_of(stored[0])
        except Unusable:  # written by an older release's rules: discharges are not held up by it
            pass
    return actions_of(shipped())


async def check_definition(step: Step) -> None:
    """422 for a change of the checklist by which it could not be used."""
    if step.new.get("id") != ID:
        return
    issues = [Issue("The checklist keeps its url.", "PlanDefinition.url")] if step.new.get("url") != URL else []
    try:
        actions_of(step.new)
    except Unusable as e:
        issues += [Issue(words, at, "business-rule") for at, words in e.problems]
    if issues:
        raise FhirError(Category.RULE, issues, reason="checklist")
