"""Overlaps looked at again: once for a feed of many, when a service ends, when a program ends, when ECM begins."""

import asyncio
import os

import httpx

from service.access.context import Context, Settings
from service.caller import system_caller
from service.store.engine import Store
from service.workflow import calaim_overlap
from tests.service.conftest import AppClient
from tests.service.workflow.calaim_world import asked, coded
from tests.service.workflow.test_calaim_work import PROGRAM, drained, items
from tests.service.world import BASE, ECM1, PLAN1, Resource, coverage, episode, put, ref

POSTGRESQL_IN_DEEP = True


def d_snp(number: str, **more: object) -> Resource:
    return coverage(f"Coverage/{number}", "Patient/a", PLAN1, type=coded("d-snp", PROGRAM), **more)


async def jobs(store: Store, kind: str) -> int:
    return len(await store.fetch("SELECT 1 FROM job WHERE kind = ?", (kind,)))


async def post(client: httpx.AsyncClient, body: Resource) -> Resource:
    answer = await client.post(f"/{body['resourceType']}", json=body)
    assert answer.status_code == 201, answer.text
    return dict(answer.json())


async def again(client: httpx.AsyncClient, body: Resource, **changes: object) -> None:
    path = f"/{body['resourceType']}/{body['id']}"
    now = await client.get(path)
    answer = await client.put(path, json=now.json() | changes, headers={"If-Match": now.headers["etag"]})
    assert answer.status_code == 200, answer.text


async def test_of_many_writes_one_job_waits_and_none_is_missed(world: Store, app_client: AppClient) -> None:
    await asked(world, app_client, "ecm")
    await drained(world)
    before, plan = await jobs(world, "calaim.overlap"), await app_client("mcp", PLAN1)
    for number in range(4):
        await post(plan, d_snp(f"n{number}"))
    assert await jobs(world, "calaim.overlap") == before + 1
    ctx = Context(world, system_caller(), world.clock.now_us(), Settings(base_url=BASE))
    ready = await calaim_overlap.asked(ctx, {"patient": "Patient/a"})
    assert [one.dedupe for one in ready.jobs] == [None], "what is written while it looks asks anew"
    assert ready.bump_epochs
    await drained(world)
    assert len(await items(world, "program-overlap")) == 4
    assert await jobs(world, "calaim.overlap-look") == before + 1
    await post(plan, d_snp("late"))
    await drained(world)
    assert len(await items(world, "program-overlap")) == 5


async def test_none_is_missed_while_workers_look(world: Store, app_client: AppClient) -> None:
    await asked(world, app_client, "ecm")
    plan, many = await app_client("mcp", PLAN1), 60 if os.environ.get("ENLACE_TEST_DEEP") else 6

    async def written(number: int) -> None:
        await asyncio.sleep(0.005 * (number % 7))
        await post(plan, d_snp(f"n{number}"))

    await asyncio.gather(*(written(number) for number in range(many)), *(drained(world) for _ in range(4)))
    await drained(world)
    assert len(await items(world, "program-overlap")) == many


async def test_what_is_no_overlap_any_more_is_nobodys_work(world: Store, app_client: AppClient) -> None:
    plan, ecm = await app_client("mcp", PLAN1), await app_client()
    number = await asked(world, app_client, "ecm")
    one, two = await post(plan, d_snp("one")), await post(plan, d_snp("two"))
    await drained(world)
    first, second = await items(world, "program-overlap")
    taken, left = (first, second) if first["focus"] == ref(f"Coverage/{one['id']}") else (second, first)
    await again(plan, taken, status="accepted")
    for body in (one, two):
        await again(plan, body, status="cancelled")
    await drained(world)
    states = {one["id"]: one["status"] for one in await items(world, "program-overlap")}
    assert states == {taken["id"]: "accepted", left["id"]: "completed"}, "what somebody took up is theirs to end"
    await post(plan, d_snp("three"))
    await drained(world)
    focus = (await ecm.get(f"/Task/{number}")).json()["focus"]["reference"]
    await again(ecm, (await ecm.get(f"/{focus}")).json(), status="revoked")
    await drained(world)
    assert sorted(one["status"] for one in await items(world, "program-overlap")) == [
        "accepted",
        "completed",
        "completed",
    ]


async def test_ecm_that_begins_is_looked_at(world: Store, app_client: AppClient) -> None:
    """By its episode alone, as a member file writes it: nobody asked by a referral."""
    plan = await app_client("mcp", PLAN1)
    await post(plan, d_snp("one"))
    await drained(world)
    assert await items(world, "program-overlap") == []
    made = await post(plan, episode("EpisodeOfCare/x", "Patient/a", ECM1, type=[coded("ecm")]))
    await drained(world)
    assert [one["status"] for one in await items(world, "program-overlap")] == ["requested"]
    await again(plan, made, status="finished")
    await drained(world)
    assert [one["status"] for one in await items(world, "program-overlap")] == ["completed"]


async def test_what_says_nothing_of_a_program_makes_no_job(world: Store, app_client: AppClient) -> None:
    await put(world, coverage("Coverage/plain", "Patient/a", PLAN1), source=PLAN1)
    plan = await app_client("mcp", PLAN1)
    await post(plan, coverage("Coverage/x", "Patient/a", PLAN1))
    assert await jobs(world, "calaim.overlap") == 0
