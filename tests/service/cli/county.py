"""The synthetic county for tests: what is made, what is stored, and its clients by the names of `enlace token`."""

import json
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from functools import cache
from typing import Any

import httpx
from fastapi import FastAPI

from service.auth.sandbox import issue_sandbox_token
from service.cli.seed import seed
from service.cli.seed.members import entries
from service.cli.seed.parts import Days, Entry
from service.cli.seed.places import VERIFIED_AGO, directory
from service.store.engine import Store, open_store
from tests.frozen_clock import START, FrozenClock

NOW = int(START.timestamp()) * 1_000_000
DAYS = Days(START.date())
SOME = 36
"""Members in the tests with a database: six for each lead care manager."""


@cache
def county(number: int = 1, members: int = 200, days: Days = DAYS) -> list[Entry]:
    return [*directory(days.on(VERIFIED_AGO)), *(entry for i in range(members) for entry in entries(number, i, days))]


def of(rtype: str, made: list[Entry]) -> list[Any]:
    return [resource for _, resource in made if resource["resourceType"] == rtype]


def references(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        for name, inner in value.items():
            if name == "reference" and isinstance(inner, str):
                yield inner
            else:
                yield from references(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from references(inner)


@asynccontextmanager
async def seeded(url: str, members: int = SOME, number: int = 1) -> AsyncIterator[Store]:
    store = await open_store(url, FrozenClock())
    try:
        await seed(store, members=members, seed=number, now_us=NOW)
        yield store
    finally:
        await store.close()


async def bodies(store: Store) -> dict[str, Any]:
    rows = await store.fetch("SELECT v.body FROM version v JOIN resource r ON r.vid = v.vid")
    found = [json.loads(row[0]) for row in rows]
    return {f"{r['resourceType']}/{r['id']}": {k: v for k, v in r.items() if k != "meta"} for r in found}


class Roles:
    """Clients of the county by the names that `enlace token --client` takes."""

    def __init__(self, store: Store, app: FastAPI):
        self._store, self._transport = store, httpx.ASGITransport(app)

    async def found(self, role: str, name: str, query: str) -> list[Any]:
        answer = await self._get(role, name, query)
        assert answer.status_code == 200, answer.text
        return [entry["resource"] for entry in answer.json().get("entry", [])]

    async def status(self, role: str, name: str, query: str) -> int:
        return (await self._get(role, name, query)).status_code

    async def put(self, role: str, name: str, resource: Any) -> None:
        """The second version of a resource of the county."""
        where, match = f"/{resource['resourceType']}/{resource['id']}", {"If-Match": 'W/"1"'}
        async with await self._client(role, name) as client:
            answer = await client.put(where, json=resource, headers=match)
        assert answer.status_code == 200, answer.text

    async def _get(self, role: str, name: str, query: str) -> httpx.Response:
        async with await self._client(role, name) as client:
            return await client.get(f"/{query}")

    async def _client(self, role: str, name: str) -> httpx.AsyncClient:
        token = await issue_sandbox_token(self._store, "sandbox", role, name, 600)
        headers = {"Authorization": f"Bearer {token}"}
        return httpx.AsyncClient(transport=self._transport, base_url="http://test/fhir", headers=headers)
