"""What the parts of notification hand each other: plain data."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Protocol

import orjson

NEVER_US = 2**62


class Content(StrEnum):
    """How much of the resource a notification holds (backport-payload-content)."""

    EMPTY = "empty"
    ID_ONLY = "id-only"
    FULL = "full-resource"


@dataclass(frozen=True)
class Spec:
    """What a Subscription asks for, compiled from its resource; stored as JSON in subscription.spec.

    topic: canonical. channel: rest-hook, email, sms, websocket. endpoint: https URL, mailto: or tel:, "" for websocket.
    mime: as channel.payload. headers: as channel.header. filters: as backport-filter-criteria, all of which must fit.
    timeout_s, heartbeat_s: 0 for none. max_count: events in one notification.
    """

    topic: str
    channel: str
    endpoint: str
    mime: str
    content: Content
    headers: tuple[str, ...] = ()
    filters: tuple[str, ...] = ()
    timeout_s: int = 0
    heartbeat_s: int = 0
    max_count: int = 0

    def text(self) -> str:
        return orjson.dumps(self).decode()


def spec_of(text: str) -> Spec:
    stored: dict[str, Any] = orjson.loads(text)
    lists = {name: tuple(stored[name]) for name in ("headers", "filters")}
    return Spec(**{**stored, **lists, "content": Content(stored["content"])})


@dataclass(frozen=True)
class State:
    """A row of table subscription, field by field (service/store/tables_notify.py)."""

    key: int
    fhir_id: str
    client_id: str
    organization: str
    scopes: str
    topic: str
    channel: str
    spec: str
    status: str
    paused: bool
    numbered: int
    delivered: int
    due_us: int
    lease_until_us: int
    failures: int
    failing_since_us: int
    error: str
    beat_us: int
    secret: bytes
    secret_before: bytes | None
    secret_before_until_us: int
    created_us: int

    @property
    def reference(self) -> str:
        return f"Subscription/{self.fhir_id}"


@dataclass(frozen=True)
class Event:
    """A numbered event, a row of subscription_event."""

    number: int
    vid: int
    key: int
    kind: str
    emptied: bool
    at_us: int
    settled_us: int = 0


@dataclass(frozen=True)
class Told:
    """An event as one notification tells it, after access was decided: what the subscriber may know and no more.

    reference: the focus, "" where nothing of it is told. method: POST (created), PUT, DELETE. body: JSON text, None
    where no resource goes along. context: references of additional-context. included: (reference, JSON text) that go
    along.
    """

    number: int
    at_us: int
    reference: str = ""
    method: str = "PUT"
    body: bytes | None = None
    context: tuple[str, ...] = ()
    included: tuple[tuple[str, bytes], ...] = ()


class Kind(StrEnum):
    """Why something is sent; as the notification type of the backport where that has it."""

    HANDSHAKE = "handshake"
    HEARTBEAT = "heartbeat"
    EVENT = "event-notification"
    QUERY_STATUS = "query-status"
    QUERY_EVENT = "query-event"


@dataclass(frozen=True)
class Message:
    """What a channel is to deliver.

    id: the same at each attempt at the same events (webhook-id). body: the notification Bundle as JSON, None for what
    has none (SMS, notices to people). text: (subject, plain text without PHI) where a person reads it. secrets: to sign
    with, all that count now. headers: as the subscriber gave them ("Name: value").
    """

    id: str
    to: str
    at_us: int
    body: bytes | None = None
    mime: str = "application/fhir+json"
    subject: str = ""
    text: str = ""
    attach: bool = False
    headers: tuple[str, ...] = ()
    secrets: tuple[bytes, ...] = ()
    timeout_s: float = 5.0
    language: str = "en"


class Outcome(StrEnum):
    OK = "ok"
    FAILED = "failed"  # tried again
    REFUSED = "refused"  # trying again is of no use: the address does not exist, the guard says no


@dataclass(frozen=True)
class Result:
    """What a channel says of one attempt. reason: short code, fit for the ledger and a metric; never text of the other
    side. status: of HTTP or SMTP, 0 without. receipt: what the receiver named it by, at most 200 characters."""

    outcome: Outcome
    status: int = 0
    reason: str = ""
    receipt: str = ""


class Channel(Protocol):
    """One way out; a row of channels.CHANNELS. Never raises: what goes wrong is a Result."""

    async def send(self, message: Message) -> Result: ...


Channels = Mapping[str, Channel]
"""name (rest-hook, email, sms, in-app) -> its adapter; absent: not configured on this installation."""


@dataclass(frozen=True)
class Item:
    """A version from the outbox, with what matching asks about. body: None for a deletion. before: the body of the
    version before it, None where there was none."""

    vid: int
    key: int
    rtype: str
    fhir_id: str
    version: int
    op: int
    patient: int | None
    labels: int
    source_org: int
    body: bytes | None
    before: bytes | None = field(default=None, repr=False)

    @property
    def reference(self) -> str:
        return f"{self.rtype}/{self.fhir_id}"
