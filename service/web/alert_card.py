"""What the inbox shows of one alert: Communication, follow-up Task, Patient and Encounter in plain words. Pure.

Shapes: service/workflow/transitions_of_care.py, ../shared/decisions.md 38.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from zoneinfo import ZoneInfo

from fhir_profiles import Resource
from service.auth.login import name_of
from service.search.dates import parse
from service.workflow.alerts import UNDO_US
from service.workflow.parties import reference_of

PRIORITY = {
    "stat": ("stat", "Act now"),
    "asap": ("asap", "Very urgent"),  # R4: above urgent
    "urgent": ("urgent", "Urgent"),
    "routine": ("routine", "For information"),
}
_CLOSED = {"completed": "Done", "cancelled": "Cancelled", "failed": "Not done", "rejected": "Declined"}


@dataclass(frozen=True)
class Moment:
    """iso: for machines. text: for people, in the zone of the service."""

    iso: str
    text: str


@dataclass(frozen=True)
class FollowUp:
    text: str
    due: Moment | None
    closed: str
    overdue: bool


@dataclass(frozen=True)
class Card:
    """state: new, acknowledged, retracted. correction: it takes back or corrects an alert told before."""

    id: str
    member: str
    what: tuple[str, ...]
    tier: str
    priority: str
    state: str
    correction: bool
    sent: Moment | None
    facility: str
    began: Moment | None
    acknowledged: Moment | None
    can_undo: bool
    retracted_because: str
    follow_ups: tuple[FollowUp, ...]
    followed_by: str = ""
    """While something is still to do: what the newest later alert of the same stay says."""
    was_for: str = ""
    """Name of the person to whom it went, who does not lead the member's care now: it was handed over."""


def card(
    alert: Resource,
    others: Mapping[str, Resource],
    tasks: Sequence[Resource],
    now_us: int,
    zone: str,
    was_for: str = "",
) -> Card:
    """others: Patients and Encounters by relative reference, as far as the person may see them."""
    patient = others.get(reference_of(alert, "subject"), {})
    encounter = others.get(reference_of(alert, "encounter"), {})
    tier, priority = PRIORITY.get(str(alert.get("priority", "routine")), PRIORITY["routine"])
    received = str(alert.get("received") or "")
    return Card(
        id=str(alert["id"]),
        member=name_of(patient) or _display(alert, "subject") or "A member on your panel",
        what=tuple(p["contentString"] for p in alert.get("payload") or () if p.get("contentString")),
        tier=tier,
        priority=priority,
        state=state_of(alert),
        correction=_is_correction(alert),
        sent=moment(str(alert.get("sent") or ""), zone),
        facility=_display(encounter, "serviceProvider") or _display(alert, "sender"),
        began=moment(str((encounter.get("period") or {}).get("start") or ""), zone),
        acknowledged=moment(received, zone),
        can_undo=can_undo(alert, now_us),
        retracted_because=str((alert.get("statusReason") or {}).get("text") or ""),
        follow_ups=tuple(_follow_up(task, now_us, zone) for task in sorted(tasks, key=_due_us)),
        was_for=was_for,
    )


def followed(cards: Mapping[str, Card], alerts: Sequence[Resource]) -> dict[str, Card]:
    """The cards, those with an open follow-up naming the newest later alert of the same stay.

    The follow-up stays open: each is a task of its own, and only the care manager says that it is done.
    """
    out = dict(cards)
    newest: dict[str, Resource] = {}
    for alert in sorted(alerts, key=_sent_us, reverse=True):
        stay = reference_of(alert, "encounter")
        if not stay or state_of(alert) == "retracted" or _is_correction(alert):
            continue
        later, shown = newest.setdefault(stay, alert), cards[str(alert["id"])]
        if later is not alert and any(not task.closed for task in shown.follow_ups):
            after = cards[str(later["id"])]
            out[shown.id] = replace(shown, followed_by=" ".join(after.what) or "a later alert of this visit.")
    return out


def _sent_us(alert: Resource) -> int:
    return _us(str(alert.get("sent") or "")) or 0


def state_of(alert: Resource) -> str:
    if alert.get("status") == "entered-in-error":
        return "retracted"
    return "acknowledged" if alert.get("received") else "new"


def can_undo(alert: Resource, now_us: int) -> bool:
    received = _us(str(alert.get("received") or ""))
    return received is not None and state_of(alert) == "acknowledged" and now_us - received < UNDO_US


def moment(value: str, zone: str) -> Moment | None:
    """ "Mar 7, 2026, 3:40 PM PST"; a date without a time stays a date; None for what is no FHIR date."""
    us = _us(value)
    if us is None:
        return None
    local = datetime.fromtimestamp(us / 1_000_000, tz=ZoneInfo(zone))
    day = f"{local:%b} {local.day}, {local.year}"
    if len(value) <= 10:
        return Moment(value, f"{day} (no time given)" if len(value) == 10 else value)
    half = "AM" if local.hour < 12 else "PM"
    return Moment(value, f"{day}, {local.hour % 12 or 12}:{local.minute:02d} {half} {local:%Z}")


def _us(value: str) -> int | None:
    try:
        return parse(value)[0] if value else None
    except ValueError:
        return None


def _display(resource: Resource, element: str) -> str:
    value = resource.get(element)
    return str(value.get("display") or "") if isinstance(value, dict) else ""


def _is_correction(alert: Resource) -> bool:
    return any(c.get("code") == "correction" for one in alert.get("category") or () for c in one.get("coding") or ())


def _due_us(task: Resource) -> int:
    """What is due first stands first."""
    return _us(str(((task.get("restriction") or {}).get("period") or {}).get("end") or "")) or 2**63


def _follow_up(task: Resource, now_us: int, zone: str) -> FollowUp:
    end = str(((task.get("restriction") or {}).get("period") or {}).get("end") or "")
    closed = _CLOSED.get(str(task.get("status")), "")
    due_us = _us(end)
    text = str((task.get("code") or {}).get("text") or task.get("description") or "Follow up with the member.")
    return FollowUp(text, moment(end, zone), closed, not closed and due_us is not None and due_us < now_us)
