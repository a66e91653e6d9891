"""A subscriber made of lists: what it was sent, and what it answers; and a world in which one client subscribes."""

import copy
import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from typing import Any

import httpx
import orjson
from fastapi import FastAPI

from service.access.context import Settings as Behaviour
from service.notify.model import Message, Outcome, Result, State
from service.notify.runner import Notifier
from service.search.restriction import EVERYTHING
from service.store import read, subscriptions
from service.store.engine import Store
from tests.frozen_clock import FrozenClock
from tests.service.notify.subscription_samples import subscription
from tests.service.world import ECM1, change_of

OK = Result(Outcome.OK, 200)
DOWN = Result(Outcome.FAILED, 503, "http-5xx")
GONE = Result(Outcome.REFUSED, 410, "gone")
JSON = {"Content-Type": "application/fhir+json"}


@dataclass
class Receiver:
    """answers: in turn, the last one again and again. before: what happens while a message is under way."""

    answers: list[Result] = field(default_factory=lambda: [OK])
    sent: list[Message] = field(default_factory=list)
    before: Callable[[Message], Awaitable[None]] | None = None

    async def send(self, message: Message) -> Result:
        self.sent.append(message)
        if self.before is not None:
            await self.before(message)
        return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]

    def bundles(self, kind: str = "event-notification") -> list[dict[str, Any]]:
        made = [orjson.loads(one.body or b"{}") for one in self.sent]
        return [one for one in made if kind_of(one) == kind]

    def kinds(self) -> list[str]:
        return [kind_of(orjson.loads(one.body or b"{}")) for one in self.sent]

    def numbers(self) -> list[int]:
        """Of all events, in the order in which they came."""
        return [number for bundle in self.bundles() for number, _ in events_of(bundle)]

    def told(self) -> list[tuple[int, str]]:
        """(number, reference of the focus or "")"""
        return [event for bundle in self.bundles() for event in events_of(bundle)]


def kind_of(bundle: dict[str, Any]) -> str:
    (part,) = (p for p in bundle["entry"][0]["resource"]["parameter"] if p["name"] == "type")
    return str(part["valueCode"])


def events_of(bundle: dict[str, Any]) -> list[tuple[int, str]]:
    found = []
    for part in bundle["entry"][0]["resource"]["parameter"]:
        if part["name"] == "notification-event":
            values = {inner["name"]: inner for inner in part["part"]}
            focus = values.get("focus", {}).get("valueReference", {}).get("reference", "")
            found.append((int(values["event-number"]["valueString"]), "/".join(focus.split("/")[-2:])))
    return found


@dataclass
class Desk:
    """One store, one fake receiver for all channels, one worker that is moved by hand."""

    store: Store
    app: FastAPI
    clock: FrozenClock
    receiver: Receiver = field(default_factory=Receiver)

    @property
    def behaviour(self) -> Behaviour:
        found: Behaviour = self.app.state.enlace.behaviour
        return found

    def worker(self, draw: float = 1.0, **more: Any) -> Notifier:
        channels = {"rest-hook": self.receiver, "email": self.receiver, "sms": self.receiver}
        behaviour = replace(self.behaviour, **more)
        return Notifier(self.store, behaviour, channels, draw=lambda: draw)

    async def work(self, after_s: float = 0, **more: Any) -> None:
        self.clock.advance(int(after_s * 1e6) + 1)
        await self.worker(**more).drain()

    async def subscribes(self, client: httpx.AsyncClient, **asked: Any) -> State:
        """Created and, where the receiver answers, shaken hands with."""
        answer = await client.post("/Subscription", content=json.dumps(subscription(**asked)), headers=JSON)
        assert answer.status_code == 201, answer.text
        await self.work()
        return await self.state(answer.json()["id"])

    async def state(self, fhir_id: str) -> State:
        state = await subscriptions.by_id(self.store, fhir_id)
        assert state is not None
        return state

    async def resource(self, reference: str) -> tuple[dict[str, Any], int]:
        rtype, _, fhir_id = reference.partition("/")
        found = await read.head(self.store, rtype, fhir_id, EVERYTHING)
        assert found is not None and found.body is not None
        return orjson.loads(found.body), found.version

    async def changes(self, reference: str, source: str = ECM1, **elements: Any) -> None:
        """A new version of the resource; an element that is None goes."""
        resource, version = await self.resource(reference)
        made = {name: value for name, value in (resource | elements).items() if value is not None}
        await self.store.commit(change_of(self.store, copy.deepcopy(made), source, version))

    async def puts(self, client: httpx.AsyncClient, state: State, **elements: Any) -> httpx.Response:
        resource, version = await self.resource(state.reference)
        headers = JSON | {"If-Match": f'W/"{version}"'}
        return await client.put(f"/{state.reference}", content=json.dumps(resource | elements), headers=headers)
