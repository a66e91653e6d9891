"""ER7 bytes -> Message: a lazy split parser that reports what it tolerated and never raises (HL7 v2.5.1 chapter 2).

Fields are reached by HL7 name and number: `message.first("PID").get(5, comp=2)` is PID-5.2 of the first repetition.
An empty field and the delete marker `""` both read as ""; `segment.deleted(13)` tells them apart.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from mappers.hl7v2.charsets import decode
from mappers.hl7v2.findings import Finding
from mappers.hl7v2.header import Header, Unreadable, content_hash, peek, split_messages
from mappers.hl7v2.separators import CONTROLS, STANDARD, Separators, unescape

__all__ = [
    "Header",
    "Message",
    "Rep",
    "Segment",
    "Unreadable",
    "content_hash",
    "parse",
    "peek",
    "segment",
    "split_messages",
]

MAX_BYTES = 16 * 1024 * 1024
MAX_SEGMENTS = 10_000
MAX_FIELDS = 1_000
MAX_REPETITIONS = 500
DELETE = '""'
_NAMED = re.compile(r"[A-Za-z][A-Za-z0-9]{2}\Z")
# A line that is only a name is a segment when HL7 knows the name: free text may hold "END" on a line of its own.
_KNOWN = frozenset(
    {
        "MSH",
        "EVN",
        "PID",
        "PD1",
        "NK1",
        "PV1",
        "PV2",
        "ROL",
        "PRT",
        "DB1",
        "OBX",
        "OBR",
        "AL1",
        "DG1",
        "DRG",
        "PR1",
        "GT1",
        "IN1",
        "IN2",
        "IN3",
        "ACC",
        "UB1",
        "UB2",
        "PDA",
        "MRG",
        "NTE",
        "SFT",
        "UAC",
        "ARV",
        "IAM",
        "NPU",
        "CON",
    }
)
_RUN_TOGETHER = re.compile(r"(?:PID|PV1|EVN)\|")


class Rep:
    """One repetition of a field; components and subcomponents are counted from 1."""

    __slots__ = ("_parts", "codec", "separators")

    def __init__(self, text: str, separators: Separators, codec: str) -> None:
        self.separators, self.codec = separators, codec
        self._parts = text.split(separators.component)

    def get(self, comp: int = 1, sub: int = 1) -> str:
        """The unescaped, stripped leaf value, or ""."""
        parts = self._parts
        if comp > len(parts) or not (value := parts[comp - 1]):
            return ""
        return _leaf(value, sub, self.separators, self.codec)


def _leaf(value: str, sub: int, separators: Separators, codec: str) -> str:
    if separators.subcomponent in value:
        leaves = value.split(separators.subcomponent)
        value = leaves[sub - 1] if sub <= len(leaves) else ""
    elif sub > 1:
        return ""
    if value == DELETE:
        return ""
    return (unescape(value, separators, codec) if separators.escape in value else value).strip()


class Segment:
    """One segment; its fields are split on first use."""

    __slots__ = ("_fields", "codec", "name", "separators", "text")

    def __init__(self, name: str, text: str, separators: Separators = STANDARD, codec: str = "utf-8") -> None:
        self.name, self.text, self.separators, self.codec = name, text, separators, codec
        self._fields: list[str] | None = None

    def field(self, number: int) -> str:
        """The field's text as sent, or ""."""
        fields = self._fields
        if fields is None:
            fields = self._fields = self.text.split(self.separators.field, MAX_FIELDS)
            if self.name == "MSH":
                fields.insert(1, self.separators.field)  # MSH-1 is the delimiter itself
        return fields[number] if number < len(fields) else ""

    def reps(self, number: int) -> list[Rep]:
        """The repetitions that hold something."""
        text = self.field(number)
        if not text or text == DELETE:
            return []
        if self.separators.repetition not in text or (self.name == "MSH" and number == 2):
            return [Rep(text, self.separators, self.codec)]
        parts = text.split(self.separators.repetition, MAX_REPETITIONS)[:MAX_REPETITIONS]
        return [Rep(part, self.separators, self.codec) for part in parts if part and part != DELETE]

    def get(self, number: int, rep: int = 1, comp: int = 1, sub: int = 1) -> str:
        """The unescaped, stripped leaf value, or "" where it is absent, empty or deleted."""
        text = self.field(number)
        if not text:
            return ""
        if self.name == "MSH" and number <= 2:
            return text
        if self.separators.repetition in text:
            parts = text.split(self.separators.repetition)
            text = parts[rep - 1] if rep <= len(parts) else ""
        elif rep > 1:
            return ""
        if self.separators.component in text:
            components = text.split(self.separators.component)
            text = components[comp - 1] if comp <= len(components) else ""
        elif comp > 1:
            return ""
        return _leaf(text, sub, self.separators, self.codec)

    def deleted(self, number: int) -> bool:
        """True where the sender asked to remove the value (`""`), as opposed to saying nothing."""
        return self.field(number) == DELETE


