"""How many deliveries are under way to one receiver: a slow one holds its own places and nobody else's."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from urllib.parse import urlsplit

IN_FLIGHT = 4
QUEUE = 28
"""So many wait for a place at a receiver that works; for one that is failing nobody waits."""
WAIT_S = 4.0


class NoPlace(Exception):
    """The receiver has all its deliveries; come again later."""


@dataclass
class _Places:
    free: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(IN_FLIGHT))
    users: int = 0
    """Those that hold a place and those that wait for one."""


class Hosts:
    """Places of one process, by receiver."""

    def __init__(self) -> None:
        self._places: dict[str, _Places] = {}

    @asynccontextmanager
    async def place(self, host: str, *, failing: bool) -> AsyncIterator[bool]:
        """Whether one had to wait for it. Raises NoPlace."""
        places = self._places.setdefault(host, _Places())
        if places.users >= (IN_FLIGHT if failing else IN_FLIGHT + QUEUE):
            raise NoPlace
        places.users += 1
        try:
            waited = places.free.locked()
            try:
                async with asyncio.timeout(WAIT_S):
                    await places.free.acquire()
            except TimeoutError:
                raise NoPlace from None
            try:
                yield waited
            finally:
                places.free.release()
        finally:
            places.users -= 1
            if not places.users:
                del self._places[host]


def host_of(endpoint: str) -> str:
    """The receiver of an endpoint: host and port of a URL, the domain of an address, else the scheme."""
    parts = urlsplit(endpoint)
    if parts.scheme == "mailto":
        return "@" + parts.path.rpartition("@")[2].lower()
    return parts.netloc.lower() or parts.scheme
