"""Rows T8 to T10 of ../shared/facts/security.md 1.1 by themselves, and that every row T1 to T25 has its test."""

import re
from pathlib import Path

import pytest

from service.auth.assertions import check_assertion
from service.auth.refusal import ClientRefused
from tests.frozen_clock import FrozenClock
from tests.service.auth.smart_client import CLIENT, TOKEN_URL, claims, header, jwt, key_set

NOW = FrozenClock().now_us()


def _reason(head: object) -> str:
    with pytest.raises(ClientRefused) as caught:
        check_assertion(
            jwt(head, claims(NOW)), client_id=CLIENT, client_keys=key_set(), token_url=TOKEN_URL, now_us=NOW
        )
    return caught.value.reason


def test_t8_typ_is_jwt() -> None:
    for typ in (None, "", "jwt", "JOSE", "at+jwt", 1, ["JWT"]):
        assert _reason(header(typ=typ)) == "typ"


def test_t9_kid_is_a_short_string() -> None:
    for kid in (None, "", "k" * 257, 1, True, ["rsa-1"], {"kid": "rsa-1"}):
        assert _reason(header(kid=kid)) == "kid"


def test_t10_nothing_in_the_header_brings_keys_or_rules() -> None:
    for name, value in (("crit", ["exp"]), ("jwk", {}), ("x5u", "https://x"), ("x5c", []), ("b64", True), ("zip", "")):
        assert _reason(header(**{name: value})) == f"header-{name}"


def test_every_row_has_its_test() -> None:
    here = Path(__file__).parent
    texts = "".join(path.read_text() for folder in (here, here.parent / "api") for path in folder.rglob("test_*.py"))
    rows: set[int] = set()
    for name in re.findall(r"^(?:async )?def test_((?:t\d+_)+(?:to_t\d+_)?)", texts, re.MULTILINE):
        numbers = [int(one) for one in re.findall(r"\d+", name)]
        rows |= set(range(numbers[0], numbers[-1] + 1)) if "to_" in name else set(numbers)
    assert rows >= set(range(1, 26))
