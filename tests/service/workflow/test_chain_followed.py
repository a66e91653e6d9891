"""What was forwarded follows the source: urgency, time, instruction, while a part is open; what was altered stays."""

from typing import Any

import httpx
import pytest

from service.store.engine import Store
from service.workflow import chain_followed
from service.workflow.chain_followed import following
from tests.service.conftest import AppClient
from tests.service.workflow.chain_world import (
    FOOD,
    PLATFORM,
    RIDES,
    SOURCE,
    chain_world,
    drain,
    forward,
    move,
    stored,
    system,
)
from tests.service.world import ECM1, SUD, Resource, change_of

POSTGRESQL_IN_DEEP = True
WAS = {"status": "active", "intent": "filler-order", "priority": "routine", "occurrenceDateTime": "2026-04-01"}
NOW = {"priority": "urgent", "occurrencePeriod": {"start": "2026-04-02"}, "patientInstruction": "Ring twice"}


@pytest.mark.parametrize(
    ("copy", "made"),
    [
        ({}, NOW),
        ({"priority": "asap"}, {**NOW, "priority": "asap"}),
        ({"patientInstruction": "Mine"}, {**NOW, "patientInstruction": "Mine"}),
        ({"occurrenceDateTime": "2026-05-01"}, {**NOW, "occurrencePeriod": None, "occurrenceDateTime": "2026-05-01"}),
        ({"status": "completed"}, None),
        ({"intent": "order"}, None),
    ],
)
def test_what_the_coordinator_altered_stays(copy: Resource, made: Resource | None) -> None:
    before = {**WAS, **copy}
    after = following(before, WAS, {"intent": "order", "status": "active", **NOW})
    kept = {"status": "active", "intent": "filler-order"}
    assert after == (before if made is None else kept | {k: v for k, v in made.items() if v is not None})


async def change(client: httpx.AsyncClient, reference: str, **changes: Any) -> None:
    now = await client.get(f"/{reference}")
    body = {name: value for name, value in (now.json() | changes).items() if value is not None}
    answer = await client.put(f"/{reference}", json=body, headers={"If-Match": now.headers["etag"]})
    assert answer.status_code == 200, answer.text


def said(body: Resource) -> Resource:
    return {name: body[name] for name in chain_followed.FOLLOWED if name in body}


async def test_the_copies_of_the_copies_follow(world: Store, app_client: AppClient) -> None:
    await chain_world(world, priority="routine", note=[{"text": "for the platform only"}])
    ecm, platform, food = (
        await app_client(),
        await app_client("mcp", PLATFORM),
        await app_client("mcp", FOOD),
    )
    (part,) = await forward(platform, FOOD)
    (below,) = await forward(food, RIDES, parent=f"Task/{part['id']}")
    first, second = part["focus"]["reference"], below["focus"]["reference"]
    await change(ecm, SOURCE, **NOW, note=[{"text": "still for the platform only"}])
    await drain(world)
    for copy in (first, second):
        assert said(await stored(world, copy)) == NOW and "note" not in await stored(world, copy)
    rows = await world.fetch("SELECT count(*) FROM audit WHERE reason = 'copy-follows'")
    assert rows[0][0] == 2
    again = await chain_followed.follow(system(world), {"request": SOURCE, "former": 1})
    assert again.writes == [] and again.jobs == []
    await change(platform, first, priority="stat")
    await change(ecm, SOURCE, priority="asap", occurrencePeriod=None)
    await drain(world)
    for copy in (first, second):
        assert said(await stored(world, copy)) == {"priority": "stat", "patientInstruction": "Ring twice"}, copy


async def test_what_nobody_works_on_stays_and_labels_go_along(world: Store, app_client: AppClient) -> None:
    await chain_world(world)
    ecm, platform = await app_client(), await app_client("mcp", PLATFORM)
    ended, part = await forward(platform, FOOD, RIDES)
    await move(await app_client("cbo", FOOD), f"Task/{ended['id']}", "rejected")
    await drain(world)
    await change(ecm, SOURCE, priority="urgent")
    await drain(world)
    assert "priority" not in await stored(world, ended["focus"]["reference"])
    assert (await stored(world, part["focus"]["reference"]))["priority"] == "urgent"
    body = await stored(world, SOURCE)
    version = int(body["meta"]["versionId"])
    await world.commit(change_of(world, {**body, "priority": "asap", "meta": SUD}, ECM1, expect=version))
    job = await chain_followed.follow(system(world), {"request": SOURCE, "former": version})
    (write,) = job.writes
    assert (write.resource or {})["meta"]["security"] == SUD["security"]
