"""Examples of what the operations on a Subscription answer: the same functions make them that make the answers."""

import json

from openapi.components import Json
from service.notify.bundles import notification, status_of
from service.notify.model import Content, Kind, Spec, State, Told

STATUS, EVENTS = "SubscriptionStatus", "SubscriptionEvents"
_AT_US = 1_772_958_600_000_000


def examples(base_url: str) -> Json:
    topic = "https://enlace.example.org/fhir/SubscriptionTopic/referral-status"
    spec = Spec(topic, "rest-hook", "https://receiver.example.org/fhir", "application/fhir+json", Content.ID_ONLY)
    told = Told(7, _AT_US, "Task/7f3c9a52")
    status = status_of(_state(spec), spec, Kind.QUERY_STATUS, base_url, at_us=_AT_US)
    entry = {"fullUrl": f"urn:uuid:{status['id']}", "resource": status, "search": {"mode": "match"}}
    found = {"resourceType": "Bundle", "type": "searchset", "total": 1, "entry": [entry]}
    events = json.loads(notification(_state(spec), spec, Kind.QUERY_EVENT, [told], base_url, at_us=_AT_US))
    return {
        STATUS: {"summary": "One that is active", "value": found},
        EVENTS: {"summary": "The seventh event, as its id", "value": events},
    }


def _state(spec: Spec) -> State:
    never = {"lease_until_us": 0, "failures": 0, "failing_since_us": 0, "beat_us": 0, "secret_before_until_us": 0}
    return State(
        key=1,
        fhir_id="7f3c9a52",
        client_id="client",
        organization="Organization/7f3c9a52",
        scopes="",
        topic=spec.topic,
        channel=spec.channel,
        spec=spec.text(),
        status="active",
        paused=False,
        numbered=7,
        delivered=7,
        due_us=0,
        error="",
        secret=b"",
        secret_before=None,
        created_us=0,
        **never,
    )
