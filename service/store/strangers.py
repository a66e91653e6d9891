"""SQL of the purge: messages of people who are no members of ours lose their content; that they came stays known."""

from collections.abc import Sequence

from service.store.change import Statement
from service.store.dialect import marks
from service.store.engine import Store
from service.store.inbox_terms import forget
from service.store.slots import vid_at
from service.store.timers import REVIEW

STATES = ("unmatched", "ignored")
"""What nobody has to look at. What is unreadable, unregistered or failed waits for a person with its content."""


async def old(store: Store, state: str, after: int, before_us: int, limit: int) -> list[tuple[int, str]]:
    """(message, stay) of those received before, by their number, from behind `after` on."""
    rows = await store.fetch(
        "SELECT id, stay FROM inbox WHERE state = ? AND id > ? AND id < ? AND received_us < ? AND patient = '' "
        "ORDER BY id LIMIT ?",
        (state, after, vid_at(before_us), before_us, limit),
    )
    return [(int(row[0]), str(row[1])) for row in rows]


def emptied(ids: Sequence[int], now_us: int) -> list[Statement]:
    """Only those that nobody matched meanwhile. The hash stays: the same message again is still a repeat."""
    if not ids:
        return []
    listed = f"({marks(len(ids))})"
    those = f"(SELECT i.id FROM inbox i WHERE i.id IN {listed} AND i.state = 'purged')"
    return [
        Statement(
            f"UPDATE inbox SET raw = ?, state = 'purged' WHERE id IN {listed} AND state IN ('unmatched', 'ignored') "
            "AND patient = ''",
            (b"", *ids),
        ),
        Statement(f"UPDATE stay_event SET event = '' WHERE inbox_id IN {those}", tuple(ids)),
        Statement(
            f"UPDATE match_review SET state = 'expired', decided_us = ? WHERE state = 'open' AND inbox_id IN {those}",
            (now_us, *ids),
        ),
        Statement(  # the clock of such a review: what was late stays so
            "UPDATE timer SET state = CASE WHEN state = 'running' THEN 'cancelled' ELSE state END, ended_us = ? WHERE "
            f"state IN ('running', 'breached') AND ended_us IS NULL AND subject IN (SELECT '{REVIEW}' || "
            f"CAST(r.id AS TEXT) FROM match_review r WHERE r.state = 'expired' AND r.inbox_id IN {those})",
            (now_us, *ids),
        ),
        *forget(ids),
    ]


def merges_of_strangers(before_us: int) -> Statement:
    """Numbers of people whom nobody knew; one that leads to or from a number of a member stays."""
    return Statement(
        "DELETE FROM mrn_merge WHERE inbox_id < ? AND EXISTS "
        "(SELECT 1 FROM inbox i WHERE i.id = mrn_merge.inbox_id AND i.state = 'purged') AND NOT EXISTS "
        "(SELECT 1 FROM mrn_link l WHERE l.authority = mrn_merge.authority AND l.mrn = mrn_merge.mrn) AND NOT EXISTS "
        "(SELECT 1 FROM mrn_link l WHERE l.authority = mrn_merge.into_authority AND l.mrn = mrn_merge.into_mrn)",
        (vid_at(before_us),),
    )
