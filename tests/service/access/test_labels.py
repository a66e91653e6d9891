"""Sensitivity labels as bits; what is not known counts as restricted."""

from typing import Any

import pytest

from service.access.labels import BITS, GROUPS, RESTRICTED, labels
from service.search.clearance import GRADES

ACT = "http://terminology.hl7.org/CodeSystem/v3-ActCode"
CONFIDENTIALITY = "http://terminology.hl7.org/CodeSystem/v3-Confidentiality"


def labelled(*codings: dict[str, str]) -> dict[str, Any]:
    return {"resourceType": "Condition", "meta": {"security": list(codings)}}


def test_each_group_has_its_bit() -> None:
    bits = {labels(labelled({"system": ACT, "code": sorted(codes)[0]})) for codes in GROUPS.values() if codes}
    bits |= {labels(labelled({"system": CONFIDENTIALITY, "code": code})) for code in "RV"}
    assert bits == set(BITS.values()) and {BITS["r"], BITS["v"]} == set(GRADES.values())
    assert len(bits) == len(GROUPS) and all(bit & (bit - 1) == 0 and 0 < bit < RESTRICTED for bit in bits)


@pytest.mark.parametrize(
    "coding",
    [
        {"system": ACT, "code": "new-code"},
        {"system": "http://x.example", "code": "SUD"},
        {"code": "SUD"},
        {"system": CONFIDENTIALITY, "code": "X"},
        {},
    ],
)
def test_what_is_not_known_is_restricted(coding: dict[str, str]) -> None:
    assert labels(labelled(coding)) == RESTRICTED


@pytest.mark.parametrize("code", ["U", "L", "M", "N"])
def test_normal_confidentiality_is_open(code: str) -> None:
    assert labels(labelled({"system": CONFIDENTIALITY, "code": code})) == 0


def test_purposes_are_no_labels() -> None:
    assert labels(labelled({"system": "http://terminology.hl7.org/CodeSystem/v3-ActReason", "code": "TREAT"})) == 0
    assert labels({"resourceType": "Condition"}) == labels({"resourceType": "Condition", "meta": {}}) == 0


def test_what_is_contained_labels_the_whole() -> None:
    inner = labelled({"system": ACT, "code": "HIV"})
    outer = {**labelled({"system": ACT, "code": "SUD"}), "contained": [inner]}
    assert labels(outer) == labels(labelled({"system": ACT, "code": "SUD"})) | labels(inner)


def test_a_confidentiality_beside_a_group_says_nothing_more() -> None:
    def of(*codes: str) -> int:
        return labels(labelled(*({"system": CONFIDENTIALITY if len(c) == 1 else ACT, "code": c} for c in codes)))

    assert of("SUD", "R") == of("SUD") and of("V", "HIV") == of("HIV") and of("R", "V") == of("V") != of("R")
    assert of("R", "new-code") == RESTRICTED, "and takes nothing from what is not known"
    inner = labelled({"system": ACT, "code": "SUD"})
    outer = {**labelled({"system": CONFIDENTIALITY, "code": "R"}), "contained": [inner]}
    assert labels(outer) == of("SUD")
