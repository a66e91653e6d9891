"""Work items about referrals, and promised follow-ups: did the member apply, use the service, and what if not.

A Task with code referral-follow-up has its clock from restriction.period.end; it is completed with the answers.
Sources: facts/california.md A.8 (R90, R93), C.4 (follow-up promise).
"""

from dataclasses import replace
from typing import Any

from fhir_profiles import Resource
from service.access.context import Context
from service.access.labels import stamped
from service.clock import instant
from service.errors import Category, FhirError, Issue
from service.search.dates import parse
from service.search.references import normal_reference
from service.search.values import patient_of
from service.store import read
from service.store.change import ABSENT, Change, Job
from service.workflow import timers
from service.workflow.alert_text import date_time
from service.workflow.parties import reference_of
from service.workflow.referral_clocks import CLOSED
from service.workflow.stay_identity import derived_id
from service.workflow.steps import Step
from service.workflow.timer_kinds import kinds

SYSTEM = "https://enlace.example.org/fhir/CodeSystem/follow-up"
ANSWERS = "https://enlace.example.org/fhir/CodeSystem/follow-up-answer"
OUR_IDS = "fp-"
"""Promised follow-ups that the service wrote; a client may write its own."""
CHASE, PROMISED = "chase-referral", "referral-follow-up"
TEXTS = {CHASE: "Look after a referral that is overdue", PROMISED: "Ask whether the service was used"}
APPLIED, USED, NEXT_STEP, NEXT_DAY = "applied", "used-service", "next-step", "next-follow-up"
KIND = "referral-follow-up"


def item(
    ctx: Context,
    referral: Resource,
    fhir_id: str,
    code: str,
    *,
    owner: str,
    description: str,
    priority: str = "routine",
) -> Resource:
    """A Task about a referral. owner: who asked for the referral, and so for this."""
    return {
        "resourceType": "Task",
        "id": fhir_id,
        "status": "requested",
        "intent": "order",
        "priority": priority,
        "code": {"coding": [{"system": SYSTEM, "code": code}], "text": TEXTS[code]},
        "description": description,
        "focus": {"reference": f"Task/{referral['id']}"},
        "for": dict(referral["for"]),
        "authoredOn": date_time(ctx.now_us),
        "lastModified": instant(ctx.now_us),
        "requester": {"reference": owner},
        "owner": {"reference": owner},
    }


async def put(ctx: Context, change: Change, task: Resource, version: int, labels: int, rule: str) -> None:
    """Adds a work item, or its new version, to the Change. It gives nobody the member: who answers has it already, and
    a Task that lies open would outlive the assignment.
    """
    reference = f"Task/{task['id']}"
    found = await ctx.head(reference) if version != ABSENT else None
    author = await read.source_org(ctx.store, found.key) if found is not None else None
    write = ctx.write(stamped(task, labels), version, source_org=author)
    change.writes.append(replace(write, panel=()))
    patient = patient_of(task, "Task", ctx.settings.base_url)
    action = "C" if version == ABSENT else "U"
    change.audit.append(ctx.audit(action, "derived", reference, (patient,) if patient else (), reason=rule))


async def promise(
    ctx: Context, change: Change, referral: Resource, day: str, labels: int, rule: str, *, cause: str, note: str = ""
) -> str:
    """Adds a promised follow-up at its requester, with its clock; its reference. Once for a cause. day: a date."""
    fhir_id = OUR_IDS + derived_id(PROMISED, f"Task/{referral['id']}", cause)
    reference = f"Task/{fhir_id}"
    if await ctx.resource(reference) is not None:
        return reference
    text = "Ask the member and the organization: did the member apply, was the service used? If not, say what is next."
    owner = reference_of(referral, "requester")
    task = item(ctx, referral, fhir_id, PROMISED, owner=owner, description=f"{text} {note}".strip())
    task["restriction"] = {"period": {"end": day}}
    await put(ctx, change, task, ABSENT, labels, rule)
    _clock(ctx, change, task, {})
    return reference


