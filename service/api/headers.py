"""Request headers and queries into plain values, answers into response headers. https://hl7.org/fhir/R4/http.html#general"""

import re
from email.utils import formatdate
from functools import lru_cache
from urllib.parse import parse_qsl

from starlette.requests import Request

from service.errors import Category, FhirError
from service.interactions.decision import Answer, Preconditions
from service.store.slots import updated_us

FHIR_JSON = "application/fhir+json; charset=utf-8"
_JSON_TYPES = frozenset({"application/fhir+json", "application/json", "text/json", "application/json+fhir"})
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
    )


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


def check_accept(request: Request, params: list[tuple[str, str]]) -> None:
    """406 where the client takes no JSON: XML is not served yet."""
    asked = dict(params).get("_format") or request.headers.get("accept") or "*/*"
    asked = asked.lower().replace(" ", "+") if "/" not in asked or asked.count("+") == 0 else asked.lower()
    if any(word in asked for word in ("json", "*/*", "application/*", "text/html")):
        return
    raise FhirError(Category.NOT_ACCEPTABLE, "Enlace answers JSON: send Accept: application/fhir+json.")


def check_content_type(request: Request) -> None:
    """415 for a body that is not announced as JSON."""
    given = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if given not in _JSON_TYPES:
        raise FhirError(Category.UNSUPPORTED_MEDIA, "Send the resource as Content-Type: application/fhir+json.")


def check_encoding(request: Request) -> None:
    """415 for a compressed body."""
    if request.headers.get("content-encoding", "identity").lower() != "identity":
        raise FhirError(Category.UNSUPPORTED_MEDIA, "Send the body without Content-Encoding.")


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
    return headers


@lru_cache(maxsize=4096)
def _http_date(seconds: int) -> str:
    return formatdate(seconds, usegmt=True)
