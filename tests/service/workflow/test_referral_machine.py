"""The law of referrals as a state machine: chance draws who does what by which way, a model says what comes of it.

A requester, a plan that coordinates, two organizations that are offered or sent the work, and one that has nothing to
do with it. What the model (referral_model.py) says is written apart from the service's tables. After each quiet moment:
histories, facts, clocks, what each party finds, and that every job says nothing new when it runs once more.
"""

import asyncio
import os
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule, run_state_machine_as_test

from service.search.restriction import EVERYTHING
from service.store import read
from service.store.change import Change, Job
from tests.frozen_clock import FrozenClock
from tests.service.workflow import referral_acts as acts
from tests.service.workflow import referral_model as model
from tests.service.workflow.referral_desk import HOUR_US, PARTIES, Desk, World
from tests.service.workflow.referral_model import OPEN, Resource
from tests.service.workflow.referral_turns import ACTS, MOVES, Turns
from tests.service.world import CBO1, CBO2, ECM1, PLAN1, ref, request, task

DEEP = bool(os.environ.get("ENLACE_TEST_DEEP"))
EXAMPLES, STEPS = (80, 30) if DEEP else (5, 9)
POSTGRESQL_IN_DEEP = True
MOST_HOURS = 24 * 25
"""So long is an example, so that nobody loses sight of what ended."""
SERVICES: tuple[Resource, ...] = (
    {"text": "Food boxes"},
    {"coding": [{"system": "https://enlace.example.org/fhir/CodeSystem/cs-service", "code": "day-habilitation"}]},
)
OFFERED = {"restriction": {"recipient": [ref(CBO1), ref(CBO2)]}}
ANSWERED = {200, 201, 400, 403, 404, 409, 412, 422, 428}
DESK: list[Desk] = []


