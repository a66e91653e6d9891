"""Stored versions follow a changed rule: heads, former versions, deletions; resumable; no new version."""

import pytest

from service.access.labels import BITS, bits_of
from service.store import label_rules
from service.store.change import Change
from service.store.engine import Store
from service.store.label_rules import Rule
from service.workflow import relabelling
from service.workflow.relabelling import Report, relabelled
from tests.service.world import BASE, ECM1, change_of, condition, put


async def run(store: Store, batches: int = 1000) -> Report:
    report = Report()
    async for grown in relabelled(store, BASE):
        report, batches = grown, batches - 1
        if not batches:
            break
    return report


async def rules(store: Store, *statements: object) -> None:
    await store.commit(Change(statements=list(statements)))  # type: ignore[arg-type]


async def all_labels(store: Store, reference: str) -> list[int]:
    """Of its versions in order, then of its head."""
    key = store.keys.resource(reference)
    versions = await store.fetch("SELECT labels FROM version WHERE key = ? ORDER BY version", (key,))
    head = await store.fetch("SELECT labels, version FROM resource WHERE key = ?", (key,))
    return [*(row[0] for row in versions), head[0][0]]


async def test_versions_heads_and_deletions_follow_the_rules(world: Store) -> None:
    part2 = Rule("source", ECM1, bits_of(["part2"]), "")
    await put(world, condition("Condition/x", "Patient/a"), source=ECM1)
    await world.commit(change_of(world, condition("Condition/x", "Patient/a", note=[{"text": "n"}]), ECM1, 1))
    from service.access.new_version import deletion

    gone = deletion("Condition", "x", 2, patient=None, source_org=world.keys.resource(ECM1))
    await world.commit(Change(writes=[gone]))
    assert await all_labels(world, "Condition/x") == [0, 0, 0, 0]
    await rules(world, label_rules.put(world.keys, part2))
    assert not await label_rules.is_applied(world, relabelling.listed().digest)
    report = await run(world)
    assert await all_labels(world, "Condition/x") == [BITS["part2"]] * 4
    assert report.raised["part2"] > 4 and not report.lowered
    assert await label_rules.is_applied(world, relabelling.listed().digest)
    await rules(world, label_rules.remove(world.keys, "source", ECM1))
    report = await run(world)
    assert await all_labels(world, "Condition/x") == [0, 0, 0, 0] and report.lowered["part2"] > 4
    assert (await all_labels(world, "Condition/sud-a"))[-1] == BITS["sud"]


async def test_a_stopped_run_goes_on(world: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(relabelling, "BATCH", 3)
    await rules(world, label_rules.put(world.keys, Rule("source", ECM1, bits_of(["part2"]), "")))
    first = await run(world, batches=2)
    assert first.seen == 6 and not await label_rules.is_applied(world, relabelling.listed().digest)
    second = await run(world)
    total = (await world.fetch("SELECT count(*) FROM version"))[0][0]
    assert second.seen == total - 6
    assert (await all_labels(world, "Observation/a"))[-1] == BITS["part2"]


async def test_a_new_database_needs_none(store: Store) -> None:
    await put(store, condition("Condition/x", "Patient/a"))
    assert await label_rules.is_applied(store, relabelling.listed().digest)
