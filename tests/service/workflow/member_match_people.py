"""People of member matching: Maria as a member and in a message, and the store played for what a message asks."""

from dataclasses import replace
from typing import Any

from mappers.hl7v2.event import Address, AdtEvent, Contact, Identifier, Name, Patient
from service.workflow.match_evidence import CIN_SYSTEM, SSN_SYSTEM
from service.workflow.member_match import Candidate, Match, candidates_wanted, match
from tests.service.workflow.made_up import adt

CIN, OTHER_CIN = "91234567A", "97654321B"
MRN = Identifier("M100", "urn:oid:1.2.3", "MERCY", "MR")
PHONE = Contact("phone", "(916) 555-0142", "home", "9165550142")
HOME = Address(("12 Alder St Apt 3",), "Sacramento", "CA", "95814")
MARIA = Patient(names=(Name("Lopez-Reyes", ("María", "Elena")),), birth_date="1980-05-09", sex="female")


def event(who: Patient, newborn: bool = False) -> AdtEvent:
    made = adt("A01", 0, "I", patient=who)
    assert made.visit is not None
    return replace(made, visit=replace(made.visit, newborn=newborn))


def person(ref: str = "Patient/maria", **changes: Any) -> Candidate:
    resource: dict[str, Any] = {
        "resourceType": "Patient",
        "id": ref.split("/")[1],
        "identifier": [
            {"system": CIN_SYSTEM, "value": CIN},
            {"system": MRN.system, "value": MRN.value},
            {"system": SSN_SYSTEM, "value": "219-09-4321"},
        ],
        "name": [{"family": "López Reyes", "given": ["Maria", "Elena"]}],
        "birthDate": "1980-05-09",
        "gender": "female",
        "telecom": [
            {"system": "phone", "value": "+1 916-555-0142"},
            {"system": "email", "value": "Maria@Example.org"},
        ],
        "address": [{"line": ["12 ALDER STREET"], "city": "Sacramento", "postalCode": "95814-1234"}],
    }
    return Candidate(ref, {**resource, **changes})


def ask(who: Patient, *people: Candidate, newborn: bool = False, **options: Any) -> Match:
    """Plays the store: each lookup finds those of `people` that have the number, or the birth date."""
    made = event(who, newborn)
    found = {}
    for want in candidates_wanted(made):
        system = CIN_SYSTEM if want.kind == "cin" else want.scope
        found[want] = [
            p
            for p in people
            if (want.kind == "panel" and p.patient["id"] == want.value)
            or (want.kind == "demographics" and p.patient.get("birthDate") == want.scope)
            or any(i["system"] == system and i["value"] == want.value for i in p.patient.get("identifier", ()))
        ]
    return match(made, found, **options)
