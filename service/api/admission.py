"""How much work a process takes at a time: what is more is turned away at once, with a time to come back.

A request that waits costs memory and answers late; one that is turned away costs 50 us, and its sender knows. Bounds:
ENLACE_MAX_IN_FLIGHT for the process, half of that and ENLACE_CLIENT_RATE for one client (docs/limits.md).
"""

from collections import Counter, OrderedDict
from dataclasses import dataclass, field
from typing import Any

import orjson
from starlette.types import ASGIApp, Receive, Scope, Send

from service.errors import Category, FhirError
from service.log_events import REQUEST_SHED, log
from service.metrics import COUNTERS, request_shed
from service.settings import Settings

ALWAYS = frozenset({"/healthz", "/readyz", "/metrics", "/inbox/events"})
"""What tells whether we are alive must answer under load; the live inbox holds its connection for hours."""
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
    """The outermost layer: counts requests in work, turns away what is more than `most`."""

    def __init__(self, app: ASGIApp, most: int):
        self._app, self._most = app, most
        self._shed = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"] in ALWAYS:
            await self._app(scope, receive, send)
            return
        if COUNTERS.in_flight >= self._most:
            await self._turn_away(send)
            return
        COUNTERS.in_flight += 1
        try:
            await self._app(scope, receive, send)
        finally:
            COUNTERS.in_flight -= 1

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
        ]
        await send({"type": "http.response.start", "status": 503, "headers": headers})
        await send({"type": "http.response.body", "body": _BODY})


@dataclass
class Share:
    """What one client may take of this process: a rate with a burst, and half of the requests in work."""

    per_second: int
    most: int
    in_work: Counter[str] = field(default_factory=Counter)
    _levels: OrderedDict[str, tuple[float, int]] = field(default_factory=OrderedDict)
    _told: OrderedDict[str, int] = field(default_factory=OrderedDict)

    def enter(self, client: str, now_us: int) -> None:
        """Takes a place, to be given back by leave(). Raises FhirError 429 with Retry-After."""
        if self.per_second and not self._take(client, now_us):
            raise _too_many("client-rate", f"This client sends more than {self.per_second} requests a second")
        if self.in_work[client] >= self.most:
            raise _too_many("client-share", f"This client has {self.most} requests in work")
        self.in_work[client] += 1

    def leave(self, client: str) -> None:
        self.in_work[client] -= 1
        if self.in_work[client] <= 0:
            del self.in_work[client]

    def tell(self, client: str, now_us: int) -> bool:
        """Whether this refusal is to be audited: one a second of a client: a flood writes nothing."""
        if now_us - self._told.get(client, 0) < 1_000_000:
            return False
        _remember(self._told, client, now_us)
        return True

    def _take(self, client: str, now_us: int) -> bool:
        most = float(self.per_second * BURST_S)
        level, at_us = self._levels.get(client, (most, now_us))
        level = min(most, level + max(now_us - at_us, 0) * self.per_second / 1e6)
        _remember(self._levels, client, (level - 1 if level >= 1 else level, now_us))
        return level >= 1


def _remember(rows: OrderedDict[str, Any], client: str, value: Any) -> None:
    rows[client] = value
    rows.move_to_end(client)
    if len(rows) > MOST_CLIENTS:
        rows.popitem(last=False)


def _too_many(reason: str, sentence: str) -> FhirError:
    request_shed(reason)
    return FhirError(
        Category.TOO_MANY, f"{sentence}: try again after Retry-After seconds.", {"Retry-After": "1"}, reason=reason
    )


def share(settings: Settings) -> Share:
    return Share(settings.client_rate, max(1, settings.max_in_flight // 2))
