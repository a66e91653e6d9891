"""What the parts of notification hand each other: plain data."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from enum import StrEnum
from typing import Any, Protocol

import orjson

from service.store.notify_rows import Event as Event
from service.store.notify_rows import Item as Item
from service.store.notify_rows import State as State

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
    timeout_s, heartbeat_s: 0 for none. max_count: events in one notification. end_us: Subscription.end, 0 for none.
    language: as Subscription.language, of texts that people read. format: of what is sent in place of the backport's
    Bundle (davinci.py), "" for that.
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
    end_us: int = 0
    language: str = ""
    format: str = ""

    def text(self) -> str:
        """Without a format that is not asked for: a former release reads the rows too."""
        told = {one.name: getattr(self, one.name) for one in fields(self)}
        return orjson.dumps({name: value for name, value in told.items() if name != "format" or value}).decode()


def spec_of(text: str) -> Spec:
    stored: dict[str, Any] = orjson.loads(text)
    lists = {name: tuple(stored[name]) for name in ("headers", "filters")}
    return Spec(**{**stored, **lists, "content": Content(stored["content"])})


@dataclass(frozen=True)
class Told:
    """An event as one notification tells it, after access was decided: what the subscriber may know and no more.

    reference: the focus, "" where nothing of it is told. method: POST (created), PUT, DELETE. body: JSON text, None
    where no resource goes along. context: references of additional-context. included: (reference, JSON text) that go
    along. notice: OperationOutcome that states 42 CFR 2.32, where what goes along demands it. before: the version
    before, never sent: by it a format (davinci.py) tells what happened.
    """

    number: int
    at_us: int
    reference: str = ""
    method: str = "PUT"
    body: bytes | None = None
    context: tuple[str, ...] = ()
    included: tuple[tuple[str, bytes], ...] = ()
    notice: bytes | None = None
    before: bytes | None = None


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
