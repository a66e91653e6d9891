"""SQL of the purge: messages of people who are no members of ours lose their content; that they came stays known."""

from collections.abc import Sequence

from service.store.change import Statement
from service.store.dialect import marks
from service.store.engine import Store
from service.store.inbox_terms import forget
from service.store.slots import vid_at
from service.store.timers import REVIEW

STATES = ("unmatched", "ignored", "applied")
"""What nobody has to look at. What is unreadable, unregistered or failed waits for a person with its content.

Of what was applied: merges and moves of numbers that lead to no member (`of_members`), known by their reason.
"""
NUMBERS = "state = 'applied' AND reason IN ('numbers-noted', 'stay-moved', 'person-deleted')"
_LATELY_US = 60 * 86_400_000_000
"""So far back are those looked for, beyond the days that they are kept: the others are applied for a member."""


async def old(store: Store, state: str, after: int, before_us: int, limit: int) -> list[tuple[int, str]]:
    """(message, stay) of those received before, by their number, from behind `after` on."""
    after, more = (max(after, vid_at(before_us - _LATELY_US)), f" AND {NUMBERS}") if state == "applied" else (after, "")
    rows = await store.fetch(
        "SELECT id, stay FROM inbox WHERE state = ? AND id > ? AND id < ? AND received_us < ? AND patient = '' "
        f"{more} ORDER BY id LIMIT ?",
        (state, after, vid_at(before_us), before_us, limit),
        heavy=True,
    )
    return [(int(row[0]), str(row[1])) for row in rows]


async def of_members(store: Store, ids: Sequence[int]) -> frozenset[int]:
    """Those that speak of a number of a member's, or of a stay that was one's."""
    listed = f"({marks(len(ids))})"
    theirs = "SELECT 1 FROM stay_event o WHERE o.stay = {} AND o.patient <> ''"
    link = "SELECT 1 FROM mrn_link l WHERE l.authority = m.{0}authority AND l.mrn = m.{0}mrn"
    rows = await store.fetch(
        f"SELECT e.inbox_id FROM stay_event e WHERE e.inbox_id IN {listed} AND (e.patient <> '' OR EXISTS "
        f"({theirs.format('e.stay')}) OR EXISTS (SELECT 1 FROM stay_number n JOIN stay_event o ON o.stay = n.stay "
        "WHERE n.number = e.stay AND o.patient <> '')) "
        f"UNION SELECT a.inbox_id FROM stay_alias a WHERE a.inbox_id IN {listed} AND (EXISTS "
        f"({theirs.format('a.stay')}) OR EXISTS ({theirs.format('a.target')}) OR EXISTS (SELECT 1 FROM stay_number n "
        "JOIN stay_event o ON o.stay = n.stay WHERE n.number IN (a.stay, a.target) AND o.patient <> '')) "
        f"UNION SELECT m.inbox_id FROM mrn_merge m WHERE m.inbox_id IN {listed} AND (EXISTS ({link.format('')}) "
        f"OR EXISTS ({link.format('into_')}))",
        (*ids, *ids, *ids),
        heavy=True,
    )
    return frozenset(int(row[0]) for row in rows)


def emptied(ids: Sequence[int], now_us: int) -> list[Statement]:
    """Only those that nobody matched meanwhile. The hash stays: the same message again is still a repeat."""
    if not ids:
        return []
    listed = f"({marks(len(ids))})"
    those = f"(SELECT i.id FROM inbox i WHERE i.id IN {listed} AND i.state = 'purged')"
    return [
        Statement(
            f"UPDATE inbox SET raw = ?, state = 'purged' WHERE id IN {listed} AND (state IN ('unmatched', 'ignored') "
            f"OR ({NUMBERS})) AND patient = ''",
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
        _of_stays("stay_number", those, ids),
        _of_stays("stay_account", those, ids),
        *forget(ids),
    ]


def _of_stays(table: str, those: str, ids: Sequence[int]) -> Statement:
    """What is known of stays of which no message is kept any more, and none counts for a member."""
    return Statement(
        f"DELETE FROM {table} WHERE stay IN (SELECT s.stay FROM stay_event s WHERE s.inbox_id IN {those}) AND NOT "
        f"EXISTS (SELECT 1 FROM stay_event o WHERE o.stay = {table}.stay AND (o.event <> '' OR o.patient <> ''))",
        tuple(ids),
    )


def merges_of_strangers(before_us: int) -> Statement:
    """Numbers of people whom nobody knew; one that leads to or from a number of a member stays."""
    return Statement(
        "DELETE FROM mrn_merge WHERE inbox_id < ? AND EXISTS "
        "(SELECT 1 FROM inbox i WHERE i.id = mrn_merge.inbox_id AND i.state = 'purged') AND NOT EXISTS "
        "(SELECT 1 FROM mrn_link l WHERE l.authority = mrn_merge.authority AND l.mrn = mrn_merge.mrn) AND NOT EXISTS "
        "(SELECT 1 FROM mrn_link l WHERE l.authority = mrn_merge.into_authority AND l.mrn = mrn_merge.into_mrn)",
        (vid_at(before_us),),
    )
