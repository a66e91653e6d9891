"""A made-up backend service: its keys, and assertions signed with `cryptography` alone, wrong at will."""

import base64
import json
from functools import lru_cache
from typing import Any

from cryptography.hazmat.primitives import hashes, hmac
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

TOKEN_URL = "https://enlace.example.org/auth/token"
CLIENT = "client-1"
PrivateKey = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey


def b64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def part(value: object) -> str:
    """A JWT part: a str is taken as JSON text as it is."""
    text = value if isinstance(value, str) else json.dumps(value)
    return b64(text.encode("utf-8", "surrogatepass"))


@lru_cache
def rsa_key(bits: int = 2048, number: int = 0) -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65537, key_size=bits)


@lru_cache
def ec_key(curve: str = "P-384", number: int = 0) -> ec.EllipticCurvePrivateKey:
    curves: dict[str, ec.EllipticCurve] = {"P-384": ec.SECP384R1(), "P-256": ec.SECP256R1(), "P-521": ec.SECP521R1()}
    return ec.generate_private_key(curves[curve])


def public_jwk(key: PrivateKey, kid: str, **extra: Any) -> dict[str, Any]:
    def number(value: int, size: int | None = None) -> str:
        return b64(value.to_bytes(size or (value.bit_length() + 7) // 8, "big"))

    if isinstance(key, rsa.RSAPrivateKey):
        numbers = key.public_key().public_numbers()
        return {"kty": "RSA", "kid": kid, "n": number(numbers.n), "e": number(numbers.e), **extra}
    point = key.public_key().public_numbers()
    size = (key.curve.key_size + 7) // 8
    crv = f"P-{key.curve.key_size}"
    return {"kty": "EC", "kid": kid, "crv": crv, "x": number(point.x, size), "y": number(point.y, size), **extra}


def signature(key: PrivateKey | bytes, signed: bytes, digest: hashes.HashAlgorithm | None = None) -> bytes:
    """RS384 or ES384 by the key's type (another digest: RS256, ...); bytes: HMAC with this secret."""
    digest = digest or hashes.SHA384()
    if isinstance(key, bytes):
        mac = hmac.HMAC(key, digest)
        mac.update(signed)
        return mac.finalize()
    if isinstance(key, rsa.RSAPrivateKey):
        return key.sign(signed, padding.PKCS1v15(), digest)
    r, s = decode_dss_signature(key.sign(signed, ec.ECDSA(digest)))
    size = (key.curve.key_size + 7) // 8
    return r.to_bytes(size, "big") + s.to_bytes(size, "big")


def header(**changes: Any) -> dict[str, Any]:
    """A good header; a value of None takes the member out."""
    return _changed({"alg": "RS384", "kid": "rsa-1", "typ": "JWT"}, changes)


def claims(now_us: int, **changes: Any) -> dict[str, Any]:
    now = now_us // 1_000_000
    good = {"iss": CLIENT, "sub": CLIENT, "aud": TOKEN_URL, "exp": now + 300, "iat": now, "jti": "jti-1"}
    return _changed(good, changes)


def jwt(
    head: object, body: object, key: PrivateKey | bytes | None = None, digest: hashes.HashAlgorithm | None = None
) -> str:
    """A compact JWT; key None: the client's RSA key."""
    signed = f"{part(head)}.{part(body)}"
    return f"{signed}.{b64(signature(key or rsa_key(), signed.encode(), digest))}"


def _changed(good: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in (good | changes).items() if value is not None}


def key_set() -> list[dict[str, Any]]:
    """The keys that the client registered: one RSA, one P-384."""
    return [public_jwk(rsa_key(), "rsa-1", use="sig"), public_jwk(ec_key(), "ec-1", use="sig", alg="ES384")]


def jwks_text() -> str:
    return json.dumps({"keys": key_set()})
