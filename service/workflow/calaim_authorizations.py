"""The plan's decision on its Task: who may write it, what it must say, and what follows from it, on every path.

facts/california.md B.1, B.8. It stands in the Task itself: outcome in businessStatus, number and period in extension
enlace-authorization, how much in output. `Task/$authorize` writes it in one call; a PUT is held to the same.
"""

from dataclasses import replace
from typing import Any

from fhir_profiles import Resource
from service.access.context import Context
from service.errors import Category, FhirError, Issue
from service.search.dates import MAX_US, MIN_US
from service.search.references import normal_reference
from service.store import epochs, service_use
from service.store.change import Job
from service.workflow import calaim_clocks
from service.workflow.calaim_caps import Inexact, Standing, Use, needs_quantity, shown, standing, units_of
from service.workflow.calaim_catalogue import ECM, Service
from service.workflow.calaim_tasks import (
    APPROVED,
    AUTHORIZATION_URL,
    CLOSED,
    DECIDED,
    OUTCOMES,
    STREAMLINED,
    Authorization,
    authorization_of,
    is_plan_task,
    named,
    outcome_of,
    service_of_task,
)
from service.workflow.parties import acts_for
from service.workflow.steps import Step

ENDED_BY = {"denied": ("rejected", "cancelled"), "withdrawn": ("cancelled",)}
WITH_REASON = ("approved-modified", "denied", "pended", "withdrawn")
NOTHING = Authorization()
_PLAN_ONLY = "Only the plan that this Task was sent to authorizes: it stands on the Task that the plan owns."


async def check(step: Step) -> None:
    """Before a write of a Task: an authorization is the plan's, complete, and within the caps of the service."""
    old = step.old or {}
    was = authorization_of(old)
    step.new = _kept(old, step.new)
    now = authorization_of(step.new)
    if now == was:
        return
    service = await service_of_task(step.ctx, step.new, step.stored)
    if service is None:
        return
    if not await is_plan_task(step.ctx, {**step.new, "businessStatus": old.get("businessStatus")}):
        raise FhirError(Category.RULE, [Issue(_PLAN_ONLY, "Task.owner", "business-rule")], reason="authorization")
    if now.outcome in STREAMLINED:
        issues = await _streamlined(step, service, was)
    else:
        if not step.ctx.restriction.unrestricted and not await acts_for(step.ctx, named(step.ctx, step.new, "owner")):
            raise FhirError(Category.FORBIDDEN, [Issue(_PLAN_ONLY, "Task.businessStatus", "forbidden")], reason="party")
        issues = _issues(service, step.new, was, now)
        issues = issues or await _over(step, service, now)
    if issues:
        raise FhirError(Category.RULE, issues, reason="authorization")


def _kept(old: Resource, new: Resource) -> Resource:
    """Who writes a Task without the plan's decision does not take it back: it stays."""
    extensions = [e for e in old.get("extension") or () if e.get("url") == AUTHORIZATION_URL]
    if extensions and not any(e.get("url") == AUTHORIZATION_URL for e in new.get("extension") or ()):
        new = {**new, "extension": [*(new.get("extension") or ()), *extensions]}
    codings = [c for c in (old.get("businessStatus") or {}).get("coding") or () if c.get("system") == OUTCOMES]
    if codings and not outcome_of(new):
        concept = new.get("businessStatus") or {}
        new = {**new, "businessStatus": {**concept, "coding": [*codings, *(concept.get("coding") or ())]}}
    return new


def _issue(text: str, element: str, code: str = "business-rule") -> Issue:
    return Issue(text, f"Task.{element}", code)


