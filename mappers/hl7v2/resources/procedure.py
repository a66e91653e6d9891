"""PR1 -> Procedure (v2-to-FHIR PR1[Procedure]): https://hl7.org/fhir/R4/procedure.html"""

from __future__ import annotations

from mappers.hl7v2.message import Segment
from mappers.hl7v2.resources.collected import Collected
from mappers.hl7v2.resources.elements import Resource, coding, filled
from mappers.hl7v2.resources.practitioner import practitioner

_SNOMED = "http://snomed.info/sct"
_PERFORMERS = ((8, "88189002", "Anesthesiologist"), (11, "304292004", "Surgeon"), (12, "", ""))


def procedures(made: Collected) -> None:
    """A Procedure per PR1."""
    for called, pr1 in made.numbered("PR1"):
        if one := _procedure(made, pr1, called):
            made.add(one, called)


def _procedure(made: Collected, pr1: Segment, called: str) -> Resource:
    code = made.concept(pr1, 3)
    if words := pr1.get(4):
        code.setdefault("text", words)
    if not code:
        return {}
    performers = []
    for number, function, display in _PERFORMERS:
        for rep in pr1.reps(number):
            if who := practitioner(made, rep, called):
                role = coding(_SNOMED, function, display) if function else {}
                performers.append(filled(function=role, actor=who))
    at = made.time(pr1, 5)
    deleted = pr1.get(20).upper() == "D"
    return filled(
        resourceType="Procedure",
        id=made.id_of("procedure", made.encounter_ref or made.patient_ref, pr1.get(3) or pr1.get(4), at),
        # The map leaves the status to the implementer: a PR1 says what was coded, not that it was completed.
        status="entered-in-error" if deleted else "unknown",
        category=made.concept(pr1, 6),
        code=code,
        subject={"reference": made.patient_ref},
        encounter=filled(reference=made.encounter_ref),
        performedDateTime=at,
        performer=performers,
        reasonCode=[made.concept(pr1, 15)] if pr1.get(15) else [],
    )
