"""Reads the form of an OAuth request strictly: checks T1 and T2 of ../shared/facts/security.md 1.1.

https://www.rfc-editor.org/rfc/rfc6749#section-3.2: parameters come once, in the body, never in the URL.
"""

from urllib.parse import parse_qsl

from starlette.requests import Request

from service.auth.refusal import OAuthRefused, bad_request

MAX_BODY = 16_384
_MAX_FIELDS = 50
_MEDIA_TYPE = "application/x-www-form-urlencoded"


async def read_form(request: Request) -> dict[str, str]:
    """The parameters, each once; raises OAuthRefused 400, 413 or 415."""
    if request.url.query:
        raise bad_request("query", "Parameters belong in the body, not in the URL.")
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media_type != _MEDIA_TYPE:
        raise OAuthRefused(415, "invalid_request", "media-type", sentence=f"The body is {_MEDIA_TYPE}.")
    if request.headers.get("content-encoding", "identity").lower() != "identity":
        raise OAuthRefused(415, "invalid_request", "content-encoding", sentence="The body comes uncompressed.")
    return parse_form(await _body(request))


def parse_form(body: bytes) -> dict[str, str]:
    """Pure; raises OAuthRefused 400 for bytes that are no UTF-8, too many parameters, or one that comes twice."""
    try:
        pairs = parse_qsl(
            body.decode("ascii"),
            keep_blank_values=True,
            strict_parsing=bool(body),
            encoding="utf-8",
            errors="strict",
            max_num_fields=_MAX_FIELDS,
        )
    except ValueError:
        raise bad_request("form", f"The body is not valid {_MEDIA_TYPE}.") from None
    form = dict(pairs)
    if len(form) != len(pairs):
        raise bad_request("duplicate", "A parameter comes twice.")
    return form


async def _body(request: Request) -> bytes:
    """At most 16 KB, whatever Content-Length says."""
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > MAX_BODY:
            raise OAuthRefused(413, "invalid_request", "too-large", sentence="The body has at most 16 KB.")
    return bytes(body)
