"""Checks an id_token: signature by the provider's keys, and every claim that says for whom, by whom, for which sign-in.

https://openid.net/specs/openid-connect-core-1_0.html#IDTokenValidation ; the strict reader of jwt_reader.py stands in
front of joserfc, Authlib validates the claims. Any exception of theirs is a refusal.
"""

from typing import Any

from service.auth.jwt_reader import read_jwt
from service.auth.refusal import ClientRefused

ALGORITHMS = {
    "RS256": "RSA",
    "RS384": "RSA",
    "RS512": "RSA",
    "PS256": "RSA",
    "PS384": "RSA",
    "PS512": "RSA",
    "ES256": "P-256",
    "ES384": "P-384",
    "ES512": "P-521",
}
"""What may sign an id_token, and the key that each needs: never `none`, never a shared secret."""
SKEW_S = 60
OLDEST_S = 600
"""An id_token is made for this sign-in, which takes seconds; one that is older was made for another."""
MAX_SUBJECT = 255
_RSA_BITS = range(2048, 8193)

Key = dict[str, Any]


class BadIdToken(Exception):
    """The id_token is refused; `reason` is a short code for audit and log."""

    def __init__(self, reason: str):
        super().__init__(reason)
        self.reason = reason


def subject_of(
    text: str, keys: list[Key], *, issuer: str, client_id: str, nonce: str, access_token: str | None, now_s: int
) -> str:
    """The `sub` of a good id_token; raises BadIdToken. keys: of the provider's key set, private ones refused before."""
    claims, header = _signed(text, keys)
    options = {"iss": {"essential": True, "value": issuer}, "aud": {"essential": True, "value": client_id}}
    params = {"nonce": nonce, "client_id": client_id, "access_token": access_token}
    try:
        from authlib.oidc.core import CodeIDToken  # type: ignore[import-untyped]

        CodeIDToken(claims, header, options, params).validate(now=now_s, leeway=SKEW_S)
    except Exception as error:  # whatever the library dislikes, and however it says so, is a refusal
        raise BadIdToken(_reason(error)) from None
    if claims["iat"] < now_s - OLDEST_S:
        raise BadIdToken("id-token-old")
    subject = claims["sub"]
    if not subject or len(subject) > MAX_SUBJECT or not subject.isprintable():
        raise BadIdToken("id-token-sub")
    return str(subject)


def _signed(text: str, keys: list[Key]) -> tuple[dict[str, Any], dict[str, Any]]:
    """(claims, header) of a token that one of the keys signed."""
    try:
        header = read_jwt(text).header
    except ClientRefused:
        raise BadIdToken("id-token-form") from None
    alg = header.get("alg")
    if not isinstance(alg, str) or alg not in ALGORITHMS:
        raise BadIdToken("id-token-alg")
    if "crit" in header or "b64" in header:
        raise BadIdToken("id-token-crit")
    key = _key(keys, header.get("kid"), alg)
    try:
        from joserfc import jwt

        token = jwt.decode(text, key, algorithms=list(ALGORITHMS))
    except Exception:
        raise BadIdToken("id-token-signature") from None
    return dict(token.claims), dict(token.header)


def _key(keys: list[Key], kid: object, alg: str) -> Any:
    """The one key that fits by type, use and, where the token names one, by kid."""
    fitting = [key for key in keys if _fits(key, alg) and (kid is None or key.get("kid") == kid)]
    if len(fitting) != 1:
        raise BadIdToken("id-token-key")
    try:
        return _imported(fitting[0])
    except Exception:
        raise BadIdToken("id-token-key") from None


def _fits(key: Key, alg: str) -> bool:
    kind = key.get("crv") if key.get("kty") == "EC" else key.get("kty")
    return kind == ALGORITHMS[alg] and key.get("use", "sig") == "sig" and key.get("alg", alg) == alg


def _imported(key: Key) -> Any:
    from joserfc.jwk import ECKey, RSAKey

    if key["kty"] == "EC":
        return ECKey.import_key({name: key[name] for name in ("kty", "crv", "x", "y")})
    rsa = RSAKey.import_key({name: key[name] for name in ("kty", "n", "e")})
    if rsa.public_key.public_numbers().n.bit_length() not in _RSA_BITS:
        raise ValueError("an RSA key has 2048 to 8192 bits")
    return rsa


def _reason(error: Exception) -> str:
    """The claim that is wrong, as far as the library names it."""
    claim = str(getattr(error, "claim", "") or getattr(error, "claim_name", ""))
    return f"id-token-{claim}" if claim.isascii() and claim.isidentifier() else "id-token-claims"
