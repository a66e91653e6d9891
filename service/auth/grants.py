"""THE table of grant types of the token endpoint: https://www.rfc-editor.org/rfc/rfc6749#section-4"""

from collections.abc import Awaitable, Callable, Mapping

from service.auth.authorization_code import authorization_code
from service.auth.backend_services import Answer, AuthServer, client_credentials
from service.auth.refresh import refresh_token
from service.auth.refusal import OAuthRefused, bad_request

Grant = Callable[[AuthServer, Mapping[str, str], str | None, int], Awaitable[Answer]]
"""(server, form, Authorization header, now in microseconds) -> the decided answer; raises OAuthRefused."""

GRANTS: dict[str, Grant] = {
    "authorization_code": authorization_code,
    "client_credentials": client_credentials,
    "refresh_token": refresh_token,
}


async def grant(server: AuthServer, form: Mapping[str, str], authorization: str | None, now_us: int) -> Answer:
    """Answers POST /auth/token. Raises OAuthRefused; a replay shows only at commit, as ClaimTaken."""
    grant_type = form.get("grant_type")
    if grant_type is None:
        raise bad_request("grant-type-missing", "grant_type is required.")
    answered = GRANTS.get(grant_type)
    if answered is None:
        raise OAuthRefused(400, "unsupported_grant_type", "grant-type")
    return await answered(server, form, authorization, now_us)
