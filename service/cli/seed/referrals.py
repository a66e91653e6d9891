"""Referrals in every state: ServiceRequest, Task, and the Procedure where something was done.

Shapes: SDOHCC 3.0.0 (facts/closed-loop.md 1.2); states: service/workflow/referrals.py TRANSITIONS; decisions.md 22.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from fhir_profiles import Resource
from service.cli.seed.directory import CBOS, CLINIC, ECM_PROVIDERS, PLANS, Cbo, Person
from service.cli.seed.parts import SDOH_CODES, Days, Entry, coded, filled, note, own, ref
from service.cli.seed.people import Member

FIRST = ("requested", "accepted", "in-progress", "on-hold", "requested", "accepted")
"""The first referral of each lead care manager's first member is open: the board of none is empty."""
CYCLE = (
    *("completed", "requested", "accepted", "in-progress", "completed", "on-hold", "rejected", "failed"),
    *("completed", "cancelled", "draft", "in-progress", "completed", "entered-in-error", "requested", "accepted"),
)
HOW_MANY = (1, 2, 1, 3, 0)

# Task status -> closed-loop status, status of the ServiceRequest, reason: (code of closure or "", words).
STATES: dict[str, tuple[str, str, tuple[str, str]]] = {
    "draft": ("", "active", ("", "")),
    "requested": ("pending", "active", ("", "")),
    "accepted": ("accepted", "active", ("", "")),
    "in-progress": ("outreach-initiated", "active", ("", "")),
    "on-hold": ("outreach-initiated", "active", ("", "Waiting for a slot that opens next month")),
    "completed": ("referral-loop-closed", "completed", ("services-received", "Services received")),
    "failed": ("referral-loop-closed", "active", ("other", "The program ended before the service could start")),
    "rejected": ("declined", "active", ("", "We are at capacity until next month")),
    "cancelled": ("referral-loop-closed", "revoked", ("no-longer-wanted", "The member no longer wants the service")),
    "entered-in-error": ("", "entered-in-error", ("", "Referred for another member by mistake")),
}
_NAMES = {party.slug: party.name for party in (*ECM_PROVIDERS, CLINIC, *PLANS)}


@dataclass(frozen=True)
class Referral:
    """role: word from which its ids follow. ago: days since it was made. reason overrides the words of STATES."""

    role: str
    cbo: Cbo
    status: str
    ago: int
    priority: str = "routine"
    closed: int = 0
    notes: tuple[tuple[int, str, str], ...] = ()
    """(days ago, clock, words) of what the target wrote."""
    condition: str = ""
    words: str = ""
    by: Person | None = None
    """Who refers, where it is not the lead care manager."""
    output: Resource | None = None
    """What came of it, where it is not a Procedure of the organization."""
    pof: str = ""
    began: tuple[int, str] | None = None
    """(days ago, clock) of the first service, where it was not two days after the referral."""

    @property
    def start(self) -> tuple[int, str]:
        return self.began or (self.ago - 2, "11:30")

    def requester(self, who: Member) -> tuple[Person, Resource]:
        """(the person, a Reference to the organization)"""
        person = self.by or who.lcm
        return person, ref(f"Organization/{person.organization}", _NAMES[person.organization])


