"""ADT message -> AdtEvent: what happened, when, to whom, in which stay (HL7 v2.5.1 chapter 3).

Nothing is defaulted silently: what cannot be mapped is a Finding at its HL7 location, without the value.
"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import NamedTuple

from mappers.hl7v2.adt_events import EVENTS, LINKS, NAMES_STAY, SWAPS, WITH_MERGES, WITHOUT_PATIENT, WITHOUT_VISIT, Row
from mappers.hl7v2.datatypes import authority, moment, npi, registered_system
from mappers.hl7v2.event import AdtEvent, Facility, Merge, Patient, StayKey, Visit
from mappers.hl7v2.event_time import occurred, times_told
from mappers.hl7v2.findings import Finding
from mappers.hl7v2.message import DELETE, Header, Message, Segment
from mappers.hl7v2.segments.mrg import merges
from mappers.hl7v2.segments.pid import mrn, patient
from mappers.hl7v2.segments.pv1 import visit
from mappers.hl7v2.source import SourceConfig
from mappers.hl7v2.times import Moment

__all__ = ["AdtEvent", "Finding", "SourceConfig", "event_code", "to_event", "to_events"]

_SHORT_EVENT = re.compile(r"A(\d)\Z")
_EMPTY_EVN, _EMPTY_PV1, _EMPTY_PV2 = Segment("EVN", "EVN"), Segment("PV1", "PV1"), Segment("PV2", "PV2")


def to_event(
    message: Message,
    source: SourceConfig,
    received_us: int | None = None,
) -> tuple[AdtEvent | None, list[Finding]]:
    """The first event of the message, or None with the reason among the findings (see `to_events`)."""
    events, findings = to_events(message, source, received_us)
    return (events[0] if events else None), findings


def to_events(
    message: Message,
    source: SourceConfig,
    received_us: int | None = None,
) -> tuple[tuple[AdtEvent, ...], list[Finding]]:
    """One event, or one per patient (A17, A24, A37, and merges with several PID groups); none with the reason why.

    `received_us` is the last resort for the time.
    """
    findings = list(message.findings)
    row = _row(message, source, findings)
    if row is None:
        return (), findings
    groups = parts(message, row.effect, row.code)
    if not groups:
        findings.append(Finding("segment-missing", "PID", "error", "The message has no PID; nobody can be matched."))
        return (), findings
    evn = message.first("EVN") or _EMPTY_EVN
    source = at_facility(message, source)
    sent = moment(message.segments[0], 7, source, findings)
    told = _Told(row, message.header, evn, source, sent, _us(sent) or received_us, received_us)
    _count_patients(message, row, findings)
    events = [_event(told, group, findings) for group in groups]
    return tuple(_linked(events) if row.effect in LINKS else events), findings


def parts(message: Message, effect: str, code: str) -> list[Message]:
    """The message once per patient that it tells of, each with that patient's segments; [] without a PID."""
    groups = message.groups("PID")
    if effect in WITH_MERGES or effect in LINKS or code in SWAPS:
        return [Message(message.header, group, message.codec) for group in groups]
    # Segments before the PID (an engine that puts PV1 first) still belong to the one patient.
    extra = {id(one) for group in groups[1:] for one in group}
    mine = [one for one in message.segments if id(one) not in extra]
    return [Message(message.header, mine, message.codec)] if groups else []


def _count_patients(message: Message, row: Row, findings: list[Finding]) -> None:
    count = len(message.all("PID"))
    if row.effect in WITH_MERGES:
        return
    if row.effect in LINKS or row.code in SWAPS:
        if count < 2:
            text = "The event tells of two patients and has one PID."
            findings.append(Finding("segment-missing", "PID", "warning", text))
    elif count > 1:
        text = "Only the first of several patients was read."
        findings.append(Finding("several-patients", "PID", "error", text))


class _Told(NamedTuple):
    """What all events of one message share."""

    row: Row
    header: Header
    evn: Segment
    source: SourceConfig
    sent: Moment | None
    now: int | None
    received: int | None


def _linked(events: list[AdtEvent]) -> list[AdtEvent]:
    return [
        replace(one, linked=tuple(i for n, other in enumerate(events) if n != at for i in other.patient.ids))
        for at, one in enumerate(events)
    ]


def _event(told: _Told, group: Message, findings: list[Finding]) -> AdtEvent:
    """The event of one patient; `group` holds the segments that are about that patient."""
    row, source, evn = told.row, told.source, told.evn
    pid = group.first("PID")
    assert pid is not None
    who, remarks = patient(pid, group.all("IN1"), source, _us(told.sent))
    findings += remarks
    stay: Visit | None = None
    if row.effect not in WITHOUT_VISIT:
        stay, remarks = visit(group, row.effect, source)
        findings += remarks
    pairs: tuple[Merge, ...] = ()
    if row.effect in WITH_MERGES:
        pairs, remarks = merges(group.segments, row.effect, source)
        findings += remarks
    pv1 = _EMPTY_PV1 if stay is None and row.effect not in NAMES_STAY else group.first("PV1") or _EMPTY_PV1
    times = times_told(evn, pv1, told.sent, source, findings)
    happened, origin = occurred(row, times, told.now, findings)
    if happened is None and told.received is not None:
        origin = "received"
    facility = _facility(told.header, evn, pv1, source)
    cancelled = times.get("EVN-6") if row.cancels or row.effect in ("delete", "delete-person") else None
    return AdtEvent(
        code=row.code,
        effect=row.effect,
        rank=row.rank,
        alert=row.alert,
        cancels=row.cancels,
        source=source.name,
        control_id=told.header.control_id,
        processing_id=told.header.processing_id,
        occurred=happened.us if happened else told.received,
        occurred_text=happened.fhir if happened else "",
        occurred_source=origin,
        cancelled=_us(cancelled),
        message_time=_us(told.sent),
        recorded=_us(times.get("EVN-2")),
        planned=_us(moment(evn, 3, source, findings)),
        facility=facility,
        stay=_stay_key(pid, pv1, who, stay, facility, source, findings),
        patient=who,
        visit=stay,
        merges=pairs,
        deleted=_deleted(group),
    )


