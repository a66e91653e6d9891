"""SQL of the figures that /metrics shows: each query is bounded or one index step, whatever the tables have grown to.

No figure names a person: counts, ages, and the names of registered sending systems. Times in microseconds.
"""

from dataclasses import dataclass, field

from service.store import deliveries, feed_hours, notices, partners, seals
from service.store.engine import Store
from service.store.inbox import STATES
from service.store.slots import updated_us

MOST = 100_000
"""So far are inbox rows of a state and alerts counted. 100,000 alerts are 0.2 s, so they are read more rarely."""
RECENT_US = 600_000_000
MOST_SERIES = 200
"""Subscriptions whose failure share is shown."""
BACKUP = "last_backup_us"
"""Name of the row of `meta` that `enlace backup` leaves."""

_CLOCK_AND_SIZE = {
    "sqlite": "SELECT CAST(strftime('%s', 'now') AS INTEGER) * 1000000, page_count * page_size "
    "FROM pragma_page_count(), pragma_page_size()",
    "postgresql": "SELECT CAST(extract(epoch FROM now()) * 1000000 AS bigint), pg_database_size(current_database())",
}
"""Leases of slots are by the wall clock of their processes (store/engine.py), which the database's is nearest to."""


@dataclass(frozen=True)
class Alerts:
    """new: neither acknowledged nor retracted; oldest_us: `sent` of the oldest of them."""

    new: int = 0
    acknowledged: int = 0
    retracted: int = 0
    oldest_us: int | None = None


@dataclass
class Figures:
    """What the database says of itself at one moment."""

    jobs: dict[tuple[str, str], int] = field(default_factory=dict)
    """(queue, state) -> how many, finished ones aside"""
    due_us: dict[str, int] = field(default_factory=dict)
    """queue -> since when its oldest due job has been due"""
    messages: dict[str, int] = field(default_factory=dict)
    """state -> rows of the inbox, counted up to MOST"""
    feeds: dict[str, int | None] = field(default_factory=dict)
    """active registered source -> when its last message came, None: never one"""
    unregistered_us: int | None = None
    """when the last message of any unregistered sender came"""
    backup_us: int | None = None
    sealed_us: int | None = None
    """when the audit was sealed last"""
    unsealed_us: int | None = None
    """when the oldest audit row was written that no seal covers"""
    slots: int = 0
    """leases of worker slots that are alive, of all processes"""
    size: int = 0
    """bytes of the database"""
    subscriptions: dict[str, int] = field(default_factory=dict)
    """status, or paused -> how many"""
    undelivered_us: int | None = None
    """when the oldest event came that has not arrived, of subscriptions that are at work"""
    failing: list[tuple[str, int, int]] = field(default_factory=list)
    """(id of a subscription, attempts of the last RECENT_US, of which failed): those that failed most"""
    partners: dict[str, int] = field(default_factory=dict)
    """state -> servers of partners over which referrals go"""
    partner_referrals: dict[str, int] = field(default_factory=dict)
    """state -> referrals over them that wait (`to-send`, `to-fetch`) or need a person (`refused`, `failed`)"""
    notices: dict[tuple[str, str], int] = field(default_factory=dict)
    """(channel, state) -> notices to people that wait or failed"""
    unsent_us: int | None = None
    """since when the oldest notice waits that should have gone out"""
    alarms: list[tuple[str, str]] = field(default_factory=list)
    """(registered source, silent, errors or queue) that is raised now"""


async def read(store: Store) -> Figures:
    """Everything but the alerts. `heavy`: on SQLite in a thread of its own, so that no request waits behind it."""
    found = Figures()
    await _queue(store, found)
    await _messages(store, found)
    await _feeds(store, found)
    rows = await store.fetch("SELECT value FROM meta WHERE name = ?", (BACKUP,), heavy=True)
    found.backup_us = int(rows[0][0]) if rows and str(rows[0][0]).isdigit() else None
    wall_us, found.size = (await store.fetch(_CLOCK_AND_SIZE[store.db.name], heavy=True))[0]
    found.sealed_us, found.unsealed_us = await seals.last_at_us(store), await seals.unsealed_since_us(store)
    rows = await store.fetch("SELECT count(*) FROM worker_slot WHERE lease_until_us > ?", (wall_us,), heavy=True)
    found.slots = rows[0][0]
    found.subscriptions = await deliveries.counts(store)
    found.undelivered_us = await deliveries.oldest_undelivered(store)
    found.failing = await deliveries.failing(store, store.clock.now_us() - RECENT_US, MOST_SERIES)
    found.partners, found.partner_referrals = await partners.states(store), await partners.pending(store)
    found.notices, found.unsent_us = await notices.counts(store), await notices.unsent_since_us(store)
    return found


