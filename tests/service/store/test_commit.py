"""Group commit: each Change whole or not at all, a guilty one alone; numbering; the audit chain."""

import asyncio
from dataclasses import replace
from hashlib import sha256
from typing import Any

import orjson
import pytest

from service.store.change import AuditRow, Change, Claim, ClaimTaken, Committed, Job, Lease, Stale, Statement
from service.store.database import Unavailable
from service.store.engine import Store, open_store
from service.store.epochs import epoch
from service.store.slots import updated_us
from tests.service.world import change_of, patient, put


async def gathered(store: Store, *changes: Change) -> list[Any]:
    """Commits at once: the engines take what waits together as one group."""
    return await asyncio.gather(*(store.commit(change) for change in changes), return_exceptions=True)


async def exists(store: Store, reference: str) -> bool:
    return bool(await store.fetch("SELECT 1 FROM resource WHERE key = ?", (store.keys.resource(reference),)))


def bad_statement() -> Change:
    return Change(statements=[Statement("INSERT INTO meta (name, value) VALUES (?, ?)", ("index_secret", "x"))])


def bad_parameter() -> Change:
    return Change(statements=[Statement("UPDATE job SET due_us = ? WHERE id = ?", (b"no number", object()))])


async def test_the_statements_of_a_change_run_in_its_order(store: Store) -> None:
    """Whatever the others of the group run, and in which order."""
    made = "INSERT INTO meta (name, value) VALUES (?, ?)"
    more = {letter: f"UPDATE meta SET value = value || '{letter}' WHERE name = ?" for letter in "bc"}

    def change(number: int) -> Change:
        name, order = f"order-{number}", "bcb" if number % 2 else "cbc"
        return Change(
            statements=[Statement(made, (name, "a")), *(Statement(more[letter], (name,)) for letter in order)]
        )

    assert all(isinstance(one, Committed) for one in await gathered(store, *(change(n) for n in range(12))))
    rows = await store.fetch("SELECT name, value FROM meta WHERE name LIKE 'order-%'")
    assert {name: value for name, value in rows} == {f"order-{n}": "abcb" if n % 2 else "acbc" for n in range(12)}


async def test_a_commit_after_the_end_is_refused(database_url: str) -> None:
    """Work that outlives the time it was given must not wait for ever."""
    store = await open_store(database_url)
    await store.close()
    with pytest.raises(Unavailable):
        await asyncio.wait_for(store.db.commit(Change()), 5)


async def test_a_guilty_item_fails_alone(store: Store) -> None:
    await put(store, patient("Patient/old"))
    key = store.keys.of("taken")
    await store.commit(Change(claims=[Claim(key, 7)]))
    good = [change_of(store, patient(f"Patient/g{n}")) for n in range(20)]
    stale = change_of(store, patient("Patient/old"), expect=9)
    claimed = change_of(store, patient("Patient/c")).merge(Change(claims=[Claim(key)]))
    broken = change_of(store, patient("Patient/x")).merge(bad_statement())
    absurd = change_of(store, patient("Patient/y")).merge(bad_parameter())
    results = await gathered(store, *good[:10], stale, claimed, broken, absurd, *good[10:])
    assert [type(r) for r in results[:10] + results[14:]] == [Committed] * 20
    assert isinstance(results[10], Stale)
    assert isinstance(results[11], ClaimTaken) and results[11].holder == 7
    assert isinstance(results[12], Exception) and isinstance(results[13], Exception)
    for reference in ("Patient/c", "Patient/x", "Patient/y"):
        assert not await exists(store, reference)
    assert all([await exists(store, f"Patient/g{n}") for n in range(20)])


async def test_two_changes_of_one_resource_in_one_group_leave_one_winner(store: Store) -> None:
    results = await gathered(store, *(change_of(store, patient("Patient/p")) for _ in range(8)))
    assert sorted(type(r).__name__ for r in results) == ["Committed"] + ["Stale"] * 7
    results = await gathered(store, *(change_of(store, patient("Patient/p"), expect=1) for _ in range(8)))
    assert sorted(type(r).__name__ for r in results) == ["Committed"] + ["Stale"] * 7


async def test_a_change_that_relied_on_what_the_group_changes_is_stale(store: Store) -> None:
    await put(store, patient("Patient/p"), patient("Patient/q"))
    one = replace_relied(change_of(store, patient("Patient/p"), expect=1), "Patient/q")
    two = replace_relied(change_of(store, patient("Patient/q"), expect=1), "Patient/p")
    results = await gathered(store, one, two)
    assert sorted(type(r).__name__ for r in results) == ["Committed", "Stale"]


def replace_relied(change: Change, reference: str) -> Change:
    change.relied[reference] = 1
    return change


async def test_a_claim_that_won_is_given_back_when_the_change_fails(store: Store) -> None:
    a, b = store.keys.of("a"), store.keys.of("b")
    await store.commit(Change(claims=[Claim(b)]))
    with pytest.raises(ClaimTaken):
        await store.commit(Change(claims=[Claim(a), Claim(b)]))
    await store.commit(Change(claims=[Claim(a)]))
    with pytest.raises(Stale):
        await store.commit(change_of(store, patient("Patient/p"), expect=3).merge(Change(claims=[Claim(99)])))
    await store.commit(Change(claims=[Claim(99)]))


