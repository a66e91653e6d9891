"""Asking about tokens and ending them: https://www.rfc-editor.org/rfc/rfc7662 and https://www.rfc-editor.org/rfc/rfc7009

Who asks authenticates with a client assertion or with an access token. Everyone may ask about and end the tokens of its
own client; role admin those of all. A foreign token looks exactly like an unknown one.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from service.auth import authorization_facts, tokens
from service.auth.backend_services import Answer, AuthServer, authenticate_client
from service.auth.bearer import bearer_digest, caller_now
from service.auth.refusal import OAuthRefused, bad_request
from service.caller import Role
from service.errors import FhirError
from service.store import credentials
from service.store.change import Change, Claim
from service.store.credentials import RegisteredClient, TokenRow


@dataclass(frozen=True)
class _Asker:
    client: RegisteredClient
    claims: list[Claim]

    def may_see(self, row: TokenRow) -> bool:
        return row.client_id == self.client.id or self.client.role == Role.ADMIN


async def introspect(server: AuthServer, form: Mapping[str, str], authorization: str | None, now_us: int) -> Answer:
    """Answers POST /auth/introspect; a token that is not good now, or foreign, is only {"active": false}."""
    text = _token(form)
    asker = await _asker(server, form, authorization, now_us)
    digest = tokens.digest_of(text)
    row = await credentials.token_row(server.store, digest) if digest else None
    answer = Answer(Change(claims=asker.claims), asker.client, {"active": False})
    if digest is None or row is None or not asker.may_see(row):
        return answer
    answer.target = tokens.audit_name(digest)
    try:
        caller = await caller_now(server.store, row, now_us, server.env)
    except FhirError:
        return answer
    answer.body = {
        "active": True,
        "scope": caller.scopes,
        "client_id": caller.client_id,
        "exp": row.expires_us // 1_000_000,
        **await authorization_facts.told(server, digest),
    }
    return answer


async def revoke(server: AuthServer, form: Mapping[str, str], authorization: str | None, now_us: int) -> Answer:
    """Answers POST /auth/revoke: 200 for an unknown and for a foreign token too, of which nothing changes."""
    text = _token(form)
    public = await authorization_facts.public_client(server, form, authorization)
    asker = _Asker(public, []) if public else await _asker(server, form, authorization, now_us)
    digest = tokens.digest_of(text)
    answer = Answer(Change(claims=asker.claims), asker.client)
    if digest is not None:
        only = None if asker.client.role == Role.ADMIN and public is None else asker.client.id
        answer.change.merge(await authorization_facts.ended(server, digest, now_us, only))
        answer.change.statements.append(credentials.revoke_token(digest, now_us, only))
        answer.target = tokens.audit_name(digest)
    return answer


def _token(form: Mapping[str, str]) -> str:
    token = form.get("token")
    if not token:
        raise bad_request("token-missing", "token is required.")
    return token


async def _asker(server: AuthServer, form: Mapping[str, str], authorization: str | None, now_us: int) -> _Asker:
    if "client_assertion" in form or authorization is None:
        client, claim = await authenticate_client(server, form, authorization, now_us)
        return _Asker(client, [claim])
    try:
        row = await credentials.token_row(server.store, bearer_digest(authorization))
        caller = await caller_now(server.store, row, now_us, server.env)
    except FhirError as error:
        raise OAuthRefused(401, "invalid_token", error.reason) from None
    found = await credentials.client_by_id(server.store, caller.client_id)
    if found is None:
        raise OAuthRefused(401, "invalid_token", "client-unknown")
    return _Asker(found, [])
