"""Referrals move through accept, forward, complete by REST while API and workers are killed: nothing acknowledged is
lost, parents mirror their parts, the facts are the history, each notice goes out once, no clock runs on.

10 referrals and a kill, 500 and 20 with ENLACE_TEST_DEEP; ENLACE_TEST_SEED repeats a run. What must come of a referral
stands in WAYS, told without the tables of the service.
"""

import os
import queue
import random
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import httpx
import pytest

from service.store.engine import Store
from tests.scenarios.adt_truth import check_audit, check_jobs, resources
from tests.scenarios.harness import ROSA, Member, Service, look, put, put_members, rows, running, write_world
from tests.scenarios.referral_truth import check_clocks, check_facts, check_histories, check_told_once
from tests.service.world import access_token, make

POSTGRESQL_IN_DEEP = True
DEEP = bool(os.environ.get("ENLACE_TEST_DEEP"))
REFERRALS, KILLS = (500, 20) if DEEP else (10, 1)
MOVERS, MEMBERS = (8, 25) if DEEP else (4, 4)
SERVICE = "https://enlace.example.org/fhir/CodeSystem/cs-service"
NUMBER = "https://north.example.org/referrals"
DONE = {"output": [{"type": {"text": "result"}, "valueString": "done"}]}
WHY = {"statusReason": {"text": "a made-up reason"}}
NEEDS: dict[str, dict[str, Any]] = {"completed": DONE, "rejected": WHY, "failed": WHY, "on-hold": WHY, "cancelled": WHY}


@dataclass(frozen=True)
class Way:
    """steps: of who provides it, in order. then: what the requester does at last. parent: how the forwarded Task ends;
    request: how the ServiceRequest of the coordinator does. item: whether the coordinator is asked to find another."""

    steps: tuple[str, ...]
    then: str = ""
    parent: str = ""
    request: str = "active"
    item: bool = False


WAYS = (
    Way(("accepted", "in-progress", "completed"), "", "completed", "completed"),
    Way(("accepted", "on-hold", "in-progress"), "", "in-progress"),
    Way(("rejected",), "", "requested", item=True),
    Way(("accepted", "failed"), "", "on-hold", item=True),
    Way(("accepted", "in-progress"), "cancelled", "cancelled", "revoked"),
)


@dataclass
class Moved:
    """One referral on its way. task: of the requester. part: of the coordinator, where it was forwarded."""

    number: int
    member: str
    way: Way
    forwarded: bool
    request: str = ""
    task: str = ""
    part: str = ""

    @property
    def last(self) -> str:
        return self.part or self.task


