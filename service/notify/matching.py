"""Versions from the outbox -> events that wait for the subscriptions they may concern, and notices to people.

Who may hear of what is not decided here: a candidate is a subscription of somebody who has the member in a panel, or
who wrote the version. So the cost of a write follows who has to do with it, not how many subscriptions there are.

One batch is one Change: events, nudges, notices, and the rows of the outbox go together, so that being killed at any
point leaves nothing or all of it. It is fenced by an epoch of its own: of several workers who match at the same time
one commits, and the order within each resource stays that of its versions.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

from fhir_profiles.topics import NOTICED, Topic, topics_of
from service.errors import FhirError
from service.log_events import NOTIFY_LOST, NOTIFY_SUBSCRIPTION_UNREAD, NOTIFY_UNREAD, log, where
from service.notify import filters, people
from service.notify.filters import Filter, compiled
from service.notify.model import Item, spec_of
from service.notify.topics import fires
from service.notify.versions import Version
from service.search.keys import Keys
from service.store import epochs, outbox
from service.store.change import AuditRow, Change, Stale, Statement
from service.store.database import TooCostly, Unavailable
from service.store.engine import Store
from service.store.outbox import Candidate
from service.store.together import together

BATCH = 500
FEW = 16
"""Of so many the texts are read at once, whoever is concerned."""
OPERATOR = 0
"""Subject under which subscriptions of operators are found."""

Concerned = Mapping[int, Mapping[str, Sequence[Candidate]]]
"""vid -> slug of a topic -> the subscriptions that it may concern."""


@dataclass
class _Outcome:
    """What comes of a batch so far."""

    events: list[tuple[int, Item]]
    notices: list[Statement]
    unread: dict[int, tuple[str, BaseException]]
    """vid -> (events or notices, why nobody could be told of it by them)."""
    broken: set[int]
    """Subscriptions whose filters cannot be read: their turn puts them into error."""


@dataclass(frozen=True)
class Matched:
    """count: versions, 0 where nothing waits, or another worker was quicker. events, notices: whether any came."""

    count: int = 0
    events: bool = False
    notices: bool = False


async def match(store: Store, base_url: str, now_us: int | None = None, *, most: int = BATCH) -> int:
    """Matches the oldest versions of the outbox; how many."""
    return (await matched(store, base_url, now_us, most=most)).count


@dataclass(frozen=True)
class Seen:
    """What waits, and the epoch of the fence, which was read before: who commits in between has taken what was read."""

    epoch: int
    batch: outbox.Batch


async def look(store: Store, most: int = BATCH) -> Seen:
    epoch, batch = await together(store, epochs.epoch(store, fence_of(store.keys)), outbox.waiting(store, most))
    return Seen(epoch, batch)


async def matched(
    store: Store, base_url: str, now_us: int | None = None, *, most: int = BATCH, seen: Seen | None = None
) -> Matched:
    """seen: what look() found a moment ago."""
    now_us = store.clock.now_us() if now_us is None else now_us
    seen = seen or await look(store, most)
    fence, epoch, batch = fence_of(store.keys), seen.epoch, seen.batch
    if not batch.vids:
        return Matched()
    if batch.lost:
        log(NOTIFY_LOST, versions=len(batch.lost), vid=batch.lost[0])
    # After the outbox is read: a subscription that was there before a version was written is seen.
    few = batch.items if len(batch.items) <= FEW else ()
    concerned, texts = await together(
        store, _concerned(store, batch.items, now_us), outbox.bodies(store, [item.vid for item in few])
    )
    items = await _with_bodies(store, batch.items, concerned, texts)
    outcome = _Outcome([], [], {}, set())
    for item in items:
        _match(item, concerned.get(item.vid, {}), outcome, store.keys, base_url)
    noticed = [item for item in items if item.rtype in NOTICED and item.vid not in outcome.unread]
    await _notices(store, noticed, outcome, now_us, base_url)
    change = Change(epochs={fence: epoch}, bump_epochs={fence}, audit=_audit(batch.items, outcome))
    nudged = outbox.nudged(outcome.broken, now_us)
    change.statements = [*outbox.matched(outcome.events, now_us), *nudged, *outcome.notices, *outbox.done(batch.vids)]
    try:
        await store.commit(change)
    except Stale:
        return Matched()
    return Matched(len(batch.vids), bool(outcome.events or nudged), bool(outcome.notices))


def fence_of(keys: Keys) -> int:
    """Whose epoch fences matching."""
    return keys.of("notify", "matching")


async def _concerned(store: Store, items: Sequence[Item], now_us: int) -> Concerned:
    having = await outbox.having(store, {item.patient for item in items if item.patient is not None}, now_us)
    subjects = {item.vid: {OPERATOR, item.source_org} | having.get(item.patient or 0, set()) for item in items}
    slugs = {topic.slug for item in items for topic in topics_of(item.rtype)}
    found = await outbox.candidates(store, slugs, set().union(*subjects.values())) if slugs else {}
    return {item.vid: dict(_by_topic(item, subjects[item.vid], found)) for item in items} if found else {}


def _by_topic(
    item: Item, subjects: set[int], found: Mapping[tuple[str, int], Sequence[Candidate]]
) -> Iterator[tuple[str, Sequence[Candidate]]]:
    for topic in topics_of(item.rtype):
        mine = {one.key: one for subject in subjects for one in found.get((topic.slug, subject), ())}
        if mine:
            yield topic.slug, tuple(mine.values())


async def _with_bodies(store: Store, items: Sequence[Item], concerned: Concerned, texts: outbox.Texts) -> list[Item]:
    """Those about which anybody has to be asked, with their texts. texts: those that were read already."""
    wanted = [item for item in items if concerned.get(item.vid) or item.rtype in NOTICED]
    texts = {**texts, **await outbox.bodies(store, [item.vid for item in wanted if item.vid not in texts])}
    return [replace(item, body=texts[item.vid][0], before=texts[item.vid][1]) for item in wanted]


def _match(
    item: Item, concerned: Mapping[str, Sequence[Candidate]], outcome: _Outcome, keys: Keys, base_url: str
) -> None:
    """One version that cannot be read must not hold up the others."""
    version = Version(item, keys, base_url)
    try:
        events = [
            (candidate.key, item)
            for topic in topics_of(item.rtype)
            if topic.slug in concerned and fires(topic, version)
            for candidate in _fitting(topic, concerned[topic.slug], version, outcome.broken)
        ]
        version.resource  # noqa: B018 - what cannot be read must not wait for who would stumble over it
    except Exception as error:
        outcome.unread[item.vid] = ("events", error)
        return
    outcome.events += events


def _fitting(topic: Topic, several: Sequence[Candidate], version: Version, broken: set[int]) -> Iterator[Candidate]:
    """Equal filters are asked once."""
    said: dict[tuple[Filter, ...], bool] = {}
    for candidate in several:
        chosen = filters_of(topic, candidate.fhir_id, candidate.spec, version.keys, version.base_url)
        if chosen is None:
            broken.add(candidate.key)
        if chosen is not None and chosen not in said:
            said[chosen] = filters.fits(chosen, version)
        if chosen is not None and said[chosen]:
            yield candidate


@lru_cache(maxsize=16_384)
def filters_of(topic: Topic, fhir_id: str, spec: str, keys: Keys, base_url: str) -> tuple[Filter, ...] | None:
    """None for what a former release took and this one cannot read: the log says so once in a process."""
    try:
        return tuple(compiled(topic, text, keys, base_url) for text in spec_of(spec).filters)
    except (FhirError, ValueError, KeyError, TypeError) as error:
        log(NOTIFY_SUBSCRIPTION_UNREAD, subscription=fhir_id, topic=topic.slug, **where(error))
        return None


async def _notices(store: Store, items: Sequence[Item], outcome: _Outcome, now_us: int, base_url: str) -> None:
    """All at once; where that fails, one after the other, so that one version does not silence the others."""
    if not items:
        return
    try:
        outcome.notices += await people.noticed(store, store.keys, items, now_us, base_url)
        return
    except (Unavailable, TooCostly):
        raise
    except Exception as error:
        if len(items) == 1:
            outcome.unread[items[0].vid] = ("notices", error)
            return
    for item in items:
        await _notices(store, [item], outcome, now_us, base_url)


def _audit(items: Sequence[Item], outcome: _Outcome) -> list[AuditRow]:
    """What nobody could be told of leaves the outbox too, but not without a line and a row."""
    rows = []
    for item in items:
        if item.vid not in outcome.unread:
            continue
        part, error = outcome.unread[item.vid]
        log(NOTIFY_UNREAD, type=item.rtype, vid=item.vid, part=part, **where(error))
        target = f"{item.reference}/_history/{item.version}"
        rows.append(AuditRow("E", "notify-unread", 8, "enlace", "", target, reason=f"{part}: {type(error).__name__}"))
    return rows
