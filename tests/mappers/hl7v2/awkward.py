"""An ADT message with odd fields, and what is read from it."""

from __future__ import annotations

from typing import Any

from mappers.hl7v2.adt import AdtEvent, Finding, SourceConfig, to_event
from mappers.hl7v2.message import Message, parse
from mappers.hl7v2.simulate import message as make

NOON = 1_772_568_000_000_000  # 2026-03-03T12:00:00-08:00
HOUR = 3_600_000_000
MEMBER = {"cin": "91234567A", "mrn": "M1", "family": "Roe", "given": "Ann", "birth_date": "1980-05-17", "sex": "F"}
HOSPITAL = {"name": "Valley", "oid": "1.2.3"}
SOURCE = SourceConfig("valley", facility="Organization/v")


def read(event: str = "A01", source: SourceConfig = SOURCE, **fields: Any) -> tuple[AdtEvent | None, list[Finding]]:
    given = {"at_us": NOON, "admit_us": NOON - HOUR, **fields}
    message = parse(make(event, given.pop("member", MEMBER), given.pop("hospital", HOSPITAL), **given))
    assert isinstance(message, Message)
    return to_event(message, source, given.get("received_us"))


def event(code: str = "A01", **fields: Any) -> AdtEvent:
    found, _ = read(code, **fields)
    assert found is not None
    return found


def remarks(code: str = "A01", **fields: Any) -> set[tuple[str, str]]:
    return {(finding.code, finding.location) for finding in read(code, **fields)[1]}


def visit_of(code: str = "A01", **fields: Any) -> Any:
    return event(code, **fields).visit
