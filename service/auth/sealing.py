"""Secrets that the database keeps for us: AES-256-GCM under a key that follows from ENLACE_SECRET_KEY_FILE.

https://csrc.nist.gov/pubs/sp/800/38/d/final ; a copy of the database alone opens none of them. `purpose` names the row
and column: a sealed secret that is moved to another row cannot be opened there.
"""

import secrets
from functools import lru_cache
from typing import Any

_NONCE = 12


class SealBroken(ValueError):
    """What was sealed cannot be opened: another key, another place, or changed bytes."""


def seal(key: bytes, purpose: str, secret: bytes) -> bytes:
    """key: of Settings.secret_key()."""
    nonce = secrets.token_bytes(_NONCE)
    return nonce + bytes(_cipher(key).encrypt(nonce, secret, purpose.encode()))


def unseal(key: bytes, purpose: str, sealed: bytes) -> bytes:
    """Raises SealBroken."""
    from cryptography.exceptions import InvalidTag

    try:
        return bytes(_cipher(key).decrypt(sealed[:_NONCE], sealed[_NONCE:], purpose.encode()))
    except (InvalidTag, ValueError):
        raise SealBroken("The secret cannot be opened with the key in ENLACE_SECRET_KEY_FILE.") from None


@lru_cache(maxsize=4)
def _cipher(key: bytes) -> Any:
    """cryptography is imported on first use, for the start time."""
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM
    from cryptography.hazmat.primitives.hashes import SHA256
    from cryptography.hazmat.primitives.kdf.hkdf import HKDF

    return AESGCM(HKDF(SHA256(), 32, salt=None, info=b"enlace sealed secrets").derive(key))
