"""SQL of what waits for its member: stays found by keyed terms of their messages (inbox_term), and a member's stays."""

from collections.abc import Sequence
from typing import Any

import orjson

from service.store.change import Statement
from service.store.dialect import marks
from service.store.engine import Store
from service.store.inbox_terms import Term
from service.store.inbox_terms import put as put_terms

MOST = 500
"""Stays that one new member may set going; a family name with a birth date leads to a handful."""


def put(store: Store, inbox_id: int, terms: Sequence[Term]) -> list[Statement]:
    """Once each; a replay writes the same."""
    return put_terms(store, inbox_id, terms)


async def stays(store: Store, terms: Sequence[Term]) -> list[str]:
    """Stays with an unmatched message that has one of the terms."""
    if not terms:
        return []
    keys = sorted({store.keys.of("inbox-term", *term) for term in terms})
    rows = await store.fetch(
        "SELECT DISTINCT i.stay FROM inbox_term t CROSS JOIN inbox i "
        f"WHERE t.term IN ({marks(len(keys))}) AND i.id = t.inbox_id AND i.state = 'unmatched' AND i.stay <> '' "
        "ORDER BY i.stay LIMIT ?",
        (*keys, MOST),
    )
    return [str(row[0]) for row in rows]


async def events_of(store: Store, patient: str) -> list[tuple[str, dict[str, Any]]]:
    """(stay, event) of all that counts for a member."""
    rows = await store.fetch("SELECT stay, event FROM stay_event WHERE patient = ? AND event <> ''", (patient,))
    return [(str(row[0]), orjson.loads(row[1])) for row in rows]


async def keys_of_stay(store: Store, stay: str) -> tuple[str, list[str]]:
    """(Encounter.id, else the key itself; all keys under which it came). stay: one of them, or the Encounter's id."""
    known, todo, encounters = {stay}, [stay], set[str]()
    while todo and len(known) < MOST:
        key = todo.pop()
        rows = await store.fetch(
            "SELECT target, '' FROM stay_alias WHERE stay = ? UNION SELECT stay, '' FROM stay_alias WHERE target = ? "
            "UNION SELECT stay, encounter FROM stay_account WHERE encounter = ? "
            "UNION SELECT encounter, encounter FROM stay_account WHERE stay = ?",
            (key, key, key, key),
        )
        encounters |= {str(row[1]) for row in rows if row[1]}
        fresh = {str(row[0]) for row in rows} - known
        known |= fresh
        todo += sorted(fresh)
    return min(encounters, default=stay), sorted(known)


async def in_hand(store: Store) -> bool:
    """Whether a message is being applied at this moment: it may have been decided on the former roster."""
    rows = await store.fetch(
        "SELECT 1 FROM job WHERE state = 'leased' AND queue = 'adt' AND kind IN ('adt.apply', 'adt.settle') LIMIT 1"
    )
    return bool(rows)
