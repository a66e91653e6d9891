"""Members in whose panel: rows that follow from Coverage, EpisodeOfCare, CareTeam and Task, kept with their period.

Source: ../shared/facts/security.md 2.1. A period that ends takes effect by itself: nothing has to run.
"""

from collections.abc import Iterator
from typing import Any

from fhir_profiles import Resource
from service.search.dates import MAX_US, MIN_US, Range, parse
from service.search.keys import Keys
from service.search.references import normal_reference
from service.store.change import PanelRow

AFTER_CLOSE_US = 30 * 86_400_000_000
"""A party to a closed referral keeps its view for 30 days, to correct and to bill; then only the record remains."""

LIVE_EPISODE = frozenset({"planned", "waitlist", "active", "onhold"})
LIVE_TEAM = frozenset({"proposed", "active", "suspended"})
ENDED = frozenset({"finished", "inactive"})
"""An assignment that ended keeps its row until then, for who reads on in a grace (ENLACE_ECM_GRACE_DAYS)."""
OPEN_TASK = frozenset({"requested", "received", "accepted", "in-progress", "on-hold", "ready"})
CLOSED_TASK = frozenset({"completed", "failed", "cancelled"})

SELF = "self"
"""Role of a row that an organization gave itself while it had the member by another resource (granting.py): it says who
is of a CareTeam, for Consents that name the team, and is never counted as having the member."""

Party = tuple[str, str]
"""(relative reference of an organization or person, role)"""


def panel_rows(
    resource: Resource, patient: str | None, keys: Keys, now_us: int, base_url: str = ""
) -> tuple[PanelRow, ...]:
    """Panel rows of one resource; () for a type that gives none, or whose status ends the relationship.

    base_url: absolute references below it are ours.
    """
    rule = RULES.get(resource["resourceType"])
    if rule is None or patient is None:
        return ()
    basis, parties, period = rule
    span = period(resource, now_us)
    if span is None or span[0] >= span[1]:
        return ()
    named = [(normal_reference(reference, base_url), role) for reference, role in parties(resource)]
    rows = {
        PanelRow(keys.resource(reference), keys.resource(patient), basis, role, span[0], span[1])
        for reference, role in named
        if reference and "://" not in reference and not reference.startswith(("Patient/", "RelatedPerson/"))
    }
    return tuple(sorted(rows, key=lambda row: (row.subject, row.role)))


def _reference(value: Any) -> str | None:
    text = value.get("reference") if isinstance(value, dict) else None
    return text if isinstance(text, str) else None


def _period(value: Any) -> Range:
    """[start, end) of a Period; an absent bound is open."""
    period = value if isinstance(value, dict) else {}
    start, end = period.get("start"), period.get("end")
    return (parse(start)[0] if start else MIN_US, parse(end)[1] if end else MAX_US)


def _coverage(resource: Resource, _now: int) -> Range | None:
    return _period(resource.get("period")) if resource.get("status") == "active" else None


def _episode(resource: Resource, now_us: int) -> Range | None:
    return _assigned(resource, LIVE_EPISODE, now_us)


def _team(resource: Resource, now_us: int) -> Range | None:
    return _assigned(resource, LIVE_TEAM, now_us)


def _assigned(resource: Resource, live: frozenset[str], now_us: int) -> Range | None:
    start, end = _period(resource.get("period"))
    if resource.get("status") in live:
        return start, end
    return (start, min(end, now_us)) if resource.get("status") in ENDED else None


def _task(resource: Resource, now_us: int) -> Range | None:
    if resource.get("status") in OPEN_TASK:
        return (MIN_US, MAX_US)
    return (MIN_US, now_us + AFTER_CLOSE_US) if resource.get("status") in CLOSED_TASK else None


def _payors(resource: Resource) -> Iterator[Party]:
    for payor in resource.get("payor") or ():
        if reference := _reference(payor):
            yield reference, "payor"


def _managers(resource: Resource) -> Iterator[Party]:
    if reference := _reference(resource.get("managingOrganization")):
        yield reference, "ecm-provider"
    if reference := _reference(resource.get("careManager")):
        yield reference, "lead-care-manager"


def _members(resource: Resource) -> Iterator[Party]:
    for organization in resource.get("managingOrganization") or ():
        if reference := _reference(organization):
            yield reference, "care-team"
    for participant in resource.get("participant") or ():
        for element in ("member", "onBehalfOf"):
            reference = _reference(participant.get(element))
            if reference:
                yield reference, "care-team"


def _task_parties(resource: Resource) -> Iterator[Party]:
    """The requester hears of what names it; only the other party has something to fulfil."""
    owner, requester = owned_for(resource) or _reference(resource.get("owner")), _reference(resource.get("requester"))
    if owner and owner != requester:
        yield owner, "task-owner"
    if requester:
        yield requester, "task-requester"
    for candidate in candidates(resource):
        if candidate not in (owner, requester):
            yield candidate, CANDIDATE


OWNED_FOR = "https://enlace.example.org/fhir/StructureDefinition/enlace-owner-organization"
"""On Task.owner that is a PractitionerRole: the Organization for which it owns it (workflow/referral_candidates.py)."""


def owned_for(resource: Resource) -> str | None:
    """The Organization of an owner that is a PractitionerRole, as written."""
    owner = resource.get("owner")
    listed = (owner.get("extension") or ()) if isinstance(owner, dict) else ()
    return next((_reference(one.get("valueReference")) for one in listed if one.get("url") == OWNED_FOR), None)


CANDIDATE = "task-candidate"
"""Role of a row of an organization that may claim an open referral: it sees what names it, never the member."""


def candidates(resource: Resource) -> list[str]:
    """To whom a referral is offered, as written: only while it is requested and nobody's; or whose a role owns it."""
    mine = owned_for(resource) if resource.get("resourceType") == "Task" else None
    if mine:
        return [mine]
    about = _reference(resource.get("focus")) or ""
    if resource.get("resourceType") != "Task" or resource.get("status") != "requested" or "owner" in resource:
        return []
    if "ServiceRequest/" not in about:
        return []
    named = (_reference(one) for one in (resource.get("restriction") or {}).get("recipient") or ())
    return [one for one in named if one and "Organization/" in one]


RULES: dict[str, tuple[str, Any, Any]] = {
    "Coverage": ("coverage", _payors, _coverage),
    "EpisodeOfCare": ("episode", _managers, _episode),
    "CareTeam": ("care-team", _members, _team),
    "Task": ("task", _task_parties, _task),
}
"""type -> (basis, who, from when to when or None)"""
