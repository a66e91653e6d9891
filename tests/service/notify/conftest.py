"""A desk with a fake receiver over the small world of tests/service/world.py."""

import pytest
from fastapi import FastAPI

from service.store.engine import Store
from tests.frozen_clock import FrozenClock
from tests.service.notify.fake_receiver import Desk


@pytest.fixture
async def desk(world: Store, app: FastAPI, clock: FrozenClock) -> Desk:
    """What the world was made of is matched already."""
    made = Desk(world, app, clock)
    await made.work()
    return made
