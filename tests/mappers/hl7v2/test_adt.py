"""ADT message -> event on awkward data: cases 26-31, 35-41 of facts/adt.md; codes are mapped or reported."""

from __future__ import annotations

from typing import get_args

import pytest

from mappers.hl7v2.adt import SourceConfig, to_event, to_events
from mappers.hl7v2.code_tables import table
from mappers.hl7v2.message import Message, parse
from mappers.hl7v2.simulate import message as make
from mappers.hl7v2.source import PatientClass
from tests.mappers.hl7v2.awkward import HOSPITAL, HOUR, MEMBER, NOON, SOURCE, event, read, remarks, visit_of

# --- which event ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("sent", ["ADT^A01", "ADT^A1", "ADT^a01^ADT_A01", "ADT", "ADT_A01"])
def test_29_the_event_with_and_without_structure(sent: str) -> None:
    assert event(MSH_9=sent).code == "A01"


def test_26_evn_missing_or_disagreeing() -> None:
    assert event(EVN_1=None, EVN_2=None, EVN_7=None).occurred_source == "PV1-44"
    assert event("A03", EVN_1="A08").code == "A03"
    assert ("event-disagrees", "EVN-1") in remarks("A03", EVN_1="A08")


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"MSH_9": "ORU^R01"}, "not-adt"),
        ({"MSH_9": "ADT^A99"}, "event-unsupported"),
        ({"processing_id": "T"}, "processing-id"),
        ({"MSH_9": "ADT", "EVN_1": None}, "event-unsupported"),
    ],
)
def test_what_makes_no_event_says_why(fields: dict[str, str], reason: str) -> None:
    found, findings = read(**fields)
    assert found is None and reason in {f.code for f in findings if f.severity == "error"}


def test_without_a_patient_there_is_no_event() -> None:
    message = parse(b"MSH|^~\\&|A|B|C|D|2026||ADT^A01|1|P|2.5\rPV1|1|I\r")
    assert isinstance(message, Message)
    found, findings = to_event(message, SOURCE)
    assert found is None and findings[-1].location == "PID"


def test_28_several_patients_are_reported() -> None:
    raw = make("A08", MEMBER, HOSPITAL) + b"PID|2||M2\r"
    message = parse(raw)
    assert isinstance(message, Message)
    assert "several-patients" in {f.code for f in to_event(message, SOURCE)[1]}


def test_28_a_merge_with_two_pairs() -> None:
    raw = make("A40", MEMBER, HOSPITAL, retired="OLD") + b"PID|2||M2^^^V^MR\rMRG|M3^^^V^MR~M4^^^V^MR||ACC\r"
    message = parse(raw)
    assert isinstance(message, Message)
    events, _ = to_events(message, SOURCE)
    assert [e.visit for e in events] == [None, None] and to_event(message, SOURCE)[0] == events[0]
    pairs = [pair for found in events for pair in found.merges]
    assert [[i.value for i in m.retired] for m in pairs] == [["OLD"], ["M3", "M4"]]
    assert [m.surviving[0].value for m in pairs] == ["M1", "M2"] and pairs[1].retired_account == "ACC"
    assert [e.patient.ids[0].value for e in events] == ["M1", "M2"]


@pytest.mark.parametrize("code", ["A28", "A31"])
def test_56_a_visit_in_a_demographics_event_is_noise(code: str) -> None:
    found = event(code, PV1_2="I", PV1_19="V9")
    assert found.visit is None and found.stay.visit_number == ""


# --- when ----------------------------------------------------------------------------------------------------------


def test_time_order() -> None:
    assert event(occurred_us=NOON - 2 * HOUR).occurred == NOON - 2 * HOUR
    assert event().occurred_source == "PV1-44"
    assert event("A03", discharge_us=NOON - 60).occurred_source == "PV1-45"
    assert event("A08").occurred_source == "EVN-2"
    assert event("A08", EVN_2=None).occurred_source == "MSH-7"
    nowhere = {"EVN_2": None, "at_us": None, "admit_us": None}
    assert (event(**nowhere).occurred, event(**nowhere).occurred_source) == (None, "")
    found = event(**nowhere, received_us=NOON)
    assert (found.occurred, found.occurred_source) == (NOON, "received")


