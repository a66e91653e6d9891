"""Bundles posted to the base: their entries find the same rows of THE route table as requests of their own."""

import base64
import binascii
import copy
import re
from collections.abc import Callable
from dataclasses import replace
from typing import Any
from urllib.parse import quote, unquote

from starlette.requests import Request

from fhir_profiles import Resource
from service.access.context import Context
from service.api.fhir_paths import shape_of
from service.api.headers import preconditions, url_query
from service.api.json_reader import read_json
from service.bundles.batch import batch
from service.bundles.entries import Resolve, Route, entries_of, kind_of
from service.bundles.transaction import transaction
from service.errors import Category, FhirError, Issue
from service.interactions.call import Call, Handler, Params
from service.interactions.decision import Decision
from service.interactions.settle import Decide
from service.search import dates

FindRow = Callable[[str, str, str], tuple[Handler, str]]
"""(method, path of the row, type) -> (handler, interaction); 404 or 405 as for a request."""
HEADERS = {"ifMatch": "if-match", "ifNoneMatch": "if-none-match", "ifNoneExist": "if-none-exist"}
_WIDE = re.compile(r"[^\x00-\x7f]+")
_FHIR_JSON = "application/fhir+json"


def posted(find_row: FindRow) -> Handler:
    """The handler of POST to the base."""

    async def post(ctx: Context, call: Call) -> Decide:
        bundle = await call.body.resource()
        kind = kind_of(bundle)
        resolve = resolver(find_row, ctx.settings.base_url, call.prefer)
        entries = entries_of(bundle, resolve)

        async def decide(c: Context) -> Decision:
            if kind == "batch":
                return await batch(c, entries, call)
            return await transaction(c, entries, call, resolve)

        return decide

    return post


def resolver(find_row: FindRow, base_url: str, prefer: dict[str, str]) -> Resolve:
    """prefer: of the request that brought the Bundle; it counts for each entry."""

    def resolve(request: Resource, resource: Any) -> Route:
        method = str(request.get("method"))
        path, _, query = _below(str(request.get("url", "")), base_url).partition("?")
        parts = [unquote(part) for part in path.split("/")] if path else []
        name, found = shape_of(parts) or ("/", {"type": path})  # no row stands at "/": refused as a request would be
        handler, interaction = find_row(method, name, found.get("type", ""))
        headed = _as_request(request, query)
        pre = preconditions(headed)
        if "ifModifiedSince" in request:
            pre = replace(pre, if_modified_since=dates.parse(str(request["ifModifiedSince"]))[0] // 1_000_000)
        params: Params = url_query(headed)
        call = Call(
            "GET" if method == "HEAD" else method,
            found.get("type", ""),
            found.get("id", ""),
            found.get("part", ""),
            params,
            pre,
            prefer,
            EntryBody(resource),
        )
        return Route(handler, interaction, call)

    return resolve


def _below(url: str, base_url: str) -> str:
    """The URL relative to our base, without slashes around it."""
    if url.startswith(base_url + "/") or url == base_url:
        url = url[len(base_url) :]
    elif "://" in url.partition("?")[0]:
        text = "The URL of an entry is relative to our base, such as Patient/1: it must not lead to another server."
        raise FhirError(Category.MALFORMED, text)
    path, mark, query = url.partition("?")
    return path.strip("/") + mark + query


def _as_request(request: Resource, query: str) -> Request:
    """So that conditions and parameters are read by the code that reads them from HTTP."""
    headers = [
        (name.encode(), _ascii(str(request[element]))) for element, name in HEADERS.items() if element in request
    ]
    return Request({"type": "http", "headers": headers, "query_string": _ascii(query)})


def _ascii(text: str) -> bytes:
    """JSON may hold in the open what HTTP would bring percent-encoded."""
    return _WIDE.sub(lambda match: quote(match[0]), text).encode()


class EntryBody:
    """The body of an entry: its resource; for a PATCH what its Binary holds, or Parameters."""

    def __init__(self, resource: Any):
        self._resource = resource
        self._binary = isinstance(resource, dict) and resource.get("resourceType") == "Binary"
        self.content_type = "" if resource is None else _FHIR_JSON
        if self._binary:
            self.content_type = str(resource.get("contentType", "")).partition(";")[0].strip().lower()

    async def json(self) -> Any:
        if self._binary:
            try:
                return read_json(base64.b64decode(str(self._resource.get("data", "")), validate=True))
            except (binascii.Error, ValueError):
                text = "Binary.data must be base64 of the patch document."
                raise FhirError(Category.MALFORMED, [Issue(text, "Binary.data", "value")]) from None
        return await self.resource()

    async def resource(self) -> Any:
        """A copy: who decides may complete it, and may have to decide again."""
        if self._resource is None:
            text = "This entry needs a resource: it is the body of the request."
            raise FhirError(Category.MALFORMED, [Issue(text, code="required")])
        return copy.deepcopy(self._resource)

    async def form(self) -> Params:
        """A POST search in a Bundle carries its parameters in the URL."""
        return []
