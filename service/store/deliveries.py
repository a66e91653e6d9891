"""SQL of the delivery of events: who is claimed, what waits, what is numbered, and the ledger of attempts.

Columns: tables_notify.py. Who may hear of an event is decided in service/notify/deciding.py, each time that it leaves.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from service.store.change import Statement
from service.store.dialect import marks
from service.store.engine import Store
from service.store.notify_rows import NUDGED, Event, State
from service.store.subscriptions import COLUMNS, row

NEVER_US = 2**62
LEASE_US = 15_000_000
"""So long does a subscription wait whose worker was killed; before each sending its lease is made as long as that."""
KEPT_US = 30 * 86_400_000_000
"""Events and attempts are kept for so long: `$events`, `$resend` and the ledger reach no further back."""
_ASKED = -(2**63)
MOST_COUNTED = 100_000
"""Attempts that a figure looks at."""
MOST_RESENT = 1000
"""Events of one $resend."""

_EVENT = "number, vid, key, kind, emptied, at_us, settled_us"
_WAITING = "subscription, id, vid, key, kind, at_us"
_ATTEMPT = "id, at_us, kind, first, last, outcome, status, reason, ms, receipt"


class Waiting(NamedTuple):
    """A row of event_waiting."""

    subscription: int
    id: int
    vid: int
    key: int
    kind: str
    at_us: int


@dataclass(frozen=True)
class Attempt:
    """A row of delivery_attempt, without its subscription; what the columns mean: tables_notify.py."""

    id: int
    at_us: int
    kind: str
    first: int
    last: int
    outcome: str
    status: int = 0
    reason: str = ""
    ms: int = 0
    receipt: str = ""


# --- whose turn it is ----------------------------------------------------------------------------------------------


async def claim(store: Store, limit: int) -> list[State]:
    """Up to `limit` subscriptions that are due and that no other worker holds, longest due first.

    due_us becomes the end of the lease: a killed worker's come back then, and a nudge meanwhile is seen, since it is
    sooner (`released`).
    """
    now = store.clock.now_us()
    until = now + LEASE_US
    lock = " FOR UPDATE SKIP LOCKED" if store.db.name == "postgresql" else ""
    rows = await store.db.execute(
        "UPDATE subscription SET lease_until_us = ?, due_us = ? WHERE key IN (SELECT key FROM subscription "
        f"WHERE due_us <= ? AND lease_until_us <= ? ORDER BY due_us, key LIMIT ?{lock}) RETURNING {COLUMNS}",
        (until, until, now, now, limit),
    )
    return sorted((row(one) for one in rows), key=lambda state: state.key)


async def next_due(store: Store) -> int:
    """When the next subscription is due (in microseconds; past where one waits now), NEVER_US where none is."""
    rows = await store.fetch("SELECT min(due_us) FROM subscription")
    return NEVER_US if rows[0][0] is None else int(rows[0][0])


_LEASED = "lease_until_us = ?, due_us = CASE WHEN due_us < lease_until_us THEN due_us ELSE ? END"
_RELEASED = (
    "due_us = CASE WHEN due_us < lease_until_us AND due_us < ? AND due_us <> ? THEN due_us ELSE ? END, "
    "lease_until_us = 0"
)


def extended(key: int, until_us: int) -> Statement:
    """The lease goes on. What nudged it meanwhile is sooner than any lease, and stays."""
    return Statement(f"UPDATE subscription SET {_LEASED} WHERE key = ?", (until_us, until_us, key))


def released(key: int, due_us: int, seen_us: int = -1) -> Statement:
    """The lease ends. Due at `due_us`, or sooner where somebody nudged it meanwhile: due_us is the lease's end else.

    seen_us: due_us as it was read not later than what waits; a nudge of before has been heeded then. Each nudge of one
    that is leased makes due_us smaller (NUDGED), so one that came since shows.
    """
    return Statement(f"UPDATE subscription SET {_RELEASED} WHERE key = ?", (due_us, seen_us, due_us, key))


def nudged(key: int, now_us: int) -> Statement:
    """There is work: not before a resume where it is paused. Also where it is failing: somebody asks for an attempt."""
    return Statement(f"UPDATE subscription SET due_us = {NUDGED} WHERE key = ? AND paused = 0", (now_us, now_us, key))


def unanchored(key: int) -> Statement:
    """No event finds it any more."""
    return Statement("DELETE FROM subscription_anchor WHERE subscription = ?", (key,))


# --- what waits ----------------------------------------------------------------------------------------------------


async def waiting(store: Store, key: int, *, kinds: Sequence[str] = ("event", "test"), limit: int) -> list[Waiting]:
    """In the order of matching."""
    sql = f"SELECT {_WAITING} FROM event_waiting WHERE subscription = ? AND kind IN ({marks(len(kinds))}) "
    rows = await store.fetch(f"{sql}ORDER BY id LIMIT ?", (key, *kinds, limit))
    return [Waiting(*one) for one in rows]


async def resends(store: Store, key: int, *, limit: int) -> list[Waiting]:
    """What somebody asked for again; the ids of these are negative, and those of events are not."""
    sql = f"SELECT {_WAITING} FROM event_waiting WHERE subscription = ? AND id < 0 AND kind = 'resend' "
    return [Waiting(*one) for one in await store.fetch(f"{sql}ORDER BY id LIMIT ?", (key, limit))]


async def nothing_waits(store: Store, key: int) -> bool:
    return not await store.fetch("SELECT 1 FROM event_waiting WHERE subscription = ? LIMIT 1", (key,))


def taken(several: Iterable[Waiting]) -> list[Statement]:
    """They wait no longer: numbered, or told to nobody."""
    sql = "DELETE FROM event_waiting WHERE subscription = ? AND id = ?"
    return [Statement(sql, (one.subscription, one.id)) for one in several]


def resend(key: int, first: int, last: int, now_us: int, ids: Callable[[], int]) -> list[Statement]:
    """Sends the events of these numbers again, once no new one waits. ids: gives ids that grow (Store.next_id)."""
    again = [_wait(key, ids(), -number, key, "resend", now_us) for number in range(first, last + 1)]
    return [*again, nudged(key, now_us)]


def test_event(key: int, now_us: int, ident: int) -> list[Statement]:
    """An event that tells of the Subscription itself. Its vid is negative, as no version's is."""
    return [_wait(key, ident, -ident, key, "test", now_us), nudged(key, now_us)]


