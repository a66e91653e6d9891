"""A store with the made-up county, on both engines."""

from collections.abc import AsyncIterator

import pytest

from service.store.engine import Store, open_store
from tests.frozen_clock import FrozenClock
from tests.service.web.browsing import Browser
from tests.service.web.county import populate, settings


@pytest.fixture
async def store(database_url: str, clock: FrozenClock) -> AsyncIterator[Store]:
    opened = await open_store(database_url, clock)
    await populate(opened)
    yield opened
    await opened.close()


@pytest.fixture(autouse=True)
def key_folder(tmp_path, monkeypatch):  # type: ignore[no-untyped-def]
    """The sandbox makes its key file below the working folder."""
    monkeypatch.chdir(tmp_path)


@pytest.fixture
async def ana(store: Store) -> AsyncIterator[Browser]:
    async with Browser(store, settings()) as browser:
        yield browser
