"""The code tables: every one is read, renders as a valid ConceptMap, and maps into codes that FHIR has."""

from __future__ import annotations

from importlib.resources import files

import pytest

from fhir_profiles.validate import validate
from mappers.hl7v2.adt_events import EVENTS, WITHOUT_VISIT
from mappers.hl7v2.code_tables import concept_map, concept_maps, look_up, table
from mappers.hl7v2.datatypes import code_system
from mappers.hl7v2.findings import Finding

TABLES = sorted(one.name[:-4] for one in files("mappers.hl7v2").joinpath("tables").iterdir() if one.name[-4:] == ".csv")
NOT_TO_FHIR = {"charset", "concept_maps", "field_map", "field_name", "observation_hint", "placeholder_name"}
REQUIRED = {
    "address_use": ("use", {"home", "work", "temp", "old", "billing"}),
    "allergen_type": ("category", {"food", "medication", "environment", "biologic"}),
    "allergy_severity": ("criticality", {"low", "high", "unable-to-assess"}),
    "contact_use": ("use", {"home", "work", "temp", "old", "mobile"}),
    "equipment": ("system", {"phone", "fax", "email", "pager", "url", "sms", "other"}),
    "name_use": ("use", {"usual", "official", "temp", "nickname", "anonymous", "old", "maiden", "alias"}),
    "sex": ("gender", {"male", "female", "other", "unknown"}),
    "observation_status": (
        "status",
        {"registered", "preliminary", "final", "amended", "corrected", "cancelled", "entered-in-error", "unknown"},
    ),
    "encounter_status": (
        "status",
        {"planned", "arrived", "in-progress", "onleave", "finished", "cancelled", "entered-in-error"},
    ),
}
"""Targets with a required binding: another code would make an invalid resource."""


def test_every_table_is_rendered_or_has_no_place_in_fhir() -> None:
    assert set(concept_maps()) | NOT_TO_FHIR == set(TABLES)


@pytest.mark.parametrize("name", concept_maps())
def test_a_concept_map_is_valid_and_holds_every_code(name: str) -> None:
    made = concept_map(name)
    assert validate(made, "ConceptMap") == []
    codes = [element["code"] for group in made["group"] for element in group["element"]]
    assert sorted(codes) == sorted(table(name))


def test_a_code_without_a_counterpart_is_said_to_be_unmatched() -> None:
    (said,) = [e["target"][0] for g in concept_map("allergen_type")["group"] for e in g["element"] if e["code"] == "MA"]
    assert said == {"equivalence": "unmatched"}
    relationship = concept_map("relationship")["group"]
    assert {g["target"].rsplit("/")[-1] for g in relationship} == {"v3-RoleCode", "v2-0063", "v2-0131"}


@pytest.mark.parametrize(("name", "column", "allowed"), [(n, *rest) for n, rest in REQUIRED.items()])
def test_required_bindings_are_kept(name: str, column: str, allowed: set[str]) -> None:
    assert {row[column] for row in table(name).values()} - {""} <= allowed


def test_every_event_with_a_visit_has_a_status_row() -> None:
    assert set(table("encounter_status")) == {row.effect for row in EVENTS.values()} - WITHOUT_VISIT


def test_a_coding_system_by_name_by_number_and_unknown() -> None:
    findings: list[Finding] = []
    assert code_system("HL70127", "AL1-2.3", findings) == "http://terminology.hl7.org/CodeSystem/v2-0127"
    assert code_system("i10", "DG1-3.3", findings) == "http://hl7.org/fhir/sid/icd-10-cm"
    assert code_system("", "DG1-3.3", findings) == code_system("L", "DG1-3.3", findings) == "" and not findings
    assert code_system("WHATEVER", "DG1-3.3", findings) == "" and findings[0].location == "DG1-3.3"


def test_a_table_is_asked_with_and_without_capitals() -> None:
    findings: list[Finding] = []
    assert look_up("sex", "f", "PID-8", findings)["gender"] == "female" and not findings


def test_every_field_of_the_map_has_a_name_for_people() -> None:
    assert set(table("field_map")) <= set(table("field_name"))
