"""One worker's turn at one subscription: decide, number, commit; only then send, and commit what came of it.

All under the lease with which the subscription was claimed. Each Change is fenced by the epoch of the subscription's
key (a worker whose lease another took over loses) and, where something goes out, relies on the version of the
Subscription and on what the decision rested on. Killed between numbering and the record of the attempt: sent again
under the same numbers.
What waits in which status: ../shared/decisions.md 23; service/store/tables_notify.py.
"""

import asyncio
import contextlib
import random
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from fhir_profiles.topics import topics
from service.access.context import Settings
from service.access.tripwire import Moved
from service.caller import system_caller
from service.log_events import NOTIFY_GIVEN_UP, NOTIFY_TURN_LOST, NOTIFY_UNDECIDED, log, where
from service.notify import endpoints, looking, sending, standing
from service.notify.attempts import Sender, Sent
from service.notify.backoff import Draw
from service.notify.deciding import Barred, Subscriber, Telling, tell
from service.notify.deciding import standing as standing_now
from service.notify.looking import Seen
from service.notify.matching import filters_of
from service.notify.model import NEVER_US, Content, Event, Kind, Spec, State, Told, spec_of
from service.store import deliveries
from service.store.change import AuditRow, Change, Stale
from service.store.database import TooCostly, Unavailable
from service.store.deliveries import Waiting
from service.store.engine import Store
from service.store.together import together

TRIES = 6
MOST_ROUNDS = 50
"""Notifications of one turn; then others come first."""
LEASE_MARGIN_US = 9_000_000
AWAY_US = 500_000
MAIL_US = 45_000_000
"""A mail server may take its time (channels/mail.py)."""
ENDED = "The end that the subscription names has passed."
UNREADABLE = (
    "A filter of the subscription is not served any more, so that it hears of nothing: send it with filters of its "
    "topic (see /fhir/metadata) and status requested; ask for what you missed by a search."
)
PATIENCE_US = 3_600_000_000
"""So long an event that cannot be decided, by our fault, is tried again and holds up those behind it."""


class Lost(Exception):
    """The lease is another's now, or the subscription is gone: nothing more is done here."""


@dataclass(frozen=True)
class Hands:
    """What the turns of a process share. limit: of those that decide or commit. stopping: no further round is begun."""

    limit: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(1))
    stopping: Callable[[], bool] = lambda: False
    draw: Draw = random.random