def _issues(service: Service, task: Resource, was: Authorization, now: Authorization) -> list[Issue]:
    status, found = str(task.get("status")), list[Issue]()
    if not now.outcome:
        return [
            _issue("An authorization has an outcome: a code of authorization-outcome.", "businessStatus", "required")
        ]
    if now.outcome not in DECIDED and now.outcome != "pended":
        return [_issue("The outcome is approved, approved-modified, denied, pended or withdrawn.", "businessStatus")]
    if was.outcome in APPROVED and now.outcome not in APPROVED:
        text = f"This was approved: cancel the Task with its reason, or authorize it anew; it cannot be {now.outcome}."
        found.append(_issue(text, "businessStatus"))
    if now.outcome in WITH_REASON and not str((task.get("statusReason") or {}).get("text") or "").strip():
        found.append(_issue(f"Say why: statusReason.text is required when {now.outcome}.", "statusReason", "required"))
    if now.outcome in ENDED_BY and status not in ENDED_BY[now.outcome]:
        text = f"A Task that is {now.outcome} is {' or '.join(ENDED_BY[now.outcome])}, not {status}."
        found.append(_issue(text, "status"))
    if now.outcome in (*APPROVED, "pended") and status in CLOSED:
        found.append(_issue(f"A Task that is {status} is not {now.outcome} any more.", "status"))
    if now.outcome == "pended" and status == "draft":
        found.append(_issue("A Task that is draft was not sent yet: it is pended once it is requested.", "status"))
    return found + (_approval(service, status, now) if now.outcome in APPROVED else [])


_IN_EXTENSION = "parameter {} of $authorize (in the Task: extension enlace-authorization)"
_COUNTED = {"minutes": ("hours", "20 h"), "cents": ("dollars", "1500 USD")}
"""Unit of a cap -> (its name for people, an example)"""


def _approval(service: Service, status: str, now: Authorization) -> list[Issue]:
    found = []
    if status in ("draft", "requested"):
        found.append(_issue("What is approved is accepted: set status accepted with it.", "status"))
    if not now.number:
        text = f"An approval has a number: {_IN_EXTENSION.format('number')}."
        found.append(_issue(text, "extension", "required"))
    if now.start_us == MIN_US or now.end_us == MAX_US or now.start_us >= now.end_us:
        text = f"An approval has a period with its first and its last day: {_IN_EXTENSION.format('period')}."
        found.append(_issue(text, "extension", "required"))
    unit = needs_quantity(service.caps)
    if unit:
        try:
            if now.quantity is None:
                raise Inexact("say how much")
            units_of(now.quantity, now.unit, unit)
        except Inexact as error:
            of, such = _COUNTED[unit]
            text = f"{service.title} has a cap in {of}: {error}: parameter quantity, such as {such}, of $authorize "
            text += "(in the Task: output authorized-quantity)."
            found.append(_issue(text, "output", "required"))
    return found


# --- caps ------------------------------------------------------------------------------------------------------------


async def _over(step: Step, service: Service, now: Authorization) -> list[Issue]:
    """What a hard cap refuses. The Change relies on the member's epoch: of two that would exceed it one commits."""
    if now.outcome not in APPROVED:
        return []
    ctx, patient = step.ctx, named(step.ctx, step.new, "for")
    key = service_use.epoch_key(ctx.store, patient)
    step.change.epochs[key] = await epochs.epoch(ctx.store, key)
    step.change.bump_epochs.add(key)
    asked = use_of(step.new, service, now)
    stored = {one.task: one for one in await uses_of(ctx, patient)}
    uses = list((stored | {one.task: one for one in await _pending(ctx, patient)}).values())
    found = [standing(cap, uses, asked) for cap in service.caps]
    refused = [s for s in found if s.over and s.cap.hard and not (s.cap.exception and now.exception)]
    return [_issue(_sentence(one), "output") for one in refused]


async def _pending(ctx: Context, patient: str) -> list[Use]:
    """What other entries of the same transaction authorize for the member, or no longer do."""
    found = []
    for reference, one in ctx.pending.items():
        task = one.resource
        if not reference.startswith("Task/") or task is None or named(ctx, task, "for") != patient:
            continue
        now, service = authorization_of(task), await service_of_task(ctx, task)
        if service is None or now.outcome not in APPROVED or _approval(service, str(task.get("status")), now):
            continue
        state = "released" if task.get("status") in CLOSED and task.get("status") != "completed" else "authorized"
        found.append(replace(use_of(task, service, now), state=state))
    return found


def _sentence(one: Standing) -> str:
    unit = one.cap.unit
    text = f"{one.cap.text} {shown(one.used, unit)} are authorized already, {shown(one.left, unit)} are left, "
    text += f"{shown(one.asked, unit)} are asked: authorize no more than is left"
    return text + (", or say why an exception is made (exception)." if one.cap.exception else ".")


async def uses_of(ctx: Context, patient: str) -> list[Use]:
    return [Use(*row) for row in await service_use.of_patient(ctx.store, patient)]


