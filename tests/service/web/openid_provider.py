"""A made-up OpenID Provider in this process, which lies at will; it stands in the place of the egress client."""

import base64
import hmac
import json
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any
from urllib.parse import parse_qs, quote, urlsplit

from joserfc import jwt
from joserfc.jwk import ECKey, RSAKey

from service.egress import Answer, EgressFailed
from tests.frozen_clock import FrozenClock

ISSUER = "https://login.made-up.example"
CLIENT_ID = "enlace"
KEYS = {"rsa": RSAKey.generate_key(2048, {"kid": "k1"}), "other": RSAKey.generate_key(2048, {"kid": "k2"})}
EC = ECKey.generate_key("P-256", {"kid": "e1"})


def b64(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


@dataclass
class FakeProvider:
    """claims, header: laid over what is right (None takes one out). key: what signs; keys: what is published."""

    clock: FrozenClock
    subject: str = "ana-at-work"
    secret: str | None = None
    claims: dict[str, Any] = field(default_factory=dict)
    header: dict[str, Any] = field(default_factory=dict)
    key: Any = field(default_factory=lambda: KEYS["rsa"])
    keys: list[Any] = field(default_factory=lambda: [KEYS["rsa"]])
    metadata: dict[str, Any] = field(default_factory=dict)
    answers: dict[str, Answer | Exception] = field(default_factory=dict)
    """Path -> answered (or raised) in place of what is right."""
    id_token: str | None = None
    sent: list[tuple[str, str]] = field(default_factory=list)
    codes: dict[str, dict[str, str]] = field(default_factory=dict)
    tokens: list[str] = field(default_factory=list)
    """How we authenticated at the token endpoint, each time."""

    def sign_in(self, address: str, **changes: str | None) -> dict[str, str]:
        """What the person's browser carries back: the parameters of the redirect to us."""
        asked = {name: values[0] for name, values in parse_qs(urlsplit(address).query).items()}
        assert asked["response_type"] == "code" and asked["client_id"] == CLIENT_ID and asked["scope"] == "openid"
        assert asked["code_challenge_method"] == "S256" and len(asked["state"]) >= 43 and len(asked["nonce"]) >= 43
        code = f"code-{len(self.codes)}"
        self.codes[code] = asked
        given = {"state": asked["state"], "code": code, "iss": ISSUER} | changes
        return {name: value for name, value in given.items() if value is not None}

    async def request(
        self, method: str, url: str, *, content: bytes | None = None, headers: dict[str, str] | None = None
    ) -> Answer:
        path = urlsplit(url).path
        self.sent.append((method, path))
        instead = self.answers.get(path)
        if isinstance(instead, Exception):
            raise instead
        if instead is not None:
            return instead
        if path == "/.well-known/openid-configuration":
            return self._json(200, self._document())
        if path == "/jwks":
            return self._json(200, {"keys": [key.as_dict(private=False) for key in self.keys]})
        assert (method, path) == ("POST", "/token")
        return self._token(dict(headers or {}), (content or b"").decode())

    def _document(self) -> dict[str, Any]:
        document = {
            "issuer": ISSUER,
            "authorization_endpoint": f"{ISSUER}/authorize",
            "token_endpoint": f"{ISSUER}/token",
            "jwks_uri": f"{ISSUER}/jwks",
            "end_session_endpoint": f"{ISSUER}/leave?ui=plain",
            "response_types_supported": ["code"],
            "code_challenge_methods_supported": ["S256"],
            "authorization_response_iss_parameter_supported": True,
        } | self.metadata
        return {name: value for name, value in document.items() if value is not None}

    def _token(self, headers: dict[str, str], body: str) -> Answer:
        form = {name: values[0] for name, values in parse_qs(body).items()}
        self.tokens.append(headers.get("Authorization") or ("post" if "client_secret" in form else "none"))
        if self.secret is not None:
            given = base64.b64encode(f"{CLIENT_ID}:{quote(self.secret, '')}".encode()).decode()
            assert headers["Authorization"] == f"Basic {given}" and "client_secret" not in form
        asked = self.codes.pop(form["code"], None)
        if asked is None or b64(sha256(form["code_verifier"].encode()).digest()) != asked["code_challenge"]:
            return self._json(400, {"error": "invalid_grant"})
        assert form["redirect_uri"] == asked["redirect_uri"] and form["grant_type"] == "authorization_code"
        token = self.id_token if self.id_token is not None else self._id_token(asked["nonce"])
        return self._json(200, {"access_token": "opaque", "token_type": "Bearer", "id_token": token})

    def _id_token(self, nonce: str) -> str:
        now = self.clock.now_us() // 1_000_000
        said = {"iss": ISSUER, "sub": self.subject, "aud": CLIENT_ID, "exp": now + 300, "iat": now, "nonce": nonce}
        claims = {name: value for name, value in (said | self.claims).items() if value is not None}
        header = {"alg": "RS256", "kid": self.key.kid} | self.header
        header = {name: value for name, value in header.items() if value is not None}
        if header["alg"] == "none":
            return f"{b64(json.dumps(header).encode())}.{b64(json.dumps(claims).encode())}."
        if header["alg"] == "HS256":  # the public key as a shared secret, the oldest trick of all
            signed = f"{b64(json.dumps(header).encode())}.{b64(json.dumps(claims).encode())}"
            return f"{signed}.{b64(hmac.digest(self.key.as_pem(private=False), signed.encode(), 'sha256'))}"
        return jwt.encode(header, claims, self.key, algorithms=[header["alg"]])

    def _json(self, status: int, document: dict[str, Any]) -> Answer:
        return Answer(status, {"content-type": "application/json"}, json.dumps(document).encode())


TOO_LARGE = EgressFailed("too-large")
