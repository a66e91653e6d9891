"""The parser against the syntax cases 17-34 of facts/adt.md, python-hl7 as oracle for plain messages, and mutations."""

from __future__ import annotations

import os
import random

import hl7
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mappers.hl7v2.adt import SourceConfig, to_event
from mappers.hl7v2.message import Message, Unreadable, parse, segment
from mappers.hl7v2.separators import STANDARD, escape, unescape
from mappers.hl7v2.simulate import message as make

MSH = "MSH|^~\\&|A|B|C|D|20260301120000||ADT^A01^ADT_A01|1|P|2.5.1"
LINES = [MSH, "EVN|A01|20260301", "PID|1||7^^^V^MR~8^^^W^PI||Roe^Ann^^^^^L||19800517|F", "PV1|1|I"]
DEEP = 5000 if os.environ.get("ENLACE_TEST_DEEP") else 200


def read(raw: bytes | str, **more: str) -> Message:
    found = parse(raw.encode() if isinstance(raw, str) else raw, **more)
    assert isinstance(found, Message), found
    return found


def codes(message: Message) -> set[str]:
    return {finding.code for finding in message.findings}


@pytest.mark.parametrize("end", ["\r", "\n", "\r\n", "\r\r", "\n\r"])
@pytest.mark.parametrize("final", [True, False])
def test_17_18_segment_ends(end: str, final: bool) -> None:
    message = read(end.join(LINES) + (end if final else ""))
    assert [s.name for s in message.segments] == ["MSH", "EVN", "PID", "PV1"] and not message.findings
    assert message.segments[3].get(2) == "I"


def test_17_mixed_ends() -> None:
    assert len(read(MSH + "\rEVN|A01\nPID|1\r\n\rPV1|1").segments) == 4


def test_17_a_message_on_one_line_is_an_error_not_an_empty_message() -> None:
    assert "no-segment-ends" in codes(read(" ".join(LINES)))
    assert "no-segment-ends" in codes(read("\\r".join(LINES)))


def test_19_byte_order_marks() -> None:
    text = "\r".join(LINES).replace("Roe", "Röe")
    for raw in (b"\xef\xbb\xbf" + text.encode(), ("\ufeff" + text).encode("utf-16-le")):
        assert read(raw).segments[2].get(5) == "Röe"


def test_20_21_delimiters() -> None:
    for declared in ("~\\&", "^~\\&#", "^~\\\\&"):
        message = read("\r".join(LINES).replace("^~\\&", declared, 1))
        assert message.segments[2].get(3, rep=2, comp=4) == "W", declared
    custom = read("\r".join(LINES).translate(str.maketrans("|^~\\&", "!@*$%")))
    assert custom.segments[2].get(3, rep=2, comp=4) == "W" and custom.segments[0].get(1) == "!"
    assert custom.segments[0].get(2) == "@*$%" and custom.segments[0].get(9, comp=2) == "A01"


@pytest.mark.parametrize(
    ("sent", "read_as"),
    [
        ("a\\F\\b\\S\\c\\T\\d\\R\\e\\E\\f", "a|b^c&d~e\\f"),
        ("C:\\temp", "C:\\temp"),
        ("a\\", "a\\"),
        ("\\X0A", "\\X0A"),
        ("O\\.br\\N", "O\nN"),
        ("\\X41\\\\X42\\", "AB"),
        ("\\XC3A9\\", "é"),
        ("\\X00\\x", "x"),
        ("\\Zlocal\\", "\\Zlocal\\"),
        ("\\H\\bold\\N\\", "bold"),
        ("\\\\", "\\\\"),
        ("a\\b\\F\\", "a\\b|"),
    ],
)
def test_22_escapes(sent: str, read_as: str) -> None:
    assert segment(f"NTE|{sent}").get(1) == read_as


def test_22_escapes_are_resolved_after_splitting() -> None:
    assert segment("PID|Smith\\S\\Jones^Ann\\R\\B").get(1) == "Smith^Jones"
    assert segment("PID|Smith\\S\\Jones^Ann\\R\\B").get(1, comp=2) == "Ann~B"


