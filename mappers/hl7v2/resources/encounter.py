"""PV1, PV2 -> Encounter (v2-to-FHIR PV1[Encounter], PV2[Encounter]): https://hl7.org/fhir/R4/encounter.html

`encounter_parts` leaves the status out: what a stay has come to depends on all its events, which only the reducer
knows. `whole_encounter` is one message seen alone: its status is that of its event.
"""

from __future__ import annotations

from mappers.hl7v2.code_tables import table
from mappers.hl7v2.datatypes import NAMING_SYSTEM, place
from mappers.hl7v2.event import AdtEvent, Place, Visit
from mappers.hl7v2.findings import Finding
from mappers.hl7v2.message import Segment
from mappers.hl7v2.resources.collected import Collected
from mappers.hl7v2.resources.condition import encounter_diagnoses
from mappers.hl7v2.resources.elements import (
    TERMINOLOGY,
    V2,
    Resource,
    coding,
    concept,
    filled,
    person_identifier,
    person_name,
    place_text,
)
from mappers.hl7v2.resources.location import location
from mappers.hl7v2.resources.practitioner import PARTICIPATION, participants
from mappers.hl7v2.source import PatientClass

ACT_CODE = TERMINOLOGY + "v3-ActCode"
NUBC_DISCHARGE = "https://www.nubc.org/CodeSystem/PatDischargeStatus"
NUBC_ORIGIN = "https://www.nubc.org/CodeSystem/PointOfOrigin"
FHIR_DISCHARGE = TERMINOLOGY + "discharge-disposition"
_PLANNED = "http://hl7.org/fhir/5.0/StructureDefinition/extension-Encounter.planned"
_ARRIVAL = "http://hl7.org/fhir/StructureDefinition/encounter-modeOfArrival"
_NO_PV2 = Segment("PV2", "PV2")
_ACT_BY_CLASS = {
    "ED": ("EMER", "emergency"),
    "INPATIENT": ("IMP", "inpatient encounter"),
    "OBSERVATION": ("OBSENC", "observation encounter"),
    "AMBULATORY": ("AMB", "ambulatory"),
    "PRE": ("PRENC", "pre-admission"),
}
_V2_CLASSES = {"R": "Recurring patient", "B": "Obstetrics", "C": "Commercial Account", "N": "Not Applicable"}
_FHIR_DISPLAY = {
    "home": "Home",
    "alt-home": "Alternative home",
    "other-hcf": "Other healthcare facility",
    "hosp": "Hospice",
    "long": "Long-term care",
    "aadvice": "Left against advice",
    "exp": "Expired",
    "psy": "Psychiatric hospital",
    "rehab": "Rehabilitation",
    "snf": "Skilled nursing facility",
    "oth": "Other",
}


def encounter_class(kind: PatientClass, code: str = "") -> Resource:
    """Encounter.class: v3-ActCode where it has the concept, else the v2 code as sent, else v2 U (unknown)."""
    row = table("patient_class").get(code) or {}
    if kind in _ACT_BY_CLASS:
        act, display = _ACT_BY_CLASS[kind]
        return {"system": ACT_CODE, "code": act, "display": display}
    if row.get("act_code") and kind == row.get("keyword"):
        return {"system": ACT_CODE, "code": row["act_code"], "display": row["display"]}
    if code in _V2_CLASSES and kind != "UNKNOWN":
        return {"system": V2 + "0004", "code": code, "display": _V2_CLASSES[code]}
    return {"system": V2 + "0004", "code": "U", "display": "Unknown"}


