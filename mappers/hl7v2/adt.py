"""ADT message -> AdtEvent: what happened, when, to whom, in which stay (HL7 v2.5.1 chapter 3).

Nothing is defaulted silently: what cannot be mapped is a Finding at its HL7 location, without the value.
"""

from __future__ import annotations

import re

from mappers.hl7v2.adt_events import EVENTS, WITHOUT_VISIT, Row
from mappers.hl7v2.datatypes import moment, npi
from mappers.hl7v2.event import AdtEvent, Facility, Patient, StayKey, Visit
from mappers.hl7v2.findings import Finding
from mappers.hl7v2.message import DELETE, Header, Message, Segment
from mappers.hl7v2.segments.mrg import merges
from mappers.hl7v2.segments.pid import mrn, patient
from mappers.hl7v2.segments.pv1 import visit
from mappers.hl7v2.source import SourceConfig
from mappers.hl7v2.times import Moment

__all__ = ["AdtEvent", "Finding", "SourceConfig", "event_code", "to_event"]

_SKEW_US = 15 * 60 * 1_000_000  # hospital clocks disagree by minutes; beyond this a time is in the future
_SHORT_EVENT = re.compile(r"A(\d)\Z")
_EMPTY_EVN, _EMPTY_PV1, _EMPTY_PV2 = Segment("EVN", "EVN"), Segment("PV1", "PV1"), Segment("PV2", "PV2")
_DELETABLE = {"PID": (5, 7, 8, 11, 13, 14, 18, 19, 29, 30), "PV1": (3, 7, 36, 37, 44, 45), "PV2": (3, 8, 9)}


def to_event(
    message: Message,
    source: SourceConfig,
    received_us: int | None = None,
) -> tuple[AdtEvent | None, list[Finding]]:
    """The event, or None with the reason among the findings; `received_us` is the last resort for its time."""
    findings = list(message.findings)
    row = _row(message, source, findings)
    pid = message.first("PID")
    if row is not None and pid is None:
        findings.append(Finding("segment-missing", "PID", "error", "The message has no PID; nobody can be matched."))
    if row is None or pid is None:
        return None, findings
    if row.effect != "merge" and len(message.all("PID")) > 1:
        findings.append(Finding("several-patients", "PID", "error", "Only the first of several patients was read."))
    msh = message.segments[0]
    sent = moment(msh, 7, source, findings)
    who, remarks = patient(pid, message.all("IN1"), source, _us(sent))
    findings += remarks
    stay: Visit | None = None
    if row.effect not in WITHOUT_VISIT:
        stay, remarks = visit(message, row.effect, source)
        findings += remarks
    pairs, remarks = merges(message, source) if row.effect == "merge" else ((), [])
    findings += remarks
    evn = message.first("EVN") or _EMPTY_EVN
    pv1 = message.first("PV1") or _EMPTY_PV1 if stay else _EMPTY_PV1
    times = _times(evn, pv1, sent, source, findings)
    occurred, origin = _occurred(row, times, _us(sent) or received_us, findings)
    if occurred is None and received_us is not None:
        origin = "received"
    facility = _facility(message.header, evn, pv1, source)
    cancelled = times.get("EVN-6") if row.cancels or row.effect == "delete" else None
    planned = moment(evn, 3, source, findings)
    event = AdtEvent(
        row.code,
        row.effect,
        row.rank,
        row.alert,
        row.cancels,
        source.name,
        message.header.control_id,
        message.header.processing_id,
        occurred.us if occurred else received_us,
        occurred.fhir if occurred else "",
        origin,
        _us(cancelled),
        _us(sent),
        _us(times.get("EVN-2")),
        _us(planned),
        facility,
        _stay_key(pid, pv1, who, stay, facility, source, findings),
        who,
        stay,
        pairs,
        _deleted(message),
    )
    return event, findings


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
    if row is None:
        findings.append(Finding("event-unsupported", "MSH-9", "error", "The event has no row in adt_events.py."))
    elif header.structure and header.structure != row.structure:
        findings.append(Finding("structure-disagrees", "MSH-9", "information", "MSH-9.3 does not fit MSH-9.2."))
    return row


def _times(
    evn: Segment,
    pv1: Segment,
    sent: Moment | None,
    source: SourceConfig,
    findings: list[Finding],
) -> dict[str, Moment]:
    quiet: list[Finding] = []  # PV1-44/45 were remarked on when the visit was read
    found = {
        "EVN-2": moment(evn, 2, source, findings),
        "EVN-6": moment(evn, 6, source, findings),
        "PV1-44": moment(pv1, 44, source, quiet),
        "PV1-45": moment(pv1, 45, source, quiet),
        "MSH-7": sent,
    }
    return {name: value for name, value in found.items() if value is not None}


def _occurred(
    row: Row,
    times: dict[str, Moment],
    now: int | None,
    findings: list[Finding],
) -> tuple[Moment | None, str]:
    """The first time of the row's order that can be; a bare date gives way to a later source's time on that date."""
    candidates = []
    for name in row.times:
        value = times.get(name)
        if value is None:
            continue
        if now is not None and name != "MSH-7" and value.us > now + _SKEW_US:
            findings.append(Finding("time-in-future", name, "warning", "The time is after the message was sent."))
            continue
        candidates.append((value, name))
    if not candidates:
        findings.append(Finding("time-missing", "EVN-2", "warning", "The message says nowhere when it happened."))
        return None, ""
    value, name = candidates[0]
    if not value.timed:
        finer = [c for c in candidates[1:] if c[0].timed and c[0].fhir.startswith(value.fhir)]
        findings.append(Finding("time-coarse", name, "information", "The time of the event is a bare date."))
        value, name = finer[0] if finer else (value, name)
    return value, name


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
        _authority(pv1, 19),
        account,
        _authority(pid, 18),
        record.value if record else "",
        record.authority if record else "",
        stay.admit if stay else None,
        pv1.get(50),
        pv1.get(5),
    )


def _authority(segment: Segment, number: int) -> str:
    return segment.get(number, comp=4, sub=2) or segment.get(number, comp=4)


def _deleted(message: Message) -> tuple[str, ...]:
    return tuple(
        f"{name}-{number}"
        for name, numbers in _DELETABLE.items()
        if (found := message.first(name)) and DELETE in found.text
        for number in numbers
        if found.deleted(number)
    )


def _us(value: Moment | None) -> int | None:
    return value.us if value else None