async def test_a_claim_ends_with_its_time(store: Store, clock: Any) -> None:
    claim = Claim(store.keys.of("once"), 1, clock.now_us() + 1_000)
    await store.commit(Change(claims=[claim]))
    with pytest.raises(ClaimTaken):
        await store.commit(Change(claims=[claim]))
    clock.advance(1_001)
    await store.commit(Change(claims=[replace(claim, holder=2, expires_us=clock.now_us() + 1_000)]))


async def test_an_epoch_that_moved_makes_stale(store: Store) -> None:
    subject = store.keys.resource("Patient/p")
    assert await epoch(store, subject) == 0
    await store.commit(Change(epochs={subject: 0}, bump_epochs={subject}))
    assert await epoch(store, subject) == 1
    with pytest.raises(Stale):
        await store.commit(Change(epochs={subject: 0}))
    results = await gathered(store, *(Change(epochs={subject: 1}, bump_epochs={subject}) for _ in range(6)))
    assert sorted(type(r).__name__ for r in results) == ["Committed"] + ["Stale"] * 5
    assert await epoch(store, subject) == 2


async def test_a_lease_is_good_once(store: Store) -> None:
    made = await store.commit(Change(jobs=[Job("x.do", {})]))
    from service.store import work

    (job,) = await work.claim(store, 5)
    assert job.id == made.job_ids[0]
    with pytest.raises(Stale):
        await store.commit(Change(leases=[Lease(job.id, job.token + 1)]))
    results = await gathered(store, *(Change(leases=[Lease(job.id, job.token)]) for _ in range(3)))
    assert sorted(type(r).__name__ for r in results) == ["Committed", "Stale", "Stale"]


async def test_versions_are_contiguous_and_vids_increase_even_if_the_clock_runs_back(store: Store, clock: Any) -> None:
    await put(store, patient("Patient/p"))
    for version in range(1, 40):
        clock.advance(-1_000_000 if version % 3 else 5)
        await store.commit(change_of(store, patient("Patient/p"), expect=version))
    rows = await store.fetch("SELECT version, vid FROM version ORDER BY version")
    assert [row[0] for row in rows] == list(range(1, 41))
    vids = [row[1] for row in rows]
    assert vids == sorted(set(vids))


async def test_the_body_carries_the_version_and_time_of_its_commit(store: Store) -> None:
    written = (await put(store, patient("Patient/p"))).written[0]
    assert written.body is not None
    meta = orjson.loads(written.body)["meta"]
    assert meta["versionId"] == "1"
    from service.clock import instant

    assert meta["lastUpdated"] == instant(updated_us(written.vid))


async def test_the_audit_chain_verifies_and_notices_a_change(store: Store) -> None:
    rows = [AuditRow("R", "read", 0, "me", "Organization/o", f"Patient/{n}", (f"Patient/{n}",)) for n in range(30)]
    await gathered(store, *(Change(audit=[row]) for row in rows[:20]), bad_statement(), Change(audit=rows[20:]))
    await gathered(store, bad_statement(), Change(audit=rows[:1]))
    assert await chain_holds(store)
    await store.db.execute("UPDATE audit SET actor = 'other' WHERE seq = 5 RETURNING seq")
    assert not await chain_holds(store)


async def chain_holds(store: Store) -> bool:
    columns = "slot, seq, at_us, actor, organization, action, kind, outcome, target, patients, request_id"
    columns += ", reason, purpose"
    heads: dict[int, tuple[int, bytes]] = {}
    for *facts, digest in await store.fetch(f"SELECT {columns}, digest FROM audit ORDER BY slot, seq"):
        seq, head = heads.get(facts[0], (0, b""))
        if facts[1] != seq + 1 or sha256(head + orjson.dumps(facts)).digest() != bytes(digest):
            return False
        heads[facts[0]] = (facts[1], bytes(digest))
    return bool(heads)


async def test_the_second_contender_of_a_group_hears_who_holds_the_claim(store: Store) -> None:
    """Also where the first contender lost it to somebody before; and it may try again where the first gave it back."""
    taken, free = store.keys.of("test", "taken"), store.keys.of("test", "free")
    await store.commit(Change(claims=[Claim(taken, 7)]))
    changes = [
        Change(claims=[Claim(taken, 1)]),
        Change(claims=[Claim(taken, 2)]),
        Change(claims=[Claim(free, 3), Claim(taken, 3)]),
        Change(claims=[Claim(free, 4)]),
    ]
    results = await asyncio.gather(*[store.commit(change) for change in changes], return_exceptions=True)
    assert [getattr(r, "holder", None) for r in results[:3]] == [7, 7, 7]
    if isinstance(results[3], Stale):
        results[3] = await store.commit(changes[3])
    assert isinstance(results[3], Committed)
    with pytest.raises(ClaimTaken) as refused:
        await store.commit(Change(claims=[Claim(free, 5)]))
    assert refused.value.holder == 4
