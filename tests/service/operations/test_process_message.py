"""$process-message: a hospital's notification is kept before it is answered, once, and has its effect."""

import asyncio
import copy
import json
from typing import Any

import httpx
import pytest

from openapi.notification_example import NOTIFICATION
from service.access.context import Settings
from service.store import sources
from service.store.change import Change
from service.store.database import Unavailable
from service.store.engine import Store
from service.store.sources import RegisteredSource
from service.worker import Worker
from tests.service.adt_world import adt_world
from tests.service.conftest import AppClient

POSTGRESQL_IN_DEEP = True

URL = "/$process-message"


@pytest.fixture
async def hospital(store: Store, app_client: AppClient) -> httpx.AsyncClient:
    await adt_world(store)
    return await app_client("hospital", "Organization/mercy")


async def rows(store: Store) -> list[tuple[Any, ...]]:
    found = await store.fetch("SELECT source, event, state, reason, control_id FROM inbox ORDER BY id")
    return [tuple(row) for row in found]


async def test_an_admission_tells_the_lead_care_manager(store: Store, hospital: httpx.AsyncClient) -> None:
    answer = await hospital.post(URL, json=NOTIFICATION)
    assert (answer.status_code, answer.json()["resourceType"]) == (202, "OperationOutcome")
    assert await rows(store) == [("mercy", "A01", "stored", "", NOTIFICATION["id"])]
    await Worker(store, Settings()).drain()
    assert (await rows(store))[0][2] == "applied"
    types = await store.fetch("SELECT rtype FROM resource WHERE rtype IN ('Encounter', 'Communication')")
    assert sorted({row[0] for row in types}) == ["Communication", "Encounter"]
    audit = await store.fetch("SELECT outcome, organization, target FROM audit WHERE kind = 'process-message'")
    assert [tuple(row) for row in audit] == [(0, "Organization/mercy", "$process-message")]


async def test_what_comes_again_is_kept_once(store: Store, hospital: httpx.AsyncClient) -> None:
    answers = await asyncio.gather(*(hospital.post(URL, json=NOTIFICATION) for _ in range(8)))
    assert {(one.status_code, one.content) for one in answers} == {(202, answers[0].content)}
    assert len(await rows(store)) == 1
    other = copy.deepcopy(NOTIFICATION) | {"timestamp": "2026-03-07T22:06:00-08:00"}
    assert (await hospital.post(URL, json=other)).status_code == 202
    assert [row[3] for row in await rows(store)] == ["", "same-control-id"]


async def test_for_a_stranger_the_answer_is_the_same(store: Store, hospital: httpx.AsyncClient) -> None:
    known = await hospital.post(URL, json=NOTIFICATION)
    stranger = json.loads(json.dumps(NOTIFICATION).replace("Quillfeather", "Nobody").replace("91000001A", "99999999Z"))
    told = await hospital.post(URL, json=stranger | {"id": "another"})
    assert (told.status_code, told.content) == (known.status_code, known.content)


async def test_a_hospital_does_not_speak_for_another(store: Store, app_client: AppClient) -> None:
    await adt_world(store)
    named = RegisteredSource("named", "Mercy Made-up", NOTIFICATION["entry"][0]["resource"]["source"]["endpoint"],
                             "Organization/mercy", {}, True)  # fmt: skip
    await store.commit(Change(statements=[sources.put(named)]))
    client = await app_client("hospital", "Organization/elsewhere")
    assert (await client.post(URL, json=NOTIFICATION)).status_code == 202
    assert [(row[0][:2], row[2], row[3]) for row in await rows(store)] == [("?!", "unregistered", "sender-not-proven")]


@pytest.mark.parametrize("role", ["ecm-provider", "lcm", "mcp", "cbo", "referrer"])
async def test_no_other_role_may(store: Store, app_client: AppClient, role: str) -> None:
    client = await app_client(role, "Organization/ecm-1")
    assert (await client.post(URL, json=NOTIFICATION)).status_code == 403
    assert await rows(store) == []


async def test_what_is_no_notification_is_refused_whole(store: Store, hospital: httpx.AsyncClient) -> None:
    wrong = copy.deepcopy(NOTIFICATION) | {"type": "collection"}
    wrong["entry"][0]["resource"] |= {"eventCoding": {}, "focus": []}
    answer = await hospital.post(URL, json=wrong)
    assert (answer.status_code, len(answer.json()["issue"])) == (422, 3)
    assert (await hospital.post(URL, json={"resourceType": "Patient"})).status_code == 400
    assert (await hospital.post(URL, content=b"{")).status_code in (400, 415)
    assert (await hospital.get(URL)).status_code == 405
    assert await rows(store) == []


async def test_what_could_not_be_kept_is_not_accepted(
    store: Store, hospital: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    commit = store.commit

    async def away(change: Change) -> Any:
        if change.jobs:
            raise Unavailable("gone")
        return await commit(change)

    with monkeypatch.context() as patch:
        patch.setattr(store, "commit", away)
        assert (await hospital.post(URL, json=NOTIFICATION)).status_code == 503
    assert await rows(store) == []
