"""Timers go some time after they ended; what runs, what an open Task needs and what a measure reads stays."""

import pytest

from service.access.context import Context, Settings
from service.caller import system_caller
from service.store import timers as rows
from service.store.change import Change
from service.store.engine import Store
from service.store.timers import StoredTimer
from service.workflow import timer_purging
from service.workflow.timer_purging import DAY_US, purge
from tests.frozen_clock import FrozenClock
from tests.service.world import make, put

DAYS = 400


async def begin(
    store: Store, name: str, state: str, *, took: int | None = None, subject: str = "", due: int = 1, start: int = 0
) -> None:
    """A timer of now, due after so many days, ended after so many."""
    now = store.clock.now_us()
    ended = None if took is None else now + took * DAY_US
    subject = subject or f"Encounter/{name}"
    times = now + start * DAY_US, now + due * DAY_US
    timer = StoredTimer(store.next_id(now), "tcs-visit", name, subject, "Patient/a", *times, state, ended)
    await store.commit(Change(statements=[rows.started(timer)]))


async def run(store: Store, days: int = DAYS) -> int:
    """How many Changes it took."""
    payload, turns = dict[str, object](), 0
    while True:
        ctx = Context(store, system_caller(), store.clock.now_us(), Settings(timer_days=days))
        change, turns = await purge(ctx, payload), turns + 1
        await store.commit(Change(statements=change.statements))
        if not change.jobs:
            return turns
        payload = change.jobs[0].payload


async def left(store: Store) -> set[str]:
    return {one.dedupe for one in await rows.listed(store, "", "", 1000)}


async def test_what_ended_long_ago_goes_and_nothing_else(
    store: Store, clock: FrozenClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(timer_purging, "PAGE", 3)
    for id, status in (("open", "in-progress"), ("done", "completed")):
        await put(store, make(f"Task/{id}", status=status, intent="order"))
    await begin(store, "met", "met", took=1)
    await begin(store, "cancelled", "cancelled", took=1)
    await begin(store, "met-later", "met", took=10)
    await begin(store, "late", "breached", took=2)
    await begin(store, "never", "breached")
    await begin(store, "runs", "running")
    await begin(store, "not-due-long", "breached", due=10)
    await begin(store, "begins-later", "breached", start=10)
    await begin(store, "of-open", "met", took=1, subject="Task/open")
    await begin(store, "of-open-breached", "breached", subject="Task/open")
    await begin(store, "of-done", "met", took=1, subject="Task/done")
    await begin(store, "of-none", "met", took=1, subject="Task/none")
    clock.advance(DAYS * DAY_US)
    everything = await left(store)
    assert await run(store) == 1 and await left(store) == everything, "400 days old, not older"
    clock.advance(3 * DAY_US)
    assert await run(store, days=0) == 1 and await left(store) == everything
    assert await run(store) > 3
    kept = {"met-later", "runs", "not-due-long", "begins-later", "of-open", "of-open-breached"}
    assert await left(store) == kept
    assert await run(store) > 1 and await left(store) == kept


async def test_one_that_moved_on_since_it_was_looked_at_stays(store: Store, clock: FrozenClock) -> None:
    """Its cause holds again: the row that was cancelled long ago runs."""
    await begin(store, "again", "cancelled", took=1)
    clock.advance((DAYS + 5) * DAY_US)
    ctx = Context(store, system_caller(), store.clock.now_us(), Settings())
    change = await purge(ctx, {})
    await begin(store, "again", "running")
    await store.commit(change)
    assert await left(store) == {"again"}


async def test_a_measure_reads_the_rows_of_its_kind_and_time_alone(store: Store) -> None:
    """And the list those of its state: at a million timers neither walks over the others."""
    if store.db.name == "postgresql":  # plans by statistics, of which an empty table has none
        return
    for index, asked in (
        ("timer_kind", "kind = 'tcs-visit' AND start_us >= 1 AND state <> 'cancelled'"),
        ("timer_due", "state = 'running' AND kind = 'tcs-visit' ORDER BY due_us, id LIMIT 50"),
    ):
        [row] = await store.fetch(f"EXPLAIN QUERY PLAN SELECT payload FROM timer WHERE {asked}")
        assert index in str(row[3])
