"""Notification Bundles hold the rules of the backport (facts/closed-loop.md 5), in each kind and payload content."""

import json
from itertools import product
from typing import Any

import pytest

from fhir_profiles.json_text import write_json
from fhir_profiles.models import explain
from fhir_profiles.validate import validate
from fhir_profiles.xml_reader import resource_of
from fhir_profiles.xml_tree import Limits
from service.clock import instant
from service.notify import bundles
from service.notify.bundles import as_payload, notification, status_of
from service.notify.model import Content, Kind, Spec, State, Told

BASE = "https://enlace.example.org/fhir"
TOPIC = "https://enlace.example.org/fhir/SubscriptionTopic/referral-status"
AT_US = 1_772_955_000_123_456
SUBSCRIPTION = f"{BASE}/Subscription/s1"
BODY = (
    b'{"resourceType":"Task","id":"t1","status":"accepted","intent":"order",'
    b'"note":[{"text":"for Luz \xc3\x81lvarez"}],"restriction":{"repetitions":1}}'
)
SERVICE = (
    b'{"resourceType":"ServiceRequest","id":"r1","status":"active","intent":"order",'
    b'"subject":{"display":"Luz"},"quantityQuantity":{"value":1.50}}'
)
MADE = Told(7, AT_US, "Task/t1", "POST", BODY, ("ServiceRequest/r1",), (("ServiceRequest/r1", SERVICE),))
CHANGED = Told(8, AT_US + 5, "Task/t1", "PUT", BODY, ("ServiceRequest/r1",), (("ServiceRequest/r1", SERVICE),))
GONE = Told(9, AT_US + 9, "Task/t2", "DELETE", None)
EMPTIED = Told(10, AT_US + 11)
EVENTS = (CHANGED, MADE, EMPTIED, GONE)
KINDS = {"handshake", "heartbeat", "event-notification", "query-status", "query-event"}


def state(**changed: Any) -> State:
    row: dict[str, Any] = {name: 0 for name in State.__dataclass_fields__}
    text = ("client_id", "organization", "scopes", "spec", "error")
    row |= {name: "" for name in text} | {"fhir_id": "s1", "topic": TOPIC, "channel": "rest-hook", "secret": b""}
    return State(**{**row, "status": "active", "numbered": 10, "secret_before": None, **changed})


def spec(content: Content = Content.ID_ONLY, mime: str = "application/fhir+json") -> Spec:
    return Spec(TOPIC, "rest-hook", "https://hooks.example.org/in", mime, content)


def made(kind: Kind, content: Content, told: tuple[Told, ...] = EVENTS, **more: Any) -> Any:
    bundle = json.loads(notification(state(), spec(content), kind, told, BASE, at_us=AT_US, **more))
    check_rules(bundle, content)
    return bundle


def parts(parameters: Any, name: str) -> list[Any]:
    return [one for one in parameters if one["name"] == name]


def check_rules(bundle: Any, content: Content) -> None:
    """What the guide and R4 demand of every notification."""
    assert validate(bundle, "Bundle") == [] and explain(bundle, "Bundle") == []
    assert bundle["resourceType"] == "Bundle" and bundle["type"] == "history" and "total" not in bundle
    status, *events = bundle["entry"]
    assert status["fullUrl"] == f"urn:uuid:{status['resource']['id']}"
    assert status["request"] == {"method": "GET", "url": f"{SUBSCRIPTION}/$status"}
    check_status(status["resource"], content)
    for entry in bundle["entry"]:
        assert entry["request"]["method"] and entry["request"]["url"] and entry["response"]["status"], "bdl-3, bdl-4"
        assert "/_history/" not in entry["fullUrl"], "bdl-8"
    for entry in events:
        method, url = entry["request"]["method"], entry["request"]["url"]
        relative = entry["fullUrl"].removeprefix(f"{BASE}/")
        assert url == (relative.split("/")[0] if method == "POST" else relative)
        assert ("resource" in entry) == (content is Content.FULL and method != "DELETE")
        if "resource" in entry:
            assert f"{entry['resource']['resourceType']}/{entry['resource']['id']}" == relative
    if content is Content.EMPTY:
        assert events == []


def check_status(status: Any, content: Content) -> None:
    assert validate(status, "Parameters") == [] and explain(status, "Parameters") == []
    assert status["meta"]["profile"] == [bundles.STATUS_PROFILE]
    named = status["parameter"]
    shape = {"subscription": "valueReference", "topic": "valueCanonical", "status": "valueCode", "type": "valueCode"}
    shape["events-since-subscription-start"] = "valueString"
    for name, value in shape.items():
        assert len(parts(named, name)) == 1 and set(parts(named, name)[0]) == {"name", value}, name
    assert parts(named, "subscription")[0]["valueReference"]["reference"] == SUBSCRIPTION
    assert parts(named, "type")[0]["valueCode"] in KINDS
    assert {one["name"] for one in named} <= {*shape, "notification-event", "error"}
    numbers = []
    for event in parts(named, "notification-event"):
        assert {one["name"] for one in event["part"]} <= {"event-number", "timestamp", "focus", "additional-context"}
        numbers += [int(one["valueString"]) for one in parts(event["part"], "event-number")]
        assert len(parts(event["part"], "timestamp")) <= 1 and len(parts(event["part"], "focus")) <= 1
        if content is Content.EMPTY:
            assert parts(event["part"], "focus") == parts(event["part"], "additional-context") == []
    assert numbers == sorted(set(numbers)) and len(numbers) == len(parts(named, "notification-event"))


