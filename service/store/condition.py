"""What `enlace doctor` asks a database: short reads, each an index step or bounded in time; no slot, no write."""

from dataclasses import dataclass

from service.search.keys import Keys
from service.store.backup_places import Place
from service.store.deliveries import UNDELIVERED
from service.store.notices import MOST_COUNTED
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


@dataclass(frozen=True)
class Subscriptions:
    """late_us: when the oldest event came that has not arrived, None where all did."""

    active: int
    error: int
    late_us: int | None


@dataclass(frozen=True)
class Notices:
    """Notices to people. failed: (channel, reason) -> how many, most first. late_us: since when the oldest one fails or
    waits beyond its time, None where none does. untried: nobody took that one. channel, reason: of that one."""

    failed: dict[tuple[str, str], int]
    late_us: int | None = None
    untried: bool = False
    channel: str = ""
    reason: str = ""


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


async def notices(place: Place, now_us: int) -> Notices:
    """Counted up to MOST_COUNTED, as for metrics."""
    each = "SELECT channel, reason FROM notice WHERE state = 'failed' LIMIT ?"
    sql = f"SELECT channel, reason, count(*) FROM ({each}) f GROUP BY channel, reason ORDER BY 3 DESC, 1, 2"
    failed = {(str(row[0]), str(row[1])): int(row[2]) for row in await place.fetch(sql, (MOST_COUNTED,))}
    late = await place.fetch(
        "SELECT CASE WHEN settled_us > 0 THEN settled_us ELSE due_us END, attempts, channel, reason FROM "
        "(SELECT * FROM notice WHERE state = 'waiting' ORDER BY due_us LIMIT ?) n WHERE settled_us > 0 OR due_us <= ? "
        "ORDER BY 1 LIMIT 1",
        (MOST_COUNTED, now_us),
    )
    if not late:
        return Notices(failed)
    since_us, attempts, channel, reason = late[0]
    return Notices(failed, int(since_us), not attempts, str(channel), str(reason))


async def subscriptions(place: Place) -> Subscriptions:
    """late_us as for metrics: not of what is paused, off or in error."""
    rows = await place.fetch("SELECT status, count(*) FROM subscription GROUP BY status")
    counts = {str(status): int(count) for status, count in rows}
    late = [int(row[0]) for sql in UNDELIVERED for row in await place.fetch(sql) if row[0] is not None]
    return Subscriptions(counts.get("active", 0), counts.get("error", 0), min(late, default=None))


async def partners(place: Place) -> tuple[list[tuple[str, int, str]], int]:
    """Partners' servers that cannot be used: (name, since when, why); and how many referrals need a person."""
    failing = await place.fetch(
        "SELECT name, failing_since_us, error FROM referral_partner WHERE state = 'failing' ORDER BY name"
    )
    waiting = await place.fetch("SELECT count(*) FROM partner_referral WHERE state IN ('refused', 'failed')")
    return [(str(name), int(since or 0), str(error)) for name, since, error in failing], int(waiting[0][0])


async def directory(place: Place, since_us: int) -> tuple[int, int]:
    """Active services of the directory, and how many of them somebody verified since; by the rows of the search."""
    secret = (await place.fetch("SELECT value FROM meta WHERE name = 'index_secret'"))[0][0]
    keys = Keys(bytes.fromhex(str(secret)))
    active = keys.token("HealthcareService", "active", None, "true")
    listed = await place.fetch("SELECT count(*) FROM ix WHERE key = ?", (active,))
    verified = await place.fetch(
        "SELECT count(DISTINCT d.vid) FROM ix_date d JOIN ix i ON i.key = ? AND i.vid = d.vid "
        "WHERE d.key = ? AND d.hi > ?",
        (active, keys.values("HealthcareService", "verified"), since_us),
    )
    return int(listed[0][0]), int(verified[0][0])


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
