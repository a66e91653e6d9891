"""A stored message, in whatever form it came -> its events, or a named reason why there are none. Pure.

The one place that knows the forms: ER7, and the Bundle of a Da Vinci notification.
"""

from dataclasses import dataclass

import orjson

from mappers.davinci import notification
from mappers.hl7v2.adt import to_events
from mappers.hl7v2.event import AdtEvent
from mappers.hl7v2.findings import Finding
from mappers.hl7v2.message import Unreadable, parse
from mappers.hl7v2.source import SourceConfig


@dataclass(frozen=True)
class Read:
    """events: one, or several where a message tells of several stays (A17, A40 with groups). refused: a reason code.

    state: of the inbox row where there are no events: unreadable or ignored.
    """

    events: tuple[AdtEvent, ...]
    findings: tuple[Finding, ...] = ()
    refused: str = ""
    state: str = "ignored"


def read(raw: bytes, source: SourceConfig, received_us: int) -> Read:
    if is_bundle(raw):
        return _notification(raw, source, received_us)
    message = parse(raw, source.charset)
    if isinstance(message, Unreadable):
        return Read((), (), "no-header", "unreadable")
    events, findings = to_events(message, source, received_us)
    return _read(events, findings, "not-adt")


def is_bundle(raw: bytes) -> bool:
    """Whether a stored message is the Bundle of a notification: HL7 v2 begins otherwise, whatever its delimiters."""
    return raw[:64].lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"{")


def _notification(raw: bytes, source: SourceConfig, received_us: int) -> Read:
    try:
        bundle = orjson.loads(raw.removeprefix(b"\xef\xbb\xbf"))
    except orjson.JSONDecodeError:
        return Read((), (), "no-header", "unreadable")
    events, findings = notification.to_events(bundle, source, received_us)
    return _read(events, findings, "event-unsupported")


def _read(events: tuple[AdtEvent, ...], findings: list[Finding], otherwise: str) -> Read:
    if events:
        return Read(events, tuple(findings))
    worst = next((f for f in findings if f.severity == "error"), None)
    return Read((), tuple(findings), worst.code if worst else otherwise)
