"""Notification Bundles from stored bytes: http://hl7.org/fhir/uv/subscriptions-backport/notifications.html

A history Bundle whose first entry is the status of the subscription (Parameters, backport-subscription-status-r4).
No model is built: a resource goes in as the bytes that are stored.
"""

from collections.abc import Iterable, Sequence
from uuid import UUID, uuid5

from fhir_profiles import Resource
from fhir_profiles.json_text import write_json
from fhir_profiles.xml_text import xml_of
from service.clock import instant
from service.notify.model import Content, Kind, Spec, State, Told

BACKPORT = "http://hl7.org/fhir/uv/subscriptions-backport/StructureDefinition"
STATUS_PROFILE = f"{BACKPORT}/backport-subscription-status-r4"
NOTIFICATION_PROFILE = f"{BACKPORT}/backport-subscription-notification-r4"
_NAMES = UUID("5c9f3e0a-7f0e-5a43-9b0b-0f0a6d1a6e66")
_ANSWERED = {"POST": "201", "PUT": "200", "DELETE": "204", "GET": "200"}
_WITHOUT_EVENTS = frozenset({Kind.HANDSHAKE, Kind.HEARTBEAT})


def notification(
    state: State,
    spec: Spec,
    kind: Kind,
    told: Sequence[Told],
    base_url: str,
    *,
    numbers: Iterable[int] = (),
    error: str = "",
    at_us: int = 0,
) -> bytes:
    """JSON text of the notification. numbers: further events, that go out empty. base_url: of FHIR, without a slash.

    error: in words, for a subscription in error. at_us: time of the notification, 0: not said. How much is told is
    what spec.content says, whatever more `told` holds.
    """
    status = status_of(state, spec, kind, base_url, told, numbers=numbers, error=error, at_us=at_us)
    url = f"{base_url}/{state.reference}/$status"
    entries = [_entry(f"urn:uuid:{status['id']}", "GET", url, write_json(status))]
    if kind not in _WITHOUT_EVENTS and spec.content is not Content.EMPTY:
        entries += _event_entries(sorted(told, key=_number), spec.content is Content.FULL, base_url)
    head: Resource = {
        "resourceType": "Bundle",
        "id": str(uuid5(_NAMES, f"bundle/{status['id']}")),
        "meta": {"profile": [NOTIFICATION_PROFILE]},
        "type": "history",
    }
    if at_us:
        head["timestamp"] = instant(at_us)
    return write_json(head)[:-1] + b',"entry":[' + b",".join(entries) + b"]}"


def status_of(
    state: State,
    spec: Spec,
    kind: Kind,
    base_url: str,
    told: Sequence[Told] = (),
    *,
    numbers: Iterable[int] = (),
    error: str = "",
    at_us: int = 0,
) -> Resource:
    """The status Parameters: of a notification, and of `$status` (query-status). Its id is the same for the same
    events, so that an attempt that is made again is the same bytes."""
    events = [] if kind in _WITHOUT_EVENTS else sorted([*told, *(Told(number, 0) for number in numbers)], key=_number)
    count = max([state.numbered, *(event.number for event in events)])
    parts: list[Resource] = [
        {"name": "subscription", "valueReference": {"reference": f"{base_url}/{state.reference}"}},
        {"name": "topic", "valueCanonical": spec.topic},
        {"name": "status", "valueCode": state.status},
        {"name": "type", "valueCode": kind.value},
        {"name": "events-since-subscription-start", "valueString": str(count)},
    ]
    parts += [_event(event, spec.content, base_url) for event in events]
    words = error or (state.error if state.status == "error" else "")
    if words:
        parts.append({"name": "error", "valueCodeableConcept": {"text": words}})
    which = ",".join(str(event.number) for event in events) or str(at_us)
    return {
        "resourceType": "Parameters",
        "id": str(uuid5(_NAMES, f"{state.fhir_id}/{kind.value}/{state.status}/{which}")),
        "meta": {"profile": [STATUS_PROFILE]},
        "parameter": parts,
    }


def as_payload(body: bytes, mime: str) -> bytes:
    """A notification in JSON as the bytes of channel.payload: XML where that asks for it."""
    return xml_of(body) if mime.partition(";")[0].strip().lower().endswith("xml") else body


def _number(event: Told) -> int:
    return event.number


def _event(event: Told, content: Content, base_url: str) -> Resource:
    parts: list[Resource] = [{"name": "event-number", "valueString": str(event.number)}]
    if event.at_us:
        parts.append({"name": "timestamp", "valueInstant": instant(event.at_us)})
    if event.reference and content is not Content.EMPTY:
        parts.append({"name": "focus", "valueReference": {"reference": f"{base_url}/{event.reference}"}})
        for reference in event.context:
            url = f"{base_url}/{reference}"
            parts.append({"name": "additional-context", "valueReference": {"reference": url}})
    return {"name": "notification-event", "part": parts}


def _event_entries(told: Sequence[Told], full: bool, base_url: str) -> list[bytes]:
    """One entry for each focus; what several events of one notification include goes along once."""
    entries: list[bytes] = []
    included: set[tuple[str, bytes]] = set()
    for event in told:
        if not event.reference:
            continue
        url = event.reference.partition("/")[0] if event.method == "POST" else event.reference
        body = event.body if full and event.method != "DELETE" else None
        notice = event.notice if full else None
        entries.append(_entry(f"{base_url}/{event.reference}", event.method, url, body, notice))
        for reference, text in event.included if full else ():
            if (reference, text) not in included:
                included.add((reference, text))
                entries.append(_entry(f"{base_url}/{reference}", "GET", reference, text))
    return entries


def _entry(full_url: str, method: str, url: str, body: bytes | None, notice: bytes | None = None) -> bytes:
    """Request and response stand in each entry of a history: bdl-3, bdl-4. notice: stands in response.outcome."""
    resource = b"" if body is None else b'"resource":%b,' % body
    request = write_json({"method": method, "url": url})
    response = write_json({"status": _ANSWERED[method]})
    if notice is not None:
        response = response[:-1] + b',"outcome":%b}' % notice
    return b'{"fullUrl":%b,%b"request":%b,"response":%b}' % (write_json(full_url), resource, request, response)
