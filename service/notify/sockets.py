"""What a websocket is told, whatever carries it: a token binds it, then it hears of the numbered events.

http://hl7.org/fhir/uv/subscriptions-backport/channels.html#websockets . Nothing is queued for a socket: it reads on
from the last number that it was sent, so who is slow loses nothing. Access is decided anew for each event, by the same
function as for all channels, and the audit row of the disclosure is durable before anything is sent.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import orjson

from service import metrics
from service.access.context import Context, Settings
from service.auth.tokens import digest_of
from service.caller import Caller, Role
from service.notify.bundles import notification
from service.notify.deciding import Subscriber, Telling, subscriber, tell
from service.notify.model import Event, Kind, Outcome, Spec, State, spec_of
from service.notify.sending import batch, fitting
from service.store import deliveries, subscriptions, websockets
from service.store.change import AuditRow, Change, ClaimTaken, Stale, Statement
from service.store.deliveries import Attempt
from service.store.engine import Store

TRIES = 6
_NOBODY = Caller("anonymous", Role.HOSPITAL, "Organization/unknown")


class Refused(Exception):
    """The token is none, or none any more; which of these is not said."""


class Ended(Exception):
    """Nobody is to be told by this socket any more. `reason` is a short code."""

    def __init__(self, reason: str):
        super().__init__(reason)
        self.reason = reason


@dataclass
class Bound:
    """A subscription on one socket. cursor: the last number sent there. said_s: when something was (monotonic)."""

    key: int
    client_id: str
    asked_with: str
    cursor: int
    heartbeat_s: int = 0
    said_s: float = 0.0


@dataclass(frozen=True)
class Batch:
    """What is sent next; body None: these events are kept no longer."""

    first: int
    last: int
    body: bytes | None


async def bind(store: Store, behaviour: Settings, text: str, network: str = "") -> list[Bound]:
    """Takes the token: it is of no use from now on. Raises Refused."""
    now_us = store.clock.now_us()
    digest = digest_of(text)
    found = await websockets.token(store, digest) if digest else None
    if digest is None or found is None or found.expires_us <= now_us:
        raise await _refused(store, network, "token-unknown")
    if await websockets.revoked(store, found.client_id, found.asked_with):
        raise await _refused(store, network, "token-revoked")
    states = [state for key in found.keys if (state := await subscriptions.get(store, key))]
    states = [one for one in states if one.client_id == found.client_id and one.status in ("requested", "active")]
    callers = [await subscriber(store, one, behaviour, now_us) for one in states]
    if not states or None in callers or callers[0] is None:
        raise await _refused(store, network, "client-inactive")
    claim, gone = websockets.used(store, digest, found)
    names = {"subscriptions": [one.fhir_id for one in states], "net": network}
    row = callers[0].audit("E", "subscription-ws-bind", "Subscription", detail=names)
    try:
        await store.commit(Change(claims=[claim], statements=[gone], audit=[row]))
    except ClaimTaken:
        raise await _refused(store, network, "token-used") from None
    return [
        Bound(one.key, one.client_id, found.asked_with, one.delivered, spec_of(one.spec).heartbeat_s) for one in states
    ]


async def _refused(store: Store, network: str, reason: str) -> Refused:
    detail = orjson.dumps({"net": network}).decode() if network else ""
    who = (_NOBODY.client_id, _NOBODY.organization)
    row = AuditRow("E", "subscription-ws-bind", 4, *who, "Subscription", reason=reason, detail=detail)
    await store.commit(Change(audit=[row]))
    return Refused(reason)


async def check(store: Store, behaviour: Settings, bound: Bound) -> State:
    """The subscription as it stands. Raises Ended where it, its client or the access token is no more."""
    state = await subscriptions.get(store, bound.key)
    if state is None or state.status in ("off", "error"):
        raise Ended("subscription-ended")
    await _caller(store, behaviour, bound, state)
    return state


async def _caller(store: Store, behaviour: Settings, bound: Bound, state: State) -> Subscriber:
    caller = await subscriber(store, state, behaviour, store.clock.now_us())
    if caller is None or await websockets.revoked(store, bound.client_id, bound.asked_with):
        raise Ended("access-ended")
    return caller


async def greeting(store: Store, behaviour: Settings, bound: Bound, kind: Kind) -> bytes:
    """A handshake or heartbeat: how many events there were, and none of them."""
    state = await check(store, behaviour, bound)
    at_us = store.clock.now_us()
    return notification(state, spec_of(state.spec), kind, (), behaviour.base_url, at_us=at_us)


async def following(store: Store, behaviour: Settings, bound: Bound) -> Batch | None:
    """What comes behind the cursor, once its disclosure is in the audit. None: nothing now. Raises Ended."""
    for attempt in range(TRIES):
        state = await subscriptions.get(store, bound.key)
        if state is None or state.status in ("off", "error"):
            raise Ended("subscription-ended")
        if state.paused or state.status != "active" or state.numbered <= bound.cursor:
            return None
        spec = spec_of(state.spec)
        first = bound.cursor + 1
        events = await deliveries.events(store, state.key, first, state.numbered, batch(spec))
        if not events or events[0].number > first:
            return Batch(first, events[0].number - 1 if events else state.numbered, None)
        caller = await _caller(store, behaviour, bound, state)
        caller.again = attempt > 0
        try:
            return await _batch(store, behaviour, caller, state, spec, events)
        except Stale:  # a right moved in between: decide again
            continue
    return None


async def _batch(
    store: Store, behaviour: Settings, caller: Subscriber, state: State, spec: Spec, events: Sequence[Event]
) -> Batch:
    told = await tell(caller, spec, events, spec.content)
    kept = fitting(told.told, spec)
    if len(kept) < len(told.told):
        events = [one for one in events if one.number < told.told[len(kept)].number]
    first, last = events[0].number, events[-1].number
    change = Change(audit=[_disclosed(caller, state, told, first, last)])
    told.rely(change)
    await store.commit(change)
    known = {one.number for one in kept}
    silent = [one.number for one in events if one.number not in known]
    url, at_us = behaviour.base_url, caller.now_us
    return Batch(first, last, notification(state, spec, Kind.EVENT, kept, url, numbers=silent, at_us=at_us))


def _disclosed(ctx: Context, state: State, told: Telling, first: int, last: int) -> AuditRow:
    return told.row(ctx, "notification", state.reference, channel="websocket", first=first, last=last)


async def shaken(store: Store, bound: Bound, ms: int) -> None:
    """The handshake went out. It proves nothing: who binds has shown the client's token, and a worker activates."""
    statement = _attempt(store, bound, "handshake", Batch(0, 0, None), ms, store.clock.now_us())
    await store.commit(Change(statements=[statement]))