def is_promise(task: Resource) -> bool:
    codings = (task.get("code") or {}).get("coding") or ()
    return any(c.get("system") == SYSTEM and c.get("code") == PROMISED for c in codings)


def due_of(task: Resource) -> int | None:
    """0 and None are no clock: it is closed, or has no day."""
    end = ((task.get("restriction") or {}).get("period") or {}).get("end")
    if task.get("status") in CLOSED or not is_promise(task) or not isinstance(end, str):
        return None
    try:
        return parse(end)[1]
    except ValueError:
        return None


def answers(task: Resource) -> dict[str, Any]:
    """code of follow-up-answer -> value of the output."""
    found: dict[str, Any] = {}
    for output in task.get("output") or ():
        value = next((v for name, v in output.items() if name.startswith("value")), None)
        for coding in (output.get("type") or {}).get("coding") or ():
            if coding.get("system") == ANSWERS:
                found[str(coding.get("code"))] = value
    return found


async def check_answers(step: Step) -> None:
    """Before an update of a Task: a promised follow-up is completed with what was found."""
    old, new = step.old or {}, step.new
    if not is_promise(new) or new.get("status") != "completed" or old.get("status") == "completed":
        return
    if step.ctx.restriction.unrestricted:
        return
    said, issues = answers(new), []
    for code, what in ((APPLIED, "whether the member applied"), (USED, "whether the member used the service")):
        if not isinstance(said.get(code), bool):
            text = f"A promised follow-up says {what}: add an output of type {code} with a valueBoolean."
            issues.append(Issue(text, "Task.output", "required"))
    if not issues and not (said[APPLIED] and said[USED]) and not (said.get(NEXT_STEP) or said.get(NEXT_DAY)):
        text = f"The service was not used: say what is done now, by an output of type {NEXT_STEP} or {NEXT_DAY}."
        issues.append(Issue(text, "Task.output", "required"))
    if issues:
        raise FhirError(Category.RULE, issues, reason="follow-up")


async def changed(step: Step) -> None:
    """After a write of a Task: the clock of a promise, and the next follow-up where one was set."""
    old, new = step.old or {}, step.new
    if not is_promise(new):
        return
    _clock(step.ctx, step.change, new, old)
    if new.get("status") == "completed" != old.get("status") and isinstance(answers(new).get(NEXT_DAY), str):
        reference = f"Task/{new['id']}"
        again = f"referral.follow-up/{reference}"
        step.change.jobs.append(Job("referral.follow-up", {"task": reference}, dedupe=again))


def _clock(ctx: Context, change: Change, task: Resource, old: Resource) -> None:
    """timers.observed ends it with the Task."""
    due, reference = due_of(task), f"Task/{task['id']}"
    if due == due_of(old) or task.get("status") in CLOSED or KIND not in kinds():
        return
    if due_of(old) is not None:
        timers.cancelled(ctx, change, KIND, reference)
    if due is None:  # the day was taken out
        return
    patient = normal_reference(reference_of(task, "for"), ctx.settings.base_url) or ""
    timers.start(ctx, change, KIND, reference, patient, ctx.now_us, cause=f"{reference}|{due}", until_us=due)


async def follow_up(ctx: Context, payload: dict[str, Any]) -> Change:
    """Job referral.follow-up {"task": a promised follow-up that was completed with the day of the next one}."""
    reference, change = str(payload["task"]), Change()
    found, head = await ctx.resource(reference), await ctx.head(reference)
    if found is None or head is None or found[0].get("status") != "completed":
        return change
    day = answers(found[0]).get(NEXT_DAY)
    referral = await ctx.resource(normal_reference(reference_of(found[0], "focus"), ctx.settings.base_url) or "")
    if referral is None or not isinstance(day, str):
        return change
    change.relied[reference] = found[1]
    await promise(ctx, change, referral[0], day, head.labels, PROMISED, cause=f"after {reference}")
    return change
