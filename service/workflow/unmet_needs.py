"""A need that stays unmet: written on the ServiceRequest when no service was found, taken away when a referral opens.

Extension enlace-unmet-need; reasons are the codes of no-service-reason. The facts for measures: referral_facts.unmet.
"""

from typing import Any

from fhir_profiles import Resource
from fhir_profiles.terminology import code_systems
from service.access.context import Context
from service.clock import instant
from service.store import tasks
from service.store.change import Change, Job
from service.workflow import derived
from service.workflow.referral_law import OPEN
from service.workflow.referrals import focus_of
from service.workflow.steps import Step

URL = "https://enlace.example.org/fhir/StructureDefinition/enlace-unmet-need"
REASONS = "https://enlace.example.org/fhir/CodeSystem/no-service-reason"
RULE = "referral-opened"
MET = "referral.need-met"


def reasons() -> tuple[str, ...]:
    return tuple(code_systems()[REASONS].parents)


def is_unmet(request: Resource) -> bool:
    return any(one.get("url") == URL for one in request.get("extension") or ())


def told(request: Resource, reason: str, searched: str, now_us: int) -> Resource:
    """The request with the need told anew."""
    parts: list[dict[str, Any]] = [
        {"url": "reason", "valueCodeableConcept": {"coding": [{"system": REASONS, "code": reason}]}},
        {"url": "at", "valueDateTime": instant(now_us)},
    ]
    parts += [{"url": "searched", "valueString": searched}] if searched else []
    return {**without(request), "extension": [*without(request).get("extension", ()), {"url": URL, "extension": parts}]}


def without(request: Resource) -> Resource:
    kept = [one for one in request.get("extension") or () if one.get("url") != URL]
    out = {name: value for name, value in request.items() if name != "extension"}
    return {**out, "extension": kept} if kept else out


async def task_opened(step: Step) -> None:
    """Step after a Task is created: its request, if the need was told to be unmet, is met by a job."""
    focus = focus_of(step.new, step.ctx)
    if not focus.startswith("ServiceRequest/") or step.new.get("status") not in OPEN:
        return
    request = await step.stored(focus)
    if request is not None and is_unmet(request):
        step.change.jobs.append(Job(MET, {"request": focus}, ordering_key=focus))


async def met(ctx: Context, payload: dict[str, Any]) -> Change:
    """The job: twice changes nothing; nor does one that comes late, where that referral has ended and the need was
    told anew."""
    change, reference = Change(), str(payload["request"])
    found = await ctx.resource(reference)
    if found is not None and is_unmet(found[0]) and await tasks.about(ctx.store, reference, OPEN):
        await derived.put(ctx, change, without(found[0]), found[1], RULE)
    return change
