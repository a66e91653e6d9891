"""The stay reducer: one state and one net set of alerts for every order of arrival (facts/adt.md 1.6, nasty 47-62)."""

import os
from itertools import permutations
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mappers.hl7v2.event import AdtEvent, Patient
from service.workflow.stay_milestones import milestones
from service.workflow.stay_transitions import transitions
from service.workflow.stays import StayState, reduce
from tests.service.workflow.made_up import adt, play, stored, us

DEEP = bool(os.environ.get("ENLACE_TEST_DEEP"))

TRACKED = {
    "arrived nowhere": ([adt("A10", 20, "I", bed="XRAY 1"), adt("A32", 30, "I", bed="XRAY 1")], ["4W 1"]),
    "arrived, and not again": (
        [adt("A09", 10, "I", bed="XRAY 1"), adt("A10", 20, "I", bed="MRI 2"), adt("A32", 30, "I", bed="XRAY 1")],
        ["4W 1", "XRAY 1"],
    ),
    "never departed": ([adt("A09", 10, "I", bed="XRAY 1"), adt("A33", 15, "I", bed="4W 1")], ["4W 1"]),
}


@pytest.mark.parametrize("name", TRACKED)
def test_tracking_that_is_taken_back_leaves_the_bed_before_it(name: str) -> None:
    events, beds = TRACKED[name]
    for order in permutations([adt("A01", 0, "I", bed="4W 1"), *events, events[-1]]):
        state = reduce(stored(*order))
        assert [one.place for one in state.locations] == beds
        assert {m.key for m in milestones(state)} == {"admission.0"}


SEQUENCES: dict[str, tuple[list[AdtEvent], str, set[str]]] = {
    # Emap's five (UCLH), then ours: events, final status, keys of the alerts that stand in the end.
    "admit, moves, class change, discharge": (
        [
            adt("A04", 0, "E", admit=0, bed="ED 1"),
            adt("A02", 30, "E", bed="ED 2"),
            adt("A02", 60, "E", bed="ED 3"),
            adt("A06", 90, "I", bed="5W 1"),
            adt("A02", 120, "I", bed="5W 2"),
            adt("A03", 300, "I", out=300, disposition="HOME"),
        ],
        "finished",
        {"ed-arrival.0", "admission.0", "discharge.0.HOME"},
    ),
    "admit, cancel, admit": (
        [adt("A01", 0, "I"), adt("A11", 10, "I"), adt("A01", 20, "I"), adt("A08", 25, "I")],
        "in-progress",
        {"admission.1"},
    ),
    "discharge, cancel, discharge": (
        [
            adt("A01", 0, "I"),
            adt("A03", 100, "I", out=100, disposition="HOME"),
            adt("A13", 110, "I"),
            adt("A13", 112, "I"),
            adt("A03", 200, "I", out=200, disposition="SNF"),
        ],
        "finished",
        {"admission.0", "discharge.1.SNF"},
    ),
    "transfer, cancel, cancel again": (
        [
            adt("A01", 0, "I", bed="5W 1"),
            adt("A02", 10, "I", bed="6E 1"),
            adt("A12", 20, "I", bed="5W 1"),
            adt("A12", 21, "I", bed="5W 1"),
        ],
        "in-progress",
        {"admission.0"},
    ),
    "admit twice, cancelled discharge": (
        [adt("A01", 0, "I"), adt("A01", 5, "I"), adt("A13", 50, "I"), adt("A08", 60, "I")],
        "in-progress",
        {"admission.0"},
    ),
    "ED treat and release, then updates": (
        [
            adt("A04", 0, "E", admit=0),
            adt("A08", 20, "E", admit=0),
            adt("A03", 120, "E", admit=0, out=120),
            adt("A08", 180, "E", admit=0, out=120, disposition="HOME"),
        ],
        "finished",
        {"ed-arrival.0", "discharge.0.HOME"},
    ),
    "ED to inpatient told by A01 and A06 both": (
        [adt("A04", 0, "E"), adt("A01", 60, "I"), adt("A06", 61, "I"), adt("A08", 62, "I"), adt("A08", 70, "I")],
        "in-progress",
        {"ed-arrival.0", "admission.0"},
    ),
    "observation, inpatient, back to observation": (
        [
            adt("A04", 0, "V"),
            adt("A06", 100, "I"),
            adt("A07", 200, "V"),
            adt("A03", 300, "V", out=300, disposition="AMA"),
        ],
        "finished",
        {"observation.0", "class-down.0.0", "discharge.0.AMA"},
    ),
    "pre-admit, admit, leave and return": (
        [
            adt("A05", -500, "P"),
            adt("A01", 0, "I"),
            adt("A21", 100, "I"),
            adt("A22", 200, "I"),
            adt("A21", 300, "I"),
            adt("A53", 250, "I"),
        ],
        "onleave",
        {"admission.0"},
    ),
    "discharge reinstated with its old time": (
        [
            adt("A01", 0, "I"),
            adt("A03", 100, "I", out=100, disposition="HOME", made=101),
            adt("A13", 110, "I"),
            adt("A03", 100, "I", out=100, disposition="HOME", made=130),
            adt("A08", 140, "I", out=100),
        ],
        "finished",
        {"admission.0", "discharge.1.HOME"},
    ),
    "cancelled twice, updates go on": (
        [adt("A04", 0, "E"), adt("A11", 10, "E"), adt("A11", 12, "E"), adt("A08", 20, "E", admit=0)],
        "cancelled",
        set(),
    ),
    "visit deleted": (
        [adt("A01", 0, "I"), adt("A03", 60, "I", out=60, disposition="SNF"), adt("A23", 90)],
        "entered-in-error",
        set(),
    ),
    "pending discharge, then discharged": (
        [
            adt("A01", 0, "I"),
            adt("A16", 50, "I"),
            adt("A25", 60, "I"),
            adt("A16", 70, "I"),
            adt("A03", 90, "I", out=90, disposition="REHAB"),
        ],
        "finished",
        {"admission.0", "pending-discharge.1", "discharge.0.REHAB"},
    ),
    "visit number used again next year": (
        [
            adt("A01", 0, "I", admit=0),
            adt("A03", 600, "I", out=600, disposition="HOME"),
            adt("A04", 500_000, "E", admit=500_000),
            adt("A11", 500_010, "E"),
            adt("A04", 500_020, "E", admit=500_020),
        ],
        "arrived",
        {"admission.0", "discharge.0.HOME", "ed-arrival.2"},
    ),
}