def test_a_cancellation_happens_when_it_is_recorded() -> None:
    found = event("A11", occurred_us=NOON - HOUR)
    assert (found.occurred, found.cancelled, found.cancels) == (NOON, NOON - HOUR, ("admit", "register"))


def test_37_a_bare_date_gives_way_to_a_time_on_that_date() -> None:
    found = event(PV1_44="20260303")
    assert (found.occurred_source, found.occurred) == ("EVN-2", NOON)
    assert found.visit is not None and found.visit.admit_text == "2026-03-03"
    assert event(PV1_44="20260301").occurred_text == "2026-03-01"


def test_37_the_future_is_not_believed() -> None:
    assert event(occurred_us=NOON + HOUR).occurred_source == "PV1-44"
    assert ("time-in-future", "EVN-6") in remarks(occurred_us=NOON + HOUR)
    assert event(occurred_us=NOON + 60_000_000).occurred_source == "EVN-6"  # clocks disagree a little


def test_37_discharge_before_admit() -> None:
    assert ("discharge-before-admit", "PV1-45") in remarks("A03", discharge_us=NOON - 5 * HOUR)


@pytest.mark.parametrize(("sent", "code"), [("20210527018000", "time-impossible"), ("soon", "time-unreadable")])
def test_36_odd_times_are_reported(sent: str, code: str) -> None:
    assert (code, "PV1-44") in remarks(PV1_44=sent)


def test_dst_and_zone_of_the_source() -> None:
    assert ("time-dst-overlap", "EVN-6") in remarks(at_us=NOON + 300 * 24 * HOUR, EVN_6="20261101013000")
    eastern = SourceConfig("e", zone="America/New_York")
    assert event(source=eastern).occurred == event().occurred - 3 * HOUR  # type: ignore[operator]


# --- class and disposition -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("E", "ED"),
        ("I", "INPATIENT"),
        ("O", "AMBULATORY"),
        ("P", "PRE"),
        ("V", "OBSERVATION"),
        ("R", "OTHER"),
        ("B", "OTHER"),
        ("U", "UNKNOWN"),
        ("INPATIENT", "INPATIENT"),
        ("inpatient", "INPATIENT"),
        ("OBS", "OBSERVATION"),
        ("ER", "ED"),
        ("i^Inpatient^HL70004", "INPATIENT"),
    ],
)
def test_38_known_classes(code: str, expected: str) -> None:
    assert visit_of(patient_class=code).patient_class == expected
    assert ("unmapped-code", "PV1-2") not in remarks(patient_class=code)


@pytest.mark.parametrize("code", ["DAY CASE", "99", "HOV", "D", "XYZ"])
def test_38_a_new_local_class_is_unknown_reported_and_kept(code: str) -> None:
    found = visit_of(patient_class=code)
    assert (found.patient_class, found.class_code) == ("UNKNOWN", code)
    assert ("unmapped-code", "PV1-2") in remarks(patient_class=code)


def test_38_an_empty_class_is_reported() -> None:
    assert visit_of(patient_class="").patient_class == "UNKNOWN"
    assert ("class-missing", "PV1-2") in remarks(patient_class="")


def test_the_sources_own_class_map_comes_first() -> None:
    rules: dict[str, PatientClass] = {
        "PV1-2:HOV": "OBSERVATION",
        "PV1-18:77": "ED",
        "PV1-10:PSY": "INPATIENT",
        "PV1-3:5 OBS": "OBSERVATION",
    }
    source = SourceConfig("s", class_map=rules)
    for fields, expected, place in (
        ({"patient_class": "HOV"}, "OBSERVATION", "PV1-2"),
        ({"patient_class": "I", "PV1_18": "77"}, "ED", "PV1-18"),
        ({"patient_class": "O", "PV1_10": "PSY"}, "INPATIENT", "PV1-10"),
        ({"patient_class": "I", "location": "5 OBS^1"}, "OBSERVATION", "PV1-3"),
    ):
        found = visit_of(source=source, **fields)
        assert (found.patient_class, found.class_source) == (expected, place)


