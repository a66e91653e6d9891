"""Rows of clients and tokens, on both engines."""

from collections.abc import AsyncIterator

import pytest

from service.store import credentials
from service.store.body import with_hole
from service.store.change import Change, Statement, Write
from service.store.credentials import RegisteredClient, TokenRow
from service.store.engine import Store, open_store
from tests.frozen_clock import FrozenClock

PLAN = RegisteredClient("c-1", "Plan \u00e9", "Organization/p", "mcp", "system/*.rs", jwks='{"keys":[]}', created_us=2)
PERSON = RegisteredClient(
    "c-2",
    "Lead",
    "Organization/e",
    "lcm",
    "user/*.rs",
    person="Practitioner/l",
    purpose="HOPERAT",
    jwks_url="https://k",
    active=False,
    created_us=1,
)


@pytest.fixture
async def store(database_url: str, clock: FrozenClock) -> AsyncIterator[Store]:
    opened = await open_store(database_url, clock)
    await run(opened, credentials.insert_client(PLAN), credentials.insert_client(PERSON))
    yield opened
    await opened.close()


async def run(store: Store, *statements: Statement) -> None:
    await store.commit(Change(statements=list(statements)))


async def test_clients_come_back_as_they_went_in(store: Store) -> None:
    assert await credentials.clients(store) == [PERSON, PLAN]
    assert await credentials.client_by_id(store, "c-1") == PLAN
    assert await credentials.client_by_id(store, "c-3") is None
    assert await credentials.clients_by_name(store, "Lead") == [PERSON]
    assert await credentials.clients_by_role(store, "mcp") == [PLAN]


async def test_a_token_comes_with_its_client(store: Store) -> None:
    await run(store, credentials.insert_token(b"\x00\xff" * 16, "c-2", "user/Task.rs", 5, 9))
    row = await credentials.token_row(store, b"\x00\xff" * 16)
    assert row == TokenRow(
        "c-2", "user/Task.rs", 5, 9, None, "lcm", "Organization/e", "Practitioner/l", "HOPERAT", client_active=False
    )
    assert await credentials.token_row(store, b"\x00" * 32) is None


async def test_ending_a_client_shows_in_its_token(store: Store) -> None:
    await run(store, credentials.insert_token(b"t" * 32, "c-1", "x", 5, 9))
    await run(store, credentials.deactivate_client("c-1"))
    row = await credentials.token_row(store, b"t" * 32)
    assert row is not None and not row.client_active


async def test_revoking(store: Store) -> None:
    await run(store, credentials.insert_token(b"t" * 32, "c-1", "x", 5, 9))
    await run(store, credentials.revoke_token(b"t" * 32, 6, "c-2"))
    assert (await credentials.token_row(store, b"t" * 32)).revoked_us is None  # type: ignore[union-attr]
    await run(store, credentials.revoke_token(b"t" * 32, 7, "c-1"))
    await run(store, credentials.revoke_token(b"t" * 32, 8))
    assert (await credentials.token_row(store, b"t" * 32)).revoked_us == 7  # type: ignore[union-attr]


async def test_forgetting_expired_tokens(store: Store) -> None:
    await run(store, *(credentials.insert_token(bytes([n]) * 32, "c-1", "x", 0, n) for n in (1, 2, 3)))
    await run(store, credentials.forget_expired_tokens(2))
    assert [row[0] for row in await store.fetch("SELECT expires_us FROM token ORDER BY expires_us")] == [2, 3]


async def test_the_organizations_head(store: Store) -> None:
    key = store.keys.resource("Organization/p")
    assert await credentials.organization_head(store, key) is None
    body = {"resourceType": "Organization", "id": "p"}
    await store.commit(Change(writes=[Write("Organization", "p", 0, body, with_hole(body))]))
    head = await credentials.organization_head(store, key)
    assert head is not None and head[0] is False and b'"Organization"' in (head[1] or b"")
    await store.commit(Change(writes=[Write("Organization", "p", 1, None)]))
    assert await credentials.organization_head(store, key) == (True, None)
