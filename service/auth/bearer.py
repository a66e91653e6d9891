"""From the Authorization header to the Caller: https://www.rfc-editor.org/rfc/rfc6750, end of security.md 1.1.

The token, its client and their organization are read for every request and nothing of it is kept, so that a revocation,
an ended client or an expiry acts on the next request (../shared/decisions.md 19). `bearer_digest` and `caller_of` are
pure; a route that batches its first reads puts credentials.TOKEN_SQL between them, and asks `caller_now`.
"""

import re
from collections.abc import Collection
from typing import cast

from service.auth.accounts import still_acts
from service.auth.scopes import compile_allows
from service.auth.tokens import digest_of, longest_life_s
from service.caller import Caller, Role
from service.errors import Category, FhirError, Issue
from service.store.credentials import TokenReads, TokenRow, token_row
from service.store.engine import Store

_HEADER = re.compile(r"bearer +([A-Za-z0-9._~+/=-]+)", re.ASCII | re.IGNORECASE)
_CHALLENGE = 'Bearer realm="enlace"'
_NEEDED = "A valid access token is needed: Authorization: Bearer <token from the token endpoint>."
_SANDBOX = " In the sandbox, `enlace token --role lcm` prints one."
_QUERY_NAMES = frozenset({"access_token", "client_assertion"})


async def authenticate(
    store: TokenReads,
    authorization: str | None,
    now_us: int,
    *,
    env: str = "production",
    query_keys: Collection[str] = (),
) -> Caller:
    """The caller of a request with this Authorization header.

    Raises FhirError: 401 with WWW-Authenticate for anything but a good token; 400 for a token in the query string.
    env: sandbox or production; production takes no long-lived sandbox tokens.
    """
    digest = bearer_digest(authorization, query_keys, env)
    return await caller_now(store, await token_row(store, digest), now_us, env)


async def caller_now(store: TokenReads, row: TokenRow | None, now_us: int, env: str = "production") -> Caller:
    """As `caller_of`, and a person's account and PractitionerRole must be in force at this moment too (G3, B12)."""
    caller = caller_of(row, now_us, env)
    if row is not None and row.account is not None:
        who = (row.account, row.person or "", row.organization, row.role)
        if not await still_acts(cast(Store, store), *who, now_us):
            raise _refused("person-role", env)
    return caller


def bearer_digest(authorization: str | None, query_keys: Collection[str] = (), env: str = "production") -> bytes:
    """The digest under which the store would know the token; raises FhirError as `authenticate` does."""
    if not _QUERY_NAMES.isdisjoint(name.lower() for name in query_keys):
        raise FhirError(
            Category.MALFORMED,
            "A token in the URL is not accepted; send it in the Authorization header.",
            reason="token-in-query",
        )
    if not authorization:
        raise _refused("token-missing", env, _CHALLENGE)
    match = _HEADER.fullmatch(authorization.strip(" "))
    if match is None:
        raise _refused("token-scheme", env, _CHALLENGE)
    digest = digest_of(match.group(1))
    if digest is None:
        raise _refused("token-malformed", env)
    return digest


def caller_of(row: TokenRow | None, now_us: int, env: str = "production") -> Caller:
    """The caller behind a token's row as it stands now; raises FhirError 401 with one body for every reason."""
    if row is None:
        raise _refused("token-unknown", env)
    if row.revoked_us is not None:
        raise _refused("token-revoked", env)
    if now_us >= row.expires_us:
        raise _refused("token-expired", env)
    if row.expires_us - row.issued_us > longest_life_s(env) * 1_000_000:
        raise _refused("token-sandbox", env)
    if not row.client_active:
        raise _refused("client-inactive", env)
    if not row.organization_active:
        raise _refused("organization-inactive", env)
    if not row.person_active:
        raise _refused("person-inactive", env)
    role = _role(row.role)
    if role is None:
        raise _refused("client-role", env)
    return Caller(
        client_id=row.client_id,
        role=role,
        organization=row.organization,
        person=row.person,
        scopes=row.scopes,
        allows=compile_allows(row.scopes, launched=row.patient is not None),
        purpose=row.purpose,
        patient=row.patient,
        above=tuple(f"Organization/{one}" for one in row.above),
    )


def insufficient_scope(letter: str, rtype: str) -> FhirError:
    """403 with the challenge of RFC 6750 section 3.1; `letter` is one of c r u d s."""
    needed = f"{rtype}.{letter}"
    return FhirError(
        Category.FORBIDDEN,
        [Issue(f"The access token's scopes do not hold {needed}; ask for a scope such as system/{needed}.")],
        headers={"WWW-Authenticate": f'{_CHALLENGE}, error="insufficient_scope", scope="system/{needed}"'},
        reason="scope",
    )


def _role(text: str) -> Role | None:
    """The service itself never comes with a token."""
    try:
        role = Role(text)
    except ValueError:
        return None
    return None if role is Role.SYSTEM else role


def _refused(reason: str, env: str, challenge: str = f'{_CHALLENGE}, error="invalid_token"') -> FhirError:
    return FhirError(
        Category.UNAUTHENTICATED,
        _NEEDED + (_SANDBOX if env == "sandbox" else ""),
        headers={"WWW-Authenticate": challenge},
        reason=reason,
    )
