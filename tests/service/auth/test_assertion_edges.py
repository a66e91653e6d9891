"""Client assertions at the edges that mutants of the checks showed: lengths, absent times, members that are ignored."""

from typing import Any

import pytest

from service.auth.assertions import Claims, check_assertion, read_assertion
from service.auth.jwt_reader import Unverified
from service.auth.refusal import ClientRefused
from tests.frozen_clock import FrozenClock
from tests.service.auth.smart_client import CLIENT, TOKEN_URL, claims, header, jwt, key_set

NOW = FrozenClock().now_us()
S = NOW // 1_000_000


def check(text: str | Unverified) -> Claims:
    return check_assertion(text, client_id=CLIENT, client_keys=key_set(), token_url=TOKEN_URL, now_us=NOW)


@pytest.mark.parametrize(
    ("head", "said", "reason"),
    [
        ({"kid": "k" * 256}, {}, "kid-unknown"),
        ({"kid": "k"}, {}, "kid-unknown"),
        ({}, {"iat": None, "nbf": S + 31}, "nbf-future"),
        ({}, {"iat": None, "nbf": "x"}, "nbf"),
    ],
)
def test_refused_for_this_reason(head: dict[str, Any], said: dict[str, Any], reason: str) -> None:
    with pytest.raises(ClientRefused) as caught:
        check(jwt(header(**head), claims(NOW, **said)))
    assert caught.value.reason == reason


def test_accepted() -> None:
    assert check(jwt(header(), claims(NOW, jti="j"))).jti == "j"
    # RFC 7515 4: what a header says beside is ignored, but for the members that are refused by name.
    assert check(jwt(header(more=1), claims(NOW)))


def test_what_was_read_before_is_taken_as_it_was_read() -> None:
    read = read_assertion(jwt(header(), claims(NOW)))
    assert check(read) == Claims(CLIENT, "jti-1", S + 300)
    with pytest.raises(ClientRefused):
        check(Unverified(read.text, read.header | {"alg": "ES384"}, read.claims))
