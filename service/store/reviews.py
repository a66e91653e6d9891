"""SQL of match reviews: at most one is open for a stay; a person closes it, or what comes later does."""

from dataclasses import dataclass
from typing import Any

import orjson

from service.store.change import Statement
from service.store.engine import Store

STATES = ("open", "linked", "nobody", "unlinked", "expired", "resolved")
CLAIMED = "not-my-member"
"""Reason of a review that somebody asked for although the stay is matched: no later message settles it."""

_COLUMNS = (
    "id, stay, inbox_id, source, reason, evidence, state, opened_us, due_us, decided_us, decided_by, second_by, "
    "patient, verdict, note"
)


@dataclass(frozen=True)
class Review:
    """A row of match_review. verdict, patient, decided_by: decided, or while it is open proposed by a first person."""

    id: int
    stay: str
    inbox_id: int
    source: str
    reason: str
    evidence: dict[str, Any]
    state: str
    opened_us: int
    due_us: int
    decided_us: int | None
    decided_by: str
    second_by: str
    patient: str
    verdict: str
    note: str


async def by_id(store: Store, id: int) -> Review | None:
    rows = await store.fetch(f"SELECT {_COLUMNS} FROM match_review WHERE id = ?", (id,))
    return _review(rows[0]) if rows else None


async def of_stay(store: Store, stay: str) -> list[Review]:
    """Newest first."""
    sql = f"SELECT {_COLUMNS} FROM match_review WHERE stay = ? ORDER BY id DESC"
    return [_review(row) for row in await store.fetch(sql, (stay,))]


async def listed(store: Store, state: str, limit: int) -> list[Review]:
    """Those that are due first."""
    sql = f"SELECT {_COLUMNS} FROM match_review WHERE state = ? ORDER BY due_us, id LIMIT ?"
    return [_review(row) for row in await store.fetch(sql, (state, limit))]


async def count(store: Store, state: str) -> int:
    rows = await store.fetch("SELECT count(*) FROM match_review WHERE state = ?", (state,))
    return int(rows[0][0])


def open_or_update(review: Review) -> list[Statement]:
    """The open review of the stay says this from now on, and keeps its deadline; without one it is opened.

    One that somebody asked for keeps its reason and what was proposed.
    """
    evidence = orjson.dumps(review.evidence).decode()
    row = (review.id, review.stay, review.inbox_id, review.source, review.reason, evidence, "open")
    more = (review.opened_us, review.due_us, review.decided_by, review.patient, review.verdict, review.note)
    # One text for both: a group of Changes runs each text for all of them before the next.
    return [
        Statement(
            "UPDATE match_review SET inbox_id = ?, reason = ?, evidence = ? "
            "WHERE stay = ? AND state = 'open' AND reason <> 'not-my-member'",
            (review.inbox_id, review.reason, evidence, review.stay),
        ),
        Statement(
            "INSERT INTO match_review (id, stay, inbox_id, source, reason, evidence, state, opened_us, due_us, "
            "decided_by, patient, verdict, note, second_by) SELECT CAST(? AS BIGINT), ?, CAST(? AS BIGINT), ?, ?, ?, "
            "?, CAST(? AS BIGINT), CAST(? AS BIGINT), ?, ?, ?, ?, '' WHERE NOT EXISTS "
            "(SELECT 1 FROM match_review WHERE stay = ? AND state = 'open')",
            (*row, *more, review.stay),
        ),
    ]


def claimed(review: Review) -> list[Statement]:
    """As open_or_update, for a claim: it goes before whatever was open."""
    taken = Statement(
        "UPDATE match_review SET reason = ?, decided_by = ?, patient = ?, verdict = ? "
        "WHERE stay = ? AND state = 'open' AND reason <> 'not-my-member'",
        (review.reason, review.decided_by, review.patient, review.verdict, review.stay),
    )
    return [taken, open_or_update(review)[1]]


def propose(id: int, verdict: str, patient: str, by: str, note: str) -> Statement:
    return Statement(
        "UPDATE match_review SET verdict = ?, patient = ?, decided_by = ?, note = ? WHERE id = ? AND state = 'open'",
        (verdict, patient, by, note, id),
    )


def close(review: Review) -> Statement:
    return Statement(
        "UPDATE match_review SET state = ?, decided_us = ?, decided_by = ?, second_by = ?, patient = ?, verdict = ?, "
        "note = ? WHERE id = ? AND state = 'open'",
        (
            review.state,
            review.decided_us,
            review.decided_by,
            review.second_by,
            review.patient,
            review.verdict,
            review.note,
            review.id,
        ),
    )


def settled(stay: str, now_us: int | None) -> Statement:
    return Statement(
        "UPDATE match_review SET state = 'resolved', decided_us = ? "
        "WHERE stay = ? AND state = 'open' AND reason <> 'not-my-member'",
        (now_us, stay),
    )


def _review(row: tuple[Any, ...]) -> Review:
    values = list(row)
    values[5] = orjson.loads(values[5])
    return Review(*values)
