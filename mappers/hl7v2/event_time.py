"""When an event happened: EVN-6, PV1-44/45, EVN-2, MSH-7 in the order of its row (HL7 v2.5.1 chapter 3, 3.4.1)."""

from __future__ import annotations

from mappers.hl7v2.adt_events import Row
from mappers.hl7v2.datatypes import moment
from mappers.hl7v2.findings import Finding
from mappers.hl7v2.message import Segment
from mappers.hl7v2.source import SourceConfig
from mappers.hl7v2.times import Moment

_SKEW_US = 15 * 60 * 1_000_000  # hospital clocks disagree by minutes; beyond this a time is in the future


def times_told(
    evn: Segment,
    pv1: Segment,
    sent: Moment | None,
    source: SourceConfig,
    findings: list[Finding],
) -> dict[str, Moment]:
    """Every time that a message says, by its field."""
    quiet: list[Finding] = []  # PV1-44/45 were remarked on when the visit was read
    found = {
        "EVN-2": moment(evn, 2, source, findings),
        "EVN-6": moment(evn, 6, source, findings),
        "PV1-44": moment(pv1, 44, source, quiet),
        "PV1-45": moment(pv1, 45, source, quiet),
        "MSH-7": sent,
    }
    return {name: value for name, value in found.items() if value is not None}


def occurred(
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
