"""Criteria: what data says is met, what contradicts is not met, and all else has to be asked: in every combination."""

from datetime import date
from itertools import product
from typing import Any

import pytest

from service.workflow.calaim_catalogue import catalogue
from service.workflow.calaim_criteria import ASK, MET, NOT_MET, Facts, age_on, judged, leaves, programs

TODAY = date(2026, 3, 7)
ICD, LOINC = "http://hl7.org/fhir/sid/icd-10-cm", "http://loinc.org"
PROGRAM = "https://enlace.example.org/fhir/CodeSystem/overlap-program"
CHECKS = {MET: {"kind": "age", "from": 0}, NOT_MET: {"kind": "age", "from": 150}, ASK: None}


def member(**more: Any) -> dict[str, Any]:
    return {"resourceType": "Patient", "id": "a", "birthDate": "1980-03-08", **more}


def facts(*records: dict[str, Any], **patient: Any) -> Facts:
    by_type: dict[str, list[dict[str, Any]]] = {}
    for number, one in enumerate(records):
        by_type.setdefault(one["resourceType"], []).append({"id": str(number), **one})
    return Facts(TODAY, member(**patient), by_type)


def leaf(result: str, number: int = 0) -> dict[str, Any]:
    check = {"check": CHECKS[result]} if CHECKS[result] else {}
    return {"id": f"{result}-{number}", "text": "t", "ask": "q", **check}


def test_all_and_any_over_every_combination() -> None:
    for results in product((MET, NOT_MET, ASK), repeat=3):
        parts = [leaf(one, number) for number, one in enumerate(results)]
        every = judged({"all": parts}, facts()).outcome.result
        some = judged({"any": parts}, facts()).outcome.result
        assert every == (NOT_MET if NOT_MET in results else MET if set(results) == {MET} else ASK)
        assert some == (MET if MET in results else NOT_MET if set(results) == {NOT_MET} else ASK)
        assert len(list(leaves(judged({"all": [{"any": parts}, *parts]}, facts())))) == 6


def condition(code: str, **more: Any) -> dict[str, Any]:
    return {"resourceType": "Condition", "code": {"coding": [{"system": ICD, "code": code}]}, **more}


def encounter(kind: str, start: str, end: str = "", **more: Any) -> dict[str, Any]:
    period = {"start": start, **({"end": end} if end else {})}
    return {"resourceType": "Encounter", "status": "finished", "class": {"code": kind}, "period": period, **more}


def a1c(value: str, when: str = "2026-01-01", **more: Any) -> dict[str, Any]:
    coded = {"coding": [{"system": LOINC, "code": "4548-4"}]}
    return {
        "resourceType": "Observation",
        "status": "final",
        "code": coded,
        "effectiveDateTime": when,
        "valueQuantity": {"value": value},
        **more,
    }


