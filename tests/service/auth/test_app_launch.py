"""The screen on which people let apps in: B1, B2 and B8-B10 of ../shared/facts/security.md 1.5, over HTTP."""

from collections.abc import AsyncIterator
from html import unescape
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from service.store import credentials
from service.store.change import Change
from service.store.engine import Store
from tests.service.auth.made_up_app import (
    APP,
    BASE,
    FHIR,
    REDIRECT,
    SCOPE,
    Fields,
    ask,
    browser,
    code_for,
    exchange,
    launched,
    press,
    read,
    refresh,
    register_app,
    returned,
    sign_in,
)
from tests.service.world import ECM1, LCM1, change_of, episode, team

POSTGRESQL_IN_DEEP = True


@pytest.fixture
async def http(app: FastAPI, world: Store) -> AsyncIterator[httpx.AsyncClient]:
    """The browser of lead care manager 1, who is signed in."""
    await register_app(world)
    async with browser(app, await sign_in(world)) as client:
        yield client


# 25 variants of a redirect URI of which none is the registered one.
VARIANTS = (
    *("", "https://app.example.org", "https://app.example.org/", "https://app.example.org/callback/"),
    *("https://app.example.org/callback?x=1", "https://app.example.org/callback#f", "https://app.example.org/Callback"),
    *("https://APP.example.org/callback", "http://app.example.org/callback", "https://app.example.org:443/callback"),
    *("https://app.example.org:8443/callback", "https://app.example.org./callback", "HTTPS://app.example.org/callback"),
    *("https://app.example.org.evil.test/callback", "https://evil.test/https://app.example.org/callback"),
    *("https://app.example.org@evil.test/callback", "https://evil.test\\@app.example.org/callback"),
    *("//app.example.org/callback", "/callback", "https://app.example.org/callback/../x", "javascript:alert(1)"),
    *("https://app.example.org/callback%00", "https://app.example.org/call%62ack", " https://app.example.org/callback"),
    "https://app.example.org/callback\r\nX-Evil: 1",
)


async def test_b01_no_variant_of_a_redirect_uri_is_followed(http: httpx.AsyncClient) -> None:
    assert len(set(VARIANTS)) == 25
    for uri in (*VARIANTS, None):
        answer = await ask(http, redirect_uri=uri)
        assert (answer.status_code, answer.headers.get("location")) == (400, None), uri
        assert "not registered" in unescape(answer.text)


async def test_b01_an_unknown_client_is_an_error_page(http: httpx.AsyncClient, world: Store) -> None:
    await register_app(world, "a-backend", kind="backend", uris=(), role="ecm-provider", scope="user/*.cruds")
    for client in ("nobody", "", None, "login-lcm-1", "a-backend"):
        answer = await ask(http, client_id=client)
        assert (answer.status_code, answer.headers.get("location")) == (400, None)
    await world.commit(Change(statements=[credentials.deactivate_client(APP)]))
    assert (await ask(http)).status_code == 400


async def test_b01_the_error_page_stands_before_the_login(app: FastAPI, world: Store) -> None:
    await register_app(world)
    async with browser(app) as stranger:
        assert (await ask(stranger, redirect_uri="https://evil.test/")).status_code == 400
        answer = await ask(stranger)
    assert answer.status_code == 303
    assert answer.headers["location"].startswith("/login?next=%2Fauth%2Fauthorize%3Fresponse_type%3Dcode")


async def test_b01_a_parameter_that_comes_twice_is_an_error_page(http: httpx.AsyncClient) -> None:
    answer = await http.get(f"/auth/authorize?client_id={APP}&redirect_uri={REDIRECT}&redirect_uri=https://evil.test")
    assert (answer.status_code, answer.headers.get("location")) == (400, None)


