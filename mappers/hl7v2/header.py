"""MSH only, for the accept path: enough to store, deduplicate and acknowledge (HL7 v2.5.1 chapter 2, 2.15.9)."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

from mappers.hl7v2.charsets import bom, decode, wide
from mappers.hl7v2.separators import Separators, read_separators

_MAX_MSH = 64 * 1024
_FIRST_MSH = re.compile(rb"(?:^|[\r\n])\s*(?=MSH[^\w\s])", re.IGNORECASE)
_EACH_MSH = re.compile(rb"(?:^|(?<=[\r\n]))(?=MSH[^\w\s])")
_BATCH = re.compile(rb"(?:(?<=[\r\n])|^)(?:BTS|FTS|BHS|FHS)[^\r\n]*[\r\n]*")
_BTS = re.compile(rb"[\r\n]BTS[^\w\s](\d{1,9})")
_BHS = re.compile(rb"(?:^|[\r\n])BHS([^\w\s])")
_NOISE = b" \t\r\n\x00\x0b"


class Header(NamedTuple):
    """Fields of MSH as sent (escapes unresolved, nothing trimmed); `codec` is the charset the header was read with."""

    separators: Separators
    sending_application: str  # MSH-3, the whole HD
    sending_facility: str  # MSH-4
    receiving_application: str  # MSH-5
    receiving_facility: str  # MSH-6
    time: str  # MSH-7
    type: str  # MSH-9.1
    event: str  # MSH-9.2
    structure: str  # MSH-9.3
    control_id: str  # MSH-10, verbatim
    processing_id: str  # MSH-11.1
    version: str  # MSH-12, the whole VID
    accept_ack: str  # MSH-15
    application_ack: str  # MSH-16
    charset: str  # MSH-18, first repetition
    codec: str
    remark: str = ""
    sequence: str = ""  # MSH-13

    @property
    def sender(self) -> tuple[str, str]:
        """(MSH-3.1, MSH-4.1): how a sending system is looked up."""
        component = self.separators.component
        return (
            self.sending_application.split(component, 1)[0].strip(),
            self.sending_facility.split(component, 1)[0].strip(),
        )


@dataclass(frozen=True, slots=True)
class Unreadable:
    """No usable MSH. `reason` is a sentence free of content; `control_id` is what could still be recovered.

    `code` of table 0357 says what is wrong.
    """

    reason: str
    control_id: str = ""
    code: str = "100"


def _locate(raw: bytes) -> bytes:
    """The payload from its first MSH on, in an ASCII-compatible encoding; b"" where there is none."""
    if raw.startswith(b"MSH"):
        return raw
    raw, codec = bom(raw)
    codec = codec or wide(raw)
    if codec.startswith(("utf-16", "utf-32")):
        raw = raw[: _MAX_MSH // 4 * 4].decode(codec, "replace").encode("utf-8")
    raw = raw.lstrip(_NOISE)
    if raw[:3].upper() == b"MSH":
        return raw
    found = _FIRST_MSH.search(raw[:_MAX_MSH]) if raw[:3] in (b"FHS", b"BHS") else None
    return raw[found.end() :] if found else b""


def _line(raw: bytes) -> bytes:
    end = raw.find(b"\r", 0, _MAX_MSH)
    feed = raw.find(b"\n", 0, end if end >= 0 else _MAX_MSH)
    end = feed if feed >= 0 else end
    return raw[:end] if end >= 0 else raw[:_MAX_MSH]


def peek(raw: bytes) -> Header | Unreadable:
    """The header of a payload (no MLLP framing). Reads the MSH segment only; never raises."""
    raw = _locate(raw)
    if not raw:
        return Unreadable("The payload does not begin with an MSH segment.")
    line = _line(raw)
    if line.isascii():
        text, codec = line.decode("ascii"), "ascii"
    else:
        parts = line.split(line[3:4])
        declared = parts[17].decode("ascii", "replace") if len(parts) > 17 else ""
        text, codec, _ = decode(line, declared)
    separators, remark = read_separators(text)
    if separators is None:
        return Unreadable(f"{remark}.")
    fields = text.split(separators.field)
    if len(fields) < 20:
        fields += [""] * (20 - len(fields))
    if not fields[8].strip() and not fields[9].strip():
        return Unreadable("MSH has neither a message type (MSH-9) nor a control id (MSH-10).", code="101")
    component = separators.component
    kind = [part.strip() for part in fields[8].split(separators.repetition)[0].split(component)] + ["", ""]
    return Header(
        separators,
        fields[2],
        fields[3],
        fields[4],
        fields[5],
        fields[6],
        kind[0].upper(),
        kind[1].upper(),
        kind[2].upper(),
        fields[9],
        fields[10].split(component)[0].strip(),
        fields[11],
        fields[14].strip(),
        fields[15].strip(),
        fields[17].split(separators.repetition)[0].strip(),
        codec,
        remark,
        fields[12].strip(),
    )


def content_hash(raw: bytes) -> str:
    """SHA-256 (hex) of the payload without MSH-7, so that a resend with a new time stamp is known as a resend."""
    found = raw.find(b"MSH", 0, _MAX_MSH)
    if found < 0:
        return hashlib.sha256(raw).hexdigest()
    line = _line(raw[found : found + _MAX_MSH])
    parts = line.split(line[3:4] or b"|", 7)
    if len(parts) < 8:
        return hashlib.sha256(raw).hexdigest()
    parts[6] = b""
    digest = hashlib.sha256(raw[:found])
    digest.update((line[3:4]).join(parts))
    digest.update(raw[found + len(line) :])
    return digest.hexdigest()


def stay_hint(raw: bytes) -> bytes:
    """PV1-19, else PID-18, else PID-3, as sent; b"" without any: enough to keep a stay's messages in order unparsed."""
    raw = _locate(raw[:_MAX_MSH])
    separator = raw[3:4]
    for segment, number in ((b"PV1", 19), (b"PID", 18), (b"PID", 3)):
        found = re.search(rb"[\r\n]" + segment + re.escape(separator), raw) if separator else None
        fields = _line(raw[found.end() :]).split(separator, number) if found else []
        if len(fields) >= number and fields[number - 1]:
            return fields[number - 1]
    return b""


