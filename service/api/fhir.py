"""THE route table of the FHIR base: one row per interaction and operation. https://hl7.org/fhir/R4/http.html

Flat Starlette routes under /fhir (no Mount: it would answer POST /fhir with a redirect); `$` rows before `{id}` rows.
"""

import re
from collections.abc import Awaitable, Callable
from typing import NamedTuple

from starlette.convertors import PathConvertor, register_url_convertor
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from fhir_profiles.catalog import TypeEntry, catalog
from service.access.context import Context
from service.api import links
from service.api.body import form, resource
from service.api.exchange import exchange
from service.api.headers import check_content_type, preconditions, prefers
from service.api.metadata import metadata
from service.api.state import Shared
from service.errors import Category, FhirError, not_found
from service.interactions.audit_events import read_audit_event, search_audit_events
from service.interactions.create import create
from service.interactions.delete import delete
from service.interactions.history import history
from service.interactions.read import read
from service.interactions.search import search
from service.interactions.settle import Decide
from service.interactions.update import update
from service.interactions.vread import vread
from service.operations.validate import validate

Params = list[tuple[str, str]]
Handler = Callable[[Request, Context, Params], Awaitable[Decide]]

_ID = re.compile(r"[A-Za-z0-9\-.]{1,64}\Z")


class Row(NamedTuple):
    """interaction: the code in the CapabilityStatement that a type must list, or the operation's name with its $."""

    method: str
    path: str
    interaction: str
    handler: Handler


def _type(request: Request) -> str:
    return str(request.path_params["type"])


def _id(request: Request) -> str:
    fhir_id = str(request.path_params["id"])
    if not _ID.match(fhir_id):
        raise not_found(_type(request), "this id")
    return fhir_id


async def _create(request: Request, ctx: Context, _params: Params) -> Decide:
    check_content_type(request)
    body, pre = await resource(request), preconditions(request)
    return lambda c: create(c, _type(request), body, pre)


async def _read(request: Request, ctx: Context, _params: Params) -> Decide:
    if _type(request) == "AuditEvent":
        return lambda c: read_audit_event(c, _id(request))
    pre = preconditions(request)
    return lambda c: read(c, _type(request), _id(request), pre)


async def _vread(request: Request, ctx: Context, _params: Params) -> Decide:
    number = str(request.path_params["vid"])
    if not (number.isascii() and number.isdigit() and len(number) < 16):
        raise not_found(_type(request), f"{_id(request)}/_history with this version")
    return lambda c: vread(c, _type(request), _id(request), int(number))


async def _update(request: Request, ctx: Context, _params: Params) -> Decide:
    check_content_type(request)
    body, pre = await resource(request), preconditions(request)
    return lambda c: update(c, _type(request), _id(request), body, pre)


async def _delete(request: Request, ctx: Context, _params: Params) -> Decide:
    pre = preconditions(request)
    return lambda c: delete(c, _type(request), _id(request), pre)


async def _history(request: Request, ctx: Context, params: Params) -> Decide:
    shared: Shared = request.app.state.enlace
    params, token = links.take_page(params)
    unknown = [name for name, _ in params if name not in ("_count", "_format", "_pretty")]
    if unknown:
        raise FhirError(Category.MALFORMED, "History takes _count and _page only: _since and _at are not served yet.")
    count = dict(params).get("_count", "50")
    if not (count.isascii() and count.isdigit() and len(count) < 6):
        raise FhirError(Category.MALFORMED, "_count must be a whole number.")
    url = f"{shared.behaviour.base_url}/{_type(request)}/{_id(request)}/_history"
    at = links.place(token, params, ctx.caller, shared.page_key)

    def make(after: int | None) -> dict[str, str]:
        return links.Links(url, at, ctx.caller, shared.page_key)(params, after)

    start = int(at.after) if at.after else None
    return lambda c: history(c, _type(request), _id(request), count=int(count), before=start, links=make)


