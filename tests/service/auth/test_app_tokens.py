"""What apps get for a code and a refresh token: B3-B7 of ../shared/facts/security.md 1.5, over HTTP."""

import json
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from joserfc import jwt
from joserfc.jwk import KeySet

from service.auth.backend_services import ASSERTION_TYPE
from service.store import credentials
from service.store.change import Change
from service.store.engine import Store
from tests.frozen_clock import FrozenClock
from tests.service.auth.made_up_app import (
    APP,
    BASE,
    FHIR,
    SECOND,
    VERIFIER,
    browser,
    challenge,
    code_for,
    exchange,
    launched,
    read,
    refresh,
    register_app,
    sign_in,
)
from tests.service.auth.smart_client import claims, header, jwks_text
from tests.service.auth.smart_client import jwt as jwt_text
from tests.service.world import LCM1

POSTGRESQL_IN_DEEP = True


@pytest.fixture
async def http(app: FastAPI, world: Store) -> AsyncIterator[httpx.AsyncClient]:
    """The browser of lead care manager 1, who is signed in."""
    await register_app(world)
    async with browser(app, await sign_in(world)) as client:
        yield client


async def test_b03_pkce_is_required_with_s256(http: httpx.AsyncClient) -> None:
    code = await code_for(http)
    wrong = (None, "", "w" * 64, challenge(), "v" * 42, "v" * 129, VERIFIER + " ", VERIFIER.upper())
    for verifier in wrong:
        answer = await exchange(http, code, code_verifier=verifier)
        assert (answer.status_code, answer.json()["error"]) == (400, "invalid_grant"), verifier
    assert (await exchange(http, code)).status_code == 200, "a wrong verifier does not use the code up"


async def test_b03_the_shortest_and_the_longest_verifier_work(http: httpx.AsyncClient) -> None:
    for verifier in ("a" * 43, "~" * 128):
        code = await code_for(http, code_challenge=challenge(verifier))
        assert (await exchange(http, code, code_verifier=verifier)).status_code == 200


async def test_b04_a_code_used_again_ends_what_came_of_it(http: httpx.AsyncClient) -> None:
    code = await code_for(http)
    body = (await exchange(http, code)).json()
    newer = (await refresh(http, body["refresh_token"])).json()
    assert await read(http, newer["access_token"]) == 200
    assert (await exchange(http, code)).json()["error"] == "invalid_grant"
    for token in (body["access_token"], newer["access_token"]):
        assert await read(http, token) == 401
    assert (await refresh(http, newer["refresh_token"])).status_code == 400


async def test_b04_a_code_lives_a_minute(http: httpx.AsyncClient, clock: FrozenClock) -> None:
    first, second = await code_for(http), await code_for(http)
    clock.advance(60 * SECOND - 1)
    assert (await exchange(http, first)).status_code == 200
    clock.advance(1)
    assert (await exchange(http, second)).json()["error"] == "invalid_grant"


async def test_b04_the_store_holds_no_code_and_no_token(http: httpx.AsyncClient, world: Store) -> None:
    code = await code_for(http)
    body = (await exchange(http, code)).json()
    held = [row for table in ("authorization_code", "refresh_token", "token") for row in await _rows(world, table)]
    text = repr(held)
    assert held and not any(secret in text for secret in (code, body["access_token"], body["refresh_token"]))


async def test_b05_wrong_code_client_or_redirect_gets_nothing(http: httpx.AsyncClient, world: Store) -> None:
    await register_app(world, "other-app")
    code = await code_for(http)
    assert (await exchange(http, "x" * 43)).json()["error"] == "invalid_grant"
    assert (await exchange(http, "wrong")).json()["error"] == "invalid_grant"
    assert (await exchange(http, "")).json()["error"] == "invalid_request"
    assert (await exchange(http, code, client_id="other-app")).json()["error"] == "invalid_grant"
    for client in ("nobody", None, "login-lcm-1"):
        assert (await exchange(http, code, client_id=client)).status_code == 401
    for uri in (None, "https://app.example.org/callback/", "https://evil.test/"):
        assert (await exchange(http, code, redirect_uri=uri)).json()["error"] == "invalid_grant"
    secret = await http.post("/auth/token", data={"client_id": APP, "client_secret": "s", "code": code})
    assert secret.status_code == 400
    assert (await exchange(http, code, client_secret="s")).status_code == 401
    assert (await exchange(http, code)).status_code == 200


