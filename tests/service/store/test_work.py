"""The queue: one lease at a time, order per key, what failed comes again, what is done stays done."""

import asyncio
from typing import Any

import pytest

from service.store import work
from service.store.change import Change, Job, Lease, Stale
from service.store.engine import Store


async def add(store: Store, *jobs: Job) -> tuple[int, ...]:
    return (await store.commit(Change(jobs=list(jobs)))).job_ids


async def test_a_job_is_claimed_once(store: Store) -> None:
    await add(store, *(Job("x.do", {"n": n}) for n in range(20)))
    claimed = [job for found in await asyncio.gather(*(work.claim(store, 6) for _ in range(5))) for job in found]
    assert len(claimed) == len({job.id for job in claimed})
    assert len(claimed) + len(await work.claim(store, 20)) == 20


async def test_of_one_ordering_key_nothing_is_taken_past_a_leased_job(store: Store) -> None:
    first, third = await add(store, Job("x.do", {}, "k"), Job("x.do", {}, "other"))
    claimed = {job.id: job for job in await work.claim(store, 10)}
    assert list(claimed) == [first, third]
    (second,) = await add(store, Job("x.do", {}, "k"))
    assert await work.claim(store, 10) == []
    await store.commit(Change(leases=[Lease(first, claimed[first].token)]))
    assert [job.id for job in await work.claim(store, 10)] == [second]


async def test_jobs_of_one_ordering_key_come_in_their_order(store: Store) -> None:
    ids = await add(store, *(Job("x.do", {"n": n}, "k") for n in range(5)))
    assert [job.id for job in await work.claim(store, 3)] == list(ids[:3])
    assert await work.claim(store, 3) == []


async def test_a_retried_job_keeps_its_successors_waiting(store: Store, clock: Any) -> None:
    first, second = await add(store, Job("x.do", {}, "k"), Job("x.do", {}, "k"))
    one, two = await work.claim(store, 10)
    back = [work.retry(one, clock.now_us() + 1_000, "Error at x:1"), work.release(two)]
    await store.commit(Change(statements=back))
    assert await work.claim(store, 10) == []
    clock.advance(1_001)
    again, untried = await work.claim(store, 10)
    assert [(again.id, again.attempts), (untried.id, untried.attempts)] == [(first, 2), (second, 1)]
    await store.commit(Change(statements=[work.dead(again, "Error at x:1"), work.release(untried)]))
    assert [found.id for found in await work.claim(store, 10)] == [second]


async def test_a_lease_that_ended_is_taken_over_and_the_old_holder_fails(store: Store, clock: Any) -> None:
    await add(store, Job("x.do", {}))
    (old,) = await work.claim(store, 1)
    clock.advance(work.LEASE_US + 1)
    (new,) = await work.claim(store, 1)
    assert new.id == old.id
    with pytest.raises(Stale):
        await store.commit(Change(leases=[Lease(old.id, old.token)]))
    await store.commit(Change(leases=[Lease(new.id, new.token)]))
    assert await work.unfinished(store) == 0


async def test_a_job_is_deduplicated_while_it_is_not_done(store: Store) -> None:
    await asyncio.gather(*(add(store, Job("x.do", {"n": n}, dedupe="one")) for n in range(5)))
    (job,) = await work.claim(store, 10)
    await add(store, Job("x.do", {}, dedupe="one"))
    assert await work.claim(store, 10) == []
    await store.commit(Change(leases=[Lease(job.id, job.token)]))
    await add(store, Job("x.do", {}, dedupe="one"))
    assert len(await work.claim(store, 10)) == 1


async def test_a_job_is_not_due_before_its_time(store: Store, clock: Any) -> None:
    await add(store, Job("x.do", {}, due_us=clock.now_us() + 10))
    assert not await work.has_due(store)
    clock.advance(10)
    assert await work.has_due(store)


async def test_done_jobs_are_counted_out_and_forgotten(store: Store, clock: Any) -> None:
    await add(store, Job("x.do", {}), Job("y.do", {}))
    (job, _) = await work.claim(store, 2)
    await store.commit(Change(leases=[Lease(job.id, job.token)]))
    assert sum((await work.counts(store)).values()) == 1
    clock.advance(work.LEASE_US * 2)
    await store.commit(Change(statements=[work.forget_done(clock.now_us())]))
    assert len(await store.fetch("SELECT id FROM job")) == 1


async def test_the_successor_of_a_job_that_ends_in_the_same_moment_is_no_repeat_of_it(store: Store) -> None:
    """The one that ends has decided before its successor's cause was there: dropped, nothing would look again."""
    await add(store, Job("x.do", {}, dedupe="one"))
    (running,) = await work.claim(store, 5)
    ended = Change(leases=[Lease(running.id, running.token)])
    await asyncio.gather(store.commit(ended), add(store, Job("x.do", {}, dedupe="one")))
    (again,) = await work.claim(store, 5)
    await store.commit(Change(leases=[Lease(again.id, again.token)], jobs=[Job("x.do", {}, dedupe="one")]))
    assert len(await work.claim(store, 5)) == 1
