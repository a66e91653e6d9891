"""What HSDS says comes back: record -> resource -> record, JSON -> package -> JSON, tables -> package -> tables."""

import copy
import json
from decimal import Decimal
from typing import Any

import pytest

from fhir_profiles.json_text import write_json
from fhir_profiles.validate import validate
from mappers.hsds import checks, convert
from mappers.hsds.elements import ACCESSIBLE_URL, APPOINTMENT_URL
from mappers.hsds.lens import Names
from mappers.hsds.package import Package, document, read_json
from mappers.hsds.tabular import read_tables, write_tables
from tests.mappers.hsds.made_up import LOCATION, ORGANIZATION, SERVICE, plain, records

REFERENCES = {
    ("organization", "org-1"): "Organization/o1",
    ("location", "loc-1"): "Location/l1",
    ("service", "svc-1"): "HealthcareService/s1",
}
NAMES = Names(REFERENCES, {reference: key[1] for key, reference in REFERENCES.items()})
WHOLE = {"organization": ORGANIZATION, "location": LOCATION, "service": SERVICE}


def entry(kind: str, record: dict[str, Any]) -> dict[str, Any]:
    made = convert.laid_over(kind, copy.deepcopy(record), None, NAMES)
    return json.loads(write_json(made), parse_float=Decimal)


def held(package: Package) -> dict[str, Any]:
    assert package.issues == [] and package.problems == []
    return {kind: {key: one.record for key, one in found.items()} for kind, found in package.entries.items()}


@pytest.mark.parametrize("kind", WHOLE)
def test_a_record_with_every_table_comes_back(kind: str) -> None:
    resource = entry(kind, WHOLE[kind])
    assert checks.problems(kind, WHOLE[kind], 1) == []
    assert validate(resource, convert.RTYPES[kind]) == []
    assert convert.standing_of(resource, NAMES) == WHOLE[kind]
    assert convert.imported(resource) == (convert.digest(WHOLE[kind]), False)


@pytest.mark.parametrize("kind", WHOLE)
def test_any_part_of_a_record_comes_back(kind: str) -> None:
    for left_out in [name for name in WHOLE[kind] if name not in ("id", "name")]:
        record = {name: value for name, value in WHOLE[kind].items() if name != left_out}
        assert convert.standing_of(entry(kind, record), NAMES) == record, left_out


def test_what_fhir_says_of_it() -> None:
    service = entry("service", SERVICE)
    assert service["active"] is False and service["providedBy"] == {"reference": "Organization/o1"}
    assert service["location"] == [{"reference": "Location/l1"}]
    said = {"extension": [{"url": APPOINTMENT_URL, "valueBoolean": True}]}
    assert service["telecom"][0] == {"system": "phone", "value": "+1 209-555-0140 ext. 7", "use": "work", **said}
    assert [one.get("system") for one in service["telecom"] if "extension" in one] == ["phone", "email"]
    assert [one["text"] for one in service["communication"]] == ["Spanish", "Hmong"]
    assert service["availableTime"] == [
        {"daysOfWeek": ["mon", "wed"], "availableStartTime": "09:00:00", "availableEndTime": "16:30:00"}
    ]
    assert service["type"][0]["coding"][0] == {
        "system": "http://211hsis.org",
        "code": "BD-1800.2000",
        "display": "Food pantries",
    }
    place = entry("location", LOCATION)
    assert place["position"]["latitude"] == Decimal("37.9577") and place["address"]["city"] == "Stockton"
    assert place["hoursOfOperation"] == [
        {"daysOfWeek": ["mon", "wed"], "openingTime": "09:00:00", "closingTime": "16:30:00"}
    ]
    ramp = [one for one in place["extension"] if one["url"] == ACCESSIBLE_URL]
    assert ramp == [{"url": ACCESSIBLE_URL, "valueCodeableConcept": {"text": "Ramp"}}]
    organization = entry("organization", ORGANIZATION)
    [person] = organization["contact"]
    assert person["name"] == {"text": "Ada Made-Up"}
    assert [one["value"] for one in person["telecom"]] == ["+1 209-555-0140 ext. 7", "ada@example.org"]
    organization["contact"] = [
        {"name": {"given": ["Bo"], "family": "Made-Up"}, "telecom": [{"system": "sms", "value": "1"}]}
    ]
    [told] = convert.standing_of(organization, NAMES)["contacts"]
    assert (told["name"], [(one["number"], one["type"]) for one in told["phones"]]) == ("Bo Made-Up", [("1", "text")])
    assert "partOf" not in entry("organization", ORGANIZATION), "rights follow from partOf: it is the operator's"


def test_what_was_changed_in_fhir_is_exported_and_the_rest_is_kept() -> None:
    service = entry("service", SERVICE)
    service["comment"] = "Two boxes a week"
    service["telecom"] = [{"system": "phone", "value": "+1 209-555-0199"}]
    assert convert.imported(service)[1], "the entry was corrected since"
    record = convert.standing_of(service, NAMES)
    assert record["description"] == "Two boxes a week"
    assert [one["number"] for one in record["phones"]] == ["+1 209-555-0199"] and record["phones"][0]["id"]
    assert "email" not in record
    untouched = {name: SERVICE[name] for name in SERVICE if name not in ("description", "phones", "email", "url")}
    assert {name: record[name] for name in untouched} == untouched
    assert checks.problems("service", record, 1) == []


