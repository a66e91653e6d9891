"""Attempts to reach a member: one Communication for each, not-done where nobody was reached.

Outcomes and media: code systems outreach-outcome and outreach-medium (facts/california.md C.3).
"""

from collections.abc import Iterator

from fhir_profiles import Resource
from service.cli.seed.parts import BASE, Days, Entry, filled, own, ref
from service.cli.seed.people import Member

CATEGORY = {"coding": [{"system": f"{BASE}/CodeSystem/communication-category", "code": "outreach"}]}
REACHED = frozenset({"reached-engaged", "reached-follow-up", "reached-declined", "third-party-reached"})
# Days since the referral, hour, medium, outcome, by engagement status.
_ATTEMPTS: dict[str, tuple[tuple[int, str, str, str], ...]] = {
    "in-outreach": ((14, "10:15", "telephone", "no-answer"), (9, "16:40", "telephone", "message-left")),
    "declined": ((30, "11:00", "telephone", "no-answer"), (13, "15:20", "in-person-home", "reached-declined")),
    "unable-to-reach": (
        (40, "09:30", "telephone", "no-answer"),
        (33, "17:45", "telephone", "wrong-number"),
        (24, "10:00", "in-person-home", "not-at-location"),
        (13, "10:00", "mail", "no-answer"),
    ),
}


def entries(who: Member, days: Days) -> Iterator[Entry]:
    attempts = _ATTEMPTS.get(who.row.ecm_status, ())
    if who.engaged and who.number % 5 == 1:
        attempts = ((who.started + 4, "10:10", "telephone", "no-answer"), (who.started, "14:00", *_FIRST))
    for number, (ago, clock, medium, outcome) in enumerate(attempts):
        yield who.ecm.reference, attempt(who, f"outreach-{number}", days.at(ago, clock), medium, outcome)


_FIRST = ("in-person-office", "reached-engaged")


def attempt(who: Member, role: str, when: str, medium: str, outcome: str, text: str = "") -> Resource:
    done = outcome in REACHED
    return filled(
        resourceType="Communication",
        id=who.id(role),
        status="completed" if done else "not-done",
        statusReason=own("outreach-outcome", outcome),
        category=[CATEGORY],
        medium=[own("outreach-medium", medium)],
        subject=ref(who.reference, who.name),
        sent=when,
        recipient=[ref(who.reference, who.name)],
        sender=ref(who.lcm.reference, who.lcm.name),
        payload=[{"contentString": text}] if text else None,
    )
