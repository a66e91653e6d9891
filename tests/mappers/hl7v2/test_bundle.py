"""A whole message as FHIR: valid R4, every field of the map is really read, what has no map is reported."""

from __future__ import annotations

from functools import cache
from typing import Any

import pytest

from fhir_profiles.validate import validate
from mappers.hl7v2.code_tables import table
from mappers.hl7v2.resources.unmapped import SEGMENT_EXTENSION
from mappers.hl7v2.source import SourceConfig
from mappers.hl7v2.to_fhir import CIN_SYSTEM
from tests.mappers.hl7v2.whole_message import MSH, SEGMENTS, WHOLE, bundled, read, resources

_OUTDONE = {"EVN-1", "PV1-39", "PID-24", "PID-30"}
"""MSH-9, the settings of the source, PID-25 and PID-29 weigh more: checked apart below."""
PER_MINUTE = {"unit": "per minute", "system": "http://unitsofmeasure.org", "code": "/min"}
NEVER = {"coding": [{"code": "N", "display": "Never"}], "text": "Never"}
PLACES = sorted({f"{s[:3]}-{n}" for s in SEGMENTS for n, value in enumerate(s.split("|")) if n and value} - _OUTDONE)


@cache
def _said(text: str) -> Any:
    _, events, _ = read(text)
    return events, bundled(text)[0]


def test_every_resource_is_valid_r4() -> None:
    made, findings = bundled()
    assert validate(made, "Bundle") == []
    for entry in made["entry"]:
        assert validate(entry["resource"], entry["resource"]["resourceType"]) == []
    assert findings == []


def test_the_whole_message_has_every_field_of_the_map() -> None:
    there = {f"{line[:3]}-{n}" for line in SEGMENTS for n, value in enumerate(line.split("|")) if value}
    wanted = {place for place, row in table("field_map").items() if row["target"] and place[:3] not in ("MSH", "MRG")}
    assert wanted <= there
    for row in table("field_map").values():
        assert bool(row["target"]) != bool(row["why"]), row


@pytest.mark.parametrize("place", [p for p in PLACES if table("field_map")[p]["target"]])
def test_each_field_of_the_map_is_read(place: str) -> None:
    """Without its value something else is said: of at least one of the segments of that name."""
    name, _, number = place.partition("-")
    whole = _said(WHOLE)
    assert any(_said(_without(at, int(number))) != whole for at, one in enumerate(SEGMENTS) if one[:3] == name)


def _without(at: int, number: int) -> str:
    fields = SEGMENTS[at].split("|")
    if number >= len(fields):
        return WHOLE
    fields[number] = ""
    return "\r".join((MSH, *SEGMENTS[:at], "|".join(fields), *SEGMENTS[at + 1 :])) + "\r"


def test_references_inside_the_bundle_resolve() -> None:
    made, _ = bundled()
    there = {f"{e['resource']['resourceType']}/{e['resource']['id']}" for e in made["entry"]}
    assert len(there) == len(made["entry"])
    for ref in _references(made["entry"]):
        assert ref in there or ref == "Organization/valley"
    assert all(e["fullUrl"].endswith(f"/{e['resource']['id']}") for e in made["entry"])


def _references(node: Any) -> list[str]:
    if isinstance(node, dict):
        own = [node["reference"]] if isinstance(node.get("reference"), str) else []
        return own + [ref for value in node.values() for ref in _references(value)]
    return [ref for value in node for ref in _references(value)] if isinstance(node, list) else []


def test_the_same_message_gives_the_same_bundle() -> None:
    assert bundled() == bundled()


def test_provenance_names_message_and_segments() -> None:
    made, _ = bundled()
    told = {}
    for one in resources(made, "Provenance"):
        assert one["entity"][0]["what"]["identifier"]["value"] == "WHOLE-1"
        told |= {target["reference"].split("/")[0]: one["entity"][0]["what"]["display"] for target in one["target"]}
        assert one["occurredDateTime"] == "2026-03-03T14:10:00-08:00" and one["recorded"] == "2026-03-03T22:30:00Z"
    assert told["Patient"] == "ADT^A01 PID PD1 IN1 NK1" and told["Encounter"] == "ADT^A01 PV1 PV2"
    assert told["Observation"] in ("ADT^A01 OBX", "ADT^A01 ACC")
    assert {e["resource"]["resourceType"] for e in made["entry"]} <= told.keys() | {"MessageHeader", "Provenance"}


def test_no_social_security_number_goes_along() -> None:
    assert "44-3333" not in str(bundled()[0]) and "555443333" not in str(bundled()[0])


