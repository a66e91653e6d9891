"""Deciding as the reader role, under row-level security: the same is told, and nobody else is. PostgreSQL only."""

from collections.abc import AsyncIterator
from typing import Any

import pytest

from service.store.engine import Store
from tests.service.conftest import AppClient
from tests.service.notify.fake_receiver import Desk
from tests.service.notify.test_deciding import (
    UPDATED,
    assignment_ends,
    resources,
    test_a_community_organization_gets_the_minimum_view,
    test_an_emergency_access_opens_nothing,
    test_protected_data_bears_the_notice_and_its_consent,
    told,
)
from tests.service.store.test_row_security import Wall, wall
from tests.service.world import CBO1, PLAN1

__all__ = [
    "resources",
    "test_a_community_organization_gets_the_minimum_view",
    "test_an_emergency_access_opens_nothing",
    "test_protected_data_bears_the_notice_and_its_consent",
    "told",
    "wall",
]


@pytest.fixture
async def store(wall: Wall) -> AsyncIterator[Store]:
    wall.store.reader = wall.reader
    yield wall.store
    wall.store.reader = None


async def test_the_third_wall_agrees(desk: Desk, told: Any, app_client: AppClient) -> None:
    await desk.subscribes(await app_client("cbo", CBO1), criteria=UPDATED)
    await desk.changes("Task/p", PLAN1, status="accepted")
    await desk.work()
    assert sorted(desk.receiver.numbers()) == [1, 1, 2]
    await assignment_ends(desk, "")
    await desk.changes("Task/p", PLAN1, status="in-progress")
    await desk.work()
    assert sorted(desk.receiver.numbers()) == [1, 1, 2, 2], "the one who is to fulfil it alone"
