"""Rows of people's sessions, on both engines."""

from collections.abc import AsyncIterator

import pytest

from service.store import credentials, sessions
from service.store.change import Change, Statement
from service.store.credentials import RegisteredClient
from service.store.engine import Store, open_store
from service.store.sessions import SessionRow
from tests.frozen_clock import FrozenClock

ANA = RegisteredClient("ana", "Ana", "Organization/e", "lcm", "user/*.rs", person="Practitioner/ana")
ONE, TWO = b"\x00\xff" * 16, b"\x01" * 32


@pytest.fixture
async def store(database_url: str, clock: FrozenClock) -> AsyncIterator[Store]:
    opened = await open_store(database_url, clock)
    await run(opened, credentials.insert_client(ANA), sessions.insert_session(ONE, "ana", "secret", 10, 90))
    yield opened
    await opened.close()


async def run(store: Store, *statements: Statement) -> None:
    await store.commit(Change(statements=list(statements)))


async def seen(store: Store, digest: bytes) -> int | None:
    row = await sessions.session_row(store, digest)
    return row.seen_us if row else None


async def test_a_session_comes_with_its_client(store: Store) -> None:
    assert await sessions.session_row(store, ONE) == SessionRow(
        *("ana", "secret", 10, 10, 90, "Ana", "lcm", "Organization/e", "Practitioner/ana", "user/*.rs", "TREAT"),
        client_active=True,
    )
    assert await sessions.session_row(store, TWO) is None


async def test_ending_the_client_shows_in_its_session(store: Store) -> None:
    await run(store, credentials.deactivate_client("ana"))
    row = await sessions.session_row(store, ONE)
    assert row is not None and not row.client_active


async def test_touching_goes_forward_only_and_wakes_no_ended_session(store: Store) -> None:
    await run(store, sessions.touch_session(ONE, 20))
    await run(store, sessions.touch_session(ONE, 15))
    assert await seen(store, ONE) == 20
    await run(store, sessions.delete_session(ONE))
    await run(store, sessions.touch_session(ONE, 30))
    assert await seen(store, ONE) is None


async def test_forgetting_what_ended(store: Store) -> None:
    await run(store, sessions.insert_session(TWO, "ana", "other", 50, 60))
    await run(store, sessions.forget_ended_sessions(60, 5))
    assert (await seen(store, ONE), await seen(store, TWO)) == (10, None)
    await run(store, sessions.forget_ended_sessions(60, 10))
    assert await seen(store, ONE) is None
