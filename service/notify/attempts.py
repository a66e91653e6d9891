"""One attempt at a notification: sent by its channel, and what follows from the outcome, as a Change."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass

from service import metrics
from service.access.context import Settings
from service.log_events import DELIVERY_FAILED, DELIVERY_SENT, NOTIFY_CHANNEL_BROKEN, NOTIFY_GIVEN_UP, log, where
from service.notify import backoff, plan_told, sending, standing
from service.notify.backoff import Draw, Failing
from service.notify.failure_words import in_words
from service.notify.hosts import Hosts, NoPlace, host_of
from service.notify.model import Channels, Kind, Message, Outcome, Result, Spec, State, Told
from service.store import deliveries
from service.store.change import Change
from service.store.deliveries import Attempt, Waiting
from service.store.engine import Store
from service.store.subscriptions import changed

Stands = Callable[[Store], Awaitable[bool]]
"""Whether what was decided is true still."""
Rests = tuple[int, int] | None
"""For deliveries.released(), where nothing waits any more."""
BUSY_US = 500_000
"""After so long it is asked again whether the receiver has a place."""
GIVEN_UP = {
    "ladder": "Given up: for 72 hours nothing arrived.",
    "handshake": "Given up: three handshakes within a minute failed.",
    "refused": "Given up: the receiver cannot be reached under this endpoint.",
}
NOTHING_TO_TELL = "nothing-to-tell"
REACTIVATE = "Set status to requested to start again; events are numbered meanwhile, and go out then."


@dataclass(frozen=True)
class Sent:
    """What came of it. attempt: None where the receiver had no place for it, so that nothing was sent."""

    kind: Kind
    attempt: Attempt | None
    outcome: Outcome = Outcome.FAILED
    resent: Sequence[Waiting] = ()

    def is_all(self, state: State) -> bool:
        """Whether nothing that has a number is left to send once this has arrived.

        Not of one that was failing: what was matched meanwhile has not nudged it (store/outbox.py).
        """
        if self.attempt is None or self.resent or self.kind is not Kind.EVENT or self.outcome is not Outcome.OK:
            return False
        at_work = state.status == "active" and not state.paused and not state.failures
        return at_work and self.attempt.last >= state.numbered

    async def stays(self, store: Store, state: State) -> list[tuple[str, int]]:
        """Of which stays a plan has been told by it (plan_told.py)."""
        if self.attempt is None or self.resent or self.outcome is not Outcome.OK:
            return []
        told = bool(self.attempt.last) and self.attempt.reason != NOTHING_TO_TELL
        return await plan_told.stays(store, state, self.attempt.last) if told else []

    async def settle(
        self,
        store: Store,
        behaviour: Settings,
        state: State,
        draw: Draw,
        *,
        stays: Sequence[tuple[str, int]] = (),
        rests: Rests = None,
    ) -> tuple[Change, bool]:
        """The Change, and whether the turn goes on. state: as it stands now, which the client may have changed.

        stays: as stays() gives them.
        """
        now_us = store.clock.now_us()
        if self.attempt is None:
            due_us = now_us + int((0.5 + draw()) * BUSY_US)
            return Change(statements=[deliveries.released(state.key, due_us)]), False
        change = Change()
        if self.outcome is Outcome.OK:
            over = rests is not None and self.is_all(state)
            plan_told.told(store, change, state, stays, now_us)
            await self._arrived(store, behaviour, state, change, now_us, rests if over else None)
            change.statements.append(deliveries.attempted(state.key, self.attempt))
            return change, not over
        change.statements.append(deliveries.attempted(state.key, self.attempt))
        if state.status != ("requested" if self.kind is Kind.HANDSHAKE else "active"):
            change.statements.append(deliveries.released(state.key, now_us))
            return change, False
        failing = await self._failing(store, state, now_us, draw)
        words = in_words(self.attempt.reason, self.attempt.status)
        if failing.over:
            return await self._given_up(store, behaviour, state, change, words)
        columns = {"failures": failing.failures, "failing_since_us": failing.since_us, "error": words}
        change.statements += [changed(state.key, **columns), deliveries.released(state.key, failing.due_us)]
        return change, False

    async def _arrived(
        self,
        store: Store,
        behaviour: Settings,
        state: State,
        change: Change,
        now_us: int,
        rests: tuple[int, int] | None,
    ) -> None:
        assert self.attempt is not None
        columns: dict[str, object] = {"failures": 0, "failing_since_us": 0, "beat_us": now_us}
        if state.status != "error":
            columns["error"] = ""
        if self.resent or not self.attempt.last:
            change.statements += [*deliveries.taken(self.resent), changed(state.key, **columns)]
        else:
            change.statements += deliveries.arrived(state.key, self.attempt.last, now_us, rests, **columns)
        if self.kind is Kind.HANDSHAKE and state.status == "requested":
            change.merge(await standing.moved(store, state, behaviour, now_us, "active"))

    async def _failing(self, store: Store, state: State, now_us: int, draw: Draw) -> Failing:
        if self.kind is Kind.HANDSHAKE:
            return backoff.handshake_failed(state.failures, state.failing_since_us, now_us, draw)
        refused = 0
        if self.outcome is Outcome.REFUSED:
            before = await deliveries.attempts(store, state.key, limit=min(2, state.failures)) if state.failures else []
            refused = 1 + sum(1 for one in before if one.outcome == Outcome.REFUSED)
        return backoff.failed(state.failures, state.failing_since_us, now_us, self.outcome, refused, draw)

    async def _given_up(
        self, store: Store, behaviour: Settings, state: State, change: Change, words: str
    ) -> tuple[Change, bool]:
        assert self.attempt is not None
        why = "handshake" if self.kind is Kind.HANDSHAKE else "ladder"
        if why == "ladder" and self.outcome is Outcome.REFUSED:
            why = "refused"
        text = f"{GIVEN_UP[why]} {words} {REACTIVATE}"
        log(NOTIFY_GIVEN_UP, subscription=state.fhir_id, reason=why, last=self.attempt.reason)
        return change.merge(await standing.moved(store, state, behaviour, store.clock.now_us(), "error", text)), False


class Sender:
    """The channels of this process, and how many deliveries each receiver has under way."""

    def __init__(self, store: Store, channels: Channels, key: bytes, base_url: str):
        self._store, self._channels, self._key, self._base_url = store, channels, key, base_url
        self._hosts = Hosts()

    async def send(
        self,
        state: State,
        spec: Spec,
        kind: Kind,
        told: Sequence[Told],
        lease_us: int,
        *,
        numbers: Iterable[int] = (),
        ledger: str = "",
        resent: Sequence[Waiting] = (),
        stands: Stands | None = None,
    ) -> Sent:
        """numbers: that go out without content. ledger: kind of attempt. lease_us: until then it must be over.

        stands: asked again after a wait for a place, in which a right may have ended: then it is decided anew.
        """
        every = sorted([*(one.number for one in told), *numbers])
        first, last = (every[0], every[-1]) if every else (0, 0)
        ledger = ledger or kind.value
        started, at_us = time.perf_counter(), self._store.clock.now_us()
        ident = _ident(state, ledger, first, last, resent[0].id if resent else at_us)
        try:
            made = sending.message(
                state, spec, kind, told, numbers=numbers, ident=ident, base_url=self._base_url, key=self._key,
                now_us=at_us, test=ledger == "test",
            )  # fmt: skip
            if made.body == sending.NOTHING:
                result = Result(Outcome.OK, reason=NOTHING_TO_TELL)
            else:
                async with self._hosts.place(host_of(spec.endpoint), failing=state.failures > 0) as waited:
                    if waited and stands is not None and not await stands(self._store):
                        raise NoPlace
                    started = time.perf_counter()
                    result = await self._sent(spec.channel, made, (lease_us - at_us) / 1e6)
        except NoPlace:
            return Sent(kind, None)
        except sending.NoSecret:
            result = Result(Outcome.FAILED, reason="secret")
        ms = int((time.perf_counter() - started) * 1000)
        self._tell(state, result, ms, len(every))
        ident_no = self._store.next_id(at_us)
        facts = (result.outcome.value, result.status, result.reason, ms, result.receipt[:200])
        return Sent(kind, Attempt(ident_no, at_us, ledger, first, last, *facts), result.outcome, resent)

    async def _sent(self, name: str, message: Message, within_s: float) -> Result:
        channel = self._channels.get(name)
        if channel is None:
            return Result(Outcome.REFUSED, reason="no-channel")
        try:
            async with asyncio.timeout(max(within_s - 1, 1)):
                return await channel.send(message)
        except TimeoutError:
            return Result(Outcome.FAILED, reason="timeout")
        except Exception as error:  # a defect of the adapter must not end the worker
            log(NOTIFY_CHANNEL_BROKEN, channel=name, **where(error))
            return Result(Outcome.FAILED, reason="defect")

    def _tell(self, state: State, result: Result, ms: int, events: int) -> None:
        metrics.delivery_attempted(state.channel, result.outcome.value)
        if result.outcome is Outcome.OK:
            metrics.events_delivered(events)
            log(DELIVERY_SENT, subscription=state.fhir_id, channel=state.channel, status=result.status, ms=ms)
            return
        log(
            DELIVERY_FAILED,
            subscription=state.fhir_id,
            channel=state.channel,
            status=result.status,
            reason=result.reason,
            attempts=state.failures + 1,
        )


def _ident(state: State, ledger: str, first: int, last: int, other: int) -> str:
    """Of events the same at each attempt; no full stop, which divides what is signed."""
    name = state.fhir_id.replace(".", "_")
    if ledger in ("event", "test"):
        return f"msg_{name}_{first}_{last}"
    return f"msg_{name}_{ledger}_{other}"
