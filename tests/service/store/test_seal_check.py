"""G12: tampering with the audit of seven kinds is found, by chains, seals and receipts; what is whole stays whole."""

import itertools
import os
import random
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

import orjson
import pytest

from service.store import receipts, seal_check, seals
from service.store.change import AuditRow, Change
from service.store.columns import COLUMNS
from service.store.engine import Store, open_store
from service.workflow.sealing import Sealer
from tests.frozen_clock import FrozenClock

KEY, WRONG = b"k" * 32, b"w" * 32
TIMES = 1000 if os.environ.get("ENLACE_TEST_DEEP") else 42
COUNT = 12
"""Rows of a chain between two seals."""
NUMBER = itertools.count()
"""No two rows say the same: to exchange such would be no tampering."""
TABLES = ("audit", "audit_patient", "audit_seal")


async def write(store: Store, count: int = COUNT) -> None:
    for n in range(count):
        patients = tuple(f"Patient/p{k}" for k in range(n % 3))
        detail = '{"net":"10.0.0.1"}' if n % 2 else ""
        row = AuditRow(
            "R", "read", 0, "me", "Organization/o", f"Task/t{n}", patients, f"r{next(NUMBER)}", detail=detail
        )
        await store.commit(Change(audit=[row]))


@dataclass
class Sealed:
    """Two chains, three seals, nothing unsealed; `first`: as it all stood at the first seal."""

    store: Store
    told: Path
    slots: tuple[int, ...]
    kept: tuple[str, ...]
    first: tuple[str, ...]

    async def check(self, key: bytes = KEY, *, told: bool = True) -> seal_check.Report:
        return await seal_check.check(self.store, [key], self.told if told else None)

    async def put_back(self, copies: tuple[str, ...]) -> None:
        for table, copy in zip(TABLES, copies, strict=True):
            await self.store.db.execute(f"DELETE FROM {table}")
            await self.store.db.execute(f"INSERT INTO {table} SELECT * FROM {copy}")

    async def rows(self, slot: int) -> list[dict[str, Any]]:
        names = ", ".join(COLUMNS["audit"])
        found = await self.store.fetch(f"SELECT {names} FROM audit WHERE slot = ? ORDER BY seq", (slot,))
        return [dict(zip(COLUMNS["audit"], row, strict=True)) for row in found]

    async def replace(self, slot: int, rows: list[dict[str, Any]], *, chained: bool) -> None:
        """Writes these rows as the chain of a slot; chained: with digests that follow from each other."""
        await self.store.db.execute("DELETE FROM audit WHERE slot = ?", (slot,))
        head, marks = b"", ", ".join("?" * len(COLUMNS["audit"]))
        for seq, row in enumerate(rows, 1):
            if chained:
                row = {**row, "seq": seq}
                facts = [row[name] for name in COLUMNS["audit"] if name not in ("digest", "detail")]
                facts += [row["detail"]] if row["detail"] else []
                head = sha256(head + orjson.dumps(facts)).digest()
                row["digest"] = head
            await self.store.db.execute(f"INSERT INTO audit VALUES ({marks})", tuple(row.values()))

    async def sign_anew(self, key: bytes) -> None:
        site, previous = await seals.site(self.store), b""
        for seal in await seals.after(self.store, site, 0, 100):
            heads = {}
            for slot, (seq, _) in seal.parsed().items():
                heads[slot] = (seq, await seals.digest_at(self.store, slot, seq))
            new = seals.signed(key, site, seal.number, seal.at_us, heads, previous)
            sql = "UPDATE audit_seal SET heads = ?, signature = ? WHERE number = ?"
            await self.store.db.execute(sql, (new.heads, new.signature, new.number))
            previous = new.signature


