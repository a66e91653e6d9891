"""PID, PD1, NK1 -> Patient (v2-to-FHIR PID[Patient], PD1[Patient], NK1[Patient]): https://hl7.org/fhir/R4/patient.html"""

from __future__ import annotations

import re

from mappers.hl7v2.code_tables import table
from mappers.hl7v2.datatypes import NAMING_SYSTEM
from mappers.hl7v2.event import Patient
from mappers.hl7v2.findings import Finding
from mappers.hl7v2.message import Segment
from mappers.hl7v2.resources.collected import Collected
from mappers.hl7v2.resources.communication import communication
from mappers.hl7v2.resources.elements import (
    TERMINOLOGY,
    Resource,
    address,
    coding,
    contact_point,
    filled,
    human_name,
    identifier,
)
from mappers.hl7v2.resources.practitioner import practitioner
from mappers.hl7v2.segments.pid import cin

CIN_SYSTEM = NAMING_SYSTEM + "medi-cal-cin"
CORE = "http://hl7.org/fhir/StructureDefinition/"
US_CORE = "http://hl7.org/fhir/us/core/StructureDefinition/"
_CDC_CODE = re.compile(r"\d{4}-\d\Z", re.ASCII)
CDCREC = "urn:oid:2.16.840.1.113883.6.238"


def patient(facts: Patient) -> tuple[Resource, list[Finding]]:
    """A Patient without id and meta. Its identifiers: CIN first, then PID-3 as sent; never a social security number."""
    findings: list[Finding] = []
    found: Resource = {"resourceType": "Patient"}
    cins = [{"system": CIN_SYSTEM, "value": cin} for cin in facts.cins]
    others = [identifier(i) for i in facts.ids if i.type not in ("MA", "MB") or not facts.cins]
    found |= filled(
        identifier=cins + others,
        name=[human_name(n) for n in facts.names],
        telecom=[contact_point(c) for c in facts.contacts],
        gender=facts.sex,
        birthDate=facts.birth_date,
        address=[address(a) for a in facts.addresses],
    )
    if facts.deceased and facts.death_text:
        found["deceasedDateTime"] = facts.death_text
    elif facts.deceased is not None:
        found["deceasedBoolean"] = facts.deceased
    elif facts.death_text:  # the map makes it deceasedDateTime; a time without the flag is no death certificate
        findings.append(Finding("death-unconfirmed", "PID-29", "warning", "The death time was left out: no PID-30."))
    if facts.language:
        found["communication"] = [{"language": {"text": facts.language}}]
    return found, findings


def whole_patient(made: Collected, contacts: list[Resource]) -> str:
    """All that PID and PD1 say; `contacts` come from NK1."""
    pid = made.group.first("PID") or Segment("PID", "PID")
    found, remarks = patient(made.event.patient)
    made.findings += remarks
    found["id"] = _id(made)
    older = [one for number in (2, 4) for one in made.identifiers(pid, number) if not cin(one["value"])]
    known = {one["value"] for one in found.get("identifier", [])}
    found |= filled(identifier=[*found.get("identifier", []), *(one for one in older if one["value"] not in known)])
    found |= filled(
        extension=_extensions(made, pid),
        maritalStatus=_from_table(made, "marital_status", pid, 16),
        communication=[one | {"preferred": True} for one in communication(made, pid, 15)],
        contact=contacts,
    )
    if birth_time := made.instant(pid, 7):
        found["_birthDate"] = {"extension": [{"url": CORE + "patient-birthTime", "valueDateTime": birth_time}]}
    if pid.get(25).isdecimal() and len(pid.get(25)) < 4:
        found["multipleBirthInteger"] = int(pid.get(25))
    elif pid.get(24).upper() in ("Y", "N"):
        found["multipleBirthBoolean"] = pid.get(24).upper() == "Y"
    county = pid.get(12)
    if county and found.get("address") and "district" not in found["address"][0]:
        found["address"][0]["district"] = county
    segments = ["PID"]
    if pd1 := made.group.first("PD1"):
        found |= filled(generalPractitioner=_general_practitioners(made, pd1))
        segments.append("PD1")
    if any(made.group.all("IN1")):
        segments.append("IN1")  # a CIN may come from there
    return made.add(found, *segments, *(["NK1"] if contacts else []))


def _id(made: Collected) -> str:
    stay = made.event.stay
    if stay.mrn:
        return made.id_of("patient", stay.mrn_authority or stay.facility, stay.mrn)
    pid = made.group.first("PID")
    return made.id_of("patient", "", made.event.control_id, pid.text if pid else "")


def _extensions(made: Collected, pid: Segment) -> list[Resource]:
    found = [_race(made, pid), _ethnicity(made, pid)]
    if maiden := pid.get(6):
        found.append({"url": CORE + "patient-mothersMaidenName", "valueString": maiden})
    if birth_place := pid.get(23):
        found.append({"url": CORE + "patient-birthPlace", "valueAddress": {"text": birth_place}})
    return [one for one in found if one]


def _race(made: Collected, pid: Segment) -> Resource:
    """US Core race: at most the known categories, the rest as detail or in words only."""
    parts: list[Resource] = []
    words: list[str] = []
    for rep in pid.reps(10):
        code = rep.get(1)
        if not code and not rep.get(2):
            continue
        row = table("race").get(code) or {}
        words.append(rep.get(2) or row.get("display", "") or code)
        kind, system = ("ombCategory" if row.get("omb") else "detailed"), CDCREC
        if code in ("UNK", "ASKU"):
            system = TERMINOLOGY + "v3-NullFlavor"
        elif not row and not _CDC_CODE.match(code):
            text = "The code is not in table race; its words were kept."
            made.findings.append(Finding("unmapped-code", "PID-10", "information", text))
            continue
        parts.append({"url": kind, "valueCoding": filled(system=system, code=code, display=words[-1])})
    if not words:
        return {}
    said = {"url": "text", "valueString": ", ".join(words)}
    return {"url": US_CORE + "us-core-race", "extension": [*parts, said]}


def _ethnicity(made: Collected, pid: Segment) -> Resource:
    row = made.mapped("ethnicity", pid, 22)
    words = pid.get(22, comp=2) or row.get("display", "") or pid.get(22)
    if not words:
        return {}
    value = {"system": CDCREC, "code": row.get("omb", ""), "display": row.get("display", "")}
    parts = [{"url": "ombCategory", "valueCoding": value}] if row.get("omb") else []
    return {"url": US_CORE + "us-core-ethnicity", "extension": [*parts, {"url": "text", "valueString": words}]}


def _from_table(made: Collected, name: str, segment: Segment, number: int) -> Resource:
    """A concept whose table names code, system and display; words where the code has none."""
    row, code = made.mapped(name, segment, number), segment.get(number)
    text = segment.get(number, comp=2)
    if row.get("target"):
        return filled(**coding(TERMINOLOGY + row["system"], row["target"], row["display"]), text=text)
    return filled(text=text or row.get("display", "") or code)


def _general_practitioners(made: Collected, pd1: Segment) -> list[Resource]:
    found = [practitioner(made, rep, "PD1") for rep in pd1.reps(4)]
    if clinic := pd1.get(3):
        found.append(filled(type="Organization", display=clinic))
    return [one for one in found if one]
