"""MSH, EVN -> MessageHeader and one Provenance per set of segments (v2-to-FHIR MSH[MessageHeader], EVN[Provenance])."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

from mappers.hl7v2.adt_events import EVENTS
from mappers.hl7v2.datatypes import NAMING_SYSTEM, person
from mappers.hl7v2.event import AdtEvent
from mappers.hl7v2.message import Message, Segment
from mappers.hl7v2.resources.elements import TERMINOLOGY, V2, Resource, coding, derived_id, filled, person_name

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_NOT_SLUG = re.compile(r"[^A-Za-z0-9.-]+")


def message_header(message: Message, event: AdtEvent, focus: list[str]) -> Resource:
    """Who sent what kind of message to whom."""
    header = message.header
    msh = message.segments[0]
    name = EVENTS[event.code].name
    source = filled(
        name=_hd(header.sending_application, header.separators.component),
        endpoint=_endpoint(event.source),
    )
    to = _hd(msh.get(5), "^")
    return filled(
        resourceType="MessageHeader",
        id="v2-" + derived_id("message", event.source, event.control_id, str(event.message_time)),
        eventCoding={"system": V2 + "0003", "code": event.code, "display": name},
        destination=[{"name": to, "endpoint": _endpoint(to)}] if to else [],
        sender=filled(reference=event.facility.reference, display=event.facility.name),
        source=source,
        reason=coding(V2 + "0062", reason) if (reason := _reason(message)) else {},
        focus=[{"reference": ref} for ref in focus],
    )


def provenances(message: Message, event: AdtEvent, origins: Mapping[str, tuple[str, ...]]) -> list[Resource]:
    """For each set of segments: what was made of it, of which message, who sent it and when it happened."""
    by_segments: dict[tuple[str, ...], list[str]] = {}
    for ref, segments in origins.items():
        by_segments.setdefault(segments, []).append(ref)
    return [_provenance(message, event, segments, refs) for segments, refs in by_segments.items()]


def _provenance(message: Message, event: AdtEvent, segments: tuple[str, ...], refs: list[str]) -> Resource:
    header = message.header
    evn = message.first("EVN")
    sender = filled(
        reference=event.facility.reference,
        type="Organization",
        identifier={"system": "http://hl7.org/fhir/sid/us-npi", "value": event.facility.npi}
        if event.facility.npi
        else {},
        display=event.facility.name or event.source,
    )
    what = {"system": f"{NAMING_SYSTEM}hl7v2-control-id-{_slug(event.source)}", "value": event.control_id or "none"}
    named = f"{header.type[:3] or 'ADT'}^{event.code}"
    operator = _operator(evn) if evn else ""
    return filled(
        resourceType="Provenance",
        id="v2-" + derived_id("provenance", event.source, event.control_id, *segments, *refs),
        target=[{"reference": ref} for ref in refs],
        occurredDateTime=event.occurred_text,
        recorded=_instant(event),
        location=filled(display=evn.get(7) if evn else ""),
        activity={"text": f"event - {named}"},
        agent=[
            {"type": coding(TERMINOLOGY + "provenance-participant-type", "author", "Author"), "who": sender},
            *(
                [{"type": coding(TERMINOLOGY + "provenance-participant-type", "enterer"), "who": {"display": operator}}]
                if operator
                else []
            ),
        ],
        entity=[{"role": "source", "what": {"identifier": what, "display": f"{named} {' '.join(segments)}"}}],
    )


def _operator(evn: Segment) -> str:
    """EVN-5: the name, else the number."""
    reps = evn.reps(5)
    who = person(reps[0]) if reps else None
    return (person_name(who) or who.id) if who else ""


def _instant(event: AdtEvent) -> str:
    """When it was recorded there; the epoch where no time is known at all, since the element is required."""
    us = event.recorded or event.message_time or event.occurred or 0
    return (_EPOCH + timedelta(microseconds=us)).isoformat(timespec="seconds").replace("+00:00", "Z")


def _reason(message: Message) -> str:
    evn = message.first("EVN")
    return evn.get(4) if evn else ""


def _endpoint(name: str) -> str:
    """MessageHeader wants a URL of everybody; a name as a URN where none is known."""
    return f"urn:enlace:hl7v2:{_slug(name) or 'unknown'}"


def _slug(name: str) -> str:
    return _NOT_SLUG.sub("-", name).strip("-").lower()


def _hd(text: str, component: str) -> str:
    return text.split(component)[0].strip()
