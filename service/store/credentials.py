"""SQL of registered clients and access tokens; who may have them is decided in service/auth.

Tokens are stored by SHA-256 of their text (../shared/facts/security.md 1.4): whoever reads the table cannot use them.
"""

import json
from dataclasses import dataclass
from typing import Any, Protocol

from service.clock import Clock
from service.search.keys import Keys, edge
from service.store.change import Change, Committed, Statement


class Reads(Protocol):
    """The part of the store that reading credentials needs."""

    async def fetch(self, sql: str, params: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]: ...


class TokenReads(Reads, Protocol):
    """The part of the store that reading a token needs."""

    @property
    def keys(self) -> Keys: ...


class CredentialStore(TokenReads, Protocol):
    """The part of the store that service/auth needs: the engine's Store fits it, and so does a small fake."""

    @property
    def clock(self) -> Clock: ...

    async def commit(self, change: Change) -> Committed: ...


@dataclass(frozen=True)
class RegisteredClient:
    """A row of `client`. organization, person: relative references. jwks: the key set as JSON text, or jwks_url.

    kind: backend, or confidential or public for an app that people use. active: neither suspended nor ended.
    endpoints: whereto its subscriptions may send: host names, "@" and mail domains, telephone numbers.
    """

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
    kind: str = "backend"
    redirect_uris: tuple[str, ...] = ()
    suspended: bool = False
    endpoints: tuple[str, ...] = ()

    @property
    def ended(self) -> bool:
        """For good: nothing brings it back."""
        return not self.active and not self.suspended


@dataclass(frozen=True)
class TokenRow:
    """A token with the client it belongs to, as they stand now. Times in microseconds since the epoch.

    organization_active, person_active: false once the directory says so, or once the entry is deleted; nobody deletes
    the trace of an entry, so one that was never written counts as active. above: ids of the organizations of which the
    client's is part, nearest first.
    """

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
    organization_active: bool = True
    person_active: bool = True
    above: tuple[str, ...] = ()
    account: str | None = None
    """Of a person who came through an identity provider; what it may do now is in service/auth/accounts.py."""


DIRECTORY = -1
"""Subject of access_epoch that each write of an Organization or Practitioner bumps (store/revoked.py)."""

TOKEN_SQL = (
    "SELECT t.client_id, t.scopes, t.issued_us, t.expires_us, t.revoked_us, COALESCE(t.role, c.role),"
    " COALESCE(t.organization, c.organization), COALESCE(t.person, c.person), COALESCE(t.purpose, c.purpose),"
    " CASE WHEN c.suspended_us IS NULL THEN c.active ELSE 0 END, t.patient, t.account,"
    f" (SELECT a.epoch FROM access_epoch a WHERE a.subject = {DIRECTORY})"
    " FROM token t JOIN client c ON c.id = t.client_id WHERE t.hash = ?"
)
"""One row per token, by digest; read it through `as_token`, so that it can share a batch."""

_PART_OF = edge("Organization", "partof")
_STANDING = (
    "SELECT r.rtype, r.deleted, (SELECT 1 FROM ix WHERE ix.key = ? AND ix.vid = r.vid),"
    " (SELECT 1 FROM ix WHERE ix.key = ? AND ix.vid = r.vid) FROM resource r WHERE r.key IN (?, ?)"
)
_ABOVE = (
    "SELECT o1.fhir_id, o2.fhir_id, o3.fhir_id FROM resource o"
    f" JOIN ref e1 ON e1.vid = o.vid AND e1.param = {_PART_OF}"
    " JOIN resource o1 ON o1.key = e1.target AND o1.deleted = 0"
    f" LEFT JOIN ref e2 ON e2.vid = o1.vid AND e2.param = {_PART_OF}"
    " LEFT JOIN resource o2 ON o2.key = e2.target AND o2.deleted = 0"
    f" LEFT JOIN ref e3 ON e3.vid = o2.vid AND e3.param = {_PART_OF}"
    " LEFT JOIN resource o3 ON o3.key = e3.target AND o3.deleted = 0"
    " WHERE o.key = ?"
)

_CLIENT_COLUMNS = (
    "id, name, organization, role, scopes, person, purpose, jwks, jwks_url, active, created_us, kind, redirect_uris,"
    " suspended_us, endpoints"
)
_CLIENT_BY_ID = f"SELECT {_CLIENT_COLUMNS} FROM client WHERE id = ?"
_CLIENTS = f"SELECT {_CLIENT_COLUMNS} FROM client ORDER BY created_us, id"
_CLIENTS_BY_NAME = f"SELECT {_CLIENT_COLUMNS} FROM client WHERE name = ? ORDER BY created_us, id"
_CLIENTS_BY_ROLE = f"SELECT {_CLIENT_COLUMNS} FROM client WHERE role = ? ORDER BY created_us, id"
_HEAD = "SELECT r.deleted, v.body FROM resource r LEFT JOIN version v ON v.vid = r.vid WHERE r.key = ?"


