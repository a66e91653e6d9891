"""Sign-ins on their way: single use, ten minutes, bound to the browser that began them (login CSRF).

https://www.rfc-editor.org/rfc/rfc9700#section-4.7 ; state has 256 bits and is known to the store by its SHA-256. That
it is used once holds across processes: the claim on it commits before anything is done with the provider's answer.
"""

import json
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

from service.auth import tokens
from service.auth.login import same
from service.auth.openid import AnswerRefused
from service.store import identities
from service.store.change import Change, Claim, ClaimTaken
from service.store.engine import Store
from service.store.identities import Attempt

SECONDS = 600
_MARGIN_US = 60_000_000
"""The claim outlives the attempt by this: clocks of hosts differ."""


@dataclass(frozen=True)
class Taken:
    """An attempt that nobody else has used or will use. facts: as they were given to `begin`."""

    provider: str
    facts: dict[str, Any]


def begin(provider: str, kind: str, facts: dict[str, Any], now_us: int) -> tuple[str, str, Change]:
    """(state, cookie of the browser, Change). kind: signin, or choice of an organization."""
    state, digest = tokens.new_token()
    cookie, cookie_digest = tokens.new_token()
    payload = json.dumps({"kind": kind, "browser": cookie_digest.hex(), "facts": facts})
    attempt = Attempt(provider, payload, now_us + SECONDS * 1_000_000)
    statements = [identities.forget_attempts(now_us), identities.insert_attempt(digest, attempt)]
    return state, cookie, Change(statements=statements)


async def look(store: Store, kind: str, state: str, cookie: str, now_us: int) -> Taken:
    """The attempt, which stays; raises AnswerRefused where there is none, for every reason alike."""
    digest = tokens.digest_of(state)
    attempt = await identities.attempt_by_digest(store, digest) if digest else None
    if attempt is None or now_us >= attempt.expires_us:
        raise AnswerRefused("state")
    payload = json.loads(attempt.payload)
    if payload["kind"] != kind or not same(payload["browser"], sha256(cookie.encode()).hexdigest()):
        raise AnswerRefused("state")
    return Taken(attempt.provider, payload["facts"])


async def take(store: Store, kind: str, state: str, cookie: str, now_us: int) -> Taken:
    """As `look`, and uses it up: of many at once one succeeds. Raises AnswerRefused."""
    taken = await look(store, kind, state, cookie, now_us)
    digest = sha256(state.encode()).digest()
    key = store.keys.of("login-attempt", digest.hex())
    claim = Claim(key, expires_us=now_us + SECONDS * 1_000_000 + _MARGIN_US)
    try:
        await store.commit(Change(claims=[claim], statements=[identities.delete_attempt(digest)]))
    except ClaimTaken:
        raise AnswerRefused("state") from None
    return taken
