"""What a turn finds when it looks at its subscription: row, client and what waits; on PostgreSQL in one statement.

What a Change relies on (the epoch of the subscription's key, the version of the Subscription, the epochs of client and
patients) is read before what is decided by, or in the same statement.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from service.access.context import Settings
from service.notify import sending
from service.notify.deciding import Barred, Subscriber, standing
from service.notify.model import NEVER_US, Spec, State, spec_of
from service.store import deliveries, epochs, event_versions, read, subscriptions
from service.store.change import Change
from service.store.deliveries import Waiting
from service.store.engine import Store
from service.store.event_versions import Version
from service.store.together import together

AGAIN_US = 60_000_000


@dataclass(frozen=True)
class Seen:
    """The subscription as it stands in this round, and what a Change about it relies on.

    who, events, versions, resends: of look() only; what waits is not older than `state`, so that a nudge after it shows
    in due_us (store/deliveries.py `released`).
    """

    state: State
    spec: Spec
    epoch: int
    version: int
    who: Subscriber | Barred = Barred.ENDED
    events: Sequence[Waiting] = ()
    versions: Mapping[int, Version] = field(default_factory=dict)
    resends: Sequence[Waiting] = ()

    def change(self, *, relying: bool = True) -> Change:
        """relying: the Change is of no use once the client wrote the Subscription."""
        key = self.state.key
        relied = {self.state.reference: self.version} if relying else {}
        return Change(relied=relied, epochs={key: self.epoch}, bump_epochs={key})

    def beat_us(self, last_us: int) -> int:
        """When a heartbeat is due. last_us: when something was sent last."""
        return last_us + self.spec.heartbeat_s * 1_000_000 if self.spec.heartbeat_s else NEVER_US

    def rests(self, now_us: int, *, sent_now: bool = False) -> tuple[int, int]:
        """For deliveries.released(), where nothing is left of what waited when this was seen.

        sent_now: something was sent just now.
        """
        state = self.state
        due_us = self.spec.end_us or NEVER_US
        if state.status == "active" and state.channel != "websocket" and not state.paused:
            due_us = min(due_us, self.beat_us(now_us if sent_now else state.beat_us))
        if state.due_us < state.lease_until_us:
            # Nudged while it was leased: a worker of a former release may do so again without a trace.
            due_us = min(due_us, now_us + AGAIN_US)
        return due_us, state.due_us


async def glance(store: Store, known: State) -> Seen | None:
    """None: it is gone."""
    epoch, versions, state = await together(
        store,
        epochs.epoch(store, known.key),
        read.versions_now(store, [known.reference]),
        subscriptions.get(store, known.key),
    )
    if state is None:
        return None
    return Seen(state, spec_of(state.spec), epoch, versions[known.reference])


async def look(store: Store, behaviour: Settings, known: State) -> Seen | None:
    """All that one round needs. known: the row as it was last seen; where it is another now, it looks again."""
    now_us = store.clock.now_us()
    most = sending.batch(spec_of(known.spec))
    seen, who, events, versions, resends = await together(
        store,
        glance(store, known),
        standing(store, known, behaviour, now_us),
        deliveries.waiting(store, known.key, limit=most),
        event_versions.waiting(store, known.key, limit=most),
        deliveries.resends(store, known.key, limit=most),
    )
    if seen is None:
        return None
    if _asked(seen.state) != _asked(known):
        return await look(store, behaviour, seen.state)
    return replace(seen, who=who, events=events, versions=versions, resends=resends)


def _asked(state: State) -> tuple[str, ...]:
    """By what the look was made."""
    return state.client_id, state.organization, state.scopes, state.spec
