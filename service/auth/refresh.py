"""Refresh tokens: each use gives the next one, and a second use of one ends the family; B7 of security.md 1.5.

https://www.rfc-editor.org/rfc/rfc6749#section-6 and https://www.rfc-editor.org/rfc/rfc9700#section-4.14.2
Also when an app sends one twice in the same instant: nobody can tell that from a thief who is quick, so one of the two
is answered, and the person signs in again. An app therefore refreshes one at a time.
"""

from collections.abc import Mapping

from service.auth import tokens
from service.auth.authorization import Authorization
from service.auth.authorization_clients import AtEndpoint, app_at, bad_grant
from service.auth.authorization_scopes import narrowed
from service.auth.authorization_tokens import issued, standing, with_refresh
from service.auth.backend_services import Answer, AuthServer
from service.auth.refusal import OAuthRefused, bad_request
from service.auth.scopes import InvalidScope
from service.store import authorizations
from service.store.authorizations import RefreshRow
from service.store.change import Change
from service.store.housekeeping import REFRESH_US


async def refresh_token(server: AuthServer, form: Mapping[str, str], authorization: str | None, now_us: int) -> Answer:
    """The grant of apps that go on by themselves. Raises OAuthRefused; a use in the same moment shows at commit."""
    at = await app_at(server, form, authorization, now_us)
    try:
        return await _decided(server, at, form, now_us)
    except OAuthRefused as refused:
        return at.no(refused)


async def _decided(server: AuthServer, at: AtEndpoint, form: Mapping[str, str], now_us: int) -> Answer:
    token = form.get("refresh_token")
    if not token:
        raise bad_request("refresh-token-missing", "refresh_token is required.")
    digest = tokens.digest_of(token)
    row = await authorizations.refresh_row(server.store, digest) if digest else None
    if digest is None or row is None or row.client_id != at.client.id:
        raise bad_grant("refresh-unknown")
    # The epoch first, then the row again: whoever ends the family after this read makes the commit fail.
    keys = server.store.keys
    epoch = await authorizations.family_epoch(server.store, keys, row.family)
    row = await authorizations.refresh_row(server.store, digest) or row
    if row.revoked_us is not None:
        raise bad_grant("refresh-revoked")
    ended = authorizations.end_family(keys, row.family, now_us)
    ended.claims += at.claims
    if row.used_us is not None:
        return Answer(ended, at.client, refused=bad_grant("refresh-reused"))
    if now_us >= row.expires_us:
        raise bad_grant("refresh-expired")
    answer = await _rotated(server, at, form, digest, row, ended, now_us)
    answer.change.epochs[authorizations.family_key(keys, row.family)] = epoch
    return answer


async def _rotated(
    server: AuthServer,
    at: AtEndpoint,
    form: Mapping[str, str],
    digest: bytes,
    row: RefreshRow,
    ended: Change,
    now_us: int,
) -> Answer:
    granted = Authorization.of(row.payload)
    held = await standing(server, granted, now_us)
    if held is None:
        return Answer(ended, at.client, refused=bad_grant("person"))
    try:
        text = narrowed(granted.scopes, form["scope"]) if form.get("scope") else ""
    except InvalidScope as error:
        raise OAuthRefused(400, "invalid_scope", "scope", sentence=str(error)) from None
    made = await issued(server, at, granted, row.family, now_us, text=text)
    made.change.epochs |= held
    body = made.body | with_refresh(at, granted, row.family, now_us, row.expires_us, made.change)
    claim = authorizations.use_claim(server.store.keys, "refresh", digest, row.expires_us + REFRESH_US)
    made.change.claims.append(claim)
    forget = authorizations.forget_refresh(now_us - REFRESH_US)
    made.change.statements += [authorizations.use_refresh(digest, now_us), forget]
    return Answer(made.change, at.client, body, target=tokens.audit_name(made.digest), single_use=claim.key)
