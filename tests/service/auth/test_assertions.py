"""Form, keys and algorithms of client assertions: checks T6-T16 of ../shared/facts/security.md 1.1; forged tokens."""

import json
from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes, serialization

from service.auth.assertions import Claims
from tests.service.auth.asserting import EC_FORGED, NOW, S, check, reason
from tests.service.auth.smart_client import (
    CLIENT,
    b64,
    claims,
    ec_key,
    header,
    jwt,
    key_set,
    part,
    public_jwk,
    rsa_key,
)

JWKS_URL = "https://ehr.example.org/jwks.json"


def test_t16_rs384_and_es384_are_accepted() -> None:
    assert check(jwt(header(), claims(NOW))) == Claims(CLIENT, "jti-1", S + 300)
    assert check(jwt(header(alg="ES384", kid="ec-1"), claims(NOW), ec_key())).jti == "jti-1"


DEEP = '{"a":' * 6 + "1" + "}" * 6
BODY = json.dumps(claims(NOW))
T6 = {
    "empty": "",
    "one part": "abc",
    "two parts": f"{part(header())}.{part(claims(NOW))}",
    "no signature": f"{part(header())}.{part(claims(NOW))}.",
    "four parts": jwt(header(), claims(NOW)) + ".x",
    "five parts, as JWE": jwt(header(), claims(NOW)) + ".x.y",
    "padding": jwt(header(), claims(NOW)) + "=",
    "standard base64": jwt(header(), claims(NOW))[:-1] + "+",
    "blank": " " + jwt(header(), claims(NOW)),
    "line end": jwt(header(), claims(NOW)) + "\n",
    "not ASCII": jwt(header(), claims(NOW)) + "\u0660",
    "too long": jwt(header(), claims(NOW, x="x" * 8192)),
    "odd base64 length": f"{part(header())}A.{part(claims(NOW))}.AAAA" if len(part(header())) % 4 == 0 else "A.A.A",
    "header an array": jwt([header()], claims(NOW)),
    "header a string": jwt('"x"', claims(NOW)),
    "payload an array": jwt(header(), [claims(NOW)]),
    "payload null": jwt(header(), "null"),
    "payload not JSON": jwt(header(), BODY[:-1]),
    "payload and more": jwt(header(), BODY + "{}"),
    "depth 6": jwt(header(), BODY[:-1] + ', "x": ' + DEEP + "}"),
    "depth 2000": jwt(header(), "[" * 2000),
    "duplicate in header": jwt('{"alg":"RS384","alg":"RS384","kid":"rsa-1","typ":"JWT"}', claims(NOW)),
    "duplicate in payload": jwt(header(), BODY[:-1] + ', "iss": "client-1"}'),
    "duplicate deep down": jwt(header(), BODY[:-1] + ', "x": {"a":1,"a":1}}'),
    "NaN": jwt(header(), BODY[:-1] + ', "x": NaN}'),
    "Infinity": jwt(header(), BODY[:-1] + ', "x": -Infinity}'),
    "1e999": jwt(header(), BODY[:-1] + ', "x": 1e999}'),
    "huge integer": jwt(header(), BODY[:-1] + ', "x": ' + "9" * 5000 + "}"),
    "lone surrogate escaped": jwt(header(), BODY[:-1] + ', "x": "\\ud800"}'),
    "lone surrogate as key": jwt(header(), BODY[:-1] + ', "\\udfff": 1}'),
    "control character": jwt(header(), BODY[:-1] + ', "x": "\u0001"}'),
    "byte order mark": jwt(header(), "\ufeff" + BODY),
}


@pytest.mark.parametrize("name", T6)
def test_t6_form(name: str) -> None:
    assert reason(T6[name]).startswith("malformed-")


def test_t6_invalid_utf8() -> None:
    signed = f"{part(header())}.{b64(BODY.encode()[:-1] + bytes([0xFF]) + b'}')}"
    assert reason(signed + ".AAAA") == "malformed-json"


def test_t6_only_the_canonical_spelling_of_a_part() -> None:
    text = jwt(header(alg="RS384"), claims(NOW))
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    other = alphabet[alphabet.index(text[-1]) | 1]  # 256 bytes leave unused bits in the last letter
    if other == text[-1]:
        other = alphabet[alphabet.index(text[-1]) ^ 1]
    assert reason(text[:-1] + other) == "malformed-base64"


def test_t6_depth_five_is_allowed() -> None:
    assert check(jwt(header(), BODY[:-1] + ', "x": ' + '{"a":' * 4 + "1" + "}" * 4 + "}"))
    assert check(jwt(header(), claims(NOW, x="[[[[[[[[[[" + '"' + "{{{{")))