def _wait(subscription: int, ident: int, vid: int, key: int, kind: str, at_us: int) -> Statement:
    """ident: grows. The id is made negative, since those of events are vids (store/outbox.py), which it could meet."""
    sql = f"INSERT INTO event_waiting ({_WAITING}) VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (subscription, vid) DO NOTHING"
    return Statement(sql, (subscription, ident + _ASKED, vid, key, kind, at_us))


# --- what is numbered ----------------------------------------------------------------------------------------------


async def events(store: Store, key: int, first: int, last: int, limit: int) -> list[Event]:
    """Events numbered from `first` to `last`, in order, as far as they are kept still."""
    sql = f"SELECT {_EVENT} FROM subscription_event WHERE subscription = ? AND number BETWEEN ? AND ? "
    rows = await store.fetch(f"{sql}ORDER BY number LIMIT ?", (key, first, last, limit))
    return [_event(one) for one in rows]


async def events_of(store: Store, key: int, numbers: Sequence[int]) -> list[Event]:
    if not numbers:
        return []
    sql = f"SELECT {_EVENT} FROM subscription_event WHERE subscription = ? AND number IN ({marks(len(numbers))}) "
    return [_event(one) for one in await store.fetch(f"{sql}ORDER BY number", (key, *numbers))]


def _event(values: Sequence[Any]) -> Event:
    number, vid, key, kind, emptied, at_us, settled_us = values
    return Event(number, vid, key, kind, emptied != 0, at_us, settled_us)


