"""Access tokens: opaque, 256 random bits, known to the store only by their SHA-256; ../shared/facts/security.md 1.4."""

import re
import secrets
from hashlib import sha256

TTL_S = 300
"""Life of a backend service's token: the longest that SMART Backend Services recommends."""
USER_TTL_S = 900
"""Life of a token that a person's app gets; it refreshes where that was granted."""
SANDBOX_MAX_TTL_S = 24 * 3600

_FORM = re.compile(r"[A-Za-z0-9_-]{43}", re.ASCII)


def new_token() -> tuple[str, bytes]:
    """43 characters of base64url (256 bits), and their digest."""
    token = secrets.token_urlsafe(32)
    return token, sha256(token.encode()).digest()


def digest_of(token: str) -> bytes | None:
    """What the store knows the token by; None for a text that we never issued, so that nobody asks the store."""
    return sha256(token.encode()).digest() if _FORM.fullmatch(token) else None


def audit_name(digest: bytes) -> str:
    """The last 32 characters of the digest in hex: what audit rows may show of a token."""
    return "token/" + digest.hex()[-32:]


def longest_life_s(env: str) -> int:
    """Production refuses what a sandbox issued for hours, should its database ever be carried over."""
    return SANDBOX_MAX_TTL_S if env == "sandbox" else USER_TTL_S
