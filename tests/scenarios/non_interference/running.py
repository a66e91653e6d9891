"""Two worlds, one program, two transcripts: where they differ, and the smallest pair and program that still do."""

import asyncio
import base64
import json
import re
from collections.abc import AsyncIterator, Callable, Generator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from random import Random
from typing import Any, NamedTuple

import httpx

from service.main import build
from service.settings import load
from service.store.engine import Store, open_store
from tests.frozen_clock import FrozenClock
from tests.scenarios.non_interference.facts import HIDDEN, SHAPES, Op, Slot, offered, taken
from tests.scenarios.non_interference.programs import Step, program
from tests.service.world import (
    CBO1,
    ECM1,
    ECM2,
    LCM1,
    PLAN1,
    PLAN2,
    access_token,
    build_world,
    change_of,
    condition,
    coverage,
    episode,
    make,
    observation,
    patient,
    put,
    ref,
    request,
    task,
    team,
)  # fmt: skip

SECOND = 1_000_000
Places = Callable[[], Generator[str, None, None]]
Answer = tuple[int, dict[str, str], str]
CALLERS = {
    "ecm-provider": (ECM1, None), "lcm": (ECM1, LCM1), "mcp": (PLAN1, None), "cbo": (CBO1, None),
    "referrer": (ECM1, None), "hospital": (ECM1, None),
}  # fmt: skip
_UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
_MADE = re.compile(
    r'_page=[A-Za-z0-9_%-]+|"id":"[0-9a-f]{16}-\d+[-cd]*"|AuditEvent/[0-9a-f]{16}-\d+|oauth:jti:[0-9a-f]+'
)
_QUERY = re.compile(r'"query":"([A-Za-z0-9+/=]+)"')
IGNORED = {"content-length", "date", "x-request-id"}


class Pair(NamedTuple):
    """seed: of the whole. left, right: slot -> seed of its variant; absent where the world has none of it."""

    role: str
    left: dict[str, int]
    right: dict[str, int]
    steps: tuple[Step, ...]


def made_pair(role: str, seed: str, length: int) -> Pair:
    """Each slot is in one world, in the other, in both as two variants, or in neither."""
    r = Random(f"{role} {seed}")
    left: dict[str, int] = {}
    right: dict[str, int] = {}
    for slot in HIDDEN[role]:
        for side in (left, right):
            if slot.always or r.random() < 0.5:
                side[slot.name] = r.randrange(1 << 30)
    return Pair(role, left, right, program(r, length))


# --- worlds ----------------------------------------------------------------------------------------------------------


async def build_base(url: str) -> None:
    """What both worlds hold: the small world of the tests, more that is ours, and ours that leads to what is hidden."""
    store = await open_store(url, FrozenClock())
    try:
        await build_world(store)
        await put(store, patient("Patient/a2", birthDate="1975-03-04"), coverage("Coverage/a2", "Patient/a2", PLAN1))
        await put(
            store,
            episode("EpisodeOfCare/a2", "Patient/a2", ECM1, LCM1),
            team("CareTeam/a2", "Patient/a2", LCM1, ECM1),
            request("ServiceRequest/a2", "Patient/a2", ECM1),
            task("Task/a2", "Patient/a2", "ServiceRequest/a2", ECM1, CBO1),
            source=ECM1,
        )
        for rtype in ("Goal", "CarePlan", "Encounter", "Communication", "QuestionnaireResponse", "List"):
            body = {**SHAPES[rtype]("Patient/a"), "resourceType": rtype, "id": "a"}
            await put(store, body | ({"recipient": [ref(CBO1)]} if rtype == "Communication" else {}), source=ECM1)
        for number in range(6):
            kilos = {"valueQuantity": {"value": number, "unit": "kg"}, "effectiveDateTime": f"2026-01-0{number + 1}"}
            await put(store, observation(f"Observation/o{number}", "Patient/a", **kilos), source=ECM1)
        await put(
            store,
            observation("Observation/to-h1", "Patient/h1", hasMember=[ref("Observation/h1")]),
            observation("Observation/to-hid", "Patient/a", hasMember=[ref("Observation/hid")]),
            condition("Condition/to-hid", "Patient/a", evidence=[{"detail": [ref("Observation/hid")]}]),
            make("Goal/to-hid", addresses=[ref("Condition/hid")], **SHAPES["Goal"]("Patient/a")),
            task("Task/to-hid", "Patient/a", "ServiceRequest/hid", ECM1, CBO1, partOf=[ref("Task/h1")]),
            request("ServiceRequest/to-h1", "Patient/h1", ECM1),
            source=ECM1,
        )  # fmt: skip
        await put(store, make("Procedure/to-h1", status="completed", subject=ref("Patient/h1")), source=CBO1)
        for name in ("off", "lost"):
            await put(store, request(f"ServiceRequest/{name}", f"Patient/{name}", ECM2), offered(name), source=ECM2)
        await store.commit(change_of(store, taken(), ECM2, 1))
    finally:
        await store.close()


