"""What the write of a Task reads: nothing of referrals where it is none, and the ServiceRequest of a referral once.

And what the answer to a hospital reads, which follows most admissions.
"""

from collections.abc import Awaitable
from typing import Any

import httpx
import pytest

from service.search.restriction import EVERYTHING
from service.store import read, referral_facts
from service.store.change import Change
from service.store.engine import Store
from service.store.read import Found
from service.store.referral_facts import Event
from service.store.together import current
from service.workflow import derived, hospital_answer
from tests.service.conftest import AppClient
from tests.service.workflow.made_up import adt
from tests.service.workflow.referral_world import DONE, referral
from tests.service.workflow.tcs_world import Stay, at, context, hospital
from tests.service.world import CBO1, ECM1, put, ref, request, task

POSTGRESQL_IN_DEEP = True
OF_REFERRALS = ("referral_", "partner_", "reply_", "service_use")
OTHER = {"resourceType": "Task", "status": "requested", "intent": "order", "code": {"text": "call"},
         "for": ref("Patient/a"), "requester": ref(ECM1), "owner": ref(ECM1)}  # fmt: skip


class Watch:
    """sql: reads of the store; sent: the statements for them, with their values. every: heads that were read; heads:
    of them whatever the caller may see. jobs: kinds that were queued."""

    def __init__(self, store: Store, monkeypatch: pytest.MonkeyPatch):
        self.sql, self.heads, self.jobs, self.statements = list[str](), list[str](), list[str](), list[str]()
        self.every, self.sent = list[str](), list[str]()
        fetch, head, commit = store.db.fetch, read.head, store.db.commit

        async def fetched(sql: str, params: tuple[Any, ...] = (), **how: Any) -> Any:
            self.sql.append(sql)
            if current() is None:  # one that is in a round goes out with the others
                self.sent.append(f"{sql} {params}")
            return await fetch(sql, params, **how)

        async def of(at: Store, rtype: str, fhir_id: str, restriction: Any) -> Found | None:
            self.every.append(f"{rtype}/{fhir_id}")
            if restriction is EVERYTHING:
                self.heads.append(f"{rtype}/{fhir_id}")
            return await head(at, rtype, fhir_id, restriction)

        async def committed(change: Change) -> Any:
            self.jobs += [job.kind for job in change.jobs]
            self.statements += [one.sql for one in change.statements]
            return await commit(change)

        monkeypatch.setattr(store.db, "fetch", fetched)
        monkeypatch.setattr(store.db, "commit", committed)
        monkeypatch.setattr(read, "head", of)

    async def of(self, call: Awaitable[httpx.Response]) -> httpx.Response:
        for kept in (self.sql, self.heads, self.jobs, self.statements):
            kept.clear()
        answer = await call
        assert answer.is_success, answer.text
        return answer


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


async def test_an_answer_to_a_hospital_reads_each_thing_once(world: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """On PostgreSQL the stay, then what may be known of it, then who leads the care: a statement each."""
    await hospital(world)
    stay, postgresql = Stay(world), world.db.name == "postgresql"
    await stay.hears(adt("A01", 0, "I", processing="T"))
    at(world, 2)
    watch = Watch(world, monkeypatch)
    change = await hospital_answer.answer(context(world), {"encounter": stay.encounter})
    assert [write.rtype for write in change.writes] == ["Communication"] and len(change.epochs) == 2
    assert len(watch.sent) == len(set(watch.sent)) == (3 if postgresql else 11)
    await world.commit(change)
    watch.sent.clear()
    assert (await hospital_answer.answer(context(world), {"encounter": stay.encounter})).writes == []
    assert len(watch.sent) == (2 if postgresql else 5), "it has its answer"
