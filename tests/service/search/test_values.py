"""Index rows: keys, references, dates, strings of single values; and the patient whose record a resource belongs to."""

import pytest

from service.search.keys import Keys, edge
from service.search.strings import stored
from service.search.values import index_rows, patient_of
from tests.service.search.samples import HAND_WRITTEN

BASE = "https://enlace.test/fhir"
KEYS = Keys(b"k")


def rows(resource: dict):
    return index_rows(resource, resource["resourceType"], KEYS, BASE)


def task(**members: object) -> dict:
    return {"resourceType": "Task", "id": "t1", **members}


def test_marker_and_no_row_twice():
    for resource in HAND_WRITTEN:
        made = rows(resource)
        assert KEYS.marker(resource["resourceType"]) in made.keys
        for part in (made.keys, made.dates, made.strings, made.edges):
            assert len(part) == len(set(part))


def test_the_same_resource_makes_the_same_rows_and_another_secret_others():
    assert rows(HAND_WRITTEN[0]) == rows(HAND_WRITTEN[0])
    other = index_rows(HAND_WRITTEN[0], "Patient", Keys(b"another"), BASE)
    assert not set(other.keys) & set(rows(HAND_WRITTEN[0]).keys)


@pytest.mark.parametrize(
    ("reference", "target"),
    [
        ("Organization/o1", "Organization/o1"),
        ("Organization/o1/_history/7", "Organization/o1"),
        (BASE + "/Organization/o1", "Organization/o1"),
        (BASE + "/Organization/o1/_history/7", "Organization/o1"),
        ("http://other.test/fhir/Organization/o1", "http://other.test/fhir/Organization/o1"),
        (BASE + "2/Organization/o1", BASE + "2/Organization/o1"),
        ("#c", None),
        ("urn:uuid:0b2f4d2e-0000-4000-8000-000000000000", None),
        ("Organization?identifier=x", None),
    ],
)
def test_references_become_edges(reference: str, target: str | None):
    wanted = () if target is None else ((edge("Task", "owner"), KEYS.resource(target)),)
    assert rows(task(owner={"reference": reference})).edges == wanted


def test_an_alias_writes_no_second_edge_but_its_own_presence():
    made = rows(task(**{"for": {"reference": "Patient/p1"}}))
    assert made.edges == ((edge("Task", "subject"), KEYS.resource("Patient/p1")),)
    assert KEYS.present("Task", "patient") in made.keys
    group = rows(task(**{"for": {"reference": "Group/g1"}}))
    assert KEYS.present("Task", "patient") not in group.keys
    assert KEYS.present("Task", "subject") in group.keys


def test_a_narrowed_parameter_takes_its_type_only():
    episode = {"resourceType": "EpisodeOfCare", "id": "e"}
    for reference, count in (("Practitioner/1", 1), ("PractitionerRole/1", 0), ("http://x.test/Practitioner/1", 1)):
        assert len(rows({**episode, "careManager": {"reference": reference}}).edges) == count


def test_a_system_without_code_and_a_code_without_system():
    made = rows(task(businessStatus={"coding": [{"system": "http://s"}, {"code": "C"}]}))
    name = "business-status"
    assert KEYS.token("Task", name, "http://s", None) in made.keys
    assert KEYS.token("Task", name, "", "c") in made.keys
    assert KEYS.token("Task", name, "http://s", "c") not in made.keys


def test_versioned_profiles_are_found_without_their_version():
    made = rows(task(meta={"profile": ["http://p|1"]}))
    assert {KEYS.uri("Task", "_profile", "http://p|1"), KEYS.uri("Task", "_profile", "http://p")} <= set(made.keys)


def test_strings_are_indexed_by_their_parts():
    texts = {text for _, text in rows(HAND_WRITTEN[0]).strings}
    assert {stored("Núñez"), stored("Ana"), stored("María"), stored("Anita"), stored("1 Main St"), "95814"} <= texts


@pytest.mark.parametrize(
    ("resource", "patient"),
    [
        ({"resourceType": "Patient", "id": "p1", "link": [{"other": {"reference": "Patient/p2"}}]}, "Patient/p1"),
        (task(**{"for": {"reference": "Patient/p1"}, "focus": {"reference": "Patient/p2"}}), "Patient/p1"),
        (task(focus={"reference": "Patient/p2"}), "Patient/p2"),
        (task(focus={"reference": "ServiceRequest/s"}), None),
        (task(**{"for": {"reference": BASE + "/Patient/p1"}}), "Patient/p1"),
        (task(**{"for": {"reference": "http://other.test/Patient/p1"}}), None),
        (task(**{"for": {"reference": "Patient/p1/_history/2"}}), "Patient/p1"),
        ({"resourceType": "Group", "id": "g", "member": [{"entity": {"reference": "Patient/p1"}}]}, None),
        ({"resourceType": "Organization", "id": "o"}, None),
        (
            {
                "resourceType": "Coverage",
                "id": "c",
                "policyHolder": {"reference": "Patient/parent"},
                "beneficiary": {"reference": "Patient/child"},
            },
            "Patient/child",
        ),
        (
            {
                "resourceType": "Provenance",
                "id": "v",
                "target": [{"reference": "Task/t"}, {"reference": "Patient/p1"}],
            },
            "Patient/p1",
        ),
        (
            {
                "resourceType": "Provenance",
                "id": "v",
                "target": [{"reference": "Patient/p1"}, {"reference": "Patient/p2"}],
            },
            None,
        ),
        (
            {"resourceType": "CarePlan", "id": "c", "subject": {"reference": "Group/g"}, "activity": []},
            None,
        ),
        ({"resourceType": "AuditEvent", "id": "a", "entity": [{"what": {"reference": "Patient/p1"}}]}, "Patient/p1"),
    ],
)
def test_whose_record_it_is(resource: dict, patient: str | None):
    assert patient_of(resource, resource["resourceType"], BASE) == patient
