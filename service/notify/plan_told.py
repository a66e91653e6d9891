"""A notification of a stay that arrived: from now on its subscriber's organization has been told of it.

Meets the timers `plan-relay` (service/workflow/relays.py): the rule of 24 hours is measured for the plan, too.
"""

from collections.abc import Iterable

from service.notify.model import State
from service.store import timers
from service.store.change import Change
from service.store.engine import Store
from service.store.event_versions import stays_told

KIND = "plan-relay"
TOPIC = "care-transition"
LATEST = 1_000_000 << 12
"""A timer's number may be so much (a second) past the version that was committed with it (service/store/slots.py)."""


def subject(encounter: str, organization: str) -> str:
    """What such a timer is about."""
    return f"{encounter} {organization}"


async def stays(store: Store, state: State, last: int) -> list[tuple[str, int]]:
    """(reference of an Encounter, vid) that follow from the arrival of the events up to number `last`.

    state: as it stood before.
    """
    if state.topic != TOPIC or last <= state.delivered:
        return []
    return await stays_told(store, state.key, state.delivered, last)


def told(store: Store, change: Change, state: State, several: Iterable[tuple[str, int]], now_us: int) -> None:
    """Adds that these arrived."""
    for encounter, vid in several:
        about = subject(encounter, state.organization)
        change.statements.append(timers.met_until(KIND, about, vid + LATEST, now_us))
        change.bump_epochs.add(store.keys.of("timer", about))
