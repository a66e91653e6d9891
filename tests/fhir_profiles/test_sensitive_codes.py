"""Codes of sensitive data: lists, categories with and without a dot, other names of a system, none at all."""

from typing import Any

import pytest

from fhir_profiles.json_text import write_json
from fhir_profiles.sensitive_codes import groups_in, listed
from service.access.labels import BITS

ICD = "http://hl7.org/fhir/sid/icd-10-cm"
SCT = "http://snomed.info/sct"
RX = "http://www.nlm.nih.gov/research/umls/rxnorm"


def groups(**coding: str) -> set[str]:
    resource: dict[str, Any] = {"resourceType": "Condition", "code": {"coding": [coding]}}
    return groups_in(resource, (write_json(resource),))


@pytest.mark.parametrize(
    ("system", "code", "wanted"),
    [
        (ICD, "F11.20", {"sud"}),
        (ICD, "F1120", {"sud"}),
        (ICD, "f11.20", {"sud"}),
        (ICD, "F17.210", set()),
        (ICD, "F33.1", {"mental-health"}),
        (ICD, "F64.0", {"reproductive"}),
        (ICD, "B20", {"hiv"}),
        (ICD, "Z30.011", {"reproductive"}),
        (ICD, "Z59.00", set()),
        (ICD, "T74.11XA", {"violence"}),
        (ICD, "E11.9", set()),
        ("urn:oid:2.16.840.1.113883.6.90", "F11.20", {"sud"}),
        ("http://example.org/local", "F11.20", set()),
        (SCT, "75544000", {"sud"}),
        (RX, "1819", {"sud"}),
        (RX, "6813", {"sud"}),
        ("http://loinc.org", "44261-6", {"mental-health"}),
        ("http://loinc.org", "76501-6", {"violence"}),
    ],
)
def test_codes_belong_to_their_groups(system: str, code: str, wanted: set[str]) -> None:
    assert groups(system=system, code=code) == wanted


def test_a_code_without_a_system_counts_as_of_any() -> None:
    assert groups(code="F11.20") == {"sud"}


def test_gravity_says_intimate_partner_violence() -> None:
    base = "http://hl7.org/fhir/us/sdoh-clinicalcare/CodeSystem/SDOHCC-CodeSystemTemporaryCodes"
    assert groups(system=base, code="intimate-partner-violence") == {"violence"}


def test_anywhere_in_the_resource() -> None:
    inner = {"resourceType": "Medication", "id": "m", "code": {"coding": [{"system": RX, "code": "1819"}]}}
    extension = {"url": "http://example.org/e", "valueCoding": {"system": ICD, "code": "B20"}}
    resource = {"resourceType": "Task", "contained": [inner], "_status": {"extension": [extension]}}
    assert groups_in(resource, (write_json(resource),)) == {"sud", "hiv"}


def test_every_value_set_is_of_a_group() -> None:
    rows = [row for rows in (*listed().codes.values(), *listed().prefixes.values()) for row in rows]
    assert {group for _, group in rows} == {"sud", "mental-health", "hiv", "reproductive", "violence"} <= set(BITS)
