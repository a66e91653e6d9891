"""What a referral's ServiceRequest and its Tasks make of each other: by jobs, with derived.put, each naming its rule.

Source: ../shared/facts/closed-loop.md 1.3 (status coupling, cascade); ../shared/decisions.md 22. After-hooks add jobs;
a job decides from what stands then, so that the same job twice, late or after another changes nothing more.
"""

from typing import Any

from fhir_profiles import Resource
from service.access.context import Context, parse
from service.clock import instant
from service.notify.contact import OVER, PROHIBITED, SDOHCC_CODES, prohibits
from service.store import epochs, tasks
from service.store.change import Change, Job
from service.workflow.derived import put
from service.workflow.parties import organization_of, reference_of
from service.workflow.referral_law import (
    COUPLED,
    FILLER,
    GAVE_UP,
    HELD_BY,
    OPEN,
    PARENT_CANCELLED,
    REASONS,
    RULE,
    Coupled,
    ruled,
)
from service.workflow.referrals import focus_of, is_referral
from service.workflow.steps import Step

AT_ONCE = 100
"""Versions that one job writes; it goes on in the next one. A job that took longer than its lease would never end."""

# --- after a write: what is to be looked at ------------------------------------------------------------------------


async def task_moved(step: Step) -> None:
    """A referral that ended may settle its request; one that was taken back takes its children along."""
    old, new = step.old or {}, step.new
    status = str(new.get("status"))
    if not is_referral(new, step.ctx) or old.get("status") in (None, status):
        return
    if status in (*GAVE_UP, "completed"):
        request = focus_of(new, step.ctx)
        if await _may_have_rule(step, request):
            step.change.jobs.append(Job("referral.rule", {"request": request}, ordering_key=request))
    if status in ("cancelled", "entered-in-error"):
        task = f"Task/{new['id']}"
        step.change.jobs.append(Job("referral.cascade", {"task": task}, ordering_key=task))


async def _may_have_rule(step: Step, request: str) -> bool:
    """Most organizations stored none, and a job for them would find nothing to do."""
    asks = reference_of(await step.stored(request) or {}, "requester")
    return not asks.startswith("Organization/") or bool(stored_rules(await step.stored(asks)))


async def request_moved(step: Step) -> None:
    """What its requester makes of a ServiceRequest holds for its open Tasks, and for the requests that serve it."""
    old, new = step.old or {}, step.new
    moved = old.get("status") != new.get("status") and new.get("status") in FILLER
    if not moved and (not old or prohibits(old) or not prohibits(new)):
        return
    request = f"ServiceRequest/{new['id']}"
    step.change.jobs.append(Job("referral.coupled", {"request": request}, ordering_key=request))


def fold_job(task: Resource) -> Job:
    reference = f"Task/{task['id']}"
    return Job("referral.fold", {"task": reference}, ordering_key=reference)


# --- jobs ----------------------------------------------------------------------------------------------------------


async def coupled(ctx: Context, payload: dict[str, Any]) -> Change:
    """Job referral.coupled {"request"}: open Tasks and filler requests as the ServiceRequest's status says."""
    reference, change = str(payload["request"]), Change()
    found = await ctx.resource(reference)
    if found is None:
        return change
    request, version = found
    change.relied[reference] = version
    status = str(request.get("status"))
    for task_version, body in await tasks.focused(ctx.store, reference):
        if len(change.writes) >= AT_ONCE:
            change.jobs.append(Job("referral.coupled", dict(payload), ordering_key=reference))
            return change
        task = parse(body)
        moved = coupled_task(status, task, ctx.now_us)
        if moved is not None:
            await put(ctx, change, moved, task_version, _code(moved))
    for filler_version, body in await tasks.serving(ctx.store, reference):
        if len(change.writes) >= AT_ONCE:
            change.jobs.append(Job("referral.coupled", dict(payload), ordering_key=reference))
            return change
        filler = parse(body)
        served = filler_of(status, filler, reference)
        if served is not None and status == "completed":
            served = None if await _open(ctx, change, f"ServiceRequest/{filler['id']}") else served
        asked = contact_prohibited(request, served or filler)
        if served or asked:
            await put(ctx, change, asked or served or filler, filler_version, "filler-follows")
    return change


def coupled_task(request: str, task: Resource, now_us: int) -> Resource | None:
    """The Task as a ServiceRequest of this status makes it; None where nothing changes. Pure."""
    row = next((one for one in COUPLED if one.request == request and task.get("status") in one.olds), None)
    if row is None or (not row.new and _code(task) != "request-on-hold"):
        return None
    return _with(task, row, now_us)


def _with(task: Resource, row: Coupled, now_us: int) -> Resource:
    reason = {"coding": [{"system": REASONS, "code": row.code}], "text": row.text}
    return {**task, "status": row.new or task["status"], "statusReason": reason, "lastModified": instant(now_us)}


def _code(task: Resource) -> str:
    codings = (task.get("statusReason") or {}).get("coding") or ()
    return next((str(one.get("code")) for one in codings if one.get("system") == REASONS), "")