def encounter_parts(event: AdtEvent) -> tuple[Resource, list[Finding]]:
    """class, identifier, period, hospitalization, location, reasonCode, participant, serviceProvider of an Encounter.

    For an event without a visit only what is known of the facility is there.
    """
    findings: list[Finding] = []
    parts: Resource = filled(serviceProvider=filled(reference=event.facility.reference, display=event.facility.name))
    visit = event.visit
    if visit is None:
        return parts, findings
    parts["class"] = encounter_class(visit.patient_class, visit.class_code)
    period = filled(start=visit.admit_text, end=visit.discharge_text)
    if len(visit.discharge_text) and visit.discharge is not None and (visit.admit or 0) > visit.discharge:
        period.pop("end")  # per-1: an end before the start cannot be said in FHIR
        findings.append(Finding("discharge-before-admit", "PV1-45", "warning", "The end of the period was left out."))
    parts |= filled(
        identifier=_identifiers(event),
        period=period,
        hospitalization=_hospitalization(visit),
        location=_locations(visit),
        reasonCode=[concept(visit.reason)] if visit.reason else [],
        participant=_attending(visit),
    )
    return parts, findings


def whole_encounter(made: Collected) -> None:
    """The Encounter of one message with its places and clinicians; nothing for an event without a visit."""
    event, visit = made.event, made.event.visit
    pv1, pv2 = made.group.first("PV1"), made.group.first("PV2") or _NO_PV2
    if visit is None or pv1 is None:
        return
    parts, remarks = encounter_parts(event)
    made.findings += remarks
    made.encounter_ref = f"Encounter/{_id(made)}"
    found = filled(
        resourceType="Encounter",
        id=_id(made),
        extension=_extensions(made, pv1, pv2),
        status=_status(visit, event.effect),
        **parts,
        subject={"reference": made.patient_ref},
        type=[filled(**coding(V2 + "0007", visit.admission_type, _admission(visit)))] if visit.admission_type else [],
        serviceType=made.concept(pv1, 10),
        priority=made.concept(pv2, 25),
        diagnosis=encounter_diagnoses(event, made.encounter_ref),
    )
    found["identifier"] = [*found.get("identifier", []), *made.identifiers(pv1, 50)]
    found["hospitalization"] = _whole_hospitalization(made, pv1, parts.get("hospitalization", {}))
    found["location"] = _whole_locations(made, pv1, visit)
    found["participant"] = participants(made, pv1, pv2)
    if pv2.get(11).isdecimal():
        found["length"] = {"value": int(pv2.get(11)), "unit": "d", "system": "http://unitsofmeasure.org", "code": "d"}
    if words := pv2.get(12):
        found.setdefault("reasonCode", []).append({"text": words})
    if pv2.get(22).upper() == "Y":
        found["meta"] = {"security": [{"system": TERMINOLOGY + "v3-Confidentiality", "code": "R"}]}
    made.add(filled(**found), *(["PV1", "PV2"] if pv2 is not _NO_PV2 else ["PV1"]))


def discharge_disposition(code: str, text: str = "") -> Resource:
    """A CodeableConcept with the NUBC coding and the FHIR one; only text where the code is in neither."""
    row = table("disposition").get(code)
    if row is None:
        return filled(text=text or code)
    codings = [{"system": NUBC_DISCHARGE, "code": code, "display": row["display"]}]
    if row["fhir"]:
        codings.append({"system": FHIR_DISCHARGE, "code": row["fhir"], "display": _FHIR_DISPLAY[row["fhir"]]})
    return filled(coding=codings, text=text)


def _id(made: Collected) -> str:
    stay = made.event.stay
    if number := stay.visit_number or stay.account:
        return made.id_of("visit", stay.visit_authority or stay.account_authority or stay.facility, number)
    return made.id_of("visit", made.patient_ref, str(stay.admit or made.event.control_id))


def _status(visit: Visit, effect: str) -> str:
    """By the event; where that says nothing (A08), by PV1 as the map has it: an end, else the class."""
    if effect == "register" and visit.patient_class == "ED" and not visit.discharge_text:
        return "arrived"  # the map says planned of every A04
    if told := table("encounter_status").get(effect, {}).get("status"):
        return told
    if visit.discharge_text:
        return "finished"
    return {"PRE": "planned", "UNKNOWN": "unknown"}.get(visit.patient_class, "in-progress")


