"""How each feed does, as data: for `enlace adt feeds`, the API /adt/feeds, and the page to come.

Counts, times and names of registrations only; nothing that a message holds.
"""

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from service import metrics
from service.clock import instant
from service.store import feed_hours, sources
from service.store.engine import Store
from service.store.feed_hours import HOUR_US, Hour, Watch, hour_of
from service.workflow.feed_silence import expected_in
from service.workflow.feed_watch import BAD, KEPT_US, Look, looks
from service.workflow.sending_systems import config_of

DAY_US = 24 * HOUR_US


async def monitor(store: Store, name: str = "") -> list[dict[str, Any]]:
    """A feed each, and what came from senders that are not registered; name: of this one only."""
    now_us = store.clock.now_us()
    registered = [source for source in await sources.all_sources(store) if name in ("", source.name)]
    watches = await feed_hours.watches(store)
    active = {source.name: source.active for source in registered}
    seen = await looks(store, [config_of(source) for source in registered], now_us)
    found = []
    for look in seen:
        states = await feed_hours.states(store, look.source.name, now_us - DAY_US)
        mine = [row for row in watches if row.source == look.source.name]
        found.append(_feed(look, states, mine, now_us) | {"active": active[look.source.name]})
    if name in ("", metrics.UNREGISTERED):
        found.append(await _strangers(store, now_us))
    return found


def _feed(look: Look, states: dict[str, int], watches: Iterable[Watch], now_us: int) -> dict[str, Any]:
    day = _sum(look.hours, now_us - DAY_US)
    counted = sum(states.values())
    bad = sum(states.get(state, 0) for state in BAD) + day.negative
    weeks = look.silence.weeks if look.silence else 0
    return {
        "name": look.source.name,
        "organization": look.source.facility,
        "last_seen": instant(look.last_us) if look.last_us else None,
        "silent_seconds": (now_us - look.last_us) // 1_000_000 if look.last_us else None,
        "expected_since": look.silence.expected if look.silence else None,
        "expected_this_hour": expected_in(look.source, look.hours, hour_of(now_us), weeks),
        "messages": {
            "last_hour": sum(look.last_hour.values()),
            "last_day": day.received,
            "last_week": _sum(look.hours, now_us - 7 * DAY_US).received,
            "per_minute": round(sum(look.last_hour.values()) / 60, 2),
        },
        "repeated_last_day": day.repeated,
        "negative_last_day": day.negative,
        "states_last_day": states,
        "error_share": round(bad / (counted + day.negative), 4) if counted + day.negative else 0.0,
        "unmatched_share": round(states.get("unmatched", 0) / counted, 4) if counted else 0.0,
        "answer": _answer(day),
        "waiting": look.waiting,
        "oldest_waiting_seconds": (now_us - look.oldest_us) // 1_000_000 if look.waiting else 0,
        "alarms": [{"kind": w.kind, "since": instant(w.since_us), "detail": w.detail} for w in watches],
    }


async def _strangers(store: Store, now_us: int) -> dict[str, Any]:
    """Messages whose sender is not registered, or that cannot be read: kept, and waiting for a person."""
    hours = await feed_hours.hours(store, metrics.UNREGISTERED, now_us - KEPT_US)
    day = _sum(hours, now_us - DAY_US)
    return {
        "name": metrics.UNREGISTERED,
        "active": False,
        "messages": {"last_day": day.received, "last_week": _sum(hours, now_us - 7 * DAY_US).received},
        "repeated_last_day": day.repeated,
        "negative_last_day": day.negative,
        "answer": _answer(day),
    }


def _sum(hours: dict[int, Hour], since_us: int) -> Hour:
    """Whole hours; the one in which `since_us` lies counts."""
    total = Hour()
    for at, hour in hours.items():
        if at >= hour_of(since_us):
            total = replace(
                total,
                received=total.received + hour.received,
                repeated=total.repeated + hour.repeated,
                negative=total.negative + hour.negative,
                ack_us=total.ack_us + hour.ack_us,
                ack_most_us=max(total.ack_most_us, hour.ack_most_us),
            )
    return total


def _answer(day: Hour) -> dict[str, float]:
    """Milliseconds from the last byte of a message to its answer; the mean is over all that were answered."""
    count = day.received + day.repeated + day.negative
    mean = day.ack_us / count / 1000 if count else 0.0
    return {"mean_ms": round(mean, 1), "most_ms": round(day.ack_most_us / 1000, 1)}
