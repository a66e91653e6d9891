"""Member matching: each reason has a case; a match never rests on name, birth date and sex alone (adt.md 5)."""

import os
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mappers.hl7v2.event import Contact, Identifier, Name, Patient
from service.workflow.match_evidence import CIN_SYSTEM
from service.workflow.member_match import Candidate, candidates_wanted, mrn_system
from tests.service.workflow.member_match_people import (
    CIN,
    HOME,
    MARIA,
    MRN,
    OTHER_CIN,
    PHONE,
    ask,
    event,
    person,
)

DEEP = bool(os.environ.get("ENLACE_TEST_DEEP"))
PANEL = Identifier("maria", "", "ENLACE", "PI")
HALF = Name("Lopez", ("Maria",))
"""Maria Elena's, or her sister Maria Luisa's."""
NOBODY = Patient(names=(Name("Okafor", ("Ada",)),), birth_date="1991-01-30")

MATCHES = {
    "panel id": (replace(MARIA, ids=(PANEL,)), "panel"),
    "CIN, name and birth date": (replace(MARIA, cins=(CIN,)), "cin"),
    "CIN and birth date, married name": (
        replace(MARIA, cins=(CIN,), names=(Name("Stone", ("Maria", "Elena")),)),
        "cin",
    ),
    "CIN and name, birth date mistyped": (replace(MARIA, cins=(CIN,), birth_date="1980-05-08"), "cin"),
    "CIN and name, birth date not sent, and what is her own": (
        replace(MARIA, cins=(CIN,), birth_date="", ssn4="4321"),
        "cin",
    ),
    "CIN, half of a first name, and what is her own": (
        replace(MARIA, cins=(CIN,), names=(HALF,), contacts=(Contact("email", "maria@example.org"),)),
        "cin",
    ),
    "known MRN, half of a first name, and what is her own": (
        replace(MARIA, ids=(MRN,), names=(HALF,), ssn4="4321"),
        "mrn",
    ),
    "CIN and half of a first name, under our own number": (
        replace(MARIA, ids=(PANEL,), cins=(CIN,), names=(HALF,)),
        "panel",
    ),
    "CIN and birth date, name in Cyrillic": (
        replace(
            MARIA, cins=(CIN,), names=(Name("\u041b\u043e\u043f\u0435\u0441", ("\u041c\u0430\u0440\u0438\u044f",)),)
        ),
        "cin",
    ),
    "CIN and birth date, name in Chinese": (
        replace(MARIA, cins=(CIN,), names=(Name("\u738b", ("\u5c0f\u660e",)),)),
        "cin",
    ),
    "CIN and birth date, no name": (replace(MARIA, cins=(CIN,), names=()), "cin"),
    "known MRN and birth date, name in Chinese": (
        replace(MARIA, ids=(MRN,), names=(Name("\u738b", ("\u5c0f\u660e",)),)),
        "mrn",
    ),
    "known MRN and birth date": (replace(MARIA, ids=(MRN,)), "mrn"),
    "demographics and phone": (replace(MARIA, contacts=(PHONE,)), "demographics"),
    "demographics and email": (replace(MARIA, contacts=(Contact("email", "maria@example.org"),)), "demographics"),
    "demographics and SSN": (replace(MARIA, ssn4="4321"), "demographics"),
    "demographics and home": (replace(MARIA, addresses=(HOME,)), "demographics"),
    "sex unknown is no disagreement": (replace(MARIA, sex="unknown", contacts=(PHONE,)), "demographics"),
    "half of a compound surname": (
        replace(MARIA, names=(Name("LOPEZ", ("MARIA", "E")),), ssn4="4321"),
        "demographics",
    ),
    "half of a first name, and what is her own": (
        replace(MARIA, names=(Name("Lopez", ("Maria", "Elena")),), ssn4="4321"),
        "demographics",
    ),
    "any of several names": (
        replace(MARIA, names=(Name("Stone", ("M",)), Name("Lopez", ("Maria Elena",))), contacts=(PHONE,)),
        "demographics",
    ),
}


@pytest.mark.parametrize("name", MATCHES)
def test_matches(name: str) -> None:
    who, tier = MATCHES[name]
    result = ask(who, person())
    assert (result.patient_ref, result.tier, result.reason) == ("Patient/maria", tier, "matched")


