"""SQL of notices to people: what is due, what came of it, what a person has in the list."""

from collections.abc import Sequence
from dataclasses import astuple, dataclass, fields
from typing import Any

from service.search.keys import PATIENT_EDGE, edge
from service.store.change import Statement
from service.store.dialect import marks
from service.store.engine import Store
from service.store.visible import join

LEASE_US = 180_000_000
"""So long does a notice wait whose worker was killed while it sent: longer than a pass over a slow mail server."""
IN_APP = "in-app"
_REQUESTS = edge("ServiceRequest", PATIENT_EDGE)
KEPT_US = 90 * 86_400_000_000
"""So long is kept what was told, or why not; the audit rows stay."""
MOST_COUNTED = 100_000
COUNTS = (
    "SELECT channel, state, count(*) FROM (SELECT * FROM (SELECT channel, state FROM notice WHERE state = 'waiting' "
    "LIMIT ?) w UNION ALL SELECT * FROM (SELECT channel, state FROM notice WHERE state = 'failed' LIMIT ?) f) n "
    "GROUP BY channel, state"
)
_COUNTED = (MOST_COUNTED, MOST_COUNTED)
UNSENT = (
    "SELECT min(CASE WHEN settled_us > 0 THEN settled_us ELSE due_us END) FROM (SELECT settled_us, due_us FROM notice "
    f"WHERE state = 'waiting' ORDER BY due_us LIMIT {MOST_COUNTED}) n WHERE settled_us > 0 OR due_us <= ?"
)
"""What waits for its hour (quiet hours, a digest, an escalation) is not late; what failed is, until it arrives."""


@dataclass(frozen=True)
class Notice:
    """A row of table notice (service/store/tables_notify.py). settled_us: while it waits, since when it fails."""

    id: int
    recipient: str
    kind: str
    priority: str
    channel: str
    target: str
    key: int
    vid: int
    state: str
    at_us: int
    due_us: int
    lease_until_us: int = 0
    attempts: int = 0
    settled_us: int = 0
    digest: int = 0
    reason: str = ""
    receipt: str = ""


_COLUMNS = ", ".join(field.name for field in fields(Notice))


def told(notice: Notice) -> Statement:
    """A new row; nobody is told twice of the same version in the same words over the same channel."""
    return Statement(
        f"INSERT INTO notice ({_COLUMNS}) VALUES ({marks(len(fields(Notice)))}) "
        "ON CONFLICT (recipient, vid, kind, channel) DO NOTHING",
        astuple(notice),
    )


async def claim(store: Store, now_us: int, limit: int) -> list[Notice]:
    """Up to `limit` due notices, oldest first, with all that the same people wait for over the same channels: a digest
    is whole. No other worker takes them before the lease ends."""
    lock = " FOR UPDATE SKIP LOCKED" if store.db.name == "postgresql" else ""
    due = "state = 'waiting' AND due_us <= ? AND lease_until_us <= ?"
    rows = await store.db.execute(
        "UPDATE notice SET lease_until_us = ? WHERE id IN (SELECT id FROM notice WHERE "
        f"{due} AND (recipient, channel) IN (SELECT recipient, channel FROM "
        f"(SELECT recipient, channel FROM notice WHERE {due} ORDER BY due_us LIMIT ?) first) ORDER BY id{lock}) "
        f"RETURNING {_COLUMNS}",
        (now_us + LEASE_US, now_us, now_us, now_us, now_us, limit),
    )
    return sorted((Notice(*row) for row in rows), key=lambda one: one.id)


def changed(notice: Notice, **values: Any) -> Statement:
    """What came of a claimed notice; nothing where another worker has it by now."""
    names = sorted(values)
    sets = ", ".join(f"{name} = ?" for name in names)
    return Statement(
        f"UPDATE notice SET {sets}, lease_until_us = 0 WHERE id = ? AND state = 'waiting' AND lease_until_us = ?",
        (*(values[name] for name in names), notice.id, notice.lease_until_us),
    )


def again(notice: Notice, now_us: int) -> Statement:
    """Sent anew at the operator's word, whatever came of it."""
    return Statement(
        "UPDATE notice SET state = 'waiting', due_us = ?, lease_until_us = 0, attempts = 0, settled_us = 0, "
        "digest = 0, reason = '' WHERE id = ?",
        (now_us, notice.id),
    )


