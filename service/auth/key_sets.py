"""Key sets behind registered URLs: cached no longer than the client's Cache-Control says; check T13 of security.md 1.1.

https://hl7.org/fhir/smart-app-launch/STU2.2/client-confidential-asymmetric.html#registering-a-client-communicating-public-keys
Fetching itself (egress guard, no redirects, 3 s, 64 KB) is the injected `fetch`.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

from service.auth.jwks import BadKeySet, check_key_set, parse_key_set
from service.auth.refusal import ClientRefused
from service.store.credentials import RegisteredClient

DEFAULT_AGE_S = 300
"""How long a key set without Cache-Control is kept, and the longest that any is kept."""
REFETCH_S = 30
"""An unknown kid fetches again at most once in this time per client: else tokens with random kids are an amplifier."""


@dataclass(frozen=True)
class Fetched:
    """A parsed JSON document. max_age_s: of Cache-Control; None when the answer had none; 0: no-store, no-cache."""

    document: object
    max_age_s: int | None = None


Fetch = Callable[[str], Awaitable[Fetched]]


@dataclass
class _Place:
    """What is held of one URL, and the lock under which it is fetched once for all who wait. Times in microseconds."""

    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    fetches: int = 0
    failed: bool = False
    """The last fetch failed; keys that are still fresh are kept, so that a spray of kids cannot take them away."""
    keys: list[dict[str, Any]] | None = None
    until_us: int = 0
    fetched_us: int = 0

    def good_for(self, kid: str, now_us: int) -> list[dict[str, Any]] | None:
        """The keys if they are fresh, and either hold the kid or were fetched a moment ago."""
        if self.keys is None or now_us >= self.until_us:
            return None
        known = any(key.get("kid") == kid for key in self.keys)
        return self.keys if known or now_us < self.fetched_us + REFETCH_S * 1_000_000 else None


class KeySets:
    """The keys of each client: inline ones as registered, others by way of `fetch` (None: URLs are refused)."""

    def __init__(self, fetch: Fetch | None = None):
        self._fetch = fetch
        self._places: dict[str, _Place] = {}

    async def of(self, client: RegisteredClient, kid: str, now_us: int) -> list[dict[str, Any]]:
        """The registered keys; raises ClientRefused when there are none to be had. now_us: microseconds."""
        if client.jwks is not None:
            try:
                return parse_key_set(client.jwks)
            except BadKeySet:
                raise ClientRefused("keys") from None
        if client.jwks_url is None or self._fetch is None:
            raise ClientRefused("keys-none")
        place = self._places.setdefault(client.jwks_url, _Place())
        held = place.good_for(kid, now_us)
        if held is not None:  # beside a fetch that somebody's unknown kid caused, and whatever becomes of it
            return held
        waiting_since = place.fetches
        async with place.lock:
            if place.fetches != waiting_since:  # fetched for another request while this one waited
                if place.failed or place.keys is None:
                    raise ClientRefused("keys-fetch")
                return place.keys
            return place.good_for(kid, now_us) or await self._fetched(self._fetch, place, client.jwks_url, now_us)

    async def _fetched(self, fetch: Fetch, place: _Place, url: str, now_us: int) -> list[dict[str, Any]]:
        place.failed, place.fetched_us = True, now_us
        try:
            answer = await fetch(url)
            keys = check_key_set(answer.document)
        except Exception as error:  # whatever the client's server does, the answer here is 401, never 5xx
            raise ClientRefused("keys-fetch") from error
        finally:
            place.fetches += 1
        age = DEFAULT_AGE_S if answer.max_age_s is None else min(answer.max_age_s, DEFAULT_AGE_S)
        place.keys, place.until_us, place.failed = keys, now_us + max(age, 0) * 1_000_000, False
        return keys
