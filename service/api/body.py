"""The request body: a resource by the strict reader, or a form of search parameters."""

from typing import Any

from starlette.requests import Request

from service.api.headers import query
from service.api.json_reader import MAX_BYTES, read_json
from service.errors import Category, FhirError


async def raw(request: Request, limit: int = MAX_BYTES) -> bytes:
    """The body, refused with 413 as soon as it is longer than the limit."""
    parts, size = [], 0
    async for part in request.stream():
        size += len(part)
        if size > limit:
            raise FhirError(Category.TOO_LARGE, f"The body is longer than {limit} bytes.", reason="too-large")
        parts.append(part)
    return b"".join(parts)


async def resource(request: Request) -> Any:
    return read_json(await raw(request))


async def form(request: Request) -> list[tuple[str, str]]:
    """Parameters of POST [type]/_search."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    body = await raw(request, 65_536)
    if not body:
        return []
    if kind != "application/x-www-form-urlencoded":
        text = "Send search parameters as Content-Type: application/x-www-form-urlencoded."
        raise FhirError(Category.UNSUPPORTED_MEDIA, text)
    try:
        return query(body.decode("ascii"))
    except UnicodeDecodeError as error:
        raise FhirError(Category.MALFORMED, "The form is not percent-encoded.") from error