def _identifiers(event: AdtEvent) -> list[Resource]:
    stay = event.stay
    numbers = (
        (stay.visit_number, stay.visit_authority, "VN", stay.visit_system),
        (stay.account, stay.account_authority, "AN", stay.account_system),
    )
    return [_visit_id(event, *one) for one in numbers if one[0]]


def _visit_id(event: AdtEvent, number: str, authority: str, kind: str, registered: str) -> Resource:
    system = registered or _system(event, authority, kind)
    return {"type": {"coding": [{"system": V2 + "0203", "code": kind}]}, "system": system, "value": number}


def _system(event: AdtEvent, authority: str, kind: str) -> str:
    if authority and authority[0] in "012" and authority.replace(".", "").isdigit() and "." in authority:
        return f"urn:oid:{authority}"
    slug = "-".join(f"{event.source} {authority or event.stay.facility} {kind}".lower().replace("/", " ").split())
    return NAMING_SYSTEM + slug


def _extensions(made: Collected, pv1: Segment, pv2: Segment) -> list[Resource]:
    found: list[Resource] = []
    for number, which in ((8, "StartDate"), (9, "EndDate")):
        if at := made.time(pv2, number):
            found.append({"url": _PLANNED + which, "valueDateTime": at})
    if code := pv2.get(38):
        row = made.mapped("arrival_mode", pv2, 38)
        system = V2 + "0430" if row else ""
        display = row.get("display", "") or pv2.get(38, comp=2)
        found.append({"url": _ARRIVAL, "valueCoding": filled(system=system, code=code, display=display)})
    return found


def _admission(visit: Visit) -> str:
    return table("admission_type").get(visit.admission_type, {}).get("display", "")


def _hospitalization(visit: Visit) -> Resource:
    disposition = discharge_disposition(visit.disposition_code, visit.disposition_text)
    source = coding(NUBC_ORIGIN, visit.admit_source, _origin(visit)) if visit.admit_source else {}
    return filled(admitSource=source, dischargeDisposition=disposition)


def _origin(visit: Visit) -> str:
    """The same code says something else of a newborn (UB-04 form locator 15)."""
    row = table("point_of_origin").get(visit.admit_source, {})
    return (row.get("newborn_display") if visit.newborn else "") or row.get("display", "")


def _whole_hospitalization(made: Collected, pv1: Segment, parts: Resource) -> Resource:
    number = filled(value=pv1.get(5))
    # R4 has no place for a text here; the field is a DLD: where to (1), since when (2).
    to = filled(display=pv1.get(37) or pv1.get(37, comp=2))
    return filled(
        preAdmissionIdentifier=number,
        **parts,
        reAdmission=made.concept(pv1, 13),
        specialCourtesy=[made.concept(pv1, 16)] if pv1.get(16) else [],
        specialArrangement=made.concepts(pv1, 15),
        destination=to,
    )


def _locations(visit: Visit) -> list[Resource]:
    return [{"location": {"display": place_text(place)}, "status": status} for place, status in _places(visit)]


def _places(visit: Visit) -> list[tuple[Place, str]]:
    status = "planned" if visit.patient_class == "PRE" else "active"
    pairs = ((visit.prior_location, "completed"), (visit.location, status), (visit.pending_location, "reserved"))
    return [(where, what) for where, what in pairs if where]


def _whole_locations(made: Collected, pv1: Segment, visit: Visit) -> list[Resource]:
    found = _places(visit)
    for number, status in ((11, "active"), (43, "completed")):
        if temporary := place(pv1, number):
            found.append((temporary, status))
    return [{"location": location(made, where, "PV1"), "status": status} for where, status in found]


def _attending(visit: Visit) -> list[Resource]:
    if visit.attending is None:
        return []
    who = visit.attending
    individual = filled(display=person_name(who), identifier=person_identifier(who))
    return [{"type": [coding(PARTICIPATION, "ATND")], "individual": individual}] if individual else []
