"""Rights that end or shrink under an app that holds tokens: T20, B4, B7, B12, G3 of ../shared/facts/security.md."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from service.auth import identities as identity_rules
from service.auth import registration, tokens
from service.auth.accounts import TEAM_ROLE, bound
from service.auth.backend_services import ASSERTION_TYPE
from service.auth.registration import new_client
from service.store import credentials, identities, sessions
from service.store.change import Change, Statement
from service.store.engine import Store
from service.store.identities import Provider
from tests.frozen_clock import FrozenClock
from tests.service.auth.made_up_app import (
    APP,
    BASE,
    SECOND,
    ask,
    browser,
    code_for,
    exchange,
    launched,
    press,
    read,
    refresh,
    register_app,
    sign_in,
)
from tests.service.auth.smart_client import claims, header, jwks_text
from tests.service.auth.smart_client import jwt as jwt_text
from tests.service.world import ECM1, LCM1, change_of, make, put, ref

POSTGRESQL_IN_DEEP = True
PROVIDER = Provider("idp-1", "https://idp.example.org", "Made-up IdP", ECM1, "enlace", roles="lcm", created_us=1)
ACCOUNT = bound(PROVIDER, "subject-1", LCM1, 1)
ONLINE = "launch/patient online_access patient/*.rs"


def role(**changes: Any) -> dict[str, Any]:
    code = [{"coding": [{"system": TEAM_ROLE, "code": "lead-care-manager"}]}]
    return make("PractitionerRole/r", active=True, practitioner=ref(LCM1), organization=ref(ECM1), code=code) | changes


@pytest.fixture
async def person(app: FastAPI, world: Store) -> AsyncIterator[httpx.AsyncClient]:
    """The browser of lead care manager 1, who came through an identity provider."""
    await register_app(world)
    await put(world, role(), source=ECM1)
    cookie, digest = tokens.new_token()
    now_us = world.clock.now_us()
    facts = (ACCOUNT.id, LCM1, ECM1, "lcm")
    session = sessions.insert_person_session(digest, "pages", "csrf-1", now_us, now_us + 12 * 3600 * SECOND, facts)
    rows = [identities.insert_provider(PROVIDER), identities.put_account(ACCOUNT), session]
    await world.commit(Change(statements=rows))
    async with browser(app, cookie) as client:
        yield client


@pytest.fixture
async def http(app: FastAPI, world: Store) -> AsyncIterator[httpx.AsyncClient]:
    """The browser of lead care manager 1 in the sandbox."""
    await register_app(world)
    async with browser(app, await sign_in(world)) as client:
        yield client


def ends(world: Store, how: str) -> Change:
    match how:
        case "account":
            return Change(statements=[identities.end_account(ACCOUNT.id)])
        case "provider":
            return Change(statements=[identities.disable_provider(PROVIDER.id)])
        case "bound-anew":
            return Change(statements=[identities.put_account(bound(PROVIDER, "subject-1", "Practitioner/lcm-2", 1))])
        case "role":
            return change_of(world, role(active=False), ECM1, expect=1)
        case _:
            return change_of(world, role(code=[]), ECM1, expect=1)


HOW = ("account", "provider", "bound-anew", "role", "code")


@pytest.mark.parametrize("how", HOW)
async def test_g03_an_access_token_ends_with_the_rights_of_its_person(
    person: httpx.AsyncClient, world: Store, how: str
) -> None:
    """At the next request, and not when its quarter of an hour is over."""
    token = (await launched(person))["access_token"]
    assert await read(person, token) == 200
    await world.commit(ends(world, how))
    assert await read(person, token) == 401
    asked = await person.post("/auth/introspect", data={"token": token}, headers={"Authorization": f"Bearer {token}"})
    assert asked.status_code == 401


async def test_g03_an_access_token_ends_with_the_period_of_the_role(
    person: httpx.AsyncClient, world: Store, clock: FrozenClock
) -> None:
    from service.clock import instant

    end = instant(clock.now_us() + 60 * SECOND)
    await world.commit(change_of(world, role(period={"end": end}), ECM1, expect=1))
    token = (await launched(person))["access_token"]
    assert await read(person, token) == 200
    clock.advance(62 * SECOND)
    assert await read(person, token) == 401


@pytest.mark.parametrize("how", HOW)
async def test_b04_a_code_is_worth_nothing_once_the_rights_ended(
    person: httpx.AsyncClient, world: Store, how: str
) -> None:
    code = await code_for(person)
    await world.commit(ends(world, how))
    assert (await exchange(person, code)).json()["error"] == "invalid_grant"


@pytest.mark.parametrize("how", ["remove", "disable"])
async def test_g03_what_an_operator_ended_stays_ended_when_the_account_comes_back(
    person: httpx.AsyncClient, world: Store, clock: FrozenClock, how: str
) -> None:
    """Sessions, codes, access and refresh tokens: all are ended as such, not only judged by the account."""
    got, code = await launched(person), await code_for(person)
    ended = identity_rules.remove(world, PROVIDER, "subject-1") if how == "remove" else None
    await (ended or identity_rules.disable(world, PROVIDER))
    assert not await world.fetch("SELECT hash FROM login_session WHERE account = ?", (ACCOUNT.id,))
    assert not await world.fetch("SELECT hash FROM token WHERE account = ? AND revoked_us IS NULL", (ACCOUNT.id,))
    assert not await world.fetch("SELECT hash FROM refresh_token WHERE revoked_us IS NULL")
    back = Statement("UPDATE identity_provider SET active = 1 WHERE id = ?", (PROVIDER.id,))
    await world.commit(Change(statements=[identities.put_account(ACCOUNT), back]))
    assert await read(person, got["access_token"]) == 401
    if how == "remove":
        assert (await exchange(person, code)).json()["error"] == "invalid_grant"


async def logout(http: httpx.AsyncClient) -> int:
    return (await http.post("/logout", data={"csrf": "csrf-login-lcm-1"})).status_code


async def test_b07_a_code_of_a_session_that_ended_gives_no_online_access(http: httpx.AsyncClient) -> None:
    code, offline = await code_for(http, scope=ONLINE), await code_for(http)
    assert await logout(http) == 303
    assert (await exchange(http, code)).json()["error"] == "invalid_grant"
    assert (await exchange(http, offline)).status_code == 200, "offline access outlives the session"


async def test_b07_no_token_slips_in_beside_a_sign_out(app: FastAPI, world: Store) -> None:
    await register_app(world)
    for number in range(6):
        async with browser(app, await sign_in(world)) as http:
            code = await code_for(http, scope=ONLINE)
            body = await launched(http, scope=ONLINE)
            racing = refresh(http, body["refresh_token"]) if number % 2 else exchange(http, code)
            answer, _ = await asyncio.gather(racing, logout(http))
            if answer.status_code == 200:
                assert await read(http, answer.json()["access_token"]) == 401
                assert (await refresh(http, answer.json()["refresh_token"])).status_code == 400


async def test_b07_a_refresh_relies_on_the_session(
    http: httpx.AsyncClient, world: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The sign-out between reading the session and the commit, which a race meets only now and then."""
    from service.auth import authorization_tokens

    body = await launched(http, scope=ONLINE)
    known, signed_out = authorization_tokens.stands, []

    async def late(*given: Any) -> bool:
        found = await known(*given)
        if not signed_out:
            signed_out.append(await logout(http))
        return found

    monkeypatch.setattr(authorization_tokens, "stands", late)
    assert (await refresh(http, body["refresh_token"])).json()["error"] == "invalid_grant"
    assert signed_out == [303]


