"""DG1 -> Condition: one per code of a stay, the same id whatever message it came in, valid R4."""

from __future__ import annotations

from typing import Any

import pytest

from fhir_profiles.validate import validate
from mappers.hl7v2.adt import AdtEvent, to_events
from mappers.hl7v2.message import Message, parse
from mappers.hl7v2.to_fhir import conditions, encounter_diagnoses
from tests.mappers.hl7v2.awkward import SOURCE

HEAD = "MSH|^~\\&|A|B|C|D|20260303120000||ADT^A08|1|P|2.5.1\rPID|1||M1\rPV1|1|I\r"


def told(*dg1: str) -> AdtEvent:
    message = parse((HEAD + "".join(f"DG1|{n}|{one}\r" for n, one in enumerate(dg1, 1))).encode())
    assert isinstance(message, Message)
    return to_events(message, SOURCE)[0][0]


def made(*dg1: str, stay: str = "Encounter/stay-1") -> list[dict[str, Any]]:
    found = conditions(told(*dg1), "Patient/p1", stay)
    for one in found:
        assert validate(one, "Condition") == []
    return found


def status(one: dict[str, Any]) -> tuple[str, str]:
    none = {"coding": [{"code": ""}]}
    clinical, sure = one.get("clinicalStatus", none), one.get("verificationStatus", none)
    return clinical["coding"][0]["code"], sure["coding"][0]["code"]


def test_a_code_twice_is_one_condition_by_its_surer_word() -> None:
    (one,) = made("|I50.9^Heart failure^I10||20260303|A", "|I50.9^^I10|||F")
    assert status(one) == ("active", "confirmed") and one["code"]["text"] == "Heart failure"
    assert one["recordedDate"] == "2026-03-03" and one["encounter"] == {"reference": "Encounter/stay-1"}


@pytest.mark.parametrize(
    ("kind", "action", "expected"),
    [
        ("A", "", ("active", "provisional")),
        ("W", "A", ("active", "provisional")),
        ("F", "U", ("active", "confirmed")),
        ("", "", ("active", "")),
        ("F", "D", ("", "entered-in-error")),
    ],
)
def test_how_sure_it_is(kind: str, action: str, expected: tuple[str, str]) -> None:
    (one,) = made(f"|I50.9^^I10|||{kind}" + "|" * 15 + action)
    assert status(one) == expected


def test_a_deleted_code_given_again_stands() -> None:
    (one,) = made("|I50.9^^I10|||F" + "|" * 15 + "D", "|I50.9^^I10|||W")
    assert status(one) == ("active", "provisional")


def test_ids_follow_from_stay_and_code() -> None:
    ids = [one["id"] for one in made("|I50.9^Heart failure^I10", "|E11.9^^I10", "||Chest  pain", "||chest pain")]
    assert len(ids) == len(set(ids)) == 3
    assert made("|I50.9^Other words^I10|||F")[0]["id"] == ids[0]
    assert made("|I50.9^^I10", stay="Encounter/stay-2")[0]["id"] != ids[0]
    assert made("|I50.9^^L")[0]["id"] != ids[0] and made("|I50.9^^L")[0]["code"] == {"coding": [{"code": "I50.9"}]}


def test_the_encounter_names_them_with_role_and_rank() -> None:
    event = told(
        "|I50.9^^I10|||A" + "|" * 9 + "1", "|E11.9^^I10|||F", "|R07.9^^I10|||W", "|X^^I10|||F" + "|" * 15 + "D"
    )
    found = encounter_diagnoses(event, "Encounter/stay-1")
    ids = [f"Condition/{one['id']}" for one in conditions(event, "Patient/p1", "Encounter/stay-1")]
    assert [one["condition"]["reference"] for one in found] == ids[:3]
    assert [one["use"]["coding"][0]["code"] for one in found] == ["AD", "DD", "W"] and found[0]["rank"] == 1


def test_without_diagnoses_or_visit_there_are_none() -> None:
    assert made() == [] and made("|") == []
