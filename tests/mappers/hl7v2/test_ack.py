"""The acknowledgement table of facts/adt.md section 3, whole, and what an echo must not smuggle."""

from __future__ import annotations

import hl7
import pytest

from mappers.hl7v2.ack import Mode, Outcome, acknowledge, batch
from mappers.hl7v2.header import Header, Unreadable, peek

NOW = 1_772_575_800_000_000  # 2026-03-03T22:10:00Z
OUTCOMES: tuple[Outcome, ...] = ("stored", "transient", "unreadable", "oversize")
# MSH-15, MSH-16 -> answers for stored, transient, unreadable; None: nothing, where NE/ER/SU are taken literally
TABLE: list[tuple[str, str, tuple[str | None, ...]]] = [
    ("", "", ("AA", "AE", "AR")),
    ("AL", "", ("CA", "CE", "CR")),
    ("AL", "NE", ("CA", "CE", "CR")),
    ("AL", "AL", ("CA", "CE", "CR")),
    ("ER", "NE", (None, "CE", "CR")),
    ("SU", "NE", ("CA", None, None)),
    ("NE", "NE", (None, None, None)),
    ("NE", "AL", (None, None, None)),
    ("", "AL", (None, None, None)),
    ("XX", "", ("CA", "CE", "CR")),
]
ENHANCED = dict(zip(OUTCOMES, ("CA", "CE", "CR", "CR"), strict=True))


def message(accept: str = "", application: str = "", **parts: str) -> Header:
    fields = {"app": "EPIC", "fac": "VGH", "id": "C1", "kind": "ADT^A01^ADT_A01", "version": "2.5.1", **parts}
    raw = "MSH|^~\\&|{app}|{fac}|ENL|ECM|20260301||{kind}|{id}|P|{version}|||".format(**fields)
    found = peek(f"{raw}{accept}|{application}||{parts.get('charset', '')}\rPID|1".encode())
    assert isinstance(found, Header)
    return found


def answer(header: Header | Unreadable, outcome: Outcome = "stored", **more: object) -> str:
    raw = acknowledge(header, outcome=outcome, now_us=NOW, control_id="E9", **more)  # type: ignore[arg-type]
    assert raw is not None
    return raw.decode()


@pytest.mark.parametrize(("accept", "application", "codes"), TABLE)
@pytest.mark.parametrize("outcome", OUTCOMES)
@pytest.mark.parametrize("literal", [False, True])
def test_the_table(
    accept: str, application: str, codes: tuple[str | None, ...], outcome: Outcome, literal: bool
) -> None:
    raw = acknowledge(
        message(accept, application),
        outcome=outcome,
        now_us=NOW,
        control_id="E9",
        reply_always=not literal,
    )
    expected = codes[min(OUTCOMES.index(outcome), 2)]
    if expected is None and literal:
        assert raw is None
    else:
        assert raw is not None and f"\rMSA|{expected or ENHANCED[outcome]}|C1" in raw.decode()


@pytest.mark.parametrize(("mode", "accept", "code"), [("original", "AL", "AA"), ("enhanced", "", "CA")])
def test_the_mode_can_be_set_per_source(mode: Mode, accept: str, code: str) -> None:
    assert f"MSA|{code}|" in answer(message(accept), mode_override=mode)


def test_the_whole_answer() -> None:
    assert answer(message("AL", "NE")) == (
        "MSH|^~\\&|ENL|ECM|EPIC|VGH|20260303221000+0000||ACK^A01^ACK|E9|P|2.5.1\rMSA|CA|C1\r"
    )


def test_a_failure_says_what_and_nothing_of_the_content() -> None:
    assert answer(message(), "transient").split("\r")[1:] == [
        "MSA|AE|C1|Not stored; send the message again.",
        "ERR||MSH^1|207^Application internal error^HL70357|E||||Not stored; send the message again.",
        "",
    ]
    assert "\rERR|MSH^1^^207&Application internal error&HL70357\r" in answer(message(version="2.3"), "transient")


@pytest.mark.parametrize("kind", ["ACK", "ACK^A01^ACK", "MCF", "NAK"])
@pytest.mark.parametrize("outcome", OUTCOMES)
def test_16_an_answer_is_never_answered(kind: str, outcome: Outcome) -> None:
    assert acknowledge(message("AL", kind=kind), outcome=outcome, now_us=NOW, control_id="1") is None


def test_unreadable_is_refused_whatever_the_caller_believes() -> None:
    assert "\rMSA|AR|\x20X7|" in answer(Unreadable("no MSH", " X7"), "stored")


