"""What a client assertion claims: checks T12 and T17-T20 of ../shared/facts/security.md 1.1."""

import json
from typing import Any

import pytest

from tests.service.auth.asserting import NOW, S, check, reason
from tests.service.auth.smart_client import (
    TOKEN_URL,
    claims,
    header,
    jwt,
)


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"iss": None}, "iss"),
        ({"iss": ""}, "iss"),
        ({"iss": ["client-1"]}, "iss"),
        ({"sub": None}, "sub"),
        ({"sub": "client-2"}, "sub"),
        ({"iss": "client-2", "sub": "client-2"}, "iss-not-the-client"),
    ],
)
def test_t12_iss_and_sub_are_the_client(changes: dict[str, Any], expected: str) -> None:
    assert reason(jwt(header(), claims(NOW, **changes))) == expected


@pytest.mark.parametrize("good", [TOKEN_URL, [TOKEN_URL], ["https://other.example.org", TOKEN_URL]])
def test_t17_audience_accepted(good: object) -> None:
    assert check(jwt(header(), claims(NOW, aud=good)))


@pytest.mark.parametrize(
    "bad",
    [
        None,
        "",
        TOKEN_URL + "/",
        TOKEN_URL.upper(),
        TOKEN_URL.removesuffix("/token"),
        "https://enlace.example.org",
        "https://enlace.example.org/fhir",
        TOKEN_URL.replace("https", "http"),
        [],
        [[TOKEN_URL]],
        [TOKEN_URL, 1],
        {"aud": TOKEN_URL},
        {TOKEN_URL: 1},
        1,
    ],
)
def test_t17_audience_refused(bad: object) -> None:
    assert reason(jwt(header(), claims(NOW, aud=bad))) == "aud"


@pytest.mark.parametrize("exp", [S + 1, S - 29, S + 300, S + 330])
def test_t18_exp_accepted(exp: int) -> None:
    assert check(jwt(header(), claims(NOW, exp=exp, iat=None))).exp == exp


@pytest.mark.parametrize(
    ("exp", "expected"),
    [
        (None, "exp"),
        (True, "exp"),
        (S + 60.0, "exp"),
        (str(S + 60), "exp"),
        ([S + 60], "exp"),
        (S - 30, "exp-past"),
        (S - 3600, "exp-past"),
        (0, "exp-past"),
        (-(10**30), "exp-past"),
        (S + 331, "exp-far"),
        (S + 86_400 * 365, "exp-far"),
        (10**300, "exp-far"),
        ((S + 60) * 1000, "exp-far"),
    ],
)
def test_t18_exp_refused(exp: object, expected: str) -> None:
    assert reason(jwt(header(), claims(NOW, exp=exp, iat=None))) == expected


@pytest.mark.parametrize(
    "good", [{"iat": None}, {"iat": S + 30}, {"iat": S - 0.5, "exp": S + 299}, {"nbf": S + 30}, {"nbf": 0}]
)
def test_t19_iat_and_nbf_accepted(good: dict[str, Any]) -> None:
    assert check(jwt(header(), claims(NOW, **good)))


@pytest.mark.parametrize(
    ("bad", "expected"),
    [
        ({"iat": S + 31}, "iat-future"),
        ({"nbf": S + 31}, "nbf-future"),
        ({"iat": str(S)}, "iat"),
        ({"iat": False}, "iat"),
        ({"nbf": [S]}, "nbf"),
        ({"iat": S - 1, "exp": S + 300}, "life"),
        ({"iat": 0}, "life"),
    ],
)
def test_t19_iat_and_nbf_refused(bad: dict[str, Any], expected: str) -> None:
    assert reason(jwt(header(), claims(NOW, **bad))) == expected


def test_t19_null_is_not_absent() -> None:
    body = json.dumps(claims(NOW)).replace(f'"iat": {S}', '"iat": null')
    assert reason(jwt(header(), body)) == "iat"


def test_t20_jti_form() -> None:
    assert check(jwt(header(), claims(NOW, jti="j" * 256))).jti == "j" * 256
    for bad in (None, "", "j" * 257, 1, True, ["j"], {"j": 1}):
        assert reason(jwt(header(), claims(NOW, jti=bad))) == "jti"
