"""The websockets of one process together: how many there are, and one look at the store for all of them.

A commit of this process wakes at once; those of other processes are seen at the next look, a second later at most.
"""

import asyncio
from collections import Counter
from contextlib import suppress
from typing import Protocol

from service.api.state import Shared
from service.metrics import COUNTERS
from service.notify.sockets import Bound
from service.store import websockets
from service.store.database import TooCostly, Unavailable

GATHER_S = 0.02
"""Commits are gathered for so long into one look."""
LOOK_S = 1.0
MOST = 2_000
"""Sockets of one process."""
MOST_UNBOUND = 32
"""Sockets of one address that have not bound anything yet."""
MOST_OF_CLIENT = 16
"""Sockets of one client at one process."""
_GOING = 1001

Standing = tuple[int, str, bool]


class Socket(Protocol):
    """What the hub knows of a connection."""

    address: str
    client_id: str
    bound: dict[int, Bound]
    wake: asyncio.Event

    def end(self, code: int, reason: str, logged: str) -> None: ...


class Hub:
    """One task looks while there are bound sockets, and wakes those for whom there is something."""

    def __init__(self, shared: Shared):
        self.shared = shared
        self._unbound: Counter[str] = Counter()
        self._clients: Counter[str] = Counter()
        self._bound: set[Socket] = set()
        self._known: dict[int, Standing] = {}
        self._pulse = asyncio.Event()
        self._gathering = False
        self._watching: asyncio.Task[None] | None = None
        self.count = 0
        shared.store.on_commit(self._committed)

    def enter(self, address: str) -> bool:
        """Whether one more may come from this address; counted then."""
        if self.count >= MOST or self._unbound[address] >= MOST_UNBOUND:
            return False
        self.count += 1
        COUNTERS.websockets = self.count
        self._unbound[address] += 1
        return True

    def leave(self, address: str) -> None:
        """The connection is over. address: "" once it was recognised."""
        self.count -= 1
        COUNTERS.websockets = self.count
        self._drop(self._unbound, address)

    def recognise(self, socket: Socket, client_id: str) -> bool:
        """From now on it counts for its client; False: that has too many."""
        if self._clients[client_id] >= MOST_OF_CLIENT:
            return False
        self._clients[client_id] += 1
        socket.client_id = client_id
        self._drop(self._unbound, socket.address)
        socket.address = ""
        return True

    def forget(self, socket: Socket) -> None:
        self._bound.discard(socket)
        self._drop(self._clients, socket.client_id)

    @staticmethod
    def _drop(counts: Counter[str], name: str) -> None:
        counts[name] -= 1
        if counts[name] <= 0:
            del counts[name]

    def watch(self, socket: Socket) -> None:
        self._bound.add(socket)
        if self._watching is None or self._watching.done():
            self._watching = asyncio.get_running_loop().create_task(self._watch())

    def _committed(self) -> None:
        if self._bound and not self._gathering:
            self._gathering = True
            asyncio.get_running_loop().call_later(GATHER_S, self._wake)

    def _wake(self) -> None:
        self._gathering = False
        self._pulse.set()

    async def _watch(self) -> None:
        while self._bound:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._pulse.wait(), LOOK_S)
            self._pulse.clear()
            if not self.shared.ready or self.shared.store.lost.is_set():
                for socket in list(self._bound):
                    socket.end(_GOING, "The service stops here: connect again.", "stopping")
                return
            with suppress(Unavailable, TooCostly):
                await self._look()

    async def _look(self) -> None:
        """Wakes the sockets for whose subscriptions something changed since the last look."""
        keys = sorted({key for socket in self._bound for key in socket.bound})
        found = await websockets.standing(self.shared.store, keys)
        changed = {key for key in keys if found.get(key) != self._known.get(key)}
        self._known = found
        for socket in self._bound:
            if not changed.isdisjoint(socket.bound):
                socket.wake.set()
