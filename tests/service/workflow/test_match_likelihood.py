"""The order of the review queue: what agrees raises, what differs lowers, a rare name says more than a common one."""

from dataclasses import replace

import pytest

from mappers.hl7v2.event import Contact, Name
from service.store import name_counts
from service.store.engine import Store
from service.workflow.match_evidence import compare
from service.workflow.match_likelihood import MOST, Commonness, bits, close
from service.workflow.member_match import Candidate
from tests.service.workflow.match_world import CIN, ROSA, ask, member, said

RECORD = {
    "resourceType": "Patient",
    "id": "rosa",
    "name": [{"family": "Quillfeather", "given": ["Rosalind"]}],
    "birthDate": "1980-05-17",
    "gender": "female",
    "telecom": [{"system": "phone", "value": "916-555-0142"}],
}
PHONE = Contact("phone", "9165550142", "home", "9165550142")
COUNTY = Commonness(200_000, 0.001, 0.005)


def score(common: Commonness = COUNTY, **changes: object) -> float:
    event, candidate = said(**changes), Candidate("Patient/rosa", dict(RECORD))
    return bits(event, candidate, compare(event, candidate.patient), common)


def test_a_whole_name_and_birth_date_are_likelier_than_not_and_a_stranger_is_not() -> None:
    assert score() > 6
    assert score(contacts=(PHONE,)) > score() + 10
    assert score(birth_date="1980-05-18") < 0
    assert score(names=(Name("Zz", ("Abc",)),)) < 0
    assert score(sex="male") < score(sex="") < score()


def test_a_rare_name_says_more_and_a_smaller_roster_asks_less() -> None:
    assert score(replace(COUNTY, family=0.03)) < score() < score(replace(COUNTY, family=0.0))
    assert score(replace(COUNTY, members=2_000)) > score()


def test_slips_of_the_pen_count_for_something() -> None:
    other = score(names=(Name("Thistledown", ("Rosalind",)),))
    assert other < score(names=(Name("Quilfeather", ("Rosalind",)),)) < score()
    assert score(birth_date="1980-06-17") < 0 < score()


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("garcia", "garcai", True),
        ("garcia", "garca", True),
        ("garcia", "garciaz", True),
        ("garcia", "gercia", True),
        ("garcia", "garcia", True),
        ("garcia", "gracai", False),
        ("garcia", "marcos", False),
        ("lee", "lea", False),
        ("garcia", "garcialo", False),
        ("", "garcia", False),
    ],
)
def test_words_that_differ_by_one_slip(one: str, other: str, same: bool) -> None:
    assert close(one, other) is close(other, one) is same


async def test_names_are_counted_on_the_roster(store: Store) -> None:
    for number in range(3):
        name = [{"family": "García" if number else "Ash", "given": [f"Ana{number}"]}]
        await member(store, f"m{number}", f"9100000{number}A", name=name)
    assert await name_counts.members(store) == 3
    assert await name_counts.with_name(store, "family", "garcia") == 2
    assert await name_counts.with_name(store, "given", "ana1") == 1
    assert await name_counts.with_name(store, "family", "gar") == 0, "the whole name, not the beginning of one"


async def test_the_likeliest_are_shown_and_no_more_of_them_than_a_person_can_look_at(store: Store) -> None:
    for number in range(MOST + 2):
        await member(store, f"m{number}", f"9100000{number}C")
    await member(store, "best", "91000009C", telecom=[{"system": "phone", "value": "916-555-0142"}], gender="male")
    found = await ask(store, said(replace(ROSA, contacts=(PHONE,), cins=(CIN,), sex="male")))
    assert found.patient_ref is None and len(found.ranked) == MOST
    assert found.score == found.ranked[0].score >= found.ranked[-1].score
    assert found.ranked[0].patient_ref == "Patient/best"
