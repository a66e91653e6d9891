"""Client assertions with random damage: refused, and nothing else is raised."""

import json
import os
import random
from collections.abc import Callable

from service.auth.assertions import read_assertion
from service.auth.refusal import ClientRefused
from tests.service.auth.asserting import EC_FORGED, NOW, S, check, reason
from tests.service.auth.smart_client import (
    CLIENT,
    TOKEN_URL,
    claims,
    ec_key,
    header,
    jwt,
)

MUTATIONS = 20_000 if os.environ.get("ENLACE_TEST_DEEP") else 2_000


def test_any_exception_is_a_refusal() -> None:
    assert reason(jwt(header(), claims(NOW)), now_us="now") == "unexpected"


def _flip(rng: random.Random, text: str) -> str:
    at = rng.randrange(len(text))
    return text[:at] + rng.choice("AZaz09-_.=\x00\u00e9") + text[at + 1 :]


def _cut(rng: random.Random, text: str) -> str:
    a, b = sorted(rng.randrange(len(text)) for _ in range(2))
    return text[:a] + text[b:]


def _swap(rng: random.Random, text: str) -> str:
    parts = text.split(".")
    rng.shuffle(parts)
    return ".".join(parts)


def _retype(rng: random.Random, _text: str) -> str:
    """A member of another type, or one more, under a good signature: only the checks stand between."""
    head, body = header(), claims(NOW)
    target = rng.choice([head, body])
    name = rng.choice([*target, "crit", "jwk", "nbf", "x"])
    strange: list[object] = [
        None,
        True,
        0,
        -1,
        1.5,
        "",
        "x",
        [],
        {},
        [[]],
        {"a": [1]},
        "\u0000",
        "\U0001f600",
        10**40,
        "9" * 300,
    ]
    target[name] = rng.choice(strange)
    return jwt(json.dumps(head), json.dumps(body))


def _text_damage(rng: random.Random, _text: str) -> str:
    return jwt(header(), _flip(rng, json.dumps(claims(NOW))))


MUTATORS: list[Callable[[random.Random, str], str]] = [_flip, _cut, _swap, _retype, _text_damage]


def test_damaged_assertions_are_refused_and_nothing_else_is_raised() -> None:
    """What is still accepted must say exactly what the good assertion says in every claim that counts."""
    rng, accepted, refused = random.Random(20260307), 0, 0
    texts = [jwt(header(), claims(NOW)), jwt(EC_FORGED, claims(NOW), ec_key())]
    for number in range(MUTATIONS):
        text = MUTATORS[number % len(MUTATORS)](rng, rng.choice(texts))
        try:
            got = check(text)
        except ClientRefused:
            refused += 1
            continue
        accepted += 1
        said = read_assertion(text).claims
        assert (said["iss"], said["sub"], said["aud"]) == (CLIENT, CLIENT, TOKEN_URL)
        assert S - 30 < got.exp <= S + 330 and got.exp == said["exp"]
        signed_after_damage = MUTATORS[number % len(MUTATORS)] in (_retype, _text_damage)
        assert signed_after_damage or text in texts, "wrongly accepted"
    assert accepted + refused == MUTATIONS and refused > MUTATIONS * 0.7
