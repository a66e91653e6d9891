"""SQLite: one writer thread that commits in groups; reads on the event loop (../shared/decisions.md 32)."""

import asyncio
import contextlib
import queue
import sqlite3
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeVar

from service.log_events import COMMIT_FAILED, log, where
from service.metrics import group_committed
from service.search.keys import Keys
from service.store.change import Change
from service.store.commit import group
from service.store.database import Full, Row, TooCostly, Unavailable
from service.store.dialect import lite_insert, lite_update, marks
from service.store.slots import HEAD, Slot
from service.store.space import grows
from service.store.sqlite_faults import fault_of
from service.store.steps import (
    DeleteIn,
    DeletePairs,
    Epochs,
    Fetches,
    FetchIn,
    Insert,
    Outcome,
    Part,
    Run,
    Step,
    Together,
    Update,
)
from service.store.waiting import GROUP_WRITES

GROUP = 256
DEADLINE_S = 5.0
BUSY_S = 5.0
_CHUNK = 500

T = TypeVar("T")
Waiting = tuple[Change | tuple[str, tuple[Any, ...]], "asyncio.Future[Any]"]
Results = list[tuple["asyncio.Future[Any]", Any]]


class Locked(Unavailable):
    """Another process holds the file for seconds: who waits behind need not wait as long again."""


def connect(path: str, *, writer: bool) -> sqlite3.Connection:
    con = sqlite3.connect(path, isolation_level=None, check_same_thread=False, cached_statements=512, timeout=0)
    _retry(lambda: con.execute("PRAGMA journal_mode=WAL"))
    con.execute("PRAGMA synchronous=FULL")
    con.execute("PRAGMA mmap_size=1073741824")
    con.execute("PRAGMA cache_size=-65536")
    con.execute("PRAGMA wal_autocheckpoint=4000")
    con.execute("PRAGMA temp_store=MEMORY")
    if not writer:
        con.execute("PRAGMA query_only=ON")
    return con


def _retry(call: Callable[[], T]) -> T:
    """Another process may hold the file: try again every 0.5 ms, since busy_timeout starves the patient one."""
    until = time.monotonic() + BUSY_S
    while True:
        try:
            return call()
        except sqlite3.OperationalError as error:
            if "locked" not in str(error) and "busy" not in str(error):
                raise
            if time.monotonic() > until:
                raise Locked("the database file is locked by another process") from error
            time.sleep(0.0005)


