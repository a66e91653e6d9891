"""The worker: what fails comes again later and then waits for a person; order is kept; a lost lease commits nothing."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from service import worker as working
from service.access.context import Context, Settings
from service.store import inbox, work
from service.store.change import Change, Job, Lease, Stale, Statement
from service.store.engine import Store
from service.worker import HANDLERS, Worker
from tests.frozen_clock import FrozenClock

Handle = Callable[[Context, dict[str, Any]], Awaitable[Change]]
SECOND = 1_000_000


@pytest.fixture
def worker(store: Store) -> Worker:
    return Worker(store, Settings())


def mark(name: str) -> Statement:
    """Something that can be seen afterwards."""
    return Statement("INSERT INTO meta (name, value) VALUES (?, '1')", (name,))


async def marks(store: Store) -> set[str]:
    return {row[0] for row in await store.fetch("SELECT name FROM meta WHERE name LIKE 'seen-%'")}


async def jobs(store: Store) -> list[tuple[Any, ...]]:
    return [tuple(r) for r in await store.fetch("SELECT state, attempts, last_error FROM job ORDER BY id")]


async def add(store: Store, *made: Job) -> tuple[int, ...]:
    return (await store.commit(Change(jobs=list(made)))).job_ids


@pytest.fixture
def handled(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """Payloads in the order in which they were tried; a payload with `fail` raises so many times."""
    seen: list[dict[str, Any]] = []

    async def handle(_ctx: Context, payload: dict[str, Any]) -> Change:
        seen.append(payload)
        if seen.count(payload) <= payload.get("fail", 0):
            raise ValueError("with a value that must not be logged: Quillfeather")
        return Change(statements=[mark(f"seen-{payload['n']}-{len(seen)}")])

    monkeypatch.setitem(HANDLERS, "x.do", handle)
    return seen


async def test_the_effect_commits_with_the_end_of_the_job(store: Store, worker: Worker, handled: list[Any]) -> None:
    await add(store, *(Job("x.do", {"n": n}) for n in range(5)))
    await worker.drain()
    assert len(await marks(store)) == 5
    assert {state for state, *_ in await jobs(store)} == {"done"}


async def test_what_fails_comes_again_with_backoff(
    store: Store, worker: Worker, handled: list[Any], clock: FrozenClock
) -> None:
    await add(store, Job("x.do", {"n": 1, "fail": 2}))
    await worker.drain()
    [(state, attempts, error)] = await jobs(store)
    assert (state, attempts) == ("ready", 1)
    assert error.startswith("ValueError at ")
    assert "Quillfeather" not in error
    await worker.drain()
    assert len(handled) == 1, "before its time"
    clock.advance(2 * SECOND)
    await worker.drain()
    assert len(handled) == 2
    clock.advance(2 * SECOND)
    await worker.drain()
    assert len(handled) == 2, "the second wait is longer"
    clock.advance(2 * SECOND)
    await worker.drain()
    assert (await jobs(store))[0][0] == "done"


async def test_after_eight_attempts_it_waits_for_a_person(
    store: Store, worker: Worker, handled: list[Any], clock: FrozenClock
) -> None:
    await add(store, Job("x.do", {"n": 1, "fail": 99}, "k"), Job("x.do", {"n": 2}, "k"))
    for _ in range(20):
        await worker.drain()
        clock.advance(301 * SECOND)
    assert [row[:2] for row in await jobs(store)] == [("dead", 8), ("done", 1)]
    assert [p["n"] for p in handled] == [1] * 8 + [2]


async def test_an_unknown_kind_ends_dead_and_stops_nobody(store: Store, worker: Worker, handled: list[Any],
                                                          clock: FrozenClock) -> None:  # fmt: skip
    await add(store, Job("y.unheard-of", {}), Job("x.do", {"n": 1}))
    await worker.drain()
    clock.advance(299 * SECOND)
    await worker.drain()
    assert (await jobs(store))[0][:2] == ("ready", 1), "left to a worker of the next release"
    for _ in range(10):
        await worker.drain()
        clock.advance(301 * SECOND)
    assert [row[0] for row in await jobs(store)] == ["dead", "done"]


async def test_order_is_kept_per_key_also_over_a_retry(
    store: Store, worker: Worker, handled: list[Any], clock: FrozenClock
) -> None:
    await add(store, *(Job("x.do", {"n": n, "fail": int(n == 3)}, f"k{n % 2}") for n in range(10)))
    await worker.drain()
    assert [p["n"] for p in handled if p["n"] % 2 == 0] == [0, 2, 4, 6, 8]
    assert [p["n"] for p in handled if p["n"] % 2] == [1, 3], "5 does not overtake 3"
    clock.advance(3 * SECOND)
    await worker.drain()
    assert [p["n"] for p in handled if p["n"] % 2] == [1, 3, 3, 5, 7, 9]
    assert {row[:2] for row in await jobs(store)} == {("done", 1), ("done", 2)}, "who only waited lost no attempt"


async def test_the_jobs_of_a_killed_worker_are_taken_over(
    store: Store, worker: Worker, handled: list[Any], clock: FrozenClock
) -> None:
    await add(store, Job("x.do", {"n": 1}), Job("x.do", {"n": 2}))
    assert len(await work.claim(store, 10)) == 2  # and is killed
    await worker.drain()
    assert handled == []
    clock.advance(work.LEASE_US + 1)
    await worker.drain()
    assert len(handled) == 2


async def test_who_lost_the_lease_commits_nothing(
    store: Store, worker: Worker, clock: FrozenClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def slow(_ctx: Context, _payload: dict[str, Any]) -> Change:
        clock.advance(work.LEASE_US + 1)  # it was asleep; meanwhile somebody else takes the job and finishes it
        (other,) = await work.claim(store, 1)
        await store.commit(Change(leases=[Lease(other.id, other.token)], statements=[mark("seen-other")]))
        return Change(statements=[mark("seen-slow")])

    monkeypatch.setitem(HANDLERS, "x.do", slow)
    await add(store, Job("x.do", {}))
    await worker.drain()
    assert await marks(store) == {"seen-other"}
    assert [row[0] for row in await jobs(store)] == ["done"]


async def test_a_lost_race_is_decided_again(store: Store, worker: Worker, monkeypatch: pytest.MonkeyPatch) -> None:
    tries = 0

    async def racing(_ctx: Context, _payload: dict[str, Any]) -> Change:
        nonlocal tries
        tries += 1
        if tries < 4:  # somebody bumps what it relied on
            await store.commit(Change(bump_epochs={77}))
        return Change(epochs={77: 3 if tries >= 4 else tries - 1}, statements=[mark(f"seen-{tries}")])

    monkeypatch.setitem(HANDLERS, "x.do", racing)
    await add(store, Job("x.do", {}))
    await worker.drain()
    assert tries == 4
    assert await marks(store) == {"seen-4"}


async def test_what_kills_its_workers_ends_dead(
    store: Store, worker: Worker, handled: list[Any], clock: FrozenClock
) -> None:
    await add(store, Job("x.do", {"n": 1}))
    for _ in range(work.MAX_ATTEMPTS):
        assert len(await work.claim(store, 1)) == 1  # and the process dies
        clock.advance(work.LEASE_US + 1)
    await worker.drain()
    assert handled == []
    [(state, _, error)] = await jobs(store)
    assert state == "dead"
    assert error.startswith("WorkerLost")


async def test_a_dead_message_says_so_in_the_inbox(
    store: Store, worker: Worker, clock: FrozenClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def broken(_ctx: Context, _payload: dict[str, Any]) -> Change:
        raise KeyError("x")

    monkeypatch.setitem(HANDLERS, "adt.apply", broken)
    row = inbox.insert(
        id=5, source="mercy", control_id="1", hash=b"h", received_us=1, event="A01", raw=b"", ack=b"", state="stored"
    )
    await store.commit(Change(statements=[row], jobs=[Job("adt.apply", {"inbox": 5})]))
    for _ in range(9):
        await worker.drain()
        clock.advance(301 * SECOND)
    found = await inbox.one(store, 5)
    assert found is not None
    assert (found.state, found.reason) == ("failed", "KeyError")


async def test_a_claim_that_fails_does_not_end_the_worker(
    store: Store, worker: Worker, handled: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(working, "POLL_S", 0.01)
    calls = 0
    real = work.claim

    async def claim(*args: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == 1:
            raise RuntimeError("statement timeout")
        found = await real(*args)
        worker.stop()
        return found

    monkeypatch.setattr(work, "claim", claim)
    await add(store, Job("x.do", {"n": 1}))
    await worker.run()
    assert len(handled) == 1


async def test_stopping_finishes_what_is_held(store: Store, worker: Worker, monkeypatch: pytest.MonkeyPatch) -> None:
    async def stop(_ctx: Context, _payload: dict[str, Any]) -> Change:
        worker.stop()
        return Change(statements=[mark("seen-x")])

    monkeypatch.setitem(HANDLERS, "x.do", stop)
    await add(store, Job("x.do", {}))
    await worker.run()
    assert await marks(store) == {"seen-x"}
    with pytest.raises(Stale):
        await store.commit(Change(leases=[Lease(1, 1)]))


async def test_a_slow_job_holds_up_its_own_order_and_nobody_else(
    store: Store, worker: Worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """More is taken while a job of the batch before runs; and it takes no more than it can hold."""
    begun, go, ended = list[str](), asyncio.Event(), asyncio.Event()

    async def handle(_ctx: Context, payload: dict[str, Any]) -> Change:
        begun.append(payload["n"])
        if payload["n"] == "slow":
            await go.wait()
        if payload["n"] == "last":
            ended.set()
        return Change(statements=[mark(f"seen-{payload['n']}")])

    monkeypatch.setitem(HANDLERS, "x.do", handle)
    behind = [f"behind {n}" for n in range(30)]
    await add(store, Job("x.do", {"n": "slow"}, "k"), *(Job("x.do", {"n": n}, "k") for n in behind))
    running = asyncio.create_task(worker.run())
    while begun != ["slow"]:
        await asyncio.sleep(0.01)
    names = [str(n) for n in range(2 * working.BATCH)]
    await add(
        store, Job("x.do", {"n": "behind"}, "k"), *(Job("x.do", {"n": n}) for n in names), Job("x.do", {"n": "last"})
    )
    await asyncio.wait_for(ended.wait(), 20)
    leased = await store.fetch("SELECT count(*) FROM job WHERE state = 'leased'")
    assert not [n for n in begun if n.startswith("behind")] and leased[0][0] <= working.BATCH
    go.set()
    while "behind" not in begun:
        await asyncio.sleep(0.01)
    worker.stop()
    await asyncio.wait_for(running, 20)
    assert sorted(begun) == sorted(["slow", "behind", "last", *behind, *names])
    assert len(await marks(store)) == len(begun)
