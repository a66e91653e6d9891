"""What a ServiceRequest and its Tasks make of each other: hold, revoke, cascade, stored rules, the fold."""

from typing import Any

import orjson
import pytest

from service.access.context import Context, Settings
from service.caller import system_caller
from service.notify.contact import PROHIBITED, SDOHCC_CODES
from service.search.restriction import EVERYTHING
from service.store import read
from service.store.engine import Store
from service.worker import Worker
from service.workflow import referral_coupling
from service.workflow.referral_law import COUPLED, FILLER, FOLD, HELD_BY, OPEN, REASONS, RULE, TRANSITIONS, ruled
from tests.service.conftest import AppClient
from tests.service.world import CBO1, CBO2, ECM1, PLAN1, change_of, make, put, ref, request, task

POSTGRESQL_IN_DEEP = True

REASON, OUTPUT = {"statusReason": {"text": "why"}}, {"output": [{"type": {"text": "x"}, "valueString": "done"}]}
CBO3 = "Organization/cbo-3"


async def drained(store: Store) -> None:
    await Worker(store, Settings()).drain()
    assert not await store.fetch("SELECT kind, last_error FROM job WHERE last_error <> ''")


async def stored(store: Store, reference: str) -> dict[str, Any]:
    rtype, _, fhir_id = reference.partition("/")
    found = await read.head(store, rtype, fhir_id, EVERYTHING)
    assert found is not None and found.body is not None
    return dict(orjson.loads(found.body))


async def status(store: Store, reference: str) -> str:
    return str((await stored(store, reference))["status"])


async def move(client: Any, reference: str, **changes: Any) -> Any:
    now = await client.get(f"/{reference}")
    body = now.json() | changes
    answer = await client.put(f"/{reference}", json=body, headers={"If-Match": now.headers["etag"]})
    assert answer.status_code == 200, answer.text
    return answer.json()


def a_task(name: str, state: str, focus: str = "ServiceRequest/r", **more: Any) -> dict[str, Any]:
    body = task(f"Task/{name}", "Patient/a", focus, ECM1, CBO1, status=state)
    return body | (OUTPUT if state == "completed" else REASON if state in ("rejected", "failed") else {}) | more


def test_rows_lead_along_edges_of_the_law() -> None:
    edges = {(row.old, row.new) for row in TRANSITIONS}
    for row in COUPLED:
        assert all(not row.new or (old, row.new) in edges for old in row.olds)


@pytest.mark.parametrize(
    ("rules", "statuses", "wanted"),
    [
        ((), ("completed",), None),
        (("complete-on-completed",), ("completed",), "completed"),
        (("complete-on-completed",), ("completed", "rejected"), "completed"),
        (("complete-on-completed",), ("completed", "requested"), None),
        (("complete-on-completed",), ("completed", "draft"), None),
        (("complete-on-completed",), ("rejected",), None),
        (("revoke-on-gave-up",), ("completed",), None),
        *((("revoke-on-gave-up",), (one,), "revoked") for one in ("rejected", "failed", "cancelled")),
        (("revoke-on-gave-up",), ("entered-in-error",), None),
        (("revoke-on-gave-up",), (), None),
        *((("revoke-on-gave-up", "complete-on-completed"), ("rejected", one), None) for one in OPEN),
    ],
)
def test_what_a_stored_rule_decides(rules: Any, statuses: Any, wanted: str | None) -> None:
    settled = ruled(frozenset(rules), frozenset(statuses))
    assert (settled[0] if settled else None) == wanted and (settled is None or settled[1] in rules)


@pytest.fixture
async def four(world: Store) -> Store:
    """A request with a Task in each open status."""
    await put(world, request("ServiceRequest/r", "Patient/a", ECM1), source=ECM1)
    await put(world, *(a_task(f"t-{one}", one) for one in (*OPEN, "rejected", "draft")), source=ECM1)
    return world