class Sqlite:
    """See database.Database."""

    name = "sqlite"

    def __init__(self, path: str):
        self._path = path
        self._reader = connect(path, writer=False)
        self._heavy = connect(path, writer=False)
        self._heavy_lock = threading.Lock()
        self._waiting: deque[Waiting] = deque()
        self._wake: queue.SimpleQueue[bool] = queue.SimpleQueue()
        """False: stop when nothing waits."""
        self._closed = False
        self._idle = True
        self._thread: threading.Thread | None = None
        self._listeners: list[Callable[[], None]] = []
        self._watch: asyncio.Task[None] | None = None

    async def start(self, keys: Keys, slot: Slot, now_us: Callable[[], int]) -> None:
        sys.setswitchinterval(0.0002)  # hands the GIL over quickly between the loop and the writer thread
        self._keys, self._slot, self._now = keys, slot, now_us
        self._loop = asyncio.get_running_loop()
        self._writer = connect(self._path, writer=True)
        self._thread = threading.Thread(target=self._write_forever, name="sqlite-writer", daemon=True)
        self._thread.start()

    # reads

    async def fetch(
        self, sql: str, params: tuple[Any, ...] = (), *, heavy: bool = False, varying: bool = False
    ) -> list[Row]:
        if heavy:
            return await asyncio.to_thread(self._fetch_heavy, sql, params)
        return self._fetch(self._reader, sql, params)

    def _fetch_heavy(self, sql: str, params: tuple[Any, ...]) -> list[Row]:
        with self._heavy_lock:
            return self._fetch(self._heavy, sql, params)

    def _fetch(self, con: sqlite3.Connection, sql: str, params: tuple[Any, ...]) -> list[Row]:
        until = time.monotonic() + DEADLINE_S
        con.set_progress_handler(lambda: time.monotonic() > until, 200_000)
        try:
            return con.execute(sql, params).fetchall()
        except sqlite3.OperationalError as error:
            if "interrupted" in str(error):
                raise TooCostly from error
            if "locked" in str(error) or "busy" in str(error):
                return _retry(lambda: con.execute(sql, params).fetchall())
            fault = fault_of(error)
            if fault is None:
                raise
            raise fault from error

    # writes

    async def commit(self, change: Change) -> Outcome:
        return await self._send(change)  # type: ignore[no-any-return]

    async def execute(self, sql: str, params: tuple[Any, ...] = ()) -> list[Row]:
        return await self._send((sql, params))  # type: ignore[no-any-return]

    async def _send(self, item: Change | tuple[str, tuple[Any, ...]]) -> Any:
        """The writer takes what waits by itself; it is woken only when idle, once for all of this turn of the loop."""
        if self._closed:
            raise Unavailable("shutting down")
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Any] = loop.create_future()
        self._waiting.append((item, future))
        if self._idle:
            self._idle = False
            loop.call_soon(self._wake.put, True)
        return await future

    def _write_forever(self) -> None:
        while self._wake.get():
            self._take_all()
        self._take_all()  # what came in the turn of the loop that closed us
        self._writer.close()

    def _take_all(self) -> None:
        """Groups until nothing waits. A wake-up more than needed finds nothing and does no harm."""
        while True:
            while self._waiting:
                self._settle(self._portion())
            self._idle = True
            if not self._waiting:
                return
            self._idle = False

    def _portion(self) -> list[Waiting]:
        """What the next group takes."""
        batch: list[Waiting] = []
        writes = 0
        while self._waiting and len(batch) < GROUP and writes < GROUP_WRITES:
            batch.append(self._waiting.popleft())
            item = batch[-1][0]
            writes += len(item.writes) if isinstance(item, Change) else 0
        return batch

    def _settle(self, batch: list[Waiting]) -> None:
        results: Results = []
        changes = [(item, future) for item, future in batch if isinstance(item, Change)]
        if changes:
            results += self._group(changes, self._writer)
        locked = next((result for _, result in results if isinstance(result, Locked)), None)
        for item, future in batch:
            if not isinstance(item, Change):
                results.append((future, locked or self._alone(item, self._writer)))
        if locked:
            results += [(self._waiting.popleft()[1], locked) for _ in range(len(self._waiting))]
        if any(isinstance(result, Unavailable) and not isinstance(result, (Full, Locked)) for _, result in results):
            self._reopen()
        with contextlib.suppress(RuntimeError):  # the loop may be gone at shutdown: the work is committed all the same
            self._loop.call_soon_threadsafe(self._resolve, results)

    def _reopen(self) -> None:
        """A connection that met an error of the disk may stay broken: try with a new one, else go on with this."""
        with contextlib.suppress(sqlite3.Error, Unavailable):
            fresh = connect(self._path, writer=True)
            self._writer.close()
            self._writer = fresh

    def _group(self, items: list[tuple[Change, "asyncio.Future[Any]"]], con: sqlite3.Connection) -> Results:
        began = time.perf_counter()
        try:
            outcomes = self._transaction([change for change, _ in items], con)
        except BaseException as error:
            return self._parted(items, con, error)
        group_committed(len(items), time.perf_counter() - began)
        return [(future, outcome) for (_, future), outcome in zip(items, outcomes, strict=True)]

    def _transaction(self, changes: list[Change], con: sqlite3.Connection, *, again: bool = True) -> list[Outcome]:
        """Raises where nothing of it happened."""
        kept = self._slot.copy()
        try:
            _retry(lambda: con.execute("BEGIN IMMEDIATE"))
            outcomes = self._drive(changes, con)
            con.execute("COMMIT")
            return outcomes
        except BaseException as error:
            with contextlib.suppress(sqlite3.Error):
                con.execute("ROLLBACK")
            vars(self._slot).update(vars(kept))
            if not again or not isinstance(error, sqlite3.IntegrityError) or "audit.slot" not in str(error):
                raise
        # We, or who had our slot before us, stood still for longer than a lease and then wrote on.
        self._slot.chain_on(con.execute(HEAD, (self._slot.number,)).fetchone())
        return self._transaction(changes, con, again=False)

    def _parted(
        self, items: list[tuple[Change, "asyncio.Future[Any]"]], con: sqlite3.Connection, error: BaseException
    ) -> Results:
        """Nothing of the group happened: who is tried again, and who hears the error."""
        fault = fault_of(error)
        if fault is None:
            log(COMMIT_FAILED, changes=len(items), **where(error))
            if len(items) == 1:
                return [(items[0][1], error)]
            return [pair for item in items for pair in self._group([item], con)]
        large = [item for item in items if grows(item[0])]
        if isinstance(fault, Full) and 0 < len(large) < len(items):
            small = [item for item in items if not grows(item[0])]
            return [(future, fault) for _, future in large] + self._group(small, con)
        return [(future, fault) for _, future in items]

    def _drive(self, changes: list[Change], con: sqlite3.Connection) -> list[Outcome]:
        steps = group(changes, self._keys, self._slot, self._now)
        answer: Any = None
        while True:
            try:
                step = steps.send(answer)
            except StopIteration as end:
                return end.value  # type: ignore[no-any-return]
            answer = _run(con, step)

    def _alone(self, item: tuple[str, tuple[Any, ...]], con: sqlite3.Connection) -> Any:
        try:
            _retry(lambda: con.execute("BEGIN IMMEDIATE"))
            rows = con.execute(item[0], item[1]).fetchall()
            con.execute("COMMIT")
            return rows
        except BaseException as error:
            with contextlib.suppress(sqlite3.Error):
                con.execute("ROLLBACK")
            return fault_of(error) or error

    def _resolve(self, results: Results) -> None:
        for future, result in results:
            if future.done():
                continue
            if isinstance(result, BaseException) and not _is_outcome(result):
                future.set_exception(result)
            else:
                future.set_result(result)
        for listener in self._listeners:
            listener()

    # wake-up

    def on_commit(self, listener: Callable[[], None]) -> None:
        self._listeners.append(listener)
        if self._watch is None:
            self._watch = asyncio.get_running_loop().create_task(self._watch_file())

    async def _watch_file(self) -> None:
        """Commits of other processes on the same file show as a new data_version."""
        con = connect(self._path, writer=False)
        seen = con.execute("PRAGMA data_version").fetchone()
        try:
            while True:
                await asyncio.sleep(0.02)
                now = seen
                with contextlib.suppress(sqlite3.Error):  # a disk in trouble: the next look may do
                    now = con.execute("PRAGMA data_version").fetchone()
                if now != seen:
                    seen = now
                    for listener in self._listeners:
                        listener()
        finally:
            con.close()

    async def close(self) -> None:
        if self._watch:
            self._watch.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._watch
        self._closed = True
        if self._thread:
            self._wake.put(False)
            await asyncio.to_thread(self._thread.join)
        self._reader.close()
        self._heavy.close()


