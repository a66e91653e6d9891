"""The sealer: when it seals, several at once, a file of receipts that cannot be written, a chain that ran backwards."""

import asyncio
from pathlib import Path

import pytest

from service.store import receipts, seal_check, seals
from service.store.change import AuditRow, Change
from service.store.engine import Store
from service.workflow import sealing
from service.workflow.sealing import Sealer

KEY = b"k" * 32
ROW = AuditRow("R", "read", 0, "me", "Organization/o")


async def test_seals_what_is_new_and_nothing_twice(store: Store, tmp_path: Path) -> None:
    sealer = Sealer(store, KEY, tmp_path / "told" / "receipts.jsonl")
    assert not await sealer.seal()
    await store.commit(Change(audit=[ROW] * 5))
    assert not await sealer.seal(least=6) and await sealer.seal(least=5)
    assert not await sealer.seal()
    assert [r.good for r in receipts.read(tmp_path / "told" / "receipts.jsonl", [KEY])] == [True]
    assert await seals.unsealed_since_us(store) is None
    await store.commit(Change(audit=[ROW]))
    assert await seals.unsealed_since_us(store) == store.clock.now_us()


async def test_many_sealers_make_one_row_of_seals(store: Store, tmp_path: Path) -> None:
    sealers = [Sealer(store, KEY, tmp_path / f"{n}") for n in range(4)]
    for _ in range(5):
        await store.commit(Change(audit=[ROW]))
        made = await asyncio.gather(*(sealer.seal() for sealer in sealers))
        assert any(made)
    report = await seal_check.check(store, [KEY])
    assert report.whole and report.unsealed_since_us is None
    for n in range(4):
        assert (
            await seal_check.check(store, [KEY], tmp_path / f"{n}") if (tmp_path / f"{n}").exists() else report
        ).whole


async def test_a_receipt_that_cannot_be_written_stops_no_seal(
    store: Store, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("")
    await store.commit(Change(audit=[ROW]))
    assert await Sealer(store, KEY, tmp_path / "file" / "receipts").seal()
    assert await seals.last_number(store) == 1


async def test_a_chain_that_was_cut_is_told_at_the_next_seal(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[dict[str, object]] = []
    monkeypatch.setattr(sealing, "log", lambda row, **facts: told.append({"row": row, **facts}))
    sealer = Sealer(store, KEY, tmp_path / "r")
    await store.commit(Change(audit=[ROW] * 5))
    await sealer.seal()
    await store.db.execute("DELETE FROM audit WHERE seq > 2")
    await sealer.seal()
    assert [(t["row"], t["seq"]) for t in told] == [(sealing.AUDIT_BROKEN, 5)]


async def test_runs_until_stopped_and_seals_at_the_end(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sealing, "LOOK_S", 0.01)
    sealer = Sealer(store, KEY, tmp_path / "r")
    running = asyncio.create_task(sealer.run())
    await store.commit(Change(audit=[ROW]))
    sealer.stop()
    await running
    assert await seals.last_number(store) == 1
