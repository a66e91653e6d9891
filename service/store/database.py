"""What a database must offer to the store; sqlite.py and postgresql.py are the two."""

from collections.abc import Awaitable, Callable
from typing import Any, Protocol

from service.search.keys import Keys
from service.store.change import Change
from service.store.slots import Slot
from service.store.steps import Outcome

Row = tuple[Any, ...]

WRITER = "enlace-writer"
"""application_name of the connection that commits (PostgreSQL): store/history.py looks whose work is not yet done."""


class TooCostly(Exception):
    """A statement ran into its deadline."""


class Unavailable(Exception):
    """The database cannot be reached or written now. Nothing was committed, or it is unknown: a retry is safe."""


class Full(Unavailable):
    """The store has no space for this Change; nothing of it happened. An operator must make some."""


class Database(Protocol):
    name: str

    async def fetch(
        self, sql: str, params: tuple[Any, ...] = (), *, heavy: bool = False, varying: bool = False
    ) -> list[Row]:
        """A SELECT with `?` placeholders. heavy: may take long, must not hold up point reads. varying: the best plan
        depends on the values; of others PostgreSQL keeps one."""
        ...

    async def commit(self, change: Change) -> Outcome:
        """Durable when it returns; the group that it joins is chosen by what else waits."""
        ...

    async def start(self, keys: Keys, slot: Slot, now_us: Callable[[], int]) -> None: ...

    async def execute(self, sql: str, params: tuple[Any, ...] = ()) -> list[Row]:
        """One statement in a transaction of its own, outside any group: slot leases, claims of jobs."""
        ...

    def on_commit(self, listener: Callable[[], None]) -> Awaitable[None] | None:
        """Calls the listener after commits, of this process at once, of others as soon as they are noticed."""
        ...

    async def close(self) -> None: ...
