"""The OAuth endpoints and the SMART configuration: https://hl7.org/fhir/smart-app-launch/STU2.2/conformance.html

HTTP only: read the form, let service/auth decide, commit its Change with the audit row, answer. The application sets
`app.state.auth` to an AuthServer; `routes` are flat rows for it to mount.
"""

import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from service import metrics
from service.api.oauth_form import read_form
from service.auth import token_management
from service.auth.backend_services import Answer, AuthServer, claimed_client
from service.auth.grants import GRANTS, grant
from service.auth.jwks import ALGORITHMS
from service.auth.limits import Buckets
from service.auth.refusal import ClientRefused, OAuthRefused
from service.log_events import REQUEST_ID, TOKEN_ISSUED, TOKEN_REFUSED, log
from service.store.change import AuditRow, Change, ClaimTaken

NO_STORE = {"Cache-Control": "no-store", "Pragma": "no-cache"}
SCOPES_SUPPORTED = ("system/*.cruds", "system/*.rs", "system/*.read", "system/*.write", "system/*.*")

Decide = Callable[[AuthServer, Mapping[str, str], str | None, int], Awaitable[Answer]]


async def token(request: Request) -> Response:
    """POST /auth/token: https://hl7.org/fhir/smart-app-launch/STU2.2/backend-services.html#obtain-access-token"""
    return await _answered(request, "token", grant)


async def introspect(request: Request) -> Response:
    """POST /auth/introspect: https://www.rfc-editor.org/rfc/rfc7662"""
    return await _answered(request, "introspect", token_management.introspect)


async def revoke(request: Request) -> Response:
    """POST /auth/revoke: https://www.rfc-editor.org/rfc/rfc7009"""
    return await _answered(request, "revoke", token_management.revoke)


async def jwks(_request: Request) -> Response:
    """GET /auth/jwks: access tokens are opaque and no id_token is issued yet, so there is no key to publish."""
    return JSONResponse({"keys": []}, headers={"Cache-Control": "public, max-age=300"})


async def smart_configuration(request: Request) -> Response:
    """GET /fhir/.well-known/smart-configuration: JSON whatever Accept says, readable from any origin."""
    server: AuthServer = request.app.state.auth
    return JSONResponse(configuration(server.base_url), headers={"Access-Control-Allow-Origin": "*"})


def configuration(base_url: str) -> dict[str, Any]:
    """Only what works, by absolute URLs. jwks_uri and issuer come with sign-in (sso-openid-connect)."""
    return {
        "token_endpoint": f"{base_url}/auth/token",
        "introspection_endpoint": f"{base_url}/auth/introspect",
        "revocation_endpoint": f"{base_url}/auth/revoke",
        "grant_types_supported": sorted(GRANTS),
        "token_endpoint_auth_methods_supported": ["private_key_jwt"],
        "token_endpoint_auth_signing_alg_values_supported": list(ALGORITHMS),
        "scopes_supported": list(SCOPES_SUPPORTED),
        "capabilities": ["client-confidential-asymmetric", "permission-v1", "permission-v2"],
        # SMART requires the member even where no authorization endpoint exists; `plain` is never accepted.
        "code_challenge_methods_supported": ["S256"],
    }


routes = [
    Route("/auth/token", token, methods=["POST"]),
    Route("/auth/introspect", introspect, methods=["POST"]),
    Route("/auth/revoke", revoke, methods=["POST"]),
    Route("/auth/jwks", jwks, methods=["GET"]),
    Route("/fhir/.well-known/smart-configuration", smart_configuration, methods=["GET"]),
]


async def _answered(request: Request, kind: str, decide: Decide) -> Response:
    started, status = time.perf_counter(), 500
    try:
        response = await _decided(request, kind, decide)
        status = response.status_code
        return response
    finally:
        metrics.request_done(kind, "", status, time.perf_counter() - started)


async def _decided(request: Request, kind: str, decide: Decide) -> Response:
    """The way of every OAuth request: limits, form, decision, commit, answer; each refusal leaves an audit row."""
    server: AuthServer = request.app.state.auth
    now_us = server.store.clock.now_us()
    source, claimed = request.client.host if request.client else "", ""
    try:
        _limit(server.limits.sources, source, now_us)
        form = await read_form(request)
        claimed = claimed_client(form)
        _limit(server.limits.clients, f"{source} {claimed}", now_us)
        answer = await decide(server, form, request.headers.get("authorization"), now_us)
        await _commit(server, kind, answer)
    except OAuthRefused as refused:
        if refused.status != 429 or server.limits.told.wait_s(source, now_us) == 0:
            await _audit_refusal(server, kind, claimed, refused)
        return _refusal(refused)
    if answer.refused is not None:
        log(TOKEN_REFUSED, client=answer.client.id, reason=answer.refused.reason)
        return _refusal(answer.refused)
    if kind == "token":
        log(TOKEN_ISSUED, client=answer.client.id, role=answer.client.role, ttl_s=answer.body["expires_in"])
    return JSONResponse(answer.body, headers=NO_STORE)


def _limit(buckets: Buckets, key: str, now_us: int) -> None:
    """T24: first the source alone, then the client as claimed from there."""
    wait_s = buckets.wait_s(key, now_us)
    if wait_s:
        raise OAuthRefused(429, "slow_down", "rate", retry_after_s=wait_s)


async def _commit(server: AuthServer, kind: str, answer: Answer) -> None:
    """Makes the answer durable with its audit row; raises OAuthRefused for a replay."""
    client, refused = answer.client, answer.refused
    answer.change.audit.append(
        AuditRow(
            "E",
            kind,
            4 if refused else 0,
            client.id,
            client.organization,
            answer.target,
            request_id=REQUEST_ID.get(),
            reason=refused.reason if refused else "",
            purpose=client.purpose,
        )
    )
    try:
        await server.store.commit(answer.change)
    except ClaimTaken:
        raise ClientRefused("replay") from None


async def _audit_refusal(server: AuthServer, kind: str, claimed: str, refused: OAuthRefused) -> None:
    """T25: the client id as claimed and the reason; never the assertion."""
    log(TOKEN_REFUSED, client=claimed or None, reason=refused.reason)
    row = AuditRow("E", kind, 4, claimed, "", request_id=REQUEST_ID.get(), reason=refused.reason)
    await server.store.commit(Change(audit=[row]))


def _refusal(refused: OAuthRefused) -> Response:
    headers = dict(NO_STORE)
    if refused.status == 401:
        error = f', error="{refused.error}"' if refused.error == "invalid_token" else ""
        headers["WWW-Authenticate"] = f'Bearer realm="enlace"{error}'
    if refused.retry_after_s:
        headers["Retry-After"] = str(refused.retry_after_s)
    return JSONResponse(refused.body(), status_code=refused.status, headers=headers)
