"""member_resources.py and merge.py: golden resources, valid R4, and what a merge keeps."""

import dataclasses
import json
from typing import Any

import pytest

from fhir_profiles.models import explain
from fhir_profiles.validate import validate
from mappers.plan_files import layout
from mappers.plan_files.member_information import members
from mappers.plan_files.member_resources import EPISODE_STATUS, Refs, to_resources
from mappers.plan_files.member_row import MemberRow
from mappers.plan_files.merge import changed, merge, merge_patient
from mappers.plan_files.table import read_rows
from tests.mappers.plan_files.made_up import BASE, GOLDEN, TODAY

Json = dict[str, Any]


def refs(number: int = 1, manager: str | None = "PractitionerRole/okonkwo") -> Refs:
    return Refs(
        plan="Organization/plan-golden-poppy", ecm_provider="Organization/rio-verde", lead_care_manager=manager,
        patient_id=f"patient-{number}", coverage_id=f"coverage-{number}", episode_id=f"episode-{number}",
        careteam_id=f"careteam-{number}",
    )  # fmt: skip


def people(plan: str = "base", ending: str = "csv") -> list[MemberRow]:
    pack = layout.load("member-information", plan)
    table = read_rows((GOLDEN / f"{plan}.{ending}").read_bytes(), f"x.{ending}", pack)
    return [outcome.member for outcome in members(table, pack, TODAY) if outcome.member]


def test_golden_resources_byte_for_byte() -> None:
    made = [
        to_resources(m, refs(n, "PractitionerRole/okonkwo" if m.lcm_name else None)) for n, m in enumerate(people(), 1)
    ]
    text = json.dumps(made, indent=1, ensure_ascii=False) + "\n"
    assert text == (GOLDEN / "base.resources.json").read_text()


@pytest.mark.parametrize("status", EPISODE_STATUS)
@pytest.mark.parametrize("manager", [None, "Practitioner/p", "PractitionerRole/r"])
def test_resources_are_valid_r4(status: str, manager: str | None) -> None:
    for plan, ending in (("base", "csv"), ("golden-poppy", "txt"), ("sierra-valley", "csv")):
        for member in people(plan, ending):
            for bare in (refs(1, manager), dataclasses.replace(refs(1, manager), ecm_provider=None)):
                for resource in to_resources(dataclasses.replace(member, ecm_status=status), bare):
                    kind = resource["resourceType"]
                    assert (explain(resource, kind), validate(resource, kind)) == ([], [])


def test_status_map_by_whether_ecm_ever_started() -> None:
    started, never = people()[0], dataclasses.replace(people()[0], ecm_start=None)
    for status, expected in EPISODE_STATUS.items():
        for member, want in ((never, expected[0]), (started, expected[1])):
            episode = to_resources(dataclasses.replace(member, ecm_status=status), refs())[2]
            assert episode["status"] == want
    assert EPISODE_STATUS["declined"] == ("cancelled", "finished") and EPISODE_STATUS["in-outreach"][0] == "planned"


def test_on_behalf_of_stands_only_beside_a_practitioner() -> None:
    member = people()[0]
    by_role = to_resources(member, refs(1, "PractitionerRole/r"))[3]["participant"][0]
    by_person = to_resources(member, refs(1, "Practitioner/p"))[3]["participant"][0]
    assert "onBehalfOf" not in by_role and by_person["onBehalfOf"] == {"reference": "Organization/rio-verde"}
    named = to_resources(member, refs(1, None))[3]["participant"][0]
    assert named["member"]["identifier"]["value"] == member.lcm_npi and named["onBehalfOf"]
    alone = to_resources(dataclasses.replace(member, lcm_name=None, lcm_npi=None), refs(1, None))[3]["participant"]
    assert [p["role"][0]["coding"][0]["code"] for p in alone] == ["ecm-provider"]


def test_a_homeless_member_without_a_street_has_no_fixed_address() -> None:
    address = to_resources(people()[1], refs())[0]["address"]
    assert address == [
        {"use": "home", "type": "physical", "text": "No fixed address", "city": "Fresno", "state": "CA"},
    ]


def test_the_same_row_merged_again_changes_nothing() -> None:
    for number, member in enumerate(people(), 1):
        for made in to_resources(member, refs(number)):
            stored = {**made, "meta": {"versionId": "3"}}
            assert not changed(stored, merge(stored, made))
            assert not changed(merge(others(stored), made), merge(merge(others(stored), made), made))


def others(resource: Json) -> Json:
    """The stored resource as others have written to it in between."""
    found: Json = json.loads(json.dumps(resource))
    if found["resourceType"] == "Patient":
        found["identifier"].insert(0, {"system": "https://hmis.example.org", "value": "H1"})
        found["telecom"] = [{"system": "phone", "value": "559-555-0999", "use": "mobile"}, *found.get("telecom", [])]
        found["name"].append({"use": "nickname", "given": ["Sunny"]})
        found["contact"] = [{"name": {"text": "Rosa"}}]
        found["communication"] = [{"language": {"coding": [{"code": "fr"}]}, "preferred": True}]
    return found


def test_merge_patient_keeps_what_the_file_does_not_speak_about() -> None:
    made = to_resources(people()[0], refs())[0]
    before = others({**made, "gender": "female", "birthDate": "1958-02-27", "meta": {"versionId": "9"}})
    copy = json.loads(json.dumps(before))
    merged = merge_patient(before, made)
    assert before == copy, "the arguments stay as they are"
    assert merged["birthDate"] == "1958-02-28" and merged["meta"] == {"versionId": "9"}
    assert [i["value"] for i in merged["identifier"]] == ["H1", "90000001A", "GP0001", "MR-1001"]
    assert [t["value"] for t in merged["telecom"]] == ["559-555-0999", "559-555-0101", "sonja@example.org"]
    assert merged["contact"] == [{"name": {"text": "Rosa"}}] and merged["name"][1]["use"] == "nickname"
    assert [c.get("preferred") for c in merged["communication"]] == [None, True]


def test_a_file_without_phone_and_gender_unlearns_neither() -> None:
    full = people()[0]
    stored = to_resources(full, refs())[0]
    silent = to_resources(dataclasses.replace(full, phone=None, email=None, gender=None, homeless=None), refs())[0]
    assert silent["gender"] == "unknown" and not changed(stored, merge_patient(stored, silent))


def test_a_withdrawn_discontinuation_goes_and_foreign_extensions_stay() -> None:
    ended = people()[2]
    stored = to_resources(ended, refs())[2]
    stored["extension"].append({"url": "https://other.example.org", "valueString": "x"})
    stored["referralRequest"] = [{"reference": "ServiceRequest/1"}]
    again = dataclasses.replace(
        ended, ecm_status="engaged-enrolled", discontinuation_date=None, discontinuation_reason=None, ecm_end=None,
        pofs=("2b",),
    )  # fmt: skip
    merged = merge(stored, to_resources(again, refs())[2])
    urls = [e["url"].rsplit("/", 1)[-1] for e in merged["extension"]]
    assert urls == ["enlace-population-of-focus", "enlace-engagement-status", "other.example.org"]
    assert (merged["status"], merged["period"]) == ("active", {"start": "2025-11-01"})
    assert merged["referralRequest"] == [{"reference": "ServiceRequest/1"}]


def test_merging_two_types_is_refused() -> None:
    with pytest.raises(ValueError, match="one type"):
        merge({"resourceType": "Patient"}, {"resourceType": "Coverage"})
    assert BASE.kind == "member-information"
