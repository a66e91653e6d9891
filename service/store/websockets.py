"""SQL of websockets: the tokens that bind them, and what the handlers of a process ask of all their subscriptions."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from service.store.change import Claim, Statement
from service.store.dialect import marks
from service.store.engine import Store

SLACK_US = 60_000_000
"""For so long after its end a token stays claimed, so that no clock lets it in twice."""
_MOST = 500


@dataclass(frozen=True)
class Token:
    """keys: of the subscriptions that it binds. asked_with: end of the digest of the access token that asked for it."""

    client_id: str
    keys: tuple[int, ...]
    asked_with: str
    expires_us: int


def inserted(digest: bytes, token: Token) -> Statement:
    listed = orjson.dumps({"keys": token.keys, "token": token.asked_with}).decode()
    sql = "INSERT INTO ws_token (hash, client_id, subscriptions, expires_us) VALUES (?, ?, ?, ?)"
    return Statement(sql, (digest, token.client_id, listed, token.expires_us))


async def token(store: Store, digest: bytes) -> Token | None:
    rows = await store.fetch("SELECT client_id, subscriptions, expires_us FROM ws_token WHERE hash = ?", (digest,))
    if not rows:
        return None
    client_id, text, expires_us = rows[0]
    listed: dict[str, Any] = orjson.loads(text)
    return Token(str(client_id), tuple(listed["keys"]), str(listed["token"]), int(expires_us))


def used(store: Store, digest: bytes, found: Token) -> tuple[Claim, Statement]:
    """The token goes; of two who use it at once the second's Change fails by the claim."""
    claim = Claim(store.keys.of("ws-token", digest.hex()), expires_us=found.expires_us + SLACK_US)
    return claim, Statement("DELETE FROM ws_token WHERE hash = ?", (digest,))


async def revoked(store: Store, client_id: str, asked_with: str) -> bool:
    """Whether the access token with this end of its digest was revoked; one that ended by itself was not."""
    sql = "SELECT hash FROM token WHERE client_id = ? AND revoked_us IS NOT NULL"
    return any(bytes(row[0])[-6:].hex() == asked_with for row in await store.fetch(sql, (client_id,)))


async def standing(store: Store, keys: Sequence[int]) -> dict[int, tuple[int, str, bool]]:
    """key -> (last number given, status, whether paused) of those that exist."""
    found: dict[int, tuple[int, str, bool]] = {}
    for start in range(0, len(keys), _MOST):
        some = keys[start : start + _MOST]
        sql = f"SELECT key, numbered, status, paused FROM subscription WHERE key IN ({marks(len(some))})"
        found |= {row[0]: (int(row[1]), str(row[2]), row[3] != 0) for row in await store.fetch(sql, tuple(some))}
    return found
