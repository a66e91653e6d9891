"""The real jobs over the real store: whatever the order, however often they run or die, the parent ends up the same."""

import os
import random
from typing import Any

import pytest

from service.store.change import Change, Stale
from service.store.engine import Store
from service.workflow.chain_mirror import mirror
from service.workflow.derived import put as derived
from tests.service.workflow.chain_world import (
    BEDS,
    FOOD,
    NEEDS,
    PLATFORM,
    RIDES,
    WAYS,
    below,
    chain_world,
    drain,
    statuses,
    stored,
    system,
)
from tests.service.world import ECM1, put, ref, request, task

POSTGRESQL_IN_DEEP = True
SEEDS = range(40 if os.environ.get("ENLACE_TEST_DEEP") else 4)
SCHEDULES = 3
OWNERS = (FOOD, RIDES, BEDS)
BUSINESS = "http://hl7.org/fhir/us/bser/CodeSystem/TaskBusinessStatusCS"


async def chain(store: Store, name: str, pieces: list[str]) -> str:
    """A parent with a child for each of `pieces`; the same letter is the same ServiceRequest. Its reference."""
    source, parent = f"ServiceRequest/{name}", f"Task/{name}"
    await put(store, request(source, "Patient/a", ECM1), task(parent, "Patient/a", source, ECM1, PLATFORM), source=ECM1)
    own = [
        request(f"ServiceRequest/{name}-{letter}", "Patient/a", PLATFORM, basedOn=[ref(source)])
        for letter in dict.fromkeys(pieces)
    ]
    children = [
        task(
            f"Task/{name}-{number}",
            "Patient/a",
            f"ServiceRequest/{name}-{letter}",
            PLATFORM,
            OWNERS[number],
            partOf=[ref(parent)],
        )
        for number, letter in enumerate(pieces)
    ]
    await put(store, *own, *children, source=PLATFORM)
    return parent


async def child_moves(store: Store, reference: str, status: str) -> None:
    """By the law, with its jobs; nothing where it was ended from above meanwhile."""
    ctx = system(store)
    found = await ctx.resource(reference)
    assert found is not None
    if found[0]["status"] in ("cancelled", "completed"):
        return
    more: dict[str, Any] = dict(NEEDS.get(status, {}))
    if status == "accepted":
        more["businessStatus"] = {"coding": [{"system": BUSINESS, "code": "3.0"}]}
    if status == "in-progress":
        more["businessStatus"] = {"coding": [{"system": BUSINESS, "code": "5.1.1"}]}
    change = Change()
    await derived(ctx, change, {**found[0], "status": status, **more}, found[1], "test")
    await store.commit(change)


async def looks(store: Store, parent: str, dice: random.Random) -> None:
    """A job that dies before its commit, that commits twice, or that runs as it should."""
    change = await mirror(system(store), {"task": parent})
    match dice.choice(("dies", "twice", "once")):
        case "dies":
            return
        case "twice":
            await store.commit(change)
            if change.writes:
                with pytest.raises(Stale):
                    await store.commit(change)
        case "once":
            await store.commit(change)


def said(parent: dict[str, Any], name: str) -> dict[str, Any]:
    """What the parent holds, without what differs by its name and by when it was written."""
    left = ("id", "meta", "focus", "lastModified", "authoredOn", "text")
    return {key: value for key, value in parent.items() if key not in left and name not in str(value)}


@pytest.mark.parametrize("seed", SEEDS)
async def test_the_parent_ends_up_the_same(world: Store, seed: int) -> None:
    dice = random.Random(seed)
    await chain_world(world)
    pieces = dice.choice((["a", "b", "c"], ["a", "b"], ["a"], ["a", "a", "b"]))
    ways = [dice.choice(sorted(WAYS.values())) for _ in pieces]
    ends = []
    for schedule in range(SCHEDULES):
        name = f"s{schedule}"
        parent = await chain(world, name, pieces)
        turns = [number for number, way in enumerate(ways) for _ in way]
        dice.shuffle(turns)
        left = [list(way) for way in ways]
        for number in turns:
            await child_moves(world, f"Task/{name}-{number}", left[number].pop(0))
            for _ in range(dice.randrange(3) if schedule else 0):
                await looks(world, parent, dice)
            if schedule and dice.random() < 0.3:
                await drain(world)
        await drain(world)
        ends.append(said(await stored(world, parent), name))
        passed = await statuses(world, parent)
        assert len(await below(world, parent)) >= len(pieces) and passed[0] == "requested"
    if len(set(pieces)) == len(pieces):
        assert ends[0] == ends[1] == ends[2], (pieces, ways)
    assert len({end["status"] for end in ends}) == 1, (pieces, ways)
