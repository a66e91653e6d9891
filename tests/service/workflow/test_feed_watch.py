"""The watch of feeds: exact counts by the hour, alarms that are raised once and end, and what is only counted."""

from typing import Any

import pytest

from service import metrics
from service.access.context import Context
from service.caller import system_caller
from service.store import feed_hours, sources
from service.store.change import Change, Statement
from service.store.engine import Store
from service.store.feed_hours import HOUR_US
from service.worker import HANDLERS
from service.workflow.feed_monitor import monitor
from service.workflow.feed_tally import tally_of
from service.workflow.standing_jobs import STANDING, due
from tests.service.adt_world import MERCY, MINUTE, Sender, adt_world

POSTGRESQL_IN_DEEP = True


async def watched(store: Store) -> list[tuple[str, str]]:
    """(source, kind) of what is raised after a minute's job."""
    ctx = Context(store, system_caller(), store.clock.now_us())
    await store.commit(await HANDLERS["adt.watch"](ctx, {}))
    return [(row.source, row.kind) for row in await feed_hours.watches(store)]


async def test_what_was_received_is_counted_exactly(store: Store) -> None:
    await adt_world(store)
    sender = Sender(store)
    sent = [sender.adt("A01"), sender.adt("A08")]
    await sender(*sent)
    assert await sender.receiver.receive(sent[0])
    await sender(sender.adt("A01", MSH_4="ELSEWHERE"))
    for _ in range(2):
        assert await watched(store) == []
    await tally_of(store).write()
    [mercy] = await monitor(store, "mercy")
    assert (mercy["messages"]["last_hour"], mercy["messages"]["last_day"], mercy["repeated_last_day"]) == (2, 2, 1)
    assert mercy["answer"]["most_ms"] >= mercy["answer"]["mean_ms"] > 0
    [strangers] = await monitor(store, metrics.UNREGISTERED)
    assert strangers["messages"]["last_day"] == 1
    assert await store.fetch("SELECT kind FROM job WHERE kind = 'adt.terms'") == [("adt.terms",)]


async def test_a_queue_and_errors_are_raised_once_and_end(store: Store, capsys: pytest.CaptureFixture[str]) -> None:
    await adt_world(store)
    sender = Sender(store)
    for _ in range(6):
        assert await sender.receiver.receive(sender.adt("A01"))
    assert await watched(store) == []
    store.clock.advance(6 * MINUTE)  # type: ignore[attr-defined]
    assert await watched(store) == [("mercy", "queue")]
    first = (await feed_hours.watches(store))[0]
    assert first.detail == "6 messages wait for the worker, the oldest for 6 minutes."
    store.clock.advance(MINUTE)  # type: ignore[attr-defined]
    assert await watched(store) == [("mercy", "queue")]
    assert (await feed_hours.watches(store))[0].since_us == first.since_us
    [mercy] = await monitor(store, "mercy")
    assert (mercy["waiting"], mercy["oldest_waiting_seconds"], mercy["alarms"][0]["kind"]) == (6, 420, "queue")
    await store.commit(Change(statements=[Statement("UPDATE inbox SET state = 'failed', reason = 'KeyError'", ())]))
    assert await watched(store) == [("mercy", "errors")]
    [queue] = [row for row in await feed_hours.watches(store, raised=False) if row.kind == "queue"]
    assert (queue.state, queue.ended_us) == ("over", store.clock.now_us())
    store.clock.advance(2 * HOUR_US)  # type: ignore[attr-defined]
    assert await watched(store) == []
    said = capsys.readouterr().err
    assert said.count("feed.raised") == 2 and said.count("feed.over") == 2


async def test_a_feed_that_falls_silent(store: Store) -> None:
    """Three weeks of an hourly feed are in the table; then nothing."""
    await adt_world(store)
    sender = Sender(store)
    assert await sender.receiver.receive(sender.adt("A01"))
    now = store.clock.now_us()
    hours = [feed_hours.counted("mercy", feed_hours.hour_of(now) - back * HOUR_US, 4) for back in range(1, 24 * 22)]
    await store.commit(Change(statements=hours))
    await sender()
    assert await watched(store) == []
    store.clock.advance(HOUR_US)  # type: ignore[attr-defined]
    assert await watched(store) == []
    store.clock.advance(80 * MINUTE)  # type: ignore[attr-defined]
    assert await watched(store) == [("mercy", "silent")]
    detail = (await feed_hours.watches(store))[0].detail
    assert detail == "Nothing came for 140 minutes, in which about 9 messages are usual."
    [mercy] = await monitor(store, "mercy")
    assert mercy["expected_since"] == 9.3 and mercy["expected_this_hour"] == 4.0
    assert await sender.receiver.receive(sender.adt("A08"))
    await sender()
    assert await watched(store) == []


async def test_an_inactive_feed_is_not_watched(store: Store) -> None:
    await adt_world(store)
    sender = Sender(store)
    await sender(sender.adt("A01"))
    store.clock.advance(48 * HOUR_US)  # type: ignore[attr-defined]
    assert await watched(store) == [("mercy", "silent")]
    from dataclasses import replace

    await store.commit(Change(statements=[sources.put(replace(MERCY, active=False))]))
    assert await watched(store) == []


async def test_a_tally_that_was_not_taken_is_kept(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    from service.store.database import Unavailable

    tally, now = tally_of(store), store.clock.now_us()
    tally.answered("mercy", now, 0.010)
    commit = store.commit

    async def away(_: Any) -> Any:
        raise Unavailable("gone")

    monkeypatch.setattr(store, "commit", away)
    await tally.write()
    tally.answered("mercy", now, 0.030, repeat=True)
    tally.answered("", now, 0.001, negative=True)
    monkeypatch.setattr(store, "commit", commit)
    await tally.write()
    await tally.write()
    hour = (await feed_hours.hours(store, "mercy", 0))[feed_hours.hour_of(now)]
    assert (hour.received, hour.repeated, hour.negative, hour.ack_us, hour.ack_most_us) == (0, 1, 0, 40_000, 30_000)
    assert (await feed_hours.hours(store, metrics.UNREGISTERED, 0))[feed_hours.hour_of(now)].negative == 1


def test_standing_work_is_begun_once_a_slot(store: Store) -> None:
    begun: dict[str, int] = {}
    first = list(due(store.keys, 10 * MINUTE, begun, HANDLERS))
    assert [kind for kind, _, _ in first] == [kind for kind in STANDING if kind in HANDLERS]
    begun |= {kind: slot for kind, slot, _ in first}
    assert list(due(store.keys, 10 * MINUTE + 1, begun, HANDLERS)) == []
    later = {kind for kind, _, _ in due(store.keys, 11 * MINUTE, begun, HANDLERS)}
    assert "adt.watch" in later and not {"adt.stale", "adt.purge"} & later
    same = [change.claims[0].key for _, _, change in due(store.keys, 10 * MINUTE, {}, HANDLERS)]
    assert same == [change.claims[0].key for _, _, change in first], "another worker asks for the same claim"
