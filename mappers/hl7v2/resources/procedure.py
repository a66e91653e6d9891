"""PR1 -> Procedure (v2-to-FHIR PR1[Procedure]): https://hl7.org/fhir/R4/procedure.html"""

from __future__ import annotations

from datetime import datetime, timedelta

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
    end = _end(made, pr1)
    deleted = pr1.get(20).upper() == "D"
    return filled(
        resourceType="Procedure",
        id=made.id_of("procedure", made.encounter_ref or made.patient_ref, pr1.get(3) or pr1.get(4), at),
        # The map leaves the status to the implementer: a PR1 says what was coded, not that it was completed.
        status="entered-in-error" if deleted else "unknown",
        category=made.concept(pr1, 6),
        identifier=[{"value": pr1.get(19)}] if pr1.get(19) else [],
        code=_modified(code, pr1),
        subject={"reference": made.patient_ref},
        encounter=filled(reference=made.encounter_ref),
        performedDateTime="" if end else at,
        performedPeriod=filled(start=at, end=end) if end else {},
        performer=performers,
        reasonCode=[made.concept(pr1, 15)] if pr1.get(15) else [],
    )


def _end(made: Collected, pr1: Segment) -> str:
    """PR1-7 minutes after PR1-5; "" where either is missing or the time has no minutes."""
    start, minutes = made.instant(pr1, 5), pr1.get(7)
    if not start or not minutes.isdecimal() or not 0 < len(minutes) <= 5:
        return ""
    try:
        return (datetime.fromisoformat(start) + timedelta(minutes=int(minutes))).isoformat()
    except OverflowError:
        return ""


def _modified(code: Resource, pr1: Segment) -> Resource:
    """A CPT code carries its modifiers after colons (https://terminology.hl7.org/CPT.html)."""
    modifiers = [rep.get(1) for rep in pr1.reps(16) if rep.get(1) and " " not in rep.get(1)]
    if modifiers and code.get("coding"):
        code["coding"][0]["code"] = ":".join((code["coding"][0]["code"], *modifiers))
    return code
