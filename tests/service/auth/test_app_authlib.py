"""Authlib's client, which is not ours, goes the whole way of an app: agree, exchange, read, refresh, revoke."""

from typing import Any
from urllib.parse import urlsplit

import httpx
from fastapi import FastAPI

from service.store.engine import Store
from tests.service.auth.made_up_app import (
    APP,
    BASE,
    FHIR,
    REDIRECT,
    SCOPE,
    VERIFIER,
    browser,
    press,
    register_app,
    sign_in,
)

POSTGRESQL_IN_DEEP = True


def authlib_client(app: FastAPI, **facts: Any) -> Any:
    from authlib.integrations.httpx_client import AsyncOAuth2Client  # type: ignore[import-untyped]

    facts |= {"token_endpoint_auth_method": "none", "code_challenge_method": "S256"}
    transport = httpx.ASGITransport(app=app)
    return AsyncOAuth2Client(APP, redirect_uri=REDIRECT, scope=SCOPE, transport=transport, base_url=BASE, **facts)


async def test_an_independent_client_goes_the_whole_way(app: FastAPI, world: Store) -> None:
    await register_app(world)
    cookie = await sign_in(world)
    async with authlib_client(app) as client, browser(app, cookie) as person:
        smart = (await person.get("/fhir/.well-known/smart-configuration")).json()
        url, state = client.create_authorization_url(
            smart["authorization_endpoint"], code_verifier=VERIFIER, aud=FHIR, nonce="n-1"
        )
        parts = urlsplit(url)
        page = await person.get(f"{parts.path}?{parts.query}")
        answer = await press(person, page, "allow", patient="Patient/a")
        back = answer.headers["location"]
        token = await client.fetch_token(
            smart["token_endpoint"], authorization_response=back, state=state, code_verifier=VERIFIER
        )
        assert token["patient"] == "a" and token["id_token"]
        assert (await client.get("/fhir/Patient/a")).json()["id"] == "a"
        assert (await client.get("/fhir/Patient/b")).status_code in (403, 404)
        newer = await client.refresh_token(smart["token_endpoint"])
        assert newer["access_token"] != token["access_token"]
        found = (await client.get("/fhir/Observation", params={"patient": "a"})).json()
        assert [entry["resource"]["id"] for entry in found["entry"]] == ["a"]
        await client.revoke_token(smart["revocation_endpoint"], newer["refresh_token"], "refresh_token")
        assert (await client.get("/fhir/Patient/a")).status_code == 401
