"""Client key sets: what may be registered, and which key fits an assertion; https://www.rfc-editor.org/rfc/rfc7517

Checks T14 and T15 of ../shared/facts/security.md 1.1. Pure: fetching registered URLs is in key_sets.py.
"""

import json
from typing import Any
from urllib.parse import urlsplit

from joserfc.jwk import ECKey, RSAKey

MAX_TEXT = 65_536
MAX_KEYS = 20
MAX_KID = 256
ALGORITHMS = {"RS384": "RSA", "ES384": "EC"}
"""The signature algorithms of SMART and the key type of each."""

_SECRET_MEMBERS = frozenset({"d", "p", "q", "dp", "dq", "qi", "oth", "k"})
RSA_BITS = range(2048, 8193)
_EXPONENT_BITS = 32
"""Larger public exponents only make verifying slow."""

PublicKey = RSAKey | ECKey


class BadKeySet(ValueError):
    """The key set cannot be used; the message names the rule and never a key's value."""


def parse_key_set(text: str | bytes) -> list[dict[str, Any]]:
    """The keys of a JWKS document; raises BadKeySet. Private and symmetric keys refuse the whole set (T15)."""
    if len(text) > MAX_TEXT:
        raise BadKeySet(f"A key set has at most {MAX_TEXT} bytes.")
    try:
        document = json.loads(text)
    except (ValueError, RecursionError):
        raise BadKeySet("A key set is a JSON object with a member `keys`.") from None
    return check_key_set(document)


def check_key_set(document: object) -> list[dict[str, Any]]:
    """The keys of a parsed JWKS document; raises BadKeySet."""
    keys = document.get("keys") if isinstance(document, dict) else None
    if not isinstance(keys, list) or not all(isinstance(key, dict) for key in keys):
        raise BadKeySet("A key set is a JSON object with a member `keys`, a list of objects.")
    if len(keys) > MAX_KEYS:
        raise BadKeySet(f"A key set has at most {MAX_KEYS} keys.")
    for key in keys:
        if key.get("kty") == "oct":
            raise BadKeySet("A key set holds no symmetric key (kty oct).")
        if _SECRET_MEMBERS & key.keys():
            raise BadKeySet("A key set holds public keys only; remove the private members and make a new key pair.")
    return keys


def check_registration(text: str | bytes) -> str:
    """The JWKS as compact JSON text, ready to be stored; raises BadKeySet. At least one key must be usable."""
    keys = parse_key_set(text)
    named = [(key.get("kid"), key.get("kty")) for key in keys]
    if any(named.count(name) > 1 for name in named):
        raise BadKeySet("Two keys of one type have the same `kid`; give each its own.")
    if not any(_usable(key) for key in keys):
        raise BadKeySet("No key can be used: one needs a `kid` and RSA of 2048 to 8192 bits or EC with curve P-384.")
    return json.dumps({"keys": keys}, separators=(",", ":"))


def check_registered_url(url: str) -> str:
    """The JWKS URL as it is stored and compared byte for byte; raises BadKeySet."""
    try:
        parts = urlsplit(url)
        good = parts.scheme == "https" and bool(parts.hostname) and parts.username is None and not parts.fragment
        parts.port  # noqa: B018 - reading it raises ValueError where the port is no number
    except ValueError:
        good = False
    if not good or not url.isascii() or any(letter <= " " for letter in url) or len(url) > 2048:
        raise BadKeySet("A key set URL is an absolute https URL without user name or fragment.")
    return url


def key_for(keys: list[dict[str, Any]], kid: str, alg: str) -> PublicKey | None:
    """The one key with this kid that fits the algorithm (T14); None for no key or several. Raises BadKeySet."""
    kty = ALGORITHMS[alg]
    fitting = [key for key in keys if key.get("kid") == kid and key.get("kty") == kty and _for_signing(key, alg)]
    return import_public(fitting[0]) if len(fitting) == 1 else None


def import_public(key: dict[str, Any]) -> PublicKey:
    """RSA of 2048 to 8192 bits or EC P-384 (T7); raises BadKeySet."""
    kty = key.get("kty")
    try:
        if kty == "RSA":
            rsa = RSAKey.import_key({name: key[name] for name in ("kty", "n", "e")})
            numbers = rsa.public_key.public_numbers()
            if numbers.n.bit_length() not in RSA_BITS or numbers.e.bit_length() > _EXPONENT_BITS:
                raise BadKeySet("RSA keys have 2048 to 8192 bits.")
            return rsa
        if kty == "EC" and key.get("crv") == "P-384":
            return ECKey.import_key({name: key[name] for name in ("kty", "crv", "x", "y")})
    except BadKeySet:
        raise
    except Exception as error:  # the library has many ways to dislike a key; none of them may become a 500
        raise BadKeySet("A key cannot be read.") from error
    raise BadKeySet("Keys are RSA of 2048 to 8192 bits or EC with curve P-384.")


def _for_signing(key: dict[str, Any], alg: str) -> bool:
    operations = key.get("key_ops", ["verify"])
    return (
        key.get("use", "sig") == "sig"
        and key.get("alg", alg) == alg
        and isinstance(operations, list)
        and "verify" in operations
    )


def _usable(key: dict[str, Any]) -> bool:
    kid = key.get("kid")
    if not isinstance(kid, str) or not 0 < len(kid) <= MAX_KID:
        return False
    try:
        import_public(key)
    except BadKeySet:
        return False
    return any(_for_signing(key, alg) for alg, kty in ALGORITHMS.items() if kty == key.get("kty"))
