"""One registered client, and the OAuth endpoints over HTTP, on both engines."""

from collections.abc import AsyncIterator

import httpx
import pytest

from service.auth.backend_services import AuthServer
from service.auth.limits import Buckets, Limits
from service.store.engine import Store, open_store
from tests.frozen_clock import FrozenClock
from tests.service.api.smart.oauth import BASE, client_of, register
from tests.service.auth.smart_client import CLIENT


@pytest.fixture
async def store(database_url: str, clock: FrozenClock) -> AsyncIterator[Store]:
    opened = await open_store(database_url, clock)
    await register(opened, CLIENT)
    yield opened
    await opened.close()


@pytest.fixture
def server(store: Store) -> AuthServer:
    return AuthServer(store, BASE, limits=Limits(Buckets(10_000), Buckets(10_000)))


@pytest.fixture
async def http(server: AuthServer) -> AsyncIterator[httpx.AsyncClient]:
    async with client_of(server) as client:
        yield client
