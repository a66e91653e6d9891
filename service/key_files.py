"""Files that hold a key: made for the owner only, looked at before they are used."""

import os
import secrets
import stat
from pathlib import Path

SANDBOX_MARK = b"sandbox-"
"""First bytes of a key that the sandbox made for itself: production refuses it."""


def key_problem(variable: str, path: Path, sandbox: bool) -> str | None:
    """What is wrong with the key file that `variable` names, in a sentence with the remedy; None: nothing."""
    try:
        key, mode = path.read_bytes().strip(), path.stat().st_mode
    except OSError:
        return f"{variable} names a file that cannot be read: make one with `openssl rand -hex 32`, mode 0600."
    if len(key) < 32:
        return f"{variable} names a file with fewer than 32 bytes: make one with `openssl rand -hex 32`."
    if sandbox:
        return None
    if key.startswith(SANDBOX_MARK):
        return f"{variable} names a key that a sandbox made: make a new one with `openssl rand -hex 32`."
    if stat.S_IMODE(mode) & 0o007:
        return f"{variable} names a file that everybody may read or write: set its mode to 0600."
    return None


def make_key(path: Path) -> None:
    """Write a new key for the owner only; of two processes that start together, the first one's key stays."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        os.write(handle, SANDBOX_MARK + secrets.token_hex(32).encode() + b"\n")
        os.fsync(handle)
        os.link(draft, path)
    except FileExistsError:
        pass
    finally:
        os.close(handle)
        draft.unlink()
