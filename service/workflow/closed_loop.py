"""The closed-loop status of ECM and Community Supports referrals: set with each step of the Task, never left behind.

C.1 of facts/california.md: Referral Status in businessStatus, Reason for Loop Closure in statusReason, each coding with
its own date (extension enlace-status-date). A status that a client names must be the one that fits. A provider's
decline closes nothing: the plan looks for another. Sobering centers are exempt (B.5).
"""

from typing import Any

from fhir_profiles import Resource
from service.access.context import Context
from service.errors import Category, FhirError, Issue
from service.search.dates import parse
from service.workflow.alert_text import date_time
from service.workflow.calaim_catalogue import CODE_SYSTEMS
from service.workflow.calaim_tasks import (
    OUTCOMES,
    codes,
    is_output_of_authorization,
    is_plan_task,
    service_of_task,
    with_coding,
)
from service.workflow.steps import Step

STATUS, REASON = f"{CODE_SYSTEMS}clr-referral-status", f"{CODE_SYSTEMS}clr-closure-reason"
DATE_URL = "https://enlace.example.org/fhir/StructureDefinition/enlace-status-date"
CLOSED, RECEIVED, OTHER = "referral-loop-closed", "services-received", "other"
UNCHANGED = ("draft", "entered-in-error")
PROVIDER: dict[str, tuple[str, ...]] = {
    "requested": ("pending",),
    "accepted": ("accepted", "outreach-initiated"),
    "in-progress": ("outreach-initiated",),
    "on-hold": ("accepted", "outreach-initiated"),
    "rejected": ("declined",),
    "completed": (CLOSED,),
    "cancelled": (CLOSED,),
    "failed": (CLOSED,),
}
"""Task.status -> closed-loop statuses that fit; the first is set where none of them stands."""
OPEN = ("pending", "accepted", "declined", "outreach-initiated")
PLAN: dict[str, tuple[str, ...]] = {
    **dict.fromkeys(("requested", "accepted", "in-progress", "on-hold"), ("", *OPEN)),
    "rejected": ("",),
    **dict.fromkeys(("completed", "cancelled", "failed"), (CLOSED,)),
}
"""As PROVIDER, of the plan's own Task: while it is open it shows what its provider's Task says, or nothing."""
_WITHOUT = (OTHER, "unable-to-reach", "not-eligible", "not-appropriate", "no-longer-wanted", "provider-declined")
WHY: dict[str, tuple[str, ...]] = {"completed": (RECEIVED,), **dict.fromkeys(("cancelled", "failed"), _WITHOUT)}
"""Task.status -> reasons for the closure that fit, as PROVIDER."""
DISPLAYS = {
    "pending": "Pending",
    "accepted": "Accepted",
    "declined": "Declined",
    "outreach-initiated": "Outreach Initiated",
    CLOSED: "Referral Loop Closed",
    RECEIVED: "Services Received",
    OTHER: "Other",
}


async def completed(step: Step) -> None:
    """Before a write of a Task: status and reason of the closed loop, their dates; 422 where a client's do not fit."""
    service = await service_of_task(step.ctx, step.new, step.stored)
    if service is None or not service.closed_loop or step.new.get("status") in UNCHANGED:
        return
    plan = await is_plan_task(step.ctx, step.new, step.stored)
    old, new = step.old or {}, dict(step.new)
    status, issues = str(new.get("status")), list[Issue]()
    _set(step, new, "businessStatus", STATUS, (PLAN if plan else PROVIDER).get(status, ("",)), issues)
    _set(step, new, "statusReason", REASON, WHY.get(status, ("",)), issues)
    for element, system in (("businessStatus", STATUS), ("businessStatus", OUTCOMES), ("statusReason", REASON)):
        _date(step.ctx, old, new, element, system, issues)
    if status == "completed" and old.get("status") != status and all(map(_granted, new.get("output") or [{}])):
        text = "A completed referral says what was done: the authorization is no such output. Add the Procedure."
        issues.append(Issue(text, "Task.output", "required"))
    if issues and not step.ctx.restriction.unrestricted:
        raise FhirError(Category.RULE, issues, reason="closed-loop")
    step.new = new


