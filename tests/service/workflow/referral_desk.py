"""The service that the machine of referrals acts on, its parties, and what is stored of a member past all rights."""

import asyncio
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

import httpx
import orjson

from service.access.context import Settings as Behaviour
from service.main import build
from service.settings import load
from service.store.engine import Store, open_store
from service.worker import Worker
from tests.frozen_clock import FrozenClock
from tests.service.workflow import referral_model as model
from tests.service.workflow.referral_model import Referral, Resource
from tests.service.world import (
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
)

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
HOUR_US = 3_600_000_000


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

    def said(self) -> list[tuple[Any, ...]]:
        """For the words of a failure."""
        tasks = [(n[-4:], o.status, o.owner, o.parent[-4:], o.focus[-4:]) for n, o in self.referrals.items()]
        return [*tasks, *((name[-4:], one["status"]) for name, one in self.requests.items())]

    def about(self, request_: str) -> list[Referral]:
        return [one for one in self.referrals.values() if one.focus == request_]

    def sees(self, name: str, one: Referral) -> bool:
        """The plan and the ECM provider have the member; an organization sees what it is sent, or offered."""
        if name not in ("one", "two"):
            return name != "stranger"
        return model.party_to(one, PARTIES[name][1], [*self.referrals.values()])


async def stored(desk: Desk, member: str) -> World:
    """The Tasks and ServiceRequests of a member, oldest version first."""
    store = desk.store
    rows = await store.fetch(
        "SELECT v.body FROM resource r JOIN version v ON v.vid = r.vid WHERE r.patient = ? "
        "AND r.rtype IN ('Task', 'ServiceRequest') ORDER BY r.rtype, r.fhir_id",
        (store.keys.resource(member),),
    )
    bodies = [orjson.loads(row[0]) for row in rows]
    requests = {f"ServiceRequest/{one['id']}": one for one in bodies if one["resourceType"] == "ServiceRequest"}
    return World([one for one in bodies if one["resourceType"] == "Task"], requests)
