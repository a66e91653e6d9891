"""Opens a database as a Store: SQLite by file, PostgreSQL by URL, one code path above this line."""

import asyncio
import contextlib
import os
import secrets
import socket
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from service.clock import Clock, SystemClock
from service.search.keys import Keys
from service.search.restriction import Restriction
from service.store.change import Change, Committed
from service.store.database import Database, Full, Row, Unavailable
from service.store.schema import check_schema
from service.store.slots import HEAD, Slot
from service.store.space import DiskReserve, Room, SizeLimit, Unlimited, grows

if TYPE_CHECKING:
    from service.store.reader import Reader

SLOTS = 256
LEASE_US = 60_000_000
MARGIN_S = 10.0
"""So long before its lease ends a process that could not renew it stops writing: a commit in hand takes a while."""
MEASURE_S = 3.0


class Store:
    """The one handle on the database: reads by SQL of service/store, writes by Change."""

    def __init__(
        self, url: str, db: Database, keys: Keys, clock: Clock, slot: Slot, owner: str, room: Room | None = None
    ):
        self.url, self.db, self.keys, self.clock = url, db, keys, clock
        self._slot, self._owner = slot, owner
        self._room = room or Unlimited()
        self.reader: Reader | None = None
        self._leased_s = time.monotonic()
        self._ids = Slot(slot.number)
        self.batches: dict[object, object] = {}
        """Reads that wait for a shared statement (store/read.py)."""
        loop = asyncio.get_running_loop()
        self._tasks = [loop.create_task(self._renew())]
        if isinstance(self._room, SizeLimit):
            self._tasks.append(loop.create_task(self._measure(self._room)))
        self.lost = asyncio.Event()
        """Set when the slot lease was lost: the process must stop writing and exit."""

    async def fetch(
        self, sql: str, params: tuple[Any, ...] = (), *, heavy: bool = False, varying: bool = False
    ) -> list[Row]:
        """A SELECT with `?` placeholders, of a file in service/store; see database.Database."""
        return await self.db.fetch(sql, params, heavy=heavy, varying=varying)

    def reading(self, restriction: Restriction) -> "Store":
        """Where this caller's data is read: as the reader role, under row-level security, where there is one."""
        if self.reader is None or restriction.unrestricted:
            return self
        return cast("Store", _Reading(self, self.reader, restriction))

    async def commit(self, change: Change) -> Committed:
        """Durable when it returns. Raises Stale, ClaimTaken, Full (nothing happened), Unavailable (unknown: retry)."""
        if self.lost.is_set():
            raise Unavailable("the worker slot was lost")
        if time.monotonic() - self._leased_s > LEASE_US / 1e6 - MARGIN_S:
            raise Unavailable("the worker slot could not be renewed")  # somebody else may be about to take it
        if self._room.full() and grows(change):
            raise Full("the reserve of space is reached")
        outcome = await self.db.commit(change)
        if isinstance(outcome, Committed):
            return outcome
        raise outcome

    @property
    def full(self) -> bool:
        """Whether resources, messages and files are refused for want of space."""
        return self._room.full()

    def next_id(self, now_us: int) -> int:
        """A number that grows with time and is unique over processes: ids of inbox rows."""
        return self._ids.vid(now_us)

    def on_commit(self, listener: Callable[[], None]) -> None:
        self.db.on_commit(listener)

    async def _renew(self) -> None:
        """After an outage the slot is kept if nobody took it; so a process goes on where it stood."""
        pause_s = LEASE_US / 4e6
        while True:
            await asyncio.sleep(pause_s)
            pause_s = 1.0
            with contextlib.suppress(Exception):  # whatever failed: the next second tries again
                asked_s = time.monotonic()
                kept = await self.db.execute(
                    "UPDATE worker_slot SET lease_until_us = ? WHERE slot = ? AND owner = ? RETURNING slot",
                    (_wall_us() + LEASE_US, self._slot.number, self._owner),
                )
                if not kept:
                    self.lost.set()
                    return
                self._leased_s, pause_s = asked_s, LEASE_US / 4e6

    async def _measure(self, limit: SizeLimit) -> None:
        while True:
            with contextlib.suppress(Exception):  # the server is away: its size is of no interest
                limit.measured((await self.fetch("SELECT pg_database_size(current_database())"))[0][0])
            await asyncio.sleep(MEASURE_S)

    async def close(self) -> None:
        for task in self._tasks:
            task.cancel()
        with contextlib.suppress(Unavailable, asyncio.CancelledError):
            await self.db.execute(
                "UPDATE worker_slot SET lease_until_us = 0 WHERE slot = ? AND owner = ?",
                (self._slot.number, self._owner),
            )
        if self.reader is not None:
            await self.reader.close()
        await self.db.close()


