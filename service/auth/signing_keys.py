"""Our keys for id_tokens: made, sealed, published before they sign and after; ../shared/facts/security.md 1.4.

A new key is published for a cache period before the first signature with it, and an old one until what it signed last
has ended, so that whoever keeps our key set for as long as we allow never meets an unknown or a missing key.
"""

import asyncio
import json
from dataclasses import dataclass, field
from typing import Any

from joserfc.jwk import RSAKey

from service.auth.sealing import SealBroken, seal, unseal
from service.store.change import AuditRow, Change, Claim, ClaimTaken
from service.store.credentials import CredentialStore
from service.store.signing_keys import KeyRow, forget_keys, insert_key, retire_others, signing_keys

CACHE_S = 300
"""How long /auth/jwks may be kept (its max-age)."""
ID_TOKEN_S = 300
OVERLAP_S = CACHE_S + 60
"""From publishing a key to its first signature: the cache period, and a minute for clocks that differ."""
KEPT_S = ID_TOKEN_S + CACHE_S + 60
"""From its last signature to the end of publishing a key."""
FORGET_S = 30 * 86_400
SECOND = 1_000_000
_BITS = 2048


class KeysRefused(Exception):
    """Nothing was done; the message is a sentence with the remedy."""


@dataclass
class SigningKeys:
    """The keys of one installation. secret: of the service (ENLACE_SECRET_KEY_FILE); it seals the private parts."""

    secret: bytes = b""
    _opened: dict[str, RSAKey] = field(default_factory=dict)
    _lock: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def signer(self, store: CredentialStore, now_us: int) -> RSAKey:
        """The key that signs now; the first one is made when it is first needed."""
        rows = await signing_keys(store)
        row = signing(rows, now_us) or await self._first(store, now_us)
        if row.kid not in self._opened:
            if len(self._opened) > 10:
                self._opened.clear()
            self._opened[row.kid] = RSAKey.import_key(json.loads(self._unsealed(row)))
        return self._opened[row.kid]

    async def published(self, store: CredentialStore, now_us: int) -> list[dict[str, Any]]:
        """The public keys for /auth/jwks; the first one is made when it is first asked for."""
        rows = await signing_keys(store)
        if signing(rows, now_us) is None:
            rows = [*rows, await self._first(store, now_us)]
        return [json.loads(row.public) for row in rows if is_published(row, now_us)]

    async def rotate(self, store: CredentialStore, now_us: int, *, at_once: bool = False) -> KeyRow:
        """A new key that signs after the cache period. at_once: the others are known to somebody and end now.

        Raises KeysRefused while the last new key does not sign yet.
        """
        rows = await signing_keys(store)
        if not at_once and any(row.signs_from_us > now_us and is_published(row, now_us) for row in rows):
            raise KeysRefused("The last new key does not sign yet: wait until it does, see `enlace keys list`.")
        first = signing(rows, now_us) is None
        signs_from_us = now_us if at_once or first else now_us + OVERLAP_S * SECOND
        row = await asyncio.to_thread(self._made, store.clock.new_id(), now_us, signs_from_us)
        retired_us = now_us if at_once else signs_from_us + KEPT_S * SECOND
        change = Change(statements=[insert_key(row), retire_others(row.kid, retired_us)])
        change.statements.append(forget_keys(now_us - FORGET_S * SECOND))
        # Of two who saw the same keys and rotate in the same moment, the second is refused.
        change.claims.append(Claim(store.keys.of("signing-key", *sorted(one.kid for one in rows))))
        change.audit.append(AuditRow("C", "keys-rotate", 0, "operator", "", f"signing-key/{row.kid}"))
        try:
            await store.commit(change)
        except ClaimTaken:
            raise KeysRefused("Somebody else made a new key just now: see `enlace keys list`.") from None
        return row

    async def _first(self, store: CredentialStore, now_us: int) -> KeyRow:
        """Of all who need it at once, of other processes too, one makes it."""
        async with self._lock:
            found = signing(await signing_keys(store), now_us)
            if found is not None:
                return found
            try:
                return await self.rotate(store, now_us)
            except KeysRefused:
                found = signing(await signing_keys(store), now_us)
                if found is None:
                    raise
                return found

    def _made(self, kid: str, now_us: int, signs_from_us: int) -> KeyRow:
        key = RSAKey.generate_key(_BITS, {"kid": kid, "use": "sig", "alg": "RS256"})
        public = json.dumps(key.as_dict(private=False), separators=(",", ":"))
        private = json.dumps(key.as_dict(private=True)).encode()
        return KeyRow(kid, seal(self.secret, _place(kid), private), public, now_us, signs_from_us, None)

    def _unsealed(self, row: KeyRow) -> bytes:
        try:
            return unseal(self.secret, _place(row.kid), row.private)
        except SealBroken:
            text = "The signing key was sealed under another ENLACE_SECRET_KEY_FILE: `enlace keys rotate --at-once`."
            raise KeysRefused(text) from None


def _place(kid: str) -> str:
    return f"signing-key/{kid}"


def is_published(row: KeyRow, now_us: int) -> bool:
    return row.retired_us is None or now_us < row.retired_us


def signing(rows: list[KeyRow], now_us: int) -> KeyRow | None:
    """The newest key whose time to sign has come."""
    ready = [row for row in rows if row.signs_from_us <= now_us and is_published(row, now_us)]
    return max(ready, key=lambda row: (row.signs_from_us, row.kid), default=None)
