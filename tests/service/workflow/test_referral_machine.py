"""The law of referrals as a state machine: chance draws who does what by which way, a model says what must come of it.

A requester, a plan that coordinates, two organizations that are offered or sent the work, and one that has nothing to do
with it. What the model (referral_model.py) says is written apart from the service's tables. After each quiet moment:
histories, facts, clocks, what each party finds, and that every job says nothing new when it runs once more.
"""

import asyncio
import os
from collections.abc import Awaitable, Callable, Coroutine
from pathlib import Path
from typing import Any

import httpx
import orjson
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from service.access.context import Settings as Behaviour
from service.main import build
from service.search.restriction import EVERYTHING
from service.settings import load
from service.store import read
from service.store.change import Change, Job
from service.store.engine import Store, open_store
from service.worker import Worker
from tests.frozen_clock import FrozenClock
from tests.service.workflow import referral_acts as acts
from tests.service.workflow import referral_model as model
from tests.service.workflow.referral_model import OPEN, Referral, Resource
from tests.service.world import (
    BASE,
    CBO1,
    CBO2,
    ECM1,
    ECM2,
    PLAN1,
    access_token,
    build_world,
    coverage,
    episode,
    patient,
    put,
    ref,
    request,
    task,
)

DEEP = bool(os.environ.get("ENLACE_TEST_DEEP"))
EXAMPLES, STEPS = (60, 40) if DEEP else (6, 12)
PARTIES = {
    "ecm": ("ecm-provider", ECM1),
    "plan": ("mcp", PLAN1),
    "one": ("cbo", CBO1),
    "two": ("cbo", CBO2),
    "stranger": ("ecm-provider", ECM2),
}
BY_ORGANIZATION = {organization: name for name, (_, organization) in PARTIES.items()}
SERVICES: tuple[Resource, ...] = (
    {"text": "Food boxes"},
    {"coding": [{"system": "https://enlace.example.org/fhir/CodeSystem/cs-service", "code": "day-habilitation"}]},
)
OFFERED = {"restriction": {"recipient": [ref(CBO1), ref(CBO2)]}}
DONE = {"type": {"text": "done"}, "valueString": "done"}
ASKED = {"coding": [{"system": "http://hl7.org/fhir/us/bser/CodeSystem/TaskBusinessStatusCS", "code": "5.2"}]}
ANSWERED = {200, 201, 400, 403, 404, 409, 412, 422}
HOUR_US = 3_600_000_000
Act = Callable[[], Awaitable[int]]
Expected = set[int]


class Desk:
    """One service for all examples; each example has a member of its own."""

    def __init__(self, url: str, clock: FrozenClock, key: Path):
        self.url, self.clock, self.key = url, clock, key
        self.loop = asyncio.new_event_loop()
        self.members = 0
        self._clients: dict[str, tuple[int, httpx.AsyncClient]] = {}

    def run(self, work: Coroutine[Any, Any, Any]) -> Any:
        return self.loop.run_until_complete(work)

    async def open(self) -> None:
        self.store: Store = await open_store(self.url, self.clock)
        await build_world(self.store)
        named = {"ENLACE_DATABASE_URL": self.store.url, "ENLACE_SECRET_KEY_FILE": str(self.key)}
        self.app = build(self.store, load(named | {"ENLACE_CLIENT_RATE": "0"}))

    async def close(self) -> None:
        for _, client in self._clients.values():
            await client.aclose()
        await self.store.close()

    async def client(self, name: str) -> httpx.AsyncClient:
        """With a token of this day: the machine lets time pass."""
        day = self.clock.now_us() // (12 * HOUR_US)
        if self._clients.get(name, (0,))[0] != day:
            headers = {"Authorization": f"Bearer {await access_token(self.store, *PARTIES[name])}"}
            transport = httpx.ASGITransport(self.app)
            made = httpx.AsyncClient(transport=transport, base_url="http://test/fhir", headers=headers)
            self._clients[name] = (day, made)
        return self._clients[name][1]

    async def member(self) -> str:
        self.members += 1
        number = self.members
        who = f"Patient/m{number}"
        await put(self.store, patient(who), coverage(f"Coverage/m{number}", who, PLAN1))
        await put(self.store, episode(f"EpisodeOfCare/m{number}", who, ECM1))
        return who

    async def drain(self) -> None:
        await Worker(self.store, Behaviour()).drain()


