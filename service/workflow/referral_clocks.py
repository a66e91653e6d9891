"""Clocks of a referral: which run while it stands where it stands, and what of it is overdue.

How long each takes: timers.json, by priority and kind of service. They start and end in the Change that moves the
Task; a breach (referral_breaches.py) writes extension enlace-overdue, which only the service sets, and which goes when
what it says is no longer so. Sources: facts/california.md C.4, facts/closed-loop.md 1.3.
"""

from collections.abc import Sequence
from typing import Any

from fhir_profiles import Resource
from service.access.context import Context, parse
from service.search.dates import parse as parse_time
from service.search.references import normal_reference
from service.store import clockless
from service.store.change import Change, Job
from service.workflow import timers
from service.workflow.calaim_catalogue import ECM, service_of
from service.workflow.calaim_tasks import Look, is_plan_task, stored
from service.workflow.parties import reference_of
from service.workflow.steps import Step
from service.workflow.timer_kinds import fitting, kinds

OVERDUE = "https://enlace.example.org/fhir/StructureDefinition/enlace-overdue"
CLOSED = frozenset({"rejected", "cancelled", "failed", "completed", "entered-in-error"})
LOOKED_AT_ONCE = 500
"""Open Tasks that one job of filling looks at."""
NEVER_RAN = frozenset({"", "draft", "entered-in-error"})
ACKNOWLEDGE, CONTACT, CLOSE = "referral-acknowledge", "referral-first-contact", "referral-close"
STALLED = ("referral-stalled", "referral-stalled-again")
OF_PROVIDERS = frozenset({ACKNOWLEDGE, CONTACT})
"""Not of a plan's own Task about a CalAIM service: its answer is the authorization, which has a clock of its own."""
RUNNING: dict[str, tuple[str, ...]] = {
    "requested": (ACKNOWLEDGE, CLOSE, *STALLED),
    "accepted": (CONTACT, CLOSE, *STALLED),
    "in-progress": (CLOSE, *STALLED),
    "on-hold": (CONTACT, CLOSE, *STALLED),
}
"""Status of the Task -> the clocks that run; CONTACT only until there is one."""
CONTACTED = frozenset({"5.1.1", "5.1.2", "5.1.4", "7.0", "outreach-initiated"})
"""Codes of businessStatus that say that somebody spoke with the member, or tried to (BSeR, closed-loop referrals)."""


def is_referral(task: Resource, base_url: str = "") -> bool:
    return (normal_reference(reference_of(task, "focus"), base_url) or "").startswith("ServiceRequest/")


def business_of(task: Resource) -> frozenset[str]:
    return frozenset(str(c.get("code")) for c in (task.get("businessStatus") or {}).get("coding") or ())


def stands(task: Resource) -> tuple[str, frozenset[str]]:
    """Where a referral is: when this changes it has moved."""
    return str(task.get("status") or ""), business_of(task)


def running(task: Resource, before: tuple[str, ...] = ()) -> tuple[str, ...]:
    """The clocks that run for a Task as it stands. before: those that ran until now."""
    status, business = stands(task)
    found = RUNNING.get(status, ())
    held = status == "on-hold" and CONTACT not in before  # there was a contact before it was held
    return tuple(one for one in found if one != CONTACT or not (held or business & CONTACTED))


def may_run(task: Resource) -> tuple[str, ...]:
    """As running(), of a Task as it stood: one on hold does not say whether there was a contact before."""
    return running(task, (CONTACT,))


def is_over(kind: str, task: Resource) -> bool:
    """Whether a clock has no meaning where the Task stands: a release without clocks moved it and ended none."""
    return any(kind in kinds_ for kinds_ in RUNNING.values()) and kind not in may_run(task)


def overdue_of(task: Resource) -> list[str]:
    return [str(e.get("valueCode")) for e in task.get("extension") or () if e.get("url") == OVERDUE]


def with_overdue(task: Resource, codes: list[str]) -> Resource:
    """The Task with exactly these."""
    others = [e for e in task.get("extension") or () if e.get("url") != OVERDUE]
    kept = [*others, *({"url": OVERDUE, "valueCode": one} for one in dict.fromkeys(codes))]
    made = {name: value for name, value in task.items() if name != "extension"}
    return {**made, "extension": kept} if kept else made


def still_overdue(code: str, old: Resource, new: Resource) -> bool:
    """Whether it is so after the step. Stalled: until it moves; the others: as long as their clock would run."""
    if new.get("status") in CLOSED:
        return False
    if code == "stalled":
        return stands(old) == stands(new)
    kind = {"acknowledge": ACKNOWLEDGE, "first-contact": CONTACT, "close": CLOSE}.get(code)
    return kind is None or kind in running(new, may_run(old))


