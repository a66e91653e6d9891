"""Timers: a clock that somebody must meet. It commits with its cause, is met by a Task, a Communication or by code, and
its breach is told once. What kinds there are: timers.json (timer_kinds.py).

A row waits in its own table, not as a job: a month of waiting jobs would be walked over by each claim of the queue.
Every minute `timer.due` (standing_jobs.py) queues what is over. Of two workers one fires: the epoch of the subject.
"""

from collections.abc import Awaitable, Callable
from typing import Any

from fhir_profiles import Resource
from service.access.context import Context
from service.log_events import TIMER_BREACHED, log
from service.store import epochs
from service.store import timers as rows
from service.store.change import Change, Job, Statement
from service.store.timers import StoredTimer
from service.workflow.steps import Step
from service.workflow.timer_breaches import tell_lead, tell_plan
from service.workflow.timer_kinds import HOUR_US, TimerKind, due_us, kinds, zone

BATCH = 200
"""Breaches that are queued at a time: an alert that comes meanwhile waits for no more of them than these."""
AGAIN_US = 2_000_000
"""So soon more are queued where there are more: thousands may fall due in one minute, as after a standstill."""
ENDED_TASK = frozenset({"rejected", "cancelled", "failed", "entered-in-error"})
RETRY_US = HOUR_US


def start(
    ctx: Context,
    change: Change,
    kind: str,
    subject: str,
    patient: str,
    start_us: int,
    payload: dict[str, Any] | None = None,
    *,
    cause: str = "",
    done_us: int | None = None,
    row: TimerKind | None = None,
    until_us: int | None = None,
) -> StoredTimer:
    """Adds a timer to the Change of its cause: once for a cause, or for the subject where none is named.

    start_us: of the event, not of its receipt. done_us: it is met by what is told with it; the row keeps the measure.
    row: as it fits this case (timer_kinds.fitting). until_us: due then, whatever the row says.
    """
    row = row or kinds()[kind]
    due = due_us(row, start_us, zone()) if until_us is None else until_us
    if row.grace_hours:
        due = max(due, ctx.now_us + row.grace_hours * HOUR_US)
    state = "running" if done_us is None else "met" if done_us <= due else "breached"
    dedupe = f"{kind}|{cause or subject}"
    number = ctx.store.next_id(ctx.now_us)
    timer = StoredTimer(number, kind, dedupe, subject, patient, start_us, due, state, done_us, payload or {})
    change.statements.append(rows.started(timer))
    change.bump_epochs.add(_key(ctx, subject))
    return timer


def met(ctx: Context, change: Change, kind: str, subject: str) -> None:
    change.statements.append(rows.met(kind, subject, ctx.now_us))
    change.bump_epochs.add(_key(ctx, subject))


def cancelled(ctx: Context, change: Change, kind: str, subject: str) -> None:
    change.statements.append(rows.cancelled(kind, subject, ctx.now_us))
    change.bump_epochs.add(_key(ctx, subject))


REVIEW = "match-review"


def review_opened(ctx: Context, stay: str) -> Statement:
    """Beside the statements that open a review of the stay's match, or renew it: the review's clock."""
    number, due = ctx.store.next_id(ctx.now_us), due_us(kinds()[REVIEW], ctx.now_us, zone())
    return rows.of_review(stay, StoredTimer(number, REVIEW, "", "", "", ctx.now_us, due, payload={"stay": stay}))


def review_ended(stay: str, at_us: int) -> Statement:
    """After the statement that closes it."""
    return rows.reviews_ended(REVIEW, stay, at_us)


async def observed(step: Step) -> None:
    """After a write: a Task that is completed and a Communication that is received meet their timers."""
    reference = f"{step.new['resourceType']}/{step.new['id']}"
    ended = "cancelled" if step.interaction == "delete" else _outcome(step.new)
    if not ended or (step.interaction != "delete" and ended == _outcome(step.old or {})):
        return
    by = "task" if reference.startswith("Task/") else "communication"
    for timer in await rows.about(step.ctx.store, reference):
        row = kinds().get(timer.kind)
        if row is not None and row.met_by == by:
            (met if ended == "met" else cancelled)(step.ctx, step.change, timer.kind, reference)


def _outcome(resource: Resource) -> str:
    """ "met", "cancelled" or "" while it is open."""
    status = resource.get("status")
    if resource.get("resourceType") == "Communication":
        return "cancelled" if status == "entered-in-error" else "met" if resource.get("received") else ""
    return "met" if status == "completed" else "cancelled" if status in ENDED_TASK else ""


# --- the jobs --------------------------------------------------------------------------------------------------------


async def due(ctx: Context, _payload: dict[str, Any]) -> Change:
    """Queues the breach of each timer whose time is over; what more there is, a moment later."""
    found = await rows.due(ctx.store, ctx.now_us, BATCH)
    jobs = [Job("timer.fire", {"timer": one}, dedupe=f"timer.fire/{one}") for one in found]
    if len(found) == BATCH:
        jobs.append(Job("timer.due", {}, dedupe="timer.due", due_us=ctx.now_us + AGAIN_US))
    return Change(jobs=jobs)


async def fire(ctx: Context, payload: dict[str, Any]) -> Change:
    """payload: {"timer": dedupe}. Nothing where it was met, cancelled or moved on meanwhile."""
    dedupe = str(payload["timer"])
    first = await rows.one(ctx.store, dedupe)
    if first is None:
        return Change()
    keys = {_key(ctx, first.subject)}
    if stay := first.payload.get("stay"):  # what decides about the stay may end it
        keys.add(ctx.store.keys.of("stay", str(stay)))
    change = Change(epochs=await epochs.several(ctx.store, sorted(keys)), bump_epochs=keys)
    timer = await rows.one(ctx.store, dedupe)  # again: as it is under the epoch that the Change relies on
    if timer is None or timer.state != "running" or timer.due_us > ctx.now_us:
        return Change()
    change.statements.append(rows.breached(dedupe))
    row = kinds().get(timer.kind)
    if row is not None:  # a kind that an installation took out of its table ends without a word
        await TELLS[row.told](ctx, change, timer, row)
        if row.job:
            change.jobs.append(Job(row.job, {"task": timer.subject}, ordering_key=timer.subject))
    log(TIMER_BREACHED, kind=timer.kind, timer=timer.id)
    patients = (timer.patient,) if timer.patient else ()
    change.audit.append(ctx.audit("U", "timer-breached", timer.subject, patients, reason=timer.kind))
    return change


async def _tell_nobody(_ctx: Context, _change: Change, _timer: StoredTimer, _row: TimerKind) -> None:
    """The log line, the metric and `enlace timers` say it."""


async def _tell_requester(ctx: Context, change: Change, timer: StoredTimer, row: TimerKind) -> None:
    from service.workflow.referral_breaches import tell_requester  # what it writes goes through steps.py, to this file

    await tell_requester(ctx, change, timer, row)


TELLS: dict[str, Callable[[Context, Change, StoredTimer, TimerKind], Awaitable[None]]] = {
    "lead": tell_lead,
    "plan": tell_plan,
    "operator": _tell_nobody,
    "requester": _tell_requester,
}


def _key(ctx: Context, subject: str) -> int:
    return ctx.store.keys.of("timer", subject)