@dataclass
class Load:
    """Movers that end when all is done. acked: (reference, versionId, status) of each answer 2xx."""

    service: Service
    tokens: dict[str, str]
    referrals: list[Moved]
    acked: list[tuple[str, int, str]] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)
    waiting: "queue.Queue[Moved]" = field(default_factory=queue.Queue)
    trusted: Any = field(default_factory=httpx.create_ssl_context)
    """Made anew for each request it takes the processor from the processes that start."""

    def ask(self, who: str, method: str, path: str, **more: Any) -> httpx.Response | None:
        """None where nothing is known of what became of it."""
        headers = {"Authorization": f"Bearer {self.tokens[who]}", "Content-Type": "application/fhir+json"}
        headers |= more.pop("headers", {})
        try:
            url = f"{self.service.base}/fhir/{path}"
            answer = httpx.request(method, url, headers=headers, timeout=20, verify=self.trusted, **more)
        except httpx.TransportError:
            time.sleep(0.2)
            return None
        if answer.status_code in (503, 502):
            time.sleep(0.2)
            return None
        return answer

    def told(self, answer: httpx.Response) -> dict[str, Any]:
        body: dict[str, Any] = answer.json()
        self.acked.append((f"{body['resourceType']}/{body['id']}", int(body["meta"]["versionId"]), body["status"]))
        return body

    def create(self, body: dict[str, Any]) -> str:
        """Once, whatever is lost: by its number."""
        value = body["identifier"][0]["value"]
        while True:
            asked = {"If-None-Exist": f"identifier={NUMBER}|{value}"}
            answer = self.ask("north", "POST", body["resourceType"], json=body, headers=asked)
            if answer is not None:
                assert answer.status_code in (200, 201), answer.text
                return str(self.told(answer)["id"])

    def move(self, who: str, task: str, status: str) -> None:
        """Until the Task stands so; another's write in between is read first."""
        sent = False
        while True:
            answer = self.ask(who, "GET", f"Task/{task}")
            if answer is None:
                continue
            if answer.status_code == 404 and sent and status == "rejected":
                return  # its answer was lost: who rejected a referral sees it no more; the end looks at all of them
            assert answer.status_code == 200, answer.text
            body = answer.json()
            if body["status"] == status:
                return
            wanted = {**body, "status": status, **NEEDS.get(status, {})}
            wanted.pop("statusReason", None) if status not in NEEDS else None
            tag = {"If-Match": answer.headers["etag"]}
            answer, sent = self.ask(who, "PUT", f"Task/{task}", json=wanted, headers=tag), True
            if answer is not None and answer.status_code == 200:
                self.told(answer)
                return
            assert answer is None or answer.status_code in (409, 412), f"{status}: {answer.status_code} {answer.text}"

    def forward(self, task: str) -> str:
        """One part, though an answer may be lost."""
        target = {"name": "target", "valueReference": {"reference": "Organization/pantry"}}
        while True:
            body = {"resourceType": "Parameters", "parameter": [target]}
            answer = self.ask("platform", "POST", f"Task/{task}/$forward", json=body)
            if answer is not None and answer.status_code == 201:
                made = [one["resource"] for one in answer.json()["parameter"] if one["name"] == "task"]
                self.acked.append((f"Task/{made[0]['id']}", 1, "requested"))
                return str(made[0]["id"])
            found = self.ask("platform", "GET", f"Task?part-of=Task/{task}")
            for entry in found.json().get("entry", ()) if found is not None and found.status_code == 200 else ():
                return str(entry["resource"]["id"])

    def refer(self, one: Moved) -> None:
        coding = {"system": SERVICE, "code": "meals-supportive-food"}
        code = {"coding": [coding]} if one.number % 2 else {"text": "Meals"}
        number = [{"system": NUMBER, "value": str(one.number)}]
        request = {"resourceType": "ServiceRequest", "identifier": number, "status": "active", "intent": "order",
                   "subject": {"reference": one.member}, "code": code,
                   "requester": {"reference": "Organization/north"}}  # fmt: skip
        one.request = self.create(request)
        owner = "Organization/platform" if one.forwarded else "Organization/pantry"
        one.task = self.create({
            "resourceType": "Task", "identifier": number, "status": "requested", "intent": "order",
            "code": {"text": "fulfill"}, "focus": {"reference": f"ServiceRequest/{one.request}"},
            "for": {"reference": one.member}, "authoredOn": "2026-03-01T10:00:00Z",
            "requester": {"reference": "Organization/north"}, "owner": {"reference": owner}})  # fmt: skip
        if one.forwarded:
            one.part = self.forward(one.task)
        for status in one.way.steps:
            self.move("pantry", one.last, status)
            time.sleep(random.uniform(0, 0.05))
        if one.way.then:
            self.move("north", one.task, one.way.then)

    def mover(self) -> None:
        while True:
            try:
                one = self.waiting.get_nowait()
            except queue.Empty:
                return
            try:
                self.refer(one)
            except Exception as error:  # told by the test, which would else wait for the thread
                self.failures.append(f"{one.number} {one.way.steps}: {error!r}"[:600])

    def run(self, rng: random.Random) -> None:
        for one in self.referrals:
            self.waiting.put(one)
        movers = [threading.Thread(target=self.mover, daemon=True) for _ in range(MOVERS)]
        for thread in movers:
            thread.start()
        every = sum(2 + one.forwarded + len(one.way.steps) for one in self.referrals) / (KILLS + 1)
        for kill in range(KILLS):
            until = time.monotonic() + 120
            while len(self.acked) < every * (kill + 0.5) and time.monotonic() < until and not self.failures:
                time.sleep(0.01)
            time.sleep(rng.uniform(0, 0.2))
            names = self.service.names
            victims = names if rng.random() < 0.3 else [rng.choice(names)]
            print(f"kill {kill + 1}: {' '.join(victims)} at {len(self.acked)} acknowledged")
            self.service.kill(*victims)
            time.sleep(rng.uniform(0, 0.3))
            self.service.start(*victims)
        for thread in movers:
            thread.join(900 if DEEP else 100)
        assert self.failures == []
        assert not any(thread.is_alive() for thread in movers)


