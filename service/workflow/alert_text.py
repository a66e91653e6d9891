"""THE table of alerts: what each transition says to the lead care manager, how urgently, what to do and by when.

Types and urgency: facts/adt.md 9; follow-up times: facts/california.md C.4 (DHCS PHM Policy Guide, transitional care:
visit within 7 days of discharge). Texts are plain words; {who} {where} {when} {before} {detail} are filled in.
"""

from dataclasses import dataclass
from datetime import datetime
from zoneinfo import ZoneInfo

PACIFIC = "America/Los_Angeles"


@dataclass(frozen=True)
class Alert:
    """priority: R4 request-priority. follow_up: a key of FOLLOW_UPS or "". due_h: hours after the event."""

    priority: str
    text: str
    follow_up: str = ""
    due_h: int = 0


@dataclass(frozen=True)
class FollowUp:
    code: str
    text: str


DAY, WEEK = 24, 168

FOLLOW_UPS = {
    "contact": FollowUp("contact-hospital", "Contact the hospital and the member."),
    "plan": FollowUp("plan-discharge", "Take part in the discharge planning before the member leaves."),
    "visit": FollowUp("tcs-visit", "Transitional care: see that a provider visits the member within 7 days."),
    "find": FollowUp("tcs-visit", "Transitional care: find the member; a provider visit within 7 days."),
    "answer": FollowUp("answer-alert", "Look after this alert in the place of a colleague."),
    "death": FollowUp("close-outreach", "Stop outreach and tell the supervisor."),
}

ALERTS: dict[str, Alert] = {
    "ed-arrival": Alert("urgent", "{who} arrived in the emergency department of {where} {when}.", "contact", DAY),
    "observation": Alert("urgent", "{who} was placed under observation at {where} {when}.", "contact", DAY),
    "admission": Alert("urgent", "{who} was admitted to {where} {when}.", "contact", DAY),
    "admission/ED": Alert(
        "urgent", "{who} was admitted to {where} from its emergency department {when}.", "contact", DAY
    ),
    "admission/OBSERVATION": Alert(
        "urgent", "{who} is now an inpatient of {where}, after observation, since {when}.", "contact", DAY
    ),
    "hospital-encounter": Alert(
        "routine",
        "{who} has been at {where} since {when}; the hospital did not say in what kind of care.",
        "contact",
        DAY,
    ),
    "class-down": Alert("routine", "Correction: {who} is no longer {before} at {where} but {detail}, since {when}."),
    "transfer": Alert("urgent", "{who} was transferred to {detail} by {where} {when}.", "contact", DAY),
    "pending-discharge": Alert("asap", "{where} expects to discharge {who} soon (told {when}).", "plan", DAY),
    "discharge@ED/HOME": Alert(
        "urgent",
        "{who} went home from the emergency department of {where} {when}. The visit began {began}.",
        "visit",
        WEEK,
    ),
    "discharge@ED": Alert(
        "urgent",
        "{who} left the emergency department of {where} {when}; where to was not stated. The visit began {began}.",
        "visit",
        WEEK,
    ),
    "discharge/HOMELESS": Alert(
        "stat", "{who}, who has no home on record, was discharged from {where} {when}.", "find", WEEK
    ),
    "discharge/HOME": Alert("asap", "{who} was discharged home from {where} {when}.", "visit", WEEK),
    "discharge/SNF": Alert("urgent", "{who} left {where} for a nursing facility {when}.", "visit", WEEK),
    "discharge/ACUTE": Alert("urgent", "{who} was transferred from {where} to another hospital {when}.", "visit", WEEK),
    "discharge/REHAB": Alert("urgent", "{who} left {where} for rehabilitation or long care {when}.", "visit", WEEK),
    "discharge/PSYCH": Alert("urgent", "{who} left {where} for another hospital {when}.", "visit", WEEK),
    "discharge/HOSPICE": Alert("urgent", "{who} left {where} for hospice care {when}.", "visit", WEEK),
    "discharge/AMA": Alert("stat", "{who} left {where} {when} before the care was finished.", "find", WEEK),
    "discharge/CUSTODY": Alert("stat", "{who} left {where} in custody {when}.", "find", WEEK),
    "discharge": Alert("asap", "{who} was discharged from {where} {when}; where to was not stated.", "visit", WEEK),
    "pre-admission": Alert("routine", "{where} plans to admit {who} (told {when})."),
    "leave": Alert("routine", "{who} has been on a leave of absence from {where} since {when}."),
    "return": Alert("routine", "{who} came back to {where} from a leave of absence {when}."),
    "death": Alert("urgent", "{where} reports that {who} has died ({when}).", "death", DAY),
}
"""Rows `kind@class/word`, `kind/word`, `kind@class`, `kind`: the first that is there. The word is the detail, or the
class before. Urgency, facts/adt.md 9: highest (`stat`, `asap`) where the member left against advice, in custody, or for
home, with a home or without one; an emergency visit that ends at home is `urgent`.
"""

