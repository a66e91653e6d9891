"""The numbers of an Encounter: under the system that is registered for who gave them, each once."""

from dataclasses import replace

from fhir_profiles import Resource
from mappers.hl7v2.event import AdtEvent, StayKey, Visit
from service.workflow.calaim_criteria import planned
from service.workflow.stay_details import details
from service.workflow.stay_encounter import ADMISSION, encounter
from service.workflow.stay_identity import stay_key
from service.workflow.stays import reduce
from tests.service.workflow.made_up import adt, stored

LOCAL = "https://enlace.example.org/fhir/sid"
KEY = StayKey(facility="MERCY", visit_number="V1", visit_authority="MERCY", account="A1", account_authority="MERCY")
REGISTERED = replace(KEY, visit_system="https://mercy.example.org/visit", account_system="urn:oid:1.2.3")


def numbers(*keys: StayKey) -> list[tuple[str, str, str]]:
    """(use, system, value) of an Encounter whose messages came under these numbers."""
    events: list[AdtEvent] = [adt("A08" if n else "A01", n, "I", stay=key) for n, key in enumerate(keys)]
    said = details(stored(*events))
    made: Resource = encounter(reduce(stored(*events)), said.event, "Patient/a", stay_id="x", former=said.former)
    return [(one.get("use", ""), one["system"], one["value"]) for one in made["identifier"]]


def test_a_registered_system_reaches_the_encounter_and_leaves_the_stay_what_it_is() -> None:
    assert numbers(KEY) == [("", f"{LOCAL}/vn/mercy/MERCY", "V1"), ("", f"{LOCAL}/an/mercy/MERCY", "A1")]
    assert numbers(REGISTERED) == [("", "https://mercy.example.org/visit", "V1"), ("", "urn:oid:1.2.3", "A1")]
    events = [adt("A01", 0, "I", stay=one) for one in (KEY, REGISTERED)]
    assert len({stay_key(one, "mercy") for one in events}) == 1


def test_one_that_was_registered_during_the_stay_makes_no_second_number() -> None:
    assert numbers(KEY, REGISTERED) == numbers(REGISTERED)
    moved = replace(REGISTERED, account="A2")
    assert numbers(KEY, moved) == [
        ("", "https://mercy.example.org/visit", "V1"), ("", "urn:oid:1.2.3", "A2"),
        ("old", f"{LOCAL}/an/mercy/MERCY", "A1"),
    ]  # fmt: skip


def types(*sent: str) -> list[Resource]:
    """Encounter.type of a stay whose messages said this in PV1-4."""
    made = [adt("A08" if n else "A01", n, "I", stay=KEY) for n in range(len(sent))]
    events = stored(
        *(
            replace(one, visit=replace(one.visit or Visit(), admission_type=code))
            for one, code in zip(made, sent, strict=True)
        )
    )
    said = details(events)
    return list(
        encounter(reduce(events), said.event, "Patient/a", stay_id="x", admission_type=said.admission_type)["type"]
    )


def test_whether_it_was_planned_is_a_type_of_the_encounter_the_last_word_counts() -> None:
    ours = {"text": "Hospital admission"}
    elective = {"coding": [{"system": ADMISSION, "code": "C", "display": "Elective"}]}
    assert types("") == types(" ", "") == [ours]
    assert types("C") == types("E", "c ", "") == [ours, elective]
    assert types("C", "3  B") == [ours, {"text": "3 B"}]
    assert planned({"type": types("E", "C")}) and not planned({"type": types("C", "E")})
