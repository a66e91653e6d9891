"""Registered key set URLs: cached no longer than allowed, fetched once for many, never a 5xx (T13, JWKS retrieval)."""

import asyncio
from typing import Any

import pytest

from service.auth.jwks_fetch import max_age_s
from service.auth.key_sets import Fetched, KeySets
from service.auth.refusal import ClientRefused
from service.store.credentials import RegisteredClient

URL = "https://ehr.example.org/jwks.json"
CLIENT = RegisteredClient("c", "C", "Organization/o", "mcp", "system/*.rs", jwks_url=URL)
SECOND = 1_000_000


class Site:
    """The client's web server: what it publishes, and how often it was asked."""

    def __init__(self, *kids: str, max_age_s: int | None = None):
        self.kids, self.max_age_s, self.asked = kids, max_age_s, 0
        self.down: Exception | None = None

    async def fetch(self, url: str) -> Fetched:
        assert url == URL
        self.asked += 1
        await asyncio.sleep(0)
        if self.down:
            raise self.down
        return Fetched({"keys": [{"kty": "RSA", "kid": kid} for kid in self.kids]}, self.max_age_s)


def kids(keys: list[dict[str, Any]]) -> list[str]:
    return [key["kid"] for key in keys]


async def test_without_cache_control_keys_are_kept_for_five_minutes() -> None:
    site = Site("a")
    sets = KeySets(site.fetch)
    for second in (0, 1, 299):
        assert kids(await sets.of(CLIENT, "a", second * SECOND)) == ["a"]
    assert site.asked == 1
    site.kids = ("b",)
    assert kids(await sets.of(CLIENT, "a", 300 * SECOND)) == ["b"]


async def test_cache_control_shortens_and_never_lengthens() -> None:
    site = Site("a", max_age_s=2)
    sets = KeySets(site.fetch)
    await sets.of(CLIENT, "a", 0)
    site.kids = ("b",)
    assert kids(await sets.of(CLIENT, "a", 2 * SECOND - 1)) == ["a"]
    site.max_age_s = 86_400
    assert kids(await sets.of(CLIENT, "a", 2 * SECOND)) == ["b"]
    site.kids = ("c",)
    assert kids(await sets.of(CLIENT, "b", 302 * SECOND)) == ["c"]


async def test_an_unknown_kid_fetches_again_but_not_more_than_every_30_s() -> None:
    site = Site("a")
    sets = KeySets(site.fetch)
    await sets.of(CLIENT, "a", 0)
    for number in range(50):
        await sets.of(CLIENT, f"spray-{number}", SECOND)
    assert site.asked == 1
    site.kids = ("a", "b")
    assert kids(await sets.of(CLIENT, "b", 30 * SECOND)) == ["a", "b"]
    for number in range(50):
        await sets.of(CLIENT, f"spray-{number}", 31 * SECOND)
    assert site.asked == 2


async def test_many_at_once_share_one_fetch() -> None:
    site = Site("a", max_age_s=0)
    sets = KeySets(site.fetch)
    found = await asyncio.gather(*(sets.of(CLIENT, "a", number) for number in range(100)))
    assert site.asked == 1 and all(kids(keys) == ["a"] for keys in found)
    await sets.of(CLIENT, "a", 1000)
    assert site.asked == 2


@pytest.mark.parametrize("error", [OSError("no route"), TimeoutError(), ValueError("not JSON"), RuntimeError("?")])
async def test_a_failed_fetch_is_a_refusal(error: Exception) -> None:
    site = Site("a")
    site.down = error
    sets = KeySets(site.fetch)
    with pytest.raises(ClientRefused) as caught:
        await sets.of(CLIENT, "a", 0)
    assert caught.value.reason == "keys-fetch"
    site.down = None
    assert kids(await sets.of(CLIENT, "a", 1)) == ["a"]


async def test_a_failed_refetch_for_an_unknown_kid_leaves_the_fresh_keys() -> None:
    site = Site("a")
    sets = KeySets(site.fetch)
    await sets.of(CLIENT, "a", 0)
    site.down = OSError()
    with pytest.raises(ClientRefused):
        await sets.of(CLIENT, "b", 31 * SECOND)
    assert kids(await sets.of(CLIENT, "a", 32 * SECOND)) == ["a"]
    assert kids(await sets.of(CLIENT, "b", 33 * SECOND)) == ["a"]
    assert site.asked == 2


async def test_nobody_waits_for_a_fetch_that_an_unknown_kid_caused() -> None:
    """Whoever sends strange kids while the site is down must not turn away those whose keys are still good."""
    site = Site("a")
    sets = KeySets(site.fetch)
    await sets.of(CLIENT, "a", 0)
    site.down = OSError()
    stranger, honest = await asyncio.gather(
        sets.of(CLIENT, "b", 31 * SECOND), sets.of(CLIENT, "a", 31 * SECOND), return_exceptions=True
    )
    assert isinstance(stranger, ClientRefused)
    assert isinstance(honest, list) and kids(honest) == ["a"]


async def test_a_url_that_publishes_a_private_key_is_refused() -> None:
    async def fetch(_url: str) -> Fetched:
        return Fetched({"keys": [{"kty": "RSA", "kid": "a", "d": "AQAB"}]})

    with pytest.raises(ClientRefused):
        await KeySets(fetch).of(CLIENT, "a", 0)


async def test_rotating_every_two_seconds_refuses_nothing_valid_and_keeps_nothing_old() -> None:
    site = Site("k0", max_age_s=1)
    sets = KeySets(site.fetch)
    for tick in range(20 * 60):  # 20 requests a second, for 60 s
        now = tick * SECOND // 20
        generation = now // (2 * SECOND)
        site.kids = tuple(f"k{n}" for n in (generation, generation + 1))  # the next key is published ahead
        assert f"k{generation}" in kids(await sets.of(CLIENT, f"k{generation}", now))
        if now % (2 * SECOND) >= SECOND:
            assert f"k{generation - 1}" not in kids(await sets.of(CLIENT, f"k{generation - 1}", now))


async def test_without_keys_or_without_a_fetcher_nobody_is_authenticated() -> None:
    nobody = RegisteredClient("c", "C", "Organization/o", "mcp", "system/*.rs")
    for client in (nobody, CLIENT):
        with pytest.raises(ClientRefused) as caught:
            await KeySets().of(client, "a", 0)
        assert caught.value.reason == "keys-none"


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"cache-control": "public"}, None),
        ({"cache-control": "max-age=60"}, 60),
        ({"cache-control": "Public, Max-Age=60"}, 60),
        ({"cache-control": 'max-age="60"'}, 60),
        ({"cache-control": "max-age=60", "age": "50"}, 10),
        ({"cache-control": "max-age=60", "age": "90"}, 0),
        ({"cache-control": "max-age=60, no-store"}, 0),
        ({"cache-control": "no-cache"}, 0),
        ({"cache-control": "max-age=-1"}, None),
    ],
)
def test_cache_control(headers: dict[str, str], seconds: int | None) -> None:
    assert max_age_s(headers) == seconds