@pytest.fixture
async def sealed(store: Store, clock: FrozenClock, tmp_path: Path) -> AsyncIterator[Sealed]:
    other = await open_store(store.url, clock)
    told = tmp_path / "receipts.jsonl"
    sealer = Sealer(store, KEY, told)
    first: tuple[str, ...] = ()
    for _ in range(3):
        await write(store)
        await write(other, COUNT // 2)
        assert await sealer.seal()
        first = first or await _copied(store, "first")
    await other.close()
    yield Sealed(store, told, (store._slot.number, other._slot.number), await _copied(store, "kept"), first)


async def _copied(store: Store, name: str) -> tuple[str, ...]:
    for table in TABLES:
        await store.db.execute(f"CREATE TABLE {table}_{name} AS SELECT * FROM {table}")
    return tuple(f"{table}_{name}" for table in TABLES)


async def test_g12_a_whole_audit_is_whole(sealed: Sealed) -> None:
    report = await sealed.check()
    assert report.whole, report.broken
    assert (report.rows, report.seals, report.receipts) == (COUNT * 3 + COUNT // 2 * 3, 3, 3)
    assert report.unsealed_since_us is None
    await write(sealed.store, 1)
    report = await sealed.check()
    assert report.whole and report.unsealed_since_us is not None


async def test_g12_under_another_key_nothing_is_whole(sealed: Sealed) -> None:
    report = await sealed.check(WRONG)
    assert {broken.kind for broken in report.broken} == {"seal", "receipt"} and len(report.broken) == 6
    assert (await seal_check.check(sealed.store, [WRONG, KEY], sealed.told)).whole


# --- the seven kinds ---------------------------------------------------------------------------------------------


async def flip(s: Sealed, r: random.Random) -> None:
    rows = await s.rows(slot := r.choice(s.slots))
    row = r.choice(rows)
    name = r.choice([name for name in row if name not in ("slot", "seq")])
    value = row[name]
    if name == "digest":
        row[name] = bytes([value[0] ^ 1]) + value[1:]
    elif isinstance(value, int):
        row[name] = value + r.choice((-1, 1))
    else:
        row[name] = f"{value or ''}x"
    await s.replace(slot, rows, chained=False)


async def delete(s: Sealed, r: random.Random) -> None:
    rows = await s.rows(slot := r.choice(s.slots))
    rows.pop(r.randrange(len(rows)))
    await s.replace(slot, rows, chained=r.random() < 0.5)


async def insert(s: Sealed, r: random.Random) -> None:
    rows = await s.rows(slot := r.choice(s.slots))
    at = r.randrange(len(rows))
    rows.insert(at, {**r.choice(rows), "actor": "somebody else"})
    for seq, row in enumerate(rows, 1):
        row["seq"] = seq
    await s.replace(slot, rows, chained=r.random() < 0.5)


async def reorder(s: Sealed, r: random.Random) -> None:
    rows = await s.rows(slot := r.choice(s.slots))
    one, other = r.sample(range(len(rows)), 2)
    rows[one], rows[other] = rows[other], rows[one]
    for seq, row in enumerate(rows, 1):
        row["seq"] = seq
    await s.replace(slot, rows, chained=r.random() < 0.5)


async def truncate(s: Sealed, r: random.Random) -> None:
    slot = r.choice(s.slots)
    rows = await s.rows(slot)
    await s.replace(slot, rows[: r.randrange(len(rows))], chained=False)


async def replay(s: Sealed, r: random.Random) -> None:
    """An older stretch in the place of the tail; or all three tables as they stood at the first seal."""
    if r.random() < 0.3:
        await s.put_back(s.first)
        return
    rows = await s.rows(slot := r.choice(s.slots))
    size = r.randint(1, len(rows) // 2)
    at = r.randrange(len(rows) - size)
    tail = [{**row, "seq": len(rows) - size + n} for n, row in enumerate(rows[at : at + size], 1)]
    await s.replace(slot, [*rows[:-size], *tail], chained=r.random() < 0.5)


async def rewrite(s: Sealed, r: random.Random) -> None:
    rows = await s.rows(slot := r.choice(s.slots))
    r.choice(rows)["actor"] = "somebody else"
    await s.replace(slot, rows, chained=True)
    await s.sign_anew(WRONG)


KINDS: tuple[Callable[[Sealed, random.Random], Any], ...] = (flip, delete, insert, reorder, truncate, replay, rewrite)


async def test_g12_tampering_of_seven_kinds_is_found(sealed: Sealed) -> None:
    seed = random.randrange(10**9)
    for number in range(TIMES):
        kind, r = KINDS[number % len(KINDS)], random.Random(seed + number)
        await kind(sealed, r)
        report = await sealed.check()
        assert not report.whole, (kind.__name__, seed, number)
        await sealed.put_back(sealed.kept)
    assert (await sealed.check()).whole


async def test_g12_the_place_is_named(sealed: Sealed) -> None:
    store, slot = sealed.store, sealed.slots[0]
    await store.db.execute("DELETE FROM audit WHERE slot = ? AND seq > 20", (slot,))
    places = [(b.place, b.sentence) for b in (await sealed.check(told=False)).broken if b.kind == "row"]
    assert (f"slot {slot}, row 24", "is missing: seal 2 names it") in places
    assert (f"slot {slot}, row 36", "is missing: seal 3 names it") in places
    await sealed.put_back(sealed.kept)
    await store.db.execute("DELETE FROM audit_seal WHERE number = 2")
    assert {b.place for b in (await sealed.check(told=False)).broken} == {"seal 2", "seal 3"}
    assert "seal 2" in {b.place for b in (await sealed.check()).broken}
    await sealed.put_back(sealed.kept)
    await store.db.execute("DELETE FROM audit_patient WHERE seq = 2")
    assert {b.kind for b in (await sealed.check()).broken} == {"index"}
    await sealed.put_back(sealed.kept)
    await store.db.execute("UPDATE audit_seal SET heads = 'x' WHERE number = 3")
    assert {b.place for b in (await sealed.check()).broken} == {"seal 3"}


async def test_g12_receipts_alone_show_that_all_was_put_back_or_thrown_away(sealed: Sealed) -> None:
    await sealed.put_back(sealed.first)
    assert (await sealed.check(told=False)).whole, "an old state is whole in itself ..."
    assert [b.place for b in (await sealed.check()).broken] == ["seal 2", "seal 3"]
    for table in TABLES:
        await sealed.store.db.execute(f"DELETE FROM {table}")
    assert len((await sealed.check()).broken) == 3


async def test_a_restore_is_told_by_a_mark_that_only_the_key_makes(sealed: Sealed, tmp_path: Path) -> None:
    await sealed.put_back(sealed.first)
    site = await seals.site(sealed.store)
    receipts.mark_restored(sealed.told, WRONG, site, 1, 5)
    assert [b.kind for b in (await sealed.check()).broken] == ["receipt", "seal", "seal"]
    lines = sealed.told.read_bytes().splitlines(keepends=True)
    sealed.told.write_bytes(b"".join(lines[:3]))
    receipts.mark_restored(sealed.told, KEY, site, 1, 5)
    report = await sealed.check()
    assert report.whole and report.given_up == 2
    sealer = Sealer(sealed.store, KEY, sealed.told)
    await sealed.store.db.execute("DELETE FROM worker_slot WHERE slot <> ?", (sealed.slots[0],))
    assert not await sealer.seal(), "all of it is sealed"


async def test_receipts_that_are_torn_foreign_or_forged(sealed: Sealed) -> None:
    with sealed.told.open("ab") as file:
        file.write(b'{"site": "abc')
    foreign = seals.signed(KEY, "another", 1, 1, {0: (1, "00")}, b"")
    receipts.append(sealed.told, foreign)
    report = await sealed.check()
    assert [(b.kind, b.place) for b in report.broken] == [("receipt", "line 4")]
    assert (report.foreign, report.receipts) == (1, 3)
    assert sealed.told.stat().st_mode & 0o077 == 0


async def test_a_chain_whose_process_was_killed_goes_on_and_stays_valid(store: Store, clock: FrozenClock) -> None:
    killed = await open_store(store.url, clock)
    await write(killed, 3)
    for task in killed._tasks:
        task.cancel()  # it never gives its slot back: only its lease ends
    await store.db.execute("UPDATE worker_slot SET lease_until_us = 0 WHERE slot = ?", (killed._slot.number,))
    heir = await open_store(store.url, clock)
    assert heir._slot.number == killed._slot.number
    await write(heir, 3)
    report = await seal_check.check(store, [KEY])
    assert report.whole and report.rows == 6
    await heir.close()
    await killed.db.close()