async def keep_overdue(step: Step) -> None:
    """Before a write of a Task: the extension is the service's own, and goes with what it says."""
    old, new = step.old or {}, step.new
    asked = overdue_of(new)
    standing = asked if step.ctx.restriction.unrestricted else overdue_of(old)
    wanted = [code for code in standing if still_overdue(code, old, new)]
    if wanted != asked:
        step.new = with_overdue(new, wanted)


async def moved(step: Step) -> None:
    """After a write of a Task: clocks start and end with it. What does not move it leaves them alone."""
    old, new = step.old or {}, step.new
    if not is_referral(new, step.ctx.settings.base_url):
        return
    reference = f"Task/{new['id']}"
    if set(overdue_of(old)) - set(overdue_of(new)):
        step.change.jobs.append(Job("referral.moved-on", {"task": reference}, dedupe=f"referral.moved-on/{reference}"))
    before = may_run(old)
    after = running(new, before)
    if stands(old) != stands(new):
        for kind in before:
            if kind not in after or kind in STALLED:
                _end(step, kind, reference)
        begin = [kind for kind in after if kind not in before or kind in STALLED]
    elif CLOSE in after and _end_of(old) != _end_of(new):
        timers.cancelled(step.ctx, step.change, CLOSE, reference)
        begin = [CLOSE]
    else:
        return
    if begin:
        await _begin(step.ctx, step.change, new, begin, step.stored)


def _end(step: Step, kind: str, reference: str) -> None:
    never = str(step.new.get("status")) in NEVER_RAN
    (timers.cancelled if never else timers.met)(step.ctx, step.change, kind, reference)


async def _begin(ctx: Context, change: Change, task: Resource, begin: Sequence[str], look: Look | None = None) -> None:
    reference = f"Task/{task['id']}"
    patient = normal_reference(reference_of(task, "for"), ctx.settings.base_url) or ""
    services = await services_of(ctx, task, look)
    if services & {ECM, "cs"} and await is_plan_task(ctx, task, look):
        begin = [code for code in begin if code not in OF_PROVIDERS]
    for code in begin:
        row = kinds().get(code)
        if row is None:  # an installation took it out of its table
            continue
        row = fitting(row, str(task.get("priority") or "routine"), services)
        until_us = _end_of(task) if code == CLOSE else None
        # A stall is counted anew with each move; so is a day that was set anew.
        cause = f"{reference}|{ctx.store.next_id(ctx.now_us)}" if code in STALLED or until_us else reference
        timers.start(ctx, change, code, reference, patient, ctx.now_us, cause=cause, row=row, until_us=until_us)


def _end_of(task: Resource) -> int | None:
    """The moment until which it is to be done, where the requester set one."""
    end = ((task.get("restriction") or {}).get("period") or {}).get("end")
    try:
        return parse_time(end)[1] if isinstance(end, str) else None
    except ValueError:
        return None


async def services_of(ctx: Context, task: Resource, look: Look | None = None) -> frozenset[str]:
    """Codes of the ServiceRequest in focus, and cs or ecm where it is one of them."""
    focus = normal_reference(reference_of(task, "focus"), ctx.settings.base_url) or ""
    found = await (look(focus) if look else stored(ctx, focus))
    return kinds_of(found) if found else frozenset()


def kinds_of(request: Resource) -> frozenset[str]:
    concepts: list[dict[str, Any]] = [request.get("code") or {}, *(request.get("category") or ())]
    codes = {str(c.get("code")) for concept in concepts for c in concept.get("coding") or ()}
    service = service_of(request)
    if service is not None:
        codes |= {service.code, ECM if service.code == ECM else "cs"}
    return frozenset(codes)


async def fill(ctx: Context, payload: dict[str, Any]) -> Change:
    """Job referral.clocks: open referrals that have no clock yet (written by an import, or by a former release) get
    theirs, from now on. {"status": number in RUNNING, "after": vid} goes on behind a Task.
    """
    change, place = Change(), int(payload.get("status", 0))
    found = await clockless.page(ctx.store, tuple(RUNNING)[place], int(payload.get("after", 0)), LOOKED_AT_ONCE)
    for one in found:
        task = parse(one.body) if one.body is not None else {}
        if is_referral(task, ctx.settings.base_url):
            change.relied[f"Task/{one.fhir_id}"] = one.version
            await _begin(ctx, change, task, running(task))
    if len(found) == LOOKED_AT_ONCE:
        change.jobs.append(Job("referral.clocks", {"status": place, "after": found[-1].vid}))
    elif place + 1 < len(RUNNING):
        change.jobs.append(Job("referral.clocks", {"status": place + 1, "after": 0}))
    return change