def choose(who: Member) -> list[Referral]:
    """The referrals of a member, each to another organization; none for who is not engaged."""
    if not who.engaged:
        return []
    rng = who.random("referrals")
    chosen = []
    for number in range(HOW_MANY[who.place % len(HOW_MANY)]):
        cbo = CBOS[(who.number // 2 + 3 * number) % len(CBOS)]
        status = CYCLE[(who.number + 5 * number) % len(CYCLE)]
        if who.place == 0 and number == 0:
            status = FIRST[who.number % len(FIRST)]
        ago = rng.randrange(8, min(who.started - 6, 60))
        closed = rng.randrange(1, 6)
        notes = ((ago - 2, "11:30", "Called the member and agreed on a first visit."),)
        words = f"{cbo.service} for the member, please call in the morning."
        chosen.append(
            Referral(
                *(f"referral-{number}", cbo, status, ago, rng.choice(("routine", "routine", "urgent")), closed),
                notes=notes if status in ("in-progress", "on-hold", "completed", "failed") else (),
                condition=f"need-{cbo.slug}",
                words=words,
            )
        )
    return chosen


def entries(who: Member, days: Days, referral: Referral) -> Iterator[Entry]:
    """Request and tracking by the requester, the Procedure by the organization that did it."""
    made = who.id(referral.role, "request")
    request_ref = f"ServiceRequest/{made}"
    author = str(referral.requester(who)[1]["reference"])
    yield author, _request(who, days, referral, made)
    if referral.status == "completed" and referral.output is None:
        yield referral.cbo.reference, _procedure(who, days, referral, request_ref)
    yield author, _task(who, days, referral, request_ref)


def _service(cbo: Cbo) -> Resource:
    return own("cs-service", cbo.cs, cbo.service, cbo.service) if cbo.cs else {"text": cbo.service}


def _request(who: Member, days: Days, r: Referral, made: str) -> Resource:
    authored = days.at(r.ago, "09:12")
    person = r.requester(who)[0]
    return filled(
        resourceType="ServiceRequest",
        id=made,
        status=STATES[r.status][1],
        intent="order",
        category=[coded(SDOH_CODES, r.cbo.sdoh)],
        priority=r.priority,
        code=_service(r.cbo),
        subject=ref(who.reference, who.name),
        occurrencePeriod={"start": days.on(r.ago), "end": days.on(r.ago - 90)},
        authoredOn=authored,
        requester=ref(person.works_as, person.name),
        performer=[ref(r.cbo.reference, r.cbo.name)],
        reasonCode=[own("ecm-pof", r.pof)] if r.pof else None,
        reasonReference=[ref(f"Condition/{who.id(r.condition)}")] if r.condition else None,
        note=[note(r.words, authored)] if r.words else None,
    )


def _procedure(who: Member, days: Days, r: Referral, request_ref: str) -> Resource:
    return filled(
        resourceType="Procedure",
        id=who.id(r.role, "procedure"),
        basedOn=[ref(request_ref)],
        status="completed",
        category={"text": "Social service"},
        code=_service(r.cbo),
        subject=ref(who.reference, who.name),
        performedPeriod={"start": days.on(r.start[0]), "end": days.on(r.closed)},
        performer=[{"actor": ref(r.cbo.reference, r.cbo.name)}],
        note=[{"text": r.cbo.done + "."}],
    )


def _task(who: Member, days: Days, r: Referral, request_ref: str) -> Resource:
    business, _, reason = STATES[r.status]
    began = r.status in ("in-progress", "on-hold", "completed", "failed")
    over = r.status in ("completed", "failed", "cancelled", "rejected", "entered-in-error")
    last = (r.closed, "15:45") if over else r.notes[-1][:2] if r.notes else (r.ago - 1, "15:45")
    modified = days.at(*last)
    return filled(
        resourceType="Task",
        id=who.id(r.role, "task"),
        status=r.status,
        statusReason=_reason(reason),
        businessStatus=own("clr-referral-status", business) if business else None,
        intent="order",
        priority=r.priority,
        code=coded("http://hl7.org/fhir/CodeSystem/task-code", "fulfill"),
        description=f"{r.cbo.service}: please answer this referral.",
        focus=ref(request_ref),
        **{"for": ref(who.reference, who.name)},
        executionPeriod=filled(start=days.at(*r.start), end=modified if over else None) if began else None,
        authoredOn=days.at(r.ago, "09:15"),
        lastModified=days.at(r.ago, "09:15") if r.status in ("draft", "requested") else modified,
        requester=r.requester(who)[1],
        owner=ref(r.cbo.reference, r.cbo.name),
        note=[note(text, days.at(ago, clock), ref(r.cbo.reference, r.cbo.name)) for ago, clock, text in r.notes],
        output=[_output(who, r)] if r.status == "completed" else None,
    )


def _reason(reason: tuple[str, str]) -> Resource | None:
    code, words = reason
    if not words:
        return None
    return own("clr-closure-reason", code, text=words) if code else {"text": words}


def _output(who: Member, r: Referral) -> Resource:
    if r.output is not None:
        return {"type": coded(SDOH_CODES, "additional-content"), "valueReference": r.output}
    procedure = f"Procedure/{who.id(r.role, 'procedure')}"
    return {"type": coded(SDOH_CODES, "resulting-activity"), "valueReference": ref(procedure)}
