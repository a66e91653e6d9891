"""The Changes that wait for the committer: while the database is away they are bounded in number and in time.

While it answers, what waits is bounded by who asks (admission of requests, MLLP connections, imports).
"""

import asyncio
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from service.store.change import Change
from service.store.database import Unavailable
from service.store.steps import Outcome

MOST = 1000
"""Changes that may wait while the database is away."""
WAIT_S = 5.0
"""So long does a Change wait for a database that is away: a client hears 503 before it loses patience."""
GROUP_WRITES = 1_000
"""A group takes no more Changes once they write so much: behind transactions of 500 entries everybody waits."""


@dataclass(slots=True)
class Item:
    change: Change
    future: "asyncio.Future[Outcome]"
    since: float


class Waiting:
    """A queue of one consumer. `away` is set by the consumer."""

    def __init__(self, now: Callable[[], float] = time.monotonic):
        self.away = self._ended = False
        self._items: deque[Item] = deque()
        self._some = asyncio.Event()
        self._now = now

    def __len__(self) -> int:
        return len(self._items)

    def put(self, change: Change) -> "asyncio.Future[Outcome]":
        """Raises Unavailable where too many wait for a database that is away, and after the end."""
        if self._ended:
            raise Unavailable("shutting down")
        if self.away and len(self._items) >= MOST:
            raise Unavailable("too many changes wait for the database")
        item = Item(change, asyncio.get_running_loop().create_future(), self._now())
        self._items.append(item)
        self._some.set()
        return item.future

    async def some(self) -> None:
        """Returns once something waits."""
        while not self._items:
            self._some.clear()
            await self._some.wait()

    def take(self, most: int) -> list[Item]:
        """The oldest, without those whose caller has gone."""
        taken: list[Item] = []
        writes = 0
        while self._items and len(taken) < most and writes < GROUP_WRITES:
            item = self._items.popleft()
            if not item.future.done():
                taken.append(item)
                writes += len(item.change.writes)
        return taken

    def expire(self) -> None:
        """While the database is away: fails what waited too long."""
        while self.away and self._items and self._items[0].since <= self._now() - WAIT_S:
            fail([self._items.popleft()], Unavailable("the database did not come back in time"))

    def end(self) -> None:
        """At shutdown: nobody is left waiting, and nobody comes to wait."""
        self._ended = True
        fail(list(self._items), Unavailable("shutting down"))
        self._items.clear()


def fail(items: list[Item], error: Exception) -> None:
    for item in items:
        if not item.future.done():
            item.future.set_exception(error)
