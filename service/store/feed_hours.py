"""SQL of how the feeds do: what each sent in an hour (feed_hour), what waits, and what operations were told of it.

`received` is counted anew from the inbox; repeats, negative answers and times of answers are added by who answered.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from service.store.change import Statement
from service.store.dialect import marks
from service.store.engine import Store
from service.store.slots import vid_at

HOUR_US = 3_600_000_000
MOST = 10_000
"""Messages whose state is looked at, of a feed, and of all that wait."""
_ADD = (
    "INSERT INTO feed_hour (source, hour_us, received, repeated, negative, ack_us, ack_most_us) "
    "VALUES (?, ?, 0, ?, ?, ?, ?) ON CONFLICT (source, hour_us) DO UPDATE SET "
    "repeated = feed_hour.repeated + excluded.repeated, negative = feed_hour.negative + excluded.negative, "
    "ack_us = feed_hour.ack_us + excluded.ack_us, ack_most_us = CASE WHEN excluded.ack_most_us > "
    "feed_hour.ack_most_us THEN excluded.ack_most_us ELSE feed_hour.ack_most_us END"
)
_SET = (
    "INSERT INTO feed_hour (source, hour_us, received, repeated, negative, ack_us, ack_most_us) "
    "VALUES (?, ?, ?, 0, 0, 0, 0) ON CONFLICT (source, hour_us) DO UPDATE SET received = excluded.received"
)


@dataclass
class Hour:
    """What was answered to one sender in one hour; times in microseconds."""

    received: int = 0
    repeated: int = 0
    negative: int = 0
    ack_us: int = 0
    ack_most_us: int = 0


@dataclass(frozen=True)
class Watch:
    """What operations were told. kind: silent, errors, queue. state: raised, over."""

    source: str
    kind: str
    state: str
    since_us: int
    ended_us: int | None
    detail: str


def hour_of(us: int) -> int:
    return us - us % HOUR_US


def add(source: str, hour_us: int, told: Hour) -> Statement:
    return Statement(_ADD, (source, hour_us, told.repeated, told.negative, told.ack_us, told.ack_most_us))


def counted(source: str, hour_us: int, received: int) -> Statement:
    return Statement(_SET, (source, hour_us, received))


async def received(store: Store, source: str, since_us: int, until_us: int) -> int:
    sql = "SELECT count(*) FROM inbox WHERE source = ? AND received_us >= ? AND received_us < ?"
    return int((await store.fetch(sql, (source, since_us, until_us), heavy=True))[0][0])


async def strangers(store: Store, since_us: int, until_us: int) -> int:
    """Messages of senders that are not registered, or that cannot be read."""
    sql = "SELECT count(*) FROM inbox WHERE state = ? AND id >= ? AND id < ?"
    bounds = (vid_at(since_us), vid_at(until_us))
    counts = [await store.fetch(sql, (state, *bounds), heavy=True) for state in ("unregistered", "unreadable")]
    return sum(int(rows[0][0]) for rows in counts)


async def hours(store: Store, source: str, since_us: int) -> dict[int, Hour]:
    """Start of an hour -> what it brought; hours without anything are missing."""
    sql = (
        "SELECT hour_us, received, repeated, negative, ack_us, ack_most_us FROM feed_hour "
        "WHERE source = ? AND hour_us >= ?"
    )
    return {row[0]: Hour(*row[1:]) for row in await store.fetch(sql, (source, since_us))}


async def known_since(store: Store, source: str) -> int | None:
    """The first hour of which it is known what it brought."""
    rows = await store.fetch("SELECT min(hour_us) FROM feed_hour WHERE source = ? AND received > 0", (source,))
    return rows[0][0] if rows else None


async def first_and_last(store: Store, source: str) -> tuple[int | None, int | None]:
    """When its first and its last message came; one step in an index each."""
    ends = [f"(SELECT {end}(received_us) FROM inbox WHERE source = ?)" for end in ("min", "max")]
    row = (await store.fetch(f"SELECT {', '.join(ends)}", (source, source)))[0]
    return row[0], row[1]


async def states(store: Store, source: str, since_us: int) -> dict[str, int]:
    """State -> how many, of the newest MOST messages since then."""
    sql = (
        "SELECT state, count(*) FROM (SELECT state FROM inbox WHERE source = ? AND received_us >= ? "
        "ORDER BY received_us DESC LIMIT ?) s GROUP BY state"
    )
    return {row[0]: row[1] for row in await store.fetch(sql, (source, since_us, MOST), heavy=True)}


async def waiting(store: Store) -> dict[str, tuple[int, int]]:
    """Source -> (messages that wait for the worker, when the oldest of them came), of the oldest MOST that wait."""
    sql = (
        "SELECT source, count(*), min(received_us) FROM (SELECT source, received_us FROM inbox WHERE state = 'stored' "
        "ORDER BY id LIMIT ?) w GROUP BY source"
    )
    return {row[0]: (row[1], row[2]) for row in await store.fetch(sql, (MOST,), heavy=True)}


async def watches(store: Store, *, raised: bool = True) -> list[Watch]:
    sql = "SELECT source, kind, state, since_us, ended_us, detail FROM feed_watch"
    rows = await store.fetch(f"{sql} WHERE state = 'raised'" if raised else sql)
    return [Watch(*row) for row in sorted(rows)]


def raised(source: str, kind: str, now_us: int, detail: str) -> Statement:
    """Since when it was raised first is kept while it lasts."""
    return Statement(
        "INSERT INTO feed_watch (source, kind, state, since_us, ended_us, detail) VALUES (?, ?, 'raised', ?, NULL, ?) "
        "ON CONFLICT (source, kind) DO UPDATE SET state = 'raised', detail = excluded.detail, ended_us = NULL, "
        "since_us = CASE WHEN feed_watch.state = 'raised' THEN feed_watch.since_us ELSE excluded.since_us END",
        (source, kind, now_us, detail),
    )


def over(source: str, kind: str, now_us: int) -> Statement:
    return Statement(
        "UPDATE feed_watch SET state = 'over', ended_us = ? WHERE source = ? AND kind = ? AND state = 'raised'",
        (now_us, source, kind),
    )


def forget(before_us: int, keep: Sequence[str]) -> list[Statement]:
    """Hours that no expectation needs any more, and alarms of feeds that are gone."""
    names = f" AND source NOT IN ({marks(len(keep))})" if keep else ""
    return [
        Statement("DELETE FROM feed_hour WHERE hour_us < ?", (before_us,)),
        Statement(f"DELETE FROM feed_watch WHERE since_us < ?{names}", (before_us, *keep)),
    ]
