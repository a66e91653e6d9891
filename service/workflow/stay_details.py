"""What the state of a stay does not hold: numbers, attending doctor, reason, diagnoses. Pure.

Of all its messages in the order in which things happened, the last that said it: a late message does not bring an old
doctor back.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from fhir_profiles import Resource
from mappers.hl7v2.event import AdtEvent, Coded, Person, StayKey, Visit
from mappers.hl7v2.resources.condition import conditions
from service.workflow.stay_events import StoredEvent, order_of

DIAGNOSES = "https://enlace.example.org/hospital-diagnoses"


@dataclass(frozen=True)
class Details:
    """event: the last message of a visit, with what earlier ones said beside. former: numbers that it had before."""

    event: AdtEvent
    former: tuple[StayKey, ...] = ()
    reason: Coded | None = None
    admission_type: str = ""
    """PV1-4 as the hospital sent it."""


def details(events: Sequence[StoredEvent]) -> Details:
    """events: as for stays.reduce."""
    said = [s.event for s in sorted(events, key=order_of) if s.event.visit is not None]
    last = said[-1]
    visit = replace(last.visit or Visit(), attending=_attending(said), class_code=_class_code(said))
    former = {_number(e.stay): e.stay for e in said if e.stay.visit_number or e.stay.account}
    former.pop(_number(last.stay), None)
    reasons = [e.visit.reason for e in said if e.visit and e.visit.reason]
    types = [e.visit.admission_type for e in said if e.visit and e.visit.admission_type.strip()]
    return Details(
        replace(last, visit=visit),
        tuple(former.values()),
        reasons[-1] if reasons else None,
        types[-1] if types else "",
    )


def _number(stay: StayKey) -> tuple[str, str]:
    return stay.visit_number, stay.account


def _attending(said: Sequence[AdtEvent]) -> Person | None:
    found = [e.visit.attending for e in said if e.visit and e.visit.attending]
    return found[-1] if found else None


def _class_code(said: Sequence[AdtEvent]) -> str:
    found = [e.visit.class_code for e in said if e.visit and e.visit.class_code.strip()]
    return found[-1] if found else ""


def diagnoses(
    events: Sequence[StoredEvent], patient: str, encounter: str, name: Callable[[str], str]
) -> list[Resource]:
    """A Condition for each code that any message gave; the last word on a code counts.

    name: makes the id. What follows from Encounter and code alone could be guessed, code by code, where the id stands.
    The hospital assigns its identifier: so the labels of the place (label_rule) are the diagnosis's too.
    """
    found: dict[str, Resource] = {}
    for stored in sorted(events, key=order_of):
        for condition in conditions(stored.event, patient, encounter):
            identity = name(condition["id"])
            made = {**condition, "id": identity}
            if place := stored.event.facility.reference:
                made["identifier"] = [{"system": DIAGNOSES, "value": identity, "assigner": {"reference": place}}]
            found[identity] = made
    return [found[id] for id in sorted(found)]
