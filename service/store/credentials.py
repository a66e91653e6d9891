"""SQL of registered clients and access tokens; who may have them is decided in service/auth.

Tokens are stored by SHA-256 of their text (../shared/facts/security.md 1.4): whoever reads the table cannot use them.
"""

from dataclasses import dataclass
from typing import Any, Protocol

from service.clock import Clock
from service.search.keys import Keys
from service.store.change import Change, Committed, Statement


class Reads(Protocol):
    """The part of the store that reading credentials needs."""

    async def fetch(self, sql: str, params: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]: ...


class CredentialStore(Reads, Protocol):
    """The part of the store that service/auth needs: the engine's Store fits it, and so does a small fake."""

    @property
    def keys(self) -> Keys: ...

    @property
    def clock(self) -> Clock: ...

    async def commit(self, change: Change) -> Committed: ...


@dataclass(frozen=True)
class RegisteredClient:
    """A row of `client`. organization, person: relative references. jwks: the key set as JSON text, or jwks_url."""

    id: str
    name: str
    organization: str
    role: str
    scopes: str
    person: str | None = None
    purpose: str = "TREAT"
    jwks: str | None = None
    jwks_url: str | None = None
    active: bool = True
    created_us: int = 0


@dataclass(frozen=True)
class TokenRow:
    """A token with the client it belongs to, as they stand now. Times in microseconds since the epoch."""

    client_id: str
    scopes: str
    issued_us: int
    expires_us: int
    revoked_us: int | None
    role: str
    organization: str
    person: str | None
    purpose: str
    client_active: bool
    patient: str | None = None


TOKEN_SQL = (
    "SELECT t.client_id, t.scopes, t.issued_us, t.expires_us, t.revoked_us, COALESCE(t.role, c.role),"
    " COALESCE(t.organization, c.organization), COALESCE(t.person, c.person), COALESCE(t.purpose, c.purpose),"
    " c.active, t.patient FROM token t JOIN client c ON c.id = t.client_id WHERE t.hash = ?"
)
"""One row per token, by digest; read it through `as_token`, so that it can share a batch with other reads."""

_CLIENT_COLUMNS = "id, name, organization, role, scopes, person, purpose, jwks, jwks_url, active, created_us"
_CLIENT_BY_ID = f"SELECT {_CLIENT_COLUMNS} FROM client WHERE id = ?"
_CLIENTS = f"SELECT {_CLIENT_COLUMNS} FROM client ORDER BY created_us, id"
_CLIENTS_BY_NAME = f"SELECT {_CLIENT_COLUMNS} FROM client WHERE name = ? ORDER BY created_us, id"
_CLIENTS_BY_ROLE = f"SELECT {_CLIENT_COLUMNS} FROM client WHERE role = ? ORDER BY created_us, id"
_HEAD = "SELECT r.deleted, v.body FROM resource r LEFT JOIN version v ON v.vid = r.vid WHERE r.key = ?"


def as_token(row: Any) -> TokenRow:
    """A row of TOKEN_SQL."""
    client_id, scopes, issued_us, expires_us, revoked_us, role, organization, person, purpose, active, patient = row
    times = (issued_us, expires_us, revoked_us)
    return TokenRow(client_id, scopes, *times, role, organization, person, purpose, active == 1, patient)


async def token_row(store: Reads, digest: bytes) -> TokenRow | None:
    rows = await store.fetch(TOKEN_SQL, (digest,))
    return as_token(rows[0]) if rows else None


async def client_by_id(store: Reads, client_id: str) -> RegisteredClient | None:
    rows = await store.fetch(_CLIENT_BY_ID, (client_id,))
    return _as_client(rows[0]) if rows else None


async def clients(store: Reads) -> list[RegisteredClient]:
    """Every client, revoked ones too, oldest first."""
    return [_as_client(row) for row in await store.fetch(_CLIENTS)]


async def clients_by_name(store: Reads, name: str) -> list[RegisteredClient]:
    return [_as_client(row) for row in await store.fetch(_CLIENTS_BY_NAME, (name,))]


async def clients_by_role(store: Reads, role: str) -> list[RegisteredClient]:
    return [_as_client(row) for row in await store.fetch(_CLIENTS_BY_ROLE, (role,))]


async def organization_head(store: Reads, resource_key: int) -> tuple[bool, bytes | None] | None:
    """(deleted, body) of the organization's current version; None when the store never had it."""
    rows = await store.fetch(_HEAD, (resource_key,))
    if not rows:
        return None
    deleted, body = rows[0]
    return deleted == 1, None if body is None else bytes(body)


def insert_client(client: RegisteredClient) -> Statement:
    sql = f"INSERT INTO client ({_CLIENT_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
    return Statement(
        sql,
        (
            client.id,
            client.name,
            client.organization,
            client.role,
            client.scopes,
            client.person,
            client.purpose,
            client.jwks,
            client.jwks_url,
            int(client.active),
            client.created_us,
        ),
    )


def deactivate_client(client_id: str) -> Statement:
    """Ends the client; its tokens stop on the next request, because reading a token reads this flag."""
    return Statement("UPDATE client SET active = 0 WHERE id = ?", (client_id,))


def insert_token(digest: bytes, client_id: str, scopes: str, issued_us: int, expires_us: int) -> Statement:
    return Statement(
        "INSERT INTO token (hash, client_id, scopes, issued_us, expires_us) VALUES (?, ?, ?, ?, ?)",
        (digest, client_id, scopes, issued_us, expires_us),
    )


def revoke_token(digest: bytes, now_us: int, client_id: str | None = None) -> Statement:
    """Revokes one token; with client_id only if it is that client's. The first revocation's time stays."""
    sql = "UPDATE token SET revoked_us = ? WHERE hash = ? AND revoked_us IS NULL"
    if client_id is None:
        return Statement(sql, (now_us, digest))
    return Statement(sql + " AND client_id = ?", (now_us, digest, client_id))


def forget_expired_tokens(before_us: int) -> Statement:
    """Housekeeping: tokens that ended before then tell nobody anything."""
    return Statement("DELETE FROM token WHERE expires_us < ?", (before_us,))


def _as_client(row: Any) -> RegisteredClient:
    client_id, name, organization, role, scopes, person, purpose, jwks, jwks_url, active, created_us = row
    keys = (jwks, jwks_url)
    return RegisteredClient(
        client_id, name, organization, role, scopes, person, purpose, *keys, active == 1, created_us
    )
