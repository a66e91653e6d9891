"""When a referral ends, what came of it goes into the activity of the care plan that planned it: one version, once.

Procedures and other outputs become outcomes (activity.outcomeReference, outcomeCodeableConcept), the end itself a note
(activity.progress). Source: facts/closed-loop.md 3.3; the rule is named in the audit row, and so in Provenance.
"""

from typing import Any

from fhir_profiles import Resource
from service.access.context import Context, parse
from service.search.references import normal_reference
from service.store import care_plan_activities
from service.store.change import Change, Job
from service.workflow import derived
from service.workflow.alert_text import date_time
from service.workflow.parties import reference_of
from service.workflow.referral_clocks import is_referral
from service.workflow.steps import Step

RULE = "referral-outcome"
ENDED = {
    "completed": "The referral was completed.",
    "rejected": "The referral was declined.",
    "cancelled": "The referral was cancelled.",
    "failed": "The referral failed.",
}
"""Status of the Task -> the note. entered-in-error came of nothing."""
OPEN_PLANS = frozenset({"draft", "active", "on-hold"})
NOT_OUTCOMES = ("Communication/", "DocumentReference/", "Task/")
"""Outputs that say how it was done, not what came of it: the record of a hand-off, a notice of action."""


async def moved(step: Step) -> None:
    """After a write of a Task: a job where a referral has ended."""
    old, new = step.old or {}, step.new
    status = new.get("status")
    if status in ENDED and status != old.get("status") and is_referral(new, step.ctx.settings.base_url):
        step.change.jobs.append(Job("referral.outcome", {"task": f"Task/{new['id']}"}))


async def outcome(ctx: Context, payload: dict[str, Any]) -> Change:
    """Job referral.outcome {"task"}. A plan that has it already stays as it is; one that is over too."""
    reference, change = str(payload["task"]), Change()
    head = await ctx.head(reference)
    task = parse(head.body) if head is not None else {}
    if head is None or task.get("status") not in ENDED:
        return change
    change.relied[reference] = head.version
    base_url = ctx.settings.base_url
    planned = [reference, normal_reference(reference_of(task, "focus"), base_url) or ""]
    for name in await care_plan_activities.planning(ctx.store, planned):
        plan, stored = await ctx.resource(name), await ctx.head(name)
        if plan is None or stored is None or plan[0].get("status") not in OPEN_PLANS:
            continue
        if _subject(plan[0], base_url) != normal_reference(reference_of(task, "for"), base_url):
            continue
        # What bears a label that the plan does not bear is named in it, and told nowhere else.
        told = _noted(plan[0], task, planned, base_url, now_us=ctx.now_us, words=not head.labels & ~stored.labels)
        if told != plan[0]:
            await derived.put(ctx, change, told, plan[1], RULE)
    return change


def _subject(plan: Resource, base_url: str) -> str | None:
    return normal_reference(reference_of(plan, "subject"), base_url)


def _noted(plan: Resource, task: Resource, planned: list[str], base_url: str, *, now_us: int, words: bool) -> Resource:
    """The plan with the outcome in the activities that plan the Task itself, else the request."""
    activities = [dict(one) for one in plan.get("activity") or ()]
    for wanted in planned:
        matching = [a for a in activities if normal_reference(reference_of(a, "reference"), base_url) == wanted]
        for activity in matching:
            _add(activity, task, now_us, words)
        if matching:
            break
    return {**plan, "activity": activities}


def _add(activity: dict[str, Any], task: Resource, now_us: int, words: bool) -> None:
    """words: also what the Task says, and whose it was; else references alone, as far as each reader may follow."""
    note = _note(task, words)
    if any(one.get("text") == note for one in activity.get("progress") or ()):
        return
    progress: dict[str, Any] = {"time": date_time(now_us), "text": note}
    if words and reference_of(task, "owner").startswith(("Organization/", "Practitioner/")):
        progress["authorReference"] = {"reference": reference_of(task, "owner")}
    activity["progress"] = [*(activity.get("progress") or ()), progress]
    outputs = task.get("output") or ()
    known = {str(one.get("reference")) for one in activity.get("outcomeReference") or ()}
    made = [o["valueReference"] for o in outputs if o.get("valueReference", {}).get("reference")]
    new = [one for one in made if one["reference"] not in known and not one["reference"].startswith(NOT_OUTCOMES)]
    if new:
        bare = [dict(one) if words else {"reference": one["reference"]} for one in new]
        activity["outcomeReference"] = [*(activity.get("outcomeReference") or ()), *bare]
    concepts = [o["valueCodeableConcept"] for o in outputs if words and o.get("valueCodeableConcept")]
    coded = [one for one in concepts if one not in (activity.get("outcomeCodeableConcept") or ())]
    if coded:
        activity["outcomeCodeableConcept"] = [*(activity.get("outcomeCodeableConcept") or ()), *coded]


def _note(task: Resource, words: bool) -> str:
    """With the Task's name, so that the same end is noted once, whenever the job runs."""
    reason = str((task.get("statusReason") or {}).get("text") or "").strip() if words else ""
    end = ENDED[str(task["status"])]
    return f"{end} {reason} (Task/{task['id']})" if reason else f"{end} (Task/{task['id']})"
