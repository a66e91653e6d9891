"""SQL of identity providers, the people they vouch for, and sign-ins on their way; rules: service/auth/accounts.py.

https://openid.net/specs/openid-connect-core-1_0.html
"""

from dataclasses import dataclass
from typing import Any

from service.search.keys import Keys, edge
from service.store.change import Statement
from service.store.credentials import Reads

MOST_ROLES = 50
"""PractitionerRoles of one person that count; of more, the oldest."""


@dataclass(frozen=True)
class Provider:
    """A row of identity_provider. client_secret: sealed. roles: which its people may have, separated by blanks."""

    id: str
    issuer: str
    name: str
    organization: str
    client_id: str
    client_secret: bytes | None = None
    roles: str = "lcm"
    active: bool = True
    created_us: int = 0


@dataclass(frozen=True)
class Account:
    """Somebody as a provider knows them (`subject`), bound to a Practitioner."""

    id: str
    provider: str
    subject: str
    practitioner: str
    active: bool = True
    created_us: int = 0


@dataclass(frozen=True)
class Attempt:
    """A sign-in on its way. payload: JSON."""

    provider: str
    payload: str
    expires_us: int


_PROVIDER = "id, issuer, name, organization, client_id, client_secret, roles, active, created_us"
_ACCOUNT = "id, provider, subject, practitioner, active, created_us"
_ROLES = (
    "SELECT v.body FROM ref e CROSS JOIN version v CROSS JOIN resource r "
    "WHERE e.param = ? AND e.target = ? AND v.vid = e.vid AND r.key = v.key AND r.vid = v.vid AND r.deleted = 0 "
    "ORDER BY v.vid LIMIT ?"
)


async def providers(store: Reads) -> list[Provider]:
    """All, disabled ones too, oldest first."""
    rows = await store.fetch(f"SELECT {_PROVIDER} FROM identity_provider ORDER BY created_us, id")
    return [as_provider(row) for row in rows]


async def provider_by_id(store: Reads, provider_id: str) -> Provider | None:
    rows = await store.fetch(f"SELECT {_PROVIDER} FROM identity_provider WHERE id = ?", (provider_id,))
    return as_provider(rows[0]) if rows else None


def insert_provider(p: Provider) -> Statement:
    row = (p.id, p.issuer, p.name, p.organization, p.client_id, p.client_secret, p.roles, int(p.active), p.created_us)
    return Statement(f"INSERT INTO identity_provider ({_PROVIDER}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", row)


def disable_provider(provider_id: str) -> Statement:
    """Its people are out with their next request, because reading a session reads this flag."""
    return Statement("UPDATE identity_provider SET active = 0 WHERE id = ?", (provider_id,))


async def accounts(store: Reads, provider_id: str | None = None) -> list[Account]:
    """All, ended ones too, oldest first; of one provider where it is given."""
    where, params = ("WHERE provider = ?", (provider_id,)) if provider_id else ("", ())
    rows = await store.fetch(f"SELECT {_ACCOUNT} FROM account {where} ORDER BY created_us, id", params)
    return [_account(row) for row in rows]


async def accounts_of(store: Reads, practitioner: str) -> list[Account]:
    """Of one person, ended ones too."""
    sql = f"SELECT {_ACCOUNT} FROM account WHERE practitioner = ? ORDER BY created_us, id"
    return [_account(row) for row in await store.fetch(sql, (practitioner,))]


async def account_by_id(store: Reads, account_id: str) -> Account | None:
    rows = await store.fetch(f"SELECT {_ACCOUNT} FROM account WHERE id = ?", (account_id,))
    return _account(rows[0]) if rows else None


def put_account(a: Account) -> Statement:
    """Binds, binds anew, or brings back; the id follows from provider and subject, so nobody is bound twice."""
    return Statement(
        f"INSERT INTO account ({_ACCOUNT}) VALUES (?, ?, ?, ?, ?, ?) "
        "ON CONFLICT (id) DO UPDATE SET practitioner = excluded.practitioner, active = excluded.active",
        (a.id, a.provider, a.subject, a.practitioner, int(a.active), a.created_us),
    )


def end_account(account_id: str) -> Statement:
    return Statement("UPDATE account SET active = 0 WHERE id = ?", (account_id,))


def insert_attempt(digest: bytes, attempt: Attempt) -> Statement:
    sql = "INSERT INTO login_attempt (hash, provider, payload, expires_us) VALUES (?, ?, ?, ?)"
    return Statement(sql, (digest, attempt.provider, attempt.payload, attempt.expires_us))


async def attempt_by_digest(store: Reads, digest: bytes) -> Attempt | None:
    rows = await store.fetch("SELECT provider, payload, expires_us FROM login_attempt WHERE hash = ?", (digest,))
    return Attempt(*rows[0]) if rows else None


def delete_attempt(digest: bytes) -> Statement:
    return Statement("DELETE FROM login_attempt WHERE hash = ?", (digest,))


def forget_attempts(now_us: int) -> Statement:
    """Housekeeping: sign-ins that nobody finished."""
    return Statement("DELETE FROM login_attempt WHERE expires_us <= ?", (now_us,))


async def practitioner_roles(store: Reads, keys: Keys, practitioner: str) -> list[bytes]:
    """Current PractitionerRoles that name the Practitioner; whether they count is not looked at here."""
    given = (edge("PractitionerRole", "practitioner"), keys.resource(practitioner), MOST_ROLES)
    return [bytes(row[0]) for row in await store.fetch(_ROLES, given)]


def as_provider(row: Any) -> Provider:
    """A row of the columns in _PROVIDER."""
    provider_id, issuer, name, organization, client_id, secret, roles, active, created_us = row
    sealed = None if secret is None else bytes(secret)
    return Provider(provider_id, issuer, name, organization, client_id, sealed, roles, active == 1, created_us)


def _account(row: Any) -> Account:
    account_id, provider, subject, practitioner, active, created_us = row
    return Account(account_id, provider, subject, practitioner, active == 1, created_us)
