"""Introspection and revocation of tokens over HTTP."""

import httpx
import pytest

from service.auth.backend_services import ASSERTION_TYPE
from service.auth.bearer import authenticate
from service.store.engine import Store
from tests.frozen_clock import FrozenClock
from tests.service.api.smart.oauth import SECOND, audit, check_refused, register, token_for
from tests.service.auth.smart_client import CLIENT, claims, header, jwt

POSTGRESQL_IN_DEEP = True


def with_assertion(store: Store, token: str, jti: str) -> dict[str, str]:
    text = jwt(header(), claims(store.clock.now_us(), jti=jti))
    return {"token": token, "client_assertion_type": ASSERTION_TYPE, "client_assertion": text}


async def test_introspection_by_bearer_and_by_assertion(http: httpx.AsyncClient, store: Store) -> None:
    token = await token_for(http, store)
    exp = store.clock.now_us() // SECOND + 300
    expected = {"active": True, "scope": "system/Task.rs", "client_id": CLIENT, "exp": exp}
    bearer = {"Authorization": f"Bearer {token}"}
    answer = await http.post("/auth/introspect", data={"token": token}, headers=bearer)
    assert answer.json() == expected and answer.headers["cache-control"] == "no-store"
    data = with_assertion(store, token, "i")
    assert (await http.post("/auth/introspect", data=data)).json() == expected
    check_refused(await http.post("/auth/introspect", data=data), 401, "invalid_client")
    assert [row[:2] for row in await audit(store)][1:] == [(0, "introspect"), (0, "introspect"), (4, "introspect")]


async def test_an_inactive_or_foreign_token_is_only_inactive(
    http: httpx.AsyncClient, store: Store, clock: FrozenClock
) -> None:
    await register(store, "client-2")
    await register(store, "operator", role="admin", scope="system/*.cruds")
    mine, foreign = await token_for(http, store), await token_for(http, store, "client-2")
    admin = await token_for(http, store, "operator")
    bearer = {"Authorization": f"Bearer {mine}"}
    for text in ("A" * 43, "x", foreign, "\u00e9"):
        answer = await http.post("/auth/introspect", data={"token": text}, headers=bearer)
        assert (answer.status_code, answer.json()) == (200, {"active": False})
    seen = await http.post("/auth/introspect", data={"token": foreign}, headers={"Authorization": f"Bearer {admin}"})
    assert seen.json()["client_id"] == "client-2"
    clock.advance(300 * SECOND)
    later = {"Authorization": f"Bearer {await token_for(http, store, jti='later')}"}
    assert (await http.post("/auth/introspect", data={"token": mine}, headers=later)).json() == {"active": False}


@pytest.mark.parametrize("path", ["/auth/introspect", "/auth/revoke"])
async def test_introspection_and_revocation_refuse_who_is_nobody(
    http: httpx.AsyncClient, store: Store, path: str
) -> None:
    token = await token_for(http, store)
    check_refused(await http.post(path, data={"token": token}), 401, "invalid_client")
    unknown = {"Authorization": "Bearer " + "A" * 43}
    check_refused(await http.post(path, data={"token": token}, headers=unknown), 401, "invalid_token")
    bearer = {"Authorization": f"Bearer {token}"}
    check_refused(await http.post(path, data=with_assertion(store, token, "b"), headers=bearer), 400, "invalid_request")
    check_refused(await http.post(path, data={"x": "y"}, headers=bearer), 400, "invalid_request")
    assert (await http.get(path)).status_code == 405


async def test_revocation(http: httpx.AsyncClient, store: Store) -> None:
    await register(store, "client-2")
    mine, foreign = await token_for(http, store), await token_for(http, store, "client-2")
    bearer = {"Authorization": f"Bearer {mine}"}
    for text in (foreign, "A" * 43, "x"):
        answer = await http.post("/auth/revoke", data={"token": text}, headers=bearer)
        assert answer.status_code == 200
    assert await authenticate(store, f"Bearer {foreign}", store.clock.now_us())
    assert (await http.post("/auth/revoke", data={"token": mine}, headers=bearer)).status_code == 200
    check_refused(await http.post("/auth/revoke", data={"token": mine}, headers=bearer), 401, "invalid_token")