def member(number: int) -> Member:
    surname = "".join(chr(97 + int(digit)) for digit in f"{number:04d}")
    return replace(ROSA, key=f"m{number}", cin=f"95{number:06d}A", family=f"Tarrow{surname}")


async def _world(store: Store) -> dict[str, str]:
    await put(store, *(make(f"Organization/{name}", name=name, active=True) for name in ("platform", "pantry")))
    await put_members(store, [member(number) for number in range(MEMBERS)])
    return {
        "north": await access_token(store, "ecm-provider", "Organization/north"),
        "platform": await access_token(store, "referrer", "Organization/platform"),
        "pantry": await access_token(store, "cbo", "Organization/pantry"),
    }


def _referrals(rng: random.Random) -> Iterator[Moved]:
    for number in range(REFERRALS):
        way = WAYS[number % len(WAYS)] if number < 2 * len(WAYS) else rng.choice(WAYS)
        yield Moved(number, f"Patient/m{number % MEMBERS}", way, number // len(WAYS) % 2 == 0)


@pytest.mark.timeout(3000 if DEEP else 240)
def test_no_step_of_a_referral_is_lost(database_url: str, tmp_path: Path) -> None:
    seed = int(os.environ.get("ENLACE_TEST_SEED", 0)) or random.randrange(1, 1_000_000)
    print(f"seed {seed}: repeat with ENLACE_TEST_SEED={seed}")
    rng = random.Random(seed)
    write_world(database_url)
    tokens = look(database_url, _world)
    two_workers = None if database_url.startswith("sqlite") else (("serve",), ("worker",), ("worker",))
    with running(database_url, tmp_path, parts=two_workers) as service:
        load = Load(service, tokens, list(_referrals(rng)))
        load.run(rng)
        service.drained(600 if DEEP else 120)
        assert "Traceback" not in service.output()
    _check(database_url, load)


def _check(url: str, load: Load) -> None:
    tasks = look(url, lambda store: resources(store, "Task"))
    requests = look(url, lambda store: resources(store, "ServiceRequest"))
    histories = look(url, check_histories)
    for reference, version, status in load.acked:
        assert histories[reference][version - 1] == status, (reference, version, status, histories[reference])
    parts: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for task in tasks.values():
        for whole in task.get("partOf", ()):
            parts[whole["reference"].partition("/")[2]].append(task)
    for one in load.referrals:
        _check_one(one, tasks, requests, parts[one.task])
    referrals = {t["id"] for t in tasks.values() if t.get("focus", {}).get("reference", "").startswith("ServiceReq")}
    assert len(referrals) == len(load.referrals) + sum(one.forwarded for one in load.referrals), "opened twice"
    told = look(url, check_told_once)
    facts, clocks = look(url, check_facts), look(url, check_clocks)
    print(f"{len(load.acked)} acknowledged, {facts} facts, {clocks} clocks run, {told} notices")
    assert told and facts and clocks
    look(url, check_audit)
    look(url, check_jobs)
    dead = rows(url, "SELECT kind, last_error FROM job WHERE state = 'dead'")
    assert dead == []


def _check_one(
    one: Moved, tasks: dict[str, dict[str, Any]], requests: dict[str, dict[str, Any]], below: list[dict[str, Any]]
) -> None:
    """As WAYS says, both sides."""
    ended = one.way.then or one.way.steps[-1]
    if not one.forwarded:
        assert tasks[one.task]["status"] == ended, one
        return
    parts = [task for task in below if task.get("focus", {}).get("reference", "").startswith("ServiceRequest/")]
    assert [task["id"] for task in parts] == [one.part], one
    assert tasks[one.part]["status"] == ended, one
    assert tasks[one.task]["status"] == one.way.parent, (one, tasks[one.task]["status"])
    filler = requests[parts[0]["focus"]["reference"].partition("/")[2]]
    assert filler["basedOn"] == [{"reference": f"ServiceRequest/{one.request}"}]
    assert filler["status"] == one.way.request, (one, filler["status"])
    assert requests[one.request]["status"] == "active", "its requester decides"
    items = Counter(task["status"] for task in below if task not in parts)
    asked = one.way.item and not (one.number % 2 and one.way.steps[-1] == "rejected")  # then calaim_reroute.py asks
    assert items == ({"requested": 1} if asked else {}), (one, items)