def test_23_24_25_segment_names() -> None:
    message = read("\r".join([LINES[0], LINES[2], "ZPD|x|y", "PD1", "pv1|1|E", "|1|lost"]))
    assert [s.name for s in message.segments] == ["MSH", "PID", "ZPD", "PD1", "PV1"]
    assert message.segments[2].get(2) == "y" and message.segments[4].get(2) == "E"
    assert codes(message) == {"segment-name", "blank-segment"}


def test_27_order_does_not_matter() -> None:
    message = read("\r".join([LINES[0], LINES[3], "OBX|1", LINES[2], LINES[1]]))
    assert message.first("PID") is not None and message.first("EVN") is not None


def test_28_groups() -> None:
    message = read("\r".join([MSH, "PID|1||A", "MRG|x", "PID|2||B", "MRG|y"]))
    assert [[s.name for s in g] for g in message.groups("PID")] == [["PID", "MRG"]] * 2


def test_32_a_line_break_inside_a_field_is_mended_and_what_follows_kept() -> None:
    message = read("\r".join([MSH, "NTE|1|L|first line", "second line|RE", "END", "PV1|1|I"]))
    nte = message.first("NTE")
    assert nte is not None and nte.get(3) == "first line\nsecond line"
    assert [s.name for s in message.segments] == ["MSH", "NTE", "PV1"] and codes(message) == {"broken-line"}
    assert segment("NTE|a\tb").get(1) == "a\tb"


def test_33_continuation() -> None:
    message = read("\r".join([MSH, "OBX|1|TX|||begin", "ADD| and end|x", "DSC|123"]))
    obx = message.first("OBX")
    assert obx is not None and obx.get(5) == "begin and end" and obx.get(6) == "x"
    assert codes(message) == {"continuation", "fragmented"}


@pytest.mark.parametrize(
    ("codec", "declared", "default", "remark"),
    [
        ("utf-8", "", "", None),
        ("utf-8", "UNICODE UTF-8", "", None),
        ("latin-1", "8859/1", "", None),
        ("cp1252", "", "", "charset-guessed"),
        ("latin-1", "UNICODE UTF-8", "", "charset-guessed"),
        ("cp1252", "", "WINDOWS-1252", None),
        ("utf-8", "KLINGON", "", "charset-unknown"),
        ("utf-8", "rot13", "", "charset-unknown"),
    ],
)
def test_34_the_charset_ladder(codec: str, declared: str, default: str, remark: str | None) -> None:
    text = "\r".join([MSH + "||||||" + declared, "PID|1||||Muñoz^Zoë"])
    message = read(text.encode(codec), default_charset=default)
    assert message.segments[1].get(5) == "Muñoz" and codes(message) == ({remark} if remark else set())


@pytest.mark.parametrize(
    ("codec", "declared", "name"),
    [
        ("iso8859-5", "8859/5", "Иванова"),
        ("gb18030", "GB 18030-2000", "王"),
        ("utf-8", "", "Иванова"),
        ("utf-8", "", "王"),
    ],
)
def test_34_other_scripts(codec: str, declared: str, name: str) -> None:
    message = read("\r".join([MSH + "||||||" + declared, f"PID|1||||{name}^X"]).encode(codec))
    assert message.segments[1].get(5) == name and not message.findings


def test_34_bytes_that_are_no_text_at_all() -> None:
    assert "charset-guessed" in codes(read(MSH.encode() + b"\rPID|1||||\x81\xff\xfe"))


def test_35_deleted_is_not_empty() -> None:
    pid = segment('PID|1||||""^A||""|')
    assert pid.deleted(7) and not pid.deleted(8) and not pid.deleted(5) and not pid.deleted(99)
    assert pid.get(7) == "" == pid.get(5) and pid.get(5, comp=2) == "A" and pid.reps(7) == []


def test_nul_and_controls_never_reach_a_value() -> None:
    message = read(MSH.encode() + b"\rPID|1||||A\x00B\x1f^C")
    assert message.segments[1].get(5) == "A B" and codes(message) == {"control-characters"}


