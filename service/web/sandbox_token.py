"""GET /sandbox/token?role=lcm: an access token for a trial, as JSON; `enlace token` over HTTP. Sandbox only.

As often as somebody may try to sign in. A page of another site may not cause one, though it could not read it either.
"""

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from service.auth.sandbox import SandboxRefused, issue_sandbox_token
from service.caller import Role
from service.log_events import TOKEN_ISSUED, TOKEN_REFUSED, log
from service.web.session import SigninLimits, of_app, shared_of

TTL_S = 8 * 3600
ROLES = [role.value for role in Role if role is not Role.SYSTEM]
NO_STORE = {"Cache-Control": "no-store", "Pragma": "no-cache"}


async def token(request: Request) -> Response:
    """Query: role; client (name or id, default the oldest of the role)."""
    shared = shared_of(request)
    limits: SigninLimits = of_app(request, "signin_limits", SigninLimits)
    wait_s = limits.tries.wait_s(request.client.host if request.client else "", shared.store.clock.now_us())
    if wait_s:
        headers = NO_STORE | {"Retry-After": str(wait_s)}
        return _refused(429, "slow_down", "Too many tokens were asked for: wait a minute.", headers)
    if request.headers.get("sec-fetch-site", "none") not in ("none", "same-origin"):
        return _refused(403, "access_denied", "Open this address itself: another site may not ask for a token.")
    role, client = request.query_params.get("role", ""), request.query_params.get("client")
    if role not in ROLES:
        known = ", ".join(ROLES)
        return _refused(400, "invalid_request", f"Say whose token, as in /sandbox/token?role=lcm; roles: {known}.")
    try:
        text = await issue_sandbox_token(shared.store, shared.settings.env, role, client, TTL_S)
    except SandboxRefused as refused:
        log(TOKEN_REFUSED, reason="sandbox")
        return _refused(400, "invalid_request", str(refused))
    log(TOKEN_ISSUED, role=role, ttl_s=TTL_S)
    return JSONResponse({"access_token": text, "token_type": "bearer", "expires_in": TTL_S}, headers=NO_STORE)


def _refused(status: int, error: str, sentence: str, headers: dict[str, str] | None = None) -> Response:
    return JSONResponse({"error": error, "error_description": sentence}, status, headers or NO_STORE)
