"""Scores of candidates: what agrees more never scores less, and only the matcher's own choice is certain."""

import os

from hypothesis import given, settings
from hypothesis import strategies as st

from service.workflow.match_evidence import CIN_SYSTEM
from service.workflow.match_scores import scored
from service.workflow.member_match import Candidate, Match
from service.workflow.patient_likeness import likeness, person

DEEP = bool(os.environ.get("ENLACE_TEST_DEEP"))
ANA = {
    "resourceType": "Patient",
    "identifier": [{"system": CIN_SYSTEM, "value": "91234567a"}, {"system": "urn:oid:1.2", "value": "7"}],
    "name": [{"family": "Lopez", "given": ["Ana", "Maria"], "suffix": ["Jr"]}],
    "birthDate": "1980-05-09",
    "gender": "female",
    "telecom": [{"system": "sms", "value": "+1 916-555-0142"}, {"system": "email", "value": "a@example.org"}],
    "address": [{"line": ["12 Alder St"], "postalCode": "95814"}],
}


def test_the_likeness_of_a_patient() -> None:
    who = person(ANA)
    assert who.cins == ("91234567A",) and [one.value for one in who.ids] == ["7"]
    assert who.names[0].given == ("Ana", "Maria") and who.birth_precision == "day"
    assert who.contacts[0].digits == "9165550142" and who.addresses[0].zip == "95814"
    assert person({"resourceType": "Patient", "identifier": [{"value": "7"}]}).ids == ()
    assert likeness(ANA).visit is None


@settings(max_examples=2000 if DEEP else 40, deadline=None)
@given(st.sets(st.sampled_from(sorted(set(ANA) - {"resourceType"}))), st.sampled_from(["Patient/x", None]))
def test_more_that_agrees_never_scores_less(left_out: set[str], chosen: str | None) -> None:
    less = {key: value for key, value in ANA.items() if key not in left_out}
    verdict = Match(chosen, "", "matched" if chosen else "no-candidate")
    (few,) = scored(person(ANA), [Candidate("Patient/x", less)], verdict)
    (all_,) = scored(person(ANA), [Candidate("Patient/x", dict(ANA))], verdict)
    assert 0 <= few.score <= all_.score <= 1
    assert (few.grade == "certain") == (chosen is not None) == (few.score >= 0.95)


def test_a_tie_is_never_certain() -> None:
    pool = [Candidate("Patient/x", dict(ANA)), Candidate("Patient/y", dict(ANA))]
    assert {one.grade for one in scored(person(ANA), pool, Match("Patient/x", "cin", "matched"))} == {"probable"}


def test_values_that_are_null_are_left_out() -> None:
    holes = {"name": [{"family": "Lopez", "given": [None, "Ana"], "suffix": [None]}], "address": [{"line": [None]}]}
    facts = {**ANA, **holes}
    assert person(facts).names[0].given == ("Ana",)
    (one,) = scored(person(facts), [Candidate("Patient/x", facts)], Match(None, "", "no-candidate"))
    assert one.score > 0.9
