"""Client assertions (private_key_jwt): checks T6-T20 of SMART Backend Services, in the order of the specification.

https://hl7.org/fhir/smart-app-launch/STU2.2/client-confidential-asymmetric.html; ../shared/facts/security.md 1.1.
Pure: no clock, no I/O. Every failure is ClientRefused (401 invalid_client) with an internal reason, nothing else.
"""

from dataclasses import dataclass
from typing import Any

from joserfc import jws

from service.auth.jwks import ALGORITHMS, MAX_KID, BadKeySet, check_key_set, key_for
from service.auth.jwt_reader import Unverified, read_jwt
from service.auth.refusal import ClientRefused

SKEW_S = 30
"""How far a client's clock may be wrong."""
MAX_LIFE_S = 300
"""SMART: an assertion lives five minutes at most."""
MAX_JTI = 256
_REFUSED_HEADERS = ("crit", "jwk", "x5u", "x5c", "b64", "zip")
"""They would bring keys or rules from the token itself (T10)."""


@dataclass(frozen=True)
class Claims:
    """What a verified assertion says. exp: seconds since the epoch. (client_id, jti) is good for one use."""

    client_id: str
    jti: str
    exp: int


def check_assertion(
    text: str | Unverified,
    *,
    client_id: str,
    client_keys: list[dict[str, Any]],
    token_url: str,
    now_us: int,
    jwks_url: str | None = None,
) -> Claims:
    """All checks but replay, which the claim on (client_id, jti) decides at commit; raises ClientRefused.

    client_id, client_keys, jwks_url: as registered, never from the token. now_us: microseconds since the epoch.
    """
    try:
        jwt = text if isinstance(text, Unverified) else read_assertion(text)
        if jwt.claims["iss"] != client_id:
            raise ClientRefused("iss-not-the-client")
        check_jku(jwt, jwks_url)
        _check_signature(jwt, client_keys)
        if not _names(jwt.claims.get("aud"), token_url):
            raise ClientRefused("aud")
        exp = _check_times(jwt.claims, now_us)
        jti = jwt.claims.get("jti")
        if not isinstance(jti, str) or not 0 < len(jti) <= MAX_JTI:
            raise ClientRefused("jti")
        return Claims(client_id, jti, exp)
    except ClientRefused:
        raise
    except Exception as error:  # whatever a library or a strange value does: the client is not authenticated
        raise ClientRefused("unexpected") from error


def read_assertion(text: str) -> Unverified:
    """T6-T10 and the form of iss and sub: what can be said without knowing the client; raises ClientRefused."""
    jwt = read_jwt(text)
    header, claims = jwt.header, jwt.claims
    alg, kid, issuer = header.get("alg"), header.get("kid"), claims.get("iss")
    if not isinstance(alg, str) or alg not in ALGORITHMS:
        raise ClientRefused("alg")
    if header.get("typ") != "JWT":
        raise ClientRefused("typ")
    if not isinstance(kid, str) or not 0 < len(kid) <= MAX_KID:
        raise ClientRefused("kid")
    for name in _REFUSED_HEADERS:
        if name in header:
            raise ClientRefused(f"header-{name}")
    if not isinstance(issuer, str) or not issuer:
        raise ClientRefused("iss")
    if claims.get("sub") != issuer:
        raise ClientRefused("sub")
    return jwt


def check_jku(jwt: Unverified, jwks_url: str | None) -> None:
    """T11: `jku` is the registered URL byte for byte or absent. To be called before any key is fetched."""
    if "jku" in jwt.header and (jwks_url is None or jwt.header["jku"] != jwks_url):
        raise ClientRefused("jku")


def _check_signature(jwt: Unverified, client_keys: list[dict[str, Any]]) -> None:
    """T13-T16: exactly one registered key fits, and it made this signature."""
    try:
        key = key_for(check_key_set({"keys": client_keys}), jwt.header["kid"], jwt.header["alg"])
    except BadKeySet:
        raise ClientRefused("keys") from None
    if key is None:
        raise ClientRefused("kid-unknown")
    try:
        verified = jws.deserialize_compact(
            jwt.text,
            key,
            algorithms=["RS384", "ES384"],
            registry=jws.JWSRegistry(algorithms=["RS384", "ES384"], strict_check_header=False),
        )
    except Exception:
        raise ClientRefused("signature") from None
    if verified.headers() != jwt.header:
        raise ClientRefused("signature")  # the library read another header than the one that was checked


def _names(audience: object, token_url: str) -> bool:
    """T17: no prefix, no case folding."""
    if isinstance(audience, list):
        return all(isinstance(one, str) for one in audience) and token_url in audience
    return isinstance(audience, str) and audience == token_url


def _check_times(claims: dict[str, Any], now_us: int) -> int:
    """T18 and T19, in seconds; returns exp."""
    exp, now = claims.get("exp"), now_us / 1_000_000
    if not isinstance(exp, int) or isinstance(exp, bool):
        raise ClientRefused("exp")
    if exp <= now - SKEW_S:
        raise ClientRefused("exp-past")
    if exp > now + MAX_LIFE_S + SKEW_S:
        raise ClientRefused("exp-far")
    for name in ("iat", "nbf"):
        if name not in claims:
            continue
        value = claims[name]
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise ClientRefused(name)
        if value > now + SKEW_S:
            raise ClientRefused(f"{name}-future")
        if name == "iat" and exp - value > MAX_LIFE_S:
            raise ClientRefused("life")
    return exp