async def sent(store: Store, bound: Bound, told: Batch, ms: int) -> None:
    """The socket took it: in the ledger, and delivered. What is kept no longer is in the ledger as lost."""
    bound.cursor = max(bound.cursor, told.last)
    at_us = store.clock.now_us()
    if told.body is None:
        lost = deliveries.expired(bound.key, told.first, told.last, at_us, store.next_id(at_us))
        await store.commit(Change(statements=lost))
        return
    recorded = _attempt(store, bound, "event", told, ms, at_us)
    await store.commit(Change(statements=[recorded, *deliveries.arrived(bound.key, told.last, at_us)]))
    metrics.delivery_attempted("websocket", Outcome.OK.value)
    metrics.events_delivered(told.last - told.first + 1)


async def unread(store: Store, bound: Bound, told: Batch, ms: int) -> None:
    """The socket did not take it in time; who binds again is sent it then."""
    statement = _attempt(store, bound, "event", told, ms, store.clock.now_us(), "slow-reader")
    await store.commit(Change(statements=[statement]))
    metrics.delivery_attempted("websocket", Outcome.FAILED.value)


def _attempt(store: Store, bound: Bound, kind: str, told: Batch, ms: int, at_us: int, reason: str = "") -> Statement:
    outcome = Outcome.FAILED if reason else Outcome.OK
    ident = store.next_id(at_us)
    attempt = Attempt(ident, at_us, kind, told.first, told.last, outcome.value, reason=reason, ms=ms)
    return deliveries.attempted(bound.key, attempt)