def hs(digest: hashes.HashAlgorithm, secret: bytes, alg: str) -> str:
    return jwt(header(alg=alg), claims(NOW), secret, digest)


PEM = rsa_key().public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
DER = rsa_key().public_key().public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
EVIL = rsa_key(2048, 1)
EVIL_JWK = public_jwk(EVIL, "rsa-1")
FORGED: dict[str, tuple[str, str]] = {
    "alg none": ("alg", f"{part(header(alg='none'))}.{part(claims(NOW))}.AAAA"),
    "alg None": ("alg", f"{part(header(alg='None'))}.{part(claims(NOW))}.AAAA"),
    "alg NONE": ("alg", f"{part(header(alg='NONE'))}.{part(claims(NOW))}.AAAA"),
    "alg nOnE": ("alg", f"{part(header(alg='nOnE'))}.{part(claims(NOW))}.AAAA"),
    "alg empty": ("alg", f"{part(header(alg=''))}.{part(claims(NOW))}.AAAA"),
    "no alg": ("alg", jwt(header(alg=None), claims(NOW))),
    "alg a list": ("alg", jwt(header(alg=["RS384"]), claims(NOW))),
    "alg an object": ("alg", jwt(header(alg={"RS384": 1}), claims(NOW))),
    "alg a number": ("alg", jwt(header(alg=384), claims(NOW))),
    "alg with blank": ("alg", jwt(header(alg="RS384 "), claims(NOW))),
    "alg lower case": ("alg", jwt(header(alg="rs384"), claims(NOW))),
    "HS256 with the PEM": ("alg", hs(hashes.SHA256(), PEM, "HS256")),
    "HS384 with the PEM": ("alg", hs(hashes.SHA384(), PEM, "HS384")),
    "HS512 with the PEM": ("alg", hs(hashes.SHA512(), PEM, "HS512")),
    "HS256 with the DER": ("alg", hs(hashes.SHA256(), DER, "HS256")),
    "HS384 with the modulus": ("alg", hs(hashes.SHA384(), key_set()[0]["n"].encode(), "HS384")),
    "HS256 with an empty key": ("alg", hs(hashes.SHA256(), b"\0", "HS256")),
    "RS256, good signature": ("alg", jwt(header(alg="RS256"), claims(NOW), rsa_key(), hashes.SHA256())),
    "RS512, good signature": ("alg", jwt(header(alg="RS512"), claims(NOW), rsa_key(), hashes.SHA512())),
    "PS384": ("alg", jwt(header(alg="PS384"), claims(NOW))),
    "EdDSA": ("alg", jwt(header(alg="EdDSA"), claims(NOW))),
    "ES256": ("alg", jwt(header(alg="ES256", kid="ec-1"), claims(NOW), ec_key("P-256"), hashes.SHA256())),
    "ES384 made with P-256": ("signature", jwt(EC_FORGED, claims(NOW), ec_key("P-256"))),
    "ES384 made with P-521": ("signature", jwt(EC_FORGED, claims(NOW), ec_key("P-521"))),
    "ES384 of zeros": ("signature", f"{part(EC_FORGED)}.{part(claims(NOW))}.{b64(bytes(96))}"),
    "ES384 r=1 s=1": (
        "signature",
        f"{part(EC_FORGED)}.{part(claims(NOW))}.{b64((1).to_bytes(48, 'big') * 2)}",
    ),
    "ES384 short": ("signature", f"{part(EC_FORGED)}.{part(claims(NOW))}.{b64(bytes(95))}"),
    "RS384 under the EC key": ("kid-unknown", jwt(header(kid="ec-1"), claims(NOW))),
    "ES384 under the RSA key": ("kid-unknown", jwt(EC_FORGED | {"kid": "rsa-1"}, claims(NOW), ec_key())),
    "another RSA key": ("signature", jwt(header(), claims(NOW), EVIL)),
    "another EC key": ("signature", jwt(EC_FORGED, claims(NOW), ec_key("P-384", 1))),
    "RS384 header, SHA-256": ("signature", jwt(header(), claims(NOW), rsa_key(), hashes.SHA256())),
    "own jwk": ("header-jwk", jwt(header(jwk=EVIL_JWK), claims(NOW), EVIL)),
    "jku": ("jku", jwt(header(jku="https://evil.example.org/jwks.json"), claims(NOW), EVIL)),
    "jku null": ("jku", jwt('{"alg":"RS384","kid":"rsa-1","typ":"JWT","jku":null}', claims(NOW))),
    "x5u": ("header-x5u", jwt(header(x5u="https://evil.example.org/c.pem"), claims(NOW))),
    "x5c": ("header-x5c", jwt(header(x5c=["MIIB"]), claims(NOW))),
    "crit": ("header-crit", jwt(header(crit=["exp"], exp=1), claims(NOW))),
    "crit empty": ("header-crit", jwt(header(crit=[]), claims(NOW))),
    "b64": ("header-b64", jwt(header(b64=False), claims(NOW))),
    "zip": ("header-zip", jwt(header(zip="DEF"), claims(NOW))),
    "no kid": ("kid", jwt(header(kid=None), claims(NOW))),
    "kid empty": ("kid", jwt(header(kid=""), claims(NOW))),
    "kid a number": ("kid", jwt(header(kid=1), claims(NOW))),
    "kid too long": ("kid", jwt(header(kid="k" * 257), claims(NOW))),
    "kid a path": ("kid-unknown", jwt(header(kid="../../dev/null"), claims(NOW))),
    "kid SQL": ("kid-unknown", jwt(header(kid="x' OR '1'='1"), claims(NOW))),
    "kid in another case": ("kid-unknown", jwt(header(kid="RSA-1"), claims(NOW))),
    "no typ": ("typ", jwt(header(typ=None), claims(NOW))),
    "typ lower case": ("typ", jwt(header(typ="jwt"), claims(NOW))),
    "typ at+jwt": ("typ", jwt(header(typ="at+jwt"), claims(NOW))),
    "payload exchanged": (
        "signature",
        ".".join([part(header()), part(claims(NOW, jti="other")), jwt(header(), claims(NOW)).split(".")[2]]),
    ),
    "header exchanged": (
        "signature",
        ".".join([part(header(x=1)), part(claims(NOW)), jwt(header(), claims(NOW)).split(".")[2]]),
    ),
}