async def token_row(store: TokenReads, digest: bytes) -> TokenRow | None:
    rows = await store.fetch(TOKEN_SQL, (digest,))
    return await as_token(store, rows[0]) if rows else None


async def as_token(store: TokenReads, row: Any) -> TokenRow:
    """A row of TOKEN_SQL, with what the directory says of its organization and person.

    That is read again when anything in the directory was written since; the row tells by a counter, in the request's
    first statement. The joins themselves in that statement cost milliseconds on PostgreSQL, to plan them.
    """
    client_id, scopes, issued_us, expires_us, revoked_us, *of_caller = row
    role, organization, person, purpose, active, patient, account, directory = of_caller
    place = await _placed(store, organization, person, directory)
    facts = (role, organization, person, purpose, active == 1, patient)
    return TokenRow(client_id, scopes, issued_us, expires_us, revoked_us, *facts, *place, account)


Place = tuple[bool, bool, tuple[str, ...]]
"""(the organization is active, the person is, ids of the organizations above)"""


async def place_now(store: TokenReads, organization: str, person: str | None) -> Place:
    """For callers whom another server's token names: what the directory says of them at this moment."""
    rows = await store.fetch("SELECT epoch FROM access_epoch WHERE subject = ?", (DIRECTORY,))
    return await _placed(store, organization, person, rows[0][0] if rows else None)


async def _placed(store: TokenReads, organization: str, person: str | None, directory: int | None) -> Place:
    """directory: the counter as it was read before."""
    name = (store.keys, organization, person)
    known = _PLACED.get(name)
    if known is None or known[0] != directory:
        known = (directory, await _place(store, organization, person))
        if len(_PLACED) >= MOST_PLACED:
            _PLACED.clear()
        _PLACED[name] = known
    return known[1]


MOST_PLACED = 10_000
_PLACED: dict[tuple[Keys, str, str | None], tuple[int | None, Place]] = {}


async def _place(store: TokenReads, organization: str, person: str | None) -> Place:
    keys = store.keys
    wanted = (keys.resource(organization), keys.resource(person or organization))
    inactive = [keys.token(rtype, "active", None, "false") for rtype in ("Organization", "Practitioner")]
    ended = {"Organization": False, "Practitioner": False}
    for rtype, deleted, first, second in await store.fetch(_STANDING, (*inactive, *wanted)):
        ended[rtype] = deleted == 1 or first is not None or second is not None
    rows = await store.fetch(_ABOVE, (wanted[0],))
    above = tuple(one for one in rows[0] if one is not None) if rows else ()
    return not ended["Organization"], not ended["Practitioner"], above


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
    sql = f"INSERT INTO client ({_CLIENT_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, NULL, ?)"
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
            client.kind,
            _listed(client.redirect_uris),
            _listed(client.endpoints),
        ),
    )


def change_client(client: RegisteredClient) -> Statement:
    """Writes what may be changed of a client: keys, scopes, redirect URIs, endpoints."""
    sql = "UPDATE client SET scopes = ?, jwks = ?, jwks_url = ?, redirect_uris = ?, endpoints = ? WHERE id = ?"
    lists = (_listed(client.redirect_uris), _listed(client.endpoints))
    return Statement(sql, (client.scopes, client.jwks, client.jwks_url, *lists, client.id))


def client_key(keys: Keys, client_id: str) -> int:
    """Subject of access_epoch that is bumped where a client loses rights: who decides as the client relies on it."""
    return keys.of("client", client_id)


def suspend_client(client_id: str, at_us: int | None) -> Statement:
    """Suspends from this instant, None: no longer. Reading a token reads this column. The first instant stays."""
    if at_us is None:
        return Statement("UPDATE client SET suspended_us = NULL WHERE id = ?", (client_id,))
    return Statement("UPDATE client SET suspended_us = ? WHERE id = ? AND suspended_us IS NULL", (at_us, client_id))


def _listed(texts: tuple[str, ...]) -> str | None:
    return json.dumps(texts) if texts else None


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
    client_id, name, organization, role, scopes, person, purpose, jwks, jwks_url, *rest = row
    active, created_us, kind, uris, suspended_us, endpoints = rest
    running, suspended = active == 1 and suspended_us is None, active == 1 and suspended_us is not None
    redirects, allowed = (tuple(json.loads(text)) if text else () for text in (uris, endpoints))
    facts = (client_id, name, organization, role, scopes, person, purpose, jwks, jwks_url, running, created_us)
    return RegisteredClient(*facts, kind or "backend", redirects, suspended, allowed)