def numbered(key: int, several: Sequence[Event], until_us: int = 0) -> list[Statement]:
    """Their rows, and the last number given. The Change that holds this is fenced by the subscription's epoch.

    until_us: the lease goes on until then (extended), 0: it stays as it is.
    """
    if not several:
        return []
    sql = f"INSERT INTO subscription_event (subscription, {_EVENT}) VALUES (?, ?, ?, ?, ?, ?, ?, ?)"
    rows = [
        Statement(sql, (key, one.number, one.vid, one.key, one.kind, int(one.emptied), one.at_us, one.settled_us))
        for one in several
    ]
    leased, values = (f", {_LEASED}", (until_us, until_us)) if until_us else ("", ())
    last = f"UPDATE subscription SET numbered = ?{leased} WHERE key = ?"
    return [*rows, Statement(last, (several[-1].number, *values, key))]


def emptied(key: int, numbers: Iterable[int]) -> list[Statement]:
    """The right ended after they were numbered: from now on they go out without content."""
    sql = "UPDATE subscription_event SET emptied = 1 WHERE subscription = ? AND number = ?"
    return [Statement(sql, (key, number)) for number in numbers]


def arrived(key: int, last: int, now_us: int, rests: tuple[int, int] | None = None, **columns: Any) -> list[Statement]:
    """All up to number `last` arrived. columns: what else is written of the row. rests: as released(), at once."""
    sets = ", ".join(["delivered = CASE WHEN delivered < ? THEN ? ELSE delivered END", *(f"{c} = ?" for c in columns)])
    values = [last, last, *columns.values()]
    if rests is not None:
        due_us, seen_us = rests
        sets, values = f"{sets}, {_RELEASED}", [*values, due_us, seen_us, due_us]
    settled = (
        "UPDATE subscription_event SET settled_us = ? WHERE subscription = ? AND number <= ? AND number > "
        "(SELECT s.delivered FROM subscription s WHERE s.key = ?)"
    )
    return [
        Statement(settled, (now_us, key, last, key)),
        Statement(f"UPDATE subscription SET {sets} WHERE key = ?", (*values, key)),
    ]


def expired(key: int, first: int, last: int, now_us: int, ident: int) -> list[Statement]:
    """These are kept no longer and never arrived: the ledger says so, and those behind them go on."""
    attempt = Attempt(ident, now_us, "event", first, last, "failed", reason="expired")
    return [attempted(key, attempt), *arrived(key, last, now_us)]


# --- the ledger ----------------------------------------------------------------------------------------------------


def attempted(key: int, attempt: Attempt) -> Statement:
    sql = f"INSERT INTO delivery_attempt (subscription, {_ATTEMPT}) VALUES ({marks(11)})"
    return Statement(sql, (key, *(getattr(attempt, name) for name in _ATTEMPT.split(", "))))


async def attempts(
    store: Store,
    key: int,
    *,
    before_id: int | None = None,
    outcome: str | None = None,
    number: int | None = None,
    limit: int = 100,
) -> list[Attempt]:
    """Newest first. before_id: of the last one of the page before. number: at which event it was."""
    asked: list[tuple[str, list[Any]]] = [("subscription = ?", [key])]
    if before_id is not None:
        asked.append(("id < ?", [before_id]))
    if outcome is not None:
        asked.append(("outcome = ?", [outcome]))
    if number is not None:
        asked.append(("first <= ? AND last >= ?", [number, number]))
    condition = " AND ".join(text for text, _ in asked)
    params = [value for _, values in asked for value in values]
    sql = f"SELECT {_ATTEMPT} FROM delivery_attempt WHERE {condition} ORDER BY id DESC LIMIT ?"
    return [Attempt(*one) for one in await store.fetch(sql, (*params, limit))]


