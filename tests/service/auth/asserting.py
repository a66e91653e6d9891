"""A client assertion put before the checks, and why it was refused."""

from typing import Any

import pytest

from service.auth.assertions import Claims, check_assertion
from service.auth.refusal import ClientRefused
from tests.frozen_clock import FrozenClock
from tests.service.auth.smart_client import (
    CLIENT,
    TOKEN_URL,
    key_set,
)

NOW = FrozenClock().now_us()
S = NOW // 1_000_000


def check(text: str, keys: list[dict[str, Any]] | None = None, **changes: Any) -> Claims:
    facts: dict[str, Any] = {"client_id": CLIENT, "token_url": TOKEN_URL, "now_us": NOW} | changes
    return check_assertion(text, client_keys=key_set() if keys is None else keys, **facts)


def reason(text: str, keys: list[dict[str, Any]] | None = None, **changes: Any) -> str:
    with pytest.raises(ClientRefused) as caught:
        check(text, keys, **changes)
    assert (caught.value.status, caught.value.error) == (401, "invalid_client")
    return caught.value.reason


EC_FORGED = {"alg": "ES384", "kid": "ec-1", "typ": "JWT"}