class _Reading:
    """The store for one caller's reads: all as it is, but for the role that fetches."""

    def __init__(self, store: Store, reader: "Reader", restriction: Restriction):
        self._store, self._reader, self._restriction = store, reader, restriction

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    async def fetch(
        self, sql: str, params: tuple[Any, ...] = (), *, heavy: bool = False, varying: bool = False
    ) -> list[Row]:
        return await self._reader.fetch(sql, params, self._restriction)


async def open_store(
    url: str,
    clock: Clock | None = None,
    *,
    disk_reserve_mb: int = 0,
    database_limit_mb: int = 0,
    reader_url: str = "",
) -> Store:
    """Opens a migrated database; SchemaError (a sentence with the remedy) where it is absent, older or newer.

    disk_reserve_mb: SQLite, database_limit_mb: PostgreSQL; see store/space.py. 0: none. A server gives the settings of
    these names; a command that a person runs has none, and the disk decides. reader_url: PostgreSQL as the reader role
    (store/row_security.py), "": the data of callers is read as the owner, under the first wall alone.
    """
    clock = clock or SystemClock()
    db: Database
    room: Room = Unlimited()
    if url.startswith("sqlite:///"):
        from service.store.sqlite import Sqlite

        path = sqlite_path(url)
        check_file(path)
        db = Sqlite(path)
        if disk_reserve_mb:
            room = DiskReserve(str(Path(path).absolute().parent), disk_reserve_mb)
    else:
        from service.store.postgresql import Postgresql

        server = Postgresql(url)
        await server.open()
        db = server
        if database_limit_mb:
            room = SizeLimit(database_limit_mb)
    await check_schema(db)
    sql = "SELECT name, value FROM meta WHERE name IN ('index_secret', 'index_made_by')"
    known: dict[str, str] = dict(await db.fetch(sql))
    secret = bytes.fromhex(str(known["index_secret"]))
    owner = f"{socket.gethostname()}:{os.getpid()}:{secrets.token_hex(4)}"
    keys = Keys(secret)
    slot = Slot(0)
    await db.start(keys, slot, clock.now_us)
    if "index_made_by" not in known:
        await _mark_new(db)
    await _lease(db, slot, owner)
    store = Store(url, db, keys, clock, slot, owner, room)
    if reader_url:
        from service.store.reader import Reader

        store.reader = Reader(reader_url)
        await store.reader.open()
    return store


async def _mark_new(db: Database) -> None:
    """A database without a resource: all that it will hold is indexed and labelled by this version."""
    from fhir_profiles.sensitive_codes import listed
    from service.search.definition import digest
    from service.store.label_rules import rules, wanted

    if await db.fetch("SELECT key FROM resource LIMIT 1"):
        return
    labelled = wanted(await rules(db), listed().digest)
    for name, made_by in (("index_made_by", digest()), ("labels_made_by", labelled)):
        await db.execute(
            "INSERT INTO meta (name, value) VALUES (?, ?) ON CONFLICT (name) DO NOTHING RETURNING name", (name, made_by)
        )


def sqlite_path(url: str) -> str:
    return url.removeprefix("sqlite:///")


def check_file(path: str) -> None:
    from service.store.schema import SchemaError

    if not Path(path).exists():
        raise SchemaError(absent(path))


def absent(path: str) -> str:
    """The sentence about a file that is not there: most often this is another folder than the one of the start."""
    return (
        f"There is no database at {Path(path).absolute()}. Is this the folder in which make run was started? "
        "If not, go there or set ENLACE_DATABASE_URL; for a new database run `enlace migrate`."
    )


def _wall_us() -> int:
    return time.time_ns() // 1000


async def _lease(db: Database, slot: Slot, owner: str) -> None:
    """Takes the lowest free slot; its audit chain goes on where the former holder stopped."""
    for number in range(SLOTS):
        now = _wall_us()
        taken = await db.execute(
            "INSERT INTO worker_slot (slot, owner, lease_until_us, audit_seq, audit_head) VALUES (?, ?, ?, 0, NULL) "
            "ON CONFLICT (slot) DO UPDATE SET owner = excluded.owner, lease_until_us = excluded.lease_until_us "
            f"WHERE worker_slot.lease_until_us < {now} RETURNING slot",
            (number, owner, now + LEASE_US),
        )
        if not taken:
            continue
        slot.number = number
        head = await db.fetch(HEAD, (number,))
        slot.chain_on(head[0] if head else None)
        last = await db.fetch("SELECT max(vid) FROM version")
        if last[0][0]:  # one more: how far the former holder counted within that tick is not known
            slot.last_tick = (int(last[0][0]) >> 12) + 1
        job = await db.fetch("SELECT max(id) FROM job")
        slot.last_job = int(job[0][0] or 0)
        return
    raise Unavailable(f"all {SLOTS} worker slots are leased")
