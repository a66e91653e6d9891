"""AdtEvent facts -> FHIR R4 fragments by the v2-to-FHIR maps PID[Patient], PV1[Encounter]; deviations are commented.

Encounter.status is not made here: it depends on all events of the stay, which only the reducer knows.
"""

from __future__ import annotations

from typing import Any

from mappers.hl7v2.code_tables import table
from mappers.hl7v2.datatypes import NAMING_SYSTEM
from mappers.hl7v2.event import AdtEvent, Coded, Identifier, Patient, Place, Visit
from mappers.hl7v2.findings import Finding
from mappers.hl7v2.source import PatientClass

Resource = dict[str, Any]
CIN_SYSTEM = NAMING_SYSTEM + "medi-cal-cin"
NPI_SYSTEM = "http://hl7.org/fhir/sid/us-npi"
ACT_CODE = "http://terminology.hl7.org/CodeSystem/v3-ActCode"
V2 = "http://terminology.hl7.org/CodeSystem/v2-"
NUBC_DISCHARGE = "https://www.nubc.org/CodeSystem/PatDischargeStatus"
NUBC_ORIGIN = "https://www.nubc.org/CodeSystem/PointOfOrigin"
FHIR_DISCHARGE = "http://terminology.hl7.org/CodeSystem/discharge-disposition"
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


def patient(facts: Patient) -> tuple[Resource, list[Finding]]:
    """A Patient without id and meta. Its identifiers: CIN first, then PID-3 as sent; never a social security number."""
    findings: list[Finding] = []
    found: Resource = {"resourceType": "Patient"}
    cins = [{"system": CIN_SYSTEM, "value": cin} for cin in facts.cins]
    others = [_identifier(i) for i in facts.ids if i.type not in ("MA", "MB") or not facts.cins]
    names = [_name(n.family, n.given, n.prefix, n.suffix, n.use) for n in facts.names]
    telecom = [_filled(system=c.system, value=c.value, use=c.use) for c in facts.contacts]
    addresses = [
        _filled(
            use=a.use, type=a.type, line=list(a.lines), city=a.city, district=a.county, state=a.state, postalCode=a.zip
        )
        for a in facts.addresses
    ]
    found |= _filled(
        identifier=cins + others,
        name=names,
        telecom=telecom,
        gender=facts.sex,
        birthDate=facts.birth_date,
        address=addresses,
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
    parts: Resource = _filled(serviceProvider=_filled(reference=event.facility.reference, display=event.facility.name))
    visit, stay = event.visit, event.stay
    if visit is None:
        return parts, findings
    parts["class"] = encounter_class(visit.patient_class, visit.class_code)
    identifiers = [
        _visit_id(event, number, authority, kind)
        for number, authority, kind in (
            (stay.visit_number, stay.visit_authority, "VN"),
            (stay.account, stay.account_authority, "AN"),
        )
        if number
    ]
    period = _filled(start=visit.admit_text, end=visit.discharge_text)
    if len(visit.discharge_text) and visit.discharge is not None and (visit.admit or 0) > visit.discharge:
        period.pop("end")  # per-1: an end before the start cannot be said in FHIR
        findings.append(Finding("discharge-before-admit", "PV1-45", "warning", "The end of the period was left out."))
    reason = [_concept(visit.reason)] if visit.reason else []
    parts |= _filled(
        identifier=identifiers,
        period=period,
        hospitalization=_hospitalization(visit),
        location=_locations(visit),
        reasonCode=reason,
        participant=_attending(visit),
    )
    return parts, findings


def discharge_disposition(code: str, text: str = "") -> Resource:
    """A CodeableConcept with the NUBC coding and the FHIR one; only text where the code is in neither."""
    row = table("disposition").get(code)
    if row is None:
        return _filled(text=text or code)
    codings = [{"system": NUBC_DISCHARGE, "code": code, "display": row["display"]}]
    if row["fhir"]:
        codings.append({"system": FHIR_DISCHARGE, "code": row["fhir"], "display": _FHIR_DISPLAY[row["fhir"]]})
    return _filled(coding=codings, text=text)


def _hospitalization(visit: Visit) -> Resource:
    disposition = discharge_disposition(visit.disposition_code, visit.disposition_text)
    source = {"coding": [{"system": NUBC_ORIGIN, "code": visit.admit_source}]} if visit.admit_source else {}
    return _filled(admitSource=source, dischargeDisposition=disposition)


def _locations(visit: Visit) -> list[Resource]:
    status = "planned" if visit.patient_class == "PRE" else "active"
    pairs = ((visit.prior_location, "completed"), (visit.location, status), (visit.pending_location, "reserved"))
    return [{"location": {"display": place_text(place)}, "status": status} for place, status in pairs if place]


def place_text(place: Place) -> str:
    """Unit, room, bed as people say it."""
    parts = (place.unit, place.room, place.bed)
    return " ".join(part for part in parts if part) or place.text or place.facility or place.building or place.floor


def _attending(visit: Visit) -> list[Resource]:
    if visit.attending is None:
        return []
    who = visit.attending
    individual = _filled(
        display=" ".join(part for part in (who.given, who.family) if part),
        identifier={"system": NPI_SYSTEM, "value": who.npi} if who.npi else {},
    )
    kind = {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/v3-ParticipationType", "code": "ATND"}]}
    return [{"type": [kind], "individual": individual}] if individual else []


def _identifier(one: Identifier) -> Resource:
    known = one.type in {row["type"] for row in table("id_type").values()}
    kind: Resource = {"coding": [{"system": V2 + "0203", "code": one.type}]} if known else _filled(text=one.type)
    return _filled(type=kind, system=one.system, value=one.value)


def _visit_id(event: AdtEvent, number: str, authority: str, kind: str) -> Resource:
    if authority and authority[0] in "012" and authority.replace(".", "").isdigit() and "." in authority:
        system = f"urn:oid:{authority}"
    else:
        slug = "-".join(f"{event.source} {authority or event.stay.facility} {kind}".lower().replace("/", " ").split())
        system = NAMING_SYSTEM + slug
    return {"type": {"coding": [{"system": V2 + "0203", "code": kind}]}, "system": system, "value": number}


def _name(family: str, given: tuple[str, ...], prefix: str, suffix: str, use: str) -> Resource:
    return _filled(
        use="" if use == "alias" else use,
        family=family,
        given=list(given),
        prefix=[prefix] if prefix else [],
        suffix=[suffix] if suffix else [],
    )


def _concept(coded: Coded) -> Resource:
    coding = [_filled(system=coded.system, code=coded.code)] if coded.code else []
    return _filled(coding=coding, text=coded.text)


def _filled(**elements: Any) -> Resource:
    """Only elements that hold something: FHIR knows no empty element."""
    return {name: value for name, value in elements.items() if value not in ("", None, [], {})}
