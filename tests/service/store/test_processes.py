"""Several processes on one database: nothing doubles, nothing is lost; the audit chain survives a lost connection."""

import asyncio
import random
from collections.abc import AsyncIterator
from typing import Any

import asyncpg
import pytest

from service.store import postgresql
from service.store.change import AuditRow, Change, Claim, ClaimTaken, Committed, Job, Stale
from service.store.engine import Store, open_store
from service.store.epochs import epoch
from service.store.postgresql_faults import fault_of
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


async def test_groups_that_share_all_they_can_lose_nothing_and_never_deadlock(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Heads, epochs that are there and that are not, claims, new resources and dedupes, in every order."""
    errors = _errors(monkeypatch)
    others = [await open_store(store.url) for _ in range(2)]
    names = [f"Patient/p{n}" for n in range(6)]
    await put(store, *(patient(name) for name in names))
    dice = random.Random(7)
    kept: dict[str, int] = dict.fromkeys(names, 1)
    relied: list[tuple[int, int]] = []
    taken: list[int] = []

    async def one_of(one: Store, number: int) -> None:
        name, subject, claim = dice.choice(names), dice.choice(range(8)), dice.choice(range(40))
        dedupes = dice.sample(range(12), 3)
        while True:
            (row,) = await one.fetch("SELECT version FROM resource WHERE key = ?", (one.keys.resource(name),))
            change = change_of(one, patient(name), expect=row[0]).merge(change_of(one, patient(f"Patient/n{number}")))
            change.epochs = {subject: await epoch(one, subject)}
            change.bump_epochs = {subject, (subject + 5) % 8}
            change.jobs = [Job("x.do", {}, dedupe=f"d{n}") for n in dedupes]
            change.claims = [Claim(claim)]
            try:
                await one.commit(change)
            except Stale:
                continue
            except ClaimTaken:
                claim += 40
                continue
            kept[name] += 1
            relied.extend(change.epochs.items())
            taken.append(claim)
            return

    try:
        await asyncio.gather(*(one_of([store, *others][n % 3], n) for n in range(90)))
    finally:
        for other in others:
            await other.close()
    rows = await store.fetch("SELECT rtype || '/' || fhir_id, version FROM resource WHERE fhir_id LIKE 'p%'")
    assert dict(rows) == kept
    assert (await store.fetch("SELECT count(*) FROM resource WHERE fhir_id LIKE 'n%'"))[0][0] == 90
    assert len(set(relied)) == len(relied) == 90, "no two relied on one state that each of them ended"
    assert sorted(row[0] for row in await store.fetch("SELECT key FROM claim")) == sorted(taken)
    assert len(set(taken)) == len(taken)
    jobs = await store.fetch("SELECT dedupe FROM job ORDER BY dedupe")
    assert [row[0] for row in jobs] == sorted(f"d{n}" for n in range(12))
    assert asyncpg.DeadlockDetectedError not in {type(error) for error in errors}


def _errors(monkeypatch: pytest.MonkeyPatch) -> list[BaseException]:
    """Fills with what the groups of PostgreSQL meet, also where they are tried again."""
    errors: list[BaseException] = []
    monkeypatch.setattr(postgresql, "fault_of", lambda error: errors.append(error) or fault_of(error))
    return errors


async def test_the_same_jobs_in_any_order_are_made_once(
    pair: tuple[Store, Store], monkeypatch: pytest.MonkeyPatch
) -> None:
    errors = _errors(monkeypatch)
    for number in range(40):
        jobs = [Job("x.do", {}, dedupe=f"{number}-{n}") for n in range(30)]
        changes = [Change(jobs=jobs), Change(jobs=jobs[::-1])]
        await asyncio.gather(*(one.commit(change) for one, change in zip(pair, changes, strict=True)))
    found = await pair[0].fetch("SELECT count(*), count(DISTINCT dedupe) FROM job")
    assert tuple(found[0]) == (1200, 1200)
    assert asyncpg.DeadlockDetectedError not in {type(error) for error in errors}


async def test_the_audit_chains_of_both_hold(pair: tuple[Store, Store]) -> None:
    for _ in range(10):
        await both(pair, lambda _one: Change(audit=[ROW]))
    assert await chain_holds(pair[0])
    assert len(await pair[0].fetch("SELECT DISTINCT slot FROM audit")) == 2


async def test_a_lost_connection_breaks_neither_the_chain_nor_the_store(postgresql_url: str, clock: Any) -> None:
    store = await open_store(postgresql_url, clock)
    killer = await asyncpg.connect(postgresql_url)
    others = "datname = current_database() AND pid <> pg_backend_pid() AND usename = current_user"
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