TWIN = person("Patient/elena", name=[{"family": "Lopez Reyes", "given": ["Elena"]}], identifier=[])
NO_MATCH: dict[str, tuple[Patient, list[Candidate], str]] = {
    "nobody": (NOBODY, [person()], "no-candidate"),
    "name, birth date and sex only": (MARIA, [person()], "demographics-insufficient"),
    "no birth date, no number": (
        replace(MARIA, birth_date="", contacts=(PHONE,)),
        [person()],
        "demographics-insufficient",
    ),
    "year of birth only": (
        replace(MARIA, birth_date="1980", birth_precision="year", contacts=(PHONE,)),
        [person()],
        "demographics-insufficient",
    ),
    "sex differs": (replace(MARIA, sex="male", contacts=(PHONE,)), [person()], "demographics-insufficient"),
    "father and son": (
        replace(MARIA, names=(Name("Lopez", ("Maria",), "JR"),), contacts=(PHONE,)),
        [person(name=[{"family": "Lopez", "given": ["Maria"], "suffix": ["Sr."]}])],
        "demographics-insufficient",
    ),
    "shelter address": (
        replace(MARIA, addresses=(replace(HOME, lines=("12 Union Gospel Mission",)),)),
        [person(address=[{"line": ["12 Union Gospel Mission"], "postalCode": "95814"}])],
        "demographics-insufficient",
    ),
    "the same number of another street": (
        replace(MARIA, addresses=(replace(HOME, lines=("12 N Birch St Apt 3",)),)),
        [person()],
        "demographics-insufficient",
    ),
    "telephone that is nobody's": (
        replace(MARIA, contacts=(Contact("phone", "9169999999"),)),
        [person(telecom=[{"system": "phone", "value": "916-999-9999"}])],
        "demographics-insufficient",
    ),
    "two members alike": (
        replace(MARIA, contacts=(PHONE,)),
        [person(), person("Patient/other", identifier=[])],
        "ambiguous",
    ),
    "one CIN on two records": (replace(MARIA, cins=(CIN,)), [person(), person("Patient/other")], "cin-conflict"),
    "two CINs in one message": (
        replace(MARIA, cins=(CIN, OTHER_CIN)),
        [person(), person("Patient/other", identifier=[{"system": CIN_SYSTEM, "value": OTHER_CIN}])],
        "cin-conflict",
    ),
    "family on one card": (
        replace(MARIA, cins=(CIN,), names=(Name("Lopez", ("Hector",)),), birth_date="2012-02-03", contacts=(PHONE,)),
        [person()],
        "cin-conflict",
    ),
    "card of the father, who bears the same name": (
        replace(MARIA, cins=(CIN,), birth_date="2004-05-09"),
        [person()],
        "cin-conflict",
    ),
    "card of somebody else who was born on that day": (
        replace(NOBODY, cins=(CIN,), birth_date="1980-05-09"),
        [person()],
        "cin-conflict",
    ),
    "card of somebody else who was born on that day, whose name stands in two scripts": (
        replace(NOBODY, cins=(CIN,), birth_date="1980-05-09", names=(*NOBODY.names, Name("\u738b", ("\u5c0f\u660e",)))),
        [person()],
        "cin-conflict",
    ),
    "CIN alone, name in Chinese and another birth date": (
        replace(MARIA, cins=(CIN,), birth_date="1955-11-30", names=(Name("\u738b", ("\u5c0f\u660e",)),)),
        [person()],
        "cin-conflict",
    ),
    "CIN alone, name in Chinese and no birth date": (
        replace(MARIA, cins=(CIN,), birth_date="", names=(Name("\u738b", ("\u5c0f\u660e",)),)),
        [person()],
        "cin-conflict",
    ),
    "name in another script, birth date and telephone": (
        replace(
            MARIA,
            contacts=(PHONE,),
            names=(Name("\u041b\u043e\u043f\u0435\u0441", ("\u041c\u0430\u0440\u0438\u044f",)),),
        ),
        [person()],
        "no-candidate",
    ),
    "number of somebody else who was born on that day": (
        replace(NOBODY, ids=(MRN,), birth_date="1980-05-09"),
        [person()],
        "mrn-conflict",
    ),
    "sisters share half of the first name, and the telephone": (
        replace(MARIA, names=(Name("Lopez", ("Maria",)),), contacts=(PHONE,)),
        [person()],
        "demographics-insufficient",
    ),
    "brothers share half of the first name, and one goes by its short form": (
        replace(MARIA, names=(Name("Lopez", ("Pepe",)),), contacts=(PHONE,)),
        [person(name=[{"family": "Lopez", "given": ["Jose", "Luis"]}])],
        "demographics-insufficient",
    ),
    "card of a sister who shares half of the first name": (
        replace(MARIA, cins=(CIN,), names=(HALF,), contacts=(PHONE,), addresses=(HOME,)),
        [person()],
        "demographics-insufficient",
    ),
    "card of a sister, of whose first name the plan has half": (
        replace(MARIA, cins=(CIN,), names=(Name("Lopez", ("Maria", "Luisa")),), contacts=(PHONE,)),
        [person(name=[{"family": "Lopez", "given": ["Maria"]}])],
        "demographics-insufficient",
    ),
    "card of a brother, both by the short form of half a first name": (
        replace(MARIA, cins=(CIN,), names=(Name("Lopez", ("Pepe",)),), contacts=(PHONE,)),
        [person(name=[{"family": "Lopez", "given": ["Jose"]}])],
        "demographics-insufficient",
    ),
    "card of a sister, half of the first name, the surname mistyped": (
        replace(MARIA, cins=(CIN,), names=(Name("Lpoez", ("Maria",)),), contacts=(PHONE,)),
        [person()],
        "demographics-insufficient",
    ),
    "chart of a sister who shares half of the first name": (
        replace(MARIA, ids=(MRN,), names=(HALF,), contacts=(PHONE,)),
        [person()],
        "demographics-insufficient",
    ),
    "card and chart of a sister: one led to the other": (
        replace(MARIA, ids=(MRN,), cins=(CIN,), names=(HALF,), contacts=(PHONE,)),
        [person()],
        "demographics-insufficient",
    ),
    "our own number, and the card of a sister who is a member": (
        replace(MARIA, ids=(PANEL,), cins=(OTHER_CIN,), names=(HALF,)),
        [
            person(identifier=[]),
            person(
                "Patient/luisa",
                identifier=[{"system": CIN_SYSTEM, "value": OTHER_CIN}],
                name=[{"family": "Lopez", "given": ["Maria", "Luisa"]}],
            ),
        ],
        "identifier-conflict",
    ),
    "card of a mother of the same name, birth date not sent": (
        replace(MARIA, cins=(CIN,), birth_date="", contacts=(PHONE,), addresses=(HOME,)),
        [person()],
        "demographics-insufficient",
    ),
    "another CIN than ours": (
        replace(MARIA, cins=(OTHER_CIN,), ids=(MRN,), contacts=(PHONE,)),
        [person()],
        "cin-conflict",
    ),
    "another CIN, demographics agree": (
        replace(MARIA, cins=(OTHER_CIN,), contacts=(PHONE,)),
        [person()],
        "cin-conflict",
    ),
    "MRN with another birth date": (replace(MARIA, ids=(MRN,), birth_date="1970-01-02"), [person()], "mrn-conflict"),
    "MRN without a birth date": (
        replace(MARIA, ids=(MRN,), birth_date=""),
        [person()],
        "demographics-insufficient",
    ),
    "retired MRN": (
        replace(MARIA, ids=(MRN,)),
        [person(identifier=[{"system": MRN.system, "value": MRN.value, "use": "old"}])],
        "demographics-insufficient",
    ),
    "CIN and MRN of two people": (
        replace(MARIA, cins=(CIN,), ids=(MRN,)),
        [
            person(identifier=[{"system": CIN_SYSTEM, "value": CIN}]),
            person("Patient/other", identifier=[{"system": MRN.system, "value": MRN.value}]),
        ],
        "identifier-conflict",
    ),
    "panel id of somebody else": (
        replace(MARIA, ids=(PANEL,), birth_date="1999-09-09"),
        [person()],
        "panel-conflict",
    ),
    "twin under the other's card": (
        replace(MARIA, cins=(CIN,), names=(Name("Lopez Reyes", ("Elena",)),)),
        [person()],
        "possible-twin",
    ),
    "twin of a member": (replace(MARIA, contacts=(PHONE,)), [TWIN], "possible-twin"),
    "invented name": (replace(MARIA, cins=(CIN,), placeholder=True), [person()], "placeholder-name"),
    "identity unknown": (replace(MARIA, cins=(CIN,), identity_unknown=True), [person()], "identity-unknown"),
    "baby under the mother's card": (
        Patient(names=(Name("Lopez", ("BABY GIRL",)),), birth_date="2024-03-07", cins=(CIN,), contacts=(PHONE,)),
        [person()],
        "newborn",
    ),
}


