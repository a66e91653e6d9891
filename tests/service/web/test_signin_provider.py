"""Signing in through an OpenID Provider that lies, fails or changes: B11 of ../shared/facts/security.md 1.5."""

import json
import warnings
from hashlib import sha256
from typing import Any

import pytest
from joserfc.jwk import RSAKey

from service.auth import identities as rules
from service.auth.openid import RelyingParty
from service.auth.openid_metadata import BadProvider, check_issuer
from service.egress import Answer, EgressFailed
from service.store.engine import Store
from service.web.signin import WORDS
from tests.service.web.browsing import BASE, text_of
from tests.service.web.openid_provider import CLIENT_ID, EC, ISSUER, KEYS, TOO_LARGE, b64
from tests.service.web.visiting import KEY, Visitor, reasons, register_provider, sessions

POSTGRESQL_IN_DEEP = True
AT_HASH = b64(sha256(b"opaque").digest()[:16])
with warnings.catch_warnings():  # the library warns of what it makes here
    warnings.simplefilter("ignore")
    SHORT = RSAKey.generate_key(1024, {"kid": "s"})


LIES: dict[str, dict[str, Any]] = {
    "wrong nonce": {"claims": {"nonce": "n" * 43}},
    "no nonce": {"claims": {"nonce": None}},
    "another audience": {"claims": {"aud": "another"}},
    "two audiences without azp": {"claims": {"aud": [CLIENT_ID, "another"]}},
    "azp is another": {"claims": {"aud": [CLIENT_ID, "another"], "azp": "another"}},
    "expired": {"claims": {"exp": 1}},
    "exp is text": {"claims": {"exp": "soon"}},
    "exp is true": {"claims": {"exp": True}},
    "no iat": {"claims": {"iat": None}},
    "made long ago": {"claims": {"iat": 1}},
    "made tomorrow": {"claims": {"iat": 4_000_000_000}},
    "foreign issuer": {"claims": {"iss": "https://login.evil.example"}},
    "no subject": {"claims": {"sub": None}},
    "empty subject": {"claims": {"sub": ""}},
    "subject is a number": {"claims": {"sub": 7}},
    "at_hash of another token": {"claims": {"at_hash": "AAAA"}},
    "alg none": {"header": {"alg": "none"}},
    "the public key as a secret": {"header": {"alg": "HS256"}},
    "another key under the same kid": {"key": RSAKey.generate_key(2048, {"kid": "k1"})},
    "unknown kid": {"key": KEYS["other"]},
    "a short key": {"key": SHORT, "keys": [SHORT]},
    "no kid and two keys": {"header": {"kid": None}, "keys": list(KEYS.values())},
    "no token": {"id_token": ""},
    "no JWT": {"id_token": "a.b"},
    "a long token": {"id_token": f"{'a' * 9000}.b.c"},
}


TRUE: list[dict[str, Any]] = [
    {"header": {"kid": None}},
    {"key": EC, "keys": [EC, KEYS["rsa"]], "header": {"alg": "ES256"}},
    {"header": {"alg": "PS256"}},
    {"claims": {"aud": [CLIENT_ID, "another"], "azp": CLIENT_ID}},
    {"claims": {"at_hash": AT_HASH}},
]


async def test_a_lying_id_token_opens_nothing(visitor: Visitor, store: Store) -> None:
    for lie, facts in LIES.items():
        visitor.becomes(**facts)
        answer = await visitor.through()
        assert (lie, answer.status_code) == (lie, 403) and WORDS["answer"] in text_of(answer)
        assert not any(c.startswith("enlace=") for c in answer.headers.get_list("set-cookie")), lie
    assert await sessions(store) == 0
    told = await reasons(store)
    assert len(told) == len(LIES) and all(reason.startswith("id-token-") for reason in told), told


async def test_what_a_provider_may_do(visitor: Visitor) -> None:
    for facts in TRUE:
        visitor.becomes(**facts)
        assert (await visitor.through()).headers.get("location") == "/", facts


async def test_keys_that_rotate(visitor: Visitor) -> None:
    assert (await visitor.through()).status_code == 303
    visitor.provider.key, visitor.provider.keys = KEYS["other"], [KEYS["other"], KEYS["rsa"]]
    assert (await visitor.through()).status_code == 303
    visitor.provider.key, visitor.provider.keys = KEYS["rsa"], [KEYS["other"]]
    assert (await visitor.through()).status_code == 403