@pytest.mark.parametrize("control_id", [" lead", "", "x" * 60, "a b", "1~2"])
def test_30_msh_10_comes_back_verbatim(control_id: str) -> None:
    assert answer(message(id=control_id)).split("\r")[1] == f"MSA|AA|{control_id}"


def test_the_senders_version_delimiters_and_charset() -> None:
    assert "|2.5.1^USA\r" in answer(message(version="2.5.1^USA"))
    assert "|2.5.1\r" in answer(message(version="drop table"))
    custom = peek(b"MSH#$%*@#A#B#C#D###ADT$A03#9#P#2.5\r")
    assert isinstance(custom, Header)
    assert answer(custom, "transient").split("\r")[0] == "MSH#$%*@#C#D#A#B#20260303221000+0000##ACK$A03$ACK#E9#P#2.5"
    latin = peek("MSH|^~\\&|A|São|C|D|||ADT^A03|9|P|2.5||||||8859/1\r".encode("latin-1"))
    assert isinstance(latin, Header)
    raw = acknowledge(latin, outcome="stored", now_us=NOW, control_id="1")
    assert raw is not None and "|São|".encode("latin-1") in raw and raw.split(b"\r")[0].endswith(b"|8859/1")


def test_46_nothing_breaks_out_of_an_echoed_field() -> None:
    raw = b"MSH|^~\\&|A\x1c\x0b|B\x00|C|D|||ADT^A01\x1c|1\x1c\x0b2|P|2.5\nMSA|AA|evil\rPID|1"
    found = peek(raw)
    assert isinstance(found, Header)
    text = answer(found)
    assert not set("\x00\x0b\x1c\n") & set(text) and text.count("\r") == 2 and "evil" not in text


def test_one_write_under_four_kilobytes() -> None:
    long = "é" * 5000
    found = message(app=long, fac=long, id=long, kind=f"ADT^{long}", charset=long)
    for outcome in OUTCOMES:
        raw = acknowledge(found, outcome=outcome, now_us=NOW, control_id="1")
        assert raw is not None and len(raw) < 4096


@pytest.mark.parametrize("outcome", OUTCOMES)
def test_another_library_reads_it(outcome: Outcome) -> None:
    parsed = hl7.parse(answer(message("AL", "NE"), outcome))
    assert str(parsed.segment("MSA")[2]) == "C1" and str(parsed.segment("MSH")[9][0][0]) == "ACK"


def test_a_refusal_gives_its_reason() -> None:
    assert "\rMSA|AR||MSH-1 is not a delimiter.\r" in answer(Unreadable("MSH-1 is not a delimiter."))
    assert "\rMSA|CR|C1|The message is longer than 16 MB.\r" in answer(message("AL"), "oversize")


@pytest.mark.parametrize(
    ("version", "kind"),
    [("2.1", "ACK"), ("2.2", "ACK"), ("2.3", "ACK^A01"), ("2.3.1", "ACK^A01^ACK"), ("2.8", "ACK^A01^ACK")],
)
def test_msh_9_is_as_long_as_the_version_knows_it(version: str, kind: str) -> None:
    assert answer(message(version=version)).split("|")[8] == kind


@pytest.mark.parametrize(("version", "text"), [("2.6", "Not stored; send the message again."), ("2.7", "")])
def test_msa_3_is_gone_since_2_7_and_err_8_has_the_words(version: str, text: str) -> None:
    _, msa, err, _ = answer(message(version=version), "transient").split("\r")
    assert msa == "|".join(("MSA|AE|C1", text) if text else ("MSA|AE|C1",))
    assert err.endswith("|Not stored; send the message again.")


@pytest.mark.parametrize("number", ["0", "-1", "17", "x", "1" * 16, "9\x0b"])
def test_the_sequence_number_comes_back_in_msa_4(number: str) -> None:
    found = message()._replace(sequence=number)
    good = number in ("0", "-1", "17")
    assert answer(found).split("\r")[1] == (f"MSA|AA|C1||{number}" if good else "MSA|AA|C1")


def test_a_missing_field_has_its_own_code() -> None:
    found = peek(b"MSH|^~\\&|A|B|C|D|||||P|2.5.1\r")
    assert "\rERR||MSH^1|101^Required field missing^HL70357|E|" in answer(found)


def test_a_batch_is_answered_by_a_batch() -> None:
    both = [answer(message(id=one)).encode() for one in ("1", "2")]
    text = batch(both, "B|77\x1c").decode()
    assert text.startswith("BHS|^~\\&||||||||||B77\rMSH|") and text.endswith("\rBTS|2\r")
    assert [line for line in text.split("\r") if line.startswith("MSA")] == ["MSA|AA|1", "MSA|AA|2"]
