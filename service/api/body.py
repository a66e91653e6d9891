"""The request body: a resource by the strict reader, or a form of search parameters."""

from typing import Any

from starlette.requests import Request

from service.api.headers import check_content_type, check_encoding, query
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


class HttpBody:
    """The body of a request as interactions read it (service/interactions/call.py)."""

    def __init__(self, request: Request):
        self._request = request
        self.content_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()

    async def json(self) -> Any:
        check_encoding(self._request)
        return read_json(await raw(self._request))

    async def resource(self) -> Any:
        check_content_type(self._request)
        return await self.json()

    async def form(self) -> list[tuple[str, str]]:
        """Parameters of POST [type]/_search."""
        body = await raw(self._request, 65_536)
        if not body:
            return []
        if self.content_type != "application/x-www-form-urlencoded":
            text = "Send search parameters as Content-Type: application/x-www-form-urlencoded."
            raise FhirError(Category.UNSUPPORTED_MEDIA, text)
        try:
            return query(body.decode("ascii"))
        except UnicodeDecodeError as error:
            raise FhirError(Category.MALFORMED, "The form is not percent-encoded.") from error
