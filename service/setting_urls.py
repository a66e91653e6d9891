"""What a URL in a setting says: whether it stays near, and with which name and password it logs in."""

import ipaddress
from urllib.parse import unquote, urlsplit

DEFAULT_PASSWORDS = frozenset(
    ("", *"enlace postgres password changeme change-me replace-me secret admin root test example 123456".split())
)
NEAR_NAMES = ("localhost", ".localhost", ".local", ".internal", ".svc", ".cluster.local")
"""Names that no public address answers to; so does every name without a dot."""


def stays_near(url: str) -> bool:
    """Whether nobody on the public network can read along: TLS, or an address that is not public."""
    host = hostname(url)
    if host is None or url.startswith("https://"):
        return host is not None
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return url.startswith("http://") and ("." not in host or host.endswith(NEAR_NAMES))
    return url.startswith("http://") and (address.is_private or address.is_loopback)


def hostname(url: str) -> str | None:
    try:
        return urlsplit(url).hostname
    except ValueError:
        return None


def default_password(url: str) -> bool:
    """Whether a database URL logs in with a password that anybody would try first."""
    user, password = login(url)
    return password is not None and (password.lower() in DEFAULT_PASSWORDS or password == user)


def login(url: str) -> tuple[str, str | None]:
    """(user, password) of a database URL; no password where it names no user (peer or certificate login, SQLite)."""
    try:
        parts = urlsplit(url)
        if not (parts.username and parts.hostname):
            return "", None
        return unquote(parts.username), unquote(parts.password or "")
    except ValueError:
        return "", ""