async def attempts_of_all(store: Store, *, outcome: str | None = None, limit: int = 100) -> list[tuple[str, Attempt]]:
    """(id of the Subscription, attempt), newest first, of all subscriptions."""
    condition, params = ("WHERE a.outcome = ? ", [outcome]) if outcome else ("", [])
    columns = ", ".join(f"a.{name.strip()}" for name in _ATTEMPT.split(","))
    sql = (
        f"SELECT s.fhir_id, {columns} FROM delivery_attempt a JOIN subscription s ON s.key = a.subscription "
        f"{condition}ORDER BY a.at_us DESC, a.id DESC LIMIT ?"
    )
    return [(row[0], Attempt(*row[1:])) for row in await store.fetch(sql, (*params, limit))]


# --- figures and housekeeping --------------------------------------------------------------------------------------


async def oldest_undelivered(store: Store, key: int | None = None) -> int | None:
    """When the oldest event came that has not arrived (matched: microseconds); None: all did.

    Of the subscription, among those that have a number: what nobody has decided about yet may be nothing that its
    client may hear of. Or of all that are at work: not of those that are paused, off or in error, which wait for their
    client.
    """
    if key is not None:
        found = await store.fetch(f"{_FIRST_NUMBERED} WHERE s.key = ?", (key,), heavy=True)
    else:
        found = [row for sql in UNDELIVERED for row in await store.fetch(sql, heavy=True)]
    return min((int(one) for (one,) in found if one is not None), default=None)


_FIRST_WAITING = (
    "SELECT min((SELECT w.at_us FROM event_waiting w WHERE w.subscription = s.key AND w.kind <> 'resend' "
    "ORDER BY w.id LIMIT 1)) FROM subscription s"
)
_FIRST_NUMBERED = (
    "SELECT min((SELECT e.at_us FROM subscription_event e WHERE e.subscription = s.key AND e.number > s.delivered "
    "ORDER BY e.number LIMIT 1)) FROM subscription s"
)
_AT_WORK = "s.status IN ('requested', 'active') AND s.paused = 0"
UNDELIVERED = tuple(f"{first} WHERE {_AT_WORK}" for first in (_FIRST_WAITING, _FIRST_NUMBERED))
"""When the oldest event came that has not arrived, without a number or with one, of subscriptions that are at work."""


async def counts(store: Store) -> dict[str, int]:
    """status -> how many subscriptions; paused ones count as `paused`."""
    sql = (
        "SELECT CASE WHEN paused <> 0 AND status <> 'off' THEN 'paused' ELSE status END AS state, count(*) "
        "FROM subscription GROUP BY 1"
    )
    return {str(state): int(count) for state, count in await store.fetch(sql, heavy=True)}


async def failing(store: Store, since_us: int, limit: int) -> list[tuple[str, int, int]]:
    """(id of the subscription, attempts since then, of which failed), those first that failed most."""
    sql = (
        "SELECT s.fhir_id, count(*), sum(CASE WHEN a.outcome <> 'ok' THEN 1 ELSE 0 END) AS bad "
        "FROM (SELECT subscription, outcome FROM delivery_attempt WHERE at_us >= ? ORDER BY at_us DESC LIMIT ?) a "
        "JOIN subscription s ON s.key = a.subscription GROUP BY s.fhir_id ORDER BY bad DESC, s.fhir_id LIMIT ?"
    )
    rows = await store.fetch(sql, (since_us, MOST_COUNTED, limit), heavy=True)
    return [(str(name), int(every), int(bad)) for name, every, bad in rows]


def forget(before_us: int, now_us: int) -> list[Statement]:
    """What is too old to be asked for: events, attempts, tokens for websockets.

    What waits has no number yet, so nobody would miss it: it stays for as long as its subscription may go on.
    """
    kept = "SELECT 1 FROM subscription s WHERE s.key = event_waiting.subscription AND s.status <> 'off'"
    return [
        *(
            Statement(f"DELETE FROM {table} WHERE at_us < ?", (before_us,))
            for table in ("subscription_event", "delivery_attempt")
        ),
        Statement(
            f"DELETE FROM event_waiting WHERE at_us < ? AND (kind = 'resend' OR NOT EXISTS ({kept}))", (before_us,)
        ),
        Statement("DELETE FROM ws_token WHERE expires_us < ?", (now_us,)),
    ]
