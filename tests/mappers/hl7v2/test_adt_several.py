"""Events of several patients, numbers that change, and what the settings of a sender decide (cases 28, 35, 40, 55)."""

from __future__ import annotations

from dataclasses import replace

import pytest

from mappers.hl7v2.adt import AdtEvent, Finding, SourceConfig, to_event, to_events
from mappers.hl7v2.adt_events import EVENTS, NAMES_STAY, WITH_MERGES, WITHOUT_VISIT
from mappers.hl7v2.message import Message, parse
from mappers.hl7v2.source import FacilityConfig
from tests.mappers.hl7v2 import whole_message
from tests.mappers.hl7v2.awkward import SOURCE, event, remarks, visit_of

HEAD = "MSH|^~\\&|A|B|C|D|20260303120000||ADT^{0}|1|P|2.5.1\rEVN|{0}|20260303120000\r"
ANN = "PID|1||M1^^^V^MR||Roe^Ann||19800517|F||||||||||A1^^^V^AN\r"
LEE = "PID|2||M2^^^V^MR||Roe^Lee||19790102|M||||||||||A2^^^V^AN\r"


def read(code: str, *segments: str, source: SourceConfig = SOURCE) -> tuple[tuple[AdtEvent, ...], list[Finding]]:
    message = parse((HEAD.format(code) + "".join(segments)).encode())
    assert isinstance(message, Message)
    events, findings = to_events(message, source)
    assert to_event(message, source)[0] == (events[0] if events else None)
    return events, findings


def visit(number: str, place: str, before: str = "") -> str:
    return f"PV1|1|I|{place}|||{before}|||||||||||||{number}^^^V&1.2.3&ISO^VN\r"


def test_28_a_swap_is_a_transfer_of_each() -> None:
    events, findings = read("A17", ANN, visit("V1", "4W^2", "4W^1"), LEE, visit("V2", "4W^1", "4W^2"))
    assert not findings and [e.effect for e in events] == ["transfer", "transfer"]
    assert [(e.patient.ids[0].value, e.stay.visit_number) for e in events] == [("M1", "V1"), ("M2", "V2")]
    assert [e.visit.location.room for e in events if e.visit and e.visit.location] == ["2", "1"]


@pytest.mark.parametrize("code", ["A24", "A37"])
def test_linked_records_name_each_other(code: str) -> None:
    events, findings = read(code, ANN, LEE)
    assert not findings and [e.visit for e in events] == [None, None]
    assert [[i.value for i in e.linked] for e in events] == [["M2"], ["M1"]]


@pytest.mark.parametrize("code", ["A17", "A24", "A37"])
def test_half_of_a_pair_is_reported(code: str) -> None:
    events, findings = read(code, ANN, visit("V1", "4W"))
    assert len(events) == 1 and ("segment-missing", "PID") in {(f.code, f.location) for f in findings}


def test_55_each_moved_visit_is_a_pair_with_its_own_visit() -> None:
    first_pair = ("MRG|M1^^^V^MR||A1||V1^^^V&1.2.3&ISO\r", visit("V1", "4W"))
    events, findings = read("A45", LEE, *first_pair, "MRG|M1^^^V^MR||A1||V3\r", visit("V4", "5E"))
    (found,) = events
    assert not findings and found.visit is None and found.stay.visit_number == "V1"
    first, second = found.merges
    assert (first.retired_visit, first.surviving_visit, first.retired_visit_authority) == ("V1", "V1", "1.2.3")
    assert (second.retired_visit, second.surviving_visit, second.retired_visit_authority) == ("V3", "V4", "")
    assert [i.value for i in first.surviving] == ["M2"] and [i.value for i in first.retired] == ["M1"]
    assert first.surviving_visit_authority == "1.2.3" and first.surviving_account == "A2"


@pytest.mark.parametrize(
    ("code", "mrg", "location"),
    [
        ("A40", "MRG||X|A0||V0", "MRG-1"),
        ("A41", "MRG|M1^^^V^MR", "MRG-3"),
        ("A44", "MRG|M1^^^V^MR", "MRG-3"),
        ("A42", "MRG|M1^^^V^MR", "MRG-5"),
        ("A45", "MRG|M1^^^V^MR", "MRG-5"),
        ("A50", "MRG|M1^^^V^MR", "MRG-5"),
        ("A51", "MRG|M1^^^V^MR", "MRG-6"),
        ("A47", "MRG|", "MRG-1"),
    ],
)
def test_a_change_that_names_nothing_to_retire_is_reported(code: str, mrg: str, location: str) -> None:
    events, findings = read(code, ANN, mrg + "\r")
    assert events[0].merges == () and [(f.code, f.location) for f in findings] == [("id-missing", location)]


@pytest.mark.parametrize("code", [c for c, row in EVENTS.items() if row.effect in WITH_MERGES])
def test_a_change_without_mrg_is_reported(code: str) -> None:
    events, findings = read(code, ANN)
    assert events[0].merges == () and ("segment-missing", "MRG") in {(f.code, f.location) for f in findings}


def test_an_account_number_may_change_without_the_patients() -> None:
    (found,), findings = read("A49", ANN, "MRG|||A0^^^V\r")
    assert not findings and (found.merges[0].retired_account, found.merges[0].surviving_account) == ("A0", "A1")
    assert (found.merges[0].retired_account_authority, found.merges[0].surviving_account_authority) == ("V", "V")


def test_numbers_of_a_visit_without_its_state() -> None:
    for code, row in EVENTS.items():
        if row.effect not in WITHOUT_VISIT:
            continue
        found = read(code, ANN, "MRG|M0^^^V^MR||A0||V0|X0\r", visit("V9", "4W"), LEE)[0][0]
        assert found.visit is None
        assert found.stay.visit_number == ("V9" if row.effect in NAMES_STAY else "")