def use_of(task: Resource, service: Service, now: Authorization) -> Use:
    unit = needs_quantity(service.caps)
    units = units_of(now.quantity, now.unit, unit) if unit and now.quantity is not None else 0
    return Use(str(task["id"]), service.code, units, now.start_us, now.end_us)


# --- streamlined -----------------------------------------------------------------------------------------------------


async def _streamlined(step: Step, service: Service, was: Authorization) -> list[Issue]:
    """The provider began before the decision: at the opening only, by the requester, within its 30 days, no renewal."""
    ctx, task = step.ctx, step.new
    if ctx.restriction.unrestricted:
        return []
    outcome = outcome_of(task)
    if outcome != "streamlined-active" or (step.old or {}).get("status", "draft") != "draft" or was != NOTHING:
        return [
            _issue("A streamlined authorization begins with the referral: open the Task with it.", "businessStatus")
        ]
    found = []
    if not service.streamlined:
        found.append(_issue(f"{service.title} has no streamlined authorization: ECM has.", "businessStatus"))
    first, _, end = calaim_clocks.window(task)
    if first == MIN_US or first > ctx.now_us:
        text = "Say when the first service was: executionPeriod.start, not in the future."
        found.append(_issue(text, "executionPeriod", "required"))
    elif end < ctx.now_us:
        found.append(_issue("The 30 days since the first service are over: ask for a decision.", "executionPeriod"))
    earlier = [one for one in await uses_of(ctx, named(ctx, task, "for")) if one.service == ECM]
    if any(one.state != "released" for one in earlier):
        text = "Only an initial authorization is streamlined, and there was one: ask for a decision."
        found.append(_issue(text, "businessStatus"))
    return found


# --- what follows ----------------------------------------------------------------------------------------------------


async def followed(step: Step) -> None:
    """After a write of a Task: clocks, what is used of caps, facts for measures, and the work of a decline."""
    service = await service_of_task(step.ctx, step.new, step.stored)
    if service is None:
        return
    ctx, change, old, new = step.ctx, step.change, step.old or {}, step.new
    if not await is_plan_task(ctx, new, step.stored):
        _provider_task(step)
        return
    was, now = authorization_of(old), authorization_of(new)
    calaim_clocks.moved(ctx, change, old, new, was, now, service.code)
    if now.outcome and now != was:
        await _told(step, service, now)
    if now.outcome in APPROVED and was.outcome not in APPROVED:
        await _approved(step)
    status = str(new.get("status"))
    if status in CLOSED and old.get("status") != status and now.outcome in (*APPROVED, *ENDED_BY):
        change.statements.append(service_use.moved(str(new["id"]), "used" if status == "completed" else "released"))
        change.bump_epochs.add(service_use.epoch_key(ctx.store, named(ctx, new, "for")))


async def _approved(step: Step) -> None:
    from service.workflow import calaim_forwarding  # it stands beside this file in steps.py

    await calaim_forwarding.approved(step)


async def _told(step: Step, service: Service, now: Authorization) -> None:
    from service.workflow import referral_facts  # it stands beside this file in steps.py

    ctx, change, new = step.ctx, step.change, step.new
    await referral_facts.authorized(ctx, change, new, now.outcome)
    if now.outcome in APPROVED:
        one = use_of(new, service, now)
        patient = named(ctx, new, "for")
        row = (one.task, patient, one.service, one.units, one.start_us, one.end_us)
        change.statements.append(service_use.authorized(*row))


def _provider_task(step: Step) -> None:
    old, new = step.old or {}, step.new
    if step.interaction == "create":
        for parent in _parents(step.ctx, new):
            calaim_clocks.handed_off(step.ctx, step.change, parent)
    declined = new.get("status") == "rejected" and old.get("status") != "rejected"
    asked = new.get("status") not in CLOSED and old.get("status", "draft") == "draft"
    if declined or asked:
        key = f"reroute/{named(step.ctx, new, 'focus')}"
        step.change.jobs.append(Job("calaim.reroute", {"task": f"Task/{new['id']}"}, ordering_key=key))


def _parents(ctx: Context, task: Resource) -> list[str]:
    found: list[Any] = [one.get("reference", "") for one in task.get("partOf") or () if isinstance(one, dict)]
    named_ = [normal_reference(str(one), ctx.settings.base_url) or "" for one in found]
    return [one for one in named_ if one.startswith("Task/")]
