"""What the text of a setting must look like: a row each, its rule and the sentence for who breaks it."""

import re
from collections.abc import Callable
from ipaddress import ip_network
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

from service.setting_urls import hostname, mailbox, smtp_server


def _zone(text: str) -> bool:
    try:
        ZoneInfo(text)
    except Exception:
        return False
    return True


def _store(text: str) -> bool:
    return text.startswith(("sqlite:///", "postgresql://"))


def _http_url(text: str) -> bool:
    return text.startswith(("http://", "https://")) and bool(hostname(text))


def _origin(text: str) -> bool:
    if text in ("*", "none"):
        return True
    try:
        parts = urlsplit(text)
    except ValueError:
        return False
    return parts.scheme in ("http", "https") and bool(hostname(text)) and not (parts.path.strip("/") or parts.query)


def _network(text: str) -> bool:
    try:
        ip_network(text)
    except ValueError:
        return False
    return True


def _host_port(text: str) -> bool:
    host, _, port = text.rpartition(":")
    return bool(host) and port.isascii() and port.isdigit() and 0 < int(port) < 65536


def _mail_server(text: str) -> bool:
    return smtp_server(text) is not None


def _one_word(text: str) -> bool:
    return bool(re.fullmatch(r"[!-~]{1,4096}", text))


_DATABASE = (_store, "must begin with sqlite:/// or postgresql://")

FORMS: dict[str, tuple[Callable[[str], bool], str]] = {
    "database_url": _DATABASE,
    "database_reader_url": _DATABASE,
    "public_url": (_http_url, "must be an absolute http or https URL such as https://enlace.example.org"),
    "time_zone": (_zone, "must be an IANA time zone such as America/Los_Angeles"),
    "cors_origins": (
        _origin,
        "must list origins such as https://app.example.org, without a path, or be * or none",
    ),
    "trusted_proxies": (_network, "must list addresses or networks such as 10.0.0.0/8"),
    "egress_allow": (_host_port, "must list host:port entries such as 127.0.0.1:9000"),
    "smtp_url": (_mail_server, "must name a mail server such as smtps://user:password@mail.example.org:465"),
    "mail_from": (mailbox, "must be one address such as enlace@example.org, without a name"),
    "sms_token": (_one_word, "must be printable ASCII without a space"),
}
"""Field of Settings -> (rule for the text, or for each entry of a list; sentence). Empty is unset and passes."""