def test_there_are_at_least_forty_forged_tokens() -> None:
    assert len(FORGED) >= 40


@pytest.mark.parametrize("name", FORGED)
def test_t7_to_t16_forged_tokens_are_refused_for_their_reason(name: str) -> None:
    expected, text = FORGED[name]
    assert reason(text) == expected


def test_t11_jku_must_be_the_registered_url_byte_for_byte() -> None:
    text = jwt(header(jku=JWKS_URL), claims(NOW))
    assert check(text, jwks_url=JWKS_URL)
    for other in (JWKS_URL + "/", JWKS_URL.upper(), JWKS_URL + "?", None):
        assert reason(text, jwks_url=other) == "jku"


def one(**changes: Any) -> list[dict[str, Any]]:
    return [public_jwk(rsa_key(), "rsa-1") | changes]


T14 = {
    "none": ([], "kid-unknown"),
    "other kid": (one(kid="rsa-2"), "kid-unknown"),
    "no kid": ([{k: v for k, v in one()[0].items() if k != "kid"}], "kid-unknown"),
    "the kid twice": (one() + one(), "kid-unknown"),
    "the kid twice, other key first": ([EVIL_JWK, *one()], "kid-unknown"),
    "for encryption": (one(use="enc"), "kid-unknown"),
    "for another algorithm": (one(alg="RS256"), "kid-unknown"),
    "not for verifying": (one(key_ops=["encrypt"]), "kid-unknown"),
    "T7 small RSA": ([public_jwk(rsa_key(1024), "rsa-1")], "keys"),
    "T15 private member": (one(d="AQAB"), "keys"),
    "T15 symmetric key beside": ([*one(), {"kty": "oct", "k": "AAAA", "kid": "x"}], "keys"),
    "modulus missing": ([{"kty": "RSA", "kid": "rsa-1", "e": "AQAB"}], "keys"),
    "modulus no text": (one(n=5), "keys"),
    "21 keys": (one() * 21, "keys"),
}


@pytest.mark.parametrize("name", T14)
def test_t14_t15_exactly_one_fitting_key(name: str) -> None:
    keys, expected = T14[name]
    assert reason(jwt(header(), claims(NOW)), keys) == expected


def test_t14_keys_of_two_types_may_share_a_kid() -> None:
    keys = [public_jwk(rsa_key(), "k"), public_jwk(ec_key(), "k"), public_jwk(rsa_key(), "other", key_ops=["verify"])]
    assert check(jwt(header(kid="k"), claims(NOW)), keys)
    assert check(jwt(header(kid="k", alg="ES384"), claims(NOW), ec_key()), keys)


def test_t7_small_keys_are_refused_even_where_they_signed() -> None:
    small = rsa_key(1024)
    assert reason(jwt(header(), claims(NOW), small), [public_jwk(small, "rsa-1")]) == "keys"
    wrong = ec_key("P-256")
    text = jwt(header(alg="ES384", kid="ec-1"), claims(NOW), wrong)
    assert reason(text, [public_jwk(wrong, "ec-1")]) == "keys"
