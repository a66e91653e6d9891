"""Outputs that the service wrote stay on a referral: the record of a hand-off, and what its parts handed up."""

from typing import Any

import httpx
import pytest

from service.store.engine import Store
from service.workflow.referral_outputs import kept
from tests.service.conftest import AppClient
from tests.service.operations.test_hand_off import parts, post
from tests.service.workflow.chain_world import FOOD, PARENT, PLATFORM, RESULT, RIDES, chain_world, forward, move, stored
from tests.service.workflow.chain_world import drain as run
from tests.service.workflow.referral_world import referral
from tests.service.world import Resource, ref

POSTGRESQL_IN_DEEP = True


def to(reference: str, words: str = "x") -> Resource:
    return {"type": {"text": words}, "valueReference": ref(reference)}


def value(words: str) -> Resource:
    return {"type": {"text": "x"}, "valueString": words}


H, P, Q, V = to("Communication/ho-1"), to("Procedure/p"), to("Procedure/q"), value("v")


@pytest.mark.parametrize(
    ("old", "new", "own", "stands"),
    [
        ([H, P], [Q], [H], [H, Q]),
        ([P, H, V], [V, P], [H], [V, P, H]),
        ([P, H, Q], [P, Q], [H], [P, H, Q]),
        ([H, V], [], [H, V], [H, V]),
        ([H, P], [P, H], [H], [P, H]),
        ([H, P], [P, H, H], [H], [P, H]),
        ([H, P], [to("Communication/ho-1", "what was done"), P], [H], [H, P]),
        ([P, to("Procedure/p", "again")], [P], [to("Procedure/p", "again")], [P, to("Procedure/p", "again")]),
        ([P], [Q, Q], [], [Q, Q]),
    ],
)
def test_each_once_in_the_order_that_was_sent(
    old: list[Resource], new: list[Resource], own: list[Resource], stands: list[Resource]
) -> None:
    assert kept(old, new, own, lambda one: str(one.get("valueReference", {}).get("reference", ""))) == stands


async def sent(client: httpx.AsyncClient, reference: str, output: list[Any]) -> httpx.Response:
    now = await client.get(f"/{reference}")
    body = now.json() | {"output": output}
    body = body if output else {name: one for name, one in body.items() if name != "output"}
    return await client.put(f"/{reference}", json=body, headers={"If-Match": now.headers["etag"]})


async def test_the_record_of_a_hand_off(world: Store, app_client: AppClient) -> None:
    one = await referral(world, app_client)
    await one.step("accepted")
    made = parts(await post(await one.ecm(), one, follow_up=""))
    (record,) = (await one.task())["output"]
    assert record["valueReference"] == ref(made["record"])
    assert (await one.task())["lastModified"].endswith("Z")
    cbo, ecm = await one.cbo(), await one.ecm()
    for output in ([RESULT], [], [RESULT, {**record, "type": {"text": "what was done"}}]):
        assert (await sent(cbo, one.reference, output)).status_code == 200
        now = (await one.task())["output"]
        assert record in now and len(now) == max(len(output), 1) + (len(output) == 1), output
    assert (await sent(ecm, one.reference, [])).status_code == 422, "outputs are the owner's"
    headers = {
        "If-Match": f'W/"{(await one.task())["meta"]["versionId"]}"',
        "Content-Type": "application/json-patch+json",
    }
    patch = [{"op": "remove", "path": "/output"}]
    assert (await cbo.request("PATCH", f"/{one.reference}", json=patch, headers=headers)).status_code == 200
    assert (await one.task())["output"] == [record]
    assert (await one.put(status="completed")).status_code == 422, "a hand-off is not yet what was done"
    await one.step("completed", output=[RESULT])
    assert (await one.task())["output"] == [record, RESULT]


async def test_what_a_part_handed_up(world: Store, app_client: AppClient) -> None:
    await chain_world(world)
    platform, food = await app_client("mcp", PLATFORM), await app_client("cbo", FOOD)
    first, _ = await forward(platform, FOOD, RIDES)
    theirs = [value("a box of food"), value("a list of shops")]
    await move(food, f"Task/{first['id']}", "accepted", "in-progress")
    await move(food, f"Task/{first['id']}", "completed", output=theirs)
    await run(world)
    assert (await stored(world, PARENT))["output"] == theirs
    mine = value("we called twice")
    for output in ([mine], [mine, theirs[1]], []):
        assert (await sent(platform, PARENT, output)).status_code == 200
        now = (await stored(world, PARENT))["output"]
        assert sorted(now, key=str) == sorted([*theirs, *output[:1]], key=str), output
    await run(world)
    assert (await stored(world, PARENT))["output"] == theirs, "the mirror says nothing new"
