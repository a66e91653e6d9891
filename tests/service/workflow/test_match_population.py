"""Matching measured on a made-up county: no message finds the wrong member, and how many find theirs.

Small here; 200,000 members and 1,000,000 messages in `make test-long`, which prints the table.
"""

import os
from collections import Counter

import pytest

from service.workflow.member_match import match
from service.workflow.record_numbers import numbers_of
from tests.service.workflow.match_population import SHELTERS_KNOWN, County, Hospitals, Memory

MEMBERS, MESSAGES = 3_000, 6_000
ALIKE, SLIPS = 5_000, 40
"""Messages about twins and namesakes; a card or chart of the other is taken for theirs 40 times as often as it is."""
COUNTED = "all panel cin mrn demographics".split()


def measured(members: int, messages: int, seed: int = 7, alike: bool = False) -> tuple[Counter[str], list[str]]:
    """(counts by tier and by reason of a miss, one line for each false match). alike: twins and namesakes only."""
    county = County(members, seed)
    memory, counts, wrong = Memory(county.roster), Counter[str](), []
    hospitals = Hospitals(county, seed + 1, SLIPS if alike else 1)
    for human, event in hospitals.mistakable(messages) if alike else hospitals.events(messages):
        found = match(event, memory.of(event), SHELTERS_KNOWN)
        newborn = any("BABY" in n.given[0] for n in event.patient.names) or (event.visit and event.visit.newborn)
        truth = "" if newborn else human.member
        counts["strangers"] += not truth
        counts["members"] += bool(truth)
        if found.patient_ref is None:
            counts[f"missed: {found.reason}"] += bool(truth)
            counts[f"stranger: {found.reason}"] += not truth
            continue
        if found.patient_ref != truth:
            wrong.append(f"{found.tier} {' '.join(found.evidence)}")
        counts[found.tier] += 1
        counts["all"] += 1
        for number in numbers_of(event):
            memory.link(number, found.patient_ref)
    return counts, wrong


def test_no_message_of_a_small_county_finds_the_wrong_member() -> None:
    counts, wrong = measured(MEMBERS, MESSAGES)
    assert wrong == []
    assert counts["all"] > 0.6 * counts["members"], counts


def test_nobody_is_taken_for_a_twin_or_for_a_parent_of_the_same_name() -> None:
    counts, wrong = measured(MEMBERS, ALIKE, alike=True)
    assert wrong == []
    assert counts["all"] > 0.4 * counts["members"], counts


LONG = pytest.mark.skipif(not os.environ.get("ENLACE_TEST_LONG"), reason="needs ENLACE_TEST_LONG=1 (make test-long)")


@pytest.mark.long
@LONG
@pytest.mark.parametrize(("members", "messages", "alike"), [(200_000, 1_000_000, False), (100_000, 500_000, True)])
def test_no_message_of_a_million_finds_the_wrong_one_of_200_000_members(
    members: int, messages: int, alike: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    counts, wrong = measured(members, messages, alike=alike)
    with capsys.disabled():
        print("\n".join(f"{name:<40}{number:>10,}" for name, number in sorted(counts.items())))
        print(f"recall {counts['all'] / counts['members']:.3f}, wrong {len(wrong)}")
    assert wrong == []
