"""What the write of a Task reads: nothing of referrals where it is none, and the ServiceRequest of a referral once."""

import pytest

from service.store import referral_facts
from service.store.change import Change
from service.store.engine import Store
from service.store.referral_facts import Event
from service.workflow import derived
from tests.service.conftest import AppClient
from tests.service.workflow.referral_world import DONE, referral
from tests.service.workflow.tcs_world import context
from tests.service.workflow.watching import Watch
from tests.service.world import CBO1, ECM1, put, ref, request, task

POSTGRESQL_IN_DEEP = True
OF_REFERRALS = ("referral_", "partner_", "reply_", "service_use")
OTHER = {"resourceType": "Task", "status": "requested", "intent": "order", "code": {"text": "call"},
         "for": ref("Patient/a"), "requester": ref(ECM1), "owner": ref(ECM1)}  # fmt: skip


async def test_a_task_that_is_no_referral_costs_what_it_did(
    world: Store, app_client: AppClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    ecm, watch = await app_client("ecm-provider", ECM1), Watch(world, monkeypatch)
    made = (await watch.of(ecm.post("/Task", json=OTHER))).json()
    asked = [sql for sql in watch.sql if "FROM panel p WHERE p.patient = ?" in sql]
    assert len(asked) == len(set(asked)), "what it may give is asked once"
    every = [*watch.sql, *watch.statements, *watch.heads, *watch.jobs]
    for changed in ({"note": [{"text": "x"}]}, {"status": "completed", **DONE}):
        made = {**made, **changed}
        head = {"If-Match": f'W/"{made["meta"]["versionId"]}"'}
        made = (await watch.of(ecm.put(f"/Task/{made['id']}", json=made, headers=head))).json()
        every += [*watch.sql, *watch.statements, *watch.heads, *watch.jobs]
    assert not [one for one in every if any(f" {name}" in one for name in OF_REFERRALS) or one.startswith("referral.")]


async def test_the_request_of_a_referral_is_read_once_for_all_hooks(
    world: Store, app_client: AppClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    watch, one = Watch(world, monkeypatch), await referral(world, app_client)
    cbo, texts = await one.cbo(), set()
    for status, more in (("accepted", {}), ("in-progress", {}), ("completed", DONE)):
        task_now = {**await one.task(), "status": status, **more}
        head = {"If-Match": f'W/"{task_now["meta"]["versionId"]}"'}
        await watch.of(cbo.put(f"/{one.reference}", json=task_now, headers=head))
        assert watch.heads.count(one.request) == 1, status
        texts |= {sql for sql in watch.statements if "referral_event" in sql}
        assert "referral.notice" not in watch.jobs and "referral.rule" not in watch.jobs, "nobody would be told"
    assert len(texts) == 1, "one text for all events: each other one is planned anew"


async def test_an_event_names_no_instant_in_its_text(world: Store) -> None:
    first, second = (referral_facts.put(world.keys, Event("Task/a", "moved", opening=True), n, n) for n in (1, 2))
    assert first.sql == second.sql and first.params != second.params


async def test_a_derived_version_is_read_once(world: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    await put(world, request("ServiceRequest/c", "Patient/a", ECM1), source=ECM1)
    await put(world, task("Task/c", "Patient/a", "ServiceRequest/c", ECM1, CBO1), source=ECM1)
    ctx, change = context(world), Change()
    found = await ctx.resource("Task/c")
    assert found is not None
    watch = Watch(world, monkeypatch)
    await derived.put(ctx, change, {**found[0], "priority": "urgent"}, found[1], "rule")
    assert sorted(watch.every) == ["ServiceRequest/c", "Task/c"]
    assert change.writes[0].source_org == world.keys.resource(ECM1)