def test_caps() -> None:
    assert "too-many-segments" in codes(read("\r".join([MSH, *["NTE|1"] * 10_050])))
    assert len(read(MSH + "\rPID" + "|x" * 5_000).segments[1].reps(3)) == 1
    assert len(segment("PID|" + "~".join("x" * 5_000)).reps(1)) == 500
    big = parse(MSH.encode() + b"\rOBX|" + b"A" * (16 * 1024 * 1024))
    assert isinstance(big, Unreadable) and big.control_id == "1"


def test_45_noise_costs_little() -> None:
    message = read("\r".join([*LINES, "GT1|" + "x^y~z|" * 50_000]))
    assert message.segments[4].get(1, comp=2) == "y"


def test_two_messages_in_one_payload_are_an_error() -> None:
    assert "second-message" in codes(read("\r".join([*LINES, *LINES])))


PLAIN = st.text(alphabet="ABCdef 0123456789.,'-éñ", max_size=12)
FIELDS = st.lists(st.lists(PLAIN, min_size=1, max_size=4), min_size=1, max_size=12)


@settings(max_examples=DEEP, deadline=None)
@given(st.lists(FIELDS, min_size=1, max_size=5))
def test_python_hl7_reads_the_same(segments: list[list[list[str]]]) -> None:
    lines = [f"Z{n:02d}|" + "|".join("^".join(parts) for parts in one) for n, one in enumerate(segments)]
    ours = read("\r".join([MSH, *lines]))
    theirs = hl7.parse("\r".join([MSH, *lines]))
    for n, fields in enumerate(segments, start=1):
        for number, parts in enumerate(fields, start=1):
            # python-hl7 strips the message before it splits
            assert ours.segments[n].field(number).strip() == str(theirs[n][number]).strip()
            for comp, part in enumerate(parts, start=1):
                assert ours.segments[n].get(number, comp=comp) == part.strip()


TEXT = st.text(st.characters(exclude_categories=("Cc", "Cs")), max_size=30)


@settings(max_examples=DEEP, deadline=None)
@given(st.lists(TEXT, min_size=1, max_size=8), st.sampled_from(["|^~\\&", "#@*$%"]))
def test_what_is_composed_is_read_back(values: list[str], delimiters: str) -> None:
    header = MSH.translate(str.maketrans("|^~\\&", delimiters))
    separators = read(header).header.separators
    line = delimiters[0].join(["ZZZ", *(escape(value, separators) for value in values)])
    found = read(f"{header}\r{line}").segments[1]
    for number, value in enumerate(values, start=1):
        assert found.get(number) == ("" if value == '""' else value.strip())


@settings(max_examples=DEEP, deadline=None)
@given(st.text(max_size=40))
def test_unescape_never_raises(text: str) -> None:
    assert isinstance(unescape(text, STANDARD), str)


def test_mutated_messages_never_raise() -> None:
    member = {"cin": "91234567A", "mrn": "M1", "family": "García", "given": "Ana", "birth_date": "1980-05-17"}
    hospital, source = {"name": "V", "oid": "1.2.3", "npi": "1234567893"}, SourceConfig("v")
    rng = random.Random(7)
    seeds = [
        make(event, member, hospital, at_us=1_772_000_000_000_000, diagnosis="I50.9^x", disposition="01", account="A")
        for event in ("A01", "A03", "A40", "A08", "A13")
    ]
    for _ in range(DEEP * 5):
        raw = bytearray(rng.choice(seeds))
        for _ in range(rng.randrange(1, 30)):
            at = rng.randrange(len(raw))
            choice = rng.randrange(3)
            if choice == 0:
                raw[at] = rng.choice(b'|^~\\&\r\n\x00\x0b\x1c"' + bytes([rng.randrange(256)]))
            elif choice == 1:
                del raw[at : at + rng.randrange(1, 20)]
            else:
                raw[at:at] = bytes(rng.randrange(256) for _ in range(rng.randrange(1, 6)))
            if not raw:
                break
        found = parse(bytes(raw))
        if isinstance(found, Message):
            event, findings = to_event(found, source, received_us=1_772_000_000_000_000)
            assert event is not None or any(finding.severity == "error" for finding in findings)
            assert "\x00" not in str(event.to_json() if event else "")
