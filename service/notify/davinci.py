"""A care transition as a Da Vinci notification: a message Bundle for `$process-message` of plans and practices.

https://hl7.org/fhir/us/davinci-alerts/ 1.1.0; ../shared/facts/adt.md 4. One event in each Bundle. What is no admission,
discharge or transfer is not sent: no bed moves, no corrections of text. The guide has no word for what was taken back:
the same event goes out again, and Encounter.status says cancelled or entered-in-error.
"""

from collections.abc import Sequence
from typing import Any
from uuid import UUID, uuid5

import orjson

from fhir_profiles import Resource
from fhir_profiles.json_text import write_json
from service.clock import instant
from service.notify.model import Spec, State, Told

FORMAT = "davinci-alert"
TOPIC = "https://enlace.example.org/fhir/SubscriptionTopic/care-transition"
GUIDE = "http://hl7.org/fhir/us/davinci-alerts"
EVENTS = f"{GUIDE}/CodeSystem/notification-event"
PRESENT = frozenset({"arrived", "triaged", "in-progress", "onleave"})
GONE = frozenset({"cancelled", "entered-in-error"})
AWAY = frozenset({"other-hcf"})
"""Dispositions that say: to another hospital. Bed moves are no transfer."""
_NAMES = UUID("7d0a4a0e-2f52-5d0e-9a53-0a4b7a4f8f21")


def event_of(now: Resource, before: Resource | None) -> str:
    """admit, discharge, transfer, or "" where nothing of that kind happened. before: the version before, if any."""
    status, former = str(now.get("status")), str((before or {}).get("status", ""))
    if status in GONE:
        return "discharge" if former == "finished" else "admit" if former in PRESENT else ""
    if status == "finished":
        if former == "finished" and _disposition(now) == _disposition(before or {}):
            return ""
        return "transfer" if _disposition(now) in AWAY else "discharge"
    if status not in PRESENT:
        return ""
    if former not in PRESENT or _class(now) != _class(before or {}):
        return "admit"
    return "transfer" if _provider(now) != _provider(before or {}) else ""


def bundle(state: State, spec: Spec, told: Sequence[Told], base_url: str) -> bytes | None:
    """JSON text of the message; None where there is nothing to send. Raises nothing: told is what may be shown."""
    one = next((t for t in told if t.body is not None and t.reference.startswith("Encounter/")), None)
    if one is None or one.body is None or one.method == "DELETE":
        return None
    now: Resource = orjson.loads(one.body)
    event = event_of(now, orjson.loads(one.before) if one.before is not None else None)
    patient = str((now.get("subject") or {}).get("reference", ""))
    if not event or patient not in {reference for reference, _ in one.included}:
        return None  # a notification without its Patient is none (the guide's graph)
    focus = f"{base_url}/{one.reference}"
    header = _header(state, spec, one, event, focus, _provider(now), base_url)
    entries = [_entry(f"urn:uuid:{header['id']}", write_json(header)), _entry(focus, one.body)]
    entries += [_entry(f"{base_url}/{reference}", body) for reference, body in one.included]
    if one.notice is not None:  # 42 CFR 2.32: the statement goes with what it is about
        entries.append(_entry(f"urn:uuid:{_name(state, one, 'notice')}", one.notice))
    head = {
        "resourceType": "Bundle",
        "id": _name(state, one, "bundle"),
        "meta": {"profile": [f"{GUIDE}/StructureDefinition/notifications-bundle"]},
        "type": "message",
        "timestamp": instant(one.at_us),
    }
    return write_json(head)[:-1] + b',"entry":[' + b",".join(entries) + b"]}"


def _header(
    state: State, spec: Spec, one: Told, event: str, focus: str, provider: str, base_url: str
) -> dict[str, Any]:
    header: dict[str, Any] = {
        "resourceType": "MessageHeader",
        "id": _name(state, one, "header"),
        "meta": {"profile": [f"{GUIDE}/StructureDefinition/{event}-notification-messageheader"]},
        "eventCoding": {"system": EVENTS, "code": f"notification-{event}"},
        "destination": [{"endpoint": spec.endpoint}],
        "source": {"name": "Enlace", "software": "Enlace", "endpoint": base_url},
    }
    if provider in {reference for reference, _ in one.included}:
        header["responsible"] = {"reference": f"{base_url}/{provider}"}
    return header | {"focus": [{"reference": focus}]}


def _entry(full_url: str, body: bytes) -> bytes:
    return b'{"fullUrl":%b,"resource":%b}' % (write_json(full_url), body)


def _name(state: State, one: Told, part: str) -> str:
    """The same at each attempt: receivers know a repetition by Bundle.id and MessageHeader.id."""
    return str(uuid5(_NAMES, f"{state.fhir_id}/{one.number}/{part}"))


def _class(encounter: Resource) -> str:
    return str((encounter.get("class") or {}).get("code", ""))


def _provider(encounter: Resource) -> str:
    return str((encounter.get("serviceProvider") or {}).get("reference", ""))


def _disposition(encounter: Resource) -> str:
    """The FHIR code; with it the other codings of the same."""
    concept = (encounter.get("hospitalization") or {}).get("dischargeDisposition") or {}
    codes = [c.get("code") for c in concept.get("coding") or () if str(c.get("system", "")).startswith("http://term")]
    return str(codes[0]) if codes else ""
