"""Alerts, follow-ups, retractions and Encounters: valid R4, plain words, the same ids for the same transition."""

import json
from dataclasses import replace
from typing import Any

import pytest
from fhir.resources.R4B import get_fhir_model_class
from hypothesis import given, settings
from hypothesis import strategies as st

from fhir_profiles import Resource
from fhir_profiles.validate import validate
from mappers.hl7v2.event import Patient
from service.workflow.alert_text import ALERTS, FOLLOW_UPS, date_time, moment
from service.workflow.stay_classes import RANK
from service.workflow.stay_encounter import encounter
from service.workflow.stay_identity import stay_key
from service.workflow.stay_transitions import REPLACED_BY, Transition, retract_all, transitions
from service.workflow.stays import reduce
from service.workflow.transitions_of_care import (
    About,
    Recipient,
    alert_id,
    alert_resources,
    retraction_resources,
    task_id,
)
from tests.service.workflow.made_up import MINUTE, NOON, adt, stored, us

ENCOUNTER = "Encounter/stay-abc"
LEAD, COVER = Recipient("Practitioner/quintero", "Amara Quintero"), Recipient("Practitioner/cover", lead=False)
HOUR = 60


def valid(resource: Resource) -> None:
    get_fhir_model_class(resource["resourceType"]).model_validate(json.loads(json.dumps(resource)))
    assert validate(resource, resource["resourceType"]) == []


def told(kind: str, at: float = 220, **more: Any) -> Transition:
    return Transition("alert", kind, f"{kind}.0", us(at), "ED", **more)


def make(transition: Transition, *recipients: Recipient, now: float = 221, **more: Any) -> list[Resource]:
    made = alert_resources(
        transition,
        encounter_ref=ENCOUNTER,
        patient_ref="Patient/maria",
        member_display="Maria L.",
        recipients=recipients or (LEAD,),
        facility_display="Mercy General",
        now_us=us(now),
        **more,
    )
    for resource in made:
        valid(resource)
    return made


def test_ed_arrival_is_told_in_plain_words_with_a_follow_up() -> None:
    alert, task = make(told("ed-arrival"))
    assert alert["payload"] == [
        {"contentString": "Maria L. arrived in the emergency department of Mercy General at 3:40 PM on March 7."}
    ]
    assert (alert["status"], alert["priority"], "received" in alert) == ("completed", "urgent", False)
    assert alert["category"][0]["coding"][0]["code"] == "enlace-alert"
    assert alert["about"] == [{"reference": ENCOUNTER}]
    assert alert["subject"] == {"reference": "Patient/maria", "display": "Maria L."}
    assert alert["recipient"] == [{"reference": "Practitioner/quintero", "display": "Amara Quintero"}]
    assert alert["sent"] == "2024-03-07T15:41:00-08:00"
    assert task["focus"] == {"reference": f"Communication/{alert['id']}"}
    assert task["for"]["reference"] == "Patient/maria"
    assert task["owner"]["reference"] == "Practitioner/quintero"
    assert (task["intent"], task["status"]) == ("order", "requested")
    assert task["restriction"]["period"]["end"] == "2024-03-08T15:40:00-08:00"


def test_discharge_asks_for_a_visit_within_seven_days_across_the_change_of_the_clocks() -> None:
    task = make(told("discharge", detail="HOME"))[1]
    assert task["code"]["coding"][0]["code"] == "tcs-visit"
    # 168 hours later; on March 10 the clocks went forward.
    assert task["restriction"]["period"]["end"] == "2024-03-14T16:40:00-07:00"


def test_same_transition_same_ids_and_every_recipient_an_alert_of_its_own() -> None:
    first, second = make(told("admission"), LEAD, COVER), make(told("admission"), LEAD, COVER, now=400)
    assert [r["id"] for r in first] == [r["id"] for r in second]
    assert [r["resourceType"] for r in first] == ["Communication", "Communication", "Task"]
    assert len({r["id"] for r in first}) == 3
    assert first[0]["id"] == alert_id(ENCOUNTER, "admission.0", LEAD.reference)
    assert first[2]["id"] == task_id(ENCOUNTER, "admission.0")
    assert make(told("admission"), COVER, LEAD)[2]["owner"]["reference"] == LEAD.reference
    assert alert_id("Encounter/other", "admission.0", LEAD.reference) != first[0]["id"]