V2_0007 = "http://terminology.hl7.org/CodeSystem/v2-0007"
ACT_PRIORITY = "http://terminology.hl7.org/CodeSystem/v3-ActPriority"
ENDED = {"clinicalStatus": {"coding": [{"code": "resolved"}]}}
HOMELESS = {"url": "https://enlace.example.org/fhir/StructureDefinition/enlace-homeless", "valueBoolean": True}
CASES: list[tuple[dict[str, Any], Facts, str, int]] = [
    ({"kind": "age", "from": 21}, facts(), MET, 1),
    ({"kind": "age", "from": 46}, facts(), NOT_MET, 1),  # tomorrow
    ({"kind": "age", "to": 20}, facts(birthDate="2005-03-08"), MET, 1),
    ({"kind": "age", "to": 20}, facts(birthDate="2005-03-07"), NOT_MET, 1),
    ({"kind": "age", "from": 21}, facts(birthDate="1980"), ASK, 0),
    ({"kind": "condition", "codes": ["J45"]}, facts(condition("J45.909")), MET, 1),
    ({"kind": "condition", "codes": ["J45"]}, facts(condition("J44.1"), condition("J45.1", **ENDED)), ASK, 0),
    ({"kind": "homeless"}, facts(extension=[HOMELESS]), MET, 1),
    ({"kind": "homeless"}, facts(condition("Z59.01")), MET, 1),
    ({"kind": "homeless"}, facts(condition("Z59.10"), condition("Z59.02")), MET, 1),
    ({"kind": "homeless"}, facts(condition("Z59.10"), condition("Z59.811")), ASK, 2),
    ({"kind": "homeless"}, facts(), ASK, 0),
    (
        {"kind": "encounters", "classes": ["EMER"], "at_least": 2, "months": 6},
        facts(encounter("EMER", "2025-09-07"), encounter("EMER", "2026-01-01"), encounter("IMP", "2026-01-01")),
        MET,
        2,
    ),
    (
        {"kind": "encounters", "classes": ["EMER"], "at_least": 2, "months": 6},
        facts(encounter("EMER", "2025-09-06"), encounter("EMER", "2026-01-01"), encounter("EMER", "2026-04-01")),
        ASK,
        1,
    ),
    (
        {"kind": "encounters", "classes": ["IMP"], "at_least": 2, "months": 6, "unplanned": True},
        facts(
            encounter("IMP", "2026-01-01"),
            encounter("IMP", "2026-01-09", type=[{"coding": [{"system": V2_0007, "code": "E"}]}]),
            encounter("IMP", "2026-02-01", type=[{"coding": [{"system": V2_0007, "code": "C"}]}]),
            encounter("IMP", "2026-02-09", priority={"coding": [{"system": ACT_PRIORITY, "code": "EL"}]}),
        ),
        MET,
        2,
    ),
    ({"kind": "stay", "days": 60}, facts(encounter("IMP", "2026-01-01", "2026-03-02")), MET, 1),
    ({"kind": "stay", "days": 60}, facts(encounter("NONAC", "2026-01-06", status="in-progress")), MET, 1),
    ({"kind": "stay", "days": 60}, facts(encounter("IMP", "2026-01-01", "2026-03-01")), ASK, 0),
    ({"kind": "observation", "codes": ["4548-4"], "at_least": "9"}, facts(a1c("9.0")), MET, 1),
    (
        {"kind": "observation", "codes": ["4548-4"], "at_least": "9"},
        facts(a1c("9.5", "2025-01-01"), a1c("8.9", "2026-02-01")),
        NOT_MET,
        1,
    ),
    (
        {"kind": "observation", "codes": ["4548-4"], "at_least": "9"},
        facts(a1c("12", status="entered-in-error")),
        ASK,
        0,
    ),
]


@pytest.mark.parametrize(("check", "known", "result", "evidence"), CASES)
def test_what_data_says(check: dict[str, Any], known: Facts, result: str, evidence: int) -> None:
    one = judged({"id": "x", "text": "t", "ask": "q", "check": check}, known).outcome
    assert (one.result, len(one.evidence)) == (result, evidence)


def test_no_record_at_all_asks_and_never_fails() -> None:
    nothing = Facts(TODAY, {})
    for service in catalogue().values():
        for criteria in service.criteria:
            found = judged(criteria.tree, nothing)
            assert found.outcome.result == ASK and all(one.outcome.result == ASK for one in leaves(found))


def test_programs_by_enrollment_episode_and_coverage() -> None:
    coded = {"coding": [{"system": PROGRAM, "code": "d-snp"}]}
    enrolled = {"coding": [{"code": "enrolled"}]}
    over = {"period": {"end": "2026-03-06"}}
    found = programs(
        facts(
            {"resourceType": "Observation", "status": "final", "code": coded, "valueCodeableConcept": enrolled},
            {"resourceType": "Observation", "status": "final", "code": coded, "valueCodeableConcept": {"text": "no"}},
            {"resourceType": "EpisodeOfCare", "status": "active", "type": [coded]},
            {"resourceType": "EpisodeOfCare", "status": "finished", "type": [coded]},
            {"resourceType": "Coverage", "status": "active", "type": coded, "period": {"end": "2026-03-07"}},
            {"resourceType": "Coverage", "status": "active", "type": coded, **over},
            {"resourceType": "Coverage", "status": "cancelled", "class": [{"type": coded, "value": "x"}]},
        )
    )
    assert [(code, one["resourceType"], one["id"]) for code, one in found] == [
        ("d-snp", "Observation", "0"),
        ("d-snp", "EpisodeOfCare", "2"),
        ("d-snp", "Coverage", "4"),
    ]


def test_age() -> None:
    assert [age_on(day, TODAY) for day in ("1980-03-07", "1980-03-08", "2004-02-29", "1980-03")] == [46, 45, 22, None]
