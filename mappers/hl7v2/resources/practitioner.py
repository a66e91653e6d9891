"""XCN and ROL -> Practitioner, PractitionerRole, Encounter.participant (v2-to-FHIR XCN[Practitioner], ROL)."""

from __future__ import annotations

from mappers.hl7v2.datatypes import authority_uri, contact, person
from mappers.hl7v2.message import Rep, Segment
from mappers.hl7v2.resources.collected import Collected
from mappers.hl7v2.resources.elements import (
    TERMINOLOGY,
    Resource,
    coding,
    contact_point,
    filled,
    person_identifier,
    person_name,
)

PARTICIPATION = TERMINOLOGY + "v3-ParticipationType"
FIELDS = (
    (7, "ATND", "attender"),
    (8, "REF", "referrer"),
    (9, "CON", "consultant"),
    (17, "ADM", "admitter"),
    (52, "PART", "Participation"),
)
"""(PV1 field, participation, display)."""


def practitioner(made: Collected, rep: Rep, *segments: str) -> Resource:
    """The Reference to a clinician, who is added to the bundle; {} where the field names nobody."""
    who = person(rep)
    if who is None:
        return {}
    system, _ = authority_uri(rep, 9, made.source, "provider")
    local = [{"system": system, "value": who.id}] if who.id and not who.npi else []
    name = filled(family=who.family, given=[g for g in (who.given, rep.get(4)) if g], prefix=_one(rep.get(6)))
    key = ("npi", who.npi) if who.npi else (system if who.id else "", who.id or f"{who.family}|{who.given}")
    resource = filled(
        resourceType="Practitioner",
        id=made.id_of("practitioner", *key),
        identifier=[person_identifier(who)] if who.npi else local,
        name=[name] if name else [],
    )
    return filled(reference=made.add(resource, *segments), display=person_name(who))


def participants(made: Collected, pv1: Segment, pv2: Segment) -> list[Resource]:
    """Everybody that PV1, PV2-13 and ROL name, each once per part that they play."""
    found: list[Resource] = []
    for number, code, display in FIELDS:
        for rep in pv1.reps(number):
            if who := practitioner(made, rep, "PV1"):
                found.append({"type": [coding(PARTICIPATION, code, display)], "individual": who})
    for rep in pv2.reps(13):
        if who := practitioner(made, rep, "PV2"):
            found.append({"type": [coding(PARTICIPATION, "REF", "referrer")], "individual": who})
    for name, rol in made.numbered("ROL"):
        if one := _role(made, rol, name):
            found.append(one)
    return found


def _role(made: Collected, rol: Segment, name: str) -> Resource:
    """A ROL; ROL-2 DE (delete) is an end and no participant."""
    reps = rol.reps(4)
    who = practitioner(made, reps[0], name) if reps else {}
    if not who or rol.get(2).upper() in ("DE", "D"):
        return {}
    row = made.mapped("provider_role", rol, 3)
    part = coding(PARTICIPATION, row["participation"], row["display"]) if row else made.concept(rol, 3)
    telecom = [contact_point(c) for rep in rol.reps(12) if (c := contact(rep, "ROL-12", made.findings))]
    period = made.period(rol, 5, 6)
    specialty = [made.concept(rol, 9)] if rol.get(9) else []
    role = filled(
        resourceType="PractitionerRole",
        id=made.id_of("role", rol.get(1) or who["reference"], rol.get(3), made.event.control_id),
        practitioner=who,
        code=[made.concept(rol, 3)] if rol.get(3) else [],
        specialty=specialty,
        telecom=telecom,
        organization=filled(display=rol.get(14)),
    )
    individual = {"reference": made.add(role, name), "display": who["display"]} if who.get("display") else {}
    return filled(type=[part] if part else [], period=period, individual=individual or {"reference": made.add(role)})


def _one(text: str) -> list[str]:
    return [text] if text else []
