"""The queue: jobs committed with their cause, claimed in batches, in order per ordering_key. ../shared/stack.md 5

A claim is a lease: a job whose worker died is ready again when the lease ends, and its Change fails on the old token.
"""

import secrets
from dataclasses import dataclass
from typing import Any

import orjson

from service.store.change import Statement
from service.store.engine import Store

LEASE_US = 20_000_000
"""So long does a message wait whose worker was killed; a job of a claimed batch takes milliseconds."""
MAX_ATTEMPTS = 8


@dataclass(frozen=True)
class Claimed:
    """A leased job; `token` is what its Change must still hold at commit."""

    id: int
    kind: str
    ordering_key: str
    attempts: int
    token: int
    payload: dict[str, Any]


async def claim(store: Store, limit: int) -> list[Claimed]:
    """Up to `limit` due jobs, oldest first. Of an ordering_key nothing is taken past a job that waits or is leased.

    Several jobs of one ordering_key may come in one claim: they are run one after the other. Across processes on
    PostgreSQL the order is kept but for claims of the same instant; stays are serial by their epoch all the same.
    """
    now = store.clock.now_us()
    token = secrets.randbits(62)
    lock = " FOR UPDATE OF j SKIP LOCKED" if store.db.name == "postgresql" else ""
    # What blocks an order is few rows, read once: asking for each job would walk all that its order ever finished.
    rows = await store.db.execute(
        "UPDATE job SET state = 'leased', lease = ?, attempts = attempts + 1, due_us = ? WHERE id IN ("
        "WITH blocked AS MATERIALIZED (SELECT queue, ordering_key, min(id) AS first FROM job "
        "WHERE state IN ('ready', 'leased') AND due_us > ? AND ordering_key <> '' GROUP BY queue, ordering_key) "
        "SELECT j.id FROM job j LEFT JOIN blocked b ON b.queue = j.queue AND b.ordering_key = j.ordering_key "
        "WHERE j.state IN ('ready', 'leased') AND j.due_us <= ? AND (b.first IS NULL OR j.id < b.first) "
        f"ORDER BY j.id LIMIT ?{lock}) RETURNING id, kind, ordering_key, attempts, lease, payload",
        (token, now + LEASE_US, now, now, limit),
    )
    return [Claimed(r[0], r[1], r[2], r[3], r[4], orjson.loads(r[5])) for r in sorted(rows)]


async def has_due(store: Store) -> bool:
    rows = await store.fetch(
        "SELECT 1 FROM job WHERE state IN ('ready', 'leased') AND due_us <= ? LIMIT 1", (store.clock.now_us(),)
    )
    return bool(rows)


def retry(job: Claimed, due_us: int, error: str) -> Statement:
    """Ready again later; only if nobody else has taken it meanwhile."""
    return Statement(
        "UPDATE job SET state = 'ready', due_us = ?, last_error = ?, lease = 0 WHERE id = ? AND lease = ?",
        (due_us, error, job.id, job.token),
    )


def release(job: Claimed, due_us: int = 0) -> Statement:
    """Given back untried: one before it in its order has to be tried again, or the store could not take its result."""
    return Statement(
        "UPDATE job SET state = 'ready', due_us = ?, attempts = attempts - 1, lease = 0 WHERE id = ? AND lease = ?",
        (due_us, job.id, job.token),
    )


def dead(job: Claimed, error: str) -> Statement:
    """Waits for a person: told by /metrics and `enlace doctor`, listed and tried again by `enlace jobs`."""
    return Statement(
        "UPDATE job SET state = 'dead', last_error = ?, lease = 0, dedupe = NULL WHERE id = ? AND lease = ?",
        (error, job.id, job.token),
    )


async def counts(store: Store) -> dict[tuple[str, str], int]:
    """(queue, state) -> how many, finished ones aside."""
    sql = "SELECT queue, state, count(*) FROM job WHERE state <> 'done' GROUP BY queue, state"
    rows = await store.fetch(sql, varying=True)
    return {(row[0], row[1]): row[2] for row in rows}


async def unfinished(store: Store) -> int:
    rows = await store.fetch("SELECT count(*) FROM job WHERE state IN ('ready', 'leased')")
    return int(rows[0][0])


@dataclass(frozen=True)
class Listed:
    """A job for people: without its payload, which may name members. due_us: when it is tried, or was done."""

    id: int
    kind: str
    state: str
    attempts: int
    due_us: int
    last_error: str


async def listed(store: Store, *, state: str, kind: str = "", limit: int = 50) -> list[Listed]:
    """Newest first."""
    also, params = (" AND kind = ?", [kind]) if kind else ("", [])
    rows = await store.fetch(
        f"SELECT id, kind, state, attempts, due_us, last_error FROM job WHERE state = ?{also} ORDER BY id DESC LIMIT ?",
        (state, *params, limit),
    )
    return [Listed(*row) for row in rows]


def again(job_id: int, now_us: int) -> Statement:
    """A dead job is tried anew, with all its attempts."""
    return Statement(
        "UPDATE job SET state = 'ready', attempts = 0, due_us = ?, lease = 0 WHERE id = ? AND state = 'dead'",
        (now_us, job_id),
    )


def forget_done(before_us: int) -> Statement:
    """Finished jobs are kept for a while to be looked at, then go."""
    return Statement("DELETE FROM job WHERE state = 'done' AND due_us < ?", (before_us,))
