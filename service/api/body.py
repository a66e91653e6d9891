"""The request body: a resource by the strict readers, or a form of search parameters; compressed or not."""

import asyncio
import zlib
from collections.abc import AsyncIterator, Callable
from typing import Any

from starlette.requests import Request

from service.api import formats
from service.api.headers import body_is_xml, query
from service.api.json_reader import MAX_BYTES, read_json
from service.api.xml_reader import read_xml
from service.errors import Category, FhirError

_LARGE = 262_144


async def raw(request: Request, limit: int = MAX_BYTES) -> bytes:
    """The body, unpacked, refused with 413 as soon as it is longer than the limit."""
    parts, size = [], 0
    async for part in _unpacked(request, limit):
        size += len(part)
        if size > limit:
            raise FhirError(Category.TOO_LARGE, f"The body is longer than {limit} bytes.", reason="too-large")
        parts.append(part)
    return b"".join(parts)


async def _unpacked(request: Request, limit: int) -> AsyncIterator[bytes]:
    """415 for another Content-Encoding than gzip; no more than limit + 1 bytes are ever unpacked at a time."""
    encoding = request.headers.get("content-encoding", "identity").strip().lower()
    if encoding == "identity":
        async for part in request.stream():
            yield part
        return
    if encoding not in ("gzip", "x-gzip"):
        raise FhirError(Category.UNSUPPORTED_MEDIA, "Send the body without Content-Encoding, or as gzip.")
    unpacking = zlib.decompressobj(wbits=31)
    try:
        async for part in request.stream():
            yield unpacking.decompress(part, limit + 1)
    except zlib.error:
        raise FhirError(Category.MALFORMED, "The body is announced as gzip and is none.") from None
    if not unpacking.eof or unpacking.unused_data:
        raise FhirError(Category.MALFORMED, "The gzip body is cut short, or something follows it: send one stream.")


async def _read(reader: Callable[[bytes], Any], data: bytes) -> Any:
    """A large body is read beside the loop, so that others are answered meanwhile."""
    return await asyncio.to_thread(reader, data) if len(data) > _LARGE else reader(data)


class HttpBody:
    """The body of a request as interactions read it (service/interactions/call.py)."""

    def __init__(self, request: Request):
        self._request = request
        self.content_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()

    async def json(self) -> Any:
        return await _read(read_json, await raw(self._request))

    async def resource(self) -> Any:
        if body_is_xml(self.content_type):
            return await _read(read_xml, await raw(self._request))
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
            found = query(body.decode("ascii"))
        except UnicodeDecodeError as error:
            raise FhirError(Category.MALFORMED, "The form is not percent-encoded.") from error
        if any(name in ("_format", "_pretty") for name, _ in found):
            formats.choose(self._request, found)
            formats.check_format(self._request)
        return found
