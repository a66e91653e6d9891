"""Codes and refresh tokens that are used at once: B4 and B7 of ../shared/facts/security.md 1.5, on both databases."""

import asyncio
import os
from collections.abc import AsyncIterator

import httpx
import pytest
from fastapi import FastAPI

from service.store.engine import Store
from tests.service.auth.made_up_app import (
    browser,
    code_for,
    exchange,
    launched,
    read,
    refresh,
    register_app,
    sign_in,
)

DEEP = bool(os.environ.get("ENLACE_TEST_DEEP"))
MANY = 100 if DEEP else 20


@pytest.fixture
async def http(app: FastAPI, world: Store) -> AsyncIterator[httpx.AsyncClient]:
    """The browser of lead care manager 1, who is signed in."""
    await register_app(world)
    async with browser(app, await sign_in(world)) as client:
        yield client


async def test_b04_of_many_exchanges_at_once_one_succeeds(http: httpx.AsyncClient) -> None:
    code = await code_for(http)
    answers = await asyncio.gather(*(exchange(http, code) for _ in range(MANY)))
    good = [answer for answer in answers if answer.status_code == 200]
    assert len(good) == 1
    assert {answer.json()["error"] for answer in answers if answer.status_code != 200} == {"invalid_grant"}
    body = good[0].json()
    assert await read(http, body["access_token"]) == 401, "of two who hold a code one is a thief"
    assert (await refresh(http, body["refresh_token"])).status_code == 400


async def test_b07_of_many_refreshes_at_once_one_succeeds(http: httpx.AsyncClient) -> None:
    body = await launched(http)
    answers = await asyncio.gather(*(refresh(http, body["refresh_token"]) for _ in range(MANY)))
    good = [answer.json() for answer in answers if answer.status_code == 200]
    assert len(good) == 1
    assert await read(http, good[0]["access_token"]) == 401, "the family ended"
    assert (await refresh(http, good[0]["refresh_token"])).status_code == 400


async def test_b07_no_token_slips_in_beside_the_end_of_a_family(http: httpx.AsyncClient) -> None:
    """The second is refreshed while the first is used again: whatever the order, nothing is left."""
    for _ in range(20 if DEEP else 5):
        first = await launched(http)
        second = (await refresh(http, first["refresh_token"])).json()
        racing, _reused = await asyncio.gather(
            refresh(http, second["refresh_token"]), refresh(http, first["refresh_token"])
        )
        if racing.status_code == 200:
            assert await read(http, racing.json()["access_token"]) == 401
            assert (await refresh(http, racing.json()["refresh_token"])).status_code == 400
