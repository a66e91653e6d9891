"""SQL of timers: started and ended with their cause, those that are due, how they were met, and those to be forgotten.

A timer's row is found by `dedupe`: kind and cause, so that the same cause starts it once, whatever comes twice.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import orjson

from service.store.change import Statement
from service.store.dialect import marks
from service.store.engine import Store
from service.store.slots import vid_at

OPEN = ("running", "breached")
_COLUMNS = "id, kind, dedupe, subject, patient, start_us, due_us, state, ended_us, payload"


@dataclass(frozen=True)
class StoredTimer:
    """state: running, met, breached, cancelled. ended_us: when it was met or cancelled; a breached one: met late."""

    id: int
    kind: str
    dedupe: str
    subject: str
    patient: str
    start_us: int
    due_us: int
    state: str = "running"
    ended_us: int | None = None
    payload: dict[str, Any] = field(default_factory=dict)


def started(timer: StoredTimer) -> Statement:
    """Started; where its cause was taken back and holds again, started again; one that runs gets the new times.

    What was met or breached stays so.
    """
    return Statement(
        f"INSERT INTO timer ({_COLUMNS}) VALUES ({marks(10)}) ON CONFLICT (dedupe) DO UPDATE SET "
        "subject = excluded.subject, patient = excluded.patient, start_us = excluded.start_us, "
        "due_us = excluded.due_us, state = excluded.state, ended_us = excluded.ended_us, payload = excluded.payload "
        "WHERE timer.state IN ('running', 'cancelled')",
        (
            timer.id,
            timer.kind,
            timer.dedupe,
            timer.subject,
            timer.patient,
            timer.start_us,
            timer.due_us,
            timer.state,
            timer.ended_us,
            orjson.dumps(timer.payload).decode(),
        ),
    )


def met(kind: str, subject: str, at_us: int) -> Statement:
    """Done: in time or late. A breach that was told stays one, with the time when it was done after all."""
    return Statement(
        "UPDATE timer SET state = CASE WHEN state = 'running' AND due_us >= ? THEN 'met' ELSE 'breached' END, "
        "ended_us = ? WHERE kind = ? AND subject = ? AND state IN ('running', 'breached') AND ended_us IS NULL",
        (at_us, at_us, kind, subject),
    )


def met_until(kind: str, subject: str, until_id: int, at_us: int) -> Statement:
    """As met(), of those that were started before the number of a version."""
    return Statement(
        "UPDATE timer SET state = CASE WHEN state = 'running' AND due_us >= ? THEN 'met' ELSE 'breached' END, "
        "ended_us = ? WHERE kind = ? AND subject = ? AND id < ? AND state IN ('running', 'breached') "
        "AND ended_us IS NULL",
        (at_us, at_us, kind, subject, until_id),
    )


def cancelled(kind: str, subject: str, at_us: int) -> Statement:
    """No longer to be met."""
    return Statement(
        "UPDATE timer SET state = 'cancelled', ended_us = ? WHERE kind = ? AND subject = ? AND state = 'running'",
        (at_us, kind, subject),
    )


REVIEW = "match_review/"
"""Subject of the timer of a review of a match, with its number."""


def of_review(stay: str, timer: StoredTimer) -> Statement:
    """Started with the open review of the stay, whichever it is: once for each review, its deadline stays.

    timer: its kind, times and payload; subject and dedupe follow from the review's number.
    """
    name = f"'{REVIEW}' || CAST(r.id AS TEXT)"
    return Statement(
        f"INSERT INTO timer ({_COLUMNS}) SELECT CAST(? AS BIGINT), ?, ? || {name}, {name}, ?, CAST(? AS BIGINT), "
        "CAST(? AS BIGINT), 'running', NULL, ? FROM match_review r WHERE r.stay = ? AND r.state = 'open' "
        "ON CONFLICT (dedupe) DO NOTHING",
        (
            timer.id,
            timer.kind,
            f"{timer.kind}|",
            timer.patient,
            timer.start_us,
            timer.due_us,
            orjson.dumps(timer.payload).decode(),
            stay,
        ),
    )


def reviews_ended(kind: str, stay: str, at_us: int) -> Statement:
    """After the statement that closes them: in time or late, as met()."""
    return Statement(
        "UPDATE timer SET state = CASE WHEN state = 'running' AND due_us >= ? THEN 'met' ELSE 'breached' END, "
        f"ended_us = ? WHERE kind = ? AND subject IN (SELECT '{REVIEW}' || CAST(r.id AS TEXT) FROM match_review r "
        "WHERE r.stay = ? AND r.state <> 'open') AND state IN ('running', 'breached') AND ended_us IS NULL",
        (at_us, at_us, kind, stay),
    )


def breached(dedupe: str) -> Statement:
    return Statement("UPDATE timer SET state = 'breached' WHERE dedupe = ? AND state = 'running'", (dedupe,))


def postponed(dedupe: str, by_us: int) -> Statement:
    return Statement("UPDATE timer SET due_us = due_us + ? WHERE dedupe = ? AND state = 'running'", (by_us, dedupe))


async def one(store: Store, dedupe: str) -> StoredTimer | None:
    rows = await store.fetch(f"SELECT {_COLUMNS} FROM timer WHERE dedupe = ?", (dedupe,))
    return _timer(rows[0]) if rows else None


async def about(store: Store, subject: str) -> list[StoredTimer]:
    """Those that wait for something: running, or breached and not done since."""
    return await _where(store, "subject = ? AND state IN ('running', 'breached') AND ended_us IS NULL", (subject,))


async def of_patient(store: Store, patient: str, kinds: Sequence[str]) -> list[StoredTimer]:
    """As about(), of these kinds."""
    waiting = f"patient = ? AND kind IN ({marks(len(kinds))}) AND state IN ('running', 'breached') AND ended_us IS NULL"
    return await _where(store, waiting, (patient, *kinds))


async def due(store: Store, now_us: int, limit: int) -> list[str]:
    """dedupe of those whose time is over and of whom nobody was told yet."""
    sql = "SELECT dedupe FROM timer WHERE state = 'running' AND due_us <= ? ORDER BY due_us LIMIT ?"
    return [row[0] for row in await store.fetch(sql, (now_us, limit))]


async def listed(store: Store, kind: str, state: str, limit: int) -> list[StoredTimer]:
    """For the operator; "" is any. Soonest due first."""
    which, params = ["1 = 1"], list[Any]()
    for column, value in (("kind", kind), ("state", state)):
        if value:
            which.append(f"{column} = ?")
            params.append(value)
    sql = f"SELECT {_COLUMNS} FROM timer WHERE {' AND '.join(which)} ORDER BY due_us, id LIMIT ?"
    return [_timer(row) for row in await store.fetch(sql, (*params, limit))]


async def begun_before(store: Store, after: int, before_us: int, limit: int) -> list[StoredTimer]:
    """The next that were written before then, in order of their numbers, behind the number `after`; for forget()."""
    sql = f"SELECT {_COLUMNS} FROM timer WHERE id > ? AND id < ? ORDER BY id LIMIT ?"
    return [_timer(row) for row in await store.fetch(sql, (after, vid_at(before_us), limit), heavy=True)]


def forget(ids: Sequence[int], before_us: int) -> Statement:
    """Of these, who ended before then: met, cancelled, or not met by then and not done since."""
    return Statement(
        f"DELETE FROM timer WHERE id IN ({marks(len(ids))}) AND start_us < ? AND (ended_us < ? OR "
        "(state = 'breached' AND ended_us IS NULL AND due_us < ?))",
        (*ids, before_us, before_us, before_us),
    )


async def ended_since(store: Store, kind: str, since_us: int) -> list[StoredTimer]:
    """All of a kind that began since then and were not cancelled: what a measure is taken of."""
    return await _where(store, "kind = ? AND start_us >= ? AND state <> 'cancelled'", (kind, since_us))


async def _where(store: Store, condition: str, params: tuple[Any, ...]) -> list[StoredTimer]:
    return [_timer(row) for row in await store.fetch(f"SELECT {_COLUMNS} FROM timer WHERE {condition}", params)]


def _timer(row: Sequence[Any]) -> StoredTimer:
    id, kind, dedupe, subject, patient, start_us, due_us, state, ended_us, payload = row
    return StoredTimer(id, kind, dedupe, subject, patient, start_us, due_us, state, ended_us, orjson.loads(payload))