WRONG: tuple[tuple[dict[str, str | None], str], ...] = (
    ({"response_type": "token"}, "unsupported_response_type"),
    ({"response_type": None}, "unsupported_response_type"),
    ({"response_type": "code id_token"}, "unsupported_response_type"),
    ({"state": None}, "invalid_request"),
    ({"state": ""}, "invalid_request"),
    ({"state": "x" * 3000}, "invalid_request"),
    ({"aud": None}, "invalid_request"),
    ({"aud": "https://other.example.org/fhir"}, "invalid_request"),
    ({"aud": f"{FHIR}/Patient"}, "invalid_request"),
    ({"aud": FHIR.upper()}, "invalid_request"),
    ({"code_challenge": None}, "invalid_request"),
    ({"code_challenge": "short"}, "invalid_request"),
    ({"code_challenge_method": None}, "invalid_request"),
    ({"code_challenge_method": "plain"}, "invalid_request"),
    ({"code_challenge_method": "s256"}, "invalid_request"),
    ({"response_mode": "fragment"}, "invalid_request"),
    ({"launch": "xyz"}, "invalid_request"),
    ({"request": "eyJ"}, "request_not_supported"),
    ({"scope": None}, "invalid_scope"),
    ({"scope": "system/*.rs"}, "invalid_scope"),
    ({"scope": "patient/Patient.cud"}, "invalid_scope"),
    ({"prompt": "none"}, "interaction_required"),
)


async def test_b02_what_is_wrong_goes_back_to_the_app_without_a_code(http: httpx.AsyncClient) -> None:
    for changes, error in WRONG:
        answer = await ask(http, **changes)
        assert answer.headers["location"].startswith(f"{REDIRECT}?"), changes
        back = returned(answer)
        assert (back["error"], back["iss"], "code" in back) == (error, BASE, False), changes
        if changes.get("state", "state-1") == "state-1":
            assert back["state"] == "state-1"


async def test_b02_state_comes_back_intact(http: httpx.AsyncClient) -> None:
    state = "a b&c=d/e?f#g%h+\"'<>~"
    page = await ask(http, state=state)
    assert returned(await press(http, page, "allow", patient="Patient/a"))["state"] == state
    assert returned(await press(http, page, "refuse"))["state"] == state


async def test_b08_the_person_takes_scopes_away(http: httpx.AsyncClient) -> None:
    page = await ask(http, scope=f"{SCOPE} user/Observation.cruds")
    text = unescape(page.text)
    for words in ("Add, read, change, delete and search: measurements and answers", "also after you sign out", APP):
        assert words in text
    answer = await press(http, page, "allow", without=("user/Observation.cruds", "offline_access"), patient="Patient/a")
    body = (await exchange(http, returned(answer)["code"])).json()
    assert set(body["scope"].split()) == set(SCOPE.split()) - {"offline_access"}
    assert "refresh_token" not in body


async def test_b08_a_scope_that_was_not_offered_cannot_be_ticked(http: httpx.AsyncClient) -> None:
    page = await ask(http, scope="user/Observation.rs")
    answer = await press(http, page, "allow", scope="user/*.cruds")
    assert returned(answer)["error"] == "access_denied"


async def test_b08_who_does_not_agree_sends_the_app_away(http: httpx.AsyncClient) -> None:
    page = await ask(http)
    assert returned(await press(http, page, "refuse"))["error"] == "access_denied"


async def test_b09_only_members_of_the_own_panel_can_be_chosen(http: httpx.AsyncClient) -> None:
    page = await ask(http)
    assert Fields(page.text).radios == ["Patient/a"]
    for patient in ("Patient/b", "Patient/nobody", "Practitioner/lcm-1", "", "a"):
        answer = await press(http, page, "allow", patient=patient)
        assert answer.status_code == 400 and "location" not in answer.headers
    foreign = await press(http, page, "allow", patient="Patient/b")
    absent = await press(http, page, "allow", patient="Patient/nobody")
    assert foreign.text == absent.text
    assert "Choose a member first" in (await press(http, page, "allow")).text


async def test_b09_a_member_is_found_by_name(http: httpx.AsyncClient) -> None:
    page = await ask(http)
    found = await press(http, page, "find", find="made", without=("offline_access",))
    assert Fields(found.text).radios == ["Patient/a"]
    assert "made" not in str(found.url)
    assert ("scope", "offline_access") not in Fields(found.text).sent, "what was taken away stays away"
    for name in ("Zzz", "a,b|c$d\\e"):
        assert Fields((await press(http, page, "find", find=name)).text).radios == []


