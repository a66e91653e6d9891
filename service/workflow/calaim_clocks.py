"""The clocks of an authorization: the plan's decision, the hand-off to a provider, the streamlined 30 days, its end.

Rows of timers.json; facts/california.md B.1, C.4. They start and end in the Change that writes the plan's Task.
"""

from fhir_profiles import Resource
from service.access.context import Context
from service.search.dates import MAX_US, MIN_US
from service.store.change import Change
from service.workflow import timers
from service.workflow.calaim_caps import DAY_US
from service.workflow.calaim_tasks import APPROVED, CLOSED, DECIDED, Authorization, named, period_of
from service.workflow.timer_kinds import due_us, fitting, kinds, zone
from service.workflow.working_time import add_working_days, day_end_us, local_day

DECISION, HAND_OFF = "authorization-decision", "provider-hand-off"
ENDS = {60: "authorization-ends-60", 30: "authorization-ends-30", 14: "authorization-ends-14"}
WARNING, WINDOW = "streamlined-warning", "streamlined-end"
BEFORE = 5
"""So many working days before the streamlined window ends the referral must have been sent (B.1 row 4)."""
_NEVER = ("", "draft")


def moved(
    ctx: Context, change: Change, old: Resource, new: Resource, was: Authorization, now: Authorization, service: str
) -> None:
    """After a write of the plan's Task. service: its code in the catalogue."""
    reference, patient = f"Task/{new['id']}", named(ctx, new, "for")
    closed = str(new.get("status")) in CLOSED
    if old.get("status", "") in _NEVER and new.get("status") not in _NEVER and not closed:
        _decision(ctx, change, new, reference, patient)
        if now.outcome == "streamlined-active":
            _window(ctx, change, new, reference, patient)
    if now.outcome in DECIDED and was.outcome not in DECIDED:
        for kind in (DECISION, WARNING, WINDOW):
            timers.met(ctx, change, kind, reference)
    if closed and old.get("status") not in CLOSED:
        for kind in (DECISION, WARNING, WINDOW, HAND_OFF, *ENDS.values()):
            timers.cancelled(ctx, change, kind, reference)
    elif now.outcome in APPROVED and now != was:
        if was.outcome not in APPROVED:
            _hand_off(ctx, change, reference, patient, service)
        _end(ctx, change, reference, patient, now)


def handed_off(ctx: Context, change: Change, parent: str) -> None:
    """A provider's Task was opened as part of the plan's."""
    timers.met(ctx, change, HAND_OFF, parent)


def _decision(ctx: Context, change: Change, task: Resource, reference: str, patient: str) -> None:
    if DECISION not in kinds():
        return
    row = fitting(kinds()[DECISION], str(task.get("priority") or "routine"), ())
    timers.start(ctx, change, DECISION, reference, patient, ctx.now_us, row=row)


def _hand_off(ctx: Context, change: Change, reference: str, patient: str, service: str) -> None:
    """ECM has the 10 working days of B.1 row 6."""
    if HAND_OFF in kinds():
        row = fitting(kinds()[HAND_OFF], "", {service} if service == "ecm" else {service, "cs"})
        timers.start(ctx, change, HAND_OFF, reference, patient, ctx.now_us, row=row)


def window(task: Resource) -> tuple[int, int, int]:
    """(first service, last moment to send the referral, end) of a streamlined authorization; MIN_US: not said."""
    first = period_of(task.get("executionPeriod") or {})[0]
    if first == MIN_US or WINDOW not in kinds():
        return MIN_US, MIN_US, MIN_US
    end = due_us(kinds()[WINDOW], first, zone())
    return first, day_end_us(add_working_days(local_day(end, zone()), -BEFORE), zone()), end


def _window(ctx: Context, change: Change, task: Resource, reference: str, patient: str) -> None:
    first, warn, end = window(task)
    if first == MIN_US:
        return
    _start(ctx, change, WARNING, reference, patient, first, warn)
    _start(ctx, change, WINDOW, reference, patient, first, end)


def _end(ctx: Context, change: Change, reference: str, patient: str, now: Authorization) -> None:
    """Reminders of the end; one whose day is over is none. A new period takes the place of the former."""
    if now.end_us == MAX_US:
        return
    for days, kind in ENDS.items():
        at_us = now.end_us - days * DAY_US
        if at_us > ctx.now_us:
            _start(
                ctx, change, kind, reference, patient, max(now.start_us, 0), at_us, cause=f"{reference}|{now.end_us}"
            )
        else:
            timers.cancelled(ctx, change, kind, reference)


def _start(
    ctx: Context,
    change: Change,
    kind: str,
    reference: str,
    patient: str,
    start_us: int,
    until_us: int | None = None,
    *,
    cause: str = "",
) -> None:
    """Nothing where an installation took the kind out of its table."""
    if kind in kinds():
        if cause:  # it takes the place of the former one
            timers.cancelled(ctx, change, kind, reference)
        timers.start(ctx, change, kind, reference, patient, start_us, cause=cause, until_us=until_us)
