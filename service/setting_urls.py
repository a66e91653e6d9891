"""What a URL in a setting says: whether it stays near, and with which name and password it logs in."""

import ipaddress
import re
from dataclasses import dataclass, field
from urllib.parse import unquote, urlsplit

DEFAULT_PASSWORDS = frozenset(
    ("", *"enlace postgres password changeme change-me replace-me secret admin root test example 123456".split())
)
NEAR_NAMES = ("localhost", ".localhost", ".local", ".internal", ".svc", ".cluster.local")
"""Names that no public address answers to; so does every name without a dot."""

_ATOM = r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+"
_MAILBOX = re.compile(rf"{_ATOM}(?:\.{_ATOM})*@[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?\Z")


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


@dataclass(frozen=True)
class MailServer:
    """A mail server by its URL. tls: from the first byte; otherwise by STARTTLS."""

    host: str
    port: int
    tls: bool
    user: str
    password: str = field(repr=False)

    @property
    def loopback(self) -> bool:
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return self.host == "localhost"


def smtp_server(url: str) -> MailServer | None:
    """smtps:// (port 465) or smtp:// (port 587), with user and password or without; None: no such URL."""
    try:
        parts = urlsplit(url)
        tls, host, port = parts.scheme == "smtps", parts.hostname, parts.port
    except ValueError:
        return None
    if parts.scheme not in ("smtp", "smtps") or not host or parts.path.strip("/") or parts.query or parts.fragment:
        return None
    user, password = unquote(parts.username or ""), unquote(parts.password or "")
    return MailServer(host, port or (465 if tls else 587), tls, user, password)


def mailbox(text: str) -> bool:
    """Whether it is one plain address, without a name, quotes, comments: nothing a mail header could read otherwise."""
    return bool(_MAILBOX.match(text)) and len(text) <= 254
