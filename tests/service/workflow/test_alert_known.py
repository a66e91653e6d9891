"""What was told of a stay: which thread it stands in, who hears that it was wrong, until when it has to be answered."""

from dataclasses import replace
from typing import Any

from fhir_profiles import Resource
from service.store.alert_work import Work
from service.workflow.alert_clock import clocked
from service.workflow.alert_known import Known
from service.workflow.stay_transitions import Transition
from service.workflow.transitions_of_care import (
    THREAD_SYSTEM,
    About,
    Recipient,
    alert_resources,
    retraction_resources,
)
from tests.service.workflow.made_up import us

LEAD, COVER = "Practitioner/lead", "Practitioner/cover"
SENT = us(60)
"""A Thursday, 13:00 in Los Angeles."""
ALERT = Transition("alert", "admission", "admission.0", us(55), "INPATIENT")


def made(transition: Transition = ALERT, **about: Any) -> list[Resource]:
    return alert_resources(
        transition, encounter_ref="Encounter/s", patient_ref="Patient/a", member_display="Maria L.",
        recipients=[Recipient(LEAD)], facility_display="Mercy", now_us=SENT, about=About(**about),
    )  # fmt: skip


def threads(resources: Any) -> list[str]:
    return [one["value"] for r in resources for one in r["identifier"] if one["system"] == THREAD_SYSTEM]


def test_alerts_move_to_the_thread_of_the_transfer_and_are_told_to_nobody_again() -> None:
    known = Known([])
    for resource in made(thread="s"):
        assert known.put(resource)
    known.changed.clear()
    known.rethread("s")
    assert known.changed == {}
    known.rethread("first")
    assert threads(known.changed.values()) == ["first"]
    statements = clocked(known.changed.values(), known.own(), {_name(known): _row(known)}, SENT)
    assert statements == [], "another thread is no news"


def test_who_hears_of_it_by_the_new_alert_needs_no_correction() -> None:
    alert, task = made(thread="t")
    alert["recipient"].append({"reference": COVER})
    retract = replace(ALERT, action="retract", replaced_by="admission.1")
    out = retraction_resources(
        retract, alerts=[alert], tasks=[task], member_display="", facility_display="", now_us=SENT, informed=[LEAD]
    )
    [correction] = [one for one in out if one["id"].startswith("co-")]
    assert correction["recipient"] == [{"reference": COVER}]
    assert threads([correction]) == ["t"]


def test_who_has_no_home_is_an_alarm() -> None:
    left = replace(ALERT, kind="discharge", key="discharge.0.HOME", detail="HOME")
    assert made(left)[0]["priority"] == "asap"
    alert, task = made(left, homeless=True)
    assert alert["priority"] == "stat" and "has no home on record" in alert["payload"][0]["contentString"]
    assert task["code"]["text"].startswith("Transitional care: find the member")


def test_taken_back_ends_the_clock_and_true_again_starts_it_anew() -> None:
    known = Known([])
    known.put(made()[0])
    [opened] = clocked(known.changed.values(), known.own(), {}, SENT)
    assert opened.params[3] == "open" and opened.params[4] == SENT + 30 * 60_000_000
    rows = {_name(known): _row(known)}
    gone = {**known.own()[0], "status": "entered-in-error"}
    [ended] = clocked([gone], [gone], rows, SENT)
    assert ended.params[0] == "ended"
    rows = {_name(known): replace(_row(known), state="ended", outcome="retracted")}
    [again] = clocked(known.own(), known.own(), rows, SENT)
    assert again.params[3] == "open"


def _name(known: Known) -> str:
    return f"Communication/{known.own()[0]['id']}"


def _row(known: Known) -> Work:
    return Work(_name(known), "Patient/a", 0, "open", SENT + 1, SENT)