async def _queue(store: Store, found: Figures) -> None:
    sql = "SELECT queue, state, count(*) FROM job WHERE state IN ('ready', 'leased', 'dead') GROUP BY queue, state"
    found.jobs = {(queue, state): count for queue, state, count in await store.fetch(sql, heavy=True)}
    lines = [(queue, state) for queue, state in found.jobs if state != "dead"]
    if not lines:
        return
    # A lease that ended is due as well. What was given back untried has due_us 0: its id says when it was made.
    one = (
        "SELECT ? AS queue, (SELECT min(due_us) FROM job WHERE queue = ? AND state = ? AND due_us > 0), "
        "(SELECT min(id) FROM job WHERE queue = ? AND state = ? AND due_us = 0)"
    )
    params = [value for queue, state in lines for value in (queue, queue, state, queue, state)]
    for queue, due_us, untried in await store.fetch(" UNION ALL ".join([one] * len(lines)), tuple(params), heavy=True):
        times = [due_us] if due_us else []
        times += [updated_us(untried)] if untried else []
        times += [found.due_us[queue]] if queue in found.due_us else []
        if times and min(times) <= store.clock.now_us():
            found.due_us[queue] = min(times)


async def _messages(store: Store, found: Figures) -> None:
    parts = [
        f"SELECT ? AS state, count(*) FROM (SELECT 1 AS n FROM inbox WHERE state = ? LIMIT ?) n{number}"
        for number in range(len(STATES))
    ]
    params = [value for state in STATES for value in (state, state, MOST)]
    found.messages = dict(await store.fetch(" UNION ALL ".join(parts), tuple(params), heavy=True))


async def _feeds(store: Store, found: Figures) -> None:
    """One step in the index (source, received_us) for each registered source; ids of inbox rows grow with time."""
    sql = (
        "SELECT m.name, (SELECT max(i.received_us) FROM inbox i WHERE i.source = m.name) "
        "FROM message_source m WHERE m.active = 1"
    )
    found.feeds = dict(await store.fetch(sql, heavy=True))
    found.alarms = [(row.source, row.kind) for row in await feed_hours.watches(store)]
    rows = await store.fetch("SELECT max(id) FROM inbox WHERE state = 'unregistered'", heavy=True)
    found.unregistered_us = updated_us(rows[0][0]) if rows[0][0] else None


async def alerts(store: Store, category: tuple[str, str]) -> Alerts:
    """Of the MOST alerts that changed last; category: (system, code). Joins on the index alone, no body is read."""
    keys, rtype = store.keys, "Communication"
    sql = (
        "SELECT count(*), count(r.vid), count(CASE WHEN r.vid IS NULL THEN k.vid END), min(d.lo) "
        "FROM (SELECT vid FROM ix WHERE key = ? ORDER BY vid DESC LIMIT ?) a "
        "LEFT JOIN ix r ON r.key = ? AND r.vid = a.vid LEFT JOIN ix k ON k.key = ? AND k.vid = a.vid "
        "LEFT JOIN ix_date d ON d.vid = a.vid AND d.key = ? AND r.vid IS NULL AND k.vid IS NULL"
    )
    params = (
        keys.token(rtype, "category", *category),
        MOST,
        keys.token(rtype, "status", None, "entered-in-error"),
        keys.present(rtype, "received"),
        keys.values(rtype, "sent"),
    )
    counted, retracted, acknowledged, oldest_us = (await store.fetch(sql, params, heavy=True))[0]
    return Alerts(counted - retracted - acknowledged, acknowledged, retracted, oldest_us)