def contact_prohibited(request: Resource, filler: Resource) -> Resource | None:
    """The request that serves another, once that one says that the member must not be contacted: whoever fulfils it
    reads the copy. None where it says so already. What is taken back in the source stays in the copy. Pure."""
    if not prohibits(request) or filler.get("status") in OVER or prohibits(filler):
        return None
    coding = {"system": SDOHCC_CODES, "code": PROHIBITED}
    return {**filler, "orderDetail": [*(filler.get("orderDetail") or ()), {"coding": [coding]}]}


def filler_of(status: str, filler: Resource, source: str) -> Resource | None:
    """A request that is basedOn another, as that one's new status makes it; None where nothing changes. Pure.

    What its own requester put on hold stays on hold.
    """
    new = FILLER.get(status, {}).get(str(filler.get("status")))
    rest = [one for one in filler.get("extension") or () if one.get("url") != HELD_BY]
    held = next((one for one in filler.get("extension") or () if one.get("url") == HELD_BY), None)
    if new is None or (new == "active" and reference_of(held or {}, "valueReference") != source):
        return None
    if new == "on-hold":
        rest.append({"url": HELD_BY, "valueReference": {"reference": source}})
    made = {**{name: value for name, value in filler.items() if name != "extension"}, "status": new}
    return {**made, "extension": rest} if rest else made


async def _open(ctx: Context, change: Change, request: str) -> bool:
    subject = tasks.subject(ctx.store, request)
    change.epochs[subject] = await epochs.epoch(ctx.store, subject)
    return bool(await tasks.about(ctx.store, request, OPEN))


async def cascade(ctx: Context, payload: dict[str, Any]) -> Change:
    """Job referral.cascade {"task"}: the open children of a Task that was taken back, and the requests for them."""
    reference, change = str(payload["task"]), Change()
    found = await ctx.resource(reference)
    if found is None or found[0].get("status") not in ("cancelled", "entered-in-error"):
        return change
    parent, version = found
    change.relied[reference] = version
    code, text = PARENT_CANCELLED
    row = Coupled("", OPEN, "cancelled", code, text)
    requests: dict[str, None] = {}
    for child_version, body in await tasks.parts(ctx.store, reference):
        child = parse(body)
        if child.get("status") in OPEN and is_referral(child, ctx):
            await put(ctx, change, _with(child, row, ctx.now_us), child_version, code)
            requests[focus_of(child, ctx)] = None
    for request in requests:
        if request != focus_of(parent, ctx):
            await _end_filler(ctx, change, request)
    return change


async def _end_filler(ctx: Context, change: Change, reference: str) -> None:
    """A request that served what was taken back: completed where somebody did it before, else revoked."""
    filler = await ctx.resource(reference)
    if filler is None or not filler[0].get("basedOn") or filler[0].get("status") not in ("active", "on-hold"):
        return
    stored = await tasks.about(ctx.store, reference, (*OPEN, "completed"))
    others = [await ctx.resource(one) for one in stored]  # as this Change makes them
    statuses = {str(one[0].get("status")) for one in others if one is not None}
    if statuses & {*OPEN}:
        return  # another referral of the same request goes on: its requester decides
    done = "completed" in statuses
    status = "completed" if done and filler[0]["status"] == "active" else "revoked"
    await put(ctx, change, {**filler[0], "status": status}, filler[1], PARENT_CANCELLED[0])


async def rule(ctx: Context, payload: dict[str, Any]) -> Change:
    """Job referral.rule {"request"}: what the requester's organization stored settles a request whose Tasks ended."""
    reference, change = str(payload["request"]), Change()
    found = await ctx.resource(reference)
    if found is None or found[0].get("status") != "active":
        return change
    request, version = found
    rules = await rules_of(ctx, request)
    if not rules:
        return change
    subject = tasks.subject(ctx.store, reference)
    change.epochs[subject] = await epochs.epoch(ctx.store, subject)  # before looking: a new Task makes this Stale
    about = [(parse(body), task_version) for task_version, body in await tasks.focused(ctx.store, reference)]
    change.relied |= {f"Task/{task['id']}": task_version for task, task_version in about}
    settled = ruled(rules, frozenset(str(task.get("status")) for task, _ in about))
    if settled is not None:
        await put(ctx, change, {**request, "status": settled[0]}, version, settled[1])
    return change


async def rules_of(ctx: Context, request: Resource) -> frozenset[str]:
    """The stored rules of the organization that the ServiceRequest belongs to; none where it names a person."""
    organization = await organization_of(ctx, reference_of(request, "requester"))
    found = await ctx.resource(organization) if organization else None
    return stored_rules(found[0] if found else None)


def stored_rules(organization: Resource | None) -> frozenset[str]:
    """Codes of extension enlace-referral-rule on it."""
    listed = (organization or {}).get("extension") or ()
    return frozenset(str(one.get("valueCode")) for one in listed if one.get("url") == RULE)


async def fold(ctx: Context, payload: dict[str, Any]) -> Change:
    """Job referral.fold {"task"}: the second of the two steps that an organization's software takes as one."""
    reference, change = str(payload["task"]), Change()
    found = await ctx.resource(reference)
    if found is None or found[0].get("status") != "accepted":
        return change
    moved = {**found[0], "status": "in-progress", "lastModified": instant(ctx.now_us)}
    await put(ctx, change, moved, found[1], "folded")
    return change