@dataclass(slots=True)
class Message:
    """A readable message. `findings` says what the parser had to tolerate."""

    header: Header
    segments: list[Segment]
    codec: str
    findings: list[Finding] = field(default_factory=list)

    def first(self, name: str) -> Segment | None:
        """The first segment of that name."""
        return next((s for s in self.segments if s.name == name), None)

    def all(self, name: str) -> list[Segment]:
        """All segments of that name, in order."""
        return [s for s in self.segments if s.name == name]

    def groups(self, name: str) -> list[list[Segment]]:
        """Segments from each `name` up to the next one: the PID groups of A17, the PID/MRG groups of A40."""
        groups: list[list[Segment]] = []
        for one in self.segments:
            if one.name == name:
                groups.append([one])
            elif groups:
                groups[-1].append(one)
        return groups


def segment(text: str, separators: Separators = STANDARD) -> Segment:
    """A segment from its ER7 text, for tests and tools."""
    return Segment(text[:3].upper(), text, separators)


def parse(raw: bytes, default_charset: str = "") -> Message | Unreadable:
    """A payload without MLLP framing -> Message; Unreadable only when there is no usable MSH or it is over 16 MB."""
    if len(raw) > MAX_BYTES:
        head = peek(raw[:4096])
        return Unreadable("The message is longer than 16 MB.", head.control_id)
    header = peek(raw)
    if isinstance(header, Unreadable):
        return header
    text, codec, findings = decode(raw, header.charset, default_charset)
    if CONTROLS.search(text):
        text = CONTROLS.sub(" ", text.strip("\x00\x0b\x1c"))
        findings.append(Finding("control-characters", "MSH", "warning", "Control characters were read as blanks."))
    if header.remark:
        findings.append(Finding("delimiters", "MSH-2", "warning", header.remark + "."))
    lines = text.replace("\r\n", "\r").replace("\n", "\r").split("\r")
    message = Message(header, [], codec, findings)
    _place(lines, message)
    if len(message.segments) == 1 and _RUN_TOGETHER.search(text):
        findings.append(
            Finding(
                "no-segment-ends",
                "MSH",
                "error",
                "The whole message stands on one line; segments must end with a carriage return.",
            )
        )
    return message


def _place(lines: list[str], message: Message) -> None:
    separators, codec, segments = message.header.separators, message.codec, message.segments
    for line in lines:
        if not line:
            continue
        name = line[:3]
        if line[3:4] != separators.field or not (name.isalnum() and name.isupper()):
            line, name = _tolerate(line, message)
            if not line:
                continue
        if name == "MSH" and segments:
            message.findings.append(
                Finding(
                    "second-message",
                    "MSH",
                    "error",
                    "The payload holds more than one message; only the first was read. Split it before parsing.",
                )
            )
            return
        if not segments and name != "MSH":
            continue  # a batch header before the first MSH
        if name == "ADD":  # continuation: its text goes on where the segment before it stopped (2.10.2)
            segments[-1].text += line[4:]
            message.findings.append(Finding("continuation", "ADD", "information", "ADD was joined to its segment."))
            continue
        if name == "DSC" and line[4:].strip(separators.field + " "):
            message.findings.append(Finding("fragmented", "DSC-1", "error", "The message goes on in another one."))
        if len(segments) >= MAX_SEGMENTS:
            message.findings.append(Finding("too-many-segments", "MSH", "error", "Only the first 10,000 were read."))
            return
        segments.append(Segment(name, line, separators, codec))


def _tolerate(line: str, message: Message) -> tuple[str, str]:
    """A line that is not plainly a segment -> (line, name) to place, or ("", "") when it was dealt with here."""
    separators, findings, segments = message.header.separators, message.findings, message.segments
    stripped = line.lstrip("\ufeff \t")
    name, after = stripped[:3].upper(), stripped[3:4]
    if not stripped:
        return "", ""
    if _NAMED.match(name) and after == separators.field:
        if stripped[:3] != name or stripped != line:
            findings.append(Finding("segment-name", name, "information", "The segment name is indented or lower-case."))
        return stripped, name
    bare = stripped.rstrip()
    if len(bare) == 3 and (name in _KNOWN or name[0] == "Z"):
        return bare, name
    if stripped.startswith(separators.field) or not segments:
        findings.append(
            Finding(
                "blank-segment",
                segments[-1].name if segments else "MSH",
                "error",
                "A line has no segment name and was left out.",
            )
        )
        return "", ""
    # A line break inside free text cut the field in two: what follows belongs to the segment above.
    segments[-1].text += "\n" + line
    findings.append(
        Finding(
            "broken-line", segments[-1].name, "warning", "A line break inside a field was mended; send it as an escape."
        )
    )
    return "", ""