@pytest.mark.parametrize("name", NO_MATCH)
def test_each_reason_not_to_match(name: str) -> None:
    who, people, reason = NO_MATCH[name]
    result = ask(who, *people)
    assert (result.patient_ref, result.tier, result.reason) == (None, "", reason)


def test_newborn_flag_never_matches_by_demographics() -> None:
    assert ask(replace(MARIA, contacts=(PHONE,)), person(), newborn=True).reason == "newborn"


def test_communal_address_given_by_the_operator_does_not_corroborate() -> None:
    who = replace(MARIA, addresses=(HOME,))
    assert ask(who, person(), communal=frozenset({("12", "95814")})).reason == "demographics-insufficient"


def test_twins_both_members_are_told_apart() -> None:
    result = ask(replace(MARIA, contacts=(PHONE,)), person(), TWIN)
    assert result.patient_ref == "Patient/maria"


def test_evidence_has_words_and_no_values() -> None:
    who = replace(MARIA, cins=(CIN,), contacts=(PHONE,), ssn4="4321", birth_date="1980-09-05")
    result = ask(who, person())
    assert "birth-date=transposed" in result.evidence
    text = " ".join(result.evidence).lower()
    for value in (CIN, "lopez", "maria", "1980", "4321", "0142", "95814"):
        assert value.lower() not in text


