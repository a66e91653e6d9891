"""A store on both engines, the application over it in this process, and clients of every role."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import httpx
import pytest
from fastapi import FastAPI

from service.main import build
from service.search.restriction import EVERYTHING
from service.settings import load
from service.store import read
from service.store.engine import Store, open_store
from tests.conftest import copy_database
from tests.frozen_clock import FrozenClock
from tests.service.world import access_token, build_world

AppClient = Callable[..., Awaitable[httpx.AsyncClient]]


@pytest.fixture(scope="session")
def sqlite_world(sqlite_template: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The world in an embedded database, written once and copied for each test that asks for `world`."""
    path = tmp_path_factory.mktemp("world") / "world.db"
    copy_database(sqlite_template, path)

    async def write() -> None:
        opened = await open_store(f"sqlite:///{path}", FrozenClock())
        await build_world(opened)
        await opened.close()

    asyncio.run(write())
    return path


@pytest.fixture
def sqlite_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A fresh embedded database, migrated; with the world in it where the test asks for that."""
    named = "sqlite_world" if "world" in request.fixturenames else "sqlite_template"
    path = tmp_path / "enlace.db"
    copy_database(request.getfixturevalue(named), path)
    return f"sqlite:///{path}"


@pytest.fixture
async def store(database_url: str, clock: FrozenClock) -> AsyncIterator[Store]:
    opened = await open_store(database_url, clock)
    yield opened
    await opened.close()


@pytest.fixture
async def world(store: Store) -> Store:
    if await read.head(store, "Patient", "a", EVERYTHING) is None:
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