def test_a_newborn_is_not_its_mother() -> None:
    found = event(PID_21="M7^^^V^MR~M8^^^V^MR")
    assert [i.value for i in found.patient.mother_ids] == ["M7", "M8"]
    assert "M7" not in {i.value for i in found.patient.ids}
    assert visit_of(PV2_36="Y").newborn and visit_of(PV1_4="N").newborn and not visit_of(PV1_4="E").newborn


# --- what the sender asks to remove --------------------------------------------------------------------------------


def test_35_delete_is_told_from_blank_in_every_segment() -> None:
    (found,), _ = read("A08", 'PID|1||M1^^^V^MR||Roe^Ann||19800517|F|""|||""~""||^""\r', 'PV1|1|I|""|\r', 'DG1|1||""\r')
    assert found.deleted == ("PID-9", "PID-12", "PID-14", "PV1-3", "DG1-3")
    assert found.visit is not None and found.visit.location is None and found.visit.diagnoses == ()
    assert found.patient.contacts == ()
    assert read("A08", ANN, 'ZPD|""\r', "PV1|1|I\r")[0][0].deleted == ()
    assert read("A08", ANN, 'PV1|1|I|4W^""^A\r')[0][0].deleted == ()  # a part of a value: the rest replaces it


# --- settings of the sender ----------------------------------------------------------------------------------------


def test_40_a_feed_of_many_facilities_takes_place_and_zone_of_each() -> None:
    feed = SourceConfig(
        "hie",
        facilities={
            "1234567893": FacilityConfig("Organization/east", "East Hospital", "America/New_York"),
            "WEST": FacilityConfig("Organization/west"),
        },
    )
    east = event(source=feed, hospital={"name": "East", "npi": "1234567893"})
    assert (east.facility.reference, east.facility.name) == ("Organization/east", "East Hospital")
    west = event(source=feed, hospital={"name": "West"})
    assert (west.facility.reference, west.stay.facility) == ("Organization/west", "Organization/west")
    assert west.occurred is not None and east.occurred == west.occurred - 3 * 3_600_000_000
    assert event(source=feed, hospital={"name": "North"}).facility.reference == ""


def test_the_name_of_a_network_is_not_that_of_a_hospital() -> None:
    places = {"WEST": FacilityConfig("Organization/west")}
    feed = SourceConfig("hie", facility_display="Valley Network", facilities=places)
    assert event(source=feed, hospital={"name": "West"}).facility.name == "West"
    assert event(source=feed, hospital={"name": "North"}).facility.name == "North"
    own = SourceConfig("mercy", "Organization/mercy", "Mercy", facilities=places)
    assert event(source=own, hospital={"name": "North"}).facility.name == "Mercy"


def test_38_words_of_the_sender_count_in_capitals_or_not() -> None:
    source = SourceConfig("s", class_map={"PV1-2:HOV": "OBSERVATION"}, cin_authorities=("Medi-Cal",))
    assert visit_of(source=source, PV1_2="hov").patient_class == "OBSERVATION"
    assert event(source=source, PID_3="91234567A^^^MEDI-CAL^XX").patient.cins == ("91234567A",)


def test_39_the_senders_own_dispositions_come_first() -> None:
    source = SourceConfig("s", disposition_map={"H": "01", "03": "62"})
    assert visit_of("A03", source=source, disposition="h").disposition == "HOME"
    assert visit_of("A03", source=source, disposition="03").disposition_code == "62"
    assert ("unmapped-code", "PV1-36") not in remarks("A03", source=source, disposition="H")


def test_42_a_registered_authority_is_the_system() -> None:
    source = SourceConfig("s", authorities={"1.2.3": "https://valley.example.org/mrn"})
    assert event(source=source).patient.ids[0].system == "https://valley.example.org/mrn"
    assert event(source=SourceConfig("s")).patient.ids[0].system == "urn:oid:1.2.3"


@pytest.mark.parametrize("told", ["1.2.3", "v", "V"])
def test_42_and_that_of_the_numbers_of_a_visit(told: str) -> None:
    source = SourceConfig("s", authorities={told.upper(): "https://valley.example.org/visit"})
    text = HEAD.format("A01") + ANN + visit("V1", "4W")
    (_, [found], _), (_, [plain], _) = whole_message.read(text, source), whole_message.read(text, SourceConfig("s"))
    assert found.stay.visit_system == "https://valley.example.org/visit"
    assert (found.stay.account_system == "") == (told == "1.2.3"), "PID-18 says V alone"
    assert (plain.stay.visit_system, plain.stay.account_system) == ("", "")
    assert replace(found.stay, visit_system="", account_system="") == plain.stay, "it is the same stay"
    for one, system in ((source, found.stay.visit_system), (SourceConfig("s"), "urn:oid:1.2.3")):
        [encounter] = whole_message.resources(whole_message.bundled(text, one)[0], "Encounter")
        assert encounter["identifier"][0]["system"] == system


@pytest.mark.parametrize(("relation", "expected"), [("SEL", ("97654321B",)), ("", ("97654321B",)), ("CHD", ())])
def test_the_number_of_another_insured_is_not_the_members(relation: str, expected: tuple[str, ...]) -> None:
    member = {"mrn": "M1", "family": "Roe", "given": "Ann", "birth_date": "1980-05-17", "sex": "F"}
    assert event(member=member, IN1_17=relation, IN1_49="97654321B").patient.cins == expected
    assert event(member=member, IN1_17=relation, IN1_36="97654321B").patient.cins == ("97654321B",)
