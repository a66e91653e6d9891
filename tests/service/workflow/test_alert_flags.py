"""Flags: frequent emergency visits, readmission, recent nursing facility, each at its edge."""

import json
from dataclasses import replace

import pytest

from service.store.alert_work import TransitionRow
from service.workflow.alert_flags import DAY_US, TABLE, flags, longest_us, rules
from service.workflow.stay_transitions import REPLACED_BY

NOW = 400 * DAY_US
THIS = TransitionRow("this", "Patient/a", "this", NOW, None, "in-progress", "ED", "", "Mercy", NOW)


def stay(name: str, klass: str, ended_days_ago: float, **more: object) -> TransitionRow:
    end = NOW - int(ended_days_ago * DAY_US)
    row = TransitionRow(name, "Patient/a", name, end - DAY_US // 4, end, "finished", klass, "HOME", "St Made-up", end)
    return replace(row, **more)


def codes(kind: str, this: TransitionRow, *others: TransitionRow) -> list[str]:
    return [flag.code for flag in flags(kind, this, others, NOW)]


@pytest.mark.parametrize(
    ("days", "found"), [((1, 2), True), ((1,), False), ((60, 59), True), ((61, 1), False), ((0.1, 0.2, 3), True)]
)
def test_three_emergency_visits_in_sixty_days(days: tuple[float, ...], found: bool) -> None:
    others = [stay(f"s{n}", "ED", ago) for n, ago in enumerate(days)]
    assert (codes("ed-arrival", THIS, *others) == ["high-utilizer"]) is found


def test_the_sentence_counts_them() -> None:
    [flag] = flags("ed-arrival", THIS, [stay("a", "ED", 3), stay("b", "ED", 9)], NOW)
    assert flag.words == "3 emergency visits in 60 days."


def test_an_inpatient_stay_before_is_a_risk_in_the_emergency_department_and_a_readmission_on_the_ward() -> None:
    before = stay("a", "INPATIENT", 30)
    inpatient = replace(THIS, klass="INPATIENT")
    assert codes("ed-arrival", THIS, before) == ["readmission-risk"]
    assert codes("admission", inpatient, before) == ["recent-inpatient"]
    assert codes("observation", replace(THIS, klass="OBSERVATION"), before) == ["readmission-risk"]
    assert codes("ed-arrival", THIS, stay("a", "INPATIENT", 30.1)) == []
    assert codes("discharge", inpatient, before) == []


def test_a_nursing_facility_before() -> None:
    before = stay("a", "INPATIENT", 5, disposition="SNF")
    assert codes("ed-arrival", THIS, before) == ["readmission-risk", "recent-snf"]


@pytest.mark.parametrize("status", ["cancelled", "entered-in-error", "planned", "unknown"])
def test_what_did_not_take_place_does_not_count(status: str) -> None:
    assert codes("ed-arrival", THIS, stay("a", "INPATIENT", 5, status=status)) == []


def test_neither_the_stay_itself_nor_the_hospital_that_sent_the_member_on_counts_beside_it() -> None:
    inpatient = replace(THIS, klass="INPATIENT", thread="t")
    sender = stay("a", "INPATIENT", 0.01, thread="t")
    assert codes("admission", inpatient, inpatient, sender) == []


def test_a_stay_that_lasts_elsewhere_counts() -> None:
    assert codes("ed-arrival", THIS, stay("a", "INPATIENT", 200, end_us=None)) == ["readmission-risk"]


def test_the_table_is_whole() -> None:
    assert json.loads(TABLE.read_text("utf-8"))["about"]
    assert longest_us() == 60 * DAY_US
    for rule in rules():
        assert set(rule["kinds"]) <= set(REPLACED_BY)
        assert rule["priority"] in ("routine", "urgent", "asap", "stat")
        assert rule["words"].format(n=3, days=rule["days"]).endswith(".")
