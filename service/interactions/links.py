"""Page links: short, opaque, sealed, bound to the caller and to the search. https://hl7.org/fhir/R4/http.html#paging

A link holds a position, no offset: what is written meanwhile moves nothing. The links of a GET search show its
parameters as the client sent them; those of a POST search hold them inside the seal, since values may name a member.
"""

import base64
import os
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from hashlib import sha256
from typing import NamedTuple
from urllib.parse import quote

import orjson
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from service.caller import Caller
from service.errors import Category, FhirError
from service.search.criteria import Criteria, Position

PAGE = "_page"
Params = list[tuple[str, str]]


class Place(NamedTuple):
    """Where a page starts, the parameters of its search, and whether these are hidden from its links."""

    after: Position | None
    params: Params
    hidden: bool


def take_page(params: Params) -> tuple[Params, str | None]:
    """The parameters without _page, and its value."""
    pages = [value for name, value in params if name == PAGE]
    return [(name, value) for name, value in params if name != PAGE], pages[0] if pages else None


def place(token: str | None, params: Params, caller: Caller, key: bytes, *, hidden: bool = False) -> Place:
    """Opens a page token; a token that is not ours, another caller's or another search's is 400."""
    if token is None:
        return Place(None, params, hidden)
    try:
        raw = base64.urlsafe_b64decode(token + "=" * (-len(token) % 4))
        if raw[:1] not in (b"h", b"s") or base64.urlsafe_b64encode(raw).rstrip(b"=") != token.encode():
            raise ValueError
        bound = [] if raw[:1] == b"h" else sorted(params)
        after, inside = orjson.loads(_seal(key).decrypt(raw[1:13], raw[13:], _bound(caller, bound)))
    except (ValueError, InvalidTag):
        text = "The page link is not valid here: start the search again."
        raise FhirError(Category.MALFORMED, text, reason="page-link") from None
    if inside is None:
        return Place(tuple(after), params, hidden)
    return Place(tuple(after), [(str(name), str(value)) for name, value in inside], True)


@dataclass(frozen=True)
class Links:
    """Makes self and next of one search: called with what was executed and the position after the last match."""

    url: str
    at: Place
    caller: Caller
    key: bytes

    def __call__(self, used: Params, after: Position | None) -> dict[str, str]:
        shown = [] if self.at.hidden else self.at.params
        out = {"self": self.url + _query([] if self.at.hidden else used)}
        if after is not None:
            out["next"] = self.url + _query([*shown, (PAGE, self._token(after))])
        return out

    def of_search(self) -> Callable[[Criteria, Position | None], dict[str, str]]:
        return lambda criteria, after: self(list(criteria.used), after)

    def _token(self, after: Position) -> str:
        inside = self.at.params if self.at.hidden else None
        nonce = os.urandom(12)
        bound = _bound(self.caller, [] if self.at.hidden else sorted(self.at.params))
        sealed = _seal(self.key).encrypt(nonce, orjson.dumps([after, inside]), bound)
        kind = b"h" if self.at.hidden else b"s"
        return base64.urlsafe_b64encode(kind + nonce + sealed).decode().rstrip("=")


@lru_cache(maxsize=4)
def _seal(key: bytes) -> AESGCM:
    return AESGCM(sha256(b"page-links" + key).digest())


def _bound(caller: Caller, params: Params) -> bytes:
    return orjson.dumps([caller.client_id, params])


def _query(params: Params) -> str:
    return "?" + "&".join(f"{quote(n, safe=':_-.')}={quote(v, safe=':,|/-_.$')}" for n, v in params) if params else ""
