"""US Core Encounter with its Locations, Conditions and Practitioners -> Visit of AdtEvent."""

from __future__ import annotations

from mappers.davinci.graph import Graph, Resource, codings, first, first_code, objects, reference_of, text
from mappers.davinci.person import identifiers
from mappers.hl7v2.code_tables import table
from mappers.hl7v2.datatypes import npi
from mappers.hl7v2.event import Coded, Diagnosis, Facility, Person, Place, Visit
from mappers.hl7v2.findings import Finding
from mappers.hl7v2.source import PatientClass, SourceConfig
from mappers.hl7v2.times import Moment, read_time

NPI = "http://hl7.org/fhir/sid/us-npi"
CLASSES: dict[str, PatientClass] = {
    "EMER": "ED", "IMP": "INPATIENT", "ACUTE": "INPATIENT", "NONAC": "INPATIENT", "OBSENC": "OBSERVATION",
    "AMB": "AMBULATORY", "HH": "AMBULATORY", "VR": "AMBULATORY", "PRENC": "PRE", "SS": "OTHER",
}  # fmt: skip
FHIR_DISPOSITIONS = {
    "home": "01", "alt-home": "01", "other-hcf": "02", "hosp": "50", "long": "04", "aadvice": "07", "exp": "20",
    "psy": "65", "rehab": "62", "snf": "03",
}  # fmt: skip
"""To NUBC. `oth` says nothing."""


def visit(graph: Graph, encounter: Resource, effect: str, source: SourceConfig, findings: list[Finding]) -> Visit:
    period, stay = first(encounter.get("period")), first(encounter.get("hospitalization"))
    admit = moment(period.get("start"), "Encounter.period.start", source, findings)
    discharge = moment(period.get("end"), "Encounter.period.end", source, findings)
    code = first_code(encounter.get("class"))
    kind = source.class_of("PV1-2", code) or CLASSES.get(code, "UNKNOWN")
    if kind == "UNKNOWN":
        findings.append(Finding("unmapped-code", "Encounter.class", "warning", "The class is not known here."))
    group, disposition_code, words = disposition(stay, effect, source, findings)
    places = [one for one in objects(encounter.get("location")) if one.get("status") in (None, "active")]
    return Visit(
        patient_class=kind,
        class_code=code,
        class_source="PV1-2" if code else "",
        service=text(first(encounter.get("serviceType")).get("text")),
        location=_place(graph.at(reference_of(places[-1].get("location"))) or {}) if places else None,
        admit=admit.us if admit else None,
        admit_text=admit.fhir if admit else "",
        discharge=discharge.us if discharge else None,
        discharge_text=discharge.fhir if discharge else "",
        disposition=group,
        disposition_code=disposition_code,
        disposition_text=words,
        admit_source=first_code(stay.get("admitSource")),
        reason=next(iter(_coded(one) for one in objects(encounter.get("reasonCode"))), None),
        diagnoses=_diagnoses(graph, encounter),
        attending=_attending(graph, encounter),
    )


def disposition(stay: Resource, effect: str, source: SourceConfig, findings: list[Finding]) -> tuple[str, str, str]:
    """(group, NUBC code or the code as sent, text), as segments/pv1.disposition has them."""
    told = first(stay.get("dischargeDisposition"))
    groups, words = table("disposition"), text(told.get("text"))
    for one in codings(told):
        code = text(one.get("code"))
        known = source.disposition(code) or FHIR_DISPOSITIONS.get(code) or (code.zfill(2) if code.isdigit() else "")
        if known in groups:
            return groups[known]["group"], known, words or text(one.get("display"))
    alias = table("disposition_text").get(words.upper())
    if alias:
        return groups[alias["code"]]["group"], alias["code"], words
    if told:
        text_ = "The disposition is not known here; map it for this source."
        findings.append(Finding("unmapped-code", "Encounter.hospitalization.dischargeDisposition", "warning", text_))
        return "UNKNOWN", first_code(told), words
    return ("NOT_STATED", "", "") if effect == "discharge" else ("", "", "")


def facility(graph: Graph, header: Resource, encounter: Resource, source: SourceConfig) -> Facility:
    """Encounter.serviceProvider, else the responsible or the sender of the message."""
    for told in (encounter.get("serviceProvider"), header.get("responsible"), header.get("sender")):
        found = graph.at(reference_of(told))
        shown = text(first(told).get("display"))
        if (found and found.get("resourceType") == "Organization") or shown:
            ids = identifiers(found or {}, source)
            number = next((i.value for i in ids if i.system == NPI), "")
            name = text((found or {}).get("name")) or shown
            return Facility("", name, npi(number), number or next((i.value for i in ids), "") or name)
    return Facility("", source.facility_display, "", "")


def moment(told: object, place: str, source: SourceConfig, findings: list[Finding]) -> Moment | None:
    value, remarks = read_time(text(told), source.tz)
    findings += [Finding(one, place, "warning", "The time was mended or left out.") for one in remarks]
    return value


def _place(location: Resource) -> Place | None:
    name = text(location.get("name"))
    return Place(unit=name, text=name) if name else None


def _coded(value: object) -> Coded:
    one = next(iter(codings(value)), {})
    words = text(first(value).get("text")) or text(one.get("display"))
    return Coded(text(one.get("code")), words, text(one.get("system")))


def _diagnoses(graph: Graph, encounter: Resource) -> tuple[Diagnosis, ...]:
    kinds = {"AD": "A", "DD": "F"}
    found = []
    for one in objects(encounter.get("diagnosis")):
        condition = graph.at(reference_of(one.get("condition")))
        if condition:
            rank = one.get("rank")
            kind = kinds.get(first_code(one.get("use")), "W")
            found.append(Diagnosis(_coded(condition.get("code")), kind, rank if isinstance(rank, int) else 0))
    return tuple(found)


def _attending(graph: Graph, encounter: Resource) -> Person | None:
    for one in objects(encounter.get("participant")):
        who = graph.at(reference_of(one.get("individual")))
        kinds = {first_code(kind) for kind in objects(one.get("type"))}
        if who and who.get("resourceType") == "Practitioner" and (not kinds or kinds & {"ATND", "PPRF"}):
            name, number = first(who.get("name")), first(who.get("identifier"))
            value = text(number.get("value"))
            given = name.get("given")
            first_name = text(given[0]) if isinstance(given, list) and given else ""
            return Person(
                value, npi(value) if number.get("system") == NPI else "", text(name.get("family")), first_name
            )
    return None
