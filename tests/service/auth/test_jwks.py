"""Key sets as they are registered and chosen from: each rule of jwks.py by itself, at its bounds (T7, T14, T15)."""

import json
from functools import cache
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from joserfc.jwk import ECKey, RSAKey

from service.auth import jwks
from service.auth.jwks import BadKeySet


@cache
def _ec(curve: str = "P-384") -> dict[str, Any]:
    return dict(ECKey.generate_key(curve, private=False).as_dict(private=False))


@cache
def _rsa(bits: int = 2048, exponent: int = 65537) -> dict[str, Any]:
    made = rsa.generate_private_key(exponent, bits).public_key()
    return dict(RSAKey.import_key(made.public_numbers().public_key()).as_dict(private=False))


def key(**more: Any) -> dict[str, Any]:
    return {**_ec(), "kid": "a", **more}


def text(*keys: Any) -> str:
    return json.dumps({"keys": list(keys)})


@pytest.mark.parametrize(
    ("document", "rule"),
    [
        ("[", "JSON object with a member `keys`"),
        ("[" * 60_000, "JSON object with a member `keys`"),
        ("[]", "a list of objects"),
        ('{"keys": {}}', "a list of objects"),
        ('{"keys": ["a"]}', "a list of objects"),
        ('{"keys": [{}, 1]}', "a list of objects"),
        (text(*[key(kid=str(n)) for n in range(21)]), "at most 20 keys"),
        (text({"kty": "oct", "kid": "a"}), "no symmetric key"),
        (text(key(d="x")), "public keys only"),
        (text(key(k="x")), "public keys only"),
        (text(key(), key()), "same `kid`"),
        (text(), "No key can be used"),
        (text({**_ec()}), "No key can be used"),
        (text(key(kid="")), "No key can be used"),
        (text(key(kid=7)), "No key can be used"),
        (text(key(kid="k" * 257)), "No key can be used"),
        (text(key(x="?")), "No key can be used"),
        (text({**_ec("P-256"), "kid": "a"}), "No key can be used"),
        (text(key(use="enc")), "No key can be used"),
        (text(key(alg="RS384")), "No key can be used"),
        (text(key(key_ops=["sign"])), "No key can be used"),
        (text(key(key_ops="verify")), "No key can be used"),
    ],
)
def test_what_cannot_be_registered(document: str, rule: str) -> None:
    with pytest.raises(BadKeySet, match=rule):
        jwks.check_registration(document)


def test_what_is_registered_is_kept_as_compact_json() -> None:
    keys = [key(kid="k" * 256), key(kid="b", use="enc"), {**_rsa(), "kid": "b", "key_ops": ["verify"]}]
    stored = jwks.check_registration(text(*keys))
    assert json.loads(stored) == {"keys": keys} and ", " not in stored and '": ' not in stored


def test_the_bounds_of_a_key_set() -> None:
    assert len(jwks.parse_key_set(text(*[key(kid=str(n)) for n in range(20)]))) == 20
    whole = text(key())
    assert jwks.parse_key_set(whole + " " * (jwks.MAX_TEXT - len(whole)))
    with pytest.raises(BadKeySet, match="bytes"):
        jwks.parse_key_set(whole + " " * (jwks.MAX_TEXT - len(whole) + 1))


@pytest.mark.parametrize(
    ("made", "rule"),
    [
        ({"kty": "RSA", "n": "AQAB" * 40, "e": "AQAB"}, "2048 to 8192|cannot be read"),
        (_rsa(2048) | {"e": "AQAAAAE"}, "2048 to 8192"),
        (_rsa() | {"n": 7}, "cannot be read"),
        ({"kty": "RSA", "kid": "a"}, "cannot be read"),
        (_ec() | {"kty": "OKP"}, "RSA of 2048"),
        (_ec("P-521"), "RSA of 2048"),
    ],
)
def test_which_keys_cannot_be_read(made: dict[str, Any], rule: str) -> None:
    with pytest.raises(BadKeySet, match=rule):
        jwks.import_public(made)


def test_the_one_key_that_fits() -> None:
    keys = [key(), key(kid="b"), {**_rsa(), "kid": "a"}, key(kid="c", use="enc"), key(kid="c")]
    assert isinstance(jwks.key_for(keys, "a", "ES384"), ECKey)
    assert isinstance(jwks.key_for(keys, "a", "RS384"), RSAKey)
    assert jwks.key_for(keys, "c", "ES384") is not None
    assert jwks.key_for(keys, "z", "ES384") is None
    assert jwks.key_for([key(), key()], "a", "ES384") is None


def test_the_elliptic_key_that_is_read_is_of_its_curve() -> None:
    found = jwks.import_public(_ec())
    assert isinstance(found.public_key, ec.EllipticCurvePublicKey) and found.public_key.curve.name == "secp384r1"


LONG = "https://ehr.example.org/"


@pytest.mark.parametrize("url", ["https://ehr.example.org/jwks.json", LONG + "x" * (2048 - len(LONG))])
def test_which_url_is_taken(url: str) -> None:
    assert jwks.check_registered_url(url) == url


@pytest.mark.parametrize(
    "url",
    [
        "http://ehr.example.org/jwks",
        "https:///jwks",
        "https://user@ehr.example.org/jwks",
        "https://ehr.example.org/jwks#a",
        "https://ehr.example.org:port/jwks",
        "https://ehr.example.org/jwk\u00e9",
        "https://ehr.example.org/a b",
        LONG + "x" * (2049 - len(LONG)),
    ],
)
def test_which_url_is_not(url: str) -> None:
    with pytest.raises(BadKeySet, match="absolute https URL"):
        jwks.check_registered_url(url)
