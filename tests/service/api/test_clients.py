"""The operator's API of clients: who finds it, what is refused (all at once), and that suspension acts at once."""

import json
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from service.store.engine import Store
from tests.service.auth.smart_client import ec_key, jwks_text, public_jwk
from tests.service.conftest import AppClient
from tests.service.world import ECM1, LCM1, access_token

POSTGRESQL_IN_DEEP = True
BASE = "http://test"
OPERATOR = "Organization/op"
CALLBACK = "https://app.example.org/callback"


def metadata(**changes: Any) -> dict[str, Any]:
    good = {
        "client_name": "Made-up EHR",
        "organization": ECM1,
        "role": "ecm-provider",
        "purpose": "TREAT",
        "scope": "system/Task.cruds system/Observation.rs?category=laboratory",
        "jwks": json.loads(jwks_text()),
    }
    return {name: value for name, value in (good | changes).items() if value is not None}


def app_metadata(**changes: Any) -> dict[str, Any]:
    facts = {"kind": "public", "role": None, "jwks": None, "redirect_uris": [CALLBACK]}
    return metadata(**{"scope": "launch/patient patient/*.rs", **facts, **changes})


@pytest.fixture
async def admin(world: Store, app_client: AppClient) -> httpx.AsyncClient:
    client = await app_client("admin", OPERATOR)
    client.base_url = httpx.URL(BASE)
    return client


async def kinds(store: Store) -> list[tuple[str, int, str]]:
    rows = await store.fetch("SELECT kind, outcome, reason FROM audit WHERE kind LIKE 'client-%' ORDER BY slot, seq")
    return [(kind, outcome, reason) for kind, outcome, reason in rows]


async def test_register_list_read(admin: httpx.AsyncClient, world: Store) -> None:
    made = await admin.post("/auth/clients", json=metadata())
    assert made.status_code == 201 and made.headers["cache-control"] == "no-store"
    body = made.json()
    assert body["scope"] == metadata()["scope"] and body["token_endpoint_auth_method"] == "private_key_jwt"
    assert (body["kind"], body["active"], body["suspended"]) == ("backend", True, False)
    assert body == (await admin.get(f"/auth/clients/{body['client_id']}")).json()
    assert body in (await admin.get("/auth/clients")).json()["clients"]
    assert (await kinds(world))[-3:] == [("client-add", 0, ""), ("client-read", 0, ""), ("client-read", 0, "")]


async def test_an_app_has_redirects_and_no_role(admin: httpx.AsyncClient) -> None:
    body = (await admin.post("/auth/clients", json=app_metadata())).json()
    assert (body["kind"], body["role"], body["redirect_uris"]) == ("public", "app", [CALLBACK])
    assert body["scope"] == "launch/patient patient/*.rs" and body["token_endpoint_auth_method"] == "none"


WRONG: list[tuple[dict[str, Any], str]] = [
    (metadata(purpose=None), "purpose is required"),
    (metadata(organization=None), "organization is required"),
    (metadata(organization="Organization/nobody"), "write it first"),
    (metadata(scope="system/Task.rs?owner.name=x"), "no chains"),
    (metadata(scope="patient/*.rs"), "context system or user"),
    (metadata(jwks=None), "jwks or jwks_uri"),
    (metadata(jwks={"keys": [{"kty": "oct", "k": "AAAA"}]}), "no symmetric key"),
    (metadata(jwks_uri="https://ehr.example.org/k"), "not both"),
    (metadata(jwks="x"), "jwks is a JSON object"),
    (metadata(role="system"), "role is one of"),
    (metadata(kind="web"), "kind is one of"),
    (metadata(client_secret="x"), "not known here"),
    (metadata(client_name=7), "client_name is a string"),
    (app_metadata(role="lcm"), "no role"),
    (app_metadata(jwks=json.loads(jwks_text())), "keeps no key"),
    (app_metadata(kind="confidential"), "registers a key set"),
    (app_metadata(scope="system/*.rs"), "context user or patient"),
]


async def test_metadata_that_is_refused(admin: httpx.AsyncClient) -> None:
    for body, words in WRONG:
        answer = await admin.post("/auth/clients", json=body)
        assert answer.status_code == 400 and answer.json()["error"] == "invalid_client_metadata"
        assert words in answer.json()["error_description"]


WRONG_REDIRECTS = [
    "http://app.example.org/cb",
    "https://app.example.org/cb#x",
    "https://user@app.example.org/cb",
    "https://*.example.org/cb",
    "https://app.example.org/a/../cb",
    "https:///cb",
    "/cb",
    "myapp://cb",
    "javascript:alert(1)",
    "https://app.example.org:x/cb",
    "https://app.example.org/c b",
    "http://127.0.0.1.example.org/cb",
    "",
]


async def test_redirects_that_are_refused(admin: httpx.AsyncClient) -> None:
    for uri in WRONG_REDIRECTS:
        answer = await admin.post("/auth/clients", json=app_metadata(redirect_uris=[uri]))
        assert (answer.status_code, answer.json()["error"]) == (400, "invalid_redirect_uri")
        assert not uri or uri not in answer.text


async def test_loopback_redirects_are_for_the_sandbox(admin: httpx.AsyncClient, app: FastAPI) -> None:
    uris = ["http://127.0.0.1:7777/cb", "http://localhost/cb", "http://[::1]:1/cb"]
    app.state.auth.env = "production"
    assert (await admin.post("/auth/clients", json=app_metadata(redirect_uris=uris))).status_code in (400, 401)
    app.state.auth.env = "sandbox"
    assert (await admin.post("/auth/clients", json=app_metadata(redirect_uris=uris))).status_code == 201


