"""A notification Bundle gives the event that the same HL7 v2 message would give; whatever is missing, nothing fails."""

import copy
import os
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mappers.davinci.notification import envelope, problems, to_events
from mappers.hl7v2.event import AdtEvent
from mappers.hl7v2.source import FacilityConfig, SourceConfig
from openapi.notification_example import NOTIFICATION

SOURCE = SourceConfig("mercy", facility="Organization/mercy")
RECEIVED = 1_772_955_300_000_000
DEEP = 3000 if os.environ.get("ENLACE_TEST_DEEP") else 150


def changed(**types: dict[str, Any]) -> dict[str, Any]:
    """The example with members of its first resource of each type replaced; None takes a member away."""
    bundle = copy.deepcopy(NOTIFICATION)
    for rtype, members in types.items():
        if rtype == "Bundle":
            bundle |= members
            continue
        resource = next(e["resource"] for e in bundle["entry"] if e["resource"]["resourceType"] == rtype)
        resource |= members
    return bundle


def event(source: SourceConfig = SOURCE, **types: dict[str, Any]) -> AdtEvent:
    (found,), _ = to_events(changed(**types), source, RECEIVED)
    assert AdtEvent.from_json(found.to_json()) == found
    return found


def codes(**types: dict[str, Any]) -> set[str]:
    return {finding.code for finding in to_events(changed(**types), SOURCE, RECEIVED)[1]}


def happened(code: str) -> dict[str, Any]:
    return {"eventCoding": {"code": f"notification-{code}"}}


def disposition(*codings: dict[str, str], text: str = "") -> dict[str, Any]:
    told = {"coding": list(codings)} | ({"text": text} if text else {})
    period = {"start": "2026-03-05T22:00:00-08:00", "end": "2026-03-07T21:00:00-08:00"}
    return {"status": "finished", "period": period, "hospitalization": {"dischargeDisposition": told}}


def test_an_admission() -> None:
    found = event()
    assert (found.code, found.effect, found.alert) == ("A01", "admit", "admission")
    assert (found.occurred_text, found.occurred_source) == ("2026-03-07T22:00:00-08:00", "PV1-44")
    assert (
        found.facility.reference == found.stay.facility == "Organization/mercy" and found.facility.npi == "1234567893"
    )
    assert (found.stay.visit_number, found.stay.mrn) == ("V-1001", "M-4711")
    who, visit = found.patient, found.visit
    assert who.cins == ("91000001A",) and who.names[0].family == "Quillfeather" and who.birth_date == "1980-05-17"
    assert visit and (visit.patient_class, visit.location and visit.location.unit) == ("INPATIENT", "4 West")
    assert [one.coded.code for one in visit.diagnoses] == ["R07.9"]
    assert codes() == set()


@pytest.mark.parametrize(
    ("told", "encounter", "code"),
    [
        ("admit", {"class": {"code": "EMER"}}, "A04"),
        ("admit", {"class": {"code": "OBSENC"}}, "A01"),
        ("admit", {"status": "cancelled"}, "A11"),
        ("discharge", disposition(), "A03"),
        ("discharge", {"status": "entered-in-error"}, "A11"),
        ("discharge", {"status": "in-progress"}, "A13"),
        ("transfer", {"class": {"code": "IMP"}}, "A06"),
        ("transfer", disposition({"code": "other-hcf"}), "A03"),
        ("care-team-change", {}, ""),
        ("", {}, ""),
    ],
)
def test_what_a_notification_amounts_to(told: str, encounter: dict[str, Any], code: str) -> None:
    bundle = changed(MessageHeader=happened(told), Encounter=encounter)
    events, findings = to_events(bundle, SOURCE, RECEIVED)
    assert [one.code for one in events] == ([code] if code else []) and envelope(bundle).event == code
    if not code:
        assert [(f.code, f.severity) for f in findings] == [("event-unsupported", "error")]


@pytest.mark.parametrize(
    ("told", "group", "code"),
    [
        (disposition({"system": "http://www.nubc.org/patient-discharge", "code": "1"}), "HOME", "01"),
        (disposition({"code": "oth"}, {"code": "21"}), "CUSTODY", "21"),
        (disposition({"code": "snf"}), "SNF", "03"),
        (disposition({"code": "aadvice"}), "AMA", "07"),
        (disposition(text="Home"), "HOME", "01"),
        (disposition({"code": "oth"}), "UNKNOWN", "oth"),
        (disposition({"code": "LOCAL-9"}), "REHAB", "62"),
        ({"status": "finished"}, "NOT_STATED", ""),
    ],
)
def test_dispositions(told: dict[str, Any], group: str, code: str) -> None:
    source = SourceConfig("mercy", disposition_map={"LOCAL-9": "62"})
    found = event(source, MessageHeader=happened("discharge"), Encounter=told)
    assert found.visit and (found.visit.disposition, found.visit.disposition_code) == (group, code)
    assert (found.occurred_source == "PV1-45") == ("period" in told)


