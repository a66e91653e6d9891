"""Who an ADT message is about, on awkward data: cases 36, 42-46 of facts/adt.md."""

from __future__ import annotations

import pytest

from mappers.hl7v2.adt import SourceConfig
from mappers.hl7v2.segments.pid import cin
from tests.mappers.hl7v2.awkward import MEMBER, event, read, remarks


@pytest.mark.parametrize(
    ("sent", "expected"),
    [
        ("91234567A", "91234567A"),
        ("91234567a", "91234567A"),
        ("91234567A12345", "91234567A"),
        ("9 1234567-A", "91234567A"),
        ("81234567A", ""),
        ("9123456A", ""),
        ("912345678", ""),
        ("91234567A1234567", ""),
        ("", ""),
        ("٩1234567A", ""),
    ],
)
def test_42_cin(sent: str, expected: str) -> None:
    assert cin(sent) == expected


@pytest.mark.parametrize("place", ["PID_2", "PID_4", "IN1_36", "IN1_49", "IN1_2"])
def test_cin_wherever_it_is_sent(place: str) -> None:
    member = {**MEMBER, "cin": ""}
    assert event(member=member, **{place: "97654321b01234"}).patient.cins == ("97654321B",)


def test_cin_in_pid_3_by_type_or_authority() -> None:
    member = {**MEMBER, "cin": ""}
    assert event(member=member, PID_3="M1^^^V^MR~91234567A^^^STATE^MB").patient.cins == ("91234567A",)
    assert event(member=member, PID_3="91234567A^^^DHCS^XX").patient.cins == ()
    told = SourceConfig("s", cin_authorities=("DHCS",))
    assert event(member=member, source=told, PID_3="91234567A^^^DHCS^XX").patient.cins == ("91234567A",)
    assert ("cin-format", "PID-3") in remarks(member=member, PID_3="123^^^DHCS^MA")


def test_42_identifiers_without_or_with_two_authorities() -> None:
    ids = event(PID_3="M1~M1^^^^^~M1^^^&&~M1^^^A^MR~M1^^^B&2.16.1&ISO^MR").patient.ids
    assert [i.authority for i in ids] == ["", "", "", "A", "B"]
    assert ids[3].system != ids[4].system == "urn:oid:2.16.1" and "valley" in ids[3].system
    assert event(PID_3="X~M9^^^A^MR").stay.mrn == "M9"


@pytest.mark.parametrize(
    ("sent", "last"),
    [("123-45-6788", "6788"), ("000-00-0000", ""), ("999-99-9999", ""), ("111111111", ""), ("6788", "6788"), ("x", "")],
)
def test_42_only_the_last_four_of_a_number_that_can_be(sent: str, last: str) -> None:
    found = event(PID_19=sent, PID_3=f"M1^^^V^MR~{sent}^^^SSA^SS")
    assert found.patient.ssn4 == last
    assert sent == last or sent not in str({**found.to_json(), "control_id": ""}) or sent == "x"


@pytest.mark.parametrize(
    ("flag", "time", "deceased"),
    [("Y", "20260303", True), ("N", "20260303", False), ("", "20260303", None), ("Y", "", True)],
)
def test_43_death(flag: str, time: str, deceased: bool | None) -> None:
    found = event("A08", PID_29=time, PID_30=flag).patient
    assert found.deceased is deceased and found.death_text == ("2026-03-03" if time else "")
    assert (("death-unconfirmed", "PID-29") in remarks("A08", PID_29=time, PID_30=flag)) == (flag != "Y")


@pytest.mark.parametrize("name", ["UNKNOWN^MALE", "TRAUMA^ALPHA", "DOE^JANE", "zzTEST^X", "ZZ-TEST^X"])
def test_44_invented_names_are_marked(name: str) -> None:
    assert event(PID_5=name).patient.placeholder
    assert not event(PID_5="Doerr^Jane").patient.placeholder
    assert event(PID_31="Y").patient.identity_unknown


def test_44_aliases_are_kept_apart() -> None:
    names = event(PID_9="Star^Pop").patient.names
    assert [(n.family, n.use) for n in names] == [("Roe", "official"), ("Star", "alias")]


def test_46_markup_in_a_name_is_text() -> None:
    evil = "<script>alert(1)</script>"
    assert event(PID_5=f"{evil}^=cmd()").patient.names[0].family == evil


@pytest.mark.parametrize(
    ("sent", "date", "precision"),
    [
        ("1983", "1983", "year"),
        ("198305", "1983-05", "month"),
        ("00000000", "", ""),
        ("19000101", "", ""),
        ("20300101", "", ""),
        ("19830507120000", "1983-05-07", "day"),
        ("05/07/1983", "1983-05-07", "day"),
    ],
)
def test_36_birth_dates(sent: str, date: str, precision: str) -> None:
    found = event(PID_7=sent).patient
    assert (found.birth_date, found.birth_precision) == (date, precision)
    assert date or any(place == "PID-7" for _, place in remarks(PID_7=sent))


@pytest.mark.parametrize(("sent", "sex"), [("M", "male"), ("f", "female"), ("X", "other"), ("U", "unknown"), ("", "")])
def test_sex(sent: str, sex: str) -> None:
    assert event(PID_8=sent).patient.sex == sex


@pytest.mark.parametrize(
    ("field", "sent", "location"),
    [
        ("PID_8", "Q", "PID-8"),
        ("PID_5", "A^B^^^^^QQ", "PID-5.7"),
        ("PID_11", "1 A St^^^^^^QQ", "PID-11.7"),
        ("PID_13", "555^QQQ", "PID-13.2"),
        ("DG1_3", "X^Y^LOCAL", "DG1-3.3"),
        ("PID_3", "1^^^A^QQ", "PID-3.5"),
        ("PID_30", "maybe", "PID-30"),
    ],
)
def test_every_unmapped_code_is_a_finding_without_its_value(field: str, sent: str, location: str) -> None:
    _, findings = read(**{field: sent})
    (found,) = [f for f in findings if f.location == location]
    assert found.code == "unmapped-code" and "QQ" not in found.text and "LOCAL" not in found.text


def test_contacts() -> None:
    contacts = event(
        PID_13="(559)555-0123X22^PRN^PH~^NET^Internet^a@example.org", PID_14="^WPN^CP^^1^559^5550188"
    ).patient.contacts
    assert [(c.system, c.use, c.digits or c.value) for c in contacts] == [
        ("phone", "home", "5595550123"),
        ("email", "home", "a@example.org"),
        ("phone", "mobile", "5595550188"),
    ]
