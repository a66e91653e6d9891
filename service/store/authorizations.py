"""SQL of app launches: apps, codes, refresh tokens, families of tokens; the rules are in service/auth.

A family is all that came of one authorization. Whoever makes a new token of it relies on its epoch, and ending it moves
the epoch: so no token can slip in beside the end.
"""

import json
from dataclasses import dataclass
from typing import Any

from service.search.keys import Keys
from service.store.change import Change, Claim, Statement
from service.store.credentials import Reads


@dataclass(frozen=True)
class CodeRow:
    client_id: str
    family: str
    payload: str
    expires_us: int
    used_us: int | None


@dataclass(frozen=True)
class RefreshRow:
    client_id: str
    family: str
    payload: str
    issued_us: int
    expires_us: int
    used_us: int | None
    revoked_us: int | None
    session: bytes | None


@dataclass(frozen=True)
class FamilyToken:
    """What introspection tells of a token that a person's app holds."""

    scopes: str
    person: str | None
    patient: str | None


_REDIRECTS = "SELECT redirect_uris FROM client WHERE active = 1 AND suspended_us IS NULL AND redirect_uris IS NOT NULL"
_CODE = "SELECT client_id, family, payload, expires_us, used_us FROM authorization_code WHERE hash = ?"
_REFRESH = (
    "SELECT client_id, family, payload, issued_us, expires_us, used_us, revoked_us, session FROM refresh_token"
    " WHERE hash = ?"
)
_EPOCH = "SELECT epoch FROM access_epoch WHERE subject = ?"
_TOKEN = "SELECT scopes, person, patient FROM token WHERE hash = ? AND family IS NOT NULL"
_SESSION = "SELECT client_id, account FROM login_session WHERE hash = ?"


async def redirect_uris(store: Reads) -> list[str]:
    """Of all active apps."""
    return [uri for (text,) in await store.fetch(_REDIRECTS) for uri in _listed(text)]


def _listed(text: str | None) -> tuple[str, ...]:
    found = json.loads(text) if text else []
    return tuple(uri for uri in found if isinstance(uri, str)) if isinstance(found, list) else ()


async def login_of(store: Reads, session: bytes) -> tuple[str, str | None] | None:
    """(client, account) by which the person of a session came."""
    rows = await store.fetch(_SESSION, (session,))
    return (rows[0][0], rows[0][1]) if rows else None


# --- families ------------------------------------------------------------------------------------------------------


def family_key(keys: Keys, family: str) -> int:
    return keys.of("token-family", family)


async def family_epoch(store: Reads, keys: Keys, family: str) -> int:
    """To be read before the tokens of the family are."""
    rows = await store.fetch(_EPOCH, (family_key(keys, family),))
    return int(rows[0][0]) if rows else 0


def end_family(keys: Keys, family: str, now_us: int) -> Change:
    """Ends every token of an authorization, also those that are being made at this moment."""
    tokens = Statement("UPDATE token SET revoked_us = ? WHERE family = ? AND revoked_us IS NULL", (now_us, family))
    refresh = "UPDATE refresh_token SET revoked_us = ? WHERE family = ? AND revoked_us IS NULL"
    codes = "UPDATE authorization_code SET used_us = ? WHERE family = ? AND used_us IS NULL"
    statements = [tokens, Statement(refresh, (now_us, family)), Statement(codes, (now_us, family))]
    return Change(statements=statements, bump_epochs={family_key(keys, family)})


def session_key(keys: Keys, session: bytes) -> int:
    return keys.of("token-session", session.hex())


async def session_epoch(store: Reads, keys: Keys, session: bytes) -> int:
    """To be read before the session is: who makes tokens that end with it relies on this."""
    rows = await store.fetch(_EPOCH, (session_key(keys, session),))
    return int(rows[0][0]) if rows else 0


def end_session(keys: Keys, session: bytes, now_us: int) -> Change:
    """For signing out: what apps got with `online_access` in this session ends with it, also what is being made now."""
    within = "family IN (SELECT family FROM refresh_token WHERE session = ?)"
    refresh = "UPDATE refresh_token SET revoked_us = ? WHERE session = ? AND revoked_us IS NULL"
    statements = [
        Statement(f"UPDATE token SET revoked_us = ? WHERE {within} AND revoked_us IS NULL", (now_us, session)),
        Statement(refresh, (now_us, session)),
    ]
    return Change(statements=statements, bump_epochs={session_key(keys, session)})