class Referrals(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.desk = DESK[-1]
        self.quiet = True
        self.hours = 0
        self.log: list[Any] = []
        """What was sent and answered, for the words of a failure."""

    @initialize(service=st.sampled_from(SERVICES), to=st.sampled_from((PLAN1, PLAN1, CBO1, "")), draft=st.booleans())
    def open(self, service: Resource, to: str, draft: bool) -> None:
        self.desk.run(self._open(service, to, draft and to != ""))

    async def _open(self, service: Resource, to: str, draft: bool) -> None:
        member = await self.desk.member()
        ecm = await self.desk.client("ecm")
        made = await ecm.post("/ServiceRequest", json=request("ServiceRequest/x", member, ECM1, code=service))
        assert made.status_code == 201, made.text
        source = f"ServiceRequest/{made.json()['id']}"
        sent = task("Task/x", member, source, ECM1, to or None, **({} if to else OFFERED))
        sent = {**sent, "status": "draft" if draft else "requested"}
        answer = await ecm.post("/Task", json={name: value for name, value in sent.items() if name != "id"})
        assert answer.status_code == 201, answer.text
        self.turns = Turns(self.desk, member, source, "coding" in service)
        self.log.append((service, to, draft))
        self.quiet = False

    # --- rules ---

    @rule(several=st.lists(ACTS, min_size=1, max_size=4))
    def one_after_the_other(self, several: list[tuple[str, Any]]) -> None:
        for drawn in several:
            self.desk.run(self._one_acts(drawn))

    async def _one_acts(self, drawn: tuple[str, Any]) -> None:
        self.desk.clock.advance(1_000_000)
        act, wanted = await self.turns.planned(drawn)
        got = await act()
        self.log.append((drawn, got))
        self.quiet = False
        assert got in wanted, (wanted, await self._said())

    @rule(several=st.lists(ACTS, min_size=2, max_size=3), works=st.booleans())
    def several_at_once(self, several: list[tuple[str, Any]], works: bool) -> None:
        self.desk.run(self._at_once(several, works))

    async def _at_once(self, several: list[tuple[str, Any]], works: bool) -> None:
        self.desk.clock.advance(1_000_000)
        planned = [await self.turns.planned(one) for one in several]
        working = [self.desk.drain()] if works else []
        answers = await asyncio.gather(*(act() for act, _ in planned), *working)
        self.log.append((several, works, answers))
        self.quiet = False
        assert {*answers} <= {*ANSWERED, None}, await self._said()

    @rule(pairs=st.lists(MOVES, min_size=2, max_size=2), whole=st.booleans())
    def a_bundle_of_two(self, pairs: list[tuple[str, Any]], whole: bool) -> None:
        self.desk.run(self._bundle_of_two([one for _, one in pairs], "transaction" if whole else "batch"))

    async def _bundle_of_two(self, pairs: list[Any], kind: str) -> None:
        """In a transaction both, or none."""
        self.desk.clock.advance(1_000_000)
        before = await self.turns.world()
        who, entries, wanted = await self.turns.bundle(before, pairs)
        status, each = await acts.bundle(await self.desk.client(who), kind, *entries)
        self.log.append((kind, who, pairs, status, each))
        self.quiet = False
        if kind == "batch" or {*wanted} == {200}:
            assert status == 200 and {*each} <= {*wanted}, (wanted, await self._said())
        else:
            assert status in {*wanted} - {200}, (wanted, await self._said())
            after = await self.turns.world()
            assert all(after.referrals[name].body == one.body for name, one in before.referrals.items())

    @rule()
    def the_worker_runs(self) -> None:
        self.desk.run(self.desk.drain())

    @rule(hours=st.sampled_from((5, 30, 24 * 16)))
    def time_passes(self, hours: int) -> None:
        if self.hours + hours <= MOST_HOURS:
            self.hours += hours
            self.desk.clock.advance(hours * HOUR_US)
            self.desk.run(self.desk.store.commit(Change(jobs=[Job("timer.due", {})])))
            self.quiet = False

    @rule()
    def nothing_waits(self) -> None:
        self.desk.run(self._check())

    def teardown(self) -> None:
        if hasattr(self, "turns"):
            self.desk.run(self._check())

    async def _said(self) -> Any:
        return (await self.turns.world()).said(), self.log

    # --- what holds when nobody is at work ---

    async def _check(self) -> None:
        if self.quiet:
            return
        await self.desk.drain()
        world = await self.turns.world()
        store = self.desk.store
        failed = await store.fetch("SELECT kind, last_error FROM job WHERE last_error <> ''")
        assert not failed, [tuple(row) for row in failed]
        for name in world.referrals:
            await self._check_history(name)
        items = self._items(world)
        faults = model.standing_faults(world.referrals, world.requests, items)
        assert not faults, (faults, await self._said())
        self._check_closed_loop(world)
        await self._check_clocks(world)
        await self._check_sight(world)
        await self._check_nothing_new(world)
        self.quiet = True

    async def _check_history(self, name: str) -> None:
        store = self.desk.store
        found = await read.history(store, "Task", name[5:], EVERYTHING, limit=200)
        versions = [orjson.loads(one.body or b"{}") for one in reversed(found)]
        faults = model.history_faults(versions)
        assert not faults, (name, faults)
        sql = "SELECT kind, was, status FROM referral_event WHERE task = ? AND kind IN ('opened', 'moved') ORDER BY vid"
        told = [tuple(row) for row in await store.fetch(sql, (name[5:],))]
        assert told == model.facts_of(versions), (name, told)

    def _items(self, world: World) -> set[str]:
        found = set()
        for one in world.others:
            codes = {c.get("code") for c in (one.get("code") or {}).get("coding", ())}
            focus = one.get("focus", {}).get("reference", "")
            if "re-route" in codes and one["status"] == "requested" and focus in world.referrals:
                found |= {focus, world.referrals[focus].parent}
        return found

    def _check_closed_loop(self, world: World) -> None:
        for name, one in world.referrals.items():
            code = model.coded(one.body, "businessStatus", "/clr-referral-status")
            if self.turns.calaim and one.owner != PLAN1 and one.status in model.CLOSED_LOOP:
                assert code in model.CLOSED_LOOP[one.status], (name, one.status, code)
            elif not self.turns.calaim:
                assert code == "", name
            why = model.coded(one.body, "statusReason", "/clr-closure-reason")
            if self.turns.calaim and one.status != "entered-in-error":  # it may have been closed before
                assert bool(why) == (one.status in ("completed", "cancelled", "failed")), (name, one.status, why)

    async def _check_clocks(self, world: World) -> None:
        sql = "SELECT subject, kind FROM timer WHERE patient = ? AND state = 'running' AND kind LIKE 'referral-%'"
        running: dict[str, set[str]] = {}
        for subject, kind in await self.desk.store.fetch(sql, (self.turns.member,)):
            running.setdefault(subject, set()).add(kind)
        for name, one in world.referrals.items():
            kinds = running.get(name, set())
            assert one.status in OPEN or not kinds, (name, one.status, kinds)
            assert one.status == "requested" or "referral-acknowledge" not in kinds, (name, one.status)

    async def _check_sight(self, world: World) -> None:
        bodies: dict[str, Resource] = {}
        for who in PARTIES:
            client = await self.desk.client(who)
            for rtype in ("Task", "ServiceRequest"):
                named = world.referrals if rtype == "Task" else world.requests
                ids = ",".join(name.partition("/")[2] for name in named)
                answer = await client.get(f"/{rtype}?_id={ids}&_count=200")
                assert answer.status_code == 200, answer.text
                found = {f"{rtype}/{e['resource']['id']}": e["resource"] for e in answer.json().get("entry", ())}
                if rtype == "Task":
                    seen = {n for n, one in world.referrals.items() if world.sees(who, one)}
                    assert found.keys() == seen, (who, found.keys(), await self._said())
                    for name in seen:
                        assert bodies.setdefault(name, found[name]) == found[name], name
                else:
                    about = {one.focus for one in world.referrals.values() if world.sees(who, one)}
                    own = {n for n, b in world.requests.items() if b["requester"]["reference"] == PARTIES[who][1]}
                    wanted = {*world.requests} if who in ("ecm", "plan") else about | own
                    assert found.keys() == wanted, (who, found.keys(), await self._said())

    async def _check_nothing_new(self, world: World) -> None:
        """Every job once more: what stands follows from what stands."""
        jobs = [Job("referral.mirror", {"task": name}) for name in world.referrals]
        jobs += [Job("referral.cascade", {"task": name}) for name in world.referrals]
        jobs += [Job(f"referral.{kind}", {"request": name}) for name in world.requests for kind in ("coupled", "rule")]
        if self.turns.calaim:
            providers = [name for name, one in world.referrals.items() if one.owner != PLAN1]
            jobs += [Job("calaim.reroute", {"task": name}) for name in providers]
        await self.desk.store.commit(Change(jobs=jobs))
        await self.desk.drain()
        after = await self.turns.world()
        versions = {n: o.version for n, o in world.referrals.items()}
        assert {n: o.version for n, o in after.referrals.items()} == versions, await self._said()
        assert after.requests == world.requests and after.others == world.others, await self._said()


@pytest.mark.timeout(3600 if DEEP else 120)
def test_the_law_of_referrals(database_url: str, clock: FrozenClock, tmp_path: Path) -> None:
    desk = Desk(database_url, clock, tmp_path / "secret.key")
    desk.run(desk.open())
    DESK.append(desk)
    try:
        run_state_machine_as_test(
            Referrals,
            settings=settings(
                max_examples=EXAMPLES,
                stateful_step_count=STEPS,
                deadline=None,
                derandomize=not DEEP,
                database=None,
                phases=(Phase.generate,),
                suppress_health_check=list(HealthCheck),
            ),
        )
    finally:
        DESK.remove(desk)
        desk.run(desk.close())
        desk.loop.close()
