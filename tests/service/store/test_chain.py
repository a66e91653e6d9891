"""Verifying the audit chains: whole ones are, and each kind of tampering is named by its row."""

import pytest

from service.store import chain
from service.store.change import AuditRow, Change
from service.store.engine import Store, open_store
from tests.frozen_clock import FrozenClock

ROWS = 25


async def write(store: Store, count: int = ROWS) -> None:
    rows = [
        AuditRow(
            "R", "read", 0, "me", "Organization/o", f"Patient/p{n}", ("Patient/p",), "r", ("", "Ünï ✓", "a\tb")[n % 3]
        )
        for n in range(count)
    ]
    await store.commit(Change(audit=rows))


@pytest.mark.parametrize("page", [1, 7, ROWS, 2000])
async def test_a_whole_chain_is_whole(store: Store, page: int) -> None:
    await write(store)
    found = await chain.verify(store, page)
    assert (found.rows, found.broken, found.whole) == (ROWS, (), True)


async def test_no_rows_are_whole(store: Store) -> None:
    assert await chain.verify(store) == chain.Verified(0, ())
    assert await chain.heads(store) == {}


@pytest.mark.parametrize(
    ("statement", "broken"),
    [
        ("UPDATE audit SET actor = 'somebody else' WHERE seq = 9", [9]),
        ("UPDATE audit SET at_us = at_us + 1 WHERE seq = 1", [1]),
        ("UPDATE audit SET outcome = 4 WHERE seq IN (3, 20)", [3, 20]),
        ("DELETE FROM audit WHERE seq = 5", [5]),
        ("DELETE FROM audit WHERE seq <= 3", [1]),
        ("UPDATE audit SET digest = NULL WHERE seq = 12", [12, 13]),
        ("UPDATE audit SET seq = 100 WHERE seq = 25", [25]),
    ],
)
async def test_tampering_is_named(store: Store, statement: str, broken: list[int]) -> None:
    await write(store)
    slot = store._slot.number
    await store.db.execute(statement)
    for page in (4, 2000):
        assert (await chain.verify(store, page)).broken == tuple((slot, seq) for seq in broken)


async def test_each_slot_has_its_own_chain(store: Store, clock: FrozenClock) -> None:
    other = await open_store(store.url, clock)
    try:
        await write(store, 3)
        await write(other, 4)
        await write(store, 2)
        numbers = [one._slot.number for one in (store, other)]
        assert (await chain.verify(store)).rows == 9
        heads = await chain.heads(store)
        assert {slot: seq for slot, (seq, _) in heads.items()} == dict(zip(numbers, (5, 4), strict=True))
        assert heads[numbers[1]][1] == other._slot.audit_head.hex()
        await store.db.execute("DELETE FROM audit WHERE slot = ? AND seq = 4", (numbers[1],))
        assert (await chain.verify(store)).whole, "a chain that was cut at its end is whole in itself ..."
        assert await chain.heads(store) != heads, "... and shows against the heads that were noted"
    finally:
        await other.close()