def test_lookups_are_stated_once_best_first_and_not_for_unnamed_people() -> None:
    who = replace(MARIA, cins=(CIN,), ids=(MRN, MRN, Identifier("9", "", "", "AN")))
    kinds = [(w.kind, w.value, w.scope) for w in candidates_wanted(event(who))]
    assert kinds[:2] == [("cin", CIN, ""), ("mrn", "M100", "urn:oid:1.2.3")]
    assert {k[1] for k in kinds[2:]} == {"lopezreyes", "lopez", "reyes"}
    assert all(k[0] == "demographics" and k[2] == "1980-05-09" for k in kinds[2:])
    assert candidates_wanted(event(replace(who, placeholder=True))) == []
    assert mrn_system(event(who), Identifier("9")) != mrn_system(event(who), Identifier("9", "", "OTHER"))


@st.composite
def likenesses(draw: st.DrawFn) -> Patient:
    pick = lambda *options: draw(st.sampled_from(options))  # noqa: E731
    return Patient(
        names=(Name(pick("Lopez", "LOPEZ-REYES", "Stone", ""), pick((), ("Maria",), ("Elena",), ("Maria", "E"))),),
        birth_date=pick("1980-05-09", "1980-09-05", "1980", "", "2001-01-01"),
        sex=pick("female", "male", "unknown", ""),
        cins=pick((), (CIN,), (OTHER_CIN,), (CIN, OTHER_CIN)),
        ids=pick((), (MRN,), (Identifier("M999", MRN.system, "MERCY", "MR"),)),
        contacts=pick((), (PHONE,), (Contact("phone", "9165550199"),)),
        addresses=pick((), (HOME,)),
        ssn4=pick("", "4321", "1111"),
    )


@settings(max_examples=10_000 if DEEP else 400, deadline=None)
@given(likenesses())
def test_no_match_rests_on_name_birth_date_and_sex_and_no_conflict_matches(who: Patient) -> None:
    result = ask(who, person())
    if result.patient_ref is None:
        assert result.reason != "matched"
        return
    agree = {e.split("=")[0] for e in result.evidence if e.endswith("=agree")}
    assert agree & {"cin", "mrn", "panel", "phone", "email", "ssn4", "address"}
    assert "cin=differ" not in result.evidence
    assert "birth-date" in agree or {"family", "given"} <= agree
    assert OTHER_CIN not in who.cins or CIN in who.cins
    assert agree & {"email", "ssn4"} or "given=shared-by-siblings" not in result.evidence


@settings(max_examples=2000 if DEEP else 100, deadline=None)
@given(likenesses())
def test_without_numbers_contacts_or_address_nobody_matches(who: Patient) -> None:
    bare = replace(who, cins=(), ids=(), contacts=(), addresses=(), ssn4="")
    assert ask(bare, person()).patient_ref is None