async def test_b07_what_the_operator_took_from_the_app_no_refresh_brings_back(
    http: httpx.AsyncClient, world: Store
) -> None:
    body = await launched(http, scope="offline_access launch/patient patient/*.rs user/Practitioner.rs")
    code = await code_for(http, scope="offline_access launch/patient patient/*.rs user/Practitioner.rs")
    app = await credentials.client_by_id(world, APP)
    assert app is not None
    narrowed = registration.checked(
        new_client(
            APP, name=APP, organization=ECM1, scope="patient/Patient.r", now_us=1, kind="public",
            redirect_uris=app.redirect_uris,
        ),
        sandbox=True,
    )  # fmt: skip
    await registration.change(world, narrowed)
    for answer in (await refresh(http, body["refresh_token"]), await exchange(http, code)):
        assert answer.json()["scope"] == "launch/patient offline_access patient/Patient.r"
        assert await read(http, answer.json()["access_token"]) == 200
        assert await read(http, answer.json()["access_token"], "Task?patient=Patient/a") == 403


@pytest.mark.parametrize("status", [4, 2])
async def test_b08_more_than_a_token_holds_is_refused_on_the_way(
    http: httpx.AsyncClient, world: Store, status: int
) -> None:
    """What is asked and what is registered multiply; a token whose text cannot be read would give no rights at all."""
    kinds = " ".join(f"user/Observation.rs?category=kind-{'c' * 400 if status == 2 else ''}{n}" for n in range(4))
    await register_app(world, "wide", scope=f"user/Task.rs {kinds}")
    asked = " ".join(f"user/Observation.rs?status={'s' * (400 if status == 2 else 1)}{n}" for n in range(status + 2))
    back = await ask(http, client_id="wide", scope=asked)
    assert back.status_code == 303 and "error=invalid_scope" in back.headers["location"]


