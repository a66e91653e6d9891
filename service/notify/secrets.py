"""The secret by which a subscriber knows that a notification is ours: made, kept sealed, shown once.

Standard Webhooks (https://www.standardwebhooks.com): 24 to 64 random bytes, shown as whsec_ and base64.
"""

import base64
import secrets

from service.auth.sealing import seal, unseal

BYTES = 32
_PURPOSE = "subscription.secret"
_PREFIX = "whsec_"


def new_secret() -> bytes:
    return secrets.token_bytes(BYTES)


def sealed(key: bytes, secret: bytes) -> bytes:
    """key: of Settings.secret_key() (Context.settings.page_key)."""
    return seal(key, _PURPOSE, secret)


def opened(key: bytes, sealed: bytes) -> bytes:
    """Raises service.auth.sealing.SealBroken where the key is another one."""
    return unseal(key, _PURPOSE, sealed)


def shown(secret: bytes) -> str:
    """As the subscriber is shown it, once."""
    return _PREFIX + base64.b64encode(secret).decode()