def test_observation_hides_behind_class_o() -> None:
    assert visit_of(patient_class="O", PV1_18="OBS").class_source == "PV1-18"
    assert visit_of(patient_class="I", PV1_18="OBS").patient_class == "INPATIENT"


def test_class_table_holds_only_our_classes() -> None:
    assert {row["keyword"] for row in table("patient_class").values()} <= set(get_args(PatientClass))


@pytest.mark.parametrize(
    ("sent", "group", "code"),
    [
        ("01", "HOME", "01"),
        ("1", "HOME", "01"),
        ("01^HOME^X", "HOME", "01"),
        ("Home", "HOME", "01"),
        ("home", "HOME", "01"),
        ("81", "HOME", "81"),
        ("03", "SNF", "03"),
        ("92", "SNF", "92"),
        ("02", "ACUTE", "02"),
        ("09", "ACUTE", "09"),
        ("62", "REHAB", "62"),
        ("65", "PSYCH", "65"),
        ("50", "HOSPICE", "50"),
        ("07", "AMA", "07"),
        ("21", "CUSTODY", "21"),
        ("20", "EXPIRED", "20"),
        ("Dead", "EXPIRED", "20"),
        ("41", "EXPIRED", "41"),
        ("30", "STILL", "30"),
        ("39", "STILL", "39"),
        ("Admitted as Inpatient", "ACUTE", "09"),
        ("", "NOT_STATED", ""),
        ("^SNF", "SNF", "03"),
        ("77", "UNKNOWN", "77"),
        ("Elsewhere", "UNKNOWN", "Elsewhere"),
    ],
)
def test_39_dispositions(sent: str, group: str, code: str) -> None:
    found = visit_of("A03", disposition=sent)
    assert (found.disposition, found.disposition_code) == (group, code)
    assert (("unmapped-code", "PV1-36") in remarks("A03", disposition=sent)) == (group == "UNKNOWN")


def test_disposition_groups_are_the_eleven_of_the_page() -> None:
    assert {row["group"] for row in table("disposition").values()} == {
        "HOME",
        "SNF",
        "ACUTE",
        "REHAB",
        "PSYCH",
        "HOSPICE",
        "AMA",
        "CUSTODY",
        "EXPIRED",
        "STILL",
    }
    assert visit_of("A08").disposition == ""


def test_35_a13_clears_by_deleting() -> None:
    assert event("A13", PV1_36='""', PV1_45='""').deleted == ("PV1-36", "PV1-45")
    assert event("A08", PID_13="").deleted == () and event("A08", PID_13='""').deleted == ("PID-13",)


# --- which stay ----------------------------------------------------------------------------------------------------


def test_40_the_key_of_the_stay() -> None:
    found = event(visit_number="V7", account="A7").stay
    assert (found.facility, found.visit_number, found.visit_authority, found.account) == (
        "Organization/v",
        "V7",
        "1.2.3",
        "A7",
    )
    assert ("visit-number-missing", "PV1-19") in remarks(visit_number=None)
    bare = event(visit_number=None).stay
    assert (bare.mrn, bare.admit) == ("M1", NOON - HOUR)


def test_40_the_same_number_from_two_facilities_behind_one_feed() -> None:
    feed = SourceConfig("hie")
    keys = {event(source=feed, hospital={"name": name}, visit_number="V1").stay for name in ("East", "West")}
    assert len(keys) == 2
    assert event(source=feed, hospital={"name": "East", "npi": "1234567893"}).facility.npi == "1234567893"


def test_41_links_to_another_account_are_kept() -> None:
    found = event("A06", PV1_50="V0", PV1_5="PRE").stay
    assert (found.alternate_visit, found.preadmit) == ("V0", "PRE")
