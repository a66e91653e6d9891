"""Request headers and queries into plain values, answers into response headers. https://hl7.org/fhir/R4/http.html#general"""

import re
from datetime import UTC
from email.utils import formatdate, parsedate_to_datetime
from functools import lru_cache
from urllib.parse import parse_qsl

from starlette.requests import Request
from starlette.responses import Response

from service.errors import Category, FhirError
from service.interactions.decision import Answer, Preconditions
from service.interactions.notices import NOTICE_PATH, RELATION
from service.store.slots import updated_us

JSON_TYPES = frozenset({"application/fhir+json", "application/json", "text/json", "application/json+fhir"})
XML_TYPES = frozenset({"application/fhir+xml", "application/xml", "text/xml", "application/xml+fhir"})
_ETAG = re.compile(r'(?:W/)?"?(\d{1,18})"?$')
_MAX_QUERY = 8192


def _versions(request: Request, name: str) -> tuple[int, ...] | None:
    """`W/"3"`, `"3"` and `3`, comma-separated; an entry tag that is none of ours matches no version."""
    values = request.headers.getlist(name)
    tags = [tag.strip() for value in values for tag in value.split(",")]
    if not tags or (name == "if-match" and "*" in tags):
        return None  # `*` names no version: it is as good as no If-Match
    matches = [_ETAG.match(tag) for tag in tags]
    return tuple(int(match[1]) for match in matches if match) or (-1,)


_NO_CONDITION = Preconditions()


def preconditions(request: Request) -> Preconditions:
    if not any(name.startswith(b"if-") for name, _ in request.headers.raw):
        return _NO_CONDITION
    exist = request.headers.get("if-none-exist")
    return Preconditions(
        if_match=_versions(request, "if-match"),
        if_none_match=_versions(request, "if-none-match"),
        if_none_exist=tuple(query(exist.partition("?")[2] or exist)) if exist is not None else None,
        if_modified_since=_seconds(request.headers.get("if-modified-since")),
        any_version=any("*" in value.replace(" ", "").split(",") for value in request.headers.getlist("if-none-match")),
    )


def _seconds(text: str | None) -> int | None:
    """Seconds since 1970 of an HTTP date; what is none is ignored, as RFC 9110, 13.1.3 says."""
    if text is None:
        return None
    try:
        return int(parsedate_to_datetime(text).replace(tzinfo=UTC).timestamp())
    except (ValueError, TypeError, OverflowError, IndexError):
        return None


def query(text: str) -> list[tuple[str, str]]:
    """Names and values of a query string or form, in order. 400 where it is too long or no UTF-8."""
    if len(text) > _MAX_QUERY * 8:
        raise FhirError(Category.TOO_LARGE, "The query is too long: use fewer values.")
    try:
        return parse_qsl(text, keep_blank_values=True, strict_parsing=False, errors="strict", max_num_fields=200)
    except (UnicodeDecodeError, ValueError) as error:
        raise FhirError(Category.MALFORMED, "The query is no valid UTF-8, or holds more than 200 fields.") from error


def url_query(request: Request) -> list[tuple[str, str]]:
    raw = request.scope.get("query_string", b"")
    if len(raw) > _MAX_QUERY:
        raise FhirError(Category.TOO_LARGE, "The URL is longer than 8 KB: use POST [type]/_search.")
    return query(raw.decode("latin-1")) if raw else []


def body_is_xml(content_type: str) -> bool:
    """Whether a body is announced as XML; else it is JSON. 415 for anything else. content_type: without parameters."""
    if content_type in JSON_TYPES:
        return False
    if content_type in XML_TYPES:
        return True
    text = "Send the resource as Content-Type: application/fhir+json or application/fhir+xml."
    raise FhirError(Category.UNSUPPORTED_MEDIA, text)


def prefers(request: Request) -> dict[str, str]:
    """Preferences of `Prefer`, lower-cased; unknown ones are ignored by those who ask."""
    out = {}
    for value in request.headers.getlist("prefer"):
        for part in re.split(r"[,;]", value):
            name, _, setting = part.strip().partition("=")
            out[name.strip().lower()] = setting.strip().strip('"').lower()
    return out


def answer_headers(answer: Answer, base_url: str) -> dict[str, str]:
    headers = {"Cache-Control": "no-store"}
    if answer.version is not None:
        headers["ETag"] = f'W/"{answer.version}"'
    if answer.vid is not None:
        headers["Last-Modified"] = _http_date(updated_us(answer.vid) // 1_000_000)
    if answer.location and answer.status in (200, 201):
        headers["Location"] = f"{base_url}/{answer.location}/_history/{answer.version}"
    if answer.notice is not None:
        headers["Link"] = f'<{base_url.removesuffix("/fhir")}{NOTICE_PATH}>; rel="{RELATION}"'
    return headers


def without_body(request: Request, response: Response) -> Response:
    """The answer to HEAD: the headers of GET, Content-Length and Content-Type too, and no body. RFC 9110, 9.3.2"""
    if request.method == "HEAD":
        response.body = b""
    return response


@lru_cache(maxsize=4096)
def _http_date(seconds: int) -> str:
    return formatdate(seconds, usegmt=True)
