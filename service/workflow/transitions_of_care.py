"""A transition of care -> what the lead care manager gets: an alert (Communication) and a follow-up (Task); and back.

Shape: decisions.md 38; https://hl7.org/fhir/R4/communication.html, https://hl7.org/fhir/R4/task.html. An alert is
`completed` when it is made (it has been sent); `received` is its acknowledgement and the only thing that changes.
Ids follow from stay, transition and recipient: the same transition again gives the same resources.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from fhir_profiles import Resource
from service.clock import instant
from service.workflow.alert_flags import FLAG_SYSTEM, Flag
from service.workflow.alert_text import (
    ALREADY,
    CORRECTIONS,
    FOLLOW_UPS,
    PACIFIC,
    Alert,
    alert_of,
    date_time,
    fill,
)
from service.workflow.alerts import CATEGORY, CATEGORY_SYSTEM
from service.workflow.stay_events import DAY_US, HOUR_US
from service.workflow.stay_identity import derived_id
from service.workflow.stay_transitions import Transition

FOLLOW_UP_SYSTEM = "https://enlace.example.org/fhir/CodeSystem/follow-up"
ALERT_SYSTEM = "https://enlace.example.org/alerts"
THREAD_SYSTEM = "https://enlace.example.org/alert-threads"
"""Communication.identifier: the alerts of one transition of care, over all its stays, have the same."""
TIMES = "https://enlace.example.org/fhir/StructureDefinition/enlace-alert-times"
FORGET_US = 30 * DAY_US
"""An event older than this is history (a replay after an upgrade): it changes the stay and is told to nobody."""
OPEN = frozenset({"draft", "requested", "received", "accepted", "ready", "in-progress", "on-hold"})


@dataclass(frozen=True)
class Recipient:
    """reference: the lead care manager's Practitioner, PractitionerRole or Organization; lead False: cover.

    also: who gets the same alert beside: any of them acknowledges it for all.
    """

    reference: str
    display: str = ""
    lead: bool = True
    also: tuple[str, ...] = ()


@dataclass(frozen=True)
class About:
    """What an alert says beside its transition. thread: "" is the stay alone. received_us: when the message came.

    began_us: start of the visit. already: somebody begins to care for a member who is in hospital. homeless: the member
    has no home. combined: the arrival was told minutes ago, so that this is no second alarm.
    """

    thread: str = ""
    received_us: int = 0
    began_us: int | None = None
    flags: tuple[Flag, ...] = ()
    already: bool = False
    homeless: bool = False
    combined: bool = False

    def word(self, detail: str) -> str:
        return "HOMELESS" if self.homeless and detail == "HOME" else detail


NOTHING = About()
PRIORITIES = ("routine", "urgent", "asap", "stat")


def alert_id(encounter_ref: str, key: str, recipient_ref: str) -> str:
    return "al-" + derived_id("alert", encounter_ref, key, recipient_ref)


def task_id(encounter_ref: str, key: str) -> str:
    return "fu-" + derived_id("follow-up", encounter_ref, key)


def alert_resources(
    transition: Transition,
    *,
    encounter_ref: str,
    patient_ref: str,
    member_display: str,
    recipients: Sequence[Recipient],
    facility_display: str,
    now_us: int,
    sender: Resource | None = None,
    answers: Collection[str] = (),
    zone: str = PACIFIC,
    about: About = NOTHING,
) -> list[Resource]:
    """A Communication for each recipient and one Task for the first lead. Empty for test messages and old history.

    transition: of action `alert`. encounter_ref: Encounter/id. sender: a Reference to the hospital's Organization.
    answers: ids of Communications that exist for the key `transition.replaces`; those are named in inResponseTo.
    Where the id exists already, write nothing, unless it is entered-in-error (told, taken back, true again).
    """
    old = now_us - transition.at_us > FORGET_US and not about.already
    if transition.quiet_reason == "not-production" or old or not recipients:
        return []
    alert = alert_of(transition.kind, about.word(transition.detail), transition.before, transition.setting)
    said = ALREADY[transition.kind] if about.already else alert.text
    text = _text(said, transition, member_display, facility_display, now_us, zone, about.began_us)
    out: list[Resource] = []
    for recipient in recipients:
        made = _communication(transition, encounter_ref, patient_ref, member_display, recipient, now_us, zone, about)
        made["priority"] = _priority(alert, transition, about)
        made["payload"] = [{"contentString": " ".join((text, *(flag.words for flag in about.flags)))}]
        if not transition.realtime:
            made["category"].append(_concept(CATEGORY_SYSTEM, "digest"))
        if sender:
            made["sender"] = sender
        replaced = alert_id(encounter_ref, transition.replaces, recipient.reference)
        if transition.replaces and replaced in answers:
            made["inResponseTo"] = [{"reference": f"Communication/{replaced}"}]
        out.append(made)
    task = _follow_up(transition, alert, encounter_ref, patient_ref, member_display, recipients, now_us, zone, about)
    return [*out, task] if task else out


def _priority(alert: Alert, transition: Transition, about: About) -> str:
    if not transition.realtime:
        return "routine"
    raised = max((flag.priority for flag in about.flags), key=PRIORITIES.index, default="routine")
    own = "routine" if about.combined else alert.priority
    return max(own, raised, key=PRIORITIES.index)


def retraction_resources(
    transition: Transition,
    *,
    alerts: Sequence[Resource],
    tasks: Sequence[Resource],
    member_display: str,
    facility_display: str,
    now_us: int,
    informed: Collection[str] = (),
    zone: str = PACIFIC,
) -> list[Resource]:
    """New versions of what was told, and a correction to each who got it.

    transition: of action `retract`. alerts, tasks: the stored Communications and Task of its key (alert_id, task_id).
    informed: references of those who get the alert `transition.replaced_by`: it is their correction.
    """
    text = CORRECTIONS.get(transition.reason, CORRECTIONS["corrected"])
    words = _text(text, transition, member_display, facility_display, now_us, zone)
    # A Task has no sender to bear the label of: it names no hospital that the alert is hidden for.
    reason = _text(text, transition, member_display, "", now_us, zone)
    out: list[Resource] = []
    for alert in alerts:
        if alert.get("status") == "entered-in-error":
            continue
        out.append({**alert, "status": "entered-in-error", "statusReason": {"text": words}})
        told = {str(r.get("reference", "")) for r in alert.get("recipient", ())}
        knows = set(informed) if transition.replaced_by else set()
        if not told <= knows:
            out.append(_correction(alert, words, now_us, zone, knows))
    for task in tasks:
        if task.get("status") in OPEN:
            out.append(
                {
                    **task,
                    "status": "cancelled",
                    "statusReason": {"text": reason},
                    "lastModified": instant(now_us),
                }
            )
    return out


def _correction(alert: Resource, text: str, now_us: int, zone: str, knows: Collection[str]) -> Resource:
    """To the same people, about the same stay. Its id names the version it corrects: told again, corrected again.

    knows: those whom a new alert tells it. The first of those who do not is the first recipient.
    """
    identity = derived_id("correction", str(alert["id"]), str(alert.get("sent", "")))
    kept = ("subject", "about", "encounter", "sender", "medium")
    thread = [one for one in alert.get("identifier", ()) if one.get("system") == THREAD_SYSTEM]
    return {
        "resourceType": "Communication",
        "id": "co-" + identity,
        "identifier": [{"system": ALERT_SYSTEM, "value": identity}, *thread],
        "inResponseTo": [{"reference": f"Communication/{alert['id']}"}],
        "status": "completed",
        "category": [_concept(CATEGORY_SYSTEM, CATEGORY), _concept(CATEGORY_SYSTEM, "correction")],
        "priority": alert.get("priority", "routine"),
        **{name: alert[name] for name in kept if name in alert},
        "recipient": [one for one in alert["recipient"] if one.get("reference") not in knows],
        "sent": date_time(now_us, zone),
        "payload": [{"contentString": text}],
    }


def _communication(
    transition: Transition,
    encounter_ref: str,
    patient_ref: str,
    member: str,
    recipient: Recipient,
    now_us: int,
    zone: str,
    about: About,
) -> Resource:
    identity = alert_id(encounter_ref, transition.key, recipient.reference)
    flags = [{"coding": [{"system": FLAG_SYSTEM, "code": flag.code, "display": flag.display}]} for flag in about.flags]
    return {
        "resourceType": "Communication",
        "id": identity,
        "extension": [times(transition.at_us, about.received_us or now_us, zone)],
        "identifier": [
            {"system": ALERT_SYSTEM, "value": identity},
            {"system": THREAD_SYSTEM, "value": about.thread or encounter_ref.partition("/")[2]},
        ],
        "status": "completed",
        "category": [_concept(CATEGORY_SYSTEM, CATEGORY)],
        "medium": [_concept("http://terminology.hl7.org/CodeSystem/v3-ParticipationMode", "ELECTRONIC")],
        "subject": _reference(patient_ref, member),
        "about": [{"reference": encounter_ref}],
        "encounter": {"reference": encounter_ref},
        "sent": date_time(now_us, zone),
        "recipient": [
            _reference(recipient.reference, recipient.display),
            *({"reference": one} for one in recipient.also if one != recipient.reference),
        ],
        **({"reasonCode": flags} if flags else {}),
    }


def times(event_us: int, received_us: int, zone: str) -> Resource:
    """Extension: when it happened, and when the message came. `sent` is when it was told; people: table notice."""
    came = datetime.fromtimestamp(received_us // 1_000_000, UTC).isoformat().replace("+00:00", "Z")
    return {
        "url": TIMES,
        "extension": [
            {"url": "event", "valueDateTime": date_time(event_us, zone)},
            {"url": "received", "valueInstant": came},
        ],
    }


def _follow_up(
    transition: Transition,
    alert: Alert,
    encounter_ref: str,
    patient_ref: str,
    member: str,
    recipients: Sequence[Recipient],
    now_us: int,
    zone: str,
    about: About,
) -> Resource | None:
    """None where nothing is to be done, or where it could only have been done in the past."""
    due_us = (now_us if about.already else transition.at_us) + alert.due_h * HOUR_US
    if not alert.follow_up or transition.quiet_reason == "superseded" or due_us < now_us:
        return None
    follow_up = FOLLOW_UPS[alert.follow_up]
    owner = next((r for r in recipients if r.lead), recipients[0])
    focus = alert_id(encounter_ref, transition.key, owner.reference)
    identity = task_id(encounter_ref, transition.key)
    code = _concept(FOLLOW_UP_SYSTEM, follow_up.code)
    return {
        "resourceType": "Task",
        "id": identity,
        "identifier": [{"system": ALERT_SYSTEM, "value": identity}],
        "status": "requested",
        "intent": "order",
        "priority": alert.priority,
        "code": {**code, "text": follow_up.text},
        "focus": {"reference": f"Communication/{focus}"},
        "for": _reference(patient_ref, member),
        "encounter": {"reference": encounter_ref},
        "authoredOn": date_time(now_us, zone),
        "lastModified": instant(now_us),
        "owner": _reference(owner.reference, owner.display),
        "restriction": {"period": {"end": date_time(due_us, zone)}},
    }


def _text(
    text: str, t: Transition, member: str, facility: str, now_us: int, zone: str, began_us: int | None = None
) -> str:
    return fill(
        text,
        who=member,
        where=facility,
        at_us=t.at_us,
        now_us=now_us,
        before=t.before,
        detail=t.detail,
        zone=zone,
        began_us=began_us,
    )


def _concept(system: str, code: str) -> Resource:
    return {"coding": [{"system": system, "code": code}]}


def _reference(reference: str, display: str) -> Resource:
    return {"reference": reference, "display": display} if display else {"reference": reference}
