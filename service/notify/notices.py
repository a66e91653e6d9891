"""THE kinds of notices to people: whom a new version concerns, and whether it still does at sending. Pure.

How each is told by default stands beside in notice_kinds.json.
"""

import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from fhir_profiles import Resource
from service.search.references import normal_reference

CATEGORY_SYSTEM = "https://enlace.example.org/fhir/CodeSystem/communication-category"
CATEGORY = "enlace-alert"
ABOUT_REFERRALS = frozenset({"clr-notice", "referral-overdue"})
RECORDS = frozenset({"warm-hand-off"})
"""Categories of what was said already, to those who were there."""
TEAM_ROLE = "https://enlace.example.org/fhir/CodeSystem/team-role"
LEAD = "lead-care-manager"
OPEN_TASK = frozenset({"draft", "requested", "received", "accepted", "ready", "in-progress", "on-hold"})
LIVE = frozenset({"planned", "waitlist", "active", "onhold", "proposed", "suspended"})
"""Statuses of an EpisodeOfCare or CareTeam that is in force."""
SENT = frozenset({"in-progress", "completed"})
MEMBERS = ("Patient/", "RelatedPerson/")


@dataclass(frozen=True)
class Terms:
    """How a kind is told where no preference says otherwise; a row of notice_kinds.json."""

    channels: tuple[str, ...]
    beside: dict[str, tuple[str, ...]]
    passes_quiet: frozenset[str]
    quiet: str
    words: dict[str, str]

    def default(self, priority: str) -> tuple[str, ...]:
        return (*self.channels, *self.beside.get(priority, ()))


@lru_cache(maxsize=1)
def terms() -> dict[str, Terms]:
    rows = json.loads((Path(__file__).parent / "notice_kinds.json").read_text("utf-8"))["kinds"]
    return {
        kind: Terms(
            tuple(row["channels"]),
            {priority: tuple(names) for priority, names in row["beside"].items()},
            frozenset(row["passes_quiet"]),
            row["quiet"],
            row["words"],
        )
        for kind, row in rows.items()
    }


Told = Callable[[Resource, Resource], Iterable[str]]
"""(the new version, the one before or {}) -> references of those whom the new one concerns and the former did not."""
Still = Callable[[Resource, frozenset[str]], str]
"""(the resource as it is now, the person under all its names) -> why the person is no longer told of it, or ""."""


@dataclass(frozen=True)
class NoticeKind:
    code: str
    rtypes: tuple[str, ...]
    told: Told
    still: Still


def is_alert(communication: Resource) -> bool:
    return CATEGORY in _categories(communication)


def is_correction(communication: Resource) -> bool:
    return "correction" in _categories(communication)


def priority_of(resource: Resource) -> str:
    return str(resource.get("priority") or "routine")


def answered(communication: Resource) -> list[str]:
    """The alerts that this one corrects or replaces."""
    return [reference for one in communication.get("inResponseTo") or () if (reference := _reference(one))]


def recipients_of(communication: Resource) -> list[str]:
    return [reference for one in communication.get("recipient") or () if (reference := _reference(one))]


def subject_of(resource: Resource) -> str:
    return _reference(resource.get("subject"))


# --- whom a version concerns -----------------------------------------------------------------------------------------


def _alert(new: Resource, old: Resource) -> Iterator[str]:
    """Also one that is true again after it was taken back. An acknowledgement is a new version and no news."""
    if not is_alert(new) or new.get("status") not in SENT or new.get("received"):
        return
    known = recipients_of(old) if is_alert(old) and old.get("status") in SENT else []
    yield from (one for one in recipients_of(new) if one not in known and not one.startswith(MEMBERS))


def _message(new: Resource, old: Resource) -> Iterator[str]:
    if is_alert(new) or new.get("status") not in SENT or RECORDS & set(_categories(new)):
        return
    known = recipients_of(old) if old.get("status") in SENT else []
    yield from (one for one in recipients_of(new) if one not in known and one.startswith(MEMBERS))


def _referral_message(new: Resource, old: Resource) -> Iterator[str]:
    if new.get("status") not in SENT or not ABOUT_REFERRALS & set(_categories(new)):
        return
    known = recipients_of(old) if old.get("status") in SENT else []
    yield from (one for one in recipients_of(new) if one not in known and not one.startswith(MEMBERS))


