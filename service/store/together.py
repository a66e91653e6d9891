"""Reads that belong together: on PostgreSQL one statement, with one snapshot and one round trip.

`found, links = await together(store, whose(...), linked(...))` runs the coroutines beside each other; what each of them
reads next goes out with what the others read next, as soon as all of them wait. On SQLite they run one after the other.
A statement costs the process 0.1 ms, and the server as much, whatever it finds (bench/README.md "Hospital feeds").

An epoch that a decision relies on stands first, or in an earlier round. Under row-level security what a caller reads
goes by another connection (store/reader.py) and joins no round: there it must be an earlier one.
"""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Iterable
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar, overload

from service.store.database import Row

if TYPE_CHECKING:
    from service.store.engine import Store

T = TypeVar("T")
A = TypeVar("A")
B = TypeVar("B")
C = TypeVar("C")
D = TypeVar("D")
E = TypeVar("E")
F = TypeVar("F")
Work = Coroutine[Any, Any, T]
Run = Callable[[str, tuple[Any, ...]], Awaitable[list[Row]]]


@dataclass
class _Read:
    sql: str
    params: tuple[Any, ...]
    futures: "list[asyncio.Future[list[Row]]]" = field(default_factory=list)


class Round:
    """Coroutines that run beside each other; nobody's read goes out before all of them wait for one, or are done."""

    def __init__(self, run: Run):
        self._run = run
        self._tasks: set[asyncio.Task[Any]] = set()
        self._awake = 0
        self._reads: list[_Read] = []
        self._asked: set[asyncio.Task[None]] = set()

    def holds(self, task: "asyncio.Task[Any] | None") -> bool:
        """Whether the task is of this round; what it begins beside itself is not."""
        return task in self._tasks

    async def fetch(self, sql: str, params: tuple[Any, ...]) -> list[Row]:
        """What is asked twice in a round is asked once."""
        one = next((read for read in self._reads if read.sql == sql and read.params == params), None)
        if one is None:
            self._reads.append(one := _Read(sql, params))
        future: asyncio.Future[list[Row]] = asyncio.get_running_loop().create_future()
        one.futures.append(future)
        self._awake -= 1
        self._look()
        try:
            return await future
        except asyncio.CancelledError:
            self._awake += future.cancelled()
            raise

    def begin(self, work: Iterable[Work[Any]], *, inside: bool) -> "list[asyncio.Task[Any]]":
        """inside: who begins it is of this round too, and waits for all of it."""
        token = _ROUND.set(self)
        try:
            tasks = [asyncio.get_running_loop().create_task(one) for one in work]
        finally:
            _ROUND.reset(token)
        self._tasks.update(tasks)
        self._awake += len(tasks) - inside
        left = len(tasks)

        def ended(task: "asyncio.Task[Any]") -> None:
            nonlocal left
            left -= 1
            self._tasks.discard(task)
            self._awake -= 0 if inside and not left else 1  # who began them goes on in the place of the last
            self._look()

        for task in tasks:
            task.add_done_callback(ended)
        return tasks

    def _look(self) -> None:
        if self._awake or not self._reads:
            return
        reads, self._reads = self._reads, []
        task = asyncio.get_running_loop().create_task(self._ask(sorted(reads, key=lambda read: read.sql)))
        self._asked.add(task)
        task.add_done_callback(self._asked.discard)

    async def _ask(self, reads: list[_Read]) -> None:
        try:
            answers = await self._answers(reads)
        except Exception as error:
            for future in (future for read in reads for future in read.futures if not future.done()):
                future.set_exception(error)
                self._awake += 1
            return
        for read, rows in zip(reads, answers, strict=True):
            for future in (future for future in read.futures if not future.done()):
                future.set_result(rows)
                self._awake += 1

    async def _answers(self, reads: list[_Read]) -> list[list[Row]]:
        if len(reads) == 1:
            return [await self._run(reads[0].sql, reads[0].params)]
        whole = "SELECT " + ", ".join(f"ARRAY(SELECT ROW(q.*) FROM ({read.sql}) q)" for read in reads)
        [answers] = await self._run(whole, tuple(value for read in reads for value in read.params))
        return list(answers)


_ROUND: ContextVar[Round | None] = ContextVar("round", default=None)


def current() -> Round | None:
    """The round of the running task."""
    found = _ROUND.get()
    return found if found is not None and found.holds(asyncio.current_task()) else None


@overload
async def together(store: "Store", a: Work[A], b: Work[B], /) -> tuple[A, B]: ...
@overload
async def together(store: "Store", a: Work[A], b: Work[B], c: Work[C], /) -> tuple[A, B, C]: ...
@overload
async def together(store: "Store", a: Work[A], b: Work[B], c: Work[C], d: Work[D], /) -> tuple[A, B, C, D]: ...
@overload
async def together(
    store: "Store", a: Work[A], b: Work[B], c: Work[C], d: Work[D], e: Work[E], /
) -> tuple[A, B, C, D, E]: ...
@overload
async def together(
    store: "Store", a: Work[A], b: Work[B], c: Work[C], d: Work[D], e: Work[E], f: Work[F], /
) -> tuple[A, B, C, D, E, F]: ...
async def together(store: "Store", *work: Work[Any]) -> tuple[Any, ...]:
    """What each of them returns. The first error ends them all, and is raised when all have ended."""
    return tuple(await each(store, work))


async def each(store: "Store", work: Iterable[Work[T]]) -> list[T]:
    """As together(), of any number of one kind."""
    todo = list(work)
    if store.db.name != "postgresql" or len(todo) < 2:
        return await _in_turn(todo)
    here = current()
    tasks = (here or Round(store.db.fetch)).begin(todo, inside=here is not None)
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_EXCEPTION)
    except BaseException:
        await _ended(tasks)
        raise
    if len(done) < len(tasks):
        await _ended(tasks)
    for error in [task.exception() for task in tasks if not task.cancelled()]:
        if error is not None:
            raise error
    return [task.result() for task in tasks]


async def _in_turn(work: "list[Work[T]]") -> list[T]:
    found = []
    try:
        while work:
            found.append(await work.pop(0))
        return found
    finally:
        for one in work:
            one.close()


async def _ended(tasks: "list[asyncio.Task[Any]]") -> None:
    for task in tasks:
        task.cancel()
    await asyncio.wait(tasks)
