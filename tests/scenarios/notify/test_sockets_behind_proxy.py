"""Two API processes behind a proxy: sockets at either hear the same events, and go on at the other when one dies."""

import os
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import orjson
import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect

from tests.scenarios.harness import FIVE, ROSA, Service, running, wait_for, write_world
from tests.scenarios.proxy import Proxy
from tests.service.notify.fake_receiver import events_of, kind_of

TOPIC = "https://enlace.example.org/fhir/SubscriptionTopic/referral-status"
BACKPORT = "http://hl7.org/fhir/uv/subscriptions-backport/StructureDefinition"
WAIT_S = 20.0


class Listener:
    """One subscriber: its subscription, its socket, and every event that it heard, in order."""

    def __init__(self, service: Service, token: str, stack: ExitStack):
        self.service, self.token, self.stack = service, token, stack
        self.sockets = 0
        self.heard: list[tuple[int, str]] = []
        content = [{"url": f"{BACKPORT}/backport-payload-content", "valueCode": "id-only"}]
        body = {
            "resourceType": "Subscription", "status": "requested", "reason": "test", "criteria": TOPIC,
            "channel": {"type": "websocket", "payload": "application/fhir+json", "_payload": {"extension": content}},
        }  # fmt: skip
        with service.client(token) as client:
            made = client.post("/Subscription", json=body)
        assert made.status_code == 201, made.text
        self.id = made.json()["id"]
        self.socket = self.bound()

    def bound(self) -> ClientConnection:
        """A new socket through the proxy, with a token that any of the processes gave."""
        with self.service.client(self.token) as client:
            answer = client.get(f"/Subscription/$get-ws-binding-token?id={self.id}")
        assert answer.status_code == 200, answer.text
        word = answer.json()["parameter"][0]["valueString"]
        socket = self.stack.enter_context(connect(self.service.base.replace("http", "ws", 1) + "/ws", close_timeout=1))
        self.sockets += 1
        socket.send(f"bind-with-token: {word}")
        assert kind_of(orjson.loads(socket.recv(WAIT_S))) == "handshake"
        return socket

    def hears(self, last: int) -> None:
        """Until the event with this number came; where the socket breaks, by another one."""
        until = time.monotonic() + WAIT_S
        while not self.heard or self.heard[-1][0] < last:
            assert time.monotonic() < until, self.heard
            try:
                bundle = orjson.loads(self.socket.recv(until - time.monotonic()))
            except ConnectionClosed:
                self.socket = self.bound()
                continue
            if kind_of(bundle) == "event-notification":
                self.heard += events_of(bundle)


def _referred(service: Service, token: str, count: int) -> None:
    """As many new referrals of Rosa to the community organization."""
    with service.client(token) as client:
        for _ in range(count):
            who = {"subject": {"reference": ROSA.reference}, "requester": {"reference": "Organization/north"}}
            request: dict[str, Any] = {"resourceType": "ServiceRequest", "status": "active", "intent": "order",
                                       "code": {"text": "Food"}, **who}  # fmt: skip
            made = client.post("/ServiceRequest", json=request)
            assert made.status_code == 201, made.text
            task = {
                "resourceType": "Task", "status": "requested", "intent": "order", "for": who["subject"],
                "code": {"coding": [{"system": "http://hl7.org/fhir/CodeSystem/task-code", "code": "fulfill"}]},
                "focus": {"reference": f"ServiceRequest/{made.json()['id']}"}, "authoredOn": "2026-03-01T10:00:00Z",
                "requester": who["requester"], "owner": {"reference": "Organization/cbo"},
            }  # fmt: skip
            answer = client.post("/Task", json=task)
            assert answer.status_code == 201, answer.text


@pytest.mark.skipif(not os.environ.get("ENLACE_TEST_DEEP"), reason="make test-deep AREA=notify starts five processes.")
@pytest.mark.skipif(bool(Proxy.missing()), reason=Proxy.missing() or "-")
@pytest.mark.timeout(240)
def test_sockets_go_on_at_the_other_process(postgresql_url: str, tmp_path: Path) -> None:
    tokens = write_world(postgresql_url)
    with running(postgresql_url, tmp_path, parts=FIVE) as service, ExitStack() as stack:
        listeners = [Listener(service, tokens[name], stack) for name in ("north", "plan", "cbo", "north")]
        _referred(service, tokens["north"], 3)
        for one in listeners:
            one.hears(3)
        service.kill("serve-2")
        wait_for(lambda: service.found(tokens["north"], "Task?_summary=count") is not None, 20)
        _referred(service, tokens["north"], 3)
        for one in listeners:
            one.hears(6)
        for one in listeners:
            numbers = [number for number, _ in one.heard]
            assert sorted(set(numbers)) == [1, 2, 3, 4, 5, 6], numbers
            assert len({focus for _, focus in one.heard}) == 6
        assert sum(one.sockets for one in listeners) > len(listeners)  # some stood at the process that was killed
