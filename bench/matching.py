"""Matching: what a write of a watched type costs until its events wait, by number of active subscriptions.

Matching runs in this process, without a service. Ten subscriptions of each organization, of four topics, most with a
filter; a written Task is of two of the organizations, however many there are. CPU is that of this process, the writer
thread of SQLite included; what the write itself costs is not in it.
"""

import asyncio
import time
from collections.abc import Iterator
from itertools import count
from statistics import median

import psutil

from bench.county import BASE, LARGE, County, _put, task
from bench.processes import cpu_us
from bench.results import Row
from fhir_profiles.topics import topics
from service.notify.matching import match
from service.notify.model import NEVER_US, Content, Spec, State
from service.store import subscriptions
from service.store.change import Change
from service.store.engine import Store, open_store

LEVELS = (0, 100, 10_000)
OF_EACH = 10
OWNERS = 8
TARGET = 1.5
"""Cost at 10,000 subscriptions over cost at 100: in either, the same number is of the parties of a write."""
TOPICS = ("task-updated", "referral-status", "sdohcc-task", "care-plan-updated")


def measure(county: County, url: str, database: psutil.Process | None, *, writes: int, rounds: int) -> list[Row]:
    return asyncio.run(_measure(county, url, database, writes, rounds))


async def _measure(county: County, url: str, database: psutil.Process | None, writes: int, rounds: int) -> list[Row]:
    store = await open_store(url)
    rows: list[Row] = []
    try:
        while await match(store, BASE):  # what the county brought along
            pass
        numbers, made = count(10_000_000), 0
        for level in LEVELS:
            await _subscribe(store, made, level)
            made = level
            rows += await _level(store, county, database, level, numbers, writes, rounds)
        for first, last in zip(rows[2:4], rows[4:6], strict=True):
            cost, before = (row.server_us + row.database_us for row in (last, first))  # type: ignore[operator]
            last.ratio = cost / before
            last.floor, last.reached = f"CPU <= {TARGET} of 100 subscriptions'", last.ratio <= TARGET
        gone = [statement for number in range(made) for statement in subscriptions.removed(_key(store, number))]
        await store.commit(Change(statements=gone))
        return rows
    finally:
        await store.close()


async def _level(
    store: Store,
    county: County,
    database: psutil.Process | None,
    level: int,
    numbers: Iterator[int],
    writes: int,
    rounds: int,
) -> list[Row]:
    """In batches as under load, and one write at a time as it comes; the median of the rounds."""
    if store.db.name == "postgresql":
        await store.db.execute("ANALYZE")
    found = []
    for size, total in ((writes, writes), (1, writes // 10)):
        spent = []
        for _ in range(rounds):
            ours = theirs = wall = 0.0
            for _ in range(total // size):
                await _put(store, [_task(county, next(numbers)) for _ in range(size)], lambda _: LARGE)
                mine, its, began = time.process_time(), _of(database), time.perf_counter()
                while await match(store, BASE):
                    pass
                ours += time.process_time() - mine
                theirs += _of(database) - its
                wall += time.perf_counter() - began
            spent.append((ours / total * 1e6, theirs / total, wall / total * 1e6))
        name = "batches" if size > 1 else "one at a time"
        ours, theirs, wall = (median(column) for column in zip(*spent, strict=True))
        row = Row(f"matching, {level:,} subscriptions, {name}", server_us=ours, database_us=theirs)
        row.note = f"wall {wall:.0f} us a write"
        found.append(row)
    return found


def _of(database: psutil.Process | None) -> float:
    return cpu_us(database) if database is not None else 0.0


def _task(county: County, number: int) -> dict[str, object]:
    """Of a member of the large provider, for one of a few owners."""
    return task(number, number % (county.members // 2), LARGE, f"Organization/cbo-{number % OWNERS}", "requested")


def _key(store: Store, number: int) -> int:
    return store.keys.resource(f"Subscription/bench-{number}")


def _organization(number: int) -> str:
    """The parties of the Tasks first, then many who have nothing to do with them."""
    place = number // OF_EACH
    return LARGE if place == 0 else f"Organization/cbo-{place - 1}"


async def _subscribe(store: Store, first: int, last: int) -> None:
    """Active ones, as rows: what a client would have made and shaken hands for."""
    urls = {topic.slug: url for url, topic in topics().items()}
    change = Change()
    for number in range(first, last):
        slug, organization = TOPICS[number % len(TOPICS)], _organization(number)
        rtype = topics()[urls[slug]].rtypes[0]
        asked = f"owner=Organization/cbo-{number % OWNERS}" if rtype == "Task" else "patient=Patient/m1"
        filters = (f"{rtype}?{asked}",) if number % 3 else ()
        spec = Spec(
            urls[slug], "rest-hook", "https://a.example/", "application/fhir+json", Content.ID_ONLY, (), filters
        )
        state = State(
            _key(store, number), f"bench-{number}", f"client-{number // OF_EACH}", organization, "", slug, "rest-hook",
            spec.text(), "active", False, 0, 0, NEVER_US, 0, 0, 0, "", 0, b"", None, 0, 0,
        )  # fmt: skip
        change.statements += subscriptions.saved(state, [store.keys.resource(organization)])
    await store.commit(change)