def end_people(accounts: str, params: tuple[Any, ...], now_us: int) -> list[Statement]:
    """What came of the sign-ins of these accounts, sessions and apps' tokens: also if an account comes back one day.

    accounts: SQL of their ids.
    """
    of_token = f"family IN (SELECT family FROM token WHERE account IN ({accounts}))"
    of_session = f"session IN (SELECT hash FROM login_session WHERE account IN ({accounts}))"
    refresh = "UPDATE refresh_token SET revoked_us = ? WHERE revoked_us IS NULL AND"
    return [
        Statement(f"{refresh} {of_token}", (now_us, *params)),
        Statement(f"{refresh} {of_session}", (now_us, *params)),
        Statement(
            f"UPDATE token SET revoked_us = ? WHERE revoked_us IS NULL AND account IN ({accounts})", (now_us, *params)
        ),
        Statement(f"DELETE FROM login_session WHERE account IN ({accounts})", params),
    ]


def end_account(account: str, now_us: int) -> list[Statement]:
    """As end_people, and of this one also what no token tells of: codes, and refresh tokens that were long at rest."""
    named = (now_us, f'%"{account}"%')
    return [
        Statement("UPDATE refresh_token SET revoked_us = ? WHERE revoked_us IS NULL AND payload LIKE ?", named),
        Statement("UPDATE authorization_code SET used_us = ? WHERE used_us IS NULL AND payload LIKE ?", named),
        *end_people("?", (account,), now_us),
    ]


# --- codes ---------------------------------------------------------------------------------------------------------


async def code_row(store: Reads, digest: bytes) -> CodeRow | None:
    rows = await store.fetch(_CODE, (digest,))
    return CodeRow(*rows[0]) if rows else None


def insert_code(digest: bytes, client_id: str, family: str, payload: str, expires_us: int) -> Statement:
    sql = "INSERT INTO authorization_code (hash, client_id, family, payload, expires_us) VALUES (?, ?, ?, ?, ?)"
    return Statement(sql, (digest, client_id, family, payload, expires_us))


def use_code(digest: bytes, now_us: int) -> Statement:
    sql = "UPDATE authorization_code SET used_us = ? WHERE hash = ? AND used_us IS NULL"
    return Statement(sql, (now_us, digest))


def forget_codes(before_us: int) -> Statement:
    """Housekeeping: codes that ended before then; until then their reuse is noticed."""
    return Statement("DELETE FROM authorization_code WHERE expires_us < ?", (before_us,))


def use_claim(keys: Keys, kind: str, digest: bytes, expires_us: int) -> Claim:
    """What makes a code or a refresh token good for one use: of many at once one takes it."""
    return Claim(keys.of(kind, digest.hex()), expires_us=expires_us)


# --- tokens --------------------------------------------------------------------------------------------------------


async def refresh_row(store: Reads, digest: bytes) -> RefreshRow | None:
    rows = await store.fetch(_REFRESH, (digest,))
    if not rows:
        return None
    client_id, family, payload, issued_us, expires_us, used_us, revoked_us, session = rows[0]
    held = None if session is None else bytes(session)
    return RefreshRow(client_id, family, payload, issued_us, expires_us, used_us, revoked_us, held)


def insert_refresh(digest: bytes, row: RefreshRow) -> Statement:
    return Statement(
        "INSERT INTO refresh_token (hash, client_id, family, payload, issued_us, expires_us, session)"
        " VALUES (?, ?, ?, ?, ?, ?, ?)",
        (digest, row.client_id, row.family, row.payload, row.issued_us, row.expires_us, row.session),
    )


def use_refresh(digest: bytes, now_us: int) -> Statement:
    return Statement("UPDATE refresh_token SET used_us = ? WHERE hash = ? AND used_us IS NULL", (now_us, digest))


def forget_refresh(before_us: int) -> Statement:
    return Statement("DELETE FROM refresh_token WHERE expires_us < ?", (before_us,))


def insert_person_token(digest: bytes, client_id: str, family: str, facts: dict[str, Any]) -> Statement:
    """facts: scopes, issued_us, expires_us, person, organization, role, purpose, patient, account."""
    names = ("scopes", "issued_us", "expires_us", "person", "organization", "role", "purpose", "patient", "account")
    return Statement(
        "INSERT INTO token (hash, client_id, family, scopes, issued_us, expires_us, person, organization, role,"
        " purpose, patient, account) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (digest, client_id, family, *(facts[name] for name in names)),
    )


async def family_token(store: Reads, digest: bytes) -> FamilyToken | None:
    """None for a token that no person's authorization made."""
    rows = await store.fetch(_TOKEN, (digest,))
    return FamilyToken(*rows[0]) if rows else None
