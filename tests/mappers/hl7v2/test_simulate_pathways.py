"""The table of pathways is whole, its telling reproducible, its faults leave the messages what they are."""

from __future__ import annotations

import random
from collections import Counter

import pytest

from mappers.hl7v2.adt import SourceConfig, to_event
from mappers.hl7v2.adt_events import EVENTS
from mappers.hl7v2.code_tables import table
from mappers.hl7v2.message import Message, content_hash, parse
from mappers.hl7v2.simulate import MINUTE
from mappers.hl7v2.simulate_faults import FAULTS, faulty
from mappers.hl7v2.simulate_pathways import Story, _read, chosen, pathways, tell

END = 1_772_568_000_000_000
ANN = {"cin": "91000001A", "mrn": "M1", "family": "Roe", "given": "Ann", "birth_date": "1980-05-17", "sex": "F"}
BEA = {**ANN, "cin": "91000002B", "mrn": "M2", "given": "Bea", "birth_date": "1971-01-02"}
EAST, WEST = {"name": "East", "facility": "EAST"}, {"name": "West", "facility": "WEST", "npi": "1234567893"}


def told(name: str, seed: int = 1, **more: object) -> Story:
    return tell(pathways()[name], random.Random(seed), (ANN, BEA), ({**EAST, **more}, WEST), END, f"T{seed}")


@pytest.mark.parametrize("name", pathways())
def test_every_row_can_be_told_and_understood(name: str) -> None:
    path = pathways()[name]
    assert {step["event"] for step in path["steps"]} <= set(EVENTS)
    assert {step.get("at", "ed") for step in path["steps"]} <= set(_read()["settings"])
    assert path["tells"].endswith(".") and path["weight"] > 0
    for seed in range(5):
        story = told(name, seed)
        assert story == told(name, seed)
        assert len({sent.control_id for sent in story.messages}) == len(story.messages) == len(path["steps"])
        assert [sent.at_us for sent in story.messages] == sorted(sent.at_us for sent in story.messages)
        assert story.messages[-1].at_us <= END
        for sent in story.messages:
            found = parse(sent.payload)
            assert isinstance(found, Message)
            event, findings = to_event(found, SourceConfig("sim"), sent.at_us)
            assert event is not None and event.control_id == sent.control_id
            worst = [f for f in findings if f.severity != "information" and f.code != "unmapped-code"]
            assert not worst, findings


def test_the_dispositions_are_grouped_as_the_mapping_groups_them() -> None:
    """Both were written from facts/adt.md 1.4; a code in two groups would be a mistake in one of them."""
    groups = {code: group for group, codes in _read()["dispositions"].items() for code in codes}
    numbers = {code: group for code, group in groups.items() if len(code) == 2 and code.isdigit()}
    assert {code: table("disposition")[code]["group"] for code in numbers} == numbers
    assert len(numbers) > 35


def test_a_clock_that_is_wrong_is_in_the_message_and_in_the_truth() -> None:
    right, wrong = told("admission"), told("admission", skew_us=7 * MINUTE)
    assert [sent.at_us for sent in right.messages] == [sent.at_us for sent in wrong.messages]
    assert right.messages[0].payload != wrong.messages[0].payload
    assert (wrong.expected[0].start_us or 0) - (right.expected[0].start_us or 0) == 7 * MINUTE


def test_a_network_sends_for_its_hospitals() -> None:
    via = {"application": "NET", "facility": "NETWORK"}
    first = told("admission", via=via).messages[0].payload.decode()
    assert first.startswith("MSH|^~\\&|NET|NETWORK|") and "|East\rPID" in first and "^^^EAST^VN" in first
    assert "MSH|^~\\&|SIM|WEST|" in told("hospital-to-hospital", via=via).messages[-1].payload.decode()


def test_where_the_cin_and_the_panel_id_stand() -> None:
    for where, pid3, in1 in (("both", True, "91000001A\r"), ("in1", False, "91000001A\r"), ("bic", False, "A12026\r")):
        raw = told("admission", cin_in=where).messages[0].payload.decode()
        assert ("MEDI-CAL" in raw, raw.endswith(in1)) == (pid3, True)
        event, _ = to_event(parse(raw.encode()), SourceConfig("sim"))  # type: ignore[arg-type]
        assert event is not None and event.patient.cins == ("91000001A",)
    echoed = tell(pathways()["in-a-bed"], random.Random(1), ({**ANN, "panel": "p-1"},), (EAST,), END, "E")
    assert b"~p-1^^^ENLACE^PI~" in echoed.messages[0].payload


def test_pathways_are_chosen_by_their_weight() -> None:
    rng = random.Random(1)
    counted = Counter(chosen(rng)["name"] for _ in range(4000))
    assert set(counted) == set(pathways()) and counted["ed-treat-and-release"] > 2 * counted["died"]
    assert {chosen(rng, ["died"])["name"] for _ in range(9)} == {"died"}


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_loses_nothing(name: str) -> None:
    messages = [m for n in range(12) for m in told("admission", n).messages]
    made = faulty(random.Random(3), messages, {name})
    assert made == faulty(random.Random(3), messages, {name})
    assert [one.at_us for one in made] == sorted(one.at_us for one in made)
    before, after = ({content_hash(m.payload) for m in ms} for ms in (messages, [d.sent for d in made]))
    if name not in ("reused-ids", "replays"):  # those change MSH-10, which belongs to the content
        assert before == after
    if name == "replays":
        assert before < after
    assert len(made) >= len(messages) and (name == "disorder" or {one.kind for one in made} > {"first"})
    if name == "disorder":
        assert [one.sent for one in made] != [one.sent for one in faulty(random.Random(3), messages, ())]
    if name == "reused-ids":
        ids = Counter(one.sent.control_id for one in made)
        assert max(ids.values()) > 1 and all(one.sent.control_id.encode() in one.payload for one in made)