async def test_all_problems_at_once(admin: httpx.AsyncClient) -> None:
    body = metadata(client_name="", organization="x", role="x", scope="x", purpose="x", redirect_uris=["x"])
    answer = (await admin.post("/auth/clients", json=body)).json()
    assert answer["error"] == "invalid_client_metadata"
    assert answer["error_description"].count(".") >= 6
    both = app_metadata(redirect_uris=[])
    assert (await admin.post("/auth/clients", json=both)).json()["error"] == "invalid_redirect_uri"


async def test_suspension_acts_on_the_next_request(
    admin: httpx.AsyncClient, world: Store, app_client: AppClient
) -> None:
    ehr = await app_client()
    assert (await ehr.get("/Patient/a")).status_code == 200
    clients = (await admin.get("/auth/clients")).json()["clients"]
    (client_id,) = [one["client_id"] for one in clients if one["role"] == "ecm-provider"]
    for suspended, status in ((True, 401), (False, 200), (True, 401)):
        answer = await admin.patch(f"/auth/clients/{client_id}", json={"suspended": suspended})
        assert (answer.json()["suspended"], answer.json()["active"]) == (suspended, not suspended)
        assert (await ehr.get("/Patient/a")).status_code == status
    changes = [kind for kind, _, _ in await kinds(world) if kind in ("client-suspend", "client-resume")]
    assert changes == ["client-suspend", "client-resume", "client-suspend"]


async def test_keys_scopes_and_redirects_are_changed_and_checked(admin: httpx.AsyncClient) -> None:
    client_id = (await admin.post("/auth/clients", json=metadata())).json()["client_id"]
    path = f"/auth/clients/{client_id}"
    new_keys = {"keys": [public_jwk(ec_key(), "next")]}
    answer = await admin.patch(path, json={"jwks": new_keys, "scope": "system/Goal.rs"})
    assert (answer.json()["jwks"], answer.json()["scope"]) == (new_keys, "system/Goal.rs")
    by_url = (await admin.patch(path, json={"jwks_uri": "https://ehr.example.org/k"})).json()
    assert by_url["jwks_uri"] == "https://ehr.example.org/k" and "jwks" not in by_url
    for body in ({}, {"role": "admin"}, {"suspended": "yes"}, {"scope": "x"}, {"redirect_uris": [CALLBACK]}, []):
        refused = await admin.patch(path, json=body)
        assert refused.status_code == 400, body
    assert (await admin.get(path)).json() == by_url


async def test_endpoints_are_registered_changed_and_checked(admin: httpx.AsyncClient) -> None:
    given = ["hooks.example.org", "@example.org", "+19165550100"]
    made = (await admin.post("/auth/clients", json=metadata(endpoints=given))).json()
    path = f"/auth/clients/{made['client_id']}"
    assert made["endpoints"] == given == (await admin.get(path)).json()["endpoints"]
    assert (await admin.patch(path, json={"endpoints": ["b.example.org"]})).json()["endpoints"] == ["b.example.org"]
    for bad in (
        "https://a.example.org",
        "a.example.org:443",
        "A.example.org",
        "a b.org",
        "localhost",
        "@",
        "916",
        "é.org",
    ):
        assert (await admin.patch(path, json={"endpoints": [bad]})).status_code == 400, bad
    for body in (
        {"endpoints": "a.org"},
        {"endpoints": ["a.org", "a.org"]},
        {"endpoints": [f"h{n}.org" for n in range(51)]},
    ):
        assert (await admin.patch(path, json=body)).status_code == 400
    assert (await admin.post("/auth/clients", json=app_metadata(endpoints=["a.example.org"]))).status_code == 400
    assert (await admin.patch(path, json={"endpoints": []})).json()["endpoints"] == []


async def test_for_others_there_is_nothing_here(admin: httpx.AsyncClient, app_client: AppClient, world: Store) -> None:
    client_id = (await admin.post("/auth/clients", json=metadata())).json()["client_id"]
    answers = []
    for role in ("ecm-provider", "lcm", "mcp", "cbo", "hospital", "referrer"):
        other = await app_client(role, ECM1, LCM1 if role == "lcm" else None)
        other.base_url = httpx.URL(BASE)
        answers += [
            await other.post("/auth/clients", json=metadata()),
            await other.get("/auth/clients"),
            await other.get(f"/auth/clients/{client_id}"),
            await other.get("/auth/clients/nobody"),
            await other.patch(f"/auth/clients/{client_id}", json={"suspended": True}),
        ]
    unknown = await admin.get("/auth/clients/nobody")
    assert {(answer.status_code, answer.content) for answer in answers} == {(404, unknown.content)}
    assert ("client-change", 4, "hidden") in await kinds(world)
    assert (await admin.get(f"/auth/clients/{client_id}")).json()["suspended"] is False


async def test_without_a_token_or_its_scope_nobody_comes_in(
    app: FastAPI, world: Store, admin: httpx.AsyncClient
) -> None:
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url=BASE) as nobody:
        answer = await nobody.get("/auth/clients")
        assert answer.status_code == 401 and answer.headers["www-authenticate"].startswith("Bearer")
    token = await access_token(world, "admin", OPERATOR, scopes="system/Task.cruds system/*.s")
    narrow = httpx.AsyncClient(transport=transport, base_url=BASE, headers={"Authorization": f"Bearer {token}"})
    assert (await narrow.get("/auth/clients")).status_code == 200
    refused = await narrow.post("/auth/clients", json=metadata())
    assert refused.status_code == 403 and "system/*.c" in refused.text
    for body, kind in ((b"{", "application/json"), (b'{"a":1,"a":2}', "application/json"), (b"{}", "text/plain")):
        answer = await admin.post("/auth/clients", content=body, headers={"Content-Type": kind})
        assert answer.status_code in (400, 415) and "error" in answer.json()
