"""Matching by several workers, again, and beside those who write: each version once, in the order of its resource."""

import asyncio
from typing import Any

import pytest

from service.notify.matching import Matched, look, match, matched
from service.store import subscriptions
from service.store.change import Change, Statement
from service.store.engine import Store, open_store
from tests.frozen_clock import FrozenClock
from tests.service.notify.subscribed import a_task, all_matched, left, subscribe, waiting
from tests.service.world import BASE, CBO1, ECM1, change_of, put


async def test_order_of_a_resource_over_many_batches(county: Store) -> None:
    await subscribe(county, "ecm1", ECM1)
    for version in range(7):
        for number in (1, 2):
            await county.commit(
                change_of(county, a_task(number, priority="urgent" if version % 2 else "asap"), expect=version)
            )
    counts = []
    while count := await match(county, BASE, most=3):
        counts.append(count)
        found = await waiting(county, "ecm1")
        for number in (1, 2):  # what is delivered between two batches is in order as well
            mine = [name for name in found if name.startswith(f"Task/x{number}/")]
            assert mine == [f"Task/x{number}/{version}" for version in range(1, len(mine) + 1)]
    assert counts == [3, 3, 3, 3, 2] and len(await waiting(county, "ecm1")) == 14


async def test_matching_twice_is_matching_once(county: Store) -> None:
    """As after a commit of which nobody knows whether it happened; and a row that waits already is no error."""
    await subscribe(county, "ecm1", ECM1)
    made = await put(county, a_task())
    await all_matched(county)
    await county.commit(Change(statements=[Statement("INSERT INTO outbox (vid) VALUES (?)", (made.written[0].vid,))]))
    assert await all_matched(county) == 1
    assert await waiting(county, "ecm1") == ["Task/x1/1"]


async def test_of_two_workers_at_once_one_commits(county: Store, clock: FrozenClock) -> None:
    await subscribe(county, "ecm1", ECM1)
    for number in range(40):
        await put(county, a_task(number))
    other = await open_store(county.url, clock)
    try:
        counts = await asyncio.gather(*(match(one, BASE) for one in (county, other)))
        assert sorted(counts) == [0, 40] and await left(county) == 0
    finally:
        await other.close()
    assert len(await waiting(county, "ecm1")) == 40


async def test_what_another_worker_took_since_the_look_is_left_alone(county: Store) -> None:
    await subscribe(county, "ecm1", ECM1)
    await put(county, a_task())
    seen = await look(county)
    assert await match(county, BASE) == 1
    assert await matched(county, BASE, seen=seen) == Matched()
    assert await waiting(county, "ecm1") == ["Task/x1/1"]


async def test_workers_and_writers_together_lose_nothing_and_keep_the_order(county: Store, clock: FrozenClock) -> None:
    """Two workers match while two writers write: each version waits once, in the order of its resource."""
    await subscribe(county, "ecm1", ECM1)
    await subscribe(county, "cbo1", CBO1)
    other = await open_store(county.url, clock)
    busy = True

    async def writes(store: Store, number: int) -> None:
        for version in range(12):
            await store.commit(change_of(store, a_task(number, priority=("asap", "stat")[version % 2]), expect=version))
            await asyncio.sleep(0)

    async def works(store: Store) -> None:
        while busy or await left(store):
            await match(store, BASE, most=5)
            await asyncio.sleep(0.001)

    try:
        workers = [asyncio.create_task(works(store)) for store in (county, other)]
        await asyncio.gather(*(writes(store, n) for n, store in enumerate((county, other, county, other))))
        busy = False
        await asyncio.gather(*workers)
    finally:
        await other.close()
    for name in ("ecm1", "cbo1"):
        found = await waiting(county, name)
        for number in range(4):
            mine = [one for one in found if one.startswith(f"Task/x{number}/")]
            assert mine == [f"Task/x{number}/{version}" for version in range(1, 13)]


@pytest.mark.parametrize("how", ["removed", "off"])
async def test_a_subscription_that_goes_meanwhile_leaves_nothing(
    county: Store, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    key = await subscribe(county, "ecm1", ECM1)
    await put(county, a_task())
    commit = county.commit

    async def gone_first(change: Change) -> Any:
        monkeypatch.setattr(county, "commit", commit)
        gone = subscriptions.removed(key) if how == "removed" else [subscriptions.changed(key, status="off")]
        await commit(Change(statements=gone))
        return await commit(change)

    monkeypatch.setattr(county, "commit", gone_first)
    assert await match(county, BASE) == 1
    assert await county.fetch("SELECT subscription FROM event_waiting") == []