@pytest.mark.parametrize(("kind", "content"), list(product(Kind, Content)), ids=str)
def test_every_kind_in_every_content_holds_the_rules(kind: Kind, content: Content) -> None:
    status = made(kind, content)["entry"][0]["resource"]["parameter"]
    with_events = kind not in (Kind.HANDSHAKE, Kind.HEARTBEAT)
    assert len(parts(status, "notification-event")) == (4 if with_events else 0)
    assert parts(status, "type")[0]["valueCode"] == kind.value


def test_handshake_and_heartbeat_have_the_status_alone() -> None:
    for kind in (Kind.HANDSHAKE, Kind.HEARTBEAT):
        assert len(made(kind, Content.FULL)["entry"]) == 1


def test_empty_tells_numbers_and_times_alone() -> None:
    text = notification(state(), spec(Content.EMPTY), Kind.EVENT, EVENTS, BASE, at_us=AT_US).decode()
    assert "Task" not in text and "ServiceRequest" not in text and "lvarez" not in text
    events = parts(json.loads(text)["entry"][0]["resource"]["parameter"], "notification-event")
    assert [one["part"][0]["valueString"] for one in events] == ["7", "8", "9", "10"]
    assert events[0]["part"][1]["valueInstant"] == instant(AT_US)


def test_id_only_tells_which_and_nothing_of_it() -> None:
    bundle = made(Kind.EVENT, Content.ID_ONLY)
    assert [(one["request"]["method"], one["fullUrl"].removeprefix(f"{BASE}/")) for one in bundle["entry"][1:]] == [
        ("POST", "Task/t1"),
        ("PUT", "Task/t1"),
        ("DELETE", "Task/t2"),
    ]
    event = parts(bundle["entry"][0]["resource"]["parameter"], "notification-event")[0]["part"]
    assert parts(event, "focus")[0]["valueReference"]["reference"] == f"{BASE}/Task/t1"
    assert parts(event, "additional-context")[0]["valueReference"]["reference"] == f"{BASE}/ServiceRequest/r1"
    assert "accepted" not in json.dumps(bundle)


def test_full_resource_holds_the_stored_bytes_and_what_goes_along_once() -> None:
    text = notification(state(), spec(Content.FULL), Kind.EVENT, EVENTS, BASE)
    assert text.count(BODY) == 2, "of each event its own version"
    assert text.count(SERVICE) == 1, "stored bytes, with every digit of 1.50"
    urls = [entry["fullUrl"].removeprefix(f"{BASE}/") for entry in json.loads(text)["entry"][1:]]
    assert urls == ["Task/t1", "ServiceRequest/r1", "Task/t1", "Task/t2"]


def test_an_emptied_event_has_its_number_and_no_focus() -> None:
    bundle = made(Kind.EVENT, Content.FULL, (EMPTIED,), numbers=(11, 12))
    assert len(bundle["entry"]) == 1
    status = bundle["entry"][0]["resource"]["parameter"]
    assert [[part["name"] for part in one["part"]] for one in parts(status, "notification-event")] == [
        ["event-number", "timestamp"],
        ["event-number"],
        ["event-number"],
    ]
    assert parts(status, "events-since-subscription-start")[0]["valueString"] == "12", "never less than what is told"


def test_error_in_words() -> None:
    said = "The endpoint did not answer for 72 hours."
    status = status_of(state(status="error", error=said), spec(), Kind.QUERY_STATUS, BASE)
    check_status(status, Content.ID_ONLY)
    assert parts(status["parameter"], "error")[0]["valueCodeableConcept"] == {"text": said}
    assert parts(status["parameter"], "status")[0]["valueCode"] == "error"
    assert not parts(status_of(state(error="old"), spec(), Kind.QUERY_STATUS, BASE)["parameter"], "error")


def test_an_attempt_made_again_is_the_same_bytes() -> None:
    one, again = (notification(state(), spec(), Kind.EVENT, (MADE,), BASE, at_us=AT_US) for _ in range(2))
    assert one == again
    other = notification(state(), spec(), Kind.EVENT, (CHANGED,), BASE, at_us=AT_US)
    assert json.loads(one)["id"] != json.loads(other)["id"]


def test_xml_payload_is_the_same_bundle() -> None:
    text = notification(state(), spec(Content.FULL), Kind.EVENT, EVENTS, BASE, at_us=AT_US)
    xml = as_payload(text, "application/fhir+xml; charset=utf-8")
    assert xml.startswith(b"<?xml") and b"1.50" in xml and as_payload(text, "application/fhir+json") == text
    assert json.loads(write_json(resource_of(xml, Limits(50, 5000, 100_000, 5000)))) == json.loads(text)
