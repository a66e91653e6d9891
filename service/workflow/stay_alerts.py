"""The diff of a stay -> Communications and Tasks as writes: who is told, what exists already, what is taken back."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from fhir_profiles import Resource
from service.access.context import Context
from service.clock import instant
from service.search.dates import parse as parse_date
from service.store import alert_work
from service.store.alert_work import TransitionRow
from service.store.change import Change
from service.store.together import together
from service.workflow import alert_flags, alert_routing
from service.workflow.alert_clock import is_own
from service.workflow.alert_known import Known, known_of, thread_name
from service.workflow.alert_text import date_time
from service.workflow.stay_events import DAY_US
from service.workflow.stay_transitions import Transition, transitions
from service.workflow.stays import StayState
from service.workflow.transitions_of_care import (
    About,
    Recipient,
    alert_resources,
    retraction_resources,
    task_id,
)

IN_HOSPITAL = "in-hospital"
"""Key of the alert to who begins to care for a member in hospital (alert_catch_up.py)."""
ARRIVED = frozenset({"ed-arrival", "observation", "admission", "hospital-encounter"})
COMBINED_US = 15 * 60_000_000
"""An emergency visit that ends so soon after its arrival was told is one alarm, and its end a quiet addition."""
_WENT_HOME = frozenset({"HOME", "NOT_STATED", "UNKNOWN"})
HOMELESS = "https://enlace.example.org/fhir/StructureDefinition/enlace-homeless"


@dataclass(frozen=True)
class Told:
    """What every alert about a stay names. thread: of the transition of care; "" is the stay alone.

    received_us: when the message came that this is told by; 0 is not known.
    """

    encounter: str
    patient: str
    member: str
    facility: str
    facility_reference: str
    thread: str = ""
    received_us: int = 0
    ends: frozenset[str] = frozenset()
    """Ids of the member's Encounters that are no other stay: they go with this Change, being this stay under another
    number, or belong to the same transition of care from now on."""


@dataclass(frozen=True)
class Ahead:
    """What alerts of a stay are decided from. stays: those of the member that flags look at."""

    known: Known
    recipients: list[Recipient]
    stays: list[TransitionRow]


async def alerts_ahead(
    ctx: Context, encounter: str, patient: str, thread: str, was: StayState | None, now: StayState
) -> Ahead | None:
    """None where nothing can have changed for anybody. thread: of the transition of care; "" is the stay alone."""
    todo = transitions(was, now)
    if not todo and thread in ("", encounter.partition("/")[2]):
        return None
    if not todo:
        return Ahead(await known_of(ctx, encounter), [], [])
    return Ahead(
        *await together(
            ctx.store,
            known_of(ctx, encounter),
            alert_routing.recipients(ctx, patient),
            alert_work.stays_since(ctx.store, patient, ctx.now_us - alert_flags.longest_us()),
        )
    )


async def alert_writes(
    ctx: Context, change: Change, told: Told, was: StayState | None, now: StayState, ahead: Ahead | None
) -> tuple[list[Transition], bool]:
    """Adds the writes to the Change; (transitions that told somebody something, whether there was anybody to tell)."""
    if ahead is None:
        return [], True
    todo, known, recipients = transitions(was, now), ahead.known, ahead.recipients
    told = replace(told, thread=told.thread or told.encounter.partition("/")[2])
    done: list[Transition] = []
    for transition in [*todo, *_in_hospital(known, todo, now)]:
        if transition.action == "retract":
            made = _retraction(transition, told, recipients, known, ctx.now_us)
        else:
            about = await _about(ctx, told, transition, ahead, now)
            made = _alert(transition, told, await _also(ctx, told, transition, recipients), known, ctx.now_us, about)
        if any([known.put(resource) for resource in made]):
            done.append(transition)
            if transition.action == "alert" and transition.kind == "death":
                _close_outreach(known, task_id(told.encounter, transition.key), ctx.now_us)
    known.rethread(thread_name(ctx.store.keys, told.thread))
    await known.commit(ctx, change, told.patient)
    return done, bool(recipients) or all(transition.action != "alert" for transition in todo)


def _in_hospital(known: Known, todo: Sequence[Transition], now: StayState) -> list[Transition]:
    """What was told to who began to care for the member meanwhile falls with the arrival."""
    gone = next((one for one in todo if one.action == "retract" and one.kind in ARRIVED), None)
    if gone is None or now.status in (*alert_work.PRESENT, "finished"):
        return []
    return [replace(gone, key=IN_HOSPITAL, replaced_by="")]


async def _also(ctx: Context, told: Told, transition: Transition, recipients: list[Recipient]) -> list[Recipient]:
    """Of some kinds others hear at once, by the alert of the first recipient."""
    if not recipients or not transition.realtime:
        return recipients
    beside = await alert_routing.at_once(ctx, told.patient, transition.kind)
    first = recipients[0]
    new = tuple(one for one in beside if one not in first.also and one != first.reference)
    return [replace(first, also=(*first.also, *new)), *recipients[1:]]


async def _about(ctx: Context, told: Told, transition: Transition, ahead: Ahead, now: StayState) -> About:
    stay = told.encounter.partition("/")[2]
    began = now.start_us if transition.kind == "discharge" else None
    about = About(thread_name(ctx.store.keys, told.thread), told.received_us, began)
    if not transition.realtime:
        return about
    if transition.kind in ARRIVED and now.status in alert_work.PRESENT and ctx.now_us - transition.at_us > DAY_US:
        about = replace(about, already=True)  # told late by us: the member was not known, or had nobody
    if transition.kind == "discharge" and transition.detail == "HOME":
        about = replace(about, homeless=await _homeless(ctx, told.patient))
    this = TransitionRow(
        stay, told.patient, told.thread, now.start_us or 0, now.end_us, now.status, transition.setting,
        now.disposition or "", now.facility, 0,
    )  # fmt: skip
    others = [one for one in ahead.stays if one.stay not in told.ends]
    flags = alert_flags.flags(transition.kind, this, others, ctx.now_us)
    combined = (
        transition.kind == "discharge" and transition.setting == "ED" and transition.detail in ("HOME", "NOT_STATED")
    )
    return replace(about, flags=flags, combined=combined and not about.homeless and _just_told(ahead.known, ctx.now_us))


def _just_told(known: Known, now_us: int) -> bool:
    """Whether the arrival was told as an alarm in these minutes, and stands."""
    since = date_time(now_us - COMBINED_US)
    return any(
        is_own(one)
        and one.get("status") == "completed"
        and one.get("priority") != "routine"
        and _instant(str(one.get("sent", ""))) >= _instant(since)
        for one in known.resources.values()
    )


def _instant(text: str) -> int:
    return parse_date(text)[0] if text else 0


async def _homeless(ctx: Context, patient: str) -> bool:
    found = await ctx.resource(patient)
    extensions = found[0].get("extension") or () if found else ()
    return any(one.get("url") == HOMELESS and one.get("valueBoolean") is True for one in extensions)


def _close_outreach(known: Known, kept: str, now_us: int) -> None:
    """After a death nobody calls the member any more."""
    for task in known.follow_ups():
        if task["id"] != kept:
            text = "The hospital reports that the member has died."
            closed = {**task, "status": "cancelled", "statusReason": {"text": text}, "lastModified": instant(now_us)}
            known.change(closed)


def _alert(
    transition: Transition, told: Told, recipients: list[Recipient], known: Known, now_us: int, about: About
) -> list[Resource]:
    answers = (
        [str(alert["id"]) for alert in known.alerts(told.encounter, transition.replaces)] if transition.replaces else []
    )
    sender = {"reference": told.facility_reference, "display": told.facility} if told.facility_reference else None
    return alert_resources(
        transition,
        encounter_ref=told.encounter,
        patient_ref=told.patient,
        member_display=told.member,
        recipients=recipients,
        facility_display=told.facility,
        now_us=now_us,
        sender=sender,
        answers=answers,
        about=about,
    )


def _retraction(
    transition: Transition, told: Told, recipients: list[Recipient], known: Known, now_us: int
) -> list[Resource]:
    return retraction_resources(
        transition,
        alerts=known.alerts(told.encounter, transition.key),
        tasks=known.tasks(told.encounter, transition.key),
        member_display=told.member,
        facility_display=told.facility,
        now_us=now_us,
        informed=[one for r in recipients for one in (r.reference, *r.also)],
    )
