"""The operator's sending systems: GET and POST /adt/sources, GET and PUT /adt/sources/{name}.

The form of a source is in workflow/source_form.py. Only a token of the role admin finds anything here, and it needs
the scope of the letter for all types; for everyone else the addresses do not exist. Errors are as at /auth/clients.
"""

from collections.abc import Awaitable, Callable
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from fhir_profiles.json_text import write_json
from service.api.authentication import authenticated
from service.api.body import raw
from service.api.headers import preconditions
from service.api.json_reader import read_json
from service.api.state import Shared
from service.caller import Caller, Role
from service.errors import Category, FhirError
from service.log_events import REQUEST_ID
from service.store import sources
from service.store.change import AuditRow, Change, Stale
from service.store.sources import RegisteredSource
from service.workflow.source_form import NAME, BadSource, read_source, shown
from service.workflow.source_writes import source_change, version

MAX_BODY = 1_048_576
NO_STORE = {"Cache-Control": "no-store"}
_ERRORS = {401: "invalid_token", 403: "insufficient_scope"}
Handle = Callable[[Request, Shared, Caller], Awaitable[Response]]


class _Hidden(Exception):
    """There is nothing at this address, for this caller or at all."""


class _Refused(Exception):
    def __init__(self, status: int, error: str, sentence: str):
        super().__init__(sentence)
        self.status, self.error, self.sentence = status, error, sentence


def _operated(letter: str, kind: str, handle: Handle) -> Callable[[Request], Awaitable[Response]]:
    """letter: of c r u s, which the token must hold for all types. kind: of the audit row of a refusal."""

    async def endpoint(request: Request) -> Response:
        shared: Shared = request.app.state.enlace
        caller: Caller | None = None
        try:
            caller = await _operator(request, shared, letter)
            return await handle(request, shared, caller)
        except _Hidden:
            found, reason = _error(404, "not_found", "There is nothing at this address."), "hidden"
        except BadSource as bad:
            found, reason = _error(400, "invalid_source", " ".join(bad.problems)), "form"
        except _Refused as refused:
            found, reason = _error(refused.status, refused.error, refused.sentence), refused.error
        except FhirError as error:
            status, reason = error.category.status, error.reason or "malformed"
            text = " ".join(issue.diagnostics for issue in error.issues)
            found = _error(status, _ERRORS.get(status, "invalid_request"), text)
            found.headers.update(error.headers)
        await shared.store.commit(Change(audit=[_row("E", kind, caller, _target(request), 4, reason)]))
        return found

    return endpoint


async def _operator(request: Request, shared: Shared, letter: str) -> Caller:
    names = list(request.query_params)
    caller = await authenticated(shared, request.headers.get("authorization"), names, shared.store.clock.now_us())
    if caller.role is not Role.ADMIN:
        raise _Hidden
    if not caller.allows(letter, "*"):
        challenge = {"WWW-Authenticate": f'Bearer error="insufficient_scope", scope="system/*.{letter}"'}
        raise FhirError(Category.FORBIDDEN, f"The access token needs the scope system/*.{letter}.", challenge, "scope")
    return caller


async def _list(_request: Request, shared: Shared, caller: Caller) -> Response:
    found = [shown(one) for one in await sources.all_sources(shared.store)]
    await shared.store.commit(Change(audit=[_row("E", "source-read", caller, "source")]))
    return _answer({"sources": found})


async def _read(request: Request, shared: Shared, caller: Caller) -> Response:
    source = await _one(request, shared)
    number = await version(shared.store, source.name)
    await shared.store.commit(Change(audit=[_row("R", "source-read", caller, f"source/{source.name}")]))
    return _answer(shown(source), version=number)


async def _add(request: Request, shared: Shared, caller: Caller) -> Response:
    source = read_source(await _form(request))
    number = await version(shared.store, source.name)
    if await sources.named(shared.store, source.name):
        raise _Refused(409, "exists", "A source has this name already: change that one by PUT.")
    row = _row("C", "source-add", caller, f"source/{source.name}")
    try:
        await shared.store.commit(await source_change(shared.store, source, row, None, number))
    except Stale:
        raise _Refused(409, "exists", "A source of this name or sender was written just now: read it first.") from None
    return _answer(shown(source), 201, number + 1, {"Location": f"/adt/sources/{source.name}"})


async def _change(request: Request, shared: Shared, caller: Caller) -> Response:
    former = await _one(request, shared)
    asked = preconditions(request).if_match
    if asked is None:
        raise _Refused(428, "precondition_required", "Send If-Match with the ETag of the source as you read it.")
    form = await _form(request)
    source = read_source({"name": former.name} | form)
    if source.name != former.name:
        raise BadSource(["name cannot change: messages are kept under it."])
    number = await version(shared.store, former.name)
    if number not in asked:
        raise _Refused(412, "changed", "The source was changed since you read it: read it again.")
    row = _row("U", "source-change", caller, f"source/{source.name}")
    try:
        await shared.store.commit(await source_change(shared.store, source, row, former, number))
    except Stale:
        raise _Refused(412, "changed", "The source was changed just now: read it again.") from None
    return _answer(shown(source), version=number + 1)


async def _one(request: Request, shared: Shared) -> RegisteredSource:
    name = request.path_params["name"]
    source = await sources.named(shared.store, name) if NAME.fullmatch(name) else None
    if source is None:
        raise _Hidden
    return source


async def _form(request: Request) -> dict[str, Any]:
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media_type != "application/json":
        raise FhirError(Category.UNSUPPORTED_MEDIA, "The body is application/json.", reason="media-type")
    value = read_json(await raw(request, MAX_BODY))
    if not isinstance(value, dict):
        raise BadSource(["The body is one JSON object: a source."])
    return value


def _target(request: Request) -> str:
    name = request.path_params.get("name", "")
    return f"source/{name}" if NAME.fullmatch(name) else "source"


def _row(action: str, kind: str, caller: Caller | None, target: str, outcome: int = 0, reason: str = "") -> AuditRow:
    actor, organization = (caller.person or caller.client_id, caller.organization) if caller else ("", "")
    purpose = caller.purpose if caller else ""
    request_id = REQUEST_ID.get()
    return AuditRow(
        action, kind, outcome, actor, organization, target, request_id=request_id, reason=reason, purpose=purpose
    )


def _error(status: int, error: str, sentence: str) -> Response:
    return JSONResponse({"error": error, "error_description": sentence}, status, headers=NO_STORE)


def _answer(
    body: dict[str, Any], status: int = 200, version: int | None = None, more: dict[str, str] | None = None
) -> Response:
    tag = {} if version is None else {"ETag": f'W/"{version}"'}
    return Response(write_json(body), status, headers=NO_STORE | tag | (more or {}), media_type="application/json")


routes = [
    Route("/adt/sources", _operated("s", "source-read", _list), methods=["GET"]),
    Route("/adt/sources", _operated("c", "source-add", _add), methods=["POST"]),
    Route("/adt/sources/{name}", _operated("r", "source-read", _read), methods=["GET"]),
    Route("/adt/sources/{name}", _operated("u", "source-change", _change), methods=["PUT"]),
]