class World:
    """What is stored of a member, read past all rights."""

    def __init__(self, tasks: list[Resource], requests: dict[str, Resource]):
        self.requests = requests
        self.referrals = {
            f"Task/{one['id']}": Referral(one, str(requests[one["focus"]["reference"]]["status"]))
            for one in tasks
            if one.get("focus", {}).get("reference", "") in requests
        }
        self.others = [one for one in tasks if f"Task/{one['id']}" not in self.referrals]

    def about(self, request_: str) -> list[Referral]:
        return [one for one in self.referrals.values() if one.focus == request_]

    def sees(self, name: str, one: Referral) -> bool:
        """The plan and the ECM provider have the member; an organization sees what it is a party to."""
        organization = PARTIES[name][1]
        return name in ("ecm", "plan") or (name != "stranger" and model.party_to(one, organization))


DESK: Desk


class Referrals(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.desk = DESK
        self.quiet = True

    # --- what stands ---

    async def world(self) -> World:
        store = self.desk.store
        rows = await store.fetch(
            "SELECT r.rtype, v.body FROM resource r JOIN version v ON v.vid = r.vid WHERE r.patient = ? "
            "AND r.rtype IN ('Task', 'ServiceRequest') ORDER BY v.vid",
            (store.keys.resource(self.member),),
        )
        bodies = [orjson.loads(row[1]) for row in rows]
        requests = {f"ServiceRequest/{b['id']}": b for b in bodies if b["resourceType"] == "ServiceRequest"}
        return World([b for b in bodies if b["resourceType"] == "Task"], requests)

    @initialize(service=st.sampled_from(SERVICES), to=st.sampled_from((PLAN1, PLAN1, CBO1, "")), draft=st.booleans())
    def open(self, service: Resource, to: str, draft: bool) -> None:
        self.desk.run(self._open(service, to, draft and to != ""))

    async def _open(self, service: Resource, to: str, draft: bool) -> None:
        self.member = await self.desk.member()
        ecm = await self.desk.client("ecm")
        made = await ecm.post("/ServiceRequest", json=request("ServiceRequest/x", self.member, ECM1, code=service))
        assert made.status_code == 201, made.text
        self.source = f"ServiceRequest/{made.json()['id']}"
        self.calaim = "coding" in service
        sent = task("Task/x", self.member, self.source, ECM1, to or None, **({} if to else OFFERED))
        sent = {**sent, "status": "draft" if draft else "requested"}
        answer = await ecm.post("/Task", json={name: value for name, value in sent.items() if name != "id"})
        assert answer.status_code == 201, answer.text
        self.quiet = False

    # --- acts: (what is sent, which answers the model allows) ---

    def move(self, world: World, draw: tuple[int, int, str, str, str]) -> tuple[Act, Expected]:
        nth, pick, who, way, how = draw
        one = self._one(world, nth)
        nexts = [*model.MOVES.get(one.status, {})]
        new = nexts[pick % len(nexts)] if nexts and pick < 9 else model.STATUSES[pick % len(model.STATUSES)]
        if who == "right":
            by = model.MOVES.get(one.status, {}).get(new, "r")
            who = BY_ORGANIZATION.get(one.owner or CBO1 if by[-1] == "t" else one.requester, "ecm")
        changes: Resource = {"status": new}
        if how != "bare" and (new in model.SAYS_WHY or how == "much"):
            changes["statusReason"] = {"text": f"because {new}"}
        if how != "bare" and (new == "completed" or how == "much"):
            changes["output"] = [*one.body.get("output", ()), DONE]
        if not one.owner and new == "accepted" and who in ("one", "two") and how != "bare":
            changes["owner"] = ref(PARTIES[who][1])
        if one.asked and new in ("rejected", "failed", "completed"):
            changes["businessStatus"] = {"text": "answered"}
        match = how if how in ("stale", "none") else "good"
        tag = {"good": f'W/"{one.version}"', "stale": f'W/"{one.version + 1}"', "none": ""}[match]
        wanted = model.moved(one, PARTIES[who][1], world.sees(who, one), changes, match)

        async def act() -> int:
            return await acts.write(await self.desk.client(who), way, one.body, changes, tag)

        return act, {wanted}

    def link(self, world: World, draw: tuple[int, str, str, bool]) -> tuple[Act, Expected]:
        nth, who, code, stale = draw
        one = self._one(world, nth)
        to = acts.BY_CODE[code].to
        changes: Resource = {"status": to, "note": [*one.body.get("note", ()), {"text": "new"}]}
        if to in model.SAYS_WHY:
            changes["statusReason"] = {"text": "said"}
        if to == "completed":
            changes["output"] = [*one.body.get("output", ()), DONE]
        if not one.owner:
            changes["owner"] = ref(PARTIES[who][1])
        match = "stale" if stale else "good"
        wanted = {model.moved(one, PARTIES[who][1], world.sees(who, one), changes, match)}
        if one.asked:  # a page drops no business status
            wanted |= {422}
        if not world.sees(who, one) or stale:
            wanted |= {403, 404, 412, 422}  # a Procedure for a request that one does not see is refused first

        async def act() -> int:
            request_ = world.requests[one.focus]
            return await acts.by_link(
                self.desk.store, PARTIES[who][1], one.body, request_, one.version + int(stale), code
            )

        return act, wanted

    def ask(self, world: World, draw: tuple[int]) -> tuple[Act, Expected]:
        """The requester asks to cancel."""
        one = self._one(world, draw[0])
        who = BY_ORGANIZATION.get(one.requester, "ecm")
        others = [c for c in (one.body.get("businessStatus") or {}).get("coding", ()) if "bser" not in c["system"]]
        changes = {"status": one.status, "businessStatus": {"coding": [*others, *ASKED["coding"]]}}

        async def act() -> int:
            return await acts.write(await self.desk.client(who), "put", one.body, changes, f'W/"{one.version}"')

        return act, {200 if one.asked or one.status in OPEN else 422}

    def request(self, world: World, draw: tuple[int, str, str]) -> tuple[Act, Expected]:
        nth, who, new = draw
        name = sorted(world.requests)[nth % len(world.requests)]
        body = world.requests[name]
        owner = BY_ORGANIZATION[body["requester"]["reference"]]
        who = owner if who == "right" else who
        sees = who in ("ecm", "plan")
        if who == owner:
            wanted = {model.request_moved(str(body["status"]), new, world.about(name))}
        else:
            wanted = {403} if who in ("one", "two") or sees else {404}
        tag = f'W/"{body["meta"]["versionId"]}"'

        async def act() -> int:
            return await acts.write(await self.desk.client(who), "put", body, {"status": new}, tag)

        return act, wanted

    def refer(self, world: World, draw: tuple[str, str]) -> tuple[Act, Expected]:
        who, to = draw
        busy = any(o.owner == to and o.status in (*OPEN, "draft") for o in world.about(self.source))
        active = world.requests[self.source]["status"] == "active"
        party = any(o.focus == self.source and world.sees(who, o) for o in world.referrals.values())
        wanted = {201 if active and not busy else 422} if who == "ecm" else {403, 422}
        wanted = {404} if not party else wanted
        values = [("target", "valueReference", to)] if to else [("candidate", "valueReference", one) for one in (CBO1, CBO2)]

        async def act() -> int:
            return await acts.operation(await self.desk.client(who), f"/{self.source}/$refer", *values)

        return act, wanted

    def forward(self, world: World, draw: tuple[int, str, bool, bool, bool]) -> tuple[Act, Expected]:
        nth, who, both, first, other = draw
        one = self._one(world, nth)
        below = [o for o in world.referrals.values() if o.parent == f"Task/{one.body['id']}"]
        if who in ("one", "two"):
            wanted = {403}
        elif not world.sees(who, one):
            wanted = {404}
        elif PARTIES[who][1] != one.owner:
            wanted = {403}
        elif one.status not in OPEN or one.request != "active":
            wanted = {422}
        else:
            wanted = {201} if not below else {201, 422}
        values = [("target", "valueReference", o) for o in ((CBO1, CBO2) if both else (CBO2 if other else CBO1,))]
        values.append(("policy", "valueCode", "first-completes" if first else "all-complete"))

        async def act() -> int:
            path = f"/Task/{one.body['id']}/$forward"
            return await acts.operation(await self.desk.client(who), path, *values)

        return act, wanted

    def authorize(self, world: World, draw: tuple[int, str, str, bool]) -> tuple[Act, Expected]:
        nth, who, outcome, said = draw
        one = self._one(world, nth)
        before = model.coded(one.body, "businessStatus", "/authorization-outcome")
        wanted = model.authorized(one, outcome, said, before) if self.calaim and one.owner == PLAN1 else 422
        if who != "plan":
            wanted = 403
        elif not said and outcome != "approved":
            wanted = 400
        values = [("outcome", "valueCode", outcome), *([("reason", "valueString", "Our reason")] if said else ())]
        if outcome == "approved":
            values += [("number", "valueString", "A-1"), ("period", "valuePeriod", {"start": "2026-03-01", "end": "2026-09-01"})]

        async def act() -> int:
            return await acts.operation(await self.desk.client(who), f"/Task/{one.body['id']}/$authorize", *values)

        return act, {wanted}

    def hand_off(self, world: World, draw: tuple[int, str]) -> tuple[Act, Expected]:
        nth, who = draw
        one = self._one(world, nth)
        party = PARTIES[who][1] in (one.owner, one.requester)
        wanted = 404 if not world.sees(who, one) else 403 if not party else 200 if one.status in OPEN else 422
        values = [("participant", "valueReference", self.member), ("participant", "valueReference", CBO1),
                  ("accepted-by", "valueReference", CBO1)]  # fmt: skip

        async def act() -> int:
            return await acts.operation(await self.desk.client(who), f"/Task/{one.body['id']}/$hand-off", *values)

        return act, {wanted}

    def _one(self, world: World, nth: int) -> Referral:
        return list(world.referrals.values())[nth % len(world.referrals)]

    async def _planned(self, drawn: tuple[str, Any]) -> tuple[Act, Expected]:
        found: tuple[Act, Expected] = getattr(self, drawn[0])(await self.world(), drawn[1])
        return found

    # --- rules ---

    @rule(drawn=st.deferred(lambda: ACTS))
    def one_acts(self, drawn: tuple[str, Any]) -> None:
        self.desk.run(self._one_acts(drawn))

    async def _one_acts(self, drawn: tuple[str, Any]) -> None:
        self.desk.clock.advance(1_000_000)
        act, wanted = await self._planned(drawn)
        got = await act()
        assert got in wanted, (drawn, got, wanted)
        self.quiet = False

    @rule(several=st.lists(st.deferred(lambda: ACTS), min_size=2, max_size=3), works=st.booleans())
    def several_act_at_once(self, several: list[tuple[str, Any]], works: bool) -> None:
        self.desk.run(self._several(several, works))

    async def _several(self, several: list[tuple[str, Any]], works: bool) -> None:
        self.desk.clock.advance(1_000_000)
        planned = [await self._planned(one) for one in several]
        working = [self.desk.drain()] if works else []
        answers = await asyncio.gather(*(act() for act, _ in planned), *working)
        wrong = [one for one in answers if one is not None and one not in ANSWERED]
        assert not wrong, (several, answers)
        self.quiet = False

    @rule(pairs=st.lists(st.deferred(lambda: MOVES), min_size=2, max_size=2), whole=st.booleans())
    def a_bundle_of_two(self, pairs: list[tuple[str, Any]], whole: bool) -> None:
        self.desk.run(self._bundle_of_two([one for _, one in pairs], "transaction" if whole else "batch"))

    async def _bundle_of_two(self, pairs: list[Any], kind: str) -> None:
        """One party moves two of its referrals: in a transaction both, or none."""
        self.desk.clock.advance(1_000_000)
        world = await self.world()
        who = BY_ORGANIZATION.get(self._one(world, pairs[0][0]).owner, "ecm")
        entries, wanted = [], []
        for nth, pick, _, _, _ in {draw[0] % len(world.referrals): draw for draw in pairs}.values():
            one = self._one(world, nth)
            nexts = [*model.MOVES.get(one.status, {"entered-in-error": "r"})]
            changes: Resource = {"status": nexts[pick % len(nexts)], "statusReason": {"text": "both"}}
            if changes["status"] == "completed":
                changes["output"] = [*one.body.get("output", ()), DONE]
            if one.asked:
                changes["businessStatus"] = {"text": "answered"}
            entries.append(acts.entry(one.body, changes, f'W/"{one.version}"'))
            wanted.append(model.moved(one, PARTIES[who][1], world.sees(who, one), changes, "good"))
        status, each = await acts.bundle(await self.desk.client(who), kind, *entries)
        if kind == "batch":
            assert (status, each) == (200, wanted), (status, each, wanted)
        else:
            assert status == 200 if {*wanted} == {200} else status in {*wanted} - {200}, (status, wanted)
            if status != 200:
                after = await self.world()
                assert {n: o.body for n, o in after.referrals.items()} == {n: o.body for n, o in world.referrals.items()}
        self.quiet = False

    @rule()
    def the_worker_runs(self) -> None:
        self.desk.run(self.desk.drain())

    @rule(hours=st.sampled_from((5, 30, 24 * 16)))
    def time_passes(self, hours: int) -> None:
        self.desk.clock.advance(hours * HOUR_US)
        self.desk.run(self.desk.store.commit(Change(jobs=[Job("timer.due", {})])))
        self.quiet = False

    @rule()
    def nothing_waits(self) -> None:
        self.desk.run(self._check())

    def teardown(self) -> None:
        if hasattr(self, "member"):
            self.desk.run(self._check())

    # --- what holds ---

    async def _check(self) -> None:
        if self.quiet:
            return
        await self.desk.drain()
        world = await self.world()
        store = self.desk.store
        failed = await store.fetch("SELECT kind, last_error FROM job WHERE last_error <> ''")
        assert not failed, [tuple(row) for row in failed]
        for name in world.referrals:
            await self._check_history(name)
        items = self._items(world)
        faults = model.standing_faults(world.referrals, world.requests, items)
        assert not faults, faults
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
        sql = "SELECT kind, was, status FROM referral_event WHERE task = ? AND kind IN ('opened', 'moved') ORDER BY vid, id"
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
            if self.calaim and one.owner != PLAN1 and one.status in model.CLOSED_LOOP:
                assert code in model.CLOSED_LOOP[one.status], (name, one.status, code)
            elif not self.calaim:
                assert code == "", name
            why = model.coded(one.body, "statusReason", "/clr-closure-reason")
            assert bool(why) == (self.calaim and one.status in ("completed", "cancelled", "failed")) or not self.calaim

    async def _check_clocks(self, world: World) -> None:
        sql = "SELECT subject, kind FROM timer WHERE patient = ? AND state = 'running' AND kind LIKE 'referral-%'"
        running: dict[str, set[str]] = {}
        for subject, kind in await self.desk.store.fetch(sql, (self.member,)):
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
                answer = await client.get(f"/{rtype}?patient={self.member}&_count=200")
                if who == "stranger" and answer.status_code in (400, 404):
                    continue
                assert answer.status_code == 200, answer.text
                found = {f"{rtype}/{e['resource']['id']}": e["resource"] for e in answer.json().get("entry", ())}
                if rtype == "Task":
                    seen = {n for n, one in world.referrals.items() if world.sees(who, one)}
                    assert found.keys() & world.referrals.keys() == seen, (who, found.keys(), seen)
                    for name in seen:
                        assert bodies.setdefault(name, found[name]) == found[name], name
                else:
                    about = {one.focus for one in world.referrals.values() if world.sees(who, one)}
                    own = {n for n, b in world.requests.items() if b["requester"]["reference"] == PARTIES[who][1]}
                    wanted = {*world.requests} if who in ("ecm", "plan") else about | own
                    assert found.keys() == wanted, (who, found.keys(), wanted)

    async def _check_nothing_new(self, world: World) -> None:
        """Every job once more: what stands follows from what stands."""
        jobs = [Job("referral.mirror", {"task": name}) for name in world.referrals]
        jobs += [Job("referral.cascade", {"task": name}) for name in world.referrals]
        jobs += [Job(f"referral.{kind}", {"request": name}) for name in world.requests for kind in ("coupled", "rule")]
        if self.calaim:
            jobs += [Job("calaim.reroute", {"task": name}) for name in world.referrals]
        await self.desk.store.commit(Change(jobs=jobs))
        await self.desk.drain()
        after = await self.world()
        versions = {n: o.version for n, o in world.referrals.items()}
        assert {n: o.version for n, o in after.referrals.items()} == versions
        assert after.requests == world.requests and after.others == world.others


def _several(*names: Any) -> st.SearchStrategy[Any]:
    return st.tuples(*(one if isinstance(one, st.SearchStrategy) else st.sampled_from(one) for one in names))


NTH = st.integers(0, 5)
WHO = ("right", "right", "right", "right", *PARTIES)
HOW = ("good", "good", "good", "good", "much", "bare", "stale", "none")
MOVES = st.tuples(st.just("move"), _several(NTH, st.integers(0, 18), WHO, (*acts.WAYS, "batch", "transaction"), HOW))
CBOS = ("one", "two")
ACTS = st.one_of(
    MOVES,
    MOVES,
    MOVES,
    st.tuples(st.just("link"), _several(NTH, CBOS, tuple(acts.BY_CODE), (False, False, True))),
    st.tuples(st.just("ask"), st.tuples(NTH)),
    st.tuples(st.just("request"), _several(NTH, ("right", "right", *PARTIES), ("active", "on-hold", "active", "on-hold",
              "revoked", "completed", "entered-in-error"))),
    st.tuples(st.just("refer"), _several(("ecm", "ecm", *PARTIES), (CBO1, CBO2, PLAN1, ""))),
    st.tuples(st.just("forward"), _several(NTH, ("plan", "plan", "plan", *PARTIES), st.booleans(), st.booleans(), st.booleans())),
    st.tuples(st.just("authorize"), _several(NTH, ("plan", "plan", *PARTIES),
              ("approved", "approved", "denied", "pended", "withdrawn"), (True, True, False))),
    st.tuples(st.just("hand_off"), _several(NTH, tuple(PARTIES))),
)  # fmt: skip


def test_the_law_of_referrals(database_url: str, clock: FrozenClock, tmp_path: Path) -> None:
    global DESK
    DESK = Desk(database_url, clock, tmp_path / "secret.key")
    DESK.run(DESK.open())
    try:
        run_state_machine_as_test(
            Referrals,
            settings=settings(
                max_examples=int(os.environ.get("EX", EXAMPLES)),
                stateful_step_count=int(os.environ.get("ST", STEPS)),
                deadline=None,
                derandomize=not DEEP,
                database=None,
                suppress_health_check=list(HealthCheck),
            ),
        )
    finally:
        DESK.run(DESK.close())
        DESK.loop.close()
