"""The durable inbox of HL7 v2 messages, and what became of each. Facts: ../shared/facts/adt.md 3, decisions.md 8"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from service.store.change import Statement
from service.store.engine import Store

STATES = ("stored", "applied", "unmatched", "ignored", "unreadable", "unregistered", "failed", "purged")

_LISTED = "id, source, control_id, received_us, event, state, reason, patient, stay, handled_us"


@dataclass(frozen=True)
class Received:
    """A row without its bytes, for lists. Times in microseconds since the epoch."""

    id: int
    source: str
    control_id: str
    received_us: int
    event: str
    state: str
    reason: str
    patient: str
    stay: str
    handled_us: int | None


def insert(
    *,
    id: int,
    source: str,
    control_id: str,
    hash: bytes,
    received_us: int,
    event: str,
    raw: bytes,
    ack: bytes | None,
    state: str,
    reason: str = "",
) -> Statement:
    """Counters are reset and ids are reused: another content under a known control id is stored as new, and flagged."""
    return Statement(
        "INSERT INTO inbox (id, source, control_id, hash, received_us, event, raw, ack, state, reason, patient, stay) "
        "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, CASE WHEN EXISTS (SELECT 1 FROM inbox WHERE source = ? AND control_id = ? "
        "AND control_id <> '' AND state <> 'unreadable') THEN 'same-control-id' ELSE ? END, '', '')",
        (id, source, control_id, hash, received_us, event, raw, ack, state, source, control_id, reason),
    )


_HANDLED = "UPDATE inbox SET state = ?, reason = ?, patient = ?, stay = ?, handled_us = ? WHERE id = ?"


def handled(id: int, state: str, reason: str, *, patient: str, stay: str, now_us: int) -> Statement:
    return Statement(_HANDLED, (state, reason, patient, stay, now_us, id))


def outcome(id: int, statements: Sequence[Statement]) -> tuple[str, str, str, str] | None:
    """(state, reason, patient, stay) that a Change would give the message, as `handled` wrote it there."""
    said = [s.params[:4] for s in statements if s.sql == _HANDLED and s.params[5] == id]
    return (str(said[-1][0]), str(said[-1][1]), str(said[-1][2]), str(said[-1][3])) if said else None


def failed(id: int, reason: str, job_id: int) -> Statement:
    """For a person to see, if the job over it is dead."""
    return Statement(
        "UPDATE inbox SET state = 'failed', reason = ? "
        "WHERE id = ? AND EXISTS (SELECT 1 FROM job WHERE job.id = ? AND job.state = 'dead')",
        (reason, id, job_id),
    )


def renamed(id: int, source: str, old_claim: int) -> tuple[Statement, ...]:
    """The message of a sender that was registered later takes its name; the claim under the old name goes.

    The Change must claim it under the new name, or a repeat would be taken for a message that is not stored yet.
    """
    return (
        Statement("UPDATE inbox SET source = ? WHERE id = ?", (source, id)),
        Statement("DELETE FROM claim WHERE key = ? AND holder = ?", (old_claim, id)),
    )


async def ack_of(store: Store, id: int) -> bytes | None:
    rows = await store.fetch("SELECT ack FROM inbox WHERE id = ?", (id,))
    return rows[0][0] if rows else None


async def repeated(store: Store, source: str, control_id: str, hash: bytes) -> tuple[int, bytes | None] | None:
    """(id, answer) of the message that came first; None if it is not stored."""
    rows = await store.fetch(
        "SELECT id, ack FROM inbox WHERE source = ? AND control_id = ? AND hash = ?", (source, control_id, hash)
    )
    return (rows[0][0], rows[0][1]) if rows else None


async def message(store: Store, id: int) -> tuple[bytes, str, int] | None:
    """(bytes as received, source, received_us)"""
    rows = await store.fetch("SELECT raw, source, received_us FROM inbox WHERE id = ?", (id,))
    return (bytes(rows[0][0]), rows[0][1], rows[0][2]) if rows else None


async def unfinished_jobs(store: Store, id: int) -> list[tuple[int, str, int, str]]:
    """(job, state, attempts, last error) of the work over a message that waits, runs or is dead."""
    rows = await store.fetch(
        "SELECT id, state, attempts, last_error FROM job WHERE state IN ('ready', 'leased', 'dead') "
        "AND kind = 'adt.apply' AND payload = ? ORDER BY id",
        (orjson.dumps({"inbox": id}).decode(),),
    )
    return [(row[0], row[1], row[2], row[3]) for row in rows]


async def one(store: Store, id: int) -> Received | None:
    rows = await store.fetch(f"SELECT {_LISTED} FROM inbox WHERE id = ?", (id,))
    return Received(*rows[0]) if rows else None


async def listed(store: Store, *, state: str | None, limit: int, before: int | None = None) -> list[Received]:
    """Newest first."""
    conditions, params = ["1 = 1"], list[Any]()
    if state:
        conditions.append("state = ?")
        params.append(state)
    if before:
        conditions.append("id < ?")
        params.append(before)
    sql = f"SELECT {_LISTED} FROM inbox WHERE {' AND '.join(conditions)} ORDER BY id DESC LIMIT ?"
    return [Received(*row) for row in await store.fetch(sql, (*params, limit))]


async def counts(store: Store) -> dict[str, int]:
    rows = await store.fetch("SELECT state, count(*) FROM inbox GROUP BY state", varying=True)
    return {row[0]: row[1] for row in rows}