async def test_b05_a_confidential_app_proves_itself(http: httpx.AsyncClient, world: Store) -> None:
    await register_app(world, "confidential-app", kind="confidential", jwks=jwks_text())
    code = await code_for(http, client_id="confidential-app")
    answer = await exchange(http, code, client_id="confidential-app")
    assert (answer.status_code, answer.json()["error"]) == (401, "invalid_client")
    now_us = world.clock.now_us()
    proof = {"iss": "confidential-app", "sub": "confidential-app", "aud": f"{BASE}/auth/token"}
    for jti, status in (("jti-1", 200), ("jti-1", 401), ("jti-2", 400)):
        signed = jwt_text(header(), claims(now_us, jti=jti, **proof))
        more = {"client_assertion": signed, "client_assertion_type": ASSERTION_TYPE, "client_id": None}
        assert (await exchange(http, code, **more)).status_code == status


async def test_b06_the_id_token_says_who_signed_in(http: httpx.AsyncClient, clock: FrozenClock) -> None:
    body = await launched(http)
    keys = KeySet.import_key_set((await http.get("/auth/jwks")).json())
    read_back = jwt.decode(body["id_token"], keys, algorithms=["RS256"])
    now = clock.now_us() // SECOND
    assert read_back.header["alg"] == "RS256"
    wanted = {"iss": BASE, "sub": "lcm-1", "aud": APP, "iat": now, "exp": now + 300, "nonce": "nonce-1"}
    assert wanted.items() <= read_back.claims.items()
    assert read_back.claims["fhirUser"] == f"{FHIR}/{LCM1}"
    answer = await http.get(read_back.claims["fhirUser"], headers={"Authorization": f"Bearer {body['access_token']}"})
    assert (answer.status_code, answer.json()["id"]) == (200, "lcm-1")
    found = (await http.get("/.well-known/openid-configuration")).json()
    assert (found["issuer"], found["jwks_uri"]) == (BASE, f"{BASE}/auth/jwks")


async def test_b06_without_openid_there_is_no_id_token(http: httpx.AsyncClient) -> None:
    body = await launched(http, scope="launch/patient patient/*.rs")
    assert "id_token" not in body and "refresh_token" not in body


async def test_b07_a_refresh_token_is_good_once(http: httpx.AsyncClient) -> None:
    first = await launched(http)
    second = (await refresh(http, first["refresh_token"])).json()
    assert second["refresh_token"] != first["refresh_token"] and second["patient"] == "a"
    assert await read(http, second["access_token"]) == 200
    assert (await refresh(http, first["refresh_token"])).json()["error"] == "invalid_grant"
    assert await read(http, second["access_token"]) == 401
    assert (await refresh(http, second["refresh_token"])).json()["error"] == "invalid_grant"


async def test_b07_offline_access_ends_after_90_days(http: httpx.AsyncClient, clock: FrozenClock) -> None:
    body = await launched(http)
    clock.advance(89 * 86_400 * SECOND)
    body = (await refresh(http, body["refresh_token"])).json()
    assert await read(http, body["access_token"]) == 200
    clock.advance(86_400 * SECOND)
    assert (await refresh(http, body["refresh_token"])).json()["error"] == "invalid_grant"