class Turn:
    """What one claimed subscription needs now."""

    def __init__(self, store: Store, behaviour: Settings, sender: Sender, claimed: State, hands: Hands):
        self.store, self.behaviour, self.sender, self.hands = store, behaviour, sender, hands
        self.key, self.lease_us, self.known = claimed.key, claimed.lease_until_us, claimed
        self.reference, self.fhir_id = claimed.reference, claimed.fhir_id

    async def run(self) -> None:
        try:
            for _ in range(MOST_ROUNDS):
                async with self.hands.limit:
                    more = await self._again(self._round)
                if not more:
                    return
                if self.hands.stopping():
                    break
            async with self.hands.limit:
                await self._again(self._give_back)
        except Lost:
            log(NOTIFY_TURN_LOST, subscription=self.fhir_id)

    async def put_off(self, after_us: int) -> None:
        """Something failed by our fault: later again."""
        with contextlib.suppress(Lost, Stale):
            await self._give_back(await self._glance(), after_us)

    async def _again(self, step: Callable[[Seen], Awaitable[bool]]) -> bool:
        """A step of deciding and committing; decided again where a race was lost."""
        for attempt in range(TRIES):
            try:
                return await step(await self._look())
            except Stale:
                await asyncio.sleep(self.hands.draw() * 0.004 * 2**attempt)
        with contextlib.suppress(Stale):
            await self._give_back(await self._look(), 1_000_000)
        return False

    async def _look(self) -> Seen:
        return self._held(await looking.look(self.store, self.behaviour, self.known))

    async def _glance(self) -> Seen:
        return self._held(await looking.glance(self.store, self.known))

    def _held(self, seen: Seen | None) -> Seen:
        if seen is None or seen.state.lease_until_us != self.lease_us:
            raise Lost
        self.known = seen.state
        return seen

    async def _give_back(self, seen: Seen, after_us: int = 0) -> bool:
        return await self._release(seen, self.store.clock.now_us() + after_us)

    async def _release(self, seen: Seen, due_us: int) -> bool:
        change = seen.change(relying=False)
        change.statements.append(deliveries.released(self.key, due_us))
        await self.store.commit(change)
        return False

    async def _rested(self, seen: Seen) -> bool:
        """Nothing of what was looked at is left to do."""
        change = seen.change(relying=False)
        change.statements.append(deliveries.released(self.key, *seen.rests(self.store.clock.now_us())))
        await self.store.commit(change)
        return False

    # --- what there is to do -------------------------------------------------------------------------------------

    async def _round(self, seen: Seen) -> bool:
        """One notification, or one step of status; whether there may be more to do."""
        state, spec, now_us = seen.state, seen.spec, self.store.clock.now_us()
        if state.status == "off":
            return await self._release(seen, NEVER_US)
        if spec.end_us and now_us >= spec.end_us:
            return await self._move(seen, "off", ENDED)
        who = seen.who
        if isinstance(who, Barred):
            return await self._barred(seen, who.value, "off" if who is Barred.ENDED else "error", who.name.lower())
        if words := self._unlisted(who, spec):
            return await self._barred(seen, words, "error", "endpoint")
        if not self._readable(state):
            return await self._barred(seen, UNREADABLE, "error", "filter")
        if state.paused:
            return await self._release(seen, spec.end_us or NEVER_US)
        if state.status == "requested":
            return await self._handshake(seen)
        sends = state.status == "active" and state.channel != "websocket"
        if sends and state.numbered > state.delivered:
            return await self._retry(seen, who)
        if seen.events:
            return await self._number(seen, who, seen.events, sends=sends)
        if sends and seen.resends:
            return await self._resend(seen, who, seen.resends)
        if sends and now_us >= seen.beat_us(state.beat_us):
            return await self._tell_state(seen, Kind.HEARTBEAT)
        return await self._rested(seen)

    # --- status --------------------------------------------------------------------------------------------------

    async def _move(self, seen: Seen, status: str, words: str = "") -> bool:
        now_us = self.store.clock.now_us()
        moving = await standing.moved(self.store, seen.state, self.behaviour, now_us, status, words)
        if not moving.writes:
            raise Lost  # deleted
        await self.store.commit(seen.change().merge(moving))
        return status == "active"

    async def _barred(self, seen: Seen, why: str, status: str, reason: str) -> bool:
        """Nothing goes out, nothing is numbered: what waits is decided when the client is back."""
        if seen.state.status == "error":
            return await self._release(seen, NEVER_US)
        moved = await self._move(seen, status, why)
        if status == "error":
            log(NOTIFY_GIVEN_UP, subscription=seen.state.fhir_id, reason=reason, last=reason)
        return moved

    def _unlisted(self, who: Subscriber, spec: Spec) -> str:
        """Why nothing may be sent to the endpoint any more: the operator may have struck it out since."""
        facts = self.behaviour
        sandbox = facts.env == "sandbox"
        allow = facts.egress_allow
        return endpoints.problem(spec.channel, spec.endpoint, who.endpoints, sandbox=sandbox, exceptions=allow)

    async def _handshake(self, seen: Seen) -> bool:
        if seen.state.channel == "websocket" or seen.spec.format:
            # Who binds has shown a token of the client; and $process-message would refuse a handshake.
            return await self._move(seen, "active")
        return await self._tell_state(seen, Kind.HANDSHAKE)

    async def _tell_state(self, seen: Seen, kind: Kind) -> bool:
        """Handshake or heartbeat: of no event and no person."""
        seen = await self._hold(seen)
        return await self._settled(await self._send(seen.state, seen.spec, kind, []))

    async def _hold(self, seen: Seen) -> Seen:
        """The lease goes on for as long as the attempt may take."""
        if self.store.clock.now_us() + self._longest_us(seen) <= self.lease_us:
            return seen
        change = seen.change()
        self._extend(seen, change)
        await self._commit_held(change)
        return await self._glance()

    def _extend(self, seen: Seen, change: Change) -> None:
        self._until = self.store.clock.now_us() + self._longest_us(seen)
        change.statements.append(deliveries.extended(self.key, self._until))

    def _longest_us(self, seen: Seen) -> int:
        if seen.spec.channel == "email":
            return MAIL_US
        return int(sending.timeout_s(seen.spec) * 1_000_000) + LEASE_MARGIN_US

    async def _commit_held(self, change: Change) -> None:
        await self.store.commit(change)
        self.lease_us = self._until

    # --- events --------------------------------------------------------------------------------------------------

    async def _number(self, seen: Seen, who: Subscriber, rows: Sequence[Waiting], *, sends: bool) -> bool:
        """Decides about what waits and numbers it. Nothing leaves in error and to websockets: it is decided again."""
        state, spec = seen.state, seen.spec
        asked = [Event(place, row.vid, row.key, row.kind, False, row.at_us) for place, row in enumerate(rows)]
        try:
            telling = await self._told(who, seen, asked)
        except (Stale, Lost, Unavailable, TooCostly):
            raise
        except Exception as error:
            return await self._undecided(seen, who, rows, error, sends=sends)
        number = {one.number: state.numbered + place for place, one in enumerate(telling.told, 1)}
        events = [replace(one, number=number[one.number]) for one in asked if one.number in number]
        told = [replace(one, number=number[one.number]) for one in telling.told]
        hidden = [row for row, one in zip(rows, asked, strict=True) if one.number not in number]
        change = seen.change()
        telling.rely(change)
        change.audit += [self._suppressed(who, state, row) for row in hidden]
        if sends and hidden and len(rows) == sending.batch(spec):
            # They go first and alone: else from how many come at once it could be told how many were kept back.
            change.statements += deliveries.taken(hidden)
            await self.store.commit(change)
            return True
        change.statements += deliveries.taken(rows)
        if not (sends and events):
            change.statements += deliveries.numbered(self.key, events)
            await self.store.commit(change)
            return True
        change.audit.append(telling.row(who, "notification", state.reference))
        self._until = self.store.clock.now_us() + self._longest_us(seen)
        change.statements += deliveries.numbered(self.key, events, self._until)
        await self._commit_held(change)
        state = replace(state, numbered=events[-1].number)
        kind = "test" if all(one.kind == "test" for one in events) else "event"
        kept = sending.fitting(told, spec)
        return await self._settled(await self._send(state, spec, Kind.EVENT, kept, ledger=kind, stands=telling.stands))

    async def _undecided(
        self, seen: Seen, who: Subscriber, rows: Sequence[Waiting], error: Exception, *, sends: bool
    ) -> bool:
        """A defect over one event: each is decided alone; the one that fails is put aside in the end, and recorded."""
        if len(rows) > 1:
            return await self._number(seen, who, rows[:1], sends=sends)
        if self.store.clock.now_us() - rows[0].at_us < PATIENCE_US:
            raise error
        log(NOTIFY_UNDECIDED, subscription=seen.state.fhir_id, vid=rows[0].vid, **where(error))
        change = seen.change()
        change.audit.append(replace(self._suppressed(who, seen.state, rows[0]), outcome=8, reason="undecidable"))
        change.statements += deliveries.taken(rows)
        await self.store.commit(change)
        return True

    def _readable(self, state: State) -> bool:
        """A release may serve fewer filters than the one that took the subscription."""
        topic, base_url = topics().get(spec_of(state.spec).topic), self.behaviour.base_url
        keys = self.store.keys
        return topic is not None and filters_of(topic, state.fhir_id, state.spec, keys, base_url) is not None

    async def _retry(self, seen: Seen, who: Subscriber) -> bool:
        """What was numbered and did not arrive. Who lost the right meanwhile is sent the number and nothing else."""
        state = seen.state
        limit = sending.batch(seen.spec)
        events = await deliveries.events(self.store, self.key, state.delivered + 1, state.numbered, limit)
        last = events[0].number - 1 if events else state.numbered
        if last > state.delivered:  # too old: kept no longer
            now_us = self.store.clock.now_us()
            ident = self.store.next_id(now_us)
            change = seen.change()
            change.statements += deliveries.expired(self.key, state.delivered + 1, last, now_us, ident)
            await self.store.commit(change)
            return True
        kind = "test" if all(one.kind == "test" for one in events) else "event"
        return await self._send_again(seen, who, events, kind)

    async def _resend(self, seen: Seen, who: Subscriber, rows: Sequence[Waiting]) -> bool:
        numbers = [-row.vid for row in rows if -row.vid <= seen.state.delivered]
        events = await deliveries.events_of(self.store, self.key, numbers)
        if not events:
            change = seen.change()
            change.statements += deliveries.taken(rows)
            await self.store.commit(change)
            return True
        return await self._send_again(seen, who, events, "resend", rows)

    async def _send_again(
        self, seen: Seen, who: Subscriber, events: Sequence[Event], ledger: str, rows: Sequence[Waiting] = ()
    ) -> bool:
        telling = await self._told(who, seen, events)
        kept = sending.fitting(telling.told, seen.spec)
        if len(kept) < len(telling.told):
            first_out = telling.told[len(kept)].number
            events = [one for one in events if one.number < first_out]
        known = {one.number for one in kept}
        hidden = [one.number for one in events if one.number not in known]
        newly = [one.number for one in events if one.number not in known and not one.emptied]
        change = seen.change()
        telling.rely(change)
        change.statements += deliveries.emptied(self.key, newly)
        change.audit.append(telling.row(who, "notification", seen.state.reference))
        self._extend(seen, change)
        await self._commit_held(change)
        done = [row for row in rows if -row.vid <= events[-1].number]
        more = {"numbers": hidden, "ledger": ledger, "resent": done, "stands": telling.stands}
        return await self._settled(await self._send(seen.state, seen.spec, Kind.EVENT, kept, **more))

    async def _told(self, who: Subscriber, seen: Seen, events: Sequence[Event]) -> Telling:
        """The second wall alarms where it judges otherwise twice, and then nothing goes out."""
        try:
            return await tell(who, seen.spec, events, Content(seen.spec.content), seen.versions)
        except Moved:
            now_us = self.store.clock.now_us()
            again = await standing_now(self.store, seen.state, self.behaviour, now_us)
            if isinstance(again, Barred):
                raise
            again.again = True
            who.epochs, who.relied = again.epochs, again.relied
            return await tell(again, seen.spec, events, Content(seen.spec.content))

    def _suppressed(self, who: Subscriber, state: State, row: Waiting) -> AuditRow:
        """For the auditor alone: the row is the service's, so that no search of the subscriber's finds it."""
        service = system_caller()
        detail = f'{{"client":"{state.client_id}","vid":{row.vid}}}'
        return AuditRow(
            "E",
            "notification-suppressed",
            4,
            service.client_id,
            service.organization,
            state.reference,
            request_id=who.request_id,
            reason="no-right",
            detail=detail,
        )

    # --- what came of it -----------------------------------------------------------------------------------------

    async def _send(self, state: State, spec: Spec, kind: Kind, told: Sequence[Told], **more: Any) -> Sent:
        """While the receiver takes its time, another turn may use the database."""
        self.hands.limit.release()
        try:
            return await self.sender.send(state, spec, kind, told, self.lease_us, **more)
        finally:
            await self.hands.limit.acquire()

    async def _settled(self, sent: Sent) -> bool:
        """Records the attempt. The client may have written the Subscription meanwhile: its word stays.

        What the database does not take is offered again until the lease ends: else it would be sent again.
        """
        for attempt in range(TRIES):
            while True:
                try:
                    change, more = await self._outcome(sent)
                    await self.store.commit(change)
                    return more
                except Stale:
                    break
                except Unavailable:
                    if self.store.clock.now_us() + AWAY_US > self.lease_us:
                        raise
                    await asyncio.sleep(AWAY_US / 1e6)
            await asyncio.sleep(self.hands.draw() * 0.004 * 2**attempt)
        raise Lost

    async def _outcome(self, sent: Sent) -> tuple[Change, bool]:
        known, store = self.known, self.store
        seen, nothing, stays = await together(
            store, self._glance(), deliveries.nothing_waits(store, self.key), sent.stays(store, known)
        )
        if seen.state.delivered != known.delivered or seen.state.topic != known.topic:
            stays = await sent.stays(store, seen.state)
        rests = seen.rests(store.clock.now_us(), sent_now=True) if nothing else None
        settled = await sent.settle(store, self.behaviour, seen.state, self.hands.draw, stays=stays, rests=rests)
        return seen.change(relying=False).merge(settled[0]), settled[1]
