"""A store on both engines for what comes in by the socket."""

from collections.abc import AsyncIterator

import pytest

from service.store.engine import Store, open_store
from tests.frozen_clock import FrozenClock


@pytest.fixture
async def store(database_url: str, clock: FrozenClock) -> AsyncIterator[Store]:
    opened = await open_store(database_url, clock)
    yield opened
    await opened.close()