async def test_a_revoked_request_takes_its_open_tasks_along(four: Store, app_client: AppClient) -> None:
    ecm = await app_client()
    await move(ecm, "ServiceRequest/r", status="revoked")
    for _ in range(2):  # the same job twice changes nothing more
        await drained(four)
        for one in OPEN:
            body = await stored(four, f"Task/t-{one}")
            assert (body["status"], body["meta"]["versionId"]) == ("cancelled", "2")
            assert body["statusReason"]["coding"] == [{"system": REASONS, "code": "request-revoked"}]
        assert await status(four, "Task/t-rejected") == "rejected" and await status(four, "Task/t-draft") == "draft"
        ctx = Context(four, system_caller(), four.clock.now_us())
        change = await referral_coupling.coupled(ctx, {"request": "ServiceRequest/r"})
        assert not change.writes
    reasons = await four.fetch("SELECT reason FROM audit WHERE kind = 'derived'")
    assert {row[0] for row in reasons} == {"request-revoked"}


async def test_of_very_many_tasks_each_job_takes_some(
    four: Store, app_client: AppClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(referral_coupling, "AT_ONCE", 1)
    await put(four, request("ServiceRequest/f", "Patient/a", ECM1, basedOn=[ref("ServiceRequest/r")]), source=ECM1)
    await move(await app_client(), "ServiceRequest/r", status="revoked")
    await drained(four)
    assert {await status(four, f"Task/t-{one}") for one in OPEN} == {"cancelled"}
    assert await status(four, "ServiceRequest/f") == "revoked"
    jobs = await four.fetch("SELECT count(*) FROM job WHERE kind = 'referral.coupled'")
    assert jobs[0][0] >= 5, "one write each"


async def test_a_request_on_hold_holds_its_tasks_until_it_goes_on(four: Store, app_client: AppClient) -> None:
    ecm, cbo = await app_client(), await app_client("cbo", CBO1)
    await move(cbo, "Task/t-on-hold", note=[{"text": "our own hold"}])
    await move(ecm, "ServiceRequest/r", status="on-hold")
    await drained(four)
    held = {one: await status(four, f"Task/t-{one}") for one in OPEN}
    assert held == {"requested": "requested", "accepted": "on-hold", "in-progress": "on-hold", "on-hold": "on-hold"}
    for one, new in (("requested", "accepted"), ("accepted", "in-progress")):
        now = await cbo.get(f"/Task/t-{one}")
        body, headers = now.json() | {"status": new}, {"If-Match": now.headers["etag"]}
        refused = await cbo.put(f"/Task/t-{one}", json=body, headers=headers)
        assert refused.status_code == 422 and "on hold" in refused.text
    await move(ecm, "ServiceRequest/r", status="active")
    await drained(four)
    for one, code in (("accepted", "request-resumed"), ("in-progress", "request-resumed"), ("on-hold", "")):
        body = await stored(four, f"Task/t-{one}")
        assert body["status"] == "on-hold"  # to go on is the target's step
        codings = body.get("statusReason", {}).get("coding", [{"code": ""}])
        assert codings[0]["code"] == code
        assert (await move(cbo, f"Task/t-{one}", status="in-progress"))["status"] == "in-progress"


async def test_a_task_taken_back_takes_its_descendants_along(world: Store, app_client: AppClient) -> None:
    """Three levels, two children; closed ones stay; each has a request of its own, which ends."""
    await put(
        world,
        *(make(one, name="x") for one in (CBO3,)),
        request("ServiceRequest/r", "Patient/a", ECM1),
        request("ServiceRequest/r1", "Patient/a", CBO1, basedOn=[ref("ServiceRequest/r")]),
        request("ServiceRequest/r2", "Patient/a", CBO2, basedOn=[ref("ServiceRequest/r1")]),
        a_task("top", "in-progress"),
        a_task("one", "in-progress", "ServiceRequest/r1", partOf=[ref("Task/top")]),
        a_task("two", "completed", "ServiceRequest/r1", partOf=[ref("Task/top")]),
        a_task("deep", "on-hold", "ServiceRequest/r2", partOf=[ref("Task/one")], **REASON),
        source=ECM1,
    )
    await move(await app_client(), "Task/top", status="cancelled", **REASON)
    await drained(world)
    found = {one: await status(world, f"Task/{one}") for one in ("top", "one", "two", "deep")}
    assert found == {"top": "cancelled", "one": "cancelled", "two": "completed", "deep": "cancelled"}
    requests = {one: await status(world, f"ServiceRequest/{one}") for one in ("r", "r1", "r2")}
    assert requests == {"r": "active", "r1": "completed", "r2": "revoked"}  # somebody did r1 before


@pytest.mark.parametrize("new", ["on-hold", "revoked"])
async def test_a_request_that_serves_another_follows_it(world: Store, app_client: AppClient, new: str) -> None:
    serving = {"basedOn": [ref("ServiceRequest/r")], "intent": "filler-order"}
    await put(
        world,
        request("ServiceRequest/r", "Patient/a", ECM1),
        request("ServiceRequest/r1", "Patient/a", CBO1, **serving),
        request("ServiceRequest/own", "Patient/a", CBO1, **serving, status="on-hold"),
        request("ServiceRequest/done", "Patient/a", CBO1, **serving, status="completed"),
        a_task("below", "in-progress", "ServiceRequest/r1"),
        source=ECM1,
    )
    ecm = await app_client()
    await move(ecm, "ServiceRequest/r", status=new)
    await drained(world)
    assert await status(world, "ServiceRequest/r1") == new and await status(world, "ServiceRequest/done") == "completed"
    assert await status(world, "Task/below") == {"on-hold": "on-hold", "revoked": "cancelled"}[new]
    assert await status(world, "ServiceRequest/own") == {"on-hold": "on-hold", "revoked": "revoked"}[new]
    if new == "on-hold":
        assert HELD_BY in str(await stored(world, "ServiceRequest/r1"))
        await move(ecm, "ServiceRequest/r", status="active")
        await drained(world)
        assert await status(world, "ServiceRequest/r1") == "active"
        assert HELD_BY not in str(await stored(world, "ServiceRequest/r1"))
        assert await status(world, "ServiceRequest/own") == "on-hold"  # what its own requester held


async def test_a_completed_request_completes_those_that_serve_it(world: Store, app_client: AppClient) -> None:
    serving = {"basedOn": [ref("ServiceRequest/r")], "intent": "filler-order"}
    await put(
        world,
        request("ServiceRequest/r", "Patient/a", ECM1),
        request("ServiceRequest/r1", "Patient/a", CBO1, **serving),
        request("ServiceRequest/busy", "Patient/a", CBO1, **serving),
        a_task("below", "in-progress", "ServiceRequest/busy"),
        source=ECM1,
    )
    await move(await app_client(), "ServiceRequest/r", status="completed")
    await drained(world)
    assert await status(world, "ServiceRequest/r1") == "completed"
    assert await status(world, "ServiceRequest/busy") == "active"


def test_every_row_of_the_filler_is_an_edge() -> None:
    from service.workflow.referral_law import REQUEST_TRANSITIONS

    assert {(old, new) for row in FILLER.values() for old, new in row.items()} <= REQUEST_TRANSITIONS


async def rule_of(store: Store, *rules: str, organization: str = ECM1) -> None:
    extension = [{"url": RULE, "valueCode": one} for one in rules]
    body = make(organization, name="x", active=True, **({"extension": extension} if extension else {}))
    await store.commit(change_of(store, body, "Organization/op", expect=1))


@pytest.mark.parametrize(
    ("rules", "end", "wanted"),
    [
        ((), "completed", "active"),
        (("complete-on-completed",), "completed", "completed"),
        (("complete-on-completed",), "rejected", "active"),
        (("revoke-on-gave-up",), "rejected", "revoked"),
        (("revoke-on-gave-up",), "failed", "revoked"),
        (("revoke-on-gave-up",), "cancelled", "revoked"),
        (("revoke-on-gave-up", "complete-on-completed"), "completed", "completed"),
    ],
)
async def test_the_organizations_rule_settles_its_request(
    world: Store, app_client: AppClient, rules: Any, end: str, wanted: str
) -> None:
    await rule_of(world, *rules)
    before = "requested" if end == "rejected" else "in-progress"
    await put(world, request("ServiceRequest/r", "Patient/a", ECM1), a_task("t", before), source=ECM1)
    cbo = await app_client("cbo", CBO1)
    await move(cbo, "Task/t", status=end, **(OUTPUT if end == "completed" else REASON))
    await drained(world)
    assert await status(world, "ServiceRequest/r") == wanted
    if wanted != "active":
        named = await world.fetch("SELECT reason FROM audit WHERE kind = 'derived' AND target = 'ServiceRequest/r'")
        assert [row[0] for row in named] == ["complete-on-completed" if wanted == "completed" else "revoke-on-gave-up"]


async def test_a_new_task_comes_before_the_rule(world: Store, app_client: AppClient) -> None:
    """Declined, and referred to another before the job runs: the request goes on."""
    await rule_of(world, "revoke-on-gave-up")
    await put(world, request("ServiceRequest/r", "Patient/a", ECM1), a_task("t", "requested"), source=ECM1)
    await move(await app_client("cbo", CBO1), "Task/t", status="rejected", **REASON)
    body = task("Task/n", "Patient/a", "ServiceRequest/r", ECM1, CBO2)
    made = await (await app_client()).post("/Task", json={k: v for k, v in body.items() if k != "id"})
    assert made.status_code == 201
    await drained(world)
    assert await status(world, "ServiceRequest/r") == "active"


async def test_a_role_that_requests_has_its_organizations_rule(world: Store, app_client: AppClient) -> None:
    await rule_of(world, "complete-on-completed")
    await put(world, make("PractitionerRole/r", organization=ref(ECM1)), source=ECM1)
    await put(world, request("ServiceRequest/r", "Patient/a", "PractitionerRole/r"), source=ECM1)
    await put(world, a_task("t", "accepted", requester=ref("PractitionerRole/r")), source=ECM1)
    await move(await app_client("cbo", CBO1), "Task/t", status="completed", **OUTPUT)
    await drained(world)
    assert await status(world, "ServiceRequest/r") == "completed"


# --- the fold ------------------------------------------------------------------------------------------------------


async def test_software_that_skips_a_step_writes_both_or_is_refused(world: Store, app_client: AppClient) -> None:
    cbo = await app_client("cbo", CBO1)
    now = await cbo.get("/Task/a")
    body, headers = now.json() | {"status": "in-progress"}, {"If-Match": now.headers["etag"]}
    refused = await cbo.put("/Task/a", json=body, headers=headers)
    assert refused.status_code == 422 and "enlace-referral-fold" in refused.text
    folds = make(CBO1, name="x", active=True, extension=[{"url": FOLD, "valueBoolean": True}])
    await world.commit(change_of(world, folds, "Organization/op", expect=1))
    first = await cbo.put("/Task/a", json=body, headers=headers)
    assert (first.status_code, first.json()["status"]) == (200, "accepted")
    for _ in range(2):
        await drained(world)
        versions = (await cbo.get("/Task/a/_history")).json()["entry"]
        assert [one["resource"]["status"] for one in versions] == ["in-progress", "accepted", "requested"]


async def test_that_the_member_must_not_be_contacted_reaches_the_copies(four: Store, app_client: AppClient) -> None:
    """Also when it is said after the referral was forwarded; the copy of a copy hears of it too."""
    ecm = await app_client()
    await put(
        four,
        request("ServiceRequest/filler", "Patient/a", CBO2, basedOn=[ref("ServiceRequest/r")]),
        request(
            "ServiceRequest/second", "Patient/a", CBO3, intent="filler-order", basedOn=[ref("ServiceRequest/filler")]
        ),
        request("ServiceRequest/over", "Patient/a", CBO2, status="completed", basedOn=[ref("ServiceRequest/r")]),
        source=CBO2,
    )
    flag = {"coding": [{"system": SDOHCC_CODES, "code": PROHIBITED}]}
    await move(ecm, "ServiceRequest/r", orderDetail=[flag])
    await drained(four)
    for name in ("filler", "second"):
        assert (await stored(four, f"ServiceRequest/{name}"))["orderDetail"] == [flag], name
    assert "orderDetail" not in await stored(four, "ServiceRequest/over")
    await move(ecm, "ServiceRequest/r", note=[{"text": "again"}])
    await drained(four)
    assert (await stored(four, "ServiceRequest/filler"))["meta"]["versionId"] == "2"


async def test_a_coordinator_does_not_go_on_with_what_its_requester_stopped(
    world: Store, app_client: AppClient
) -> None:
    await put(world, request("ServiceRequest/s", "Patient/a", ECM1, status="on-hold"), source=ECM1)
    based = {"status": "on-hold", "basedOn": [{"reference": "ServiceRequest/s"}]}
    await put(world, request("ServiceRequest/f", "Patient/a", PLAN1, **based), source=PLAN1)
    plan = await app_client("mcp", PLAN1)
    body = (await plan.get("/ServiceRequest/f")).json() | {"status": "active"}
    refused = await plan.put("/ServiceRequest/f", json=body)
    assert refused.status_code == 422 and "basedOn is on hold" in refused.text
