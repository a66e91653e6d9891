"""Closed-loop referrals: every pair of statuses by every party; the ServiceRequest; races between the two."""

import asyncio
from typing import Any

import pytest

from service.access.context import Context
from service.caller import Caller, Role, system_caller
from service.errors import FhirError
from service.interactions.create import create
from service.interactions.decision import Preconditions
from service.interactions.update import update
from service.store.change import Change, Stale
from service.store.engine import Store
from service.workflow.referral_law import ENDS_ALONE, FIXED, OPEN, REQUEST_TRANSITIONS, TERMINAL, TRANSITIONS
from service.workflow.steps import Step, run_before
from tests.service.conftest import AppClient
from tests.service.world import BASE, CBO1, ECM1, change_of, put, ref, request, task

POSTGRESQL_IN_DEEP = True

STATUSES = sorted({row.old for row in TRANSITIONS} | {row.new for row in TRANSITIONS})
REASON, OUTPUT = {"statusReason": {"text": "why"}}, {"output": [{"type": {"text": "x"}, "valueString": "done"}]}
WHO = {
    "requester": Caller("e", Role.ECM_PROVIDER, ECM1),
    "target": Caller("c", Role.CBO, CBO1),
    "other party": Caller("o", Role.ECM_PROVIDER, "Organization/ecm-2"),
    "nobody": Caller("h", Role.HOSPITAL, "Organization/h"),
}


def a_task(status: str, **more: Any) -> dict[str, Any]:
    return {**task("Task/x", "Patient/a", "ServiceRequest/a", ECM1, CBO1, status=status), **more}


async def refusal(store: Store, who: str, old: dict[str, Any], new: dict[str, Any]) -> FhirError | None:
    ctx = Context(store, WHO[who], store.clock.now_us())
    try:
        await run_before(Step(ctx, "update", new, old, Change()))
    except FhirError as error:
        return error
    return None


async def test_all_pairs_by_every_party_with_and_without_what_is_needed(world: Store) -> None:
    table = {(row.old, row.new): row for row in TRANSITIONS}
    for old in STATUSES:
        for new in STATUSES:
            if old == new:
                continue
            row = table.get((old, new))
            for who in WHO:
                for more in ({}, REASON, OUTPUT, REASON | OUTPUT):
                    given = {"statusReason": "reason", "output": "output"}
                    fits = row is not None and who in row.who and set(row.needs) <= {given[k] for k in more}
                    fits = fits and not (who == "requester" and "output" in more)  # it is the target's to say
                    refused = await refusal(world, who, a_task(old), a_task(new, **more))
                    assert (refused is None) == fits, (old, new, who, more)
                    if refused and row is not None and who not in row.who:
                        assert refused.category.status == 403
                    elif refused:
                        assert refused.category.status == 422


@pytest.mark.parametrize("status", STATUSES)
async def test_the_status_may_stay(world: Store, status: str) -> None:
    note = {"note": [{"text": "n"}]}
    for who in ("requester", "target"):
        refused = await refusal(world, who, a_task(status), a_task(status, **note))
        assert (refused is not None) == (status in TERMINAL)  # closed is closed, down to its notes
    for who in ("other party", "nobody"):
        refused = await refusal(world, who, a_task(status), a_task(status, **note))
        assert refused is not None and refused.category.status == 403
    refused = await refusal(world, "target", a_task(status), a_task(status, **OUTPUT))
    assert (refused is not None) == (status in TERMINAL)


@pytest.mark.parametrize("element", [*FIXED, "owner"])
async def test_what_a_referral_is_about_never_changes(world: Store, element: str) -> None:
    changed = a_task("accepted", **{element: {"reference": "Organization/elsewhere"}})
    refused = await refusal(world, "target", a_task("requested"), changed)
    assert refused is not None and f"Task.{element}" in {issue.expression for issue in refused.issues}


async def test_an_open_request_is_claimed_by_accepting_it(world: Store) -> None:
    old = task("Task/x", "Patient/a", "ServiceRequest/a", ECM1, None)
    assert await refusal(world, "target", old, {**old, "status": "accepted", "owner": ref(CBO1)}) is None
    refused = await refusal(world, "target", old, {**old, "status": "accepted", "owner": ref("Organization/cbo-2")})
    assert refused is not None and refused.category.status == 403


async def test_an_absolute_or_versioned_focus_is_a_referral_all_the_same(world: Store) -> None:
    for focus in (f"{BASE}/ServiceRequest/a", "ServiceRequest/a/_history/1"):
        old = task("Task/x", "Patient/a", focus, ECM1, CBO1)
        refused = await refusal(world, "target", old, {**old, "status": "completed", **OUTPUT})
        assert refused is not None and "goes from requested" in refused.issues[0].diagnostics


NEW: list[tuple[dict[str, Any], int]] = [
    ({}, 201),
    ({"status": "draft"}, 201),
    ({"status": "accepted"}, 422),
    ({"intent": "plan"}, 422),
    ({"for": ref("Patient/other")}, 422),
    ({"authoredOn": None}, 422),
    ({"requester": ref("Organization/plan-1")}, 403),
    ({"requester": None}, 422),
    ({"focus": ref("ServiceRequest/done")}, 422),
    ({"focus": ref(f"{BASE}/ServiceRequest/done")}, 422),
    ({"focus": ref("ServiceRequest/done/_history/1")}, 422),
    ({"focus": ref(f"{BASE}/ServiceRequest/a")}, 201),
    ({"focus": ref("ServiceRequest/b")}, 422),
    ({"statusReason": {"coding": [{"code": "x"}]}}, 422),
]