@pytest.mark.parametrize("row", ALERTS)
def test_every_row_of_the_table_makes_valid_resources_without_holes(row: str) -> None:
    kind, _, word = row.partition("/")
    kind, _, setting = kind.partition("@")
    before = word if word in RANK else "INPATIENT"
    homeless = word == "HOMELESS"
    detail = "" if word in RANK else "HOME" if homeless else word
    transition = replace(told(kind, before=before, detail=detail), setting=setting or "INPATIENT")
    made = make(transition, about=About(homeless=homeless, began_us=us(200)))
    text = made[0]["payload"][0]["contentString"]
    assert "{" not in text and "  " not in text and "None" not in text
    assert "since at" not in text and "since on" not in text and "told at" not in text
    assert made[0]["priority"] == ALERTS[row].priority
    assert (len(made) == 2) is bool(ALERTS[row].follow_up)
    assert not ALERTS[row].follow_up or ALERTS[row].follow_up in FOLLOW_UPS


def test_every_kind_of_transition_has_a_row() -> None:
    assert {row.partition("/")[0].partition("@")[0] for row in ALERTS} == set(REPLACED_BY)


@pytest.mark.parametrize("kind", sorted(REPLACED_BY))
def test_nobody_named_is_said_in_general_words(kind: str) -> None:
    made = alert_resources(
        told(kind), encounter_ref=ENCOUNTER, patient_ref="Patient/maria", member_display="", recipients=[LEAD],
        facility_display="", now_us=us(221),
    )  # fmt: skip
    text = made[0]["payload"][0]["contentString"]
    assert text[0].isupper() and ("the hospital" in text or "The hospital" in text)


def test_late_events_go_to_the_digest_and_keep_a_follow_up_that_can_still_be_met() -> None:
    late = told("discharge", detail="SNF", realtime=False, quiet_reason="late")
    alert, task = make(late, now=220 + 48 * HOUR)
    assert [c["coding"][0]["code"] for c in alert["category"]] == ["enlace-alert", "digest"]
    assert alert["priority"] == "routine"
    assert task["code"]["coding"][0]["code"] == "tcs-visit"
    assert len(make(late, now=220 + 8 * 24 * HOUR)) == 1, "a visit that was due yesterday"
    assert make(late, now=220 + 31 * 24 * HOUR) == [], "history of a replay"


def test_superseded_has_no_follow_up_and_test_messages_have_nothing() -> None:
    assert len(make(told("admission", realtime=False, quiet_reason="superseded"))) == 1
    assert make(told("admission", realtime=False, quiet_reason="not-production")) == []


def take_back(transition: Transition, made: list[Resource], **more: Any) -> list[Resource]:
    out = retraction_resources(
        transition,
        alerts=[r for r in made if r["resourceType"] == "Communication"],
        tasks=[r for r in made if r["resourceType"] == "Task"],
        member_display="Maria L.",
        facility_display="Mercy General",
        now_us=us(300),
        **more,
    )
    for resource in out:
        valid(resource)
    return out


def test_retraction_marks_corrects_and_cancels() -> None:
    made = make(told("discharge", detail="HOME"), LEAD, COVER)
    acknowledged = {**made[0], "received": "2024-03-07T15:50:00-08:00"}
    retract = Transition("retract", "discharge", "discharge.0", us(220), "ED", reason="discharge-cancelled")
    out = take_back(retract, [acknowledged, *made[1:]])
    assert [(r["resourceType"], r["status"]) for r in out] == [
        ("Communication", "entered-in-error"),
        ("Communication", "completed"),
        ("Communication", "entered-in-error"),
        ("Communication", "completed"),
        ("Task", "cancelled"),
    ]
    assert out[0]["received"] == acknowledged["received"]
    correction = out[1]
    assert correction["inResponseTo"] == [{"reference": f"Communication/{made[0]['id']}"}]
    assert correction["recipient"] == made[0]["recipient"]
    assert correction["payload"][0]["contentString"] == (
        "Correction: Maria L. is still at Mercy General; the discharge reported for 3:40 PM on March 7 was cancelled."
    )
    stored_now = [r for r in out if not r["id"].startswith("co-")]
    assert take_back(retract, stored_now) == [], "taken back once"


def test_retraction_leaves_work_that_was_done() -> None:
    made = make(told("admission"))
    retract = Transition("retract", "admission", "admission.0", us(220), "ED", reason="visit-cancelled")
    done = {**made[1], "status": "completed"}
    assert [r["resourceType"] for r in take_back(retract, [made[0], done])] == ["Communication", "Communication"]


def test_a_new_alert_that_corrects_the_old_needs_no_correction_beside_it() -> None:
    old = make(told("discharge"))
    retract = Transition("retract", "discharge", "discharge.0", us(220), "ED", replaced_by="discharge.0.SNF")
    out = take_back(retract, old, informed={LEAD.reference})
    assert [(r["resourceType"], r["status"]) for r in out] == [
        ("Communication", "entered-in-error"),
        ("Task", "cancelled"),
    ]
    assert len(take_back(retract, old, informed={COVER.reference})) == 3, "the lead has changed: the former is told"
    new = make(told("discharge", detail="SNF", replaces="discharge.0"), answers={old[0]["id"]})
    assert new[0]["inResponseTo"] == [{"reference": f"Communication/{old[0]['id']}"}]
    assert "inResponseTo" not in make(told("discharge", detail="SNF", replaces="discharge.0"))[0]


