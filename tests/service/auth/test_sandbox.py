"""Sandbox tokens: only in a sandbox, only for clients that exist."""

import pytest

from service.auth.bearer import authenticate
from service.auth.registration import deactivate
from service.auth.sandbox import SandboxRefused, issue_sandbox_token
from service.caller import Role
from service.store import credentials
from service.store.engine import Store
from tests.service.auth.smart_client import CLIENT

POSTGRESQL_IN_DEEP = True


async def test_a_token_of_the_roles_client(store: Store) -> None:
    token = await issue_sandbox_token(store, "sandbox", "ecm-provider", None, 8 * 3600)
    caller = await authenticate(store, f"Bearer {token}", store.clock.now_us(), env="sandbox")
    assert caller.client_id == CLIENT and caller.allows("c", "Task")
    for name in (CLIENT, "Made-up EHR"):
        assert await issue_sandbox_token(store, "sandbox", "ecm-provider", name, 60)
    ((count,),) = await store.fetch("SELECT count(*) FROM audit WHERE kind = 'sandbox-token'")
    assert count == 3


REFUSED_OUTSIDE_A_SANDBOX = ["production", "", "Sandbox", "test"]


async def test_refused_outside_a_sandbox(store: Store) -> None:
    for env in REFUSED_OUTSIDE_A_SANDBOX:
        with pytest.raises(SandboxRefused, match="ENLACE_ENV"):
            await issue_sandbox_token(store, env, "ecm-provider", None, 60)
        assert await store.fetch("SELECT 1 FROM token") == []


THE_LIFE_IS_BOUNDED = [0, -1, 24 * 3600 + 1]


async def test_the_life_is_bounded(store: Store) -> None:
    for ttl_s in THE_LIFE_IS_BOUNDED:
        with pytest.raises(SandboxRefused, match="24 hours"):
            await issue_sandbox_token(store, "sandbox", "ecm-provider", None, ttl_s)


NO_CLIENT_NO_TOKEN = [("cbo", None), ("ecm-provider", "x"), ("cbo", CLIENT), ("admin", "x"), ("system", None)]


async def test_no_client_no_token(store: Store) -> None:
    for role, name in NO_CLIENT_NO_TOKEN:
        with pytest.raises(SandboxRefused):
            await issue_sandbox_token(store, "sandbox", role, name, 60)


async def test_an_ended_client_gets_none(store: Store) -> None:
    client = await credentials.client_by_id(store, CLIENT)
    assert client is not None
    await deactivate(store, client)
    with pytest.raises(SandboxRefused):
        await issue_sandbox_token(store, "sandbox", "ecm-provider", None, 60)


async def test_the_operator_exists_from_the_start_and_only_once(store: Store) -> None:
    for _ in range(2):
        token = await issue_sandbox_token(store, "sandbox", "admin", None, 60)
        caller = await authenticate(store, f"Bearer {token}", store.clock.now_us(), env="sandbox")
        assert caller.role is Role.ADMIN
    assert len(await credentials.clients_by_role(store, "admin")) == 1