def test_a_cin_in_in1_36_is_the_members_number() -> None:
    made, _ = bundled()
    medi_cal, other = resources(made, "Coverage")
    assert medi_cal["identifier"][0]["system"] == CIN_SYSTEM and medi_cal["identifier"][0]["value"] == "91234567A"
    assert medi_cal["identifier"][0]["type"]["coding"][0]["code"] == "MB" and medi_cal["subscriberId"] == "S777"
    assert (other["identifier"][0]["value"], other["subscriberId"]) == ("POL-9", "POL-9")
    assert resources(made, "Patient")[0]["identifier"][0] == {"system": CIN_SYSTEM, "value": "91234567A"}


def test_what_has_no_map_is_reported_and_z_segments_are_kept() -> None:
    text = WHOLE + 'GT1|1||Roe^Ann\rZPD|local^thing|""|x\rZLW|y\rPV1||||||\r'
    made, findings = bundled(text.replace("ACC|", "ACC||||||EXTRA\rACC|", 1))
    assert {(f.code, f.location) for f in findings} == {("unmapped-segment", "GT1"), ("unmapped-field", "ACC-6")}
    assert all("EXTRA" not in f.text for f in findings)
    (kept,) = resources(made, "Basic")
    assert [(e["url"], e["valueString"]) for e in kept["extension"]] == [
        (SEGMENT_EXTENSION, 'ZPD|local^thing|""|x'),
        (SEGMENT_EXTENSION, "ZLW|y"),
    ]
    assert validate(kept, "Basic") == []


def test_an_unknown_code_is_kept_in_words_and_reported() -> None:
    made, findings = bundled(WHOLE.replace("SPO^Spouse", "QQ^Roommate", 1).replace("|DA|", "|ZZ|", 1))
    (person, _) = resources(made, "RelatedPerson")
    assert person["relationship"][0] == {"text": "Roommate"}
    assert {(f.code, f.location) for f in findings} == {("unmapped-code", "NK1-3"), ("unmapped-code", "AL1-2")}


def test_an_employer_is_a_contact_and_no_relative() -> None:
    made, _ = bundled(WHOLE.replace("SPO^Spouse", "EMR^Employer", 1).replace("C^Emergency Contact", "", 1))
    assert [one["relationship"][0]["coding"][0]["code"] for one in resources(made, "RelatedPerson")] == ["MTH"]
    (contact,) = resources(made, "Patient")[0]["contact"]
    assert contact["relationship"][0]["coding"][0]["code"] == "E" and contact["organization"]["display"] == "Roe Farms"


@pytest.mark.parametrize(
    ("kind", "value", "expected"),
    [
        ("NM", "112", {"valueQuantity": {**PER_MINUTE, "value": 112}}),
        ("NM", "1.50", {"valueQuantity": {**PER_MINUTE, "value": 1.5}}),
        ("NM", "high", {"valueString": "high"}),
        ("SN", "<^5", {"valueQuantity": {"comparator": "<", **PER_MINUTE, "value": 5}}),
        ("CWE", "N^Never^L", {"valueCodeableConcept": NEVER}),
        ("TX", "one~two", {"valueString": "one\ntwo"}),
        ("DT", "20260303", {"valueDateTime": "2026-03-03"}),
        ("DT", "202603", {"valueDateTime": "2026-03"}),
        ("TM", "1530", {"valueTime": "15:30:00"}),
        ("TM", "2530", {"valueString": "2530"}),
        ("NR", "60^100", {"valueRange": {"low": {**PER_MINUTE, "value": 60}, "high": {**PER_MINUTE, "value": 100}}}),
        ("SN", "^60^-^100", {"valueRange": {"low": {**PER_MINUTE, "value": 60}, "high": {**PER_MINUTE, "value": 100}}}),
        ("NR", "100^60", {"valueString": "100^60"}),
        ("ED", "^APPLICATION^PDF^Base64^JVBERi0=", {}),
        ("ST", "", {}),
    ],
)  # fmt: skip
def test_observation_values(kind: str, value: str, expected: dict[str, Any]) -> None:
    made, findings = bundled(WHOLE.replace("|NM|", f"|{kind}|", 1).replace("|112|", f"|{value}|", 1))
    found = resources(made, "Observation")[0]
    assert {k: v for k, v in found.items() if k.startswith("value")} == expected
    assert validate(found, "Observation") == []
    odd = {"value-type"} if value in ("high", "2530", "100^60") else {"value-left"} if kind == "ED" else set()
    assert {f.code for f in findings} == odd


