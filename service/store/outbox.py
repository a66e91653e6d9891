"""SQL of matching: versions that wait in the outbox, whom they may concern, and the events that wait for delivery.

service/notify/matching.py decides; nothing here asks about rights, since who may hear of an event is decided when it
leaves (service/notify/deciding.py).
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from service.store.change import Statement
from service.store.dialect import marks
from service.store.engine import Store
from service.store.notify_rows import NUDGED, Item

MAX_BYTES = 16_000_000
"""Text of one batch, the versions before included: one huge resource goes through alone."""
_CHUNK = 256


class Waiting(NamedTuple):
    """A version in the outbox without its text. size: bytes of it and of the version before."""

    item: Item
    size: int


@dataclass(frozen=True)
class Batch:
    """items: in the order of vids, their bodies not read. lost: rows of the outbox whose version is not there."""

    items: tuple[Item, ...]
    lost: tuple[int, ...] = ()

    @property
    def vids(self) -> tuple[int, ...]:
        return (*(item.vid for item in self.items), *self.lost)


class Candidate(NamedTuple):
    """A subscription that may have to hear of something. spec: JSON of service/notify/model.py Spec."""

    key: int
    fhir_id: str
    spec: str


_TO_DO = (
    "SELECT EXISTS (SELECT 1 FROM subscription WHERE due_us <= ? AND lease_until_us <= ?), "
    "EXISTS (SELECT 1 FROM notice WHERE state = 'waiting' AND due_us <= ? AND lease_until_us <= ?)"
)


async def to_do(store: Store) -> tuple[bool, bool]:
    """Whether there is a subscription that is due and nobody's, and a notice that is."""
    [(dispatching, telling)] = await store.fetch(_TO_DO, (store.clock.now_us(),) * 4)
    return bool(dispatching), bool(telling)


async def waiting(store: Store, most: int, max_bytes: int = MAX_BYTES) -> Batch:
    """The oldest versions that nobody has matched yet.

    By vid: a version of a resource is committed after the version before it and has the larger vid, so that in each
    resource's order none is passed over. A version that is committed late, of another resource, comes when it comes.
    """
    sql = (
        "SELECT o.vid, v.key, v.rtype, v.fhir_id, v.version, v.op, v.patient, v.labels, v.source_org, "
        "COALESCE(length(v.body), 0), COALESCE(length(b.body), 0) FROM outbox o "
        "LEFT JOIN version v ON v.vid = o.vid LEFT JOIN version b ON b.key = v.key AND b.version = v.version - 1 "
        "ORDER BY o.vid LIMIT ?"
    )
    items: list[Item] = []
    lost: list[int] = []
    room = max_bytes
    for vid, key, rtype, fhir_id, version, op, patient, labels, source_org, size, before in await store.fetch(
        sql, (most,)
    ):
        if key is None:
            lost.append(vid)
            continue
        room -= size + before
        if room < 0 and items:
            break
        items.append(Item(vid, key, rtype, fhir_id, version, op, patient, labels, source_org, None))
    return Batch(tuple(items), tuple(lost))


Texts = dict[int, tuple[bytes | None, bytes | None]]
"""vid -> (text, text of the version before); None for a deletion, and where there was none before."""


async def bodies(store: Store, vids: Sequence[int]) -> Texts:
    sql = (
        "SELECT v.vid, v.body, b.body FROM version v "
        "LEFT JOIN version b ON b.key = v.key AND b.version = v.version - 1 WHERE v.vid IN ({})"
    )
    found: Texts = {}
    for some in _chunks(vids):
        found |= {row[0]: (row[1], row[2]) for row in await store.fetch(sql.format(marks(len(some))), some)}
    return found


async def having(store: Store, patients: Iterable[int], now_us: int) -> Mapping[int, set[int]]:
    """Patient -> subjects who have it in their panel now. An emergency access is none for subscriptions."""
    sql = (
        "SELECT DISTINCT p.patient, p.subject FROM panel p WHERE p.patient IN ({}) "
        "AND p.start_us <= ? AND p.end_us > ? AND p.basis <> 'break-glass'"
    )
    found: dict[int, set[int]] = defaultdict(set)
    for some in _chunks(sorted(set(patients))):
        for patient, subject in await store.fetch(sql.format(marks(len(some))), (*some, now_us, now_us)):
            found[patient].add(subject)
    return found


async def candidates(
    store: Store, topics: Iterable[str], subjects: Iterable[int]
) -> Mapping[tuple[str, int], list[Candidate]]:
    """(topic, subject) -> its subscriptions, in whatever state but off: what matches while one waits, waits with it."""
    named = sorted(set(topics))
    sql = (
        "SELECT a.topic, a.subject, s.key, s.fhir_id, s.spec FROM subscription_anchor a "
        f"{'CROSS ' if store.db.name == 'sqlite' else ''}JOIN subscription s ON s.key = a.subscription "
        f"WHERE a.topic IN ({marks(len(named))}) AND a.subject IN ({{}}) AND s.status <> 'off'"
    )
    found: dict[tuple[str, int], list[Candidate]] = defaultdict(list)
    for some in _chunks(sorted(set(subjects))):
        for topic, subject, *facts in await store.fetch(sql.format(marks(len(some))), (*named, *some)):
            found[topic, subject].append(Candidate(*facts))
    return found


def matched(events: Iterable[tuple[int, Item]], now_us: int) -> list[Statement]:
    """(key of a subscription, what it may have to be told): rows of event_waiting, and its nudge.

    The number of a row is the vid: whoever matches, and how often, the same row comes of it, and the events of one
    resource are in the order of its versions. The nudge comes first and writes every row, so that on PostgreSQL a
    Subscription that is deleted at the same moment is either gone for the insertion or waits with its own deletions.
    """
    rows = sorted((key, item.vid, item.key) for key, item in events)
    return nudged(dict.fromkeys(row[0] for row in rows), now_us) + [
        Statement(_WAIT, (vid, vid, about, now_us, key)) for key, vid, about in rows
    ]


def nudged(keys: Iterable[int], now_us: int) -> list[Statement]:
    """There is something to do for these subscriptions now."""
    return [Statement(_NUDGE, (now_us, now_us, key)) for key in sorted(keys)]


_NUDGE = (
    "UPDATE subscription SET due_us = CASE WHEN paused = 0 AND ((status = 'active' AND failures = 0) "
    f"OR status = 'error') THEN {NUDGED} ELSE due_us END WHERE key = ?"
)
"""One that failed waits for its next attempt, one that is new for its handshake; in error events are only numbered."""

_WAIT = (
    "INSERT INTO event_waiting (subscription, id, vid, key, kind, at_us) "
    "SELECT s.key, CAST(? AS BIGINT), CAST(? AS BIGINT), CAST(? AS BIGINT), 'event', CAST(? AS BIGINT) "
    "FROM subscription s WHERE s.key = ? AND s.status <> 'off' ON CONFLICT (subscription, vid) DO NOTHING"
)


def done(vids: Sequence[int]) -> list[Statement]:
    return [Statement(f"DELETE FROM outbox WHERE vid IN ({marks(len(some))})", some) for some in _chunks(vids)]


def _chunks(values: Sequence[int]) -> Iterator[tuple[int, ...]]:
    """Pieces, the last filled up by its last value to a length that is often the same: few statements are prepared."""
    for first in range(0, len(values), _CHUNK):
        some = tuple(values[first : first + _CHUNK])
        length = next(size for size in (1, 4, 16, 64, _CHUNK) if size >= len(some))
        yield some + some[-1:] * (length - len(some))
