"""Gravity SDOH Clinical Care 3.0.0: our CapabilityStatement serves what its servers shall and should; examples fit.

Each parameter that is served is tried by tests/service/api/test_capability.py and found by
tests/service/search/test_every_parameter.py, so that what stands in the statement is tested by standing there.
"""

from typing import Any

import pytest

from fhir_profiles.catalog import HEAD_PARAMETERS, catalog
from tests.fhir_profiles.examples import FOLDER, load
from tests.fhir_profiles.profile_shape import faults, package

GRAVITY = "sdohcc-3.0.0"
BOTH = (GRAVITY, "us-core-7.0.0")
BASE = "http://hl7.org/fhir/us/sdoh-clinicalcare"
CORE = "http://hl7.org/fhir/us/core/StructureDefinition/us-core-"
ROLES = ("ReferralSource", "CoordinationPlatform", "ReferralRecipient")
EXPECTATION = "http://hl7.org/fhir/StructureDefinition/capabilitystatement-expectation"
BLOCKS = {block["type"]: block for block in catalog().statement["rest"][0]["resource"]}

NOT_SERVED = {("Device", "interaction", "read"), ("Device", "interaction", "search-type")}
"""What they should have and we leave out: no device asserts a Condition here (SDOHCC-ExtensionConditionAsserter)."""

PROFILES = {
    "Task": f"{BASE}/StructureDefinition/SDOHCC-TaskForReferralManagement",
    "ServiceRequest": f"{BASE}/StructureDefinition/SDOHCC-ServiceRequest",
    "Procedure": f"{BASE}/StructureDefinition/SDOHCC-Procedure",
    "HealthcareService": f"{BASE}/StructureDefinition/SDOHCC-HealthcareService",
    "Location": f"{BASE}/StructureDefinition/SDOHCC-Location",
    "PractitionerRole": f"{BASE}/StructureDefinition/SDOHCC-practitionerrole",
    "Goal": f"{BASE}/StructureDefinition/SDOHCC-Goal",
    **{
        rtype: CORE + rtype.lower()
        for rtype in ("CarePlan", "CareTeam", "Coverage", "Encounter", "Organization", "Patient", "Practitioner",
                      "RelatedPerson")
    },
}  # fmt: skip


def expected(thing: dict[str, Any], index: int = 0) -> str:
    found = [one["valueCode"] for one in thing.get("extension", ()) if one["url"] == EXPECTATION]
    return str(found[index]) if found else "MAY"


def wanted(role: str) -> list[tuple[str, str, str]]:
    """(type, kind, name) of what the servers of this role shall and should have."""
    statement = package(GRAVITY)[f"{BASE}/CapabilityStatement/SDOHCC-{role}"]
    found = []
    for rest in statement["rest"]:
        if rest["mode"] != "server":
            continue
        for block in rest["resource"]:
            rtype = block["type"]
            found += [(rtype, "interaction", o["code"]) for o in block.get("interaction", ()) if expected(o) != "MAY"]
            found += [(rtype, "param", o["name"]) for o in block.get("searchParam", ()) if expected(o) != "MAY"]
            found += [(rtype, "include", one) for one in block.get("searchInclude", ())]
            found += [(rtype, "revinclude", one) for one in block.get("searchRevInclude", ())]
    return found


def served(rtype: str, kind: str, name: str) -> bool:
    block = BLOCKS.get(rtype, {})
    if kind == "interaction":
        return any(one["code"] == name for one in block.get("interaction", ()))
    if kind == "param":
        return name in HEAD_PARAMETERS or any(one["name"] == name for one in block.get("searchParam", ()))
    place = "searchInclude" if kind == "include" else "searchRevInclude"
    return any(one.lower() == ":".join(name.split(":")[:2]).lower() for one in block.get(place, ()))


@pytest.mark.parametrize("role", ROLES)
def test_what_a_server_of_this_role_shall_and_should_have_is_served(role: str) -> None:
    asked = wanted(role)
    assert len(asked) > 8
    missed = {one for one in asked if not served(*one)}
    assert missed == {one for one in NOT_SERVED if one in asked}


@pytest.mark.parametrize("rtype", [rtype for rtype, url in sorted(PROFILES.items()) if url.startswith(BASE)])
def test_the_statement_names_the_profiles_that_are_written_here(rtype: str) -> None:
    """What is written fits them: tests/service/operations/test_written_profiles.py."""
    named = BLOCKS[rtype]["supportedProfile"]
    assert PROFILES[rtype] in named and all(one in package(GRAVITY) for one in named)


def test_its_own_parameters_are_served_as_it_defines_them() -> None:
    for name, rtype, code in (
        ("ServiceRequest-supporting-info", "ServiceRequest", "supporting-info"),
        ("Task-output-reference", "Task", "output"),
    ):
        theirs = package(GRAVITY)[f"{BASE}/SearchParameter/{name}"]
        ours = catalog().types[rtype].search[code]
        assert (theirs["code"], theirs["type"], theirs["url"]) == (code, ours.type, ours.canonical)


@pytest.mark.parametrize("rtype", sorted(PROFILES))
def test_our_examples_fit_the_profiles(rtype: str) -> None:
    assert faults(load(FOLDER / f"{rtype}-example.json"), PROFILES[rtype], *BOTH) == []


def test_capacity_of_the_example_fits_the_profile_for_referrals() -> None:
    profile = f"{BASE}/StructureDefinition/SDOHCC-HealthcareServiceForReferralManagement"
    assert faults(load(FOLDER / "HealthcareService-example.json"), profile, *BOTH) == []


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        ({"status": "received"}, "Task.status"),
        ({"statusReason": {"coding": [{"code": "x"}]}}, "Task.statusReason.text"),
        ({"intent": "plan"}, "Task.intent"),
        ({"code": {"text": "fulfill"}}, "Task.code"),
        ({"focus": None}, "Task.focus"),
        ({"focus": {"reference": "Patient/x"}}, "Task.focus"),
        ({"requester": {"reference": "Practitioner/x"}}, "Task.requester"),
        (
            {
                "output": [
                    {
                        "type": {"coding": [{"system": f"{BASE}/CodeSystem/SDOHCC-CodeSystemTemporaryCodes",
                                             "code": "resulting-activity"}]},
                        "valueReference": {"reference": "Patient/x"},
                    }
                ]
            },
            "Task.output:PerformedActivityReference",
        ),
    ],
)  # fmt: skip
def test_the_comparison_notices(change: dict[str, Any], fault: str) -> None:
    changed = {**load(FOLDER / "Task-example.json"), **change}
    body = {name: value for name, value in changed.items() if value is not None}
    assert any(one.startswith(fault) for one in faults(body, PROFILES["Task"], *BOTH))
