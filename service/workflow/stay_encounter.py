"""The state of a stay -> Encounter, shaped as US Core asks: https://hl7.org/fhir/R4/encounter.html

Codes: v3-ActCode for the class, NUBC and FHIR for the disposition. The v2-to-FHIR map gives A04 `planned` and A08
`unknown`; here the reducer's state decides.
"""

from collections.abc import Sequence
from itertools import pairwise

from fhir_profiles import Resource
from mappers.hl7v2.code_tables import table
from mappers.hl7v2.event import AdtEvent, Coded, StayKey
from service.workflow.alert_text import PACIFIC, date_time
from service.workflow.stays import StayState

ACT = "http://terminology.hl7.org/CodeSystem/v3-ActCode"
V2_CLASS = "http://terminology.hl7.org/CodeSystem/v2-0004"
ADMISSION = "http://terminology.hl7.org/CodeSystem/v2-0007"
NUBC = "https://www.nubc.org/CodeSystem/PatDischargeStatus"
DISPOSITION = "http://terminology.hl7.org/CodeSystem/discharge-disposition"
TIMED_OUT = "https://enlace.example.org/fhir/StructureDefinition/enlace-closed-by-timeout"
"""Why the status is unknown: nothing was heard for too long (stays.SILENCE_US)."""

CLASSES = {
    "ED": ("EMER", "emergency"),
    "INPATIENT": ("IMP", "inpatient encounter"),
    "OBSERVATION": ("OBSENC", "observation encounter"),
    "AMBULATORY": ("AMB", "ambulatory"),
    "PRE": ("PRENC", "pre-admission"),
}
TYPES = {
    "ED": "Emergency department visit",
    "INPATIENT": "Hospital admission",
    "OBSERVATION": "Hospital observation stay",
    "AMBULATORY": "Outpatient visit",
    "PRE": "Planned visit",
}
DISPOSITIONS = {
    "HOME": "home", "SNF": "snf", "ACUTE": "other-hcf", "REHAB": "rehab", "PSYCH": "psy", "HOSPICE": "hosp",
    "AMA": "aadvice", "CUSTODY": "oth", "EXPIRED": "exp",
}  # fmt: skip


def encounter(
    state: StayState,
    event: AdtEvent,
    patient_ref: str,
    *,
    stay_id: str,
    patient_display: str = "",
    facility_ref: str = "",
    facility_display: str = "",
    zone: str = PACIFIC,
    former: Sequence[StayKey] = (),
    reason: Coded | None = None,
    admission_type: str = "",
    diagnoses: Sequence[Resource] = (),
) -> Resource:
    """event: the last of the stay, for what the state does not hold (visit number, attending). stay_id: Encounter.id.

    former: other numbers that the stay had. diagnoses: its Conditions.
    """
    made: Resource = {
        "resourceType": "Encounter",
        "id": stay_id,
        "meta": {"profile": ["http://hl7.org/fhir/us/core/StructureDefinition/us-core-encounter"]},
        "extension": [{"url": TIMED_OUT, "valueBoolean": True}] if "closed-by-timeout" in state.flags else [],
        "identifier": _numbers(event, former),
        "status": state.status,
        "statusHistory": _status_history(state, zone),
        "class": _class(state.klass, event),
        "classHistory": _class_history(state, event, zone),
        "type": [{"text": TYPES.get(state.klass, "Hospital visit")}, *_admission(admission_type)],
        "subject": _named(patient_ref, patient_display),
        "participant": _participants(event),
        "period": _period(state.start_us, state.end_us, zone),
        "reasonCode": _reason(reason),
        "diagnosis": [{"condition": {"reference": f"Condition/{one['id']}"}} for one in diagnoses],
        "hospitalization": _hospitalization(state),
        "location": _locations(state, zone),
        "serviceProvider": _named(facility_ref, facility_display),
    }
    return {name: value for name, value in made.items() if value}


def _admission(code: str) -> list[Resource]:
    """PV1-4: planned or not, a birth; one that HL7's table 0007 lacks as the hospital wrote it."""
    said = " ".join(code.split())
    if row := table("admission_type").get(said.upper()):
        return [{"coding": [{"system": ADMISSION, "code": said.upper(), "display": row["display"]}]}]
    return [{"text": said}] if said else []


def _numbers(event: AdtEvent, former: Sequence[StayKey]) -> list[Resource]:
    """Those of the last message first; what the stay was called before is kept as old."""
    out = _identifiers(event, event.stay)
    for stay in former:
        out |= {number: {"use": "old", **one} for number, one in _identifiers(event, stay).items() if number not in out}
    return list(out.values())