@pytest.mark.parametrize("name", SEQUENCES)
def test_every_order_of_arrival_gives_one_state_and_one_net_set_of_alerts(name: str) -> None:
    events, status, keys = SEQUENCES[name]
    expected = reduce(stored(*events))
    assert expected.status == status
    assert {m.key for m in milestones(expected)} == keys
    for order in permutations(events):
        state, standing, _ = play(list(order))
        assert state == expected
        assert standing == keys


@pytest.mark.parametrize("name", SEQUENCES)
def test_a_duplicate_changes_nothing_and_tells_nothing(name: str) -> None:
    events, _, _ = SEQUENCES[name]
    once = reduce(stored(*events))
    for event in events:
        twice = reduce(stored(*events, event))
        assert twice == once
        assert transitions(once, twice) == []


@pytest.mark.parametrize("name", SEQUENCES)
def test_in_order_nothing_is_told_twice(name: str) -> None:
    events, _, keys = SEQUENCES[name]
    _, _, told = play(sorted(events, key=lambda e: e.recorded or 0))
    alerts = [t.key for t in told if t.action == "alert"]
    assert len(alerts) == len(set(alerts))
    assert keys <= set(alerts)


CODES = ["A01", "A02", "A03", "A04", "A05", "A06", "A07", "A08", "A11", "A12", "A13", "A16", "A21", "A22", "A23", "A38"]


@st.composite
def sequences(draw: st.DrawFn) -> list[AdtEvent]:
    out = []
    for number in range(draw(st.integers(1, 7))):
        code = draw(st.sampled_from(CODES))
        minute = draw(st.integers(0, 12)) * 10
        ended = code == "A03" or (code == "A08" and draw(st.booleans()))
        out.append(
            adt(
                code,
                minute,
                draw(st.sampled_from(["E", "I", "V", "O", "", "R"])),
                admit=draw(st.sampled_from([None, 0, minute])),
                out=draw(st.sampled_from([None, minute, minute - 5])) if ended else None,
                disposition=draw(st.sampled_from(["", "HOME", "SNF", "EXPIRED", "STILL"])) if ended else "",
                bed=draw(st.sampled_from(["", "5W 1", "6E 2"])),
                facility=draw(st.sampled_from(["", "NORTH", "SOUTH"])),
                made=minute + draw(st.integers(0, 3)) * 10,
                control=str(number),
                patient=Patient(deceased=draw(st.sampled_from([None, None, True, False]))),
            )
        )
    return out