@pytest.mark.parametrize(("more", "status"), NEW)
async def test_how_a_referral_starts(world: Store, app_client: AppClient, more: dict[str, Any], status: int) -> None:
    await put(world, request("ServiceRequest/done", "Patient/a", ECM1, status="completed"), source=ECM1)
    client = await app_client()
    body = {k: v for k, v in (a_task("requested") | more).items() if v is not None}
    answer = await client.post("/Task", json=body)
    assert answer.status_code == status, answer.text


async def test_the_loop_closes_over_http(world: Store, app_client: AppClient) -> None:
    ecm, cbo = await app_client(), await app_client("cbo", CBO1)

    async def step(client: Any, status: str, **more: Any) -> Any:
        now = await client.get("/Task/a")
        wanted = {**now.json(), "status": status, **more}
        return await client.put("/Task/a", json=wanted, headers={"If-Match": now.headers["etag"]})

    async def close() -> Any:
        wanted = {**(await ecm.get("/ServiceRequest/a")).json(), "status": "completed"}
        return await ecm.put("/ServiceRequest/a", json=wanted)

    assert (await step(cbo, "completed", **OUTPUT)).status_code == 422
    assert (await step(ecm, "accepted")).status_code == 403
    assert (await close()).status_code == 422
    assert (await step(cbo, "accepted")).status_code == 200
    assert (await step(cbo, "in-progress")).status_code == 200
    assert (await step(cbo, "completed")).status_code == 422
    assert (await step(cbo, "completed", **OUTPUT)).status_code == 200
    request_ = {**(await cbo.get("/ServiceRequest/a")).json(), "status": "completed"}
    assert (await cbo.put("/ServiceRequest/a", json=request_)).status_code == 403
    assert (await close()).status_code == 200
    assert (await ecm.delete("/Task/a", headers={"If-Match": 'W/"4"'})).status_code == 422


@pytest.mark.parametrize("old", ["draft", "active", "on-hold", "revoked", "completed", "entered-in-error", "unknown"])
async def test_a_request_moves_by_its_table(world: Store, old: str) -> None:
    ctx = Context(world, WHO["requester"], world.clock.now_us())
    for new in ("draft", "active", "on-hold", "revoked", "completed", "entered-in-error", "unknown"):
        before, after = (request("ServiceRequest/free", "Patient/a", ECM1, status=s) for s in (old, new))
        try:
            await run_before(Step(ctx, "update", after, before, Change()))
            allowed = True
        except FhirError as refused:
            allowed = False
            assert refused.category.status == 422
        assert allowed == (old == new or (old, new) in REQUEST_TRANSITIONS)


@pytest.mark.parametrize("status", OPEN)
async def test_a_request_with_an_open_referral_does_not_end(world: Store, app_client: AppClient, status: str) -> None:
    await world.commit(change_of(world, {**a_task(status), "id": "a"}, ECM1, expect=1))
    client = await app_client()
    for end in ENDS_ALONE:
        body = {**(await client.get("/ServiceRequest/a")).json(), "status": end}
        assert (await client.put("/ServiceRequest/a", json=body)).status_code == 422


async def _ends_and_opens(store: Store, first: str) -> list[str]:
    """Decides to end the request and to open a referral on the same facts, then commits both."""
    ctx = Context(store, system_caller(), store.clock.now_us())
    ecm = Context(store, WHO["requester"], store.clock.now_us())
    ecm.caller = Caller("e", Role.ECM_PROVIDER, ECM1, allows=lambda _letter, _type: True)
    assert ctx.restriction.unrestricted
    done = request("ServiceRequest/free", "Patient/a", ECM1, status="completed")
    ends = (await update(ecm, "ServiceRequest", "free", done, Preconditions())).change
    if first == "draft":
        sent = task("Task/d", "Patient/a", "ServiceRequest/free", ECM1, CBO1)
        opens = (await update(ecm, "Task", "d", sent, Preconditions(if_match=(1,)))).change
    else:
        body = task("Task/n", "Patient/a", "ServiceRequest/free", ECM1, CBO1)
        opens = (await create(ecm, "Task", body, Preconditions())).change
    if first in ("together", "draft"):
        results = await asyncio.gather(store.commit(ends), store.commit(opens), return_exceptions=True)
    else:
        order = [ends, opens] if first == "end" else [opens, ends]
        results = [(await asyncio.gather(store.commit(one), return_exceptions=True))[0] for one in order]
    assert all(isinstance(r, Stale) or not isinstance(r, BaseException) for r in results)
    return sorted(type(r).__name__ for r in results)


@pytest.mark.parametrize("first", ["end", "open", "together", "draft"])
async def test_no_referral_opens_about_a_request_that_ends_at_the_same_time(world: Store, first: str) -> None:
    await put(world, request("ServiceRequest/free", "Patient/a", ECM1), source=ECM1)
    await put(world, task("Task/d", "Patient/a", "ServiceRequest/free", ECM1, CBO1, status="draft"), source=ECM1)
    assert await _ends_and_opens(world, first) == ["Committed", "Stale"]


async def test_ends_and_opens_at_once_over_http_never_leave_an_open_referral(
    world: Store, app_client: AppClient
) -> None:
    client = await app_client()
    for number in range(6):
        name = f"ServiceRequest/r{number}"
        await put(world, request(name, "Patient/a", ECM1), source=ECM1)
        ended = request(name, "Patient/a", ECM1, status="completed")
        body = task("Task/n", "Patient/a", name, ECM1, CBO1)
        answers = await asyncio.gather(client.put(f"/{name}", json=ended), client.post("/Task", json=body))
        assert sorted(a.status_code for a in answers) in ([200, 422], [201, 422])
