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
from service.auth.assertion_signing import twins
from service.auth.authorization_scopes import WORDS
from service.auth.backend_services import Answer, AuthServer, claimed_client
from service.auth.grants import GRANTS, grant
from service.auth.id_tokens import ALGORITHM as ID_TOKEN_ALGORITHM
from service.auth.jwks import ALGORITHMS
from service.auth.limits import Buckets
from service.auth.refusal import ClientRefused, OAuthRefused
from service.auth.signing_keys import CACHE_S
from service.log_events import REQUEST_ID, TOKEN_ISSUED, TOKEN_REFUSED, log
from service.store.change import AuditRow, Change, ClaimTaken, Stale
from service.store.database import Unavailable

NO_STORE = {"Cache-Control": "no-store", "Pragma": "no-cache"}
LABORATORY = "http://terminology.hl7.org/CodeSystem/observation-category|laboratory"
SCOPES_SUPPORTED = (
    *("system/*.cruds", "system/*.rs", "system/*.read", "system/*.write", "system/*.*"),
    *WORDS,
    *(f"{context}/Observation.rs?category={LABORATORY}" for context in ("system", "user", "patient")),
    *("user/*.cruds", "user/*.rs", "user/*.read", "patient/*.cruds", "patient/*.rs", "patient/*.read"),
)
CAPABILITIES = (
    *("client-confidential-asymmetric", "client-public", "launch-standalone", "context-standalone-patient"),
    *("sso-openid-connect", "permission-offline", "permission-online", "permission-patient", "permission-user"),
    *("permission-v1", "permission-v2"),
)
"""Each has its test: https://hl7.org/fhir/smart-app-launch/STU2.2/conformance.html#capabilities"""
ATTEMPTS = 6

Handler = Callable[[Request], Awaitable[Response]]
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


async def jwks(request: Request) -> Response:
    """GET /auth/jwks: the keys of id_tokens, and of our assertions at partners; access tokens are opaque."""
    server: AuthServer = request.app.state.auth
    keys = await server.signing.published(server.store, server.store.clock.now_us())
    headers = {"Cache-Control": f"public, max-age={CACHE_S}", "Access-Control-Allow-Origin": "*"}
    return JSONResponse({"keys": [*keys, *twins(keys)]}, headers=headers)


async def smart_configuration(request: Request) -> Response:
    """GET /fhir/.well-known/smart-configuration: JSON whatever Accept says, readable from any origin."""
    server: AuthServer = request.app.state.auth
    foreign = server.issuer_configuration
    return JSONResponse(foreign or configuration(server.base_url), headers={"Access-Control-Allow-Origin": "*"})


async def openid(request: Request) -> Response:
    """GET /.well-known/openid-configuration"""
    server: AuthServer = request.app.state.auth
    return JSONResponse(openid_configuration(server.base_url), headers={"Access-Control-Allow-Origin": "*"})


def configuration(base_url: str) -> dict[str, Any]:
    """Only what works, by absolute URLs."""
    return {
        "issuer": base_url,
        "jwks_uri": f"{base_url}/auth/jwks",
        "authorization_endpoint": f"{base_url}/auth/authorize",
        "token_endpoint": f"{base_url}/auth/token",
        "introspection_endpoint": f"{base_url}/auth/introspect",
        "revocation_endpoint": f"{base_url}/auth/revoke",
        "grant_types_supported": sorted(GRANTS),
        "response_types_supported": ["code"],
        "token_endpoint_auth_methods_supported": ["none", "private_key_jwt"],
        "token_endpoint_auth_signing_alg_values_supported": list(ALGORITHMS),
        "scopes_supported": list(SCOPES_SUPPORTED),
        "capabilities": list(CAPABILITIES),
        "code_challenge_methods_supported": ["S256"],
        "authorization_response_iss_parameter_supported": True,
    }


_SHARED = (
    *("issuer", "jwks_uri", "authorization_endpoint", "token_endpoint", "introspection_endpoint"),
    *("revocation_endpoint", "grant_types_supported", "response_types_supported", "scopes_supported"),
    *("token_endpoint_auth_methods_supported", "token_endpoint_auth_signing_alg_values_supported"),
    *("code_challenge_methods_supported", "authorization_response_iss_parameter_supported"),
)


def openid_configuration(base_url: str) -> dict[str, Any]:
    """https://openid.net/specs/openid-connect-discovery-1_0.html#ProviderMetadata : where id_tokens are checked."""
    smart = configuration(base_url)
    return {name: smart[name] for name in _SHARED} | {
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": [ID_TOKEN_ALGORITHM],
        "claims_supported": ["sub", "fhirUser", "nonce", "auth_time"],
        "request_uri_parameter_supported": False,
    }


def builtin_only(handler: Handler) -> Handler:
    """Where another server issues the tokens, ours is not there: 404, and nothing is read."""

    async def answer(request: Request) -> Response:
        if request.app.state.auth.issuer_configuration:
            return JSONResponse({"error": "not_found"}, 404, NO_STORE)
        return await handler(request)

    return answer


routes = [
    Route("/auth/token", builtin_only(token), methods=["POST"]),
    Route("/auth/introspect", builtin_only(introspect), methods=["POST"]),
    Route("/auth/revoke", builtin_only(revoke), methods=["POST"]),
    Route("/auth/jwks", builtin_only(jwks), methods=["GET"]),
    Route("/.well-known/openid-configuration", builtin_only(openid), methods=["GET"]),
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
        header = request.headers.get("authorization")
        answer = await _committed(server, kind, lambda: decide(server, form, header, now_us))
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


async def _committed(server: AuthServer, kind: str, decide: Callable[[], Awaitable[Answer]]) -> Answer:
    """Makes the answer durable with its audit row; raises OAuthRefused for a replay.

    What moved meanwhile is decided again; so is a code or refresh token that somebody used in the same moment: its row
    says so by now, and ends all that came of it.
    """
    for _ in range(ATTEMPTS):
        answer = await decide()
        answer.change.audit.append(_audited(kind, answer))
        try:
            await server.store.commit(answer.change)
            return answer
        except ClaimTaken as taken:
            if taken.key != answer.single_use:
                raise ClientRefused("replay") from None
        except Stale:
            continue
    raise Unavailable("too many races for one token request")


def _audited(kind: str, answer: Answer) -> AuditRow:
    client, refused = answer.client, answer.refused
    return AuditRow(
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
