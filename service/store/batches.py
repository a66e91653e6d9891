"""Reads that wait share a statement (PostgreSQL): one after the other would each pay a round trip."""

import asyncio
from collections.abc import Hashable
from typing import Generic, TypeVar

from service.store.engine import Store

Key = TypeVar("Key", bound=Hashable)
T = TypeVar("T")


class Batch(Generic[Key, T]):
    """At most two statements of a kind run at once; each takes all that waited meanwhile (stack.md 2)."""

    def __init__(self, store: Store):
        self._store = store
        self._waiting: dict[Key, list[asyncio.Future[T | None]]] = {}
        self._running = 0

    async def select(self, keys: list[Key]) -> dict[Key, T]:
        raise NotImplementedError

    async def get(self, key: Key) -> T | None:
        future: asyncio.Future[T | None] = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(key, []).append(future)
        if self._running < 2:
            self._running += 1
            asyncio.get_running_loop().call_soon(self._spawn)
        return await future

    def _spawn(self) -> None:
        task = asyncio.get_running_loop().create_task(self._run())
        _TASKS.add(task)
        task.add_done_callback(_TASKS.discard)

    async def _run(self) -> None:
        try:
            while self._waiting:
                waiting, self._waiting = self._waiting, {}
                try:
                    found = await self.select(list(waiting))
                except Exception as error:
                    for future in (f for futures in waiting.values() for f in futures if not f.done()):
                        future.set_exception(error)
                    continue
                for key, futures in waiting.items():
                    for future in futures:
                        if not future.done():
                            future.set_result(found.get(key))
        finally:
            self._running -= 1


_TASKS: set[asyncio.Task[None]] = set()