def test_a_reversed_match_takes_everything_back() -> None:
    state = reduce(stored(adt("A04", 0, "E"), adt("A03", 60, "E", out=60, disposition="HOME")))
    back = retract_all(state, "match-reversed")
    assert [(t.action, t.key) for t in back] == [("retract", "ed-arrival.0"), ("retract", "discharge.0.HOME")]
    out = take_back(back[0], make(told("ed-arrival")))
    said = out[1]["payload"][0]["contentString"]
    assert said.endswith("was not about Maria L.")


@pytest.mark.parametrize(
    ("transition", "text"),
    [
        (told("admission", before="ED"), "was admitted to Mercy General from its emergency department at 3:40 PM on"),
        (told("discharge", detail="AMA"), "Maria L. left Mercy General at 3:40 PM on March 7 before the care was"),
        (
            told("class-down", before="INPATIENT", detail="OBSERVATION"),
            "Correction: Maria L. is no longer an inpatient at Mercy General but under observation, since 3:40 PM",
        ),
        (told("pending-discharge"), "Mercy General expects to discharge Maria L. soon (told 3:40 PM on March 7)."),
        (told("discharge", detail="HOME"), "went home from the emergency department of Mercy General at 3:40 PM on"),
        (
            replace(told("discharge", detail="UNKNOWN"), setting="INPATIENT"),
            "was discharged from Mercy General at 3:40 PM on March 7; where to was",
        ),
    ],
)
def test_wording(transition: Transition, text: str) -> None:
    assert text in make(transition)[0]["payload"][0]["contentString"]


def test_moments() -> None:
    zone = "America/Los_Angeles"
    assert moment(NOON, NOON, zone) == "at 12:00 PM on March 7"
    assert moment(NOON - 12 * HOUR * MINUTE, NOON, zone) == "on March 7"
    assert moment(NOON, NOON + 365 * 24 * HOUR * MINUTE, zone) == "at 12:00 PM on March 7, 2024"
    assert date_time(NOON + 1500) == "2024-03-07T12:00:00.001500-08:00"


def test_encounter_of_a_whole_stay() -> None:
    last = adt("A03", 300, "I", out=300, disposition="SNF", bed="5W 2")
    events = [adt("A04", 0, "E", admit=0, bed="ED 1"), adt("A06", 90, "I", bed="5W 1"), last]
    state = reduce(stored(*events))
    made = encounter(
        state,
        last,
        "Patient/maria",
        stay_id=stay_key(last, "mercy"),
        facility_ref="Organization/mercy",
        facility_display="Mercy General",
    )
    valid(made)
    assert made["id"] == stay_key(last, "mercy")
    assert made["identifier"][0]["value"] == "V1"
    assert made["status"] == "finished"
    assert [s["status"] for s in made["statusHistory"]] == ["in-progress"]
    assert made["class"]["code"] == "IMP"
    assert [c["class"]["code"] for c in made["classHistory"]] == ["EMER"]
    assert made["period"] == {"start": "2024-03-07T12:00:00-08:00", "end": "2024-03-07T17:00:00-08:00"}
    assert made["hospitalization"]["dischargeDisposition"]["coding"][0]["code"] == "snf"
    assert [(p["location"]["display"], p["status"]) for p in made["location"]] == [
        ("ED 1", "completed"),
        ("5W 1", "completed"),
    ]
    assert made["serviceProvider"] == {"reference": "Organization/mercy", "display": "Mercy General"}


CODES = ["A01", "A02", "A03", "A04", "A05", "A06", "A07", "A08", "A11", "A13", "A21", "A22", "A23"]


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.sampled_from(CODES),
            st.integers(0, 20),
            st.sampled_from(["E", "I", "V", "O", "R", "P", ""]),
            st.sampled_from(["", "5W 1", "6E 2"]),
        ),
        min_size=1,
        max_size=6,
    )
)
def test_any_stay_gives_valid_resources(rows: list[tuple[str, int, str, str]]) -> None:
    events = [
        adt(code, minute, klass, bed=bed, out=minute - 3 if code == "A03" else None, patient=Patient(deceased=None))
        for code, minute, klass, bed in rows
    ]
    state = reduce(stored(*events))
    valid(encounter(state, events[-1], "Patient/maria", stay_id=stay_key(events[-1], "mercy")))
    for transition in transitions(None, state):
        for resource in make(transition, now=30):
            valid(resource)