DOWN: dict[str, dict[str, Any]] = {
    "nobody there": {"answers": {"/.well-known/openid-configuration": EgressFailed("connect")}},
    "document too large": {"answers": {"/.well-known/openid-configuration": TOO_LARGE}},
    "no document": {"answers": {"/.well-known/openid-configuration": Answer(404, {}, b"")}},
    "a redirect": {"answers": {"/.well-known/openid-configuration": Answer(302, {"location": "http://x"}, b"")}},
    "no JSON": {"answers": {"/.well-known/openid-configuration": Answer(200, {}, b"[" * 9000)}},
    "another issuer": {"metadata": {"issuer": "https://login.evil.example"}},
    "inside our network": {"metadata": {"token_endpoint": "http://169.254.169.254/token"}},
    "keys over http": {"metadata": {"jwks_uri": "http://login.made-up.example/jwks"}},
    "plain PKCE": {"metadata": {"code_challenge_methods_supported": ["plain"]}},
    "no addresses": {"metadata": {"authorization_endpoint": None}},
}


@pytest.mark.parametrize("trouble", DOWN)
async def test_a_provider_that_cannot_be_used_is_a_page(visitor: Visitor, store: Store, trouble: str) -> None:
    for name, value in DOWN[trouble].items():
        setattr(visitor.provider, name, value)
    answer = await visitor.get("/login/p1")
    assert answer.status_code == 503 and WORDS["down"] in text_of(answer) and answer.headers["retry-after"] == "30"
    assert await store.fetch("SELECT hash FROM login_attempt") == []
    asked = len(visitor.provider.sent)
    await visitor.get("/login/p1")
    assert len(visitor.provider.sent) == asked  # a crowd at the door is no flood at the provider's


@pytest.mark.parametrize(
    ("path", "answer", "status"),
    [
        ("/token", EgressFailed("timeout"), 503),
        ("/token", TOO_LARGE, 503),
        ("/token", Answer(502, {}, b"<html>"), 503),
        ("/token", Answer(200, {}, b"<html>"), 403),
        ("/token", Answer(200, {}, b'{"id_token": 5}'), 403),
        ("/token", Answer(400, {}, b'{"error": "invalid_client"}'), 403),
        ("/jwks", EgressFailed("connect"), 503),
        ("/jwks", Answer(200, {}, b"{}"), 503),
        ("/jwks", Answer(200, {}, json.dumps({"keys": [KEYS["rsa"].as_dict(private=True)]}).encode()), 503),
    ],
)
async def test_a_provider_that_fails_on_the_way(
    visitor: Visitor, store: Store, path: str, answer: Answer | Exception, status: int
) -> None:
    visitor.provider.answers[path] = answer
    page = await visitor.through()
    assert page.status_code == status and await sessions(store) == 0
    assert "Traceback" not in page.text and "html>" not in text_of(page)


@pytest.mark.parametrize(
    ("issuer", "sandbox", "good"),
    [
        (ISSUER, False, True),
        (f"{ISSUER}/tenant/", False, True),
        ("http://127.0.0.1:9000", True, True),
        ("http://127.0.0.1:9000", False, False),
        ("http://127.0.0.1:9001", True, False),
        ("http://10.0.0.7:9000", True, False),
        ("http://login.made-up.example", True, False),
        ("https://user@login.made-up.example", True, False),
        (f"{ISSUER}?a=b", True, False),
        (f"{ISSUER}#a", True, False),
        ("https://10.0.0.7", True, False),
        ("", True, False),
    ],
)
def test_which_issuers_can_be_registered(issuer: str, sandbox: bool, good: bool) -> None:
    allow = ("127.0.0.1:9000", "10.0.0.7:9000")
    if good:
        assert check_issuer(issuer, allow, sandbox=sandbox) == issuer
    else:
        with pytest.raises(BadProvider, match="--issuer"):
            check_issuer(issuer, allow, sandbox=sandbox)


async def test_the_ways_to_authenticate_at_the_token_endpoint(visitor: Visitor, store: Store) -> None:
    """And no secret stays behind where the next provider would be sent it."""
    from authlib.oauth2.client import DEFAULT_HEADERS  # type: ignore[import-untyped]

    assert (await visitor.through()).status_code == 303
    assert visitor.provider.tokens[-1].startswith("Basic ")
    assert "Authorization" not in DEFAULT_HEADERS and "authorization" not in DEFAULT_HEADERS
    visitor.becomes(metadata={"token_endpoint_auth_methods_supported": ["client_secret_post"]}, secret=None)
    visitor.app.state.relying_party = RelyingParty(visitor.provider, KEY, BASE)
    assert (await visitor.through()).status_code == 303
    assert visitor.provider.tokens[-1] == "post"
    await register_provider(store, "public", name="Public")
    await rules.bind(store, await rules.named(store, "public"), "ana-at-work", "Practitioner/ana")
    assert (await visitor.through("/login/public")).status_code == 303
    assert visitor.provider.tokens[-1] == "none"


async def test_a_secret_that_cannot_be_opened(visitor: Visitor, store: Store) -> None:
    """Another key file than the one with which it was sealed."""
    visitor.app.state.relying_party.key = b"another" * 8
    page = await visitor.through()
    assert page.status_code == 503 and WORDS["down"] in text_of(page)