def _owner(new: Resource, old: Resource) -> Iterator[str]:
    """What is to be done about an alert is told with the alert."""
    owner = _reference(new.get("owner"))
    about = _reference(new.get("focus"))
    if owner and new.get("status") in OPEN_TASK and not about.startswith("Communication/"):
        known = _reference(old.get("owner")) if old.get("status") in OPEN_TASK else ""
        yield from [owner] if owner != known else []


def _requester(new: Resource, old: Resource) -> Iterator[str]:
    requester = _reference(new.get("requester"))
    moved = any(new.get(element) != old.get(element) for element in ("status", "businessStatus"))
    if requester and old and moved:
        yield requester


def _lead(new: Resource, old: Resource) -> Iterator[str]:
    if new.get("status") in LIVE:
        known = set(_leads(old)) if old.get("status") in LIVE else set[str]()
        yield from (one for one in dict.fromkeys(_leads(new)) if one not in known)


def _leads(resource: Resource) -> Iterator[str]:
    if manager := _reference(resource.get("careManager")):
        yield manager
    for participant in resource.get("participant") or ():
        codings = [c for role in participant.get("role") or () for c in role.get("coding") or ()]
        member = _reference(participant.get("member"))
        if member and any(c.get("system") == TEAM_ROLE and c.get("code") == LEAD for c in codings):
            yield member


# --- whether it still does -------------------------------------------------------------------------------------------


def _unanswered(now: Resource, _names: frozenset[str]) -> str:
    if now.get("status") not in SENT:
        return "retracted"
    return "acknowledged" if now.get("received") else ""


def _sent(now: Resource, names: frozenset[str]) -> str:
    if now.get("status") not in SENT:
        return "retracted"
    return "" if names & set(recipients_of(now)) else "moved-on"


def _owned(now: Resource, names: frozenset[str]) -> str:
    return "" if _reference(now.get("owner")) in names and now.get("status") in OPEN_TASK else "moved-on"


def _asked(now: Resource, names: frozenset[str]) -> str:
    if now.get("status") == "entered-in-error":
        return "retracted"
    return "" if _reference(now.get("requester")) in names else "moved-on"


def _led(now: Resource, names: frozenset[str]) -> str:
    return "" if now.get("status") in LIVE and names & set(_leads(now)) else "moved-on"


KINDS = {
    kind.code: kind
    for kind in (
        NoticeKind("alert", ("Communication",), _alert, _unanswered),
        NoticeKind("member-message", ("Communication",), _message, _sent),
        NoticeKind("task-assigned", ("Task",), _owner, _owned),
        NoticeKind("referral-status", ("Task",), _requester, _asked),
        NoticeKind("referral-message", ("Communication",), _referral_message, _sent),
        NoticeKind("assignment", ("CareTeam", "EpisodeOfCare"), _lead, _led),
        # Told by the clock (morning.py), of no resource.
        NoticeKind("in-hospital", (), lambda _new, _old: (), lambda _now, _names: ""),
        # Told by an alert that nobody acknowledged (people.py), never by a version.
        NoticeKind("escalation", (), lambda _new, _old: (), _unanswered),
    )
}
RTYPES = frozenset(rtype for kind in KINDS.values() for rtype in kind.rtypes)


def concerned(rtype: str, new: Resource, old: Resource) -> Iterator[tuple[str, str]]:
    """(code of the kind, reference of whom it concerns); references may be roles and organizations."""
    for kind in KINDS.values():
        if rtype in kind.rtypes:
            yield from ((kind.code, one) for one in dict.fromkeys(kind.told(new, old)))


def _categories(communication: Resource) -> list[str]:
    return [
        str(coding.get("code"))
        for concept in communication.get("category") or ()
        for coding in concept.get("coding") or ()
        if coding.get("system") == CATEGORY_SYSTEM
    ]


def _reference(value: object) -> str:
    text = value.get("reference") if isinstance(value, dict) else None
    return (normal_reference(text, "") or "") if isinstance(text, str) else ""