async def test_t20_an_assertion_is_used_up_by_a_failed_exchange(http: httpx.AsyncClient, world: Store) -> None:
    await register_app(world, "confidential-app", kind="confidential", jwks=jwks_text())
    code = await code_for(http, client_id="confidential-app")
    proof = {"iss": "confidential-app", "sub": "confidential-app", "aud": f"{BASE}/auth/token"}
    signed = jwt_text(header(), claims(world.clock.now_us(), jti="jti-1", **proof))
    more = {"client_assertion": signed, "client_assertion_type": ASSERTION_TYPE, "client_id": None}
    assert (await exchange(http, code, code_verifier="w" * 64, **more)).json()["error"] == "invalid_grant"
    assert (await exchange(http, code, **more)).json()["error"] == "invalid_client"
    rows = await world.fetch("SELECT actor, reason FROM audit WHERE kind = 'token' AND outcome = 4 ORDER BY slot, seq")
    assert [tuple(row) for row in rows] == [("confidential-app", "verifier"), ("confidential-app", "replay")]


@pytest.mark.parametrize("client_id", ["\x00", "a\x00b", "x" * 65, "\ud7ff", "'"])
async def test_b01_a_client_id_of_no_such_form_asks_the_store_nothing(http: httpx.AsyncClient, client_id: str) -> None:
    """PostgreSQL takes no U+0000 in a text: A10."""
    assert (await ask(http, client_id=client_id)).status_code == 400
    assert (await http.get("/login/%00")).status_code == 404


async def test_b08_a_name_with_a_nul_finds_nobody(http: httpx.AsyncClient) -> None:
    page = await ask(http)
    assert (await press(http, page, "find", find="\x00a")).status_code in (200, 400)


async def test_what_ended_is_forgotten(http: httpx.AsyncClient, world: Store, app: FastAPI, clock: FrozenClock) -> None:
    from service.access.context import Settings
    from service.worker import Worker

    body = await launched(http)
    await refresh(http, body["refresh_token"])
    sweep = Worker(world, Settings()).sweep
    await sweep()
    before = [await _count(world, table) for table in ("token", "authorization_code", "refresh_token", "claim")]
    assert before[:3] == [2, 1, 2] and before[3] >= 2
    clock.advance(100 * 86_400 * SECOND)
    await sweep()
    for table in ("token", "authorization_code", "refresh_token"):
        assert await _count(world, table) == 0, table
    assert await _one(world, "SELECT COUNT(*) FROM claim WHERE expires_us <= ?", clock.now_us()) == 0


async def _count(store: Store, table: str) -> int:
    return await _one(store, f"SELECT COUNT(*) FROM {table}")


async def _one(store: Store, sql: str, *given: Any) -> int:
    return int((await store.fetch(sql, given))[0][0])