@pytest.mark.timeout(1800 if DEEP else 120)
@settings(max_examples=3000 if DEEP else 150, deadline=None)
@given(sequences(), st.integers(0, 2**32))
def test_random_sequences_in_random_orders(events: list[AdtEvent], seed: int) -> None:
    state, standing, _ = play(events)
    assert standing == {m.key for m in milestones(state)}
    assert len(standing) == len(milestones(state)), "two milestones under one key"
    assert (state.end_us is not None) == (state.status == "finished")
    order = list(events) + Random(seed).choices(events, k=2)
    Random(seed).shuffle(order)
    again, same, _ = play(order)
    assert again == state
    assert same == standing


def final(*events: AdtEvent) -> StayState:
    return reduce(stored(*events))


def test_late_admit_after_discharge_does_not_reopen() -> None:
    state = final(adt("A03", 100, "I", admit=0, out=100, disposition="HOME"), adt("A01", 0, "I", admit=0))
    assert (state.status, state.start_us, state.end_us, state.start_inferred) == ("finished", us(0), us(100), False)


def test_discharge_alone_infers_the_start_from_pv1_44() -> None:
    state = final(adt("A03", 100, "I", admit=7, out=100, disposition="HOME"))
    assert (state.status, state.start_us, state.start_inferred) == ("finished", us(7), True)
    assert "admission.0" in {m.key for m in milestones(state)}


def test_update_reveals_class_change_and_discharge() -> None:
    state = final(adt("A04", 0, "E"), adt("A08", 60, "I"), adt("A08", 200, "I", out=190, disposition="HOME"))
    assert [s.klass for s in state.class_history] == ["ED", "INPATIENT"]
    assert (state.status, state.end_us, state.end_inferred) == ("finished", us(190), True)


def test_update_with_a_discharge_ahead_of_it_is_a_plan() -> None:
    assert final(adt("A01", 0, "I"), adt("A08", 60, "I", out=5000)).status == "in-progress"


def test_cancel_discharge_reopens_clears_the_end_and_ignores_the_old_time_in_updates() -> None:
    state = final(
        adt("A01", 0, "I"), adt("A03", 100, "I", out=100, disposition="HOME"), adt("A13", 150, "I"),
        adt("A08", 200, "I", out=100, disposition="HOME"),
    )  # fmt: skip
    assert (state.status, state.end_us, state.disposition) == ("in-progress", None, None)


def test_interim_bill_is_no_discharge() -> None:
    assert final(adt("A01", 0, "I"), adt("A03", 100, "I", out=100, disposition="STILL")).status == "in-progress"


def test_discharge_with_a_date_only_does_not_make_its_admission_a_new_visit() -> None:
    state = final(adt("A01", 60, "I", admit=60), adt("A03", 0, "I", out=0, disposition="HOME", made=300))
    assert state.status == "finished"
    assert state.flags == ("discharge-before-start",)


def test_a_replay_under_a_new_control_id_goes_with_what_its_cancel_undid() -> None:
    def twice(code: str, minute: float, **said: str) -> list[AdtEvent]:
        return [adt(code, minute, "I", control=control, **said) for control in ("1", "2")]

    admit, moved = adt("A01", 0, "I", bed="5W 1"), adt("A02", 10, "I", bed="6E 1")
    assert final(admit, *twice("A21", 20), adt("A52", 30, "I")).status == "in-progress"
    assert final(admit, adt("A21", 20, "I"), *twice("A22", 30), adt("A53", 40, "I")).status == "onleave"
    back = final(admit, moved, *twice("A02", 20, bed="ICU 1"), adt("A12", 30, "I", bed="6E 1"))
    assert "ICU 1" not in {span.place for span in back.locations}


def test_restamped_replay_of_a_cancelled_admit_stays_cancelled() -> None:
    first = adt("A01", 0, "I", control="77")
    replay = adt("A01", 0, "I", control="77", made=60)
    assert final(first, adt("A11", 10, "I"), replay).status == "cancelled"


def test_death_time_without_flag_is_a_question() -> None:
    state = final(adt("A01", 0, "I", patient=Patient(death=us(0))))
    assert not state.deceased
    assert state.flags == ("death-time-without-flag",)


def test_clock_a_day_ahead_counts_as_received_and_is_flagged() -> None:
    event = adt("A01", 5000, "I", made=0)
    state = reduce(stored(event))
    assert state.flags == ("clock-ahead",)
    assert state.start_us == us(0.1)


def test_update_alone_reveals_a_running_admission_only_with_class_and_time() -> None:
    assert final(adt("A08", 60, "I", admit=0)).status == "in-progress"
    assert final(adt("A08", 60, "I")).status == "unknown"
    assert final(adt("A05", 0, "P"), adt("A38", 10)).status == "cancelled"
    assert final(adt("A05", 0, "P")).status == "planned"