async def test_b07_online_access_ends_with_the_session(http: httpx.AsyncClient, app: FastAPI, world: Store) -> None:
    scope = "launch/patient online_access patient/*.rs"
    body = await launched(http, scope=scope)
    body = (await refresh(http, body["refresh_token"])).json()
    assert await read(http, body["access_token"]) == 200
    page = await http.post("/logout", data={"csrf": "csrf-login-lcm-1"})
    assert page.status_code == 303
    assert await read(http, body["access_token"]) == 401
    assert (await refresh(http, body["refresh_token"])).json()["error"] == "invalid_grant"


async def test_b07_a_person_who_may_no_longer_sign_in_refreshes_nothing(http: httpx.AsyncClient, world: Store) -> None:
    body = await launched(http)
    await world.commit(Change(statements=[credentials.deactivate_client("login-lcm-1")]))
    assert (await refresh(http, body["refresh_token"])).json()["error"] == "invalid_grant"


async def test_b07_an_ended_app_is_out_with_the_next_request(http: httpx.AsyncClient, world: Store) -> None:
    body = await launched(http)
    await world.commit(Change(statements=[credentials.deactivate_client(APP)]))
    assert await read(http, body["access_token"]) == 401
    assert (await refresh(http, body["refresh_token"])).status_code == 401


async def test_b07_a_refresh_may_ask_for_less_and_never_for_more(http: httpx.AsyncClient) -> None:
    body = await launched(http)
    more = await refresh(http, body["refresh_token"], scope="user/*.cruds")
    assert more.json()["error"] == "invalid_scope"
    less = (await refresh(http, body["refresh_token"], scope="patient/Observation.rs")).json()
    assert less["scope"] == "patient/Observation.rs"
    assert await read(http, less["access_token"], "Patient/a") == 403
    assert await read(http, less["access_token"], "Observation/a") == 200
    full = (await refresh(http, less["refresh_token"])).json()
    assert full["scope"] == body["scope"], "what was granted stays with the family"


async def test_introspection_tells_of_a_launch(http: httpx.AsyncClient) -> None:
    body = await launched(http)
    token = body["access_token"]
    answer = await http.post("/auth/introspect", data={"token": token}, headers={"Authorization": f"Bearer {token}"})
    told = answer.json()
    assert told["active"] and told["scope"] == body["scope"] and told["client_id"] == APP and told["exp"]
    assert (told["patient"], told["iss"], told["sub"]) == ("a", BASE, "lcm-1")
    assert told["fhirUser"] == f"{FHIR}/{LCM1}"
    assert (await http.post("/auth/introspect", data={"token": token, "client_id": APP})).status_code == 401


async def test_revoking_a_refresh_token_ends_the_family(http: httpx.AsyncClient, world: Store) -> None:
    await register_app(world, "other-app")
    body = await launched(http)
    foreign = {"token": body["refresh_token"], "client_id": "other-app"}
    assert (await http.post("/auth/revoke", data=foreign)).status_code == 200
    assert await read(http, body["access_token"]) == 200
    answer = await http.post("/auth/revoke", data={"token": body["refresh_token"], "client_id": APP})
    assert answer.status_code == 200
    assert await read(http, body["access_token"]) == 401
    assert (await refresh(http, body["refresh_token"])).json()["error"] == "invalid_grant"


async def test_a_token_of_a_person_lives_fifteen_minutes(http: httpx.AsyncClient, clock: FrozenClock) -> None:
    body = await launched(http)
    assert (body["expires_in"], body["token_type"]) == (900, "Bearer")
    clock.advance(900 * SECOND - 1)
    assert await read(http, body["access_token"]) == 200
    clock.advance(1)
    assert await read(http, body["access_token"]) == 401


def test_the_payload_says_nothing_it_should_not() -> None:
    from service.auth.authorization import Authorization

    granted = Authorization("r", "c", "s", "p", "o", "lcm", "TREAT", None, "n", 1, "ff", "client", None)
    assert Authorization.of(granted.text()) == granted and json.loads(granted.text())["patient"] is None


async def _rows(store: Store, table: str) -> list[Any]:
    return await store.fetch(f"SELECT * FROM {table}")
