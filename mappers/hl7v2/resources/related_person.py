"""NK1 -> RelatedPerson and Patient.contact; PID-21 -> the mother (v2-to-FHIR NK1[RelatedPerson], NK1[Patient])."""

from __future__ import annotations

from mappers.hl7v2.code_tables import table
from mappers.hl7v2.datatypes import address as read_address
from mappers.hl7v2.datatypes import contact, name
from mappers.hl7v2.message import Segment
from mappers.hl7v2.resources.collected import Collected
from mappers.hl7v2.resources.communication import communication
from mappers.hl7v2.resources.elements import (
    TERMINOLOGY,
    V2,
    Resource,
    address,
    coding,
    contact_point,
    filled,
    human_name,
)

_CONTACT_ONLY = frozenset({"EMR", "E", "F", "I", "S"})
"""Employers, insurers and agencies are contacts, no relatives."""
_ROLE_OF = {"EMC": "C", "EMR": "E"}
"""NK1-3 -> the role of table 0131 where NK1-7 says none."""


def contacts(made: Collected) -> list[Resource]:
    """Patient.contact, one per NK1."""
    return [one for name, nk1 in made.numbered("NK1") if (one := _contact(made, nk1))]


def related_persons(made: Collected) -> None:
    """A RelatedPerson per NK1 of a person, and the mother that PID-21 names."""
    for called, nk1 in made.numbered("NK1"):
        if nk1.get(3).upper() in _CONTACT_ONLY or not nk1.reps(2):
            continue
        birth = made.time(nk1, 16)
        found = filled(
            resourceType="RelatedPerson",
            id=made.id_of("related", made.patient_ref, "|".join(nk1.field(n) for n in (2, 3, 33))),
            identifier=made.identifiers(nk1, 33),
            patient={"reference": made.patient_ref},
            relationship=[one for one in (_relationship(made, nk1), _role(made, nk1)) if one],
            gender=made.mapped("sex", nk1, 15).get("gender", ""),
            birthDate=birth[:10],
            communication=communication(made, nk1, 20),
            period=made.period(nk1, 8, 9),
            **_reached(made, nk1),
        )
        made.add(found, called)
    pid = made.group.first("PID")
    for one in made.identifiers(pid, 21) if pid else ():
        mother = filled(
            resourceType="RelatedPerson",
            id=made.id_of("mother", made.patient_ref, one["value"]),
            identifier=[one],
            patient={"reference": made.patient_ref},
            relationship=[coding(TERMINOLOGY + "v3-RoleCode", "MTH", "mother")],
        )
        made.add(mother, "PID")


def _contact(made: Collected, nk1: Segment) -> Resource:
    """pat-1: a contact has a name, a way to reach it or an organization."""
    reached = _reached(made, nk1)
    ways, names, places = reached.get("telecom"), reached.get("name", []), reached.get("address", [])
    found = filled(
        name=names[0] if names else {},
        telecom=ways,
        address=places[0] if places else {},
        organization=filled(display=nk1.get(13)),
    )
    if not found:
        return {}
    relationship = [one for one in (_role(made, nk1), _relationship(made, nk1)) if one]
    period = made.period(nk1, 8, 9)
    return filled(relationship=relationship, **found, period=period)


def _reached(made: Collected, nk1: Segment) -> Resource:
    findings = made.findings
    names = [human_name(n) for rep in nk1.reps(2) if (n := name(rep, "NK1-2", findings))]
    telecom = []
    for number, use in ((5, ""), (6, "work"), (31, ""), (40, ""), (41, "")):
        for rep in nk1.reps(number):
            if one := contact(rep, f"NK1-{number}", findings, use):
                telecom.append(contact_point(one))
    places = [address(a) for rep in nk1.reps(4) if (a := read_address(rep, "NK1-4", findings))]
    return filled(name=names, telecom=telecom, address=places)


def _relationship(made: Collected, nk1: Segment) -> Resource:
    row, text = made.mapped("relationship", nk1, 3), nk1.get(3, comp=2)
    if row:
        return filled(**coding(TERMINOLOGY + row["system"], row["target"], row["display"]), text=text)
    return filled(text=text or nk1.get(3))


def _role(made: Collected, nk1: Segment) -> Resource:
    row, text = made.mapped("contact_role", nk1, 7), nk1.get(7, comp=2)
    if not nk1.get(7):
        row = table("contact_role").get(_ROLE_OF.get(nk1.get(3).upper(), ""), {})
    if row:
        return filled(**coding(V2 + "0131", row["code"], row["display"]), text=text)
    return filled(text=text or nk1.get(7))