def _granted(output: dict[str, Any]) -> bool:
    return bool(output) and is_output_of_authorization(output)


def _set(step: Step, new: Resource, element: str, system: str, fitting: tuple[str, ...], issues: list[Issue]) -> None:
    """The code that stands, where it fits; else the first that does. A new one of the client's that does not: 422."""
    was, given = codes((step.old or {}).get(element), system), codes(new.get(element), system)
    wanted = (
        given[0] if len(given) == 1 and given[0] in fitting else was[0] if was and was[0] in fitting else fitting[0]
    )
    fresh = [one for one in given if one not in was] or (given if len(given) > 1 else [])
    if fresh and (len(given) > 1 or given[0] not in fitting):
        issues.append(_unfit(element, system, str(new.get("status")), fitting, len(given)))
    if given == ([wanted] if wanted else []):
        return
    if wanted:
        new[element] = _with_text(with_coding(new.get(element), system, wanted, DISPLAYS.get(wanted, "")), element)
    else:
        new[element] = _without(new[element], system)
        if not new[element]:
            del new[element]


def _unfit(element: str, system: str, status: str, fitting: tuple[str, ...], given: int) -> Issue:
    name = system.rpartition("/")[2]
    allowed = ", ".join(one for one in fitting if one)
    if given > 1:
        text = f"{element} bears one code of {name}."
    elif not allowed:
        text = f"A referral that is {status} has no {name} yet: leave it out."
    else:
        text = f"A referral that is {status} has the {name} {allowed}: give that, or leave it out and it is set."
    return Issue(text, f"Task.{element}", "business-rule")


def _with_text(concept: Resource, element: str) -> Resource:
    """statusReason.text is required by its profile."""
    if element == "businessStatus" or concept.get("text"):
        return concept
    return {**concept, "text": concept["coding"][-1].get("display") or concept["coding"][-1]["code"]}


def _without(concept: Resource, system: str) -> Resource:
    kept = [c for c in concept.get("coding") or () if c.get("system") != system]
    rest = {name: value for name, value in concept.items() if name != "coding"}
    return {**rest, "coding": kept} if kept else rest


# --- dates -----------------------------------------------------------------------------------------------------------


def date_of(task: Resource, element: str, system: str) -> str:
    """When the coding of this system in businessStatus or statusReason became so; "" where none stands."""
    coding = _coding(task, element, system)
    return _date_in(coding) if coding else ""


def _coding(task: Resource, element: str, system: str) -> dict[str, Any] | None:
    codings = (task.get(element) or {}).get("coding") or ()
    return next((c for c in codings if c.get("system") == system), None)


def _date_in(coding: dict[str, Any]) -> str:
    return next(
        (str(e.get("valueDateTime", "")) for e in coding.get("extension") or () if e.get("url") == DATE_URL), ""
    )


def _date(ctx: Context, old: Resource, new: Resource, element: str, system: str, issues: list[Issue]) -> None:
    """The client's date where it names a new one, that of the old version while the code stays, else now."""
    coding, former = _coding(new, element, system), _coding(old, element, system)
    if coding is None:
        return
    given, was = _date_in(coding), _date_in(former) if former else ""
    same = former is not None and former.get("code") == coding.get("code")
    if given and given != was:
        issues += _date_issues(ctx, new, element, given)
        date = given
    else:
        date = was if same and was else date_time(ctx.now_us)
    kept = [e for e in coding.get("extension") or () if e.get("url") != DATE_URL]
    dated = {**coding, "extension": [*kept, {"url": DATE_URL, "valueDateTime": date}]}
    new[element] = {**new[element], "coding": [dated if c is coding else c for c in new[element]["coding"]]}


def _date_issues(ctx: Context, task: Resource, element: str, given: str) -> list[Issue]:
    try:
        low, high = parse(given)
        first = parse(str(task.get("authoredOn", "")))[0]
    except ValueError:
        return []  # its form is judged with the rest of the resource
    if low > ctx.now_us:
        return [Issue("The date of a status is not in the future: give when it became so.", f"Task.{element}", "value")]
    if high <= first:
        text = "The date of a status is not before the referral (Task.authoredOn): give when it became so."
        return [Issue(text, f"Task.{element}", "value")]
    return []