def event_code(message: Message) -> tuple[str, str]:
    """(MSH-9.2, EVN-1), each mended to the form A01; "" where absent."""
    header, evn = message.header, message.first("EVN")
    told = header.event or (header.type[4:7] if header.type.startswith("ADT_") else "")
    return _mend(told), _mend(evn.get(1).upper() if evn else "")


def _mend(code: str) -> str:
    return _SHORT_EVENT.sub(r"A0\1", code)


def _row(message: Message, source: SourceConfig, findings: list[Finding]) -> Row | None:
    header = message.header
    told, evn = event_code(message)
    if header.type and header.type[:3] != "ADT":
        findings.append(Finding("not-adt", "MSH-9", "error", "The message is not an ADT message."))
        return None
    if header.processing_id and header.processing_id.upper() not in source.processing_ids:
        text = "MSH-11 is not accepted from this source; test traffic never makes alerts."
        findings.append(Finding("processing-id", "MSH-11", "error", text))
        return None
    if told and evn and told != evn:
        findings.append(Finding("event-disagrees", "EVN-1", "warning", "EVN-1 and MSH-9 disagree; MSH-9 was taken."))
    row = EVENTS.get(told or evn)
    if row is not None and row.code != header.event:
        findings.append(Finding("event-inferred", "MSH-9", "information", "The event was taken from EVN-1 or mended."))
    if row is None and (told or evn) in WITHOUT_PATIENT:
        findings.append(Finding("no-patient", "MSH-9", "error", "The event is of a bed, not of a patient."))
    elif row is None:
        findings.append(Finding("event-unsupported", "MSH-9", "error", "The event has no row in adt_events.py."))
    elif header.structure and header.structure != row.structure:
        findings.append(Finding("structure-disagrees", "MSH-9", "information", "MSH-9.3 does not fit MSH-9.2."))
    return row


def at_facility(message: Message, source: SourceConfig) -> SourceConfig:
    """Behind a feed of many facilities, zone and Organization are those of the one that is named (EVN-7, PV1-39, MSH-4,
    PV1-3.4)."""
    if not source.facilities:
        return source
    evn, pv1 = message.first("EVN") or _EMPTY_EVN, message.first("PV1") or _EMPTY_PV1
    hd = message.header.sending_facility.split(message.header.separators.component)
    told = (evn.get(7, comp=2), evn.get(7), pv1.get(39), hd[1] if len(hd) > 1 else "", hd[0])
    return source.at(*told, pv1.get(3, comp=4, sub=2), pv1.get(3, comp=4))


def _facility(header: Header, evn: Segment, pv1: Segment, source: SourceConfig) -> Facility:
    hd = header.sending_facility.split(header.separators.component)
    told = evn.get(7, comp=2)
    name = source.facility_display or pv1.get(39) or evn.get(7) or hd[0].strip()
    ident = told or (hd[1].strip() if len(hd) > 1 else "") or hd[0].strip()
    return Facility(source.facility, name, npi(told) or npi(evn.get(7)), ident)


def _stay_key(
    pid: Segment,
    pv1: Segment,
    who: Patient,
    stay: Visit | None,
    facility: Facility,
    source: SourceConfig,
    findings: list[Finding],
) -> StayKey:
    record = mrn(who.ids)
    number, account = pv1.get(19), pid.get(18)
    if stay and not number:
        findings.append(
            Finding(
                "visit-number-missing",
                "PV1-19",
                "warning",
                "PV1-19 is empty; the stay is keyed by "
                + ("the account (PID-18)." if account else "patient and admission time."),
            )
        )
    return StayKey(
        source.facility or facility.id or facility.name or source.name,
        number,
        authority(pv1, 19),
        account,
        authority(pid, 18),
        record.value if record else "",
        record.authority if record else "",
        stay.admit if stay else None,
        pv1.get(50),
        pv1.get(5),
        registered_system(pv1, 19, source),
        registered_system(pid, 18, source),
    )


def _deleted(group: Message) -> tuple[str, ...]:
    """Fields that hold nothing but `""`: the sender asks to remove what was known. A blank field asks nothing."""
    found: dict[str, None] = {}
    for one in group.segments:
        if DELETE not in one.text or one.name == "MSH" or one.name[0] == "Z":
            continue
        marks = str.maketrans(dict.fromkeys(one.separators.component + one.separators.repetition))
        for number, value in enumerate(one.text.split(one.separators.field)[1:], 1):
            if DELETE in value and not value.replace(DELETE, "").translate(marks).strip():
                found[f"{one.name}-{number}"] = None
    return tuple(found)


def _us(value: Moment | None) -> int | None:
    return value.us if value else None
