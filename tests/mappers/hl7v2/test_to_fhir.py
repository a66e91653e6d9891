"""FHIR fragments: valid R4 (fhir.resources as the oracle), both disposition codings, no SSN."""

from __future__ import annotations

from typing import Any

import pytest
from fhir.resources.R4B.encounter import Encounter
from fhir.resources.R4B.patient import Patient as PatientModel

from mappers.hl7v2 import to_fhir
from mappers.hl7v2.adt import AdtEvent, SourceConfig, to_event
from mappers.hl7v2.code_tables import table
from mappers.hl7v2.message import Message, parse
from mappers.hl7v2.simulate import message as make

NOON = 1_772_568_000_000_000
MEMBER = {
    "cin": "91234567A",
    "mrn": "M1",
    "family": "Roe",
    "given": "Ann",
    "birth_date": "1980-05-17",
    "sex": "F",
    "phone": "(559) 555-0123",
    "address": {"line": "1 Elm St", "city": "Fresno", "zip": "93701"},
}


def event(code: str = "A01", **fields: Any) -> AdtEvent:
    message = parse(make(code, MEMBER, {"name": "Valley", "oid": "1.2.3"}, at_us=NOON, admit_us=NOON, **fields))
    assert isinstance(message, Message)
    found, _ = to_event(message, SourceConfig("valley", facility="Organization/v"))
    assert found is not None
    return found


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"PID_9": "Star^Pop", "PID_29": "20260303", "PID_30": "Y", "PID_15": "spa"},
        {"PID_5": "", "PID_7": "1980"},
        {
            "PID_3": "1~2^^^A~123-45-6788^^^SSA^SS",
            "PID_19": "123456788",
            "PID_11": "^^^^^^QQ",
            "PID_13": "^NET^Internet^a@b.c",
        },
    ],
)
def test_patient_is_valid_r4(fields: dict[str, str]) -> None:
    resource, _ = to_fhir.patient(event(**fields).patient)
    PatientModel.model_validate(resource)
    assert resource["identifier"][0] == {"system": to_fhir.CIN_SYSTEM, "value": "91234567A"} or "PID_3" in fields
    assert "6788" not in str(resource)


@pytest.mark.parametrize(
    ("flag", "time", "expected"),
    [
        ("Y", "202603031200", {"deceasedDateTime": "2026-03-03T12:00:00-08:00"}),
        ("Y", "", {"deceasedBoolean": True}),
        ("N", "20260303", {"deceasedBoolean": False}),
        ("", "20260303", {}),
    ],
)
def test_death(flag: str, time: str, expected: dict[str, Any]) -> None:
    resource, findings = to_fhir.patient(event(PID_29=time, PID_30=flag).patient)
    assert {k: v for k, v in resource.items() if k.startswith("deceased")} == expected
    assert bool(findings) == (not flag)


@pytest.mark.parametrize("code", ["E", "I", "O", "P", "V", "S", "R", "B", "C", "N", "U", "XYZ", "", "INPATIENT"])
def test_encounter_is_valid_r4(code: str) -> None:
    found = event(
        "A03",
        patient_class=code,
        disposition="03",
        discharge_us=NOON + 1,
        prior_location="ED^1",
        PV1_14="7",
        account="A1",
        reason="R07.9^Chest pain",
    )
    parts, findings = to_fhir.encounter_parts(found)
    Encounter.model_validate({"resourceType": "Encounter", "status": "finished", **parts})
    assert parts["class"]["code"] and not findings


@pytest.mark.parametrize(
    ("code", "system", "expected"),
    [
        ("E", to_fhir.ACT_CODE, "EMER"),
        ("I", to_fhir.ACT_CODE, "IMP"),
        ("O", to_fhir.ACT_CODE, "AMB"),
        ("P", to_fhir.ACT_CODE, "PRENC"),
        ("V", to_fhir.ACT_CODE, "OBSENC"),
        ("S", to_fhir.ACT_CODE, "SS"),
        ("B", to_fhir.V2 + "0004", "B"),
        ("R", to_fhir.V2 + "0004", "R"),
        ("HOV", to_fhir.V2 + "0004", "U"),
    ],
)
def test_class_codings(code: str, system: str, expected: str) -> None:
    coding = to_fhir.encounter_parts(event(patient_class=code))[0]["class"]
    assert (coding["system"], coding["code"]) == (system, expected)


def test_both_disposition_codings() -> None:
    parts, _ = to_fhir.encounter_parts(event("A03", disposition="3"))
    codings = parts["hospitalization"]["dischargeDisposition"]["coding"]
    assert [(c["system"], c["code"]) for c in codings] == [
        (to_fhir.NUBC_DISCHARGE, "03"),
        (to_fhir.FHIR_DISCHARGE, "snf"),
    ]
    unknown, _ = to_fhir.encounter_parts(event("A03", disposition="Elsewhere"))
    assert unknown["hospitalization"]["dischargeDisposition"] == {"text": "Elsewhere"}


def test_every_disposition_has_codings() -> None:
    for code in table("disposition"):
        assert to_fhir.discharge_disposition(code)["coding"]


def test_an_end_before_the_start_is_left_out_and_reported() -> None:
    parts, findings = to_fhir.encounter_parts(event("A03", discharge_us=NOON - 7_200_000_000))
    assert "end" not in parts["period"] and findings[0].location == "PV1-45"


def test_without_a_visit_only_the_facility() -> None:
    assert set(to_fhir.encounter_parts(event("A31"))[0]) == {"serviceProvider"}
