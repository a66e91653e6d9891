"""SQL of people's sessions on the pages; the rules are in service/auth/login.py. Known by SHA-256 of the cookie."""

from dataclasses import dataclass
from typing import Any

from service.store import identities
from service.store.change import Statement
from service.store.credentials import Reads
from service.store.identities import Provider


@dataclass(frozen=True)
class Through:
    """The identity provider through which the person came, and the account there, as they stand now.

    organization, role: for whom and as what the person chose to act.
    """

    account: str
    organization: str
    role: str
    practitioner: str
    account_active: bool
    provider: Provider


@dataclass(frozen=True)
class SessionRow:
    """A session with the client or the account it belongs to, as they stand now. Times: microseconds since the epoch.

    through: None for a session of the sandbox, which belongs to a client.
    """

    client_id: str
    csrf: str
    created_us: int
    seen_us: int
    expires_us: int
    name: str
    role: str
    organization: str
    person: str | None
    scopes: str
    purpose: str
    client_active: bool
    through: Through | None = None


_SESSION = (
    "SELECT s.client_id, s.csrf, s.created_us, s.seen_us, s.expires_us, s.account, s.person, s.organization, s.role,"
    " c.name, c.role, c.organization, c.person, c.scopes, c.purpose,"
    " CASE WHEN c.suspended_us IS NULL THEN c.active ELSE 0 END, a.practitioner, a.active, p.id,"
    " p.issuer, p.name, p.organization, p.client_id, p.client_secret, p.roles, p.active, p.created_us"
    " FROM login_session s LEFT JOIN client c ON c.id = s.client_id AND s.account IS NULL"
    " LEFT JOIN account a ON a.id = s.account LEFT JOIN identity_provider p ON p.id = a.provider WHERE s.hash = ?"
)


async def session_row(store: Reads, digest: bytes) -> SessionRow | None:
    """None also where neither the client nor the account is there any more."""
    rows = await store.fetch(_SESSION, (digest,))
    if not rows:
        return None
    row: Any = rows[0]
    client_id, csrf, *times = row[:5]
    account, *chosen = row[5:9]
    name, *client, active = row[9:16]
    practitioner, account_active, provider = row[16], row[17], row[18:]
    if account is None:
        facts = (client_id, csrf, *times, name, *client, active == 1)
        return None if active is None else SessionRow(*facts)
    if practitioner is None or provider[0] is None:
        return None
    person, organization, role = chosen
    known = identities.as_provider(provider)
    through = Through(account, organization, role, practitioner, account_active == 1, known)
    facts = (client_id, csrf, *times, "", role, organization, person, "", "TREAT", True, through)
    return SessionRow(*facts)


def insert_session(digest: bytes, client_id: str, csrf: str, now_us: int, expires_us: int) -> Statement:
    return Statement(
        "INSERT INTO login_session (hash, client_id, csrf, created_us, seen_us, expires_us) VALUES (?, ?, ?, ?, ?, ?)",
        (digest, client_id, csrf, now_us, now_us, expires_us),
    )


def insert_person_session(
    digest: bytes, client_id: str, csrf: str, now_us: int, expires_us: int, chosen: tuple[str, str, str, str]
) -> Statement:
    """chosen: account, person, organization, role."""
    return Statement(
        "INSERT INTO login_session (hash, client_id, csrf, created_us, seen_us, expires_us, account, person,"
        " organization, role) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (digest, client_id, csrf, now_us, now_us, expires_us, *chosen),
    )


def touch_session(digest: bytes, now_us: int) -> Statement:
    """The person did something. A session that ended meanwhile does not come back by it."""
    return Statement("UPDATE login_session SET seen_us = ? WHERE hash = ? AND seen_us < ?", (now_us, digest, now_us))


def delete_session(digest: bytes) -> Statement:
    return Statement("DELETE FROM login_session WHERE hash = ?", (digest,))


def forget_ended_sessions(expired_us: int, idle_us: int) -> Statement:
    """Housekeeping: sessions whose end, or whose last sign of the person, lies before these instants."""
    return Statement("DELETE FROM login_session WHERE expires_us <= ? OR seen_us <= ?", (expired_us, idle_us))
