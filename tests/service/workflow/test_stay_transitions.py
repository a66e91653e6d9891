"""What is told and taken back as the events of a stay arrive (facts/adt.md 9)."""

import pytest

from mappers.hl7v2.event import Patient
from service.workflow.stay_transitions import transitions
from service.workflow.stays import reduce
from tests.service.workflow.made_up import adt, play, stored


def test_update_after_discharge_does_not_reopen_but_brings_the_disposition() -> None:
    told = play([adt("A01", 0, "I"), adt("A03", 100, "I", out=100), adt("A08", 130, "I", disposition="SNF")])[2]
    assert [(t.action, t.key) for t in told] == [
        ("alert", "admission.0"),
        ("alert", "discharge.0.NOT_STATED"),
        ("retract", "discharge.0.NOT_STATED"),
        ("alert", "discharge.0.SNF"),
    ]
    assert told[2].replaced_by == "discharge.0.SNF"
    assert told[3].replaces == "discharge.0.NOT_STATED"


def test_cancel_discharge_after_a_month_retracts() -> None:
    _, standing, told = play(
        [adt("A01", 0, "I"), adt("A03", 100, "I", out=100, disposition="HOME"), adt("A13", 44_000, "I")]
    )
    assert standing == {"admission.0"}
    assert (told[-1].action, told[-1].kind, told[-1].reason) == ("retract", "discharge", "discharge-cancelled")


def test_cancel_before_the_admit_arrives_still_cancels() -> None:
    _, standing, told = play([adt("A11", 10, "I"), adt("A01", 0, "I")])
    assert (standing, told) == (set(), [])


def test_many_bed_moves_tell_nothing() -> None:
    moves = [adt("A02", 10 + n, "I", bed=f"5W {n}", facility="NORTH") for n in range(25)]
    state, standing, _ = play([adt("A01", 0, "I", bed="5W x", facility="NORTH"), *moves])
    assert standing == {"admission.0"}
    assert len(state.locations) == 26


def test_transfer_to_another_facility_is_told_once() -> None:
    told = play([adt("A01", 0, "I", bed="5W 1", facility="NORTH"), adt("A02", 9, "I", bed="1A 1", facility="SOUTH")])[2]
    assert [(t.kind, t.detail) for t in told] == [("admission", ""), ("transfer", "SOUTH")]


def test_unknown_class_is_told_and_corrected_when_known() -> None:
    _, standing, told = play([adt("A01", 0, ""), adt("A08", 10, "I")])
    assert told[0].kind == "hospital-encounter"
    assert told[1].replaced_by == told[2].key == "admission.0"
    assert standing == {"admission.0"}


@pytest.mark.parametrize("klass", ["O", "R", "P"])
def test_clinic_visits_tell_nothing(klass: str) -> None:
    assert play([adt("A04", 0, klass), adt("A03", 60, klass, out=60)])[1] == set()


def test_death_by_flag_by_disposition_and_taken_back() -> None:
    dead, alive = Patient(deceased=True), Patient(deceased=False)
    admit = adt("A01", 0, "I")
    assert play([admit, adt("A08", 10, "I", patient=dead)])[1] == {"admission.0", "death"}
    assert play([admit, adt("A03", 10, "I", out=10, disposition="EXPIRED")])[1] == {"admission.0", "death"}
    assert play([admit, adt("A08", 10, "I", patient=dead), adt("A08", 20, "I", patient=alive)])[1] == {"admission.0"}


def test_late_and_test_messages_update_the_state_without_real_time_alert() -> None:
    late = reduce(stored(adt("A01", 0, "I"), delay=24 * 60 + 1))
    assert [(t.realtime, t.quiet_reason) for t in transitions(None, late)] == [(False, "late")]
    on_time = reduce(stored(adt("A01", 0, "I"), delay=24 * 60 - 1))
    assert [t.realtime for t in transitions(None, on_time)] == [True]
    training = reduce(stored(adt("A01", 0, "I", processing="T")))
    assert training.status == "in-progress"
    assert [t.quiet_reason for t in transitions(None, training)] == ["not-production"]


def test_admission_learned_after_the_discharge_is_quiet() -> None:
    told = play([adt("A03", 100, "I", out=100, disposition="HOME"), adt("A01", 0, "I")])[2]
    quiet = {t.kind: t.quiet_reason for t in told if t.action == "alert"}
    assert quiet == {"admission": "superseded", "discharge": ""}


def test_cancel_transfer_undoes_the_last_one_only() -> None:
    state, _, told = play(
        [
            adt("A01", 0, "I", bed="5W 1", facility="NORTH"),
            adt("A02", 10, "I", bed="1A 1", facility="SOUTH"),
            adt("A02", 20, "I", bed="2B 1", facility="EAST"),
            adt("A12", 30, "I"),
        ]
    )
    assert [(t.action, t.kind, t.detail) for t in told[1:]] == [
        ("alert", "transfer", "SOUTH"),
        ("alert", "transfer", "EAST"),
        ("retract", "transfer", "EAST"),
    ]
    assert told[-1].reason == "transfer-cancelled"
    assert state.locations[-1].place == "1A 1"


def test_a_repeated_registration_does_not_lower_the_class() -> None:
    state, standing, _ = play([adt("A01", 0, "I"), adt("A04", 30, "E")])
    assert (state.klass, standing) == ("INPATIENT", {"admission.0"})


def test_what_belongs_to_a_cancelled_admission_says_nothing_of_the_next() -> None:
    state, standing, told = play([adt("A01", 0, "I"), adt("A08", 5, "I"), adt("A11", 10), adt("A04", 30, "E")])
    assert ([s.klass for s in state.class_history], standing) == (["ED"], {"ed-arrival.1"})
    assert [t.reason for t in told if t.action == "retract"] == ["visit-cancelled"]


def test_each_step_down_is_told_once_and_stays_told() -> None:
    _, standing, told = play([adt("A01", 0, "I"), adt("A07", 10, "V"), adt("A07", 20, "O")])
    assert standing == {"class-down.0.0", "class-down.0.1"}
    assert (told[1].reason, told[1].replaced_by) == ("downgraded", "class-down.0.0")
