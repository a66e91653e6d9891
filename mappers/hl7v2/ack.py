"""The acknowledgement as the sender's MSH-15/16 ask for it: HL7 v2.5.1 chapter 2, 2.9 and 2.15.8 (tables 0008, 0155).

The answer is a payload without MLLP framing, under 4 KB, so that one write carries it.
"""

from __future__ import annotations

import re
import time
from collections.abc import Sequence
from typing import Literal, NamedTuple

from mappers.hl7v2.header import Header, Unreadable
from mappers.hl7v2.separators import CONTROLS, STANDARD, escape

Outcome = Literal["stored", "transient", "unreadable", "oversize"]
Mode = Literal["original", "enhanced"]


class Verdict(NamedTuple):
    """What an outcome means in MSA and ERR: the letter after A/C, table 0357 code and text, severity, plain words."""

    letter: str
    code: str
    name: str
    severity: str
    text: str


NAMES_0357 = {"100": "Segment sequence error", "101": "Required field missing", "207": "Application internal error"}

VERDICTS: dict[Outcome, Verdict] = {
    "stored": Verdict("A", "0", "Message accepted", "I", ""),
    "transient": Verdict("E", "207", "Application internal error", "E", "Not stored; send the message again."),
    "unreadable": Verdict("R", "100", "Segment sequence error", "E", "The message header (MSH) cannot be read."),
    "oversize": Verdict("R", "207", "Application internal error", "E", "The message is longer than 16 MB."),
}

# Table 0155 in MSH-15: the outcomes that the sender wants to hear of.
WANTED: dict[str, frozenset[Outcome]] = {
    "AL": frozenset({"stored", "transient", "unreadable", "oversize"}),
    "ER": frozenset({"transient", "unreadable", "oversize"}),
    "SU": frozenset({"stored"}),
    "NE": frozenset(),
    "": frozenset(),  # enhanced by MSH-16 alone: no accept acknowledgement was asked for
}
NEVER_ANSWERED = frozenset({"ACK", "MCF", "NAK"})  # an answer to an answer makes two engines talk for ever
_SEQUENCE = re.compile(r"-?\d{1,15}", re.ASCII)
_VERSION = re.compile(r"\s*\d(?:\.\d{1,2}){0,3}\s*", re.ASCII)
_MAX_CONTROL_ID, _MAX_FIELD = 400, 120  # at four bytes a character the whole answer stays under 4 KB


def acknowledge(
    header: Header | Unreadable,
    *,
    outcome: Outcome,
    now_us: int,
    control_id: str,
    mode_override: Mode | None = None,
    reply_always: bool = True,
) -> bytes | None:
    """The answer to a message, or None where none must be sent.

    `control_id` is our own MSH-10. `mode_override` settles AA or CA for engines that ask for one and want the other;
    `reply_always=False` takes NE, ER and SU in MSH-15 literally (many senders block until some answer comes).
    """
    verdict = VERDICTS[outcome]
    if isinstance(header, Unreadable):
        name = NAMES_0357.get(header.code, NAMES_0357["100"])
        verdict = VERDICTS["unreadable"]._replace(text=header.reason, code=header.code, name=name)
        header, outcome = _blank(header), "unreadable"
    if header.type in NEVER_ANSWERED:
        return None
    asked: Mode = "enhanced" if header.accept_ack or header.application_ack else "original"
    mode = mode_override or asked
    if asked == "enhanced" and not reply_always and outcome not in WANTED.get(header.accept_ack.upper(), WANTED["AL"]):
        return None
    code = ("C" if mode == "enhanced" else "A") + verdict.letter
    segments = [_msh(header, now_us, control_id), _msa(header, code, verdict)]
    if verdict.letter != "A":
        segments.append(_err(header, verdict))
    text = "\r".join(segments) + "\r"
    return text.encode(header.codec if header.codec != "ascii" else "utf-8", "replace")


def _blank(unreadable: Unreadable) -> Header:
    return Header(
        STANDARD,
        "",
        "",
        "",
        "",
        "",
        "",
        "",
        "",
        unreadable.control_id,
        "P",
        "2.5.1",
        "",
        "",
        "",
        codec="utf-8",
    )


def _echo(value: str, longest: int = _MAX_FIELD) -> str:
    """A field of the sender's, verbatim but for what would break out of its field or its frame."""
    return CONTROLS.sub("", value).replace("\n", "").replace("\r", "")[:longest]


def _version(header: Header) -> str:
    version = header.version.split(header.separators.component)[0]
    return _echo(header.version) if _VERSION.fullmatch(version) else "2.5.1"


def _msh(header: Header, now_us: int, control_id: str) -> str:
    separators = header.separators
    # MSH-9 has had its event since 2.3 and its structure since 2.3.1; older readers take one component
    parts = 1 if _before(header, 2, 3) else 2 if _before(header, 2, 3, 1) else 3
    kind = [part for part in ("ACK", _echo(header.event), "ACK" if header.event else "") if part][:parts]
    fields = [
        "MSH",
        separators.msh2,
        _echo(header.receiving_application),
        _echo(header.receiving_facility),
        _echo(header.sending_application),
        _echo(header.sending_facility),
        time.strftime("%Y%m%d%H%M%S", time.gmtime(now_us // 1_000_000)) + "+0000",
        "",
        separators.component.join(kind),
        escape(_echo(control_id), separators),
        _echo(header.processing_id) or "P",
        _version(header),
    ]
    if header.charset:
        fields += ["", "", "", "", "", _echo(header.charset)]
    return separators.field.join(fields)


def _msa(header: Header, code: str, verdict: Verdict) -> str:
    fields = ["MSA", code, _echo(header.control_id, _MAX_CONTROL_ID)]
    # MSA-3 was withdrawn in 2.7: there the words stand in ERR-8 alone
    text = escape(verdict.text, header.separators) if _before(header, 2, 7) else ""
    sequence = header.sequence if _SEQUENCE.fullmatch(header.sequence) else ""
    fields += [text, sequence] if sequence else [text] if text else []
    return header.separators.field.join(fields)


def _err(header: Header, verdict: Verdict) -> str:
    separators = header.separators
    coded = separators.component.join((verdict.code, escape(verdict.name, separators), "HL70357"))
    if _before(header, 2, 5):
        # ERR-1 is segment ^ sequence ^ field ^ code; the code is itself coded, hence subcomponents
        inner = separators.subcomponent if separators.subcomponent != "\x00" else " "
        return separators.field.join(
            ("ERR", separators.component.join(("MSH", "1", "", coded.replace(separators.component, inner))))
        )
    location = separators.component.join(("MSH", "1"))
    text = escape(verdict.text, separators)
    return separators.field.join(("ERR", "", location, coded, verdict.severity, "", "", "", text))


def _before(header: Header, *than: int) -> bool:
    numbers = re.findall(r"\d+", _version(header).split(header.separators.component)[0])
    return [int(n) for n in numbers] < list(than)


def batch(answers: Sequence[bytes], reference: str = "") -> bytes:
    """The acknowledgements of a batch as a batch (2.10.3.4): one MSA cannot answer for several messages.

    reference: BHS-11 of the batch, comes back as BHS-12. A batch that is sent again gets the same bytes.
    """
    head = "BHS|^~\\&||||||||||" + _echo(reference.replace("|", "")) + "\r"
    return head.encode() + b"".join(answers) + f"BTS|{len(answers)}\r".encode()
