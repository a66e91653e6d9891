"""A referral that is forwarded: what is written for others, what is mirrored up, what is passed down."""

from typing import Any

import httpx
import pytest

from service.access.context import Settings as Behaviour
from service.store import work
from service.store.change import Change
from service.store.engine import Store
from service.worker import HANDLERS, Worker
from service.workflow.chain_mirror import mirror
from service.workflow.referral_chains import children, root_of
from tests.frozen_clock import FrozenClock
from tests.service.conftest import AppClient
from tests.service.workflow.chain_world import (
    BEDS,
    FOOD,
    OUTPUT,
    PARENT,
    PLATFORM,
    RIDES,
    SOURCE,
    WAYS,
    below,
    chain_world,
    drain,
    forward,
    move,
    parameters,
    statuses,
    stored,
    system,
)
from tests.service.world import ECM1, PLAN1, put, ref, request, task

POSTGRESQL_IN_DEEP = True
Clients = dict[str, httpx.AsyncClient]


@pytest.fixture
async def who(world: Store, app_client: AppClient) -> Clients:
    """Everybody of the chain, each over REST."""
    await chain_world(world)
    made = {"ecm": await app_client(), "platform": await app_client("referrer", PLATFORM)}
    return made | {name: await app_client("cbo", f"Organization/{name}") for name in ("food", "rides", "beds")}


def name_of(child: dict[str, Any]) -> str:
    return str(child["owner"]["reference"]).partition("/")[2]