def test_how_a_place_can_be_entered_is_corrected_in_fhir() -> None:
    place = entry("location", LOCATION)
    adapted = {"coding": [{"code": "adacomp", "display": "ADA compliant"}]}
    place["extension"] = [one for one in place["extension"] if one["url"] != ACCESSIBLE_URL]
    place["extension"].append({"url": ACCESSIBLE_URL, "valueCodeableConcept": adapted})
    [told] = convert.standing_of(place, NAMES)["accessibility"]
    assert told == {"id": told["id"], "description": "ADA compliant"}


DAILY = {"id": "s", "freq": "WEEKLY", "byday": "MO", "opens_at": "09:00", "closes_at": "17:00"}
SCHEDULED: list[tuple[dict[str, Any], dict[str, Any] | None]] = [
    ({}, {"openingTime": "09:00:00", "closingTime": "17:00:00"}),
    ({"valid_from": "2026-01-01"}, {"openingTime": "09:00:00", "closingTime": "17:00:00"}),
    ({"opens_at": "09:00-08:00", "closes_at": "17:00-08:00"}, {"openingTime": "09:00:00", "closingTime": "17:00:00"}),
    ({"opens_at": "00:00", "closes_at": "23:59"}, {"allDay": True}),
    ({"opens_at": "16:00Z", "closes_at": "23:00Z"}, None),
    ({"valid_from": "2026-06-01", "valid_to": "2026-08-31"}, None),
    ({"until": "2026-08-31"}, None),
    ({"interval": 2}, None),
    ({"freq": "MONTHLY", "bymonthday": "1"}, None),
    ({"closes_at": ""}, None),
]
"""What differs from nine to five on Mondays, and the hours in FHIR; None: none that would always be true."""


@pytest.mark.parametrize(("differs", "hours"), SCHEDULED)
def test_hours_say_when_a_door_is_open_for_sure_and_all_come_back(
    differs: dict[str, Any], hours: dict[str, Any] | None
) -> None:
    record = {**LOCATION, "schedules": [{name: value for name, value in (DAILY | differs).items() if value}]}
    place = entry("location", record)
    assert place.get("hoursOfOperation") == (None if hours is None else [{"daysOfWeek": ["mon"], **hours}])
    assert validate(place, "Location") == []
    assert convert.standing_of(place, NAMES) == record


def test_hours_that_were_corrected_in_fhir_are_exported() -> None:
    place = entry("location", LOCATION)
    place["hoursOfOperation"] = [{"daysOfWeek": ["sat"], "allDay": True}]
    [told] = convert.standing_of(place, NAMES)["schedules"]
    assert told == {"id": told["id"], "freq": "WEEKLY", "byday": "SA", "opens_at": "00:00", "closes_at": "23:59"}
    again = entry("location", {**LOCATION, "schedules": [told]})
    assert again["hoursOfOperation"] == place["hoursOfOperation"]


def test_an_import_leaves_what_hsds_does_not_say() -> None:
    current = {"resourceType": "HealthcareService", "id": "s1", "photo": {"url": "https://example.org/p.png"}}
    current |= {"identifier": [{"system": "https://example.org/own", "value": "7"}], "comment": "old"}
    made = convert.laid_over("service", SERVICE, current, NAMES)
    assert made["photo"] and [one["value"] for one in made["identifier"]] == ["7", "svc-1"]
    assert made["comment"] == "A box of food each week"


def test_json_comes_back() -> None:
    text = write_json(document(records()))
    assert held(read_json(text)) == records()
    assert write_json(document(held(read_json(text)))) == text


@pytest.mark.parametrize("shape", ["list", "contents", "one", "organizations"])
def test_other_shapes_of_the_document(shape: str) -> None:
    service = document(records())["services"][0]
    organization = {**ORGANIZATION, "services": [{n: v for n, v in service.items() if n != "organization"}]}
    shapes = {"list": [service], "contents": {"contents": [service]}, "one": service, "organizations": [organization]}
    assert held(read_json(write_json(shapes[shape]))) == records()


def test_tables_come_back() -> None:
    files = write_tables(records())
    assert {"services.csv", "service_at_location.csv", "taxonomy_terms.csv", "units.csv"} <= set(files)
    again = held(read_tables(files))
    assert again == records()
    assert {name: sorted(data.splitlines()) for name, data in write_tables(again).items()} == {
        name: sorted(data.splitlines()) for name, data in files.items()
    }


def test_many_services_as_tables() -> None:
    package = read_json(write_json([plain(number) for number in range(300)]))
    assert held(read_tables(write_tables(held(package)))) == held(package)


def test_a_cell_starts_no_formula() -> None:
    told = records()
    told["service"]["svc-1"] = SERVICE | {"name": "=cmd()", "alert": "@x"}
    files = write_tables(told)
    assert b"'=cmd()" in files["services.csv"] and b"'@x" in files["services.csv"]
    assert b"+1 209-555-0140" in files["phones.csv"] and b"'+1" not in files["phones.csv"]
    assert held(read_tables(files))["service"]["svc-1"]["name"] == "=cmd()"
