"""What `enlace doctor` asks a database: short reads, each an index step or bounded in time; no slot, no write."""

from dataclasses import dataclass

from service.store.backup_places import Place
from service.store.slots import updated_us


@dataclass(frozen=True)
class Server:
    """version: as (major, minor). unsafe: settings under which a commit may be lost. weak: those that may be meant."""

    version: tuple[int, int]
    unsafe: tuple[str, ...]
    weak: tuple[str, ...]


@dataclass(frozen=True)
class Queue:
    """late_us: when the oldest due job was due, None where none is."""

    due: int
    late_us: int | None
    dead: int


async def server(place: Place) -> Server:
    if place.engine == "sqlite":
        major, minor, *_ = (int(part) for part in (await place.fetch("SELECT sqlite_version()"))[0][0].split("."))
        pragmas = [(name, (await place.fetch(f"PRAGMA {name}"))[0][0]) for name in ("synchronous", "journal_mode")]
        unsafe = [name for name, value in pragmas if str(value).lower() not in ("2", "3", "wal")]
        return Server((major, minor), tuple(unsafe), ())
    number = int((await place.fetch("SHOW server_version_num"))[0][0])
    shown = {
        name: str((await place.fetch(f"SHOW {name}"))[0][0])
        for name in ("fsync", "synchronous_commit", "full_page_writes")
    }
    off = [name for name, value in shown.items() if value == "off"]
    unsafe = [name for name in off if name != "full_page_writes"]
    return Server((number // 10_000, number % 10_000), tuple(unsafe), tuple(set(off) - set(unsafe)))


async def size_bytes(place: Place) -> int:
    """Of the whole database, as PostgreSQL or SQLite counts it."""
    if place.engine == "sqlite":
        pages = await place.fetch("PRAGMA page_count")
        return int(pages[0][0]) * int((await place.fetch("PRAGMA page_size"))[0][0])
    return int((await place.fetch("SELECT pg_database_size(current_database())"))[0][0])


async def clock_us(place: Place) -> int | None:
    """The server's clock; None: SQLite has none of its own."""
    if place.engine == "sqlite":
        return None
    return int((await place.fetch("SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::int8"))[0][0])


async def newest_us(place: Place) -> int:
    """The latest instant that was given to a version; 0: none."""
    found = (await place.fetch("SELECT max(vid) FROM version"))[0][0]
    return updated_us(int(found)) if found else 0


async def processes(place: Place, now_us: int) -> int:
    """Worker slots that are leased."""
    return int((await place.fetch("SELECT count(*) FROM worker_slot WHERE lease_until_us > ?", (now_us,)))[0][0])


async def queue(place: Place, now_us: int) -> Queue:
    """A job that was given back untried is due at 0: its id says since when it waits."""
    waiting = (
        "SELECT count(*), min(CASE WHEN due_us > 0 THEN due_us END), min(CASE WHEN due_us = 0 THEN id END) "
        "FROM job WHERE state IN ('ready', 'leased') AND due_us <= ?"
    )
    due, late_us, untried = (await place.fetch(waiting, (now_us,)))[0]
    dead = (await place.fetch("SELECT count(*) FROM job WHERE state = 'dead'"))[0][0]
    since = [int(late_us)] if late_us is not None else []
    since += [updated_us(int(untried))] if untried is not None else []
    return Queue(int(due), min(since, default=None), int(dead))


async def inbox_counts(place: Place, states: tuple[str, ...]) -> dict[str, int]:
    """How many messages are in these states; by the index over states, since `applied` are many."""
    return {
        state: int((await place.fetch("SELECT count(*) FROM inbox WHERE state = ?", (state,)))[0][0])
        for state in states
    }


async def unmatched(place: Place, look: int) -> dict[str, int]:
    """How many of the newest unmatched messages have each reason."""
    newest = "SELECT reason FROM inbox WHERE state = 'unmatched' ORDER BY id DESC LIMIT ?"
    rows = await place.fetch(f"SELECT reason, count(*) FROM ({newest}) AS newest GROUP BY reason", (look,))
    return {str(reason): int(count) for reason, count in rows}


async def last_heard_us(place: Place, source: str) -> int | None:
    """When the last message of a source came; None: never."""
    found = (await place.fetch("SELECT max(received_us) FROM inbox WHERE source = ?", (source,)))[0][0]
    return None if found is None else int(found)
