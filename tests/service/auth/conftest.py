"""A store with the made-up client registered, on both engines."""

from collections.abc import AsyncIterator

import pytest

from service.auth.registration import insertion, new_client
from service.store.engine import Store, open_store
from tests.frozen_clock import FrozenClock
from tests.service.auth.smart_client import CLIENT, jwks_text


@pytest.fixture
async def store(database_url: str, clock: FrozenClock) -> AsyncIterator[Store]:
    opened = await open_store(database_url, clock)
    client = new_client(
        CLIENT,
        name="Made-up EHR",
        organization="Organization/ecm-1",
        role="ecm-provider",
        scope="system/Task.cruds system/Patient.rs",
        jwks=jwks_text(),
        now_us=clock.now_us(),
    )
    await opened.commit(insertion(client))
    yield opened
    await opened.close()