async def test_a_dead_mirror_is_seen_and_made_good(
    world: Store, who: Clients, clock: FrozenClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By the next step of a part, or by a person's retry; whichever comes second changes nothing."""

    async def broken(_ctx: Any, _payload: Any) -> Change:
        raise KeyError("a defect")

    (child,) = await forward(who["platform"], FOOD)
    with monkeypatch.context() as patch:
        patch.setitem(HANDLERS, "referral.mirror", broken)
        await move(who["food"], f"Task/{child['id']}", "accepted")
        for _ in range(work.MAX_ATTEMPTS):
            await Worker(world, Behaviour()).drain()
            clock.advance(301_000_000)
    dead = await work.listed(world, state="dead")
    assert {(one.kind, one.attempts) for one in dead} == {("referral.mirror", 8)}
    assert all(one.last_error.startswith("KeyError at ") for one in dead)
    assert await statuses(world, PARENT) == ["requested"]
    await move(who["food"], f"Task/{child['id']}", "in-progress")
    await Worker(world, Behaviour()).drain()
    assert (await statuses(world, PARENT))[-1] == "in-progress"
    history = await statuses(world, PARENT)
    await world.commit(Change(statements=[work.again(one.id, world.clock.now_us()) for one in dead]))
    await drain(world)
    assert await statuses(world, PARENT) == history


async def test_a_state_goes_up_edge_by_edge(world: Store, who: Clients) -> None:
    (child,) = await forward(who["platform"], FOOD)
    await move(who["food"], f"Task/{child['id']}", "accepted", "in-progress", "on-hold")
    await drain(world)
    assert await statuses(world, PARENT) == ["requested", "accepted", "on-hold"]  # looked at once, at the end
    parent = await stored(world, PARENT)
    assert parent["statusReason"]["text"] == "because on-hold"
    await move(who["food"], f"Task/{child['id']}", "in-progress")
    await drain(world)
    await move(who["food"], f"Task/{child['id']}", "completed")
    await drain(world)
    assert await statuses(world, PARENT) == ["requested", "accepted", "on-hold", "in-progress", "completed"]
    parent = (await who["ecm"].get(f"/{PARENT}")).json()
    assert parent["output"] == OUTPUT["output"] and "statusReason" not in parent
    assert (await stored(world, child["focus"]["reference"]))["status"] == "completed"
    assert (await stored(world, SOURCE))["status"] == "active"  # its own requester decides


@pytest.mark.parametrize("way", WAYS)
async def test_what_one_child_makes_of_the_parent(world: Store, who: Clients, way: str) -> None:
    expected = {
        **{name: "on-hold" for name in ("failed", "cancelled later", "on-hold")},
        **{name: "requested" for name in ("requested", "rejected", "cancelled")},
        **{name: "completed" for name in ("completed", "completed at once")},
    }
    (child,) = await forward(who["platform"], FOOD)
    await move(who["food"], f"Task/{child['id']}", *WAYS[way])
    await drain(world)
    assert (await stored(world, PARENT))["status"] == expected.get(way, way)
    stuck = way in ("failed", "rejected", "cancelled", "cancelled later")
    waiting = [one for one in await below(world) if one["code"].get("text") == "Find somebody else for a referral"]
    assert [one["owner"]["reference"] for one in waiting] == ([PLATFORM] if stuck else [])
    assert await _nothing_left(world)


async def _nothing_left(world: Store) -> bool:
    """The job again, twice: nothing is written."""
    for _ in range(2):
        change = await mirror(system(world), {"task": PARENT})
        if change.writes:
            return False
        await world.commit(change)
    return True


async def test_all_reject_after_acceptance_and_another_is_asked(world: Store, who: Clients) -> None:
    children_ = await forward(who["platform"], FOOD, RIDES, policy="first-completes")
    assert len({one["focus"]["reference"] for one in children_}) == 1
    await move(who["platform"], PARENT, "accepted")
    for child in children_:
        await move(who[name_of(child)], f"Task/{child['id']}", "rejected", statusReason={"text": "At capacity"})
    await drain(world)
    parent = (await who["ecm"].get(f"/{PARENT}")).json()
    assert (parent["status"], parent["statusReason"]["text"]) == ("on-hold", "At capacity")
    items = (await who["platform"].get("/Task?status=requested&owner=" + PLATFORM)).json()["entry"]
    assert [one["resource"]["focus"]["reference"] for one in items] == [PARENT]
    (again,) = await forward(who["platform"], BEDS)
    assert again["focus"] == children_[0]["focus"]
    await drain(world)
    assert (await stored(world, PARENT))["status"] == "in-progress"
    assert (await stored(world, f"Task/{items[0]['resource']['id']}"))["status"] == "completed"
    await move(who["beds"], f"Task/{again['id']}", "accepted", "completed")
    await drain(world)
    assert (await stored(world, PARENT))["status"] == "completed"


async def test_the_first_who_completes_is_enough_or_all_must(world: Store, who: Clients) -> None:
    first, second = await forward(who["platform"], FOOD, RIDES, policy="first-completes")
    await move(who[name_of(first)], f"Task/{first['id']}", "accepted", "completed")
    await move(who[name_of(second)], f"Task/{second['id']}", "accepted")
    await drain(world)
    other = await stored(world, f"Task/{second['id']}")
    assert (other["status"], other["statusReason"]["coding"][0]["code"]) == ("cancelled", "served-elsewhere")
    assert (await stored(world, PARENT))["status"] == "completed"
    await put(world, task("Task/two", "Patient/a", SOURCE, ECM1, PLATFORM), source=ECM1)
    first, second = await forward(who["platform"], FOOD, RIDES, parent="Task/two")
    assert first["focus"] != second["focus"]
    await move(who[name_of(first)], f"Task/{first['id']}", "accepted", "completed")
    await drain(world)
    assert (await stored(world, "Task/two"))["status"] == "in-progress"
    result = [{**OUTPUT["output"][0], "valueString": "2"}]
    await move(who[name_of(second)], f"Task/{second['id']}", "accepted", "completed", output=result)
    await drain(world)
    whole = await stored(world, "Task/two")
    assert whole["status"] == "completed" and {one["valueString"] for one in whole["output"]} == {"done", "2"}


@pytest.mark.parametrize("end", ["cancelled", "entered-in-error"])
async def test_who_takes_it_back_takes_all_below_along(world: Store, who: Clients, end: str) -> None:
    (child,) = await forward(who["platform"], RIDES)
    second = await app_forward(world, who, child)
    await move(who["rides"], f"Task/{child['id']}", "accepted", "in-progress")
    await move(who["food"], f"Task/{second['id']}", "accepted")
    await drain(world)
    assert await root_of(system(world), second) == PARENT
    assert [one["id"] for one, _ in await children(system(world), await stored(world, PARENT))] == [child["id"]]
    await move(who["ecm"], PARENT, end, statusReason={"text": "Moved away"})
    await drain(world)
    for one in (child, second):
        ended = await stored(world, f"Task/{one['id']}")
        assert ended["status"] == "cancelled" and ended["statusReason"]["text"]
        assert (await stored(world, one["focus"]["reference"]))["status"] == "revoked"
    assert not [one for one in await below(world) if one["status"] == "requested"]


async def app_forward(world: Store, who: Clients, child: dict[str, Any]) -> dict[str, Any]:
    """The CBO's Task goes on to a third level, as a platform of another kind would have written it."""
    reference = f"Task/{child['id']}"
    await put(
        world,
        request("ServiceRequest/third", "Patient/a", RIDES, basedOn=[child["focus"]], intent="filler-order"),
        task("Task/third", "Patient/a", "ServiceRequest/third", RIDES, FOOD, partOf=[ref(reference)]),
        source=RIDES,
    )
    return await stored(world, "Task/third")


async def test_a_parent_that_its_owner_closes_closes_its_parts(world: Store, who: Clients) -> None:
    (child,) = await forward(who["platform"], FOOD)
    await move(who["platform"], PARENT, "rejected")
    await drain(world)
    assert (await stored(world, f"Task/{child['id']}"))["status"] == "cancelled"
    assert (await stored(world, child["focus"]["reference"]))["status"] == "revoked"
    await put(world, request("ServiceRequest/late", "Patient/a", PLATFORM), source=PLATFORM)
    body = task("Task/x", "Patient/a", "ServiceRequest/late", PLATFORM, FOOD, partOf=[ref(PARENT)])
    answer = await who["platform"].post("/Task", json=body)
    assert answer.status_code == 422 and "only an open one is forwarded" in answer.text


async def test_a_request_on_hold_above_holds_all_and_goes_on_with_all(world: Store, who: Clients) -> None:
    (child,) = await forward(who["platform"], FOOD)
    await move(who["food"], f"Task/{child['id']}", "accepted", "in-progress")
    await drain(world)
    for status, below_, above in (("on-hold", "on-hold", "on-hold"), ("active", "in-progress", "in-progress")):
        body = {**(await who["ecm"].get(f"/{SOURCE}")).json(), "status": status}
        assert (await who["ecm"].put(f"/{SOURCE}", json=body)).status_code == 200
        await drain(world)
        if status == "active":
            await move(who["food"], f"Task/{child['id']}", "in-progress")
            await drain(world)
        assert (await stored(world, f"Task/{child['id']}"))["status"] == below_
        assert (await stored(world, PARENT))["status"] == above


async def test_what_a_person_sets_stays_until_the_parts_say_something_else(world: Store, who: Clients) -> None:
    (child,) = await forward(who["platform"], FOOD)
    await move(who["food"], f"Task/{child['id']}", "accepted", "in-progress")
    await drain(world)
    await move(who["platform"], PARENT, "on-hold", statusReason={"text": "Calling the member first"})
    await move(who["food"], f"Task/{child['id']}", "in-progress", note=[{"text": "n"}])
    await drain(world)
    parent = await stored(world, PARENT)
    assert (parent["status"], parent["statusReason"]["text"]) == ("on-hold", "Calling the member first")
    await move(who["food"], f"Task/{child['id']}", "completed")
    await drain(world)
    assert (await stored(world, PARENT))["status"] == "completed"


async def test_a_request_to_cancel_is_passed_down_and_its_confirmation_up(world: Store, who: Clients) -> None:
    def business(code: str) -> dict[str, Any]:
        return {"coding": [{"system": "http://hl7.org/fhir/us/bser/CodeSystem/TaskBusinessStatusCS", "code": code}]}

    (child,) = await forward(who["platform"], FOOD)
    reference = f"Task/{child['id']}"
    await move(who["food"], reference, "accepted", "in-progress", businessStatus=business("5.1.1"))
    await drain(world)
    assert (await stored(world, PARENT))["businessStatus"] == business("5.1.1")
    await move(who["food"], reference, "in-progress", businessStatus=business("5.1.2"))
    await drain(world)
    assert (await stored(world, PARENT))["businessStatus"] == business("5.1.2")
    await move(who["ecm"], PARENT, "in-progress", businessStatus=business("5.2"))
    await drain(world)
    assert (await stored(world, reference))["businessStatus"] == business("5.2")
    await move(who["food"], reference, "cancelled", businessStatus=business("6.0"))
    await drain(world)
    parent = await stored(world, PARENT)
    assert (parent["status"], parent["businessStatus"]) == ("cancelled", business("6.0"))


async def test_only_who_owns_a_referral_has_parts_of_it(world: Store, who: Clients) -> None:
    """A CBO that knows the id of a Task cannot drive it, nor can its requester."""
    own = request("ServiceRequest/own", "Patient/a", ECM1)
    await put(world, own, source=ECM1)
    body = task("Task/x", "Patient/a", "ServiceRequest/own", ECM1, FOOD, partOf=[ref(PARENT)])
    answer = await who["ecm"].post("/Task", json=body)
    assert answer.status_code == 403 and "Only who owns a referral forwards it" in answer.text
    await put(world, {**body, "id": "x", "status": "completed", **OUTPUT}, source=ECM1)  # by another way
    await world.commit(await mirror(system(world), {"task": PARENT}) or Change())
    assert (await stored(world, PARENT))["status"] == "requested"
    same = task("Task/y", "Patient/a", SOURCE, PLATFORM, FOOD, partOf=[ref(PARENT)])
    assert (await who["platform"].post("/Task", json=same)).status_code in (403, 422)
    (child,) = await forward(who["platform"], FOOD)
    for changed in ([], [ref("Task/a")]):
        now = await who["platform"].get(f"/Task/{child['id']}")
        moved = {**now.json(), "partOf": changed} if changed else {k: v for k, v in now.json().items() if k != "partOf"}
        answer = await who["platform"].put(
            f"/Task/{child['id']}", json=moved, headers={"If-Match": now.headers["etag"]}
        )
        assert answer.status_code == 422, answer.text


async def test_a_chain_has_an_end(world: Store, who: Clients) -> None:
    parent, focus = PARENT, SOURCE
    for level in range(2, 9):
        await put(
            world,
            request(f"ServiceRequest/l{level}", "Patient/a", PLATFORM, basedOn=[ref(focus)]),
            task(f"Task/l{level}", "Patient/a", f"ServiceRequest/l{level}", PLATFORM, PLATFORM, partOf=[ref(parent)]),
            source=PLATFORM,
        )
        parent, focus = f"Task/l{level}", f"ServiceRequest/l{level}"
    answer = await who["platform"].post(f"/{parent}/$forward", json=parameters(FOOD))
    assert answer.status_code == 422 and "at most 8 levels" in answer.text


async def test_the_plans_task_shows_what_its_providers_says(world: Store, app_client: AppClient) -> None:
    """The closed-loop status of DHCS (closed_loop.py) goes up with the state, and nothing is written twice for it."""
    systems = "https://enlace.example.org/fhir/CodeSystem"
    code = {"coding": [{"system": f"{systems}/cs-service", "code": "recuperative-care"}]}
    await chain_world(world)
    await put(
        world,
        request("ServiceRequest/cs", "Patient/a", ECM1, code=code),
        task("Task/cs", "Patient/a", "ServiceRequest/cs", ECM1, PLAN1),
        source=ECM1,
    )
    plan, food = await app_client("mcp", PLAN1), await app_client("cbo", FOOD)
    await move(plan, "Task/cs", "accepted", businessStatus={"coding": [{"system": "urn:own", "code": "kept"}]})
    (child,) = await forward(plan, FOOD, parent="Task/cs")
    passed = []
    for status in ("accepted", "in-progress", "completed"):
        await move(food, f"Task/{child['id']}", status)
        await drain(world)
        parent = await stored(world, "Task/cs")
        said = {one["system"].rpartition("/")[2]: one["code"] for one in parent["businessStatus"]["coding"]}
        assert said["urn:own"] == "kept" and parent["status"] == status
        passed.append(said["clr-referral-status"])
        change = await mirror(system(world), {"task": "Task/cs"})
        assert not change.writes, (status, [one.resource for one in change.writes], parent)
    assert passed == ["accepted", "outreach-initiated", "referral-loop-closed"]
