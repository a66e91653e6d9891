"""SQL of people's sessions on the pages; the rules are in service/auth/login.py. Known by SHA-256 of the cookie."""

from dataclasses import dataclass

from service.store.change import Statement
from service.store.credentials import Reads


@dataclass(frozen=True)
class SessionRow:
    """A session with the client it belongs to, as they stand now. Times in microseconds since the epoch."""

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


_SESSION = (
    "SELECT s.client_id, s.csrf, s.created_us, s.seen_us, s.expires_us, c.name, c.role, c.organization, c.person,"
    " c.scopes, c.purpose, c.active FROM login_session s JOIN client c ON c.id = s.client_id WHERE s.hash = ?"
)


async def session_row(store: Reads, digest: bytes) -> SessionRow | None:
    rows = await store.fetch(_SESSION, (digest,))
    if not rows:
        return None
    client_id, csrf, created_us, seen_us, expires_us, *client = rows[0]
    name, role, organization, person, scopes, purpose, active = client
    times = (created_us, seen_us, expires_us)
    return SessionRow(
        client_id, csrf, *times, name, role, organization, person, scopes, purpose, client_active=active == 1
    )


def insert_session(digest: bytes, client_id: str, csrf: str, now_us: int, expires_us: int) -> Statement:
    return Statement(
        "INSERT INTO login_session (hash, client_id, csrf, created_us, seen_us, expires_us) VALUES (?, ?, ?, ?, ?, ?)",
        (digest, client_id, csrf, now_us, now_us, expires_us),
    )


def touch_session(digest: bytes, now_us: int) -> Statement:
    """The person did something. A session that ended meanwhile does not come back by it."""
    return Statement("UPDATE login_session SET seen_us = ? WHERE hash = ? AND seen_us < ?", (now_us, digest, now_us))


def delete_session(digest: bytes) -> Statement:
    return Statement("DELETE FROM login_session WHERE hash = ?", (digest,))


def forget_ended_sessions(expired_us: int, idle_us: int) -> Statement:
    """Housekeeping: sessions whose end, or whose last sign of the person, lies before these instants."""
    return Statement("DELETE FROM login_session WHERE expires_us <= ? OR seen_us <= ?", (expired_us, idle_us))