async def listed(
    store: Store, *, recipient: str = "", state: str = "", kind: str = "", target: str = "", limit: int = 50
) -> list[Notice]:
    """Newest first, for the operator."""
    asked = {"recipient": recipient, "state": state, "kind": kind, "target": target}
    condition, params = join(*((f"{name} = ?", [value]) for name, value in asked.items() if value))
    sql = f"SELECT {_COLUMNS} FROM notice WHERE {condition} ORDER BY at_us DESC, id DESC LIMIT ?"
    return [Notice(*row) for row in await store.fetch(sql, (*params, limit))]


async def by_id(store: Store, number: int) -> Notice | None:
    rows = await store.fetch(f"SELECT {_COLUMNS} FROM notice WHERE id = ?", (number,))
    return Notice(*rows[0]) if rows else None


async def in_digest(store: Store, number: int) -> list[Notice]:
    """What a digest collected: rows of its recipient that name it."""
    digest = await by_id(store, number)
    if digest is None:
        return []
    sql = f"SELECT {_COLUMNS} FROM notice WHERE recipient = ? AND digest = ? ORDER BY id"
    return [Notice(*row) for row in await store.fetch(sql, (digest.recipient, number))]


async def in_app(store: Store, person: str, *, unread: bool, limit: int, before_us: int = 2**62) -> list[Notice]:
    """The person's list, newest first; with all of the last moment, since the next page begins before it."""
    states = ["sent"] if unread else ["sent", "read"]
    condition = f"recipient = ? AND channel = ? AND state IN ({marks(len(states))}) AND at_us"
    params = (person, IN_APP, *states)
    sql = f"SELECT at_us FROM notice WHERE {condition} < ? ORDER BY at_us DESC LIMIT ?"
    times = await store.fetch(sql, (*params, before_us, limit))
    if not times:
        return []
    sql = f"SELECT {_COLUMNS} FROM notice WHERE {condition} BETWEEN ? AND ? ORDER BY at_us DESC, id DESC"
    return [Notice(*row) for row in await store.fetch(sql, (*params, times[-1][0], before_us - 1))]


def read(person: str, numbers: Sequence[int], now_us: int) -> list[Statement]:
    """Of the person's own list; other numbers change nothing."""
    sql = (
        "UPDATE notice SET state = 'read', settled_us = ? "
        "WHERE id = ? AND recipient = ? AND channel = 'in-app' AND state = 'sent'"
    )
    return [Statement(sql, (now_us, number, person)) for number in numbers]


async def channels_told(store: Store, person: str, targets: Sequence[str], now_us: int) -> list[str]:
    """Over which channels the person heard, or may have heard, of any of these targets."""
    if not targets:
        return []
    sql = (
        f"SELECT DISTINCT channel FROM notice WHERE recipient = ? AND target IN ({marks(len(targets))}) "
        "AND (state IN ('sent', 'read', 'collected') OR (state = 'waiting' AND (attempts > 0 OR lease_until_us > ?))) "
        "ORDER BY channel"
    )
    return [str(row[0]) for row in await store.fetch(sql, (person, *targets, now_us))]


async def requests_of(store: Store, patient: int) -> list[bytes]:
    """The ServiceRequests of a patient (its key), for the service itself: any may prohibit that the member is told."""
    sql = "SELECT v.body FROM ref e JOIN version v ON v.vid = e.vid WHERE e.param = ? AND e.target = ?"
    return [bytes(row[0]) for row in await store.fetch(sql, (_REQUESTS, patient))]


async def counts(store: Store) -> dict[tuple[str, str], int]:
    """(channel, state) -> notices, of those that wait or failed, counted up to MOST_COUNTED each: for metrics."""
    return {(row[0], row[1]): int(row[2]) for row in await store.fetch(COUNTS, _COUNTED, heavy=True)}


async def unsent_since_us(store: Store) -> int | None:
    """Since when the oldest notice waits that should have gone out: it fails, or nobody took it. None: none does."""
    rows = await store.fetch(UNSENT, (store.clock.now_us(),), heavy=True)
    return int(rows[0][0]) if rows[0][0] is not None else None


def forget(before_us: int) -> Statement:
    """What is settled is kept for a while, then goes; what waits never does."""
    return Statement("DELETE FROM notice WHERE state <> 'waiting' AND at_us < ?", (before_us,))
