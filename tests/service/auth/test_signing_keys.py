"""Our signing keys: sealed, published before they sign and as long as what they signed lives; security.md 1.4."""

import asyncio
import os
from typing import Any

import pytest
from joserfc import jwt
from joserfc.jwk import KeySet, RSAKey

from service.auth.authorization import Authorization
from service.auth.id_tokens import id_token
from service.auth.signing_keys import CACHE_S, ID_TOKEN_S, OVERLAP_S, KeysRefused, SigningKeys
from service.store.engine import Store
from service.store.signing_keys import signing_keys
from tests.frozen_clock import FrozenClock

SECOND = 1_000_000
SECRET = b"s" * 64
GRANTED = Authorization(
    "r", "c", "openid", "Practitioner/p", "Organization/o", "lcm", "TREAT", None, "", 1, "ff", "c", None
)
ROTATIONS = 20 if os.environ.get("ENLACE_TEST_DEEP") else 5


class _Validator:
    """Another party: keeps our key set for as long as it may, and never asks again before."""

    def __init__(self) -> None:
        self.until_us, self.keys = 0, KeySet([])

    async def check(self, store: Store, ours: SigningKeys, token: str, now_us: int) -> None:
        if now_us >= self.until_us:
            self.keys = KeySet.import_key_set({"keys": await ours.published(store, now_us)})  # type: ignore[typeddict-item]
            self.until_us = now_us + CACHE_S * SECOND
        jwt.decode(token, self.keys, algorithms=["RS256"])


async def _token(store: Store, ours: SigningKeys, now_us: int) -> str:
    return id_token(await ours.signer(store, now_us), "https://enlace.test", "app", GRANTED, now_us)


async def test_rotating_again_and_again_no_validation_fails(store: Store, clock: FrozenClock) -> None:
    ours = SigningKeys(SECRET)
    validators = [_Validator() for _ in range(3)]
    signed: list[tuple[int, str]] = []
    used = set()
    for _ in range(ROTATIONS):
        for step in range(13):  # every half minute
            now = clock.now_us()
            token = await _token(store, ours, now)
            used.add((await ours.signer(store, now)).kid)
            signed = [(at, text) for at, text in [*signed, (now, token)] if now < at + ID_TOKEN_S * SECOND]
            for number, validator in enumerate(validators):
                if step % (number + 1) == 0:  # they fill their caches at different moments
                    for _at, text in signed:
                        await validator.check(store, ours, text, now)
            clock.advance(30 * SECOND)
        await ours.rotate(store, clock.now_us())
    assert len(used) == ROTATIONS
    assert len(await ours.published(store, clock.now_us())) <= 4


async def test_a_new_key_is_published_before_it_signs(store: Store, clock: FrozenClock) -> None:
    ours = SigningKeys(SECRET)
    first = await ours.signer(store, clock.now_us())
    row = await ours.rotate(store, clock.now_us())
    published = [key["kid"] for key in await ours.published(store, clock.now_us())]
    assert published == [first.kid, row.kid]
    assert (await ours.signer(store, clock.now_us())).kid == first.kid
    clock.advance(OVERLAP_S * SECOND)
    assert (await ours.signer(store, clock.now_us())).kid == row.kid
    assert len(await ours.published(store, clock.now_us())) == 2
    clock.advance((ID_TOKEN_S + CACHE_S + 60) * SECOND)
    assert [key["kid"] for key in await ours.published(store, clock.now_us())] == [row.kid]


async def test_a_second_rotation_waits_until_the_first_key_signs(store: Store, clock: FrozenClock) -> None:
    ours = SigningKeys(SECRET)
    await ours.signer(store, clock.now_us())
    await ours.rotate(store, clock.now_us())
    with pytest.raises(KeysRefused, match="does not sign yet"):
        await ours.rotate(store, clock.now_us())
    row = await ours.rotate(store, clock.now_us(), at_once=True)
    assert [key["kid"] for key in await ours.published(store, clock.now_us())] == [row.kid]
    assert (await ours.signer(store, clock.now_us())).kid == row.kid


async def test_two_processes_make_one_first_key(store: Store, clock: FrozenClock) -> None:
    now = clock.now_us()
    found = await asyncio.gather(*(SigningKeys(SECRET).signer(store, now) for _ in range(4)))
    assert len({key.kid for key in found}) == 1 == len(await signing_keys(store))


async def test_the_private_part_is_sealed_and_never_published(store: Store, clock: FrozenClock) -> None:
    ours = SigningKeys(SECRET)
    key = await ours.signer(store, clock.now_us())
    secret: dict[str, Any] = dict(key.as_dict(private=True))
    (row,) = await signing_keys(store)
    assert secret["d"].encode() not in row.private
    for published in await ours.published(store, clock.now_us()):
        assert set(published) == {"kty", "kid", "use", "alg", "n", "e"}
    with pytest.raises(KeysRefused, match="--at-once"):
        await SigningKeys(b"t" * 64).signer(store, clock.now_us())
    assert isinstance(key, RSAKey)
