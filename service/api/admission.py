"""How much work a process takes at a time: what is more waits a moment, then is turned away with a time to come back.

More at once makes nothing faster: it costs memory and everybody's time. Up to ENLACE_MAX_IN_FLIGHT requests are in
work; the next wait for a second at most, the senders (by their token) in turn, so that one who floods delays only
itself; then 503. One client's rate is bounded by ENLACE_CLIENT_RATE: 429. docs/limits.md
"""

import asyncio
import time
from collections import OrderedDict, deque
from dataclasses import dataclass, field
from math import ceil
from typing import Any

import orjson
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service.errors import Category, FhirError
from service.log_events import REQUEST_SHED, log
from service.metrics import COUNTERS, request_shed

ALWAYS = frozenset({"/healthz", "/readyz", "/metrics", "/inbox/events"})
"""What tells whether we are alive must answer under load; the live inbox holds its connection for hours."""
WAIT_S = 1.0
SLOW_S = 1.0
"""Who waits so long for its client, to send the body or to take the answer, has no place meanwhile: else as many
half-sent requests as there are places would close the service."""
LOOK_S = 0.1
"""So often at most are they looked for, and only where no place is free."""
MOST_WAITING = 2_000
"""Who is turned away at once comes back at once: a wait costs less than the answer.

Each may hold some 70 KB of what its client has sent."""
BURST_S = 2
MOST_CLIENTS = 20_000
LOG_EVERY = 100
"""Of a flood, one line in so many is logged; /metrics counts them all."""

_BODY = orjson.dumps(
    {
        "resourceType": "OperationOutcome",
        "issue": [
            {
                "severity": "error",
                "code": "throttled",
                "diagnostics": "The service has as much work as it can do at a time: try again later, see Retry-After.",
            }
        ],
    }
)


class Gate:
    """The outermost layer, an ASGI application around another."""

    def __init__(self, app: ASGIApp, most: int):
        self._app, self._most = app, most
        self._waiting: OrderedDict[bytes, deque[asyncio.Future[bool]]] = OrderedDict()
        """Those who wait, by sender; the first sender has the next turn."""
        self._count = self._shed = 0
        self._places: set[_Place] = set()
        self._look_s = 0.0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"] in ALWAYS:
            await self._app(scope, receive, send)
            return
        if COUNTERS.in_flight >= self._most:
            self._call_back()
        if COUNTERS.in_flight < self._most:
            COUNTERS.in_flight += 1
        elif not await self._wait(_sender(scope)):
            await self._turn_away(send)
            return
        place = _Place(self, receive, send)
        self._places.add(place)
        try:
            await self._app(scope, place.receive, place.send)
        finally:
            self._places.discard(place)
            if place.held:
                self._leave()

    def _call_back(self) -> None:
        """Takes their places from those who wait for a slow client."""
        now_s = time.monotonic()
        if now_s < self._look_s:
            return
        self._look_s = now_s + LOOK_S
        for place in [one for one in self._places if one.since_s and now_s - one.since_s >= SLOW_S and one.held]:
            place.held = False
            self._leave()

    def goes_on(self, place: "_Place") -> None:
        """Its client came: it is in work again at once, if need be as one more than the bound."""
        place.since_s = 0.0
        if not place.held:
            place.held = True
            COUNTERS.in_flight += 1

    def _leave(self) -> None:
        """Hands the place to the next sender's oldest request, or gives it back."""
        while self._waiting and COUNTERS.in_flight <= self._most:
            sender, queue = self._waiting.popitem(last=False)
            place = queue.popleft()
            if queue:
                self._waiting[sender] = queue
            self._count -= 1
            if not place.done():
                place.set_result(True)
                return
        COUNTERS.in_flight -= 1

    async def _wait(self, sender: bytes) -> bool:
        """Whether a place came free in time; it is taken then."""
        if self._count >= MOST_WAITING:
            return False
        loop = asyncio.get_running_loop()
        place: asyncio.Future[bool] = loop.create_future()
        self._waiting.setdefault(sender, deque()).append(place)
        self._count += 1
        late = loop.call_later(WAIT_S, _late, place)
        try:
            return await place
        except asyncio.CancelledError:
            if place.done() and not place.cancelled() and place.result():
                self._leave()  # the place came in the moment in which the request was given up
            raise
        finally:
            late.cancel()

    async def _turn_away(self, send: Send) -> None:
        """The body of the request is not read. Retry-After spreads those who come back over some seconds."""
        request_shed("in-flight")
        self._shed += 1
        if self._shed % LOG_EVERY == 1:
            log(REQUEST_SHED, status=503, in_flight=COUNTERS.in_flight)
        headers = [
            (b"content-type", b"application/fhir+json"),
            (b"content-length", b"%d" % len(_BODY)),
            (b"retry-after", b"%d" % (1 + self._shed % 3)),
            (b"cache-control", b"no-store"),
            (b"x-content-type-options", b"nosniff"),
        ]
        await send({"type": "http.response.start", "status": 503, "headers": headers})
        await send({"type": "http.response.body", "body": _BODY})