def is_batch(raw: bytes) -> bool:
    """Whether the payload says of itself that it is a batch: FHS or BHS stands before the first message."""
    return bom(raw[:64])[0].lstrip(_NOISE)[:3] in (b"FHS", b"BHS")


def batch_count(raw: bytes) -> int | None:
    """How many messages the batch says that it holds: the sum of its BTS-1; None where it does not say."""
    told = [int(match[1]) for match in _BTS.finditer(raw)]
    return sum(told) if told else None


def batch_id(raw: bytes) -> str:
    """BHS-11, or "" where there is none."""
    found = _BHS.search(raw[:_MAX_MSH])
    fields = _line(raw[found.end() - 4 :]).split(found[1]) if found else []
    return fields[10].decode("ascii", "replace").strip() if len(fields) > 10 else ""


def split_messages(raw: bytes) -> list[bytes]:
    """Each message of a payload that holds several (a batch, or frames that ran together); usually just `[raw]`.

    [] for a batch without a message: some senders write one each hour.
    """
    batch = is_batch(raw)
    if raw.count(b"MSH") < 2 and not batch:
        return [raw]
    starts = [match.start() for match in _EACH_MSH.finditer(raw)]
    if starts and not batch and raw[: starts[0]].strip(_NOISE):
        starts.insert(0, 0)  # a byte order mark hides the first of several
    if len(starts) < 2 and not batch:
        return [raw]
    pieces = (raw[a:b] for a, b in pairwise([*starts, len(raw)]))
    return [_BATCH.sub(b"", piece) for piece in pieces]
