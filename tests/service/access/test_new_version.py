"""A resource as a Write: its index rows, patient, labels, author and panel rows in one place."""

from service.access.labels import labels
from service.access.new_version import deletion, new_version
from service.search.keys import PATIENT_EDGE, Keys, edge
from tests.service.world import BASE, SUD, condition, episode, make, patient

KEYS = Keys(b"k")
ORG = KEYS.resource("Organization/o")


def write(resource):  # type: ignore[no-untyped-def]
    return new_version(resource, 3, KEYS, source_org=ORG, now_us=0, base_url=BASE)


def test_facts_of_a_resource_of_a_patient() -> None:
    made = write(condition("Condition/c", "Patient/a", meta=SUD))
    key = KEYS.resource("Patient/a")
    assert (made.patient, made.source_org, made.expect, made.reference) == (key, ORG, 3, "Condition/c")
    assert made.labels == labels({"meta": SUD}) != 0
    assert (edge("Condition", PATIENT_EDGE), key) in made.index.edges
    assert KEYS.author("Condition", ORG) in made.index.keys and KEYS.marker("Condition") in made.index.keys


def test_an_absolute_reference_into_this_server_is_the_same_patient() -> None:
    made = write(condition("Condition/c", f"{BASE}/Patient/a/_history/2"))
    assert made.patient == KEYS.resource("Patient/a")
    elsewhere = write(condition("Condition/c", "https://other.example/fhir/Patient/a"))
    assert elsewhere.patient != KEYS.resource("Patient/a")


def test_a_patient_is_its_own_record_without_an_edge() -> None:
    made = write(patient("Patient/a"))
    assert made.patient == KEYS.resource("Patient/a")
    assert edge("Patient", PATIENT_EDGE) not in {number for number, _ in made.index.edges}


def test_what_is_of_no_patient() -> None:
    made = write(make("Organization/x", name="X"))
    assert made.patient is None and made.panel == ()


def test_panel_rows_follow_the_resource() -> None:
    made = write(episode("EpisodeOfCare/e", "Patient/a", "Organization/ecm"))
    assert {(row.subject, row.patient) for row in made.panel} == {
        (KEYS.resource("Organization/ecm"), KEYS.resource("Patient/a"))
    }


def test_a_deletion_keeps_whose_it_was_and_indexes_nothing() -> None:
    gone = deletion("Condition", "c", 3, patient=7, source_org=ORG)
    assert (gone.resource, gone.patient, gone.source_org, gone.panel) == (None, 7, ORG, ())
    assert gone.index.keys == () and gone.index.edges == ()
