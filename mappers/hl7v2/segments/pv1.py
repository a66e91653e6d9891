"""PV1, PV2 and DG1 -> what is said of the visit: HL7 v2.5.1 chapter 3, 3.4.3, 3.4.4; chapter 6, 6.5.2."""

from __future__ import annotations

from typing import cast

from mappers.hl7v2.code_tables import look_up, table
from mappers.hl7v2.datatypes import coded, moment, person, place
from mappers.hl7v2.event import Coded, Diagnosis, Visit
from mappers.hl7v2.findings import Finding, Severity
from mappers.hl7v2.message import Message, Segment
from mappers.hl7v2.source import PatientClass, SourceConfig
from mappers.hl7v2.times import Moment

_CLASS_NEEDED = frozenset({"admit", "register", "class-change"})
_EMPTY = Segment("PV2", "PV2")
_CLASSES = frozenset({"ED", "INPATIENT", "OBSERVATION", "AMBULATORY", "PRE", "OTHER", "UNKNOWN"})


def visit(group: Message, effect: str, source: SourceConfig) -> tuple[Visit | None, list[Finding]]:
    """The visit of a message, or of one patient of it; None (and a finding) where PV1 is missing."""
    findings: list[Finding] = []
    pv1, pv2 = group.first("PV1"), group.first("PV2") or _EMPTY
    if pv1 is None:
        findings.append(Finding("segment-missing", "PV1", "warning", "The message has no PV1."))
        return None, findings
    kind, kind_source = patient_class(pv1, effect, source, findings)
    admit, discharge = moment(pv1, 44, source, findings), moment(pv1, 45, source, findings)
    expected = moment(pv2, 9, source, findings)
    if admit and discharge and discharge.us < admit.us and (discharge.timed and admit.timed):
        findings.append(Finding("discharge-before-admit", "PV1-45", "warning", "The discharge precedes the admission."))
    ending, code, text = disposition(pv1, effect, source, findings)
    attending, reasons = pv1.reps(7), pv2.reps(3)
    return Visit(
        patient_class=kind,
        class_code=pv1.get(2),
        class_source=kind_source,
        patient_type=pv1.get(18),
        service=pv1.get(10),
        location=place(pv1, 3),
        prior_location=place(pv1, 6),
        pending_location=place(pv1, 42),
        admit=_us(admit),
        admit_text=_text(admit),
        discharge=_us(discharge),
        discharge_text=_text(discharge),
        expected_discharge=_us(expected),
        expected_discharge_text=_text(expected),
        disposition=ending,
        disposition_code=code,
        disposition_text=text,
        discharged_to=pv1.get(37, comp=1),
        admission_type=pv1.get(4),
        admit_source=pv1.get(14),
        arrival_mode=pv2.get(38),
        vip=pv1.get(16),
        newborn=pv1.get(4).upper() == "N" or pv2.get(36).upper() == "Y",
        protected=pv2.get(22).upper() == "Y",
        reason=coded(reasons[0], "PV2-3", findings) if reasons else None,
        diagnoses=diagnoses(group, source, findings),
        attending=person(attending[0]) if attending else None,
    ), findings


def patient_class(
    pv1: Segment,
    effect: str,
    source: SourceConfig,
    findings: list[Finding],
) -> tuple[PatientClass, str]:
    """(class, field that gave it): the source's own map by PV1-18, PV1-10, unit, PV1-2; then table 0004 and aliases."""
    for number in (18, 10, 3, 2):
        value = pv1.get(number)
        mapped = source.class_of(f"PV1-{number}", value) if value else None
        if mapped in _CLASSES:
            return mapped, f"PV1-{number}"
    code = pv1.get(2)
    if not code:
        severity: Severity = "warning" if effect in _CLASS_NEEDED else "information"
        findings.append(Finding("class-missing", "PV1-2", severity, "The patient class is empty."))
    row = look_up("patient_class", code, "PV1-2", findings)
    kind = cast(PatientClass, row.get("keyword", "UNKNOWN"))  # a test holds the table to the type
    if kind in ("AMBULATORY", "UNKNOWN"):
        for number in (18, 10):
            if pv1.get(number).upper() in table("observation_hint"):
                return "OBSERVATION", f"PV1-{number}"
    return kind, "PV1-2" if row else ""


def disposition(
    pv1: Segment,
    effect: str,
    source: SourceConfig,
    findings: list[Finding],
) -> tuple[str, str, str]:
    """(group, two-digit code or the code as sent, text): accepts `1`, `01`, `01^HOME`, and well-known words.

    The source's own map comes first.
    """
    sent, text = pv1.get(36), pv1.get(36, comp=2)
    if not sent and not text:
        if effect == "discharge":
            findings.append(Finding("disposition-missing", "PV1-36", "information", "No disposition was sent."))
            return "NOT_STATED", "", ""
        return "", "", ""
    code = source.disposition(sent) or (sent.zfill(2) if sent.isdigit() else sent)
    row = table("disposition").get(code)
    if row is None:
        alias = table("disposition_text").get((sent or text).upper()) or table("disposition_text").get(text.upper())
        row = table("disposition")[alias["code"]] if alias else None
        text = text or sent
        if row is None:
            remedy = "The code is not in table disposition; add a line there or map it for this source."
            findings.append(Finding("unmapped-code", "PV1-36", "warning", remedy))
            return "UNKNOWN", sent, text
        code = row["code"]
    return row["group"], code, text


def diagnoses(group: Message, source: SourceConfig, findings: list[Finding]) -> tuple[Diagnosis, ...]:
    """Every DG1; a code without a known system keeps its code and is reported."""
    return tuple(one for dg1 in group.all("DG1") if (one := diagnosis(dg1, source, findings)))


def diagnosis(dg1: Segment, source: SourceConfig, findings: list[Finding]) -> Diagnosis | None:
    """One DG1; DG1-4 alone makes a diagnosis in words. None where neither is there."""
    reps, words = dg1.reps(3), dg1.get(4)
    one = (coded(reps[0], "DG1-3", findings) if reps else None) or Coded(text=words)
    if not one.code and not one.text:
        return None
    if not one.text:
        one = Coded(one.code, words, one.system)
    rank = dg1.get(15)
    at = moment(dg1, 19, source, findings) or moment(dg1, 5, source, findings)
    return Diagnosis(
        one,
        dg1.get(6).upper(),
        int(rank) if rank.isdecimal() and len(rank) < 4 else 0,
        dg1.get(21).upper() == "D",
        at.fhir if at else "",
    )


def _us(value: Moment | None) -> int | None:
    return value.us if value else None


def _text(value: Moment | None) -> str:
    return value.fhir if value else ""