def test_one_facility_of_many() -> None:
    there = FacilityConfig("Organization/boise", "Boise Made-up", "America/Boise")
    source = SourceConfig(
        "hie", facilities={"1234567893": there}, authorities={"HTTPS://MERCY.EXAMPLE.ORG/PATIENTS": "urn:x"}
    )
    found = event(source, Encounter={"period": {"start": "2026-03-07"}})
    assert (found.facility.reference, found.facility.name) == ("Organization/boise", "Boise Made-up")
    assert found.patient.ids[0].system == "urn:x"
    assert found.visit and found.visit.admit == 1_772_866_800_000_000, "midnight in Boise"


def test_the_system_of_a_visit_is_what_is_registered_for_it() -> None:
    sent = {"system": "https://mercy.example.org/visits", "value": "V-1001", "assigner": {"display": "Mercy"}}
    plain = event(Encounter={"identifier": [sent]}).stay
    assert (plain.visit_authority, plain.visit_system) == ("Mercy", sent["system"])
    source = SourceConfig("mercy", facility="Organization/mercy", authorities={"MERCY": "urn:x"})
    found = event(source, Encounter={"identifier": [sent]}).stay
    assert (found.visit_authority, found.visit_system, found.account_system) == ("Mercy", "urn:x", "")


def test_death_and_numbers_that_are_none() -> None:
    ssn = [{"system": "http://hl7.org/fhir/sid/us-ssn", "value": "123-45-6789"}, {"value": "x", "use": "old"}]
    found = event(Patient={"identifier": ssn, "deceasedDateTime": "2026-03-07T20:00:00-08:00"}).patient
    assert (found.ids, found.ssn4, found.deceased) == ((), "6789", True)
    assert event(Patient={"deceasedBoolean": False}).patient.deceased is False
    assert event(Patient={"name": [{"family": "UNKNOWN"}]}).patient.placeholder


def test_a_stay_without_number_is_known_by_the_id_of_its_encounter() -> None:
    assert event(Encounter={"identifier": []}).stay.visit_number == "e"


def test_what_is_missing_is_a_reason_and_no_failure() -> None:
    for broken in (
        changed(MessageHeader={"focus": []}),
        changed(MessageHeader={"focus": [{"reference": "Encounter/elsewhere"}]}),
        {"resourceType": "Bundle"},
    ):
        events, [finding] = to_events(broken, SOURCE, RECEIVED)
        assert events == () and finding.code == "segment-missing"
    bundle = copy.deepcopy(NOTIFICATION)
    bundle["entry"] = bundle["entry"][:2]
    assert to_events(bundle, SOURCE, RECEIVED)[1][0].location == "Encounter.subject"
    bundle["entry"].append({"resource": {"resourceType": "Patient"}})
    (sparse,), findings = to_events(bundle, SOURCE, RECEIVED)
    assert sparse.patient.names == () and {f.code for f in findings} == {"name-missing"}


def test_what_makes_a_bundle_no_notification_is_said_at_once() -> None:
    assert problems(NOTIFICATION) == []
    assert len(problems(changed(Bundle={"type": "collection"}, MessageHeader={"eventCoding": {}, "focus": []}))) == 3
    assert problems(changed(MessageHeader={"response": {"code": "ok"}})) != []
    assert len(problems({})) == 2


JSON: Any = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=6) | st.just("Encounter/e"),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=6,
)


@settings(max_examples=DEEP, deadline=None)
@given(st.integers(0, 6), st.integers(0, 12), JSON)
def test_no_shape_raises(entry: int, member: int, value: Any) -> None:
    bundle = copy.deepcopy(NOTIFICATION)
    resource = bundle["entry"][entry]["resource"]
    names = [name for name in resource if name != "resourceType"]
    resource[names[member % len(names)]] = value
    problems(bundle)
    envelope(bundle)
    for found in to_events(bundle, SOURCE, RECEIVED)[0]:
        assert AdtEvent.from_json(found.to_json()) == found
