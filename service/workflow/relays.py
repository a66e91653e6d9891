"""The 24-hour rule: each hospital event has a timer, from the event to the moment when a care manager was told of it.

DHCS: the care manager is told within 24 hours of admission, transfer and discharge (facts/california.md B.10). The row
keeps what is measured: event (start_us), receipt (payload), told (ended_us). Each plan of the member has a row,
met when a notification of the stay arrived there (service/notify/plan_told.py). A nursing facility has 48 hours.
"""

from dataclasses import dataclass

from service.access.context import Context, parse
from service.notify import plan_told
from service.store import stays
from service.store import timers as rows
from service.store.change import Change
from service.store.together import together
from service.workflow import timers
from service.workflow.stay_alerts import Told
from service.workflow.stay_milestones import Milestone, milestones
from service.workflow.stay_transitions import Transition
from service.workflow.stays import StayState
from service.workflow.timer_breaches import leads_of, plans_of
from service.workflow.timer_kinds import HOUR_US
from service.workflow.transitions_of_care import FORGET_US

RELAY, PLAN, SNF = "adt-relay", plan_told.KIND, "snf-notice"
RELAYED = frozenset({"ed-arrival", "observation", "admission", "hospital-encounter", "transfer", "discharge", "death"})
ARRIVALS = frozenset({"ed-arrival", "observation", "admission", "hospital-encounter"})
EARLY_US = 6 * HOUR_US
"""A facility's clock may be behind the hospital's: so much before the discharge an admission still answers it."""


@dataclass(frozen=True)
class Ahead:
    """Whom a member has: care managers, plans. nursing: timers of discharges to a nursing facility that wait."""

    leads: list[str]
    plans: list[str]
    nursing: list[rows.StoredTimer]


async def ahead(ctx: Context, patient: str) -> Ahead:
    return Ahead(
        *await together(
            ctx.store, leads_of(ctx, patient), plans_of(ctx, patient), rows.of_patient(ctx.store, patient, (SNF,))
        )
    )


def measured(
    ctx: Context,
    change: Change,
    told: Told,
    done: list[Transition],
    was: StayState | None,
    now: StayState | None,
    known: Ahead,
) -> None:
    """Starts the timers of what is news, met at once where somebody was told: there is a care manager."""
    heard = bool(known.leads)
    old = {m.key for m in milestones(was)} if was is not None else set[str]()
    current = [m for m in milestones(now) if m.kind in RELAYED and m.production] if now is not None else []
    news = [one for one in current if one.key not in old and ctx.now_us - one.at_us <= FORGET_US]
    for one in news:
        received_us = one.received_us or ctx.now_us
        about = {"event": one.kind, "encounter": told.encounter, "received_us": received_us}
        cause = f"{told.encounter}/{told.patient}/{one.key}"
        at = ctx.now_us if heard else None
        timers.start(ctx, change, RELAY, told.encounter, told.patient, one.at_us, about, cause=cause, done_us=at)
        for plan in known.plans:
            subject = plan_told.subject(told.encounter, plan)
            timers.start(ctx, change, PLAN, subject, told.patient, one.at_us, about, cause=f"{cause}/{plan}")
    if now is None:
        for plan in known.plans:
            timers.cancelled(ctx, change, PLAN, plan_told.subject(told.encounter, plan))
        timers.cancelled(ctx, change, RELAY, told.encounter)
    elif heard and done:
        timers.met(ctx, change, RELAY, told.encounter)
    _nursing(ctx, change, told, current, old, known)


def _nursing(ctx: Context, change: Change, told: Told, current: list[Milestone], old: set[str], known: Ahead) -> None:
    """A discharge to a nursing facility waits for word of one; any later arrival of the member elsewhere is that."""
    leaving = [m for m in current if m.kind == "discharge" and m.detail == "SNF"]
    for one in leaving:
        if one.key not in old and ctx.now_us - one.at_us <= FORGET_US:
            about = {"encounter": told.encounter, "what": told.facility}
            timers.start(ctx, change, SNF, told.encounter, told.patient, one.at_us, about, cause=f"{told.encounter}")
    if not leaving:
        if any(key.endswith(".SNF") for key in old):
            timers.cancelled(ctx, change, SNF, told.encounter)
        arrived = [m.at_us for m in current if m.kind in ARRIVALS and m.key not in old]
        for waiting in known.nursing if arrived else ():
            if waiting.subject != told.encounter and max(arrived) >= waiting.start_us - EARLY_US:
                timers.met(ctx, change, SNF, waiting.subject)


async def waiting(ctx: Context, patient: str) -> bool:
    """Whether an event of the member could not be told to anybody yet."""
    return bool(await rows.of_patient(ctx.store, patient, (RELAY,)))


async def told_since(ctx: Context, change: Change, patient: str) -> None:
    """Meets those of whom an alert was made in another way than by a message: a lead came later."""
    if not await leads_of(ctx, patient):
        return
    for one in await rows.of_patient(ctx.store, patient, (RELAY,)):
        for rtype, fhir_id, _version, body in await stays.told(ctx.store, one.subject):
            alert = rtype == "Communication" and fhir_id.startswith("al-")
            if alert and parse(body).get("status") == "completed":
                timers.met(ctx, change, RELAY, one.subject)
                break
