"""The operator's registration of clients: POST and GET /auth/clients, GET and PATCH /auth/clients/{id}.

Metadata and errors as https://www.rfc-editor.org/rfc/rfc7591 has them. Only a token of the role admin finds anything
here, and it needs the scope of the letter for all types; for everyone else the addresses do not exist.
"""

from collections.abc import Awaitable, Callable
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from fhir_profiles.json_text import write_json
from service.api.body import raw
from service.api.json_reader import read_json
from service.api.smart import builtin_only
from service.auth import client_metadata, registration
from service.auth.backend_services import AuthServer
from service.auth.bearer import authenticate
from service.auth.registration import BadClient
from service.caller import Caller, Role
from service.errors import Category, FhirError
from service.log_events import REQUEST_ID
from service.store import credentials
from service.store.change import AuditRow, Change
from service.store.credentials import RegisteredClient

MAX_BODY = 131_072
NO_STORE = {"Cache-Control": "no-store", "Pragma": "no-cache"}
_STATUS = {
    Category.UNAUTHENTICATED: 401,
    Category.FORBIDDEN: 403,
    Category.TOO_LARGE: 413,
    Category.UNSUPPORTED_MEDIA: 415,
}

Handle = Callable[[Request, AuthServer, Caller], Awaitable[Response]]


class _Hidden(Exception):
    """There is nothing at this address, for this caller or at all."""


def _operated(letter: str, kind: str, handle: Handle) -> Callable[[Request], Awaitable[Response]]:
    """letter: of c r u s, which the token must hold for all types. kind: of the audit row of a refusal."""

    async def endpoint(request: Request) -> Response:
        server: AuthServer = request.app.state.auth
        caller: Caller | None = None
        try:
            caller = await _operator(request, server, letter)
            return await handle(request, server, caller)
        except _Hidden:
            await _refused(server, kind, caller, "hidden", request)
            return _error(404, "not_found", "There is nothing at this address.")
        except BadClient as bad:
            await _refused(server, kind, caller, "metadata", request)
            error = "invalid_client_metadata" if len(bad.problems) > len(bad.redirects) else "invalid_redirect_uri"
            return _error(400, error, " ".join(bad.problems))
        except FhirError as error:
            await _refused(server, kind, caller, error.reason or "malformed", request)
            status = _STATUS.get(error.category, 400)
            name = {401: "invalid_token", 403: "insufficient_scope"}.get(status, "invalid_client_metadata")
            answer = _error(status, name, " ".join(issue.diagnostics for issue in error.issues))
            answer.headers.update(error.headers)
            return answer

    return endpoint


async def _operator(request: Request, server: AuthServer, letter: str) -> Caller:
    """The caller, who is an operator. FhirError 401 without a good token, 403 without the scope; _Hidden for others."""
    header, now_us = request.headers.get("authorization"), server.store.clock.now_us()
    caller = await authenticate(server.store, header, now_us, env=server.env, query_keys=request.query_params.keys())
    if caller.role is not Role.ADMIN:
        raise _Hidden
    if not caller.allows(letter, "*"):
        challenge = {"WWW-Authenticate": f'Bearer error="insufficient_scope", scope="system/*.{letter}"'}
        raise FhirError(Category.FORBIDDEN, f"The access token needs the scope system/*.{letter}.", challenge, "scope")
    return caller


async def _add(request: Request, server: AuthServer, caller: Caller) -> Response:
    metadata = await _metadata(request)
    store = server.store
    facts = client_metadata.read_new(metadata)
    client_id, now_us = store.clock.new_id(), store.clock.now_us()
    client = registration.new_client(client_id, **facts, now_us=now_us, sandbox=server.env == "sandbox")
    standing = await credentials.organization_head(store, store.keys.resource(client.organization))
    if standing is None or standing[0]:
        raise BadClient([f"There is no {client.organization}: write it first."])
    await registration.register(store, client, _actor(caller))
    return _answer(client_metadata.shown(client), 201)


async def _list(request: Request, server: AuthServer, caller: Caller) -> Response:
    clients = [client_metadata.shown(one) for one in await credentials.clients(server.store)]
    await server.store.commit(Change(audit=[_row("E", "client-read", caller, "client")]))
    return _answer({"clients": clients})


async def _read(request: Request, server: AuthServer, caller: Caller) -> Response:
    client = await _one(request, server)
    await server.store.commit(Change(audit=[_row("R", "client-read", caller, f"client/{client.id}")]))
    return _answer(client_metadata.shown(client))


async def _change(request: Request, server: AuthServer, caller: Caller) -> Response:
    client = await _one(request, server)
    if client.ended:
        raise BadClient(["The client has ended: register a new one."])
    patch = client_metadata.read_changes(await _metadata(request))
    changed = client_metadata.changed(client, patch)
    if changed != client:
        changed = registration.checked(changed, sandbox=server.env == "sandbox")
        await registration.change(server.store, changed, _actor(caller))
    if patch.suspended is not None and patch.suspended is not client.suspended:
        act = registration.suspend if patch.suspended else registration.resume
        await act(server.store, changed, _actor(caller))
    found = await credentials.client_by_id(server.store, client.id)
    assert found is not None
    return _answer(client_metadata.shown(found))


async def _one(request: Request, server: AuthServer) -> RegisteredClient:
    client_id = request.path_params["client_id"]
    known = registration.CLIENT_ID.fullmatch(client_id)
    client = await credentials.client_by_id(server.store, client_id) if known else None
    if client is None:
        raise _Hidden
    return client


async def _metadata(request: Request) -> dict[str, Any]:
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media_type != "application/json":
        raise FhirError(Category.UNSUPPORTED_MEDIA, "The body is application/json.", reason="media-type")
    value = read_json(await raw(request, MAX_BODY))
    if not isinstance(value, dict):
        raise BadClient(["The body is one JSON object with the client's metadata."])
    return value


async def _refused(server: AuthServer, kind: str, caller: Caller | None, reason: str, request: Request) -> None:
    target = f"client/{request.path_params['client_id']}"[:100] if "client_id" in request.path_params else "client"
    row = _row("E", kind, caller, target if target.isascii() and target.isprintable() else "client", 4, reason)
    await server.store.commit(Change(audit=[row]))


def _row(action: str, kind: str, caller: Caller | None, target: str, outcome: int = 0, reason: str = "") -> AuditRow:
    actor, organization = (_actor(caller), caller.organization) if caller else ("", "")
    return AuditRow(
        action,
        kind,
        outcome,
        actor,
        organization,
        target,
        request_id=REQUEST_ID.get(),
        reason=reason,
        purpose=caller.purpose if caller else "",
    )


def _actor(caller: Caller) -> str:
    return caller.person or caller.client_id


def _error(status: int, error: str, sentence: str) -> Response:
    return JSONResponse({"error": error, "error_description": sentence}, status, headers=NO_STORE)


def _answer(body: dict[str, Any], status: int = 200) -> Response:
    return Response(write_json(body), status, headers=NO_STORE, media_type="application/json")


routes = [
    Route("/auth/clients", builtin_only(_operated("c", "client-add", _add)), methods=["POST"]),
    Route("/auth/clients", builtin_only(_operated("s", "client-read", _list)), methods=["GET"]),
    Route("/auth/clients/{client_id}", builtin_only(_operated("r", "client-read", _read)), methods=["GET"]),
    Route("/auth/clients/{client_id}", builtin_only(_operated("u", "client-change", _change)), methods=["PATCH"]),
]
