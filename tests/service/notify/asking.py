"""Subscriptions over REST: posted, put, and what the row of one says."""

import json
from typing import Any

import httpx

from service.notify.model import State
from service.store import subscriptions
from service.store.engine import Store
from tests.service.notify.subscription_samples import subscription

JSON = {"Content-Type": "application/fhir+json"}


async def post(client: httpx.AsyncClient, resource: dict[str, Any]) -> httpx.Response:
    return await client.post("/Subscription", content=json.dumps(resource), headers=JSON)


async def put(client: httpx.AsyncClient, resource: dict[str, Any]) -> httpx.Response:
    return await client.put(f"/Subscription/{resource['id']}", content=json.dumps(resource), headers=JSON)


async def made(client: httpx.AsyncClient, **asked: Any) -> dict[str, Any]:
    answer = await post(client, subscription(**asked))
    assert answer.status_code == 201, answer.text
    found: dict[str, Any] = answer.json()
    return found


async def row(store: Store, resource: dict[str, Any]) -> State:
    state = await subscriptions.by_id(store, resource["id"])
    assert state is not None
    return state


def expressions(answer: httpx.Response) -> list[str]:
    assert answer.status_code == 422, answer.text
    return [one["expression"][0] for one in answer.json()["issue"]]
