"""SQL that finds messages of the inbox: the newest of a window, by control id, by what inbox_terms.py wrote of them.

Every statement is bounded by an index and a limit: an inbox of years must not stop for a question.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from service.store.dialect import marks
from service.store.engine import Store
from service.store.inbox import Received
from service.store.slots import vid_at

_COLUMNS = "i.id, i.source, i.control_id, i.received_us, i.event, i.state, i.reason, i.patient, i.stay, i.handled_us"
_SPARSE = frozenset({"unmatched", "ignored", "unreadable", "unregistered", "failed", "stored", "purged"})
"""States that few messages are in: the index by state leads to them; `applied` is nearly all of a busy inbox."""

# Each sender once, a step of the index for each: DISTINCT would walk all messages.
_SENDERS = (
    "WITH RECURSIVE sender (name) AS (SELECT min(source) FROM inbox UNION ALL "
    "SELECT (SELECT min(n.source) FROM inbox n WHERE n.source > sender.name) FROM sender "
    "WHERE sender.name IS NOT NULL) "
)
Message = tuple[Received, bytes]
"""A row with its bytes as received; b"" where they were not asked for."""


async def newest(
    store: Store,
    *,
    state: str | None,
    source: str | None,
    since_us: int,
    until_us: int,
    before: Received | None,
    limit: int,
    raw: bool,
) -> list[Message]:
    """A page of the window, newest first. Only the condition that an index serves is asked here: compare the rest."""
    conditions, params, order = ["1 = 1"], list[Any](), "i.id DESC"
    if source and state not in _SPARSE:
        conditions.append("i.source = ? AND i.received_us >= ? AND i.received_us < ?")
        params += [source, since_us, until_us]
        order = "i.received_us DESC, i.id DESC"
        if before:
            conditions.append("(i.received_us < ? OR (i.received_us = ? AND i.id < ?))")
            params += [before.received_us, before.received_us, before.id]
    else:
        if state:
            conditions.append("i.state = ?")
            params.append(state)
        conditions.append("i.id >= ? AND i.id < ?")
        params += [vid_at(since_us), vid_at(until_us)]
        if before:
            conditions.append("i.id < ?")
            params.append(before.id)
    sql = f"SELECT {_what(raw)} FROM inbox i WHERE {' AND '.join(conditions)} ORDER BY {order} LIMIT ?"
    return _messages(await store.fetch(sql, (*params, limit), varying=True))


async def by_control_id(store: Store, control_id: str, limit: int, *, raw: bool) -> list[Message]:
    """All messages under this MSH-10, of whichever sender."""
    sql = (
        f"{_SENDERS}SELECT {_what(raw)} FROM sender JOIN inbox i ON i.source = sender.name AND i.control_id = ? "
        "ORDER BY i.id DESC LIMIT ?"
    )
    return _messages(await store.fetch(sql, (control_id, limit)))


@dataclass(frozen=True)
class Within:
    """Beside the terms. Received in [since_us, until_us); state, source: "" for any. look: of the leading term."""

    since_us: int
    until_us: int
    state: str
    source: str
    limit: int
    look: int

    @property
    def ids(self) -> list[int]:
        return [vid_at(self.since_us), vid_at(self.until_us)]


async def by_terms(store: Store, wanted: Sequence[int], within: Within) -> tuple[list[Received], int | None]:
    """(rows newest first, where the look ended: an id, None where it saw all) of the messages with all of these terms.

    The first term leads: the one that the fewest messages have.
    """
    led = "SELECT inbox_id FROM inbox_term WHERE term = ? AND inbox_id >= ? AND inbox_id < ?"
    return await _led(store, led, [wanted[0], *within.ids], wanted[1:], within)


async def by_patient(
    store: Store, patient: str, term: int, others: Sequence[int], within: Within
) -> tuple[list[Received], int | None]:
    """As by_terms, of a member and its term. What was matched later stands with the events of its stay."""
    led = (
        "SELECT inbox_id FROM (SELECT inbox_id FROM stay_event WHERE patient = ? "
        "UNION SELECT inbox_id FROM inbox_term WHERE term = ?) m WHERE inbox_id >= ? AND inbox_id < ?"
    )
    return await _led(store, led, [patient, term, *within.ids], others, within)


async def _led(
    store: Store, led: str, params: list[Any], others: Sequence[int], within: Within
) -> tuple[list[Received], int | None]:
    ordered = f"{led} ORDER BY inbox_id DESC"
    conditions = ["i.id = a.inbox_id"]
    conditions += ["EXISTS (SELECT 1 FROM inbox_term t WHERE t.term = ? AND t.inbox_id = i.id)"] * len(others)
    conditions += ["i.state = ?"] * bool(within.state) + ["i.source = ?"] * bool(within.source)
    # CROSS JOIN: SQLite keeps no statistics, and would walk the inbox by its state instead.
    sql = (
        f"SELECT {_COLUMNS} FROM ({ordered} LIMIT ?) a CROSS JOIN inbox i "
        f"WHERE {' AND '.join(conditions)} ORDER BY i.id DESC LIMIT ?"
    )
    asked = (*params, within.look, *others, *filter(None, (within.state, within.source)), within.limit)
    rows = [Received(*row) for row in await store.fetch(sql, asked, varying=True)]
    if len(rows) == within.limit:
        return rows, None
    edge = await store.fetch(f"{ordered} LIMIT 2 OFFSET ?", (*params, within.look - 1), varying=True)
    return rows, edge[0][0] if len(edge) == 2 else None


async def with_term(store: Store, ids: Sequence[int], term: int) -> set[int]:
    """Those of the messages that have the term."""
    if not ids:
        return set()
    sql = f"SELECT inbox_id FROM inbox_term WHERE inbox_id IN ({marks(len(ids))}) AND term = ?"
    return {row[0] for row in await store.fetch(sql, (*ids, term))}


async def without_terms(store: Store, after: int, since_us: int, until_us: int, limit: int) -> list[Message]:
    """Messages behind the mark of inbox_terms.done_upto that have no terms yet, newest first."""
    sql = (
        f"SELECT {_what(True)} FROM inbox i WHERE i.id > ? AND i.id >= ? AND i.id < ? "
        "AND NOT EXISTS (SELECT 1 FROM inbox_term t WHERE t.inbox_id = i.id) ORDER BY i.id DESC LIMIT ?"
    )
    return _messages(await store.fetch(sql, (after, vid_at(since_us), vid_at(until_us), limit), varying=True))


async def reusing(store: Store, ids: Sequence[int]) -> set[int]:
    """Those of the messages under whose control id (MSH-10) the same sender sent another content too."""
    if not ids:
        return set()
    sql = (
        f"SELECT i.id FROM inbox i WHERE i.id IN ({marks(len(ids))}) AND i.control_id <> '' AND EXISTS (SELECT 1 FROM "
        "inbox o WHERE o.source = i.source AND o.control_id = i.control_id AND o.hash <> i.hash)"
    )
    return {row[0] for row in await store.fetch(sql, tuple(ids))}


async def received_us(store: Store, id: int) -> int:
    rows = await store.fetch("SELECT received_us FROM inbox WHERE id = ?", (id,))
    return int(rows[0][0]) if rows else 0


async def has_resource(store: Store, reference: str) -> bool:
    """Whether it exists and is not deleted; for an operator, whom no panel restricts."""
    rows = await store.fetch("SELECT 1 FROM resource WHERE key = ? AND deleted = 0", (store.keys.resource(reference),))
    return bool(rows)


def _what(raw: bool) -> str:
    return f"{_COLUMNS}, i.raw" if raw else _COLUMNS


def _messages(rows: Sequence[Sequence[Any]]) -> list[Message]:
    return [(Received(*row[:10]), bytes(row[10]) if len(row) > 10 else b"") for row in rows]
