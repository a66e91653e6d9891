"""Addresses for the operator alone: the token, what others hear, one audit row for each refusal, answers as JSON.

Only a token of the role admin finds anything there, and it needs the scope of the letter for all types; for everyone
else the addresses do not exist. Errors are {"error", "error_description"}, as at /auth/clients.
"""

from collections.abc import Awaitable, Callable
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from fhir_profiles.json_text import write_json
from service.api.authentication import authenticated
from service.api.body import raw
from service.api.json_reader import read_json
from service.api.state import Shared
from service.caller import Caller, Role
from service.errors import Category, FhirError
from service.log_events import REQUEST_ID
from service.store.change import AuditRow, Change

MAX_BODY = 1_048_576
NO_STORE = {"Cache-Control": "no-store"}
_ERRORS = {401: "invalid_token", 403: "insufficient_scope"}
Handle = Callable[[Request, Shared, Caller], Awaitable[Response]]


class Hidden(Exception):
    """There is nothing at this address, for this caller or at all."""


class BadRequest(Exception):
    """problems: sentences with element, rule and remedy, all at once."""

    def __init__(self, problems: list[str]):
        super().__init__(" ".join(problems))


def operated(letter: str, kind: str, target: str, handle: Handle) -> Callable[[Request], Awaitable[Response]]:
    """letter: of c r u s, which the token must hold for all types. kind, target: of the audit row of a refusal."""

    async def endpoint(request: Request) -> Response:
        shared: Shared = request.app.state.enlace
        caller: Caller | None = None
        try:
            caller = await _operator(request, shared, letter)
            return await handle(request, shared, caller)
        except Hidden:
            found, reason = _error(404, "not_found", "There is nothing at this address."), "hidden"
        except BadRequest as bad:
            found, reason = _error(400, "invalid_request", str(bad)), "form"
        except FhirError as error:
            status, reason = error.category.status, error.reason or "malformed"
            text = " ".join(issue.diagnostics for issue in error.issues)
            found = _error(status, _ERRORS.get(status, "invalid_request"), text)
            found.headers.update(error.headers)
        await shared.store.commit(Change(audit=[row("E", kind, caller, target, outcome=4, reason=reason)]))
        return found

    return endpoint


async def _operator(request: Request, shared: Shared, letter: str) -> Caller:
    names = list(request.query_params)
    caller = await authenticated(shared, request.headers.get("authorization"), names, shared.store.clock.now_us())
    if caller.role is not Role.ADMIN:
        raise Hidden
    if not caller.allows(letter, "*"):
        challenge = {"WWW-Authenticate": f'Bearer error="insufficient_scope", scope="system/*.{letter}"'}
        raise FhirError(Category.FORBIDDEN, f"The access token needs the scope system/*.{letter}.", challenge, "scope")
    return caller


async def form(request: Request) -> dict[str, Any]:
    """The JSON object of the body; {} where there is none."""
    body = await raw(request, MAX_BODY)
    if not body.strip():
        return {}
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media_type != "application/json":
        raise FhirError(Category.UNSUPPORTED_MEDIA, "The body is application/json.", reason="media-type")
    value = read_json(body)
    if not isinstance(value, dict):
        raise BadRequest(["The body is one JSON object."])
    return value


def row(
    action: str,
    kind: str,
    caller: Caller | None,
    target: str,
    *,
    patients: tuple[str, ...] = (),
    outcome: int = 0,
    reason: str = "",
    detail: str = "",
) -> AuditRow:
    actor, organization = (caller.person or caller.client_id, caller.organization) if caller else ("", "")
    return AuditRow(
        action,
        kind,
        outcome,
        actor,
        organization,
        target,
        patients,
        request_id=REQUEST_ID.get(),
        reason=reason,
        purpose=caller.purpose if caller else "",
        detail=detail,
    )


def answer(body: dict[str, Any], status: int = 200) -> Response:
    return Response(write_json(body), status, headers=NO_STORE, media_type="application/json")


def _error(status: int, error: str, sentence: str) -> Response:
    return JSONResponse({"error": error, "error_description": sentence}, status, headers=NO_STORE)