def test_the_facility_of_pv1_39_where_the_settings_name_none() -> None:
    (encounter,) = resources(bundled(source=SourceConfig("hie"))[0], "Encounter")
    assert encounter["serviceProvider"] == {"display": "VGH-MAIN"}


def test_the_death_flag_and_multiple_birth_without_their_betters() -> None:
    bare = WHOLE.replace("|202603031420|Y|", "||Y|", 1).replace("|Y|2|", "|Y||", 1)
    (patient,) = resources(bundled(bare)[0], "Patient")
    assert patient["deceasedBoolean"] is True and patient["multipleBirthBoolean"] is True


@pytest.mark.parametrize(
    ("code", "changes", "status"),
    [
        ("A01", {}, "in-progress"),
        ("A03", {}, "finished"),
        ("A04", {"|I|4W": "|E|4W", "|20260306101500|": "||"}, "arrived"),
        ("A05", {}, "planned"),
        ("A08", {}, "finished"),
        ("A08", {"|20260306101500|": "||"}, "in-progress"),
        ("A08", {"|20260306101500|": "||", "|I|4W": "|U|4W", "|OBS|": "||"}, "unknown"),
        ("A11", {}, "cancelled"),
        ("A21", {}, "onleave"),
        ("A23", {}, "entered-in-error"),
        ("A53", {}, "onleave"),
    ],
)
def test_status_of_the_encounter_by_event(code: str, changes: dict[str, str], status: str) -> None:
    text = WHOLE.replace("ADT^A01^ADT_A01", f"ADT^{code}").replace("EVN|A01", f"EVN|{code}")
    for old, new in changes.items():
        text = text.replace(old, new, 1)
    (encounter,) = resources(bundled(text)[0], "Encounter")
    assert encounter["status"] == status


def test_a_merge_is_a_link_and_a_swap_two_encounters() -> None:
    merge = WHOLE.replace("ADT^A01^ADT_A01", "ADT^A40").replace("EVN|A01", "EVN|A40") + "MRG|OLD1^^^VGH^MR\r"
    (patient,) = resources(bundled(merge)[0], "Patient")
    assert (patient["link"][0]["type"], patient["link"][0]["other"]["identifier"]["value"]) == ("replaces", "OLD1")
    second = "\r".join(SEGMENTS[1:5]).replace("|M1^^^", "|M2^^^").replace("|V1^^^", "|V2^^^").replace("91234567A", "")
    swap = WHOLE.replace("ADT^A01^ADT_A01", "ADT^A17").replace("EVN|A01", "EVN|A17") + second + "\r"
    made, _ = bundled(swap)
    assert len(resources(made, "Encounter")) == len(resources(made, "Patient")) == 2
    for entry in made["entry"]:
        assert validate(entry["resource"], entry["resource"]["resourceType"]) == []


V2_TO_FHIR = {
    "EVN": (2, 6, 7),
    "PID": (*range(2, 18), *range(19, 27), 28, 29, 30, 35, 36, 39, 40),
    "PD1": (3, 4, 6, 14),
    "NK1": (*range(2, 10), 12, 15, 16, 20, *range(30, 34), 37, 40, 41),
    "PV1": (*range(2, 12), *range(13, 18), 19, 36, 37, 38, 40, 42, 44, 45, 50, 52, 53, 54),
    "PV2": (1, 3, 8, 9, 11, 12, 13, 22, 25, 38),
    "DG1": (3, 4, 5, 16, 19, 20, 21, 22),
    "IN1": (2, 4, 5, 10, 11, 12, 13, 15, 16, 17, 49),
    "AL1": (2, 3, 4, 5, 6),
    "OBX": (*range(3, 9), 10, 11, *range(14, 22), 23, 24, 25, 29, 30, 33),
    "PR1": (*range(3, 9), 11, 12, 15, 16, 19, 23, 25),
    "ROL": (1, 3, 4, 5, 6, 11, 12, 13, 14),
}
"""The fields that the HL7 v2-to-FHIR guide (segment maps of 2025-10) gives a FHIR element."""


def test_every_field_of_the_guide_goes_somewhere_or_is_left_with_a_reason() -> None:
    known = table("field_map")
    assert [f"{name}-{n}" for name, numbers in V2_TO_FHIR.items() for n in numbers if f"{name}-{n}" not in known] == []


def test_more_z_segments_than_go_along_are_told() -> None:
    made, findings = bundled(WHOLE + ("ZPD|" + "x" * 1_000 + "\r") * 80)
    (kept,) = resources(made, "Basic")
    assert len(kept["extension"]) == 65 and [f.code for f in findings] == ["segments-left"]
