"""What one process answered to each sender, kept in memory and added to feed_hour every few seconds.

Figures for operations only: what a killed process had not written yet is missing there. What was received is counted
from the inbox itself (feed_watch.py), and that is exact.
"""

import asyncio
import contextlib
import time
from weakref import WeakKeyDictionary, proxy

from service import metrics
from service.store import feed_hours
from service.store.change import Change, NotCommitted
from service.store.database import Unavailable
from service.store.engine import Store
from service.store.feed_hours import Hour, hour_of

EVERY_S = 10.0


def tally_of(store: Store) -> "Tally":
    """The one of this process: a receiver lives as long as a connection, or one request."""
    found = _TALLIES.get(store)
    if found is None:
        found = _TALLIES[store] = Tally(store)
    return found


class Tally:
    """Of one process."""

    def __init__(self, store: Store):
        self._store = proxy(store)
        self._hours: dict[tuple[str, int], Hour] = {}
        self._written = time.monotonic()
        self._writing: asyncio.Task[None] | None = None

    def answered(
        self, source: str, now_us: int, seconds: float, *, negative: bool = False, repeat: bool = False
    ) -> None:
        """source: the name of a registration, "" for everybody else."""
        metrics.message_took(seconds)
        key = (source or metrics.UNREGISTERED, hour_of(now_us))
        hour = self._hours.setdefault(key, Hour())
        took_us = int(seconds * 1e6)
        hour.repeated += repeat
        hour.negative += negative
        hour.ack_us += took_us
        hour.ack_most_us = max(hour.ack_most_us, took_us)
        if time.monotonic() - self._written > EVERY_S and (self._writing is None or self._writing.done()):
            self._written = time.monotonic()
            self._writing = asyncio.get_running_loop().create_task(self.write())

    async def write(self) -> None:
        """Adds what was counted since the last time; kept where the store does not take it."""
        taken, self._hours = self._hours, {}
        statements = [feed_hours.add(source, hour, told) for (source, hour), told in sorted(taken.items())]
        try:
            if statements:
                await self._store.commit(Change(statements=statements))
        except (Unavailable, NotCommitted):
            for key, told in taken.items():
                self._add(key, told)

    def _add(self, key: tuple[str, int], told: Hour) -> None:
        with contextlib.suppress(KeyError):
            now = self._hours[key]
            told.repeated += now.repeated
            told.negative += now.negative
            told.ack_us += now.ack_us
            told.ack_most_us = max(told.ack_most_us, now.ack_most_us)
        self._hours[key] = told


_TALLIES: WeakKeyDictionary[Store, Tally] = WeakKeyDictionary()
