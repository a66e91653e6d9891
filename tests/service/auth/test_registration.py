"""Registering clients: every rule, all problems at once; T15 at registration."""

import json
from typing import Any

import pytest

from service.auth.jwks import MAX_TEXT
from service.auth.registration import BadClient, deactivate, new_client, register
from service.store import credentials
from service.store.engine import Store
from tests.service.auth.smart_client import CLIENT, ec_key, jwks_text, key_set, public_jwk, rsa_key

GOOD: dict[str, Any] = {
    "name": "Made-up plan",
    "organization": "Organization/plan-1",
    "role": "mcp",
    "scope": "system/Task.cruds",
    "jwks": jwks_text(),
    "now_us": 1,
}


def problems(**changes: Any) -> tuple[str, ...]:
    with pytest.raises(BadClient) as caught:
        new_client("c-1", **GOOD | changes)
    return caught.value.problems


def test_a_good_client() -> None:
    client = new_client("c-1", **GOOD)
    assert client.active and json.loads(client.jwks or "") == {"keys": key_set()}
    assert new_client("c-1", **GOOD | {"jwks": None, "jwks_url": "https://ehr.example.org/k"}).jwks is None


def keys(*found: dict[str, Any]) -> str:
    return json.dumps({"keys": found})


@pytest.mark.parametrize(
    "jwks",
    [
        "",
        "[]",
        "{}",
        '{"keys": {}}',
        '{"keys": [1]}',
        keys(),
        keys(public_jwk(rsa_key(), "a", d="AQAB")),
        keys(public_jwk(rsa_key(), "a", p="AQAB")),
        keys(public_jwk(ec_key(), "a", d="AQAB")),
        keys({"kty": "oct", "kid": "a", "k": "AAAA"}),
        keys(*key_set(), {"kty": "oct", "kid": "a"}),
        keys(public_jwk(rsa_key(1024), "a")),
        keys(public_jwk(ec_key("P-256"), "a")),
        keys(public_jwk(rsa_key(), "")),
        keys({k: v for k, v in public_jwk(rsa_key(), "a").items() if k != "kid"}),
        keys(public_jwk(rsa_key(), "a", use="enc")),
        keys(public_jwk(rsa_key(), "a"), public_jwk(rsa_key(2048, 1), "a")),
        keys(*[public_jwk(rsa_key(), f"k{n}") for n in range(21)]),
        keys(public_jwk(rsa_key(), "a", x="x" * MAX_TEXT)),
        "[" * 60_000,
    ],
)
def test_t15_key_sets_that_are_refused(jwks: str) -> None:
    (problem,) = problems(jwks=jwks)
    assert problem.endswith(".") and "AQAB" not in problem


@pytest.mark.parametrize(
    "url",
    [
        "http://ehr.example.org/k",
        "https://",
        "https://user:pw@ehr.example.org/k",
        "https://ehr.example.org/k#x",
        "https://ehr.example.org:x/k",
        "https://ehr.example.org/k k",
        "ftp://ehr.example.org/k",
        "https://ehr.example.org/" + "k" * 3000,
    ],
)
def test_key_set_urls_that_are_refused(url: str) -> None:
    assert len(problems(jwks=None, jwks_url=url)) == 1


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        ({"name": ""}, "name"),
        ({"name": "a\nb"}, "name"),
        ({"name": "n" * 101}, "name"),
        ({"organization": "plan-1"}, "organization"),
        ({"organization": "Patient/1"}, "organization"),
        ({"role": "root"}, "role"),
        ({"role": "system"}, "role"),
        ({"person": "Patient/1"}, "person"),
        ({"purpose": "treat"}, "purpose"),
        ({"purpose": "CARE"}, "v3-ActReason"),
        ({"scope": ""}, "scope"),
        ({"scope": "system/Task.dus"}, "letters"),
        ({"scope": "system/Task.rs?status:not=x"}, "equality"),
        ({"scope": "patient/*.rs"}, "context system or user"),
        ({"jwks_url": "https://ehr.example.org/k"}, "both"),
    ],
)
def test_each_rule(changes: dict[str, Any], word: str) -> None:
    (problem,) = problems(**changes)
    assert word in problem


def test_all_problems_at_once() -> None:
    assert len(problems(name="", organization="x", role="x", scope="x")) == 4


async def test_names_of_active_clients_are_unique(store: Store) -> None:
    client = new_client("c-1", **GOOD)
    await register(store, client)
    with pytest.raises(BadClient, match="name"):
        await register(store, new_client("c-2", **GOOD))
    await deactivate(store, client)
    await register(store, new_client("c-2", **GOOD))
    assert [(c.id, c.active) for c in await credentials.clients_by_name(store, "Made-up plan")] == [
        ("c-1", False),
        ("c-2", True),
    ]
    kinds = await store.fetch("SELECT kind, target FROM audit ORDER BY slot, seq")
    assert [tuple(row) for row in kinds] == [
        ("client-add", f"client/{CLIENT}"),
        ("client-add", "client/c-1"),
        ("client-revoke", "client/c-1"),
        ("client-add", "client/c-2"),
    ]
