"""Several processes on one database: nothing doubles, nothing is lost; the audit chain survives a lost connection."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import asyncpg
import pytest

from service.store.change import AuditRow, Change, Claim, ClaimTaken, Committed, Stale
from service.store.engine import Store, open_store
from service.store.epochs import epoch
from tests.service.store.test_commit import chain_holds
from tests.service.world import change_of, patient, put

ROW = AuditRow("R", "read", 0, "me", "Organization/o", "Patient/p", ("Patient/p",))


@pytest.fixture
async def pair(store: Store) -> AsyncIterator[tuple[Store, Store]]:
    other = await open_store(store.url)
    yield store, other
    await other.close()


async def both(pair: tuple[Store, Store], make: Any) -> list[Any]:
    return await asyncio.gather(*(one.commit(make(one)) for one in pair), return_exceptions=True)


async def test_the_same_new_resource_is_made_once(pair: tuple[Store, Store]) -> None:
    for number in range(15):
        results = await both(pair, lambda one, n=number: change_of(one, patient(f"Patient/p{n}")))
        assert sorted(type(r).__name__ for r in results) == ["Committed", "Stale"]


async def test_the_same_version_is_replaced_once(pair: tuple[Store, Store]) -> None:
    await put(pair[0], patient("Patient/p"))
    for version in range(1, 20):
        results = await both(pair, lambda one, v=version: change_of(one, patient("Patient/p"), expect=v))
        assert sorted(type(r).__name__ for r in results) == ["Committed", "Stale"]
    rows = await pair[0].fetch("SELECT vid FROM version ORDER BY version")
    assert [row[0] for row in rows] == sorted({row[0] for row in rows})


async def test_the_same_claim_and_the_same_epoch_are_won_once(pair: tuple[Store, Store]) -> None:
    for number in range(15):
        results = await both(pair, lambda _one, n=number: Change(claims=[Claim(n)]))
        assert sorted(type(r) is Committed for r in results) == [False, True]
        assert any(isinstance(r, ClaimTaken) for r in results)
        results = await both(pair, lambda _one, n=number: Change(epochs={n: 0}, bump_epochs={n}))
        assert sorted(type(r).__name__ for r in results) == ["Committed", "Stale"]
        assert await epoch(pair[0], number) == 1


async def test_one_relies_on_an_epoch_while_the_other_bumps_it(pair: tuple[Store, Store]) -> None:
    """Never both: the one that relied commits first, or is stale."""
    one, other = pair
    for number in range(15):
        relied = change_of(one, patient(f"Patient/a{number}"))
        relied.epochs[number] = 0
        results = await asyncio.gather(
            one.commit(relied), other.commit(Change(bump_epochs={number})), return_exceptions=True
        )
        assert type(results[1]) is Committed and isinstance(results[0], (Committed, Stale))


async def test_many_groups_of_two_processes_do_not_deadlock(pair: tuple[Store, Store]) -> None:
    names = [f"Patient/p{n}" for n in range(30)]
    await put(pair[0], *(patient(name) for name in names))

    async def move(one: Store, name: str) -> int:
        tries = 0
        for _ in range(3):
            while True:
                tries += 1
                key = one.keys.resource(name)
                version = (await one.fetch("SELECT version FROM resource WHERE key = ?", (key,)))[0][0]
                try:
                    await one.commit(change_of(one, patient(name), expect=version))
                    break
                except Stale:
                    continue
        return tries

    await asyncio.gather(*(move(one, name) for one in pair for name in names))
    rows = await pair[0].fetch("SELECT DISTINCT version FROM resource WHERE rtype = 'Patient'")
    assert [row[0] for row in rows] == [7]


async def test_the_audit_chains_of_both_hold(pair: tuple[Store, Store]) -> None:
    for _ in range(10):
        await both(pair, lambda _one: Change(audit=[ROW]))
    assert await chain_holds(pair[0])
    assert len(await pair[0].fetch("SELECT DISTINCT slot FROM audit")) == 2


async def test_a_lost_connection_breaks_neither_the_chain_nor_the_store(postgresql_url: str, clock: Any) -> None:
    store = await open_store(postgresql_url, clock)
    killer = await asyncpg.connect(postgresql_url)
    others = "datname = current_database() AND pid <> pg_backend_pid()"
    kill = f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE {others}"
    try:
        kept = 0
        for _ in range(12):
            writes = asyncio.gather(*(store.commit(Change(audit=[ROW])) for _ in range(20)), return_exceptions=True)
            await asyncio.sleep(0.001)
            await killer.fetch(kill)
            kept += sum(isinstance(r, Committed) for r in await writes)
        for _ in range(3):
            kept += sum(isinstance(r, Committed) for r in [await _quietly(store)])
        assert await chain_holds(store)
        assert (await store.fetch("SELECT count(*) FROM audit"))[0][0] >= kept > 0
        await store.commit(Change(audit=[ROW]))
    finally:
        await killer.close()
        await store.close()


async def _quietly(store: Store) -> Any:
    return (await asyncio.gather(store.commit(Change(audit=[ROW])), return_exceptions=True))[0]


async def test_who_follows_while_the_clock_stands_numbers_versions_anew(store: Store) -> None:
    """Also where the one before had counted on within the last tick: a clock that was set back stands for hours."""
    written = await put(store, *(patient(f"Patient/p{number}") for number in range(5)))
    await store.close()
    again = await open_store(store.url, store.clock)
    later = await put(again, *(patient(f"Patient/q{number}") for number in range(5)))
    assert min(one.vid for one in later.written) > max(one.vid for one in written.written)
    store.__dict__.update(again.__dict__)  # for the fixture to close
