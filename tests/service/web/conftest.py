"""A store with the made-up county, on both engines."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from service.auth import identities as rules
from service.store.engine import Store, open_store
from tests.frozen_clock import FrozenClock
from tests.service.web.browsing import Browser
from tests.service.web.county import populate, populate_sandbox, put, settings
from tests.service.web.openid_provider import FakeProvider
from tests.service.web.replying import Desk, people_of
from tests.service.web.visiting import SECRET, Visitor, register_provider, role


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


@pytest.fixture
async def sandbox(store: Store, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Browser]:
    """A browser before the whole made-up county; no press of a button waits for a worker."""
    monkeypatch.setattr("service.web.sandbox.WAIT_S", 0.0)
    await populate_sandbox(store)
    async with Browser(store, settings()) as browser:
        yield browser


@pytest.fixture
async def production(store: Store, tmp_path: Path) -> AsyncIterator[Browser]:
    """The same county behind a production setting."""
    await populate_sandbox(store)
    key = tmp_path / "key"
    key.write_bytes(b"k" * 64)
    key.chmod(0o600)
    chosen = settings(env="production", public_url="https://enlace.test", secret_key_file=key)
    async with Browser(store, chosen, "https://enlace.test") as browser:
        yield browser


@pytest.fixture
async def provider(store: Store, clock: FrozenClock) -> FakeProvider:
    """Registered for Organization/ecm-1 and known to Ana, who is its lead care manager."""
    await register_provider(store, "p1", secret=SECRET)
    await put(store, role("r-ana", "ana", "ecm-1"))
    await rules.bind(store, await rules.named(store, "p1"), "ana-at-work", "Practitioner/ana")
    return FakeProvider(clock, secret=SECRET)


@pytest.fixture
async def visitor(store: Store, provider: FakeProvider) -> AsyncIterator[Visitor]:
    async with Visitor(store, provider) as browser:
        yield browser


@pytest.fixture
async def desk(store: Store) -> Desk:
    """A food pantry without software, to which is referred."""
    await people_of(store)
    return Desk(store)