async def test_b09_an_ended_assignment_ends_access_at_the_next_call(http: httpx.AsyncClient, world: Store) -> None:
    body, late = await launched(http), await code_for(http)
    assert await read(http, body["access_token"]) == 200
    ended = {"period": {"start": "2026-01-01", "end": "2026-02-01"}}
    await world.commit(change_of(world, episode("EpisodeOfCare/a", "Patient/a", ECM1, LCM1, **ended), expect=1))
    inactive = {**team("CareTeam/a", "Patient/a", LCM1, ECM1), **ended}
    await world.commit(change_of(world, inactive, ECM1, expect=1))
    assert await read(http, body["access_token"]) == 404
    assert (await exchange(http, late)).json()["error"] == "invalid_grant"
    assert (await refresh(http, body["refresh_token"])).json()["error"] == "invalid_grant"


async def test_b09_the_token_reaches_the_chosen_member_alone(http: httpx.AsyncClient, world: Store) -> None:
    more = episode("EpisodeOfCare/b-too", "Patient/b", ECM1, LCM1)
    await world.commit(change_of(world, more))
    body = await launched(http, scope="launch/patient patient/*.rs")
    assert await read(http, body["access_token"], "Patient/a") == 200
    assert await read(http, body["access_token"], "Patient/b") in (403, 404)
    whole = await launched(http, scope="user/*.rs", patient="")
    assert "patient" not in whole
    assert await read(http, whole["access_token"], "Patient/b") == 200


async def test_b10_headers_and_form_of_the_screen(http: httpx.AsyncClient) -> None:
    page = await ask(http)
    policy = page.headers["content-security-policy"]
    assert "frame-ancestors 'none'" in policy
    assert "form-action 'self' https://app.example.org;" in policy
    assert page.headers["x-frame-options"] == "DENY"
    assert page.headers["cache-control"] == "no-store"
    assert page.headers["referrer-policy"] == "no-referrer"
    answer = await press(http, page, "allow", patient="Patient/a")
    assert returned(answer)["iss"] == BASE == (await http.get("/fhir/.well-known/smart-configuration")).json()["issuer"]


async def test_b10_a_form_without_the_token_of_the_session_does_nothing(http: httpx.AsyncClient, world: Store) -> None:
    page = await ask(http)
    for csrf in ("", "csrf-login-lcm-2", "x"):
        answer = await press(http, page, "allow", patient="Patient/a", csrf=csrf)
        assert (answer.status_code, "location" in answer.headers) == (403, False)
    cross = await http.post(
        "/auth/authorize", data={"csrf": "csrf-login-lcm-1"}, headers={"sec-fetch-site": "cross-site"}
    )
    assert cross.status_code == 403
    assert await _rows(world, "authorization_code") == []


async def test_b10_the_form_checks_the_request_anew(http: httpx.AsyncClient) -> None:
    page = await ask(http)
    sent = dict(Fields(page.text).sent)["request"]
    answer = await press(http, page, "allow", patient="Patient/a", request=sent.replace("app.example", "evil.example"))
    assert (answer.status_code, "location" in answer.headers) == (400, False)
    answer = await press(http, page, "allow", patient="Patient/a", request=sent.replace("S256", "plain"))
    assert returned(answer)["error"] == "invalid_request"


async def test_agreeing_leaves_an_audit_row_with_the_member(http: httpx.AsyncClient, world: Store) -> None:
    await code_for(http)
    rows = await world.fetch("SELECT actor, target, patients, outcome FROM audit WHERE kind = ?", ("authorize",))
    assert [tuple(row) for row in rows] == [(LCM1, f"client/{APP}", "Patient/a", 0)]


async def _rows(store: Store, table: str) -> list[Any]:
    return await store.fetch(f"SELECT * FROM {table}")
