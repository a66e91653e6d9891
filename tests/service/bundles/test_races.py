"""Bundles at once about the same resources: none half written, none waits for ever, each condition is answered once."""

import asyncio
import os
import random
from collections import Counter
from pathlib import Path
from typing import Any

import httpx
import orjson
import pytest

from service.bundles import transaction
from service.main import build
from service.settings import load
from service.store.change import Stale
from service.store.engine import Store, open_store
from tests.frozen_clock import FrozenClock
from tests.service.bundles.sending import IDENTIFIER, Json, entry, goal, identified, post, statuses, uuid
from tests.service.conftest import AppClient
from tests.service.world import ECM1, access_token, coverage, episode, patient, put, ref

DEEP = bool(os.environ.get("ENLACE_TEST_DEEP"))
BUNDLES, PATIENTS, ROUNDS = 16, 10, 20 if DEEP else 1


async def ten_patients(store: Store) -> None:
    for n in range(PATIENTS):
        member = f"Patient/p{n}"
        await put(store, patient(member), coverage(f"Coverage/p{n}", member, "Organization/plan-1"))
        await put(store, episode(f"EpisodeOfCare/p{n}", member, ECM1))


def bundle_of(mark: str, seed: int) -> list[Json]:
    """All patients in an order of its own, a shared conditional create, and a Goal that refers to it."""
    order = [f"p{n}" for n in range(PATIENTS)]
    random.Random(seed).shuffle(order)
    updates = [entry("PUT", f"Patient/{name}", patient(f"Patient/{name}", language=mark)) for name in order]
    key = f"identifier={IDENTIFIER}|shared"
    shared = identified({"resourceType": "Condition", "subject": ref("Patient/p0"), "code": {"text": "x"}}, "shared")
    return [
        *updates,
        entry("POST", "Condition", shared, uuid(1), ifNoneExist=key),
        entry("POST", "Goal", goal("Patient/p0", mark, addresses=[ref(uuid(1))])),
    ]


async def clients(app: Any, store: Store, clock: FrozenClock, path: Path) -> list[httpx.AsyncClient]:
    """Of two servers over one PostgreSQL; SQLite has one process."""
    apps = [app]
    if not store.url.startswith("sqlite"):
        settings = {
            "ENLACE_DATABASE_URL": store.url,
            "ENLACE_SECRET_KEY_FILE": str(path / "secret.key"),
            "ENLACE_CLIENT_RATE": "0",
        }
        apps.append(build(await open_store(store.url, clock), load(settings)))
    token = await access_token(store, "ecm-provider", ECM1)
    headers = {"Authorization": f"Bearer {token}"}
    base = "http://test/fhir"
    return [httpx.AsyncClient(transport=httpx.ASGITransport(one), base_url=base, headers=headers) for one in apps]


@pytest.mark.timeout(300)
async def test_16_bundles_about_the_same_patients(world: Store, app: Any, clock: FrozenClock, tmp_path: Path) -> None:
    await ten_patients(world)
    opened = await clients(app, world, clock, tmp_path)
    done: list[str] = []
    for turn in range(ROUNDS):
        marks = [f"x-{turn}-{n}" for n in range(BUNDLES)]
        sent = [post(opened[n % len(opened)], "transaction", *bundle_of(mark, n)) for n, mark in enumerate(marks)]
        answers = await asyncio.gather(*sent)
        assert {answer.status_code for answer in answers} <= {200, 503}
        done += [mark for mark, answer in zip(marks, answers, strict=True) if answer.status_code == 200]
    written = [orjson.loads(row[0]) for row in await world.fetch("SELECT body FROM version WHERE rtype = 'Patient'")]
    made = Counter(one["language"] for one in written if "language" in one)
    assert made == dict.fromkeys(done, PATIENTS)
    goals = [orjson.loads(row[0]) for row in await world.fetch("SELECT body FROM version WHERE rtype = 'Goal'")]
    assert sorted(one["description"]["text"] for one in goals) == sorted(done)
    shared = await world.fetch("SELECT body FROM version WHERE rtype = 'Condition'")
    keyed = [one for one in map(orjson.loads, (row[0] for row in shared)) if "identifier" in one]
    assert len(keyed) == 1
    assert {one["addresses"][0]["reference"] for one in goals} == {f"Condition/{keyed[0]['id']}"}
    assert len(done) >= BUNDLES * ROUNDS // 2
    for client, second in zip(opened, (None, *[True] * (len(opened) - 1)), strict=True):
        if second:
            await client._transport.app.state.enlace.store.close()  # type: ignore[attr-defined]
        await client.aclose()


async def test_a_race_that_is_never_won_ends_with_503(
    world: Store, app_client: AppClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = await app_client()
    monkeypatch.setattr(transaction, "PAUSE_S", 0.001)
    commit, tried = Store.commit, []

    async def lost(self: Store, change: Any) -> Any:
        if change.writes:
            tried.append(change)
            raise Stale("Patient/a")
        return await commit(self, change)

    monkeypatch.setattr(Store, "commit", lost)
    answer = await post(client, "transaction", entry("POST", "Goal", goal("Patient/a")))
    assert answer.status_code == 503 and answer.headers["retry-after"] == "2"
    assert answer.json()["issue"][0]["code"] == "transient" and len(tried) == transaction.TRIES


async def test_a_lost_race_is_decided_anew(
    world: Store, app_client: AppClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What another request created meanwhile is found by the second decision."""
    client = await app_client()
    key = f"identifier={IDENTIFIER}|late"
    one = entry("POST", "Goal", identified(goal("Patient/a"), "late"), ifNoneExist=key)
    commit, first = Store.commit, []

    async def between(self: Store, change: Any) -> Any:
        if change.writes and not first:
            first.append(change)
            rival = await client.post("/Goal", json=one["resource"], headers={"If-None-Exist": key})
            assert rival.status_code == 201
        return await commit(self, change)

    monkeypatch.setattr(Store, "commit", between)
    answer = await post(client, "transaction", one, entry("POST", "Goal", goal("Patient/a", "other")))
    assert statuses(answer) == ["200", "201"], answer.text


async def test_500_entries_in_one_transaction(world: Store, app_client: AppClient) -> None:
    client = await app_client()
    made = [entry("POST", "Observation", _weight(n), uuid(n)) for n in range(250)]
    referring = [entry("POST", "Goal", goal("Patient/a", addresses=[ref(uuid(n))]), uuid(1000 + n)) for n in range(250)]
    answer = await post(client, "transaction", *referring, *made)
    assert answer.status_code == 200 and statuses(answer) == ["201"] * 500
    assert len(await world.fetch("SELECT 1 FROM resource WHERE rtype = 'Observation'")) == 252


def _weight(number: int) -> Json:
    quantity = {"value": number, "unit": "kg"}
    body: Json = {"resourceType": "Observation", "status": "final", "code": {"text": "weight"}}
    return {**body, "subject": ref("Patient/a"), "valueQuantity": quantity}