class World:
    """One side: its store, its application, and a client of the caller."""

    def __init__(self, store: Store, clock: FrozenClock, key: Path):
        self.store, self.clock = store, clock
        settings = {"ENLACE_DATABASE_URL": store.url, "ENLACE_SECRET_KEY_FILE": str(key), "ENLACE_CLIENT_RATE": "0"}
        self.app = build(store, load(settings))
        self._clients: dict[str, httpx.AsyncClient] = {}

    async def client(self, role: str, organization: str, person: str | None = None) -> httpx.AsyncClient:
        name = f"{role} {organization} {person}"
        if name not in self._clients:
            token = await access_token(self.store, role, organization, person)
            self._clients[name] = httpx.AsyncClient(
                transport=httpx.ASGITransport(self.app),
                base_url="http://test/fhir",
                headers={"Authorization": f"Bearer {token}"},
            )
        return self._clients[name]

    async def hide(self, slots: Sequence[Slot], chosen: dict[str, int]) -> None:
        """Each slot has its second, whether it is there or not: what is seen bears the same times in both worlds."""
        for slot in slots:
            for at, op in enumerate(slot.made(Random(chosen[slot.name])) if slot.name in chosen else ()):
                self.clock.advance(SECOND * at // 10)
                await self._do(op)
                self.clock.advance(-SECOND * at // 10)
            self.clock.advance(SECOND)

    async def _do(self, op: Op) -> None:
        if op.verb == "put":
            await self.store.commit(change_of(self.store, op.what, op.source, expect=op.version))
            return
        role = {PLAN2: "mcp", ECM2: "ecm-provider"}.get(op.source, "cbo")
        client = await self.client(role, op.source)
        if op.verb == "ask":
            await client.get(f"/{op.what}")
        else:
            await client.delete(f"/{op.what}", headers={"If-Match": 'W/"1"'})

    async def close(self) -> None:
        for client in self._clients.values():
            await client.aclose()
        await self.store.close()


@asynccontextmanager
async def world(url: str, role: str, chosen: dict[str, int], key: Path) -> AsyncIterator[World]:
    clock = FrozenClock()
    clock.advance(60 * SECOND)
    made = World(await open_store(url, clock), clock, key)
    try:
        await made.hide(HIDDEN[role], chosen)
        yield made
    finally:
        await made.close()


# --- transcripts -----------------------------------------------------------------------------------------------------


class Transcript:
    """What a caller keeps between its requests: the last Bundle's links, and the id that it was given last."""

    def __init__(self, client: httpx.AsyncClient):
        self._client = client
        self._links: dict[str, str] = {}
        self._made = "zz"
        self._names: dict[str, str] = {}

    async def ask(self, step: Step) -> Answer:
        url = self._links.get(step.follow, "/Patient?_count=1") if step.follow else step.url
        content = step.body if isinstance(step.body, str) else None if step.body is None else json.dumps(step.body)
        headers = {"X-Request-Id": "same", **dict(step.headers)}
        if content is not None:
            headers["Content-Type"] = step.kind
            content = content.replace("{made}", self._made)
        url = url.replace("{made}", self._made).removeprefix("http://127.0.0.1:8000/fhir")
        answer = await self._client.request(step.method, url, content=content, headers=headers)
        if answer.headers.get("location"):
            self._made = answer.headers["location"].split("/fhir/")[1].split("/")[1]
        self._keep_links(answer)
        return self._normal(answer)

    def _keep_links(self, answer: httpx.Response) -> None:
        try:
            body = answer.json()
        except ValueError:
            return
        if isinstance(body, dict) and "link" in body:
            self._links = {one["relation"]: one["url"] for one in body["link"]}

    def _normal(self, answer: httpx.Response) -> Answer:
        """Made ids by the order in which they were first seen; seals and numbers of audit rows aside; times stay."""

        def named(match: re.Match[str]) -> str:
            return self._names.setdefault(match[0], f"#{len(self._names)}")

        headers = {k: _UUID.sub(named, v) for k, v in sorted(answer.headers.items()) if k not in IGNORED}
        text = _QUERY.sub(lambda match: f'"query":"{_plain(match[1])}"', answer.text)
        return answer.status_code, headers, _UUID.sub(named, _MADE.sub("#", text))


def _plain(query: str) -> str:
    """The request that an AuditEvent repeats; a page link in it is sealed anew each time."""
    return base64.b64decode(query).decode()


class Difference(NamedTuple):
    at: int
    step: Step
    left: Any
    right: Any


async def compared(pair: Pair, urls: Sequence[str], key: Path) -> Difference | None:
    """The first step that is answered differently; a 5xx is one too."""
    async with world(urls[0], pair.role, pair.left, key) as one, world(urls[1], pair.role, pair.right, key) as other:
        organization, person = CALLERS[pair.role]
        sides = [Transcript(await side.client(pair.role, organization, person)) for side in (one, other)]
        for at, step in enumerate(pair.steps):
            for side in (one, other):
                side.clock.advance(SECOND)
            left, right = [await side.ask(step) for side in sides]
            if left != right or left[0] >= 500:
                return Difference(at, step, left, right)
    return None


def smallest(
    pair: Pair, found: Difference, differs: Callable[[Pair], Difference | None], tries: int = 60
) -> tuple[Pair, Difference]:
    """Without the steps and without the hidden slots that the difference does not need."""
    pair = pair._replace(steps=pair.steps[: found.at + 1])

    def attempt(smaller: Pair) -> bool:
        nonlocal pair, found, tries
        tries -= 1
        again = differs(smaller) if tries >= 0 else None
        if again is not None:
            pair, found = smaller._replace(steps=smaller.steps[: again.at + 1]), again
        return again is not None

    attempt(pair._replace(steps=pair.steps[-1:]))
    names = sorted({*pair.left, *pair.right})
    size = len(names)
    while size >= 1:
        for start in range(0, len(names), size):
            gone = set(names[start : start + size])
            keep = [{k: v for k, v in side.items() if k not in gone} for side in (pair.left, pair.right)]
            attempt(pair._replace(left=keep[0], right=keep[1]))
        names = sorted({*pair.left, *pair.right})
        size //= 2
    for at in range(len(pair.steps) - 2, -1, -1):
        attempt(pair._replace(steps=pair.steps[:at] + pair.steps[at + 1 :]))
    return pair, found


def report(pair: Pair, found: Difference) -> str:
    slots = {slot.name: slot for slot in HIDDEN[pair.role]}
    lines = [f"{pair.role}: step {found.at} is answered differently: {found.step}"]
    lines += [f"  before: {step}" for step in pair.steps[: found.at]]
    for side, chosen in (("left", pair.left), ("right", pair.right)):
        for name, seed in chosen.items():
            lines.append(f"  {side} holds {name}: {[(*op,) for op in slots[name].made(Random(seed))]}")
    return "\n".join([*lines, f"  left:  {found.left}", f"  right: {found.right}"])[:8000]


def run(pair: Pair, places: Places, key: Path) -> str:
    """ "" where the two transcripts are equal, else the smallest pair and program that differ."""

    def differs(one: Pair) -> Difference | None:
        urls = places()
        try:
            return asyncio.run(compared(one, (next(urls), next(urls)), key))
        finally:
            urls.close()

    found = differs(pair)
    return report(*smallest(pair, found, differs)) if found is not None else ""
