"""The nasty inputs of facts/adt.md 6, numbers 1 to 34: what is written to the socket, and what must come of it.

A row: number, words, writes (bytes, each a write of its own), answers ("AA 1": MSA-1 and MSA-2), states of the inbox
rows after the work is done ("applied|unmatched": how it matches is settled elsewhere), facts of the first row's event
(place in AdtEvent -> value), codes that must be among its findings.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from mappers.hl7v2.simulate import message as er7
from tests.frozen_clock import START
from tests.service.adt_world import HOSPITAL, MINUTE, said

NOW = int(START.timestamp()) * 1_000_000


@dataclass(frozen=True)
class Nasty:
    number: int
    what: str
    writes: tuple[bytes, ...]
    answers: tuple[str, ...] = ("AA 1",)
    states: tuple[str, ...] = ("applied",)
    facts: Mapping[str, Any] = field(default_factory=dict)
    findings: frozenset[str] = frozenset()
    closed: bool = False
    """Whether the listener ends the connection."""


def frame(payload: bytes) -> bytes:
    return b"\x0b" + payload + b"\x1c\r"


class _Numbers:
    visits = 0


def adt(event: str = "A04", control_id: str = "1", ago: float = 60, **fields: Any) -> bytes:
    """A message about the member of the world, of a visit of its own unless one is named."""
    _Numbers.visits += 1
    at = NOW - int(ago * MINUTE)
    given = {"control_id": control_id, "at_us": at, "occurred_us": at, "visit_number": f"X{_Numbers.visits}"}
    return er7(event, fields.pop("who", None) or said(), HOSPITAL, **given | {"patient_class": "E"} | fields)


def changed(old: bytes, new: bytes, **fields: Any) -> bytes:
    """A message with some of its bytes changed."""
    message = adt(**fields)
    assert old in message, f"{old!r} is not in the message"
    return message.replace(old, new, 1)


def line(message: bytes, name: bytes) -> bytes:
    """The segment of that name with its end."""
    return next(part for part in message.split(b"\r") if part.startswith(name)) + b"\r"


def two() -> tuple[bytes, bytes]:
    return frame(adt()), frame(adt(control_id="2"))


def _framing() -> list[Nasty]:
    both = {"answers": ("AA 1", "AA 2"), "states": ("applied", "applied")}
    (a, b), hello = two(), b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"
    big = adt(control_id="big") + b"OBX|1|ED|PDF||^^^Base64^" + b"QUJD" * 4_400_000 + b"\r"
    return [
        Nasty(1, "one byte per write", tuple(bytes([byte]) for byte in frame(adt()))),
        Nasty(
            2,
            "three frames in one segment",
            (a + b + frame(adt(control_id="3")),),
            ("AA 1", "AA 2", "AA 3"),
            ("applied",) * 3,
        ),
        Nasty(3, "split between FS and CR", (frame(adt())[:-1], b"\r" + frame(adt(control_id="2"))), **both),
        Nasty(4, "FS without CR, then VT", (frame(adt())[:-1] + frame(adt(control_id="2")),), **both),
        Nasty(5, "LF instead of CR", (frame(adt())[:-1] + b"\n" + frame(adt(control_id="2")),), **both),
        Nasty(5, "LF after CR", (frame(adt()) + b"\n" + frame(adt(control_id="2")),), **both),
        Nasty(
            6,
            "blanks and NUL before VT",
            (b" \r\n\x00\t" + frame(adt()), b"\x00\x00", frame(adt(control_id="2"))),
            **both,
        ),
        Nasty(7, "VT restart within a frame: the partial one is dropped", (b"\x0b" + adt()[:80], frame(adt()))),
        Nasty(
            7,
            "stray VT in a message: the remnant is refused",
            (b"\x0bMSH|^~\\&|EPIC|MER\x0bCY" + adt()[90:] + b"\x1c\r",),
            ("AR ",),
            ("unreadable",),
        ),
        Nasty(8, "double wrapping", (b"\x0b" + frame(adt()) + b"\x1c\r" + frame(adt(control_id="2")),), **both),
        Nasty(9, "empty frame: no answer", (b"\x0b\x1c\r", frame(adt()))),
        Nasty(10, "closed mid-frame: nothing is acknowledged or kept", (b"\x0b" + adt()[:200],), (), ()),
        Nasty(
            11,
            "17 MB PDF: refused by its control id, the connection goes on",
            (frame(big), frame(adt())),
            ("AR big", "AA 1"),
        ),
        Nasty(12, "HTTP", (b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",), (), (), closed=True),
        Nasty(12, "TLS hello", (hello,), (), (), closed=True),
        Nasty(15, "an ACK came too late and all is sent again", (_again(frame(adt())),), ("AA 1", "AA 1")),
        Nasty(
            16,
            "an ACK is not answered",
            (frame(changed(b"ADT^A04^ADT_A01", b"ACK^A04^ACK")), frame(adt(control_id="2"))),
            ("AA 2",),
            ("ignored", "applied"),
        ),
    ]


def _again(first: bytes) -> bytes:
    stamp = first.split(b"|")[6]
    return first + first.replace(b"|" + stamp + b"|", b"|20260307233000-0800|", 1)


def _syntax() -> list[Nasty]:
    name = {"patient.names.0.family": "Quillfeather"}
    return [
        Nasty(17, "LF ends", (frame(adt().replace(b"\r", b"\n")),), facts=name),
        Nasty(17, "CRLF ends", (frame(adt().replace(b"\r", b"\r\n")),), facts=name),
        Nasty(17, "mixed ends", (frame(adt().replace(b"\r", b"\n", 2)),), facts=name),
        Nasty(17, "doubled CR", (frame(adt().replace(b"\r", b"\r\r")),), facts=name),
        Nasty(
            17,
            "whole message on one line",
            (frame(adt().replace(b"\r", b"")),),
            states=("ignored",),
            findings=frozenset({"no-segment-ends"}),
        ),
        Nasty(18, "no final CR", (frame(adt().rstrip(b"\r")),), facts=name),
        Nasty(19, "byte order mark", (frame(b"\xef\xbb\xbf" + adt()),), facts=name),
        Nasty(
            19,
            "two bytes a character, without a mark",
            (frame(adt().decode().encode("utf-16-le").replace(b"\x1c", b"")),),
            facts=name,
        ),
        Nasty(20, "MSH-2 without its caret", (frame(changed(rb"|^~\&|", rb"|~\&|")),), facts=name),
        Nasty(20, "MSH-2 with a fifth character", (frame(changed(rb"|^~\&|", rb"|^~\&#|")),), facts=name),
        Nasty(20, "MSH-2 with a doubled backslash", (frame(changed(rb"|^~\&|", rb"|^~\\&|")),), facts=name),
        Nasty(21, "other delimiters", (frame(_delimited()),), facts=name),
        Nasty(22, "lone backslash", (frame(adt(PV1_3="4\\5 re.^1^A")),), facts={"visit.location.unit": "4\\5 re."}),
        Nasty(22, "unterminated escape", (frame(adt(PV1_3="ED\\X0A^1^A")),), facts={"visit.location.unit": "ED\\X0A"}),
        Nasty(22, "line break escape in a name", (frame(adt(PID_5="Quillfeather\\.br\\^Rosalind")),)),
        Nasty(23, "segment that is only a name", (frame(changed(b"\rPV1|", b"\rPD1\rPV1|")),), facts=name),
        Nasty(24, "lower-case segment name", (frame(changed(b"\rPV1|", b"\rpv1|")),), facts={"visit.class_code": "E"}),
        Nasty(
            24,
            "blank segment name",
            (frame(changed(b"\rPV1|", b"\r   |x\rPV1|")),),
            findings=frozenset({"blank-segment"}),
        ),
        Nasty(
            25,
            "Z segment between PID and PV1",
            (frame(changed(b"\rPV1|", b"\rZPD|1|x\rPV1|")),),
            facts=name | {"visit.class_code": "E"},
        ),
        Nasty(
            26,
            "no EVN",
            (frame(changed(line(adt(visit_number="E1"), b"EVN"), b"", visit_number="E1")),),
            facts={"code": "A04"},
        ),
        Nasty(
            26,
            "EVN-1 says another event",
            (frame(adt(EVN_1="A08")),),
            facts={"code": "A04"},
            findings=frozenset({"event-disagrees"}),
        ),
        Nasty(27, "PV1 before PID", (frame(_reordered()),), facts=name | {"visit.class_code": "E"}),
        Nasty(27, "an unexpected segment before PID", (frame(changed(b"\rPID|", b"\rOBX|1|ST|x\rPID|")),), facts=name),
        Nasty(28, "A40 with two PID/MRG groups", (frame(_merged_twice()),), states=("applied",), facts={"code": "A40"}),
        Nasty(29, "MSH-9 without structure", (frame(adt(MSH_9="ADT^A04")),), facts={"code": "A04"}),
        Nasty(29, "MSH-9 without event", (frame(adt(MSH_9="ADT")),), facts={"code": "A04"}),
        Nasty(29, "MSH-9 with a short event", (frame(adt(MSH_9="ADT^A4")),), facts={"code": "A04"}),
        Nasty(30, "MSH-10 empty", (frame(adt(control_id="")),), ("AA ",)),
        Nasty(30, "MSH-10 with a leading blank", (frame(adt(control_id=" 1")),), ("AA  1",)),
        Nasty(30, "MSH-10 of 60 characters", (frame(adt(control_id="y" * 60)),), (f"AA {'y' * 60}",)),
        Nasty(
            30, "MSH-10 used again for other content", (frame(adt()), frame(adt())), ("AA 1", "AA 1"), ("applied",) * 2
        ),
        Nasty(31, "MSH-12 empty", (frame(adt(version="")),), facts=name),
        Nasty(31, "MSH-12 with a country", (frame(adt(MSH_12="2.5.1^USA")),), facts=name),
        Nasty(31, "MSH-12 with a blank", (frame(adt(version="2.4 ")),), facts=name),
        Nasty(31, "MSH-12 that never was", (frame(adt(version="1.0")),), facts=name),
        Nasty(32, "tab in a field", (frame(adt(PV1_3="4\tW^1^A")),), facts={"visit.class_code": "E"}),
        Nasty(
            32,
            "line break in free text",
            (frame(changed(b"\rPV1|", b"\rNTE|1||chest\rpain\rPV1|")),),
            facts={"visit.class_code": "E"},
            findings=frozenset({"broken-line"}),
        ),
        Nasty(
            33,
            "continued by ADD",
            (frame(adt() + b"DG1|1||R07.9^Che\rADD|st pain\r"),),
            findings=frozenset({"continuation"}),
        ),
        Nasty(33, "goes on in another message", (frame(adt() + b"DSC|123|F\r"),), findings=frozenset({"fragmented"})),
    ]


def _delimited() -> bytes:
    return adt().translate(bytes.maketrans(b"|^~\\&", b"#$*@%"))


def _reordered() -> bytes:
    message = adt()
    pid, pv1 = line(message, b"PID"), line(message, b"PV1")
    return message.replace(pv1, b"").replace(pid, pv1 + pid)


def _merged_twice() -> bytes:
    first, second = adt("A40", retired="OLD-1"), adt("A40", retired="OLD-2")
    return first + line(second, b"PID") + line(second, b"MRG")


def _names() -> list[Nasty]:
    latin = "Muñoz^Rosalind".encode("latin-1")
    return [
        Nasty(
            34,
            "latin-1 bytes under a header that says UTF-8",
            (frame(changed(b"Quillfeather^Rosalind", latin, charset="UNICODE UTF-8")),),
            facts={"patient.names.0.family": "Muñoz"},
            findings=frozenset({"charset-guessed"}),
        ),
        Nasty(
            34,
            "Windows-1252 without MSH-18",
            (frame(changed(b"Quillfeather^Rosalind", "Núñez\u2019s^Rosalind".encode("cp1252"))),),
            facts={"patient.names.0.family": "Núñez\u2019s"},
            findings=frozenset({"charset-guessed"}),
        ),
        Nasty(
            34,
            "Cyrillic",
            (frame(adt(PID_5="Иванова^Розалинда")),),
            states=("applied|unmatched",),
            facts={"patient.names.0.family": "Иванова"},
        ),
        Nasty(
            34,
            "Chinese",
            (frame(adt(PID_5="欧阳^玫瑰")),),
            states=("applied|unmatched",),
            facts={"patient.names.0.family": "欧阳"},
        ),
        Nasty(
            34,
            "a charset that is none",
            (frame(adt(charset="KLINGON", PID_5="Núñez^Rosalind")),),
            facts={"patient.names.0.family": "Núñez"},
            findings=frozenset({"charset-unknown"}),
        ),
    ]


ROWS: tuple[Nasty, ...] = (*_framing(), *_syntax(), *_names())
