"""Codes: made when a person agrees, exchanged once within a minute; B3-B5 of ../shared/facts/security.md 1.5.

https://www.rfc-editor.org/rfc/rfc6749#section-4.1.3 and https://www.rfc-editor.org/rfc/rfc7636#section-4.6
A code that comes a second time ends everything that came of it: one of the two who had it was not the app.
"""

import hmac
import re
from base64 import urlsafe_b64encode
from collections.abc import Mapping
from hashlib import sha256

from service.auth import tokens
from service.auth.authorization import Authorization
from service.auth.authorization_clients import AtEndpoint, app_at, bad_grant
from service.auth.authorization_tokens import issued, refresh_until_us, standing, with_identity, with_refresh
from service.auth.backend_services import Answer, AuthServer
from service.auth.refusal import OAuthRefused, bad_request
from service.store import authorizations
from service.store.authorizations import CodeRow
from service.store.change import Statement
from service.store.housekeeping import CODES_US

CODE_TTL_S = 60
SECOND = 1_000_000
_VERIFIER = re.compile(r"[A-Za-z0-9._~-]{43,128}", re.ASCII)


def new_code(client_id: str, family: str, granted: Authorization, now_us: int) -> tuple[str, list[Statement]]:
    """The code for the redirect, and the statements that store it."""
    code, digest = tokens.new_token()
    expires_us = now_us + CODE_TTL_S * SECOND
    forget = authorizations.forget_codes(now_us - CODES_US)
    return code, [forget, authorizations.insert_code(digest, client_id, family, granted.text(), expires_us)]


async def authorization_code(
    server: AuthServer, form: Mapping[str, str], authorization: str | None, now_us: int
) -> Answer:
    """The grant of apps. Raises OAuthRefused; a code that was used in the same moment shows at commit."""
    at = await app_at(server, form, authorization, now_us)
    try:
        return await _decided(server, at, form, now_us)
    except OAuthRefused as refused:
        return at.no(refused)


async def _decided(server: AuthServer, at: AtEndpoint, form: Mapping[str, str], now_us: int) -> Answer:
    code = form.get("code")
    if not code:
        raise bad_request("code-missing", "code is required.")
    digest = tokens.digest_of(code)
    row = await authorizations.code_row(server.store, digest) if digest else None
    if digest is None or row is None or row.client_id != at.client.id:
        raise bad_grant("code-unknown")
    if row.used_us is not None:
        ended = authorizations.end_family(server.store.keys, row.family, now_us)
        ended.claims += at.claims
        return Answer(ended, at.client, refused=bad_grant("code-reused"))
    if now_us >= row.expires_us:
        raise bad_grant("code-expired")
    return await _exchanged(server, at, form, digest, row, now_us)


async def _exchanged(
    server: AuthServer,
    at: AtEndpoint,
    form: Mapping[str, str],
    digest: bytes,
    row: CodeRow,
    now_us: int,
) -> Answer:
    granted = Authorization.of(row.payload)
    if not hmac.compare_digest(form.get("redirect_uri", "").encode(), granted.redirect_uri.encode()):
        raise bad_grant("redirect-uri")
    if not verified(form.get("code_verifier", ""), granted.challenge):
        raise bad_grant("verifier")
    held = await standing(server, granted, now_us)
    if held is None:
        raise bad_grant("person")
    made = await issued(server, at, granted, row.family, now_us)
    made.change.epochs |= held
    until_us = refresh_until_us(granted, now_us)
    body = made.body | await with_identity(server, at, granted, now_us)
    body |= with_refresh(at, granted, row.family, now_us, until_us, made.change)
    # The claim outlives the code, whose own row then says that it was used.
    claim = authorizations.use_claim(server.store.keys, "code", digest, row.expires_us + CODES_US)
    made.change.claims.append(claim)
    made.change.statements.append(authorizations.use_code(digest, now_us))
    return Answer(made.change, at.client, body, target=tokens.audit_name(made.digest), single_use=claim.key)


def verified(verifier: str, challenge: str) -> bool:
    """S256, the only method; the challenge itself as verifier fails as any other text."""
    if not _VERIFIER.fullmatch(verifier):
        return False
    made = urlsafe_b64encode(sha256(verifier.encode()).digest()).rstrip(b"=")
    return hmac.compare_digest(made, challenge.encode())