async def _search(request: Request, ctx: Context, params: Params) -> Decide:
    shared: Shared = request.app.state.enlace
    if request.method == "POST":
        params = [*params, *await form(request)]
    params, token = links.take_page(params)
    at = links.place(token, params, ctx.caller, shared.page_key, hidden=request.method == "POST")
    strict = prefers(request).get("handling") == "strict"
    url = f"{shared.behaviour.base_url}/{_type(request)}"
    make = links.Links(url, at, ctx.caller, shared.page_key).of_search()
    if _type(request) == "AuditEvent":
        return lambda c: search_audit_events(c, at.params, strict=strict, after=at.after, links=make)
    return lambda c: search(c, _type(request), at.params, strict=strict, after=at.after, links=make)


async def _validate(request: Request, ctx: Context, _params: Params) -> Decide:
    check_content_type(request)
    body = await resource(request)
    return lambda c: validate(c, _type(request), body)


ROWS = (
    Row("POST", "/{type}/$validate", "$validate", _validate),
    Row("POST", "/{type}/_search", "search-type", _search),
    Row("GET", "/{type}", "search-type", _search),
    Row("POST", "/{type}", "create", _create),
    Row("GET", "/{type}/{id}/_history/{vid}", "vread", _vread),
    Row("GET", "/{type}/{id}/_history", "history-instance", _history),
    Row("GET", "/{type}/{id}", "read", _read),
    Row("PUT", "/{type}/{id}", "update", _update),
    Row("DELETE", "/{type}/{id}", "delete", _delete),
)


def endpoints() -> dict[str, "_Endpoint"]:
    """Path below /fhir -> the endpoint of all its methods."""
    by_path: dict[str, dict[str, Row]] = {}
    for row in ROWS:
        by_path.setdefault(row.path, {})[row.method] = row
        if row.method == "GET":
            by_path[row.path]["HEAD"] = row
    return {path: _Endpoint(rows) for path, rows in by_path.items()}


def routes() -> list[Route]:
    fixed = [Route(f"/fhir/metadata{slash}", metadata, methods=["GET"]) for slash in ("", "/")]
    served = [Route(f"/fhir{path}{slash}", at) for path, at in endpoints().items() for slash in ("", "/")]
    base = [Route(f"/fhir{slash}", _Endpoint({})) for slash in ("", "/")]
    rest = [Route("/fhir/{path:anything}", _Endpoint({}))]
    return [*fixed, *served, *base, *rest]


class _Anything(PathConvertor):
    """Starlette's `path` stops at a line end, and what it leaves would be refused as plain JSON."""

    regex = "(?s:.*)"


register_url_convertor("anything", _Anything())


class _Endpoint:
    """An ASGI application, so that every method arrives here and is refused as OperationOutcome."""

    def __init__(self, rows: dict[str, Row]):
        self._rows = rows
        self._interactions = {method: row.interaction for method, row in rows.items()}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)

        async def prepare(ctx: Context, params: Params) -> Decide:
            row = _row(request, self._rows)
            return await row.handler(request, ctx, params)

        response: Response = await exchange(request, prepare, self._interactions.get(request.method, "none"))
        await response(scope, receive, send)


def _served(row: Row, entry: TypeEntry) -> bool:
    if row.interaction.startswith("$"):
        return row.interaction[1:] in entry.operations
    return row.interaction in entry.interactions


def _row(request: Request, rows: dict[str, Row]) -> Row:
    rtype = request.path_params.get("type")
    entry = catalog().types.get(str(rtype)) if rtype else None
    if not rtype and request.url.path.rstrip("/") == "/fhir":
        text = "Batches and transactions are not served yet: send each request by itself, see /fhir/metadata."
        raise FhirError(Category.METHOD_NOT_ALLOWED, text, headers={"Allow": ""})
    if entry is None:
        raise FhirError(Category.NOT_FOUND, "This is not a resource type or path that is served: see /fhir/metadata.")
    row = rows.get(request.method)
    if row is None or not _served(row, entry):
        allowed = sorted(method for method, other in rows.items() if _served(other, entry))
        text = f"{request.method} is not served here for {entry.name}: see /fhir/metadata."
        raise FhirError(Category.METHOD_NOT_ALLOWED, text, headers={"Allow": ", ".join(allowed)})
    return row
