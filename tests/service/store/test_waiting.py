"""Changes that wait while the database is away: bounded in number and time; nothing is bounded while it answers."""

import asyncio

import pytest

from service.store import waiting
from service.store.change import Change, Committed, Write
from service.store.database import Unavailable
from service.store.waiting import GROUP_WRITES, WAIT_S, Waiting


class Ticks:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


async def test_who_waits_too_long_for_a_database_that_is_away_hears_it() -> None:
    clock = Ticks()
    queue = Waiting(clock)
    first = queue.put(Change())
    clock.now += WAIT_S - 1
    second = queue.put(Change())
    clock.now += 1
    queue.expire()
    assert not first.done(), "the database answers: it is only slow"
    queue.away = True
    queue.expire()
    assert isinstance(first.exception(), Unavailable)
    assert not second.done()
    assert [item.future for item in queue.take(10)] == [second]


async def test_only_so_many_wait_for_a_database_that_is_away(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(waiting, "MOST", 3)
    queue = Waiting()
    for _ in range(5):
        queue.put(Change())
    assert len(queue.take(10)) == 5
    queue.away = True
    for _ in range(3):
        queue.put(Change())
    with pytest.raises(Unavailable):
        queue.put(Change())
    assert len(queue) == 3


async def test_the_consumer_wakes_once_something_waits_and_skips_who_left() -> None:
    queue = Waiting()
    woken = asyncio.ensure_future(queue.some())
    await asyncio.sleep(0)
    assert not woken.done()
    gone, here = queue.put(Change()), queue.put(Change())
    gone.cancel()
    await asyncio.wait_for(woken, 5)
    assert [item.future for item in queue.take(1)] == [here]
    here.set_result(Committed(()))


async def test_at_the_end_nobody_is_left_waiting() -> None:
    queue = Waiting()
    futures = [queue.put(Change()) for _ in range(3)]
    queue.end()
    assert all(isinstance(future.exception(), Unavailable) for future in futures)
    assert len(queue) == 0


async def test_a_group_ends_behind_large_changes() -> None:
    """Else a commit of many transactions of 500 entries would last longer than a connection is given."""
    queue = Waiting()
    many = [Write("Goal", str(n), 0, None) for n in range(GROUP_WRITES // 2)]
    for _ in range(5):
        queue.put(Change(writes=many))
    queue.put(Change())
    assert [len(queue.take(128)) for _ in range(3)] == [2, 2, 2]
