"""A desk with a fake receiver over the small world of tests/service/world.py."""

from collections.abc import Iterator
from typing import Any

import pytest
from fastapi import FastAPI

from service.log_events import ERROR, Event
from service.notify import runner
from service.notify.model import State
from service.store.engine import Store
from tests.frozen_clock import FrozenClock
from tests.service.conftest import AppClient
from tests.service.notify.fake_receiver import Desk
from tests.service.notify.subscribed import all_matched


@pytest.fixture
async def desk(world: Store, app: FastAPI, clock: FrozenClock) -> Desk:
    """What the world was made of is matched already."""
    made = Desk(world, app, clock)
    await made.work()
    return made


@pytest.fixture
async def state(desk: Desk, app_client: AppClient) -> State:
    """ECM 1 subscribed to the state of referrals."""
    return await desk.subscribes(await app_client("ecm-provider"))


@pytest.fixture
async def county(world: Store) -> Store:
    """The world, of which everybody has been told."""
    await all_matched(world)
    return world


@pytest.fixture(autouse=True)
def no_defects(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A turn that ends by an exception of ours is a failed test, also where it would be tried again."""
    log, defects = runner.log, list[str]()

    def telling(event: Event, **fields: Any) -> None:
        if event.level >= ERROR:
            defects.append(f"{event.code}: {fields}")
        log(event, **fields)

    monkeypatch.setattr(runner, "log", telling)
    yield
    assert defects == []