class _Place:
    """What the application sees of the client of one request in work."""

    __slots__ = ("_gate", "_receive", "_send", "held", "since_s")

    def __init__(self, gate: Gate, receive: Receive, send: Send):
        self._gate, self._receive, self._send = gate, receive, send
        self.held, self.since_s = True, 0.0
        """since_s: when it began to wait for its client; 0: it does not."""

    async def receive(self) -> Message:
        self.since_s = time.monotonic()
        try:
            return await self._receive()
        finally:
            self._gate.goes_on(self)

    async def send(self, message: Message) -> None:
        self.since_s = time.monotonic()
        try:
            await self._send(message)
        finally:
            self._gate.goes_on(self)


def _late(place: "asyncio.Future[bool]") -> None:
    if not place.done():
        place.set_result(False)


def _sender(scope: Scope) -> bytes:
    """Who asks, as far as one can tell unread: the token, else the address."""
    for name, value in scope["headers"]:
        if name in (b"authorization", b"cookie"):
            return bytes(value)
    return str((scope.get("client") or ("",))[0]).encode()


@dataclass
class ClientRates:
    """A token bucket for each client: `per_second` requests, twice that in a burst; 0: no limit."""

    per_second: int
    _levels: OrderedDict[str, tuple[float, int]] = field(default_factory=OrderedDict)
    _told: OrderedDict[str, int] = field(default_factory=OrderedDict)

    def take(self, client: str, now_us: int) -> None:
        """Raises FhirError 429 with Retry-After."""
        if not self.per_second:
            return
        most = float(self.per_second * BURST_S)
        level, at_us = self._levels.get(client, (most, now_us))
        level = min(most, level + max(now_us - at_us, 0) * self.per_second / 1e6)
        _remember(self._levels, client, (level - 1 if level >= 1 else level, now_us))
        if level >= 1:
            return
        request_shed("client-rate")
        text = f"This client sends more than {self.per_second} requests a second: try again after Retry-After seconds."
        raise FhirError(Category.TOO_MANY, text, {"Retry-After": "1"}, reason="client-rate")

    def headers(self, client: str) -> dict[str, str]:
        """What the client may still send: of its own requests alone, so that they tell nothing of others (L52)."""
        if not self.per_second or client not in self._levels:
            return {}
        most = self.per_second * BURST_S
        left = self._levels[client][0]
        full_s = ceil((most - left) / self.per_second)
        return {
            "X-RateLimit-Limit": str(most),
            "X-RateLimit-Remaining": str(max(int(left), 0)),
            "X-RateLimit-Reset": str(full_s),
        }

    def charge(self, client: str, more: int, now_us: int) -> None:
        """What a Bundle was beyond one request is owed: until it is made up for, the client is refused."""
        if self.per_second:
            level, at_us = self._levels.get(client, (float(self.per_second * BURST_S), now_us))
            _remember(self._levels, client, (level - more, at_us))

    def tell(self, client: str, now_us: int) -> bool:
        """Whether this refusal is to be audited: one a second of a client, since a flood must write nothing."""
        if now_us - self._told.get(client, 0) < 1_000_000:
            return False
        _remember(self._told, client, now_us)
        return True


def _remember(rows: OrderedDict[str, Any], client: str, value: Any) -> None:
    rows[client] = value
    rows.move_to_end(client)
    if len(rows) > MOST_CLIENTS:
        rows.popitem(last=False)
