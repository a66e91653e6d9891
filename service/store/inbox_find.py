"""SQL that finds messages of the inbox: the newest of a window, by control id, by stay, by a known record number.

Every statement is bounded by an index and a limit: an inbox of years must not stop for a question.
"""

from collections.abc import Sequence
from typing import Any

from service.store.dialect import marks
from service.store.engine import Store
from service.store.inbox import Received
from service.store.slots import vid_at

_COLUMNS = "i.id, i.source, i.control_id, i.received_us, i.event, i.state, i.reason, i.patient, i.stay, i.handled_us"
_SPARSE = frozenset({"unmatched", "ignored", "unreadable", "unregistered", "failed", "stored"})
"""States that few messages are in: the index by state leads to them; `applied` is nearly all of a busy inbox."""

# Each sender once, a step of the index for each: DISTINCT would walk all messages.
_SENDERS = (
    "WITH RECURSIVE sender (name) AS (SELECT min(source) FROM inbox UNION ALL "
    "SELECT (SELECT min(n.source) FROM inbox n WHERE n.source > sender.name) FROM sender "
    "WHERE sender.name IS NOT NULL) "
)
_PLACES = (
    "WITH RECURSIVE place (name) AS (SELECT min(authority) FROM mrn_link UNION ALL "
    "SELECT (SELECT min(n.authority) FROM mrn_link n WHERE n.authority > place.name) FROM place "
    "WHERE place.name IS NOT NULL) "
)

Message = tuple[Received, bytes]
"""A row with its bytes as received; b"" where they were not asked for."""


async def newest(
    store: Store,
    *,
    state: str | None,
    source: str | None,
    since_us: int,
    before: Received | None,
    limit: int,
    raw: bool,
) -> list[Message]:
    """A page of the window, newest first. Only the condition that an index serves is asked here: compare the rest."""
    conditions, params, order = ["1 = 1"], list[Any](), "i.id DESC"
    if source and state not in _SPARSE:
        conditions.append("i.source = ? AND i.received_us >= ?")
        params += [source, since_us]
        order = "i.received_us DESC, i.id DESC"
        if before:
            conditions.append("(i.received_us < ? OR (i.received_us = ? AND i.id < ?))")
            params += [before.received_us, before.received_us, before.id]
    else:
        if state:
            conditions.append("i.state = ?")
            params.append(state)
        conditions.append("i.id >= ?")
        params.append(vid_at(since_us))
        if before:
            conditions.append("i.id < ?")
            params.append(before.id)
    sql = f"SELECT {_what(raw)} FROM inbox i WHERE {' AND '.join(conditions)} ORDER BY {order} LIMIT ?"
    return _messages(await store.fetch(sql, (*params, limit)))


async def by_control_id(store: Store, control_id: str, limit: int, *, raw: bool) -> list[Message]:
    """All messages under this MSH-10, of whichever sender."""
    sql = (
        f"{_SENDERS}SELECT {_what(raw)} FROM sender JOIN inbox i ON i.source = sender.name AND i.control_id = ? "
        "ORDER BY i.id DESC LIMIT ?"
    )
    return _messages(await store.fetch(sql, (control_id, limit)))


async def by_stays(store: Store, stays: Sequence[str], limit: int) -> list[Message]:
    if not stays:
        return []
    sql = f"SELECT {_what(True)} FROM inbox i WHERE i.stay IN ({marks(len(stays))}) ORDER BY i.id DESC LIMIT ?"
    return _messages(await store.fetch(sql, (*stays, limit)))


async def by_known_mrn(store: Store, mrn: str, limit: int) -> list[Message]:
    """Messages of the members to whom a match once linked this record number, of whichever hospital."""
    sql = (
        f"{_PLACES}SELECT {_what(True)} FROM inbox i WHERE i.id IN (SELECT e.inbox_id FROM place "
        "JOIN mrn_link m ON m.authority = place.name AND m.mrn = ? JOIN stay_event e ON e.patient = m.patient) "
        "ORDER BY i.id DESC LIMIT ?"
    )
    return _messages(await store.fetch(sql, (mrn, limit)))


async def has_resource(store: Store, reference: str) -> bool:
    """Whether it exists and is not deleted; for an operator, whom no panel restricts."""
    rows = await store.fetch("SELECT 1 FROM resource WHERE key = ? AND deleted = 0", (store.keys.resource(reference),))
    return bool(rows)


def _what(raw: bool) -> str:
    return f"{_COLUMNS}, i.raw" if raw else _COLUMNS


def _messages(rows: Sequence[Sequence[Any]]) -> list[Message]:
    return [(Received(*row[:10]), bytes(row[10]) if len(row) > 10 else b"") for row in rows]