def _reason(reason: Coded | None) -> list[Resource]:
    """PV2-3: why the person came, as the hospital put it."""
    if reason is None:
        return []
    coding = {"system": reason.system, "code": reason.code} if reason.code and reason.system else {}
    made: Resource = {"coding": [coding]} if coding else {}
    if text := " ".join((reason.text or reason.code).split()):
        made["text"] = text
    return [made] if made else []


def _identifiers(event: AdtEvent, stay: StayKey) -> dict[tuple[str, str, str], Resource]:
    """By kind, number and authority: a system that was registered during a stay does not make two numbers of one."""
    out = {}
    for kind, value, authority, registered in (
        ("VN", stay.visit_number, stay.visit_authority, stay.visit_system),
        ("AN", stay.account, stay.account_authority, stay.account_system),
    ):
        if value:
            place = authority or stay.facility
            system = registered or (authority if ":" in authority else _local_system(kind, event.source, place))
            coding = {"system": "http://terminology.hl7.org/CodeSystem/v2-0203", "code": kind}
            out[kind, value, place] = {"type": {"coding": [coding]}, "system": system, "value": value}
    return out


def _local_system(kind: str, source: str, authority: str) -> str:
    return "-".join(f"https://enlace.example.org/fhir/sid/{kind.lower()}/{source}/{authority}".split())


def _class(klass: str, event: AdtEvent) -> Resource:
    """A class without a code of its own keeps the one that the hospital sent; none at all is said to be unknown."""
    if klass in CLASSES:
        code, display = CLASSES[klass]
        return {"system": ACT, "code": code, "display": display}
    sent = event.visit.class_code.strip() if event.visit else ""
    if sent:
        return {"system": V2_CLASS, "code": " ".join(sent.split())}
    return {"system": "http://terminology.hl7.org/CodeSystem/v3-NullFlavor", "code": "UNK", "display": "unknown"}


def _status_history(state: StayState, zone: str) -> list[Resource]:
    """The statuses before the present one."""
    return [
        {"status": status, "period": _period(since, until, zone)}
        for (status, since), (_, until) in pairwise(state.status_history)
    ]


def _class_history(state: StayState, event: AdtEvent, zone: str) -> list[Resource]:
    return [
        {"class": _class(span.klass, event), "period": _period(span.start_us, after.start_us, zone)}
        for span, after in pairwise(state.class_history)
    ]


def _participants(event: AdtEvent) -> list[Resource]:
    doctor = event.visit.attending if event.visit else None
    if doctor is None:
        return []
    name = " ".join(part for part in (doctor.given, doctor.family) if part)
    individual: Resource = {"display": name} if name else {}
    if doctor.npi:
        individual["identifier"] = {"system": "http://hl7.org/fhir/sid/us-npi", "value": doctor.npi}
    if not individual:
        return []
    coding = {"system": "http://terminology.hl7.org/CodeSystem/v3-ParticipationType", "code": "ATND"}
    return [{"type": [{"coding": [coding]}], "individual": individual}]


def _hospitalization(state: StayState) -> Resource:
    if state.disposition is None:
        return {}
    codings = []
    if code := DISPOSITIONS.get(state.disposition):
        codings.append({"system": DISPOSITION, "code": code})
    if sent := " ".join(state.disposition_code.split()):
        codings.append({"system": NUBC, "code": sent})
    return {"dischargeDisposition": {"coding": codings} if codings else {"text": "not stated"}}


def _locations(state: StayState, zone: str) -> list[Resource]:
    over = state.end_us is not None
    ends = [span.start_us for span in state.locations[1:]] + [state.end_us]
    planned = [{"location": {"display": state.next_place}, "status": "planned"}] if state.next_place else []
    return planned + [
        {
            "location": {"display": span.place},
            "status": "active" if n == len(ends) - 1 and not over else "completed",
            "period": _period(span.start_us, end, zone),
        }
        for n, (span, end) in enumerate(zip(state.locations, ends, strict=False))
    ]


def _period(start: int | None, end: int | None, zone: str) -> Resource:
    """An end before its start (an hour-less discharge date) is left to the flags of the state: R4 forbids it here."""
    out: Resource = {}
    if start is not None:
        out["start"] = date_time(start, zone)
    if end is not None and (start is None or end >= start):
        out["end"] = date_time(end, zone)
    return out


def _named(reference: str, display: str) -> Resource:
    out: Resource = {"reference": reference} if reference else {}
    if display:
        out["display"] = display
    return out
