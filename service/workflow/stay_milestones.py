"""What of a stay's state is worth telling: its milestones, each with a key that stays the same while it stands.

The net set of alerts is the milestones of the final state, so that every order of arrival ends in the same set
(facts/adt.md 1.6, 9). A key holds ordinals and words, never times: a corrected admission time is no new admission.
"""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, field

from service.workflow.stay_classes import RANK
from service.workflow.stay_events import DAY_US, HOSPITAL, Fact
from service.workflow.stays import StayState, Visit

ADMITTED_HERE = "09"
"""NUBC: admitted as an inpatient to this hospital. The account of the emergency visit ends, the stay does not."""
ARRIVALS = {"ED": "ed-arrival", "OBSERVATION": "observation", "INPATIENT": "admission"}


@dataclass(frozen=True)
class Milestone:
    """kind: a row of alert_text.ALERTS. setting: the class it happened in; before: the class it came from, or "".

    detail: disposition group, new facility or new class. production: MSH-11 was P. late: over 24 h to the receipt.
    """

    kind: str
    key: str
    at_us: int
    setting: str
    before: str = ""
    detail: str = ""
    production: bool = field(default=True, compare=False)
    late: bool = field(default=False, compare=False)
    received_us: int = field(default=0, compare=False)
    """When the message came."""


def milestones(state: StayState) -> tuple[Milestone, ...]:
    """In order of time. None while a stay is cancelled, entered in error or unknown."""
    found = [m for visit in state.visits for m in _of_visit(visit, state)]
    if state.death is not None and any(v.start_us is not None for v in state.visits):
        at = state.death.end_us if state.death.closes else state.death.occurred_us
        found.append(_milestone("death", "death", at, state.death, _peak(state.visits[-1])))
    return tuple(sorted(found, key=lambda m: (m.at_us, m.key)))


def _of_visit(visit: Visit, state: StayState) -> Iterator[Milestone]:
    if visit.plan is not None:
        yield _milestone("pre-admission", f"pre-admission.{visit.ordinal}", visit.plan.occurred_us, visit.plan, "PRE")
    if visit.start_us is None or visit.first is None:
        return
    yield from _arrivals(visit)
    setting = _peak(visit)
    if setting not in HOSPITAL and visit.classes:
        # Clinic visits, recurring therapy: known and not an event of concern. An unknown class is no such knowledge.
        return
    for move in visit.moves:
        # The name of the facility in the key, hashed: a late A02 between two others must not renumber them.
        place = hashlib.sha256(move.facility.encode()).hexdigest()[:8]
        key = f"transfer.{visit.ordinal}.{place}"
        yield _milestone("transfer", key, move.start_us, move.fact, setting, detail=move.facility)
    if visit.pending is not None:
        key = f"pending-discharge.{visit.pending_ordinal}"
        yield _milestone("pending-discharge", key, visit.pending.occurred_us, visit.pending, setting)
    yield from _leaves(visit, setting)
    here = visit.disposition_code == ADMITTED_HERE
    if visit.closing is not None and visit.end_us is not None and visit.disposition != "EXPIRED" and not here:
        group = visit.disposition or "NOT_STATED"
        key = f"discharge.{visit.end_ordinal}.{group}"
        yield _milestone("discharge", key, visit.end_us, visit.closing, setting, detail=group)


def _leaves(visit: Visit, setting: str) -> Iterator[Milestone]:
    """A leave of absence from a psychiatric or nursing unit is news; a walk between two wards is none."""
    for number, fact in enumerate(visit.away):
        if fact.apart:
            key = f"{fact.effect}.{visit.ordinal}.{number // 2}"
            yield _milestone(fact.effect, key, fact.occurred_us, fact, setting)


def _arrivals(visit: Visit) -> Iterator[Milestone]:
    """Each step up is news. A step down takes back what it undoes and says so once."""
    assert visit.first is not None and visit.start_us is not None
    if not visit.classes:
        key = f"hospital-encounter.{visit.ordinal}"
        yield _milestone("hospital-encounter", key, visit.start_us, visit.first, "UNKNOWN")
        return
    standing: list[Milestone] = []
    before, downs = "", 0
    for span in visit.classes:
        if before and RANK[span.klass] < RANK[before]:
            if before in {"INPATIENT", "OBSERVATION"}:
                standing = [m for m in standing if RANK[m.setting] <= RANK[span.klass] or m.kind == "class-down"]
                key = f"class-down.{visit.ordinal}.{downs}"
                standing.append(_milestone("class-down", key, span.start_us, span.fact, span.klass, before, span.klass))
            downs += 1
        elif span.klass in ARRIVALS:
            kind = ARRIVALS[span.klass]
            key = f"{kind}.{visit.ordinal}" + (f".{downs}" if downs else "")
            standing.append(_milestone(kind, key, span.start_us, span.fact, span.klass, before))
        before = span.klass
    yield from standing


def _milestone(
    kind: str, key: str, at_us: int, fact: Fact, setting: str, before: str = "", detail: str = ""
) -> Milestone:
    # A back-dated event is news from the time it was recorded; a replayed one keeps its old EVN-2.
    since = max(at_us, fact.made_us) if fact.backdated else at_us
    late = fact.received_us - since > DAY_US
    return Milestone(kind, key, at_us, setting, before, detail, fact.production, late, fact.received_us)


def _peak(visit: Visit) -> str:
    """The highest class of the visit: what the person would say they were in hospital for."""
    return max((s.klass for s in visit.classes), key=lambda k: RANK[k], default="UNKNOWN")
