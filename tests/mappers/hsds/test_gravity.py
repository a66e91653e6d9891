"""The names and codes of Gravity's directory profiles are those of its package, where that is at hand."""

import json
import tarfile
from pathlib import Path
from typing import Any

import pytest

from fhir_profiles.json_text import write_json
from mappers.hsds import convert
from mappers.hsds.elements import CAPACITY_URL, CODES
from mappers.hsds.lens import Names
from service.workflow.directory_capacity import STANDINGS, notes, standing, verified
from tests.conftest import missing
from tests.fhir_profiles.profile_shape import faults
from tests.mappers.hsds.made_up import LOCATION, ORGANIZATION, SERVICE

PACKAGE = Path("/work/shared/igs/sdohcc-3.0.0.tgz")
EXAMPLE = Path(__file__).parents[3] / "fhir_profiles" / "examples" / "HealthcareService-example.json"


@pytest.fixture(scope="module")
def package() -> dict[str, Any]:
    if not PACKAGE.exists():
        missing("igs", "The package of SDOHCC 3.0.0 is not here.")
    wanted = (
        "StructureDefinition-SDOHCC-ExtensionHealthcareServiceCapacityStatus",
        "StructureDefinition-SDOHCC-HealthcareServiceForReferralManagement",
        "ValueSet-SDOHCC-ValueSetCapacityStatus",
    )
    found = {}
    with tarfile.open(PACKAGE) as archive:
        for member in archive.getmembers():
            name = member.name.rsplit("/", 1)[-1].removesuffix(".json")
            if name in wanted and (file := archive.extractfile(member)):
                found[name.rsplit("-", 1)[-1]] = json.load(file)
    return found


def test_capacity_is_gravitys(package: dict[str, Any]) -> None:
    definition = package["ExtensionHealthcareServiceCapacityStatus"]
    assert definition["url"] == CAPACITY_URL
    elements = {one["id"]: one for one in definition["differential"]["element"]}
    names = {one["fixedUri"] for key, one in elements.items() if key.endswith(".url") and ":" in key}
    assert names == {"capacityStatus", "capacityNotes"}
    (listed,) = package["ValueSetCapacityStatus"]["compose"]["include"]
    assert listed["system"] == CODES and {one["code"] for one in listed["concept"]} == set(STANDINGS)


def test_the_example_says_what_the_profile_asks_of_capacity(package: dict[str, Any]) -> None:
    example = json.loads(EXAMPLE.read_text("utf-8"))
    profile = package["HealthcareServiceForReferralManagement"]
    needed = {e["id"] for e in profile["differential"]["element"] if e.get("min") and e["id"].count(".") == 1}
    assert {one.removeprefix("HealthcareService.").partition(":")[0] for one in needed} <= set(example)
    assert (standing(example), verified(example)) == ("waitlist", "2026-02-11") and notes(example)
    assert sum(one["url"] == CAPACITY_URL for one in example["extension"]) == 1


def test_what_is_imported_fits_the_profiles() -> None:
    names = Names({("organization", "org-1"): "Organization/o1", ("location", "loc-1"): "Location/l1"}, {})
    category = {"taxonomy_term": {"code": "food-insecurity", "name": "Food Insecurity", "taxonomy": CODES}}
    record = SERVICE | {"status": "active", "attributes": [category, SERVICE["attributes"][0]]}
    both = ("sdohcc-3.0.0", "us-core-7.0.0")
    gravity, core = CAPACITY_URL.rpartition("/")[0], "http://hl7.org/fhir/us/core/StructureDefinition"
    for kind, told, profile in (
        ("service", record, f"{gravity}/SDOHCC-HealthcareService"),
        ("service", record, f"{gravity}/SDOHCC-HealthcareServiceForReferralManagement"),
        ("location", LOCATION, f"{gravity}/SDOHCC-Location"),
        ("organization", ORGANIZATION, f"{core}/us-core-organization"),
    ):
        made = json.loads(write_json(convert.laid_over(kind, told, None, names)))
        assert faults(made, profile, *both) == [], (kind, profile)
    told = convert.standing_of(convert.laid_over("service", record, None, names), names)["attributes"]
    assert [one["taxonomy_term"]["code"] for one in told] == ["food-insecurity", "BD-1800.2000"]
