"""At each refresh the person must still be who they were: B7, B12; people who came through an identity provider."""

from typing import Any

import pytest

from service.auth.accounts import TEAM_ROLE, bound
from service.auth.authorization import Authorization
from service.auth.authorization_tokens import stands
from service.auth.backend_services import AuthServer
from service.store import identities
from service.store.change import Change
from service.store.engine import Store
from service.store.identities import Provider
from tests.service.world import ECM1, LCM1, change_of, make, put, ref

POSTGRESQL_IN_DEEP = True
PROVIDER = Provider("idp-1", "https://idp.example.org", "Made-up IdP", ECM1, "enlace", roles="lcm", created_us=1)
ACCOUNT = bound(PROVIDER, "subject-1", LCM1, 1)
ROLE = "PractitionerRole/r"


def role(**changes: Any) -> dict[str, Any]:
    code = [{"coding": [{"system": TEAM_ROLE, "code": "lead-care-manager"}]}]
    return make(ROLE, active=True, practitioner=ref(LCM1), organization=ref(ECM1), code=code) | changes


def granted(**changes: Any) -> Authorization:
    facts: dict[str, Any] = {"person": LCM1, "organization": ECM1, "role": "lcm", "account": ACCOUNT.id}
    return Authorization(
        **{
            **{"redirect_uri": "r", "challenge": "c", "scopes": "offline_access", "purpose": "TREAT", "patient": None},
            **{"nonce": "", "auth_s": 1, "session": "ff", "login_client": "pages"},
            **facts,
            **changes,
        }
    )


@pytest.fixture
async def server(world: Store) -> AuthServer:
    await put(world, role(), source=ECM1)
    await world.commit(Change(statements=[identities.insert_provider(PROVIDER), identities.put_account(ACCOUNT)]))
    return AuthServer(world, "https://enlace.example.org", "production")


async def _stands(server: AuthServer, **changes: Any) -> bool:
    return await stands(server, granted(**changes), None, server.store.clock.now_us())


async def test_b07_who_still_acts_may_refresh(server: AuthServer) -> None:
    assert await _stands(server)
    assert not await _stands(server, role="ecm-provider")
    assert not await _stands(server, organization="Organization/ecm-2")
    assert not await _stands(server, person="Practitioner/lcm-2")
    assert not await _stands(server, account="another")
    assert not await _stands(server, account=None), "in production nobody is a sandbox login"


async def test_b07_an_ended_account_refreshes_nothing(server: AuthServer) -> None:
    await server.store.commit(Change(statements=[identities.end_account(ACCOUNT.id)]))
    assert not await _stands(server)


async def test_b07_a_disabled_provider_refreshes_nothing(server: AuthServer) -> None:
    await server.store.commit(Change(statements=[identities.disable_provider(PROVIDER.id)]))
    assert not await _stands(server)


async def test_b07_an_ended_role_refreshes_nothing(server: AuthServer, world: Store) -> None:
    await world.commit(change_of(world, role(active=False), ECM1, expect=1))
    assert not await _stands(server)


async def test_b07_online_access_needs_its_session(server: AuthServer) -> None:
    assert not await stands(server, granted(), b"x" * 32, server.store.clock.now_us())
