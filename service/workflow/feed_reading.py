"""A stored message read once more by the mapper, for a person: what was read, what was not, what was remarked on.

Pure, and without any value that may be about a person: places, names of fields, and the mapper's own words.
"""

from dataclasses import dataclass, field
from typing import Any

from mappers.hl7v2.adt import to_events
from mappers.hl7v2.code_tables import column, table
from mappers.hl7v2.event import AdtEvent
from mappers.hl7v2.header import peek
from mappers.hl7v2.message import Message, Segment, Unreadable, parse
from mappers.hl7v2.source import SourceConfig
from service.clock import instant
from service.workflow.message_reading import read

_HEADER = frozenset({1, 2, 3, 4, 5, 6, 7, 9, 10, 11, 12, 15, 16, 18})
"""Read by mappers/hl7v2/header.py before there are segments."""


@dataclass(frozen=True)
class SegmentRead:
    """A segment and its fields that hold something: those that the mapper read, and those that nobody read."""

    segment: str
    read: dict[str, str]
    not_read: dict[str, str]


@dataclass(frozen=True)
class Reading:
    """understood: of each event the facts without names and numbers; empty where the message made none."""

    understood: list[dict[str, Any]] = field(default_factory=list)
    segments: list[SegmentRead] = field(default_factory=list)
    remarks: list[dict[str, str]] = field(default_factory=list)


class _Watched(Segment):
    """Notes which of its fields are asked for."""

    __slots__ = ("asked",)

    def __init__(self, of: Segment) -> None:
        super().__init__(of.name, of.text, of.separators, of.codec)
        self.asked: set[int] = set()

    def field(self, number: int) -> str:
        self.asked.add(number)
        return super().field(number)


def read_again(raw: bytes, source: SourceConfig, received_us: int) -> Reading:
    """Has no effect: nothing is stored, logged or matched. Of another form than ER7 only the events are told."""
    if isinstance(peek(raw), Unreadable):
        said = read(raw, source, received_us)
        remarks = [{"severity": f.severity, "at": f.location, "code": f.code, "text": f.text} for f in said.findings]
        if said.events:
            return Reading([_understood(one) for one in said.events], [], _once(remarks))
    message = parse(raw, source.charset)
    if isinstance(message, Unreadable):
        return Reading(remarks=[{"severity": "error", "at": "MSH", "code": "no-header", "text": message.reason}])
    watched = [_Watched(segment) for segment in message.segments]
    again = Message(message.header, [*watched], message.codec, message.findings)
    events, findings = to_events(again, source, received_us)
    remarks = [{"severity": f.severity, "at": f.location, "code": f.code, "text": f.text} for f in findings]
    return Reading([_understood(one) for one in events], [_segment(one) for one in watched], _once(remarks))


def _once(remarks: list[dict[str, str]]) -> list[dict[str, str]]:
    return list({tuple(remark.values()): remark for remark in remarks}.values())


def _segment(watched: _Watched) -> SegmentRead:
    asked = watched.asked | (_HEADER if watched.name == "MSH" else set())
    count = watched.text.count(watched.separators.field) + 1  # MSH-1 is one more than its bars
    present = [number for number in range(1, count + 1) if Segment.field(watched, number).strip()]
    names = column("field_name", "name")
    places = {number: f"{watched.name}-{number}" for number in present}
    return SegmentRead(
        watched.name,
        {place: names.get(place, "") for number, place in places.items() if number in asked},
        {place: names.get(place, "") for number, place in places.items() if number not in asked},
    )


def _understood(event: AdtEvent) -> dict[str, Any]:
    """Words of our own tables only: a type or code as sent may hold what does not belong there."""
    stay, visit = event.stay, event.visit
    key = "visit number" if stay.visit_number else "account" if stay.account else ""
    key = key or ("record number and admission time" if stay.mrn and stay.admit is not None else "nothing")
    types = {row["type"] for row in table("id_type").values()}
    said: dict[str, Any] = {
        "effect": event.effect,
        "occurred": instant(event.occurred) if event.occurred is not None else None,
        "occurred_from": event.occurred_source,
        "identifiers": sorted({i.type if i.type in types else "other" for i in event.patient.ids}),
        "cin": bool(event.patient.cins),
    }
    if visit is not None:
        said |= {"class": visit.patient_class, "class_from": visit.class_source, "stay_by": key}
        said |= {"disposition": visit.disposition or None, "diagnoses": len(visit.diagnoses)}
    return said