ALREADY = {
    "ed-arrival": "{who} is in the emergency department of {where}; the visit began {when}.",
    "observation": "{who} is under observation at {where}, and has been since {when}.",
    "admission": "{who} is already an inpatient of {where}; admitted {when}.",
    "hospital-encounter": "{who} has been at {where} since {when}; the hospital did not say in what kind of care.",
    "class-down": "{who} is {detail} at {where}, since {when}.",
}
"""In the place of the text, where the member is in hospital already as somebody begins to care for it."""

CORRECTIONS = {
    "visit-cancelled": "Correction: {where} cancelled the visit of {who} that it reported for {when}.",
    "discharge-cancelled": "Correction: {who} is still at {where}; the discharge reported for {when} was cancelled.",
    "transfer-cancelled": "Correction: {who} is still at {where}; the transfer reported for {when} was cancelled.",
    "entered-in-error": "Correction: {where} deleted the visit of {who} that it reported for {when}.",
    "match-reversed": "Correction: the hospital event reported for {when} was not about {who}.",
    "moved": "Correction: the hospital event reported for {when} was not about {who}.",
    "renumbered": "Correction: {where} keeps the visit of {who} that it reported for {when} under another number now.",
    "downgraded": "Correction: {where} changed the kind of care of {who} that it reported for {when}.",
    "corrected": "Correction: what {where} reported about {who} for {when} no longer holds.",
}

CLASS_WORDS = {
    "ED": "an emergency patient",
    "OBSERVATION": "under observation",
    "INPATIENT": "an inpatient",
    "AMBULATORY": "an outpatient",
    "OTHER": "an outpatient",
    "PRE": "registered in advance",
}


def alert_of(kind: str, detail: str, before: str, setting: str = "") -> Alert:
    names = (f"{kind}@{setting}/{detail}", f"{kind}/{detail}", f"{kind}/{before}", f"{kind}@{setting}", kind)
    return next(ALERTS[name] for name in names if name in ALERTS)


def fill(
    text: str,
    *,
    who: str,
    where: str,
    at_us: int,
    now_us: int,
    before: str,
    detail: str,
    zone: str,
    began_us: int | None = None,
) -> str:
    """The sentence. Where nothing names the person or the place it says so in general words."""
    if began_us is None:
        text = text.replace(" The visit began {began}.", "")
    when = moment(at_us, now_us, zone)
    if "since {when}" in text or "for {when}" in text or "told {when}" in text:
        when = when.removeprefix("at ").removeprefix("on ")
    said = text.format(
        who=who or "A member on your panel",
        where=where or "the hospital",
        when=when,
        before=CLASS_WORDS.get(before, before),
        detail=CLASS_WORDS.get(detail, detail) or "another facility",
        began=moment(began_us, now_us, zone) if began_us is not None else "",
    )
    said = said.replace("..", ".")  # a name that ends in an initial, at the end of the sentence
    return said[0].upper() + said[1:]


def moment(at_us: int, now_us: int, zone: str) -> str:
    """ "at 3:40 PM on March 7", local time; the year where it is not this year's; midnight sharp means a date only."""
    local, now = _local(at_us, zone), _local(now_us, zone)
    day = f"on {local.strftime('%B')} {local.day}" + (f", {local.year}" if local.year != now.year else "")
    if (local.hour, local.minute, local.second) == (0, 0, 0):
        return day
    return f"at {local.hour % 12 or 12}:{local.minute:02d} {'AM' if local.hour < 12 else 'PM'} {day}"


def date_time(us: int, zone: str = PACIFIC) -> str:
    """FHIR dateTime with the offset of the zone at that time."""
    return _local(us, zone).isoformat(timespec="seconds" if us % 1_000_000 == 0 else "microseconds")


def _local(us: int, zone: str) -> datetime:
    seconds, micros = divmod(us, 1_000_000)
    return datetime.fromtimestamp(seconds, tz=ZoneInfo(zone)).replace(microsecond=micros)
