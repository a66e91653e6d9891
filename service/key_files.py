"""Files that hold a key or a certificate: made for the owner only, looked at before they are used."""

import os
import secrets
import stat
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import ssl

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


def certificate_problems(certificate: Path | None, key: Path | None) -> list[str]:
    """What is wrong with the client certificate of the settings and its key, a sentence each."""
    if certificate is None and key is None:
        return []
    if certificate is None or key is None:
        given, missing = ("KEY", "CERTIFICATE") if certificate is None else ("CERTIFICATE", "KEY")
        return [f"ENLACE_CLIENT_{missing}_FILE must name a file where ENLACE_CLIENT_{given}_FILE does."]
    try:
        client_context(certificate, key)
    except (OSError, ValueError):
        sentence = "and the file of ENLACE_CLIENT_KEY_FILE must be a PEM certificate and its key, without a passphrase."
        return [f"ENLACE_CLIENT_CERTIFICATE_FILE {sentence}"]
    return []


def client_context(certificate: Path, key: Path) -> "ssl.SSLContext":
    """TLS that believes the system's authorities and shows this certificate. Raises OSError, ValueError."""
    import ssl

    context = ssl.create_default_context()
    # A passphrase would be asked for on the terminal; "" makes that an error instead.
    context.load_cert_chain(certificate, key, password=lambda: "")
    return context


def listener_problems(certificate: Path | None, key: Path | None, client_ca: Path | None) -> list[str]:
    """What is wrong with the TLS files of the ADT listener, a sentence each; without any of them it speaks plainly."""
    files = {"CERTIFICATE": certificate, "KEY": key, "CLIENT_CA": client_ca}
    if not any(files.values()):
        return []
    if missing := [f"ENLACE_MLLP_TLS_{name}_FILE" for name, path in files.items() if path is None]:
        return [f"{' and '.join(missing)} must name a file, too: MLLP over TLS is mutual."]
    assert certificate and key and client_ca
    try:
        listener_context(certificate, key, client_ca)
    except (OSError, ValueError):
        return [
            "ENLACE_MLLP_TLS_CERTIFICATE_FILE and _KEY_FILE must be a PEM certificate and its key, without a "
            "passphrase, and ENLACE_MLLP_TLS_CLIENT_CA_FILE the PEM certificates of the senders' authorities."
        ]
    return []


def listener_context(certificate: Path, key: Path, client_ca: Path) -> "ssl.SSLContext":
    """TLS 1.2 or later; who shows no certificate of this authority does not connect. Raises OSError, ValueError."""
    import ssl

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.load_cert_chain(certificate, key, password=lambda: "")
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_verify_locations(client_ca)
    return context
