"""The accept path: MSH alone, whatever is wrong with the rest."""

from __future__ import annotations

import timeit

import pytest

from mappers.hl7v2.header import Header, Unreadable, content_hash, peek, split_messages, stay_hint

MSH = rb"MSH|^~\&|EPIC^1.2^ISO|VGH|ENLACE|ECM|20260301120000||ADT^A01^ADT_A01|C1|P|2.5.1|||AL|NE"
REST = b"\rEVN|A01|20260301\rPID|1||1^^^V^MR||Roe^Ann\r"


def header(raw: bytes) -> Header:
    found = peek(raw)
    assert isinstance(found, Header), found
    return found


def test_the_fields() -> None:
    found = header(MSH + REST)
    assert found.sender == ("EPIC", "VGH") and found.sending_application == "EPIC^1.2^ISO"
    assert (found.receiving_application, found.receiving_facility) == ("ENLACE", "ECM")
    assert (found.type, found.event, found.structure) == ("ADT", "A01", "ADT_A01")
    assert (found.control_id, found.processing_id, found.version) == ("C1", "P", "2.5.1")
    assert (found.accept_ack, found.application_ack, found.charset) == ("AL", "NE", "")


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"PID|1",
        b"GET / HTTP/1.1",
        b"MSH",
        b"MSH|",
        b"MSHA^~\\&A",
        b"MSH|^~\\&|a|b",
        b"\x00" * 50,
        b"MSH \r",
        b"\xff\xfe",
        b"MSH|abcd|x|y|z||||ADT^A01|1",
    ],
)
def test_unreadable(raw: bytes) -> None:
    assert isinstance(peek(raw), Unreadable)


@pytest.mark.parametrize("prefix", [b"\xef\xbb\xbf", b"\r\n ", b"\x00\x00", b"FHS|^~\\&|x\rBHS|^~\\&|y\r"])
def test_what_may_stand_before_msh(prefix: bytes) -> None:
    assert header(prefix + MSH + REST).control_id == "C1"


@pytest.mark.parametrize("codec", ["utf-16-le", "utf-16-be"])
def test_utf_16_with_a_byte_order_mark(codec: str) -> None:
    raw = ("\ufeff" + (MSH + REST).decode()).encode(codec)
    assert header(raw).control_id == "C1"


@pytest.mark.parametrize(
    ("msh2", "component"),
    [(rb"~\&", "^"), (rb"^~\&#", "^"), (rb"^~\\&", "^"), (rb"$%*@", "$"), (rb"^", "^")],
)
def test_20_21_odd_and_custom_delimiters(msh2: bytes, component: str) -> None:
    raw = b"MSH|" + msh2 + b"|A|B|C|D|||ADT" + component.encode() + b"A01|7|P|2.3\r"
    found = header(raw)
    assert found.separators.component == component and (found.type, found.event) == ("ADT", "A01")


def test_21_another_field_separator() -> None:
    assert header(rb"MSH#^~\&#A#B#C#D###ADT^A03#9#P#2.5").event == "A03"


@pytest.mark.parametrize("control_id", ["", " lead", "x" * 60, "a\tb"])
def test_30_control_ids_are_taken_verbatim(control_id: str) -> None:
    assert header(MSH.replace(b"C1", control_id.encode())).control_id == control_id


@pytest.mark.parametrize("version", ["", "2.5.1^USA", "2.4 ", "1.0"])
def test_31_versions_do_not_matter(version: str) -> None:
    assert header(MSH.replace(b"2.5.1", version.encode())).version == version


def test_latin_1_header() -> None:
    raw = MSH.replace(b"VGH", "São José".encode("latin-1"))
    assert header(raw).sending_facility == "São José"


def test_content_hash_knows_a_resend_and_only_that() -> None:
    raw = MSH + REST
    resent = raw.replace(b"20260301120000", b"20260301120500")
    assert content_hash(raw) == content_hash(resent) != content_hash(raw.replace(b"Ann", b"Eve"))
    assert content_hash(raw) != content_hash(raw.replace(b"|C1|", b"|C2|"))
    assert content_hash(b"") and content_hash(b"MSH") and content_hash(b"MSH|x") != content_hash(b"MSH|y")


def test_split_messages() -> None:
    one, two = MSH + REST, MSH.replace(b"C1", b"C2") + REST
    assert split_messages(one) == [one]
    assert split_messages(one + two) == [one, two]
    batch = b"FHS|^~\\&\rBHS|^~\\&\r" + one + two + b"BTS|2\rFTS|1\r"
    assert split_messages(batch) == [one, two]


def test_cheap_enough_for_the_accept_path() -> None:
    raw = MSH + REST + b"OBX|1|ED|||" + b"A" * 1_000_000
    best = min(timeit.repeat(lambda: peek(raw), number=500, repeat=5)) / 500
    assert best < 100e-6  # 8-14 us on an idle core; the bound tells "MSH only" from "the whole message"


def test_the_hint_of_a_stay_is_its_best_number() -> None:
    def segment(name: str, **fields: str) -> bytes:
        numbered = {int(place[1:]): value for place, value in fields.items()}
        return "|".join([name, *(numbered.get(n, "") for n in range(1, max(numbered) + 1))]).encode() + b"\r"

    msh = MSH + b"\r"
    who, account = segment("PID", f3="M1^^^H^MR~9^^^X"), segment("PID", f3="M1", f18="ACC7")
    visit, bare = segment("PV1", f2="I", f19="V9^^^H", f44="20260301"), segment("PV1", f2="I")
    assert stay_hint(msh + account + visit) == b"V9^^^H"
    assert stay_hint(msh + account + bare) == b"ACC7"
    assert stay_hint(msh + who + bare) == b"M1^^^H^MR~9^^^X"
    assert stay_hint((msh + who).replace(b"\r", b"\n")) == b"M1^^^H^MR~9^^^X"
    for nothing in (b"", b"MSH|", msh, b"\xff\x00", msh + b"PID"):
        assert stay_hint(nothing) == b""
