"""Page links: short, opaque, signed, bound to the caller and to what was searched. https://hl7.org/fhir/R4/http.html#paging

The link holds a position, no offset: what is written meanwhile moves nothing. Values of the search stand in the self
link as the client sent them; page links of a POST search hold none.
"""

import base64
import hashlib
import hmac
from urllib.parse import quote

import orjson

from service.caller import Caller
from service.errors import Category, FhirError
from service.search.criteria import Criteria

PAGE = "_page"
Params = list[tuple[str, str]]


def take_page(params: Params) -> tuple[Params, str | None]:
    """The parameters without _page, and its value."""
    pages = [value for name, value in params if name == PAGE]
    return [(name, value) for name, value in params if name != PAGE], pages[0] if pages else None


def position(token: str | None, params: Params, caller: Caller, key: bytes) -> int | str | None:
    """Where the page starts. A token that is not ours, another caller's or another search's is 400."""
    if token is None:
        return None
    try:
        raw = base64.urlsafe_b64decode(token + "=" * (-len(token) % 4))
        given, text = raw[:12], raw[12:]
        if hmac.compare_digest(given, _mac(text, params, caller, key)):
            value: int | str = orjson.loads(text)
            return value
    except ValueError:
        pass
    raise FhirError(Category.MALFORMED, "The page link is not valid here: start the search again.", reason="page-link")


def links(
    url: str, params: Params, used: Params, caller: Caller, key: bytes, after: int | str | None
) -> dict[str, str]:
    """self shows what was executed; next carries the position after the last match."""
    out = {"self": url + _query(used)}
    if after is not None:
        text = orjson.dumps(after)
        token = base64.urlsafe_b64encode(_mac(text, params, caller, key) + text).decode().rstrip("=")
        out["next"] = url + _query([*params, (PAGE, token)])
    return out


def search_links(url: str, params: Params, caller: Caller, key: bytes):  # type: ignore[no-untyped-def]
    def make(criteria: Criteria, after: int | str | None) -> dict[str, str]:
        return links(url, params, list(criteria.used), caller, key, after)

    return make


def _query(params: Params) -> str:
    return "?" + "&".join(f"{quote(n, safe=':_-.')}={quote(v, safe=':,|/-_.$')}" for n, v in params) if params else ""


def _mac(text: bytes, params: Params, caller: Caller, key: bytes) -> bytes:
    scope = orjson.dumps([caller.client_id, sorted(params)])
    return hmac.new(key, text + b"\0" + scope, hashlib.sha256).digest()[:12]
