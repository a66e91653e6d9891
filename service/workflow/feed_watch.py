"""Job `adt.watch`, every minute: counts what each feed brought, and tells operations of silence, errors and a queue.

What is raised stands in feed_watch until it is over: a log line at either end, /metrics, `enlace doctor`, `enlace adt
feeds` and the API /adt/feeds in between.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from mappers.hl7v2.source import SourceConfig
from service import metrics
from service.access.context import Context
from service.log_events import FEED_OVER, FEED_RAISED, identifier, log
from service.store import feed_hours, sources
from service.store.change import Change, Job
from service.store.engine import Store
from service.store.feed_hours import HOUR_US, Hour, hour_of
from service.workflow.feed_silence import WEEKS, Silence, silence
from service.workflow.sending_systems import config_of

KEPT_US = (WEEKS + 2) * 7 * 24 * HOUR_US
LATE_US = 5 * 60_000_000
"""The oldest message that waits for the worker is told after this."""
ERRORS = 0.2
LEAST_ERRORS = 5
"""Told where at least so many of the last hour's messages, and this share of them, came to nothing by an error."""
UNKNOWN_LIMIT_US = 24 * HOUR_US
"""Silence that is told of a feed of which too little is known to say what is usual."""
BAD = ("failed", "unreadable")


@dataclass(frozen=True)
class Look:
    """One feed at one moment. first_us, last_us: None where nothing ever came."""

    source: SourceConfig
    hours: dict[int, Hour]
    first_us: int | None
    last_us: int | None
    silence: Silence | None
    last_hour: dict[str, int]
    """state -> messages of the last 60 minutes"""
    waiting: int = 0
    oldest_us: int = 0

    def negative(self, now_us: int) -> int:
        """Negative answers of this hour and the last."""
        ends = (hour_of(now_us), hour_of(now_us) - HOUR_US)
        return sum(self.hours[at].negative for at in ends if at in self.hours)


async def watch(ctx: Context, payload: dict[str, Any]) -> Change:
    """Counts, compares with what was told, and starts what fills the terms of messages that have none."""
    store, now_us = ctx.store, ctx.now_us
    change = Change(jobs=[Job("adt.terms", {}, dedupe="adt.terms")])
    told = {(row.source, row.kind): row for row in await feed_hours.watches(store)}
    active = [config_of(source) for source in await sources.all_sources(store) if source.active]
    await _count(store, change, [source.name for source in active], now_us)
    raised: set[tuple[str, str]] = set()
    for look in await looks(store, active, now_us):
        for kind, detail in alarms(look, now_us):
            raised.add((look.source.name, kind))
            change.statements.append(feed_hours.raised(look.source.name, kind, now_us, detail))
    for name, kind in sorted(raised - told.keys()):
        log(FEED_RAISED, source=identifier(name), kind=kind)
    for name, kind in sorted(told.keys() - raised):
        log(FEED_OVER, source=identifier(name), kind=kind)
        change.statements.append(feed_hours.over(name, kind, now_us))
    if now_us % HOUR_US < 60_000_000:
        change.statements += feed_hours.forget(now_us - KEPT_US, [source.name for source in active])
    return change


async def _count(store: Store, change: Change, names: list[str], now_us: int) -> None:
    """This hour and the last one: a message may be committed after the job of its minute."""
    for start in (hour_of(now_us) - HOUR_US, hour_of(now_us)):
        for name in names:
            count = await feed_hours.received(store, name, start, start + HOUR_US)
            if count:
                change.statements.append(feed_hours.counted(name, start, count))
        count = await feed_hours.strangers(store, start, start + HOUR_US)
        if count:
            change.statements.append(feed_hours.counted(metrics.UNREGISTERED, start, count))


async def looks(store: Store, active: list[SourceConfig], now_us: int) -> list[Look]:
    waiting = await feed_hours.waiting(store)
    found = []
    for source in active:
        hours = await feed_hours.hours(store, source.name, now_us - KEPT_US)
        first_us, last_us = await feed_hours.first_and_last(store, source.name)
        quiet = None
        if first_us is not None and last_us is not None:
            quiet = silence(source, hours, min((first_us, *hours)), last_us, now_us, UNKNOWN_LIMIT_US)
        states = await feed_hours.states(store, source.name, now_us - HOUR_US)
        count, oldest_us = waiting.get(source.name, (0, 0))
        found.append(Look(source, hours, first_us, last_us, quiet, states, count, oldest_us))
    return found


def alarms(look: Look, now_us: int) -> Iterator[tuple[str, str]]:
    """(kind, a sentence without names of people) of what operations must hear."""
    if look.silence and look.silence.silent:
        yield "silent", _silent(look.silence, now_us)
    bad = sum(look.last_hour.get(state, 0) for state in BAD) + look.negative(now_us)
    every = sum(look.last_hour.values()) + look.negative(now_us)
    if bad >= LEAST_ERRORS and bad / every >= ERRORS:
        yield "errors", f"{bad} of {every} messages of the last hour failed, or were answered negatively."
    if look.waiting and now_us - look.oldest_us > LATE_US:
        minutes = (now_us - look.oldest_us) // 60_000_000
        yield "queue", f"{look.waiting} messages wait for the worker, the oldest for {minutes} minutes."


def _silent(quiet: Silence, now_us: int) -> str:
    minutes = (now_us - quiet.since_us) // 60_000_000
    since = f"{minutes} minutes" if minutes < 180 else f"{minutes // 60} hours"
    if quiet.expected is None:
        return f"Nothing came for {since}."
    return f"Nothing came for {since}, in which about {math.floor(quiet.expected)} messages are usual."
