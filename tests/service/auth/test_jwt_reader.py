"""The strict reader: why each malformed text is refused, and that nesting is counted by depth alone."""

import base64
import json
from typing import Any

import pytest

from service.auth.jwt_reader import MAX_DEPTH, MAX_TEXT, read_jwt
from service.auth.refusal import ClientRefused


def part(value: Any) -> str:
    raw = value.encode() if isinstance(value, str) else json.dumps(value).encode()
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


HEAD = part({"alg": "RS384"})


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("a" * (MAX_TEXT + 1), "malformed-length"),
        ("a" * MAX_TEXT, "malformed-parts"),
        ("a.b", "malformed-parts"),
        (f"{HEAD}.{HEAD}.A", "malformed-base64"),
        (f"{HEAD}.{HEAD}.AB", "malformed-base64"),
        (f"{HEAD}.{part('[' * 6 + ']' * 6)}.AAAA", "malformed-depth"),
        (f"{HEAD}.{part([])}.AAAA", "malformed-not-an-object"),
        (f"{HEAD}.{part('{')}.AAAA", "malformed-json"),
    ],
)
def test_each_refusal_has_its_reason(text: str, reason: str) -> None:
    with pytest.raises(ClientRefused) as caught:
        read_jwt(text)
    assert caught.value.reason == reason


def test_neighbours_are_not_depth() -> None:
    claims = {str(number): [{}, {}] for number in range(2 * MAX_DEPTH)}
    assert read_jwt(f"{HEAD}.{part(claims)}.AAAA").claims == claims