def _is_outcome(value: BaseException) -> bool:
    from service.store.change import NotCommitted

    return isinstance(value, NotCommitted)


def _run(con: sqlite3.Connection, step: Step | Part | Epochs) -> list[Any]:
    match step:
        case Fetches(parts):
            return [_run(con, part) for part in parts]
        case Epochs(subjects):  # one process writes at a time: nobody bumps what is not there
            return _run(con, FetchIn("access_epoch", "subject, epoch", "subject", subjects))
        case FetchIn(table, names, column, values):
            rows: list[Row] = []
            for chunk in _chunks(values):
                sql = f"SELECT {names} FROM {table} WHERE {column} IN ({marks(len(chunk))})"
                rows += con.execute(sql, chunk).fetchall()
            return rows
        case Together(parts):
            first, *_ = [_run(con, part) for part in parts]
            return first
        case Insert():
            return _insert(con, step)
        case Update(table, changed, key, rows):
            con.executemany(lite_update(table, changed, key), rows)
        case DeletePairs(pairs):
            for few in _powers(pairs):
                # Not `(key, vid) IN (VALUES ...)`: SQLite reads the whole table for that, however large it is.
                sql = f"DELETE FROM ix WHERE {' OR '.join(['(key = ? AND vid = ?)'] * len(few))}"
                con.execute(sql, [value for pair in few for value in pair])
        case DeleteIn(table, column, values):
            for some in _powers(values):
                con.execute(f"DELETE FROM {table} WHERE {column} IN ({marks(len(some))})", some)
        case Run(sql, rows):
            con.executemany(sql, rows)
    return []


def _insert(con: sqlite3.Connection, step: Insert) -> list[Row]:
    """Many rows a statement: executemany gives up the GIL at every row, and under load gets it back 0.2 ms later."""
    made: list[Row] = []
    for some in _powers(step.rows):
        sql = lite_insert(step.table, step.on_conflict, step.returning, len(some))
        made += con.execute(sql, [value for row in some for value in row] + list(step.params)).fetchall()
    return made


def _powers(values: Sequence[T]) -> Iterator[Sequence[T]]:
    """Pieces of 64, 16, 4 and 1, so that few statements are ever prepared."""
    at = 0
    for size in (64, 16, 4, 1):
        while len(values) - at >= size:
            yield values[at : at + size]
            at += size


def _chunks(values: Any) -> list[list[Any]]:
    return [list(values[i : i + _CHUNK]) for i in range(0, len(values), _CHUNK)]
