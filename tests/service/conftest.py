"""A store on both engines, the application over it in this process, and clients of every role."""

from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import httpx
import pytest
from fastapi import FastAPI

from service.main import build
from service.settings import load
from service.store.engine import Store, open_store
from tests.frozen_clock import FrozenClock
from tests.service.world import access_token, build_world

AppClient = Callable[..., Awaitable[httpx.AsyncClient]]


@pytest.fixture
async def store(database_url: str, clock: FrozenClock) -> AsyncIterator[Store]:
    opened = await open_store(database_url, clock)
    yield opened
    await opened.close()


@pytest.fixture
async def world(store: Store) -> Store:
    await build_world(store)
    return store


@pytest.fixture
def app(store: Store, tmp_path: Path) -> FastAPI:
    key = str(tmp_path / "secret.key")
    # On a frozen clock no client's allowance ever comes back.
    settings = {"ENLACE_DATABASE_URL": store.url, "ENLACE_SECRET_KEY_FILE": key, "ENLACE_CLIENT_RATE": "0"}
    return build(store, load(settings))


@pytest.fixture
async def app_client(app: FastAPI, store: Store) -> AsyncIterator[AppClient]:
    """app_client(role, organization, person=None, scopes="system/*.cruds") -> client of the FHIR base."""
    opened: list[httpx.AsyncClient] = []

    async def make(
        role: str = "ecm-provider",
        organization: str = "Organization/ecm-1",
        person: str | None = None,
        scopes: str = "system/*.cruds",
    ) -> httpx.AsyncClient:
        token = await access_token(store, role, organization, person, scopes)
        client = httpx.AsyncClient(
            transport=httpx.ASGITransport(app),
            base_url="http://test/fhir",
            headers={"Authorization": f"Bearer {token}"},
        )
        opened.append(client)
        return client

    yield make
    for client in opened:
        await client.aclose()
