"""Page links: short, opaque, sealed, bound to the caller and to the search. https://hl7.org/fhir/R4/http.html#paging

A link holds a position, no offset: what is written meanwhile moves nothing. The links of a GET search show its
parameters as the client sent them; those of a POST search hold them inside the seal, since values may name a member,
and so do those of a GET search that would be too long.
"""

import base64
import os
import zlib
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
from service.errors import Category, FhirError, Issue
from service.search.criteria import Criteria, Position

PAGE = "_page"
LONGEST = 2_000
"""Characters of a link that shows its parameters; in a longer one they are sealed, which also packs them."""
MOST = 8_000
"""Characters of a link that we take back: service.api.headers refuses a query of more than 8 KB."""
OUTSIDE = ("_format", "_pretty")
"""Say how an answer is written and not what it is: they stand beside the seal and may be changed."""

Params = list[tuple[str, str]]


class Place(NamedTuple):
    """Where a page starts (or ends, if `back`), the parameters of its search, and whether links must hide these."""

    after: Position | None
    params: Params
    hidden: bool
    back: bool = False
    path: str = ""


class Around(NamedTuple):
    """The positions of the pages beside this one, each where there is one."""

    next: Position | None = None
    prev: Position | None = None


def take_page(params: Params) -> tuple[Params, str | None]:
    """The parameters without _page, and its value."""
    pages = [value for name, value in params if name == PAGE]
    return [(name, value) for name, value in params if name != PAGE], pages[0] if pages else None


def place(
    token: str | None, params: Params, caller: Caller, key: bytes, *, hidden: bool = False, path: str = ""
) -> Place:
    """Opens a page token; one that is not ours, another caller's or another search's is 400. path: what is searched."""
    if token is None:
        return Place(None, params, hidden, path=path)
    try:
        raw = base64.urlsafe_b64decode(token + "=" * (-len(token) % 4))
        if raw[:1] not in _KINDS or base64.urlsafe_b64encode(raw).rstrip(b"=") != token.encode():
            raise ValueError
        shown = raw[:1] == SHOWN
        bound = _bound(caller, path, params if shown else [])
        after, back, inside = orjson.loads(_unpacked(_seal(key).decrypt(raw[1:13], raw[13:], raw[:1] + bound)))
    except (ValueError, InvalidTag, zlib.error):
        text = "The page link is not valid here: start the search again."
        raise FhirError(Category.MALFORMED, text, reason="page-link") from None
    position = tuple(after) if after is not None else None
    if shown:
        return Place(position, params, hidden, back, path)
    outside = [(name, value) for name, value in params if name in OUTSIDE]
    searched = [(str(name), str(value)) for name, value in inside]
    return Place(position, [*searched, *outside], raw[:1] == HIDDEN, back, path)


SHOWN, HIDDEN, LONG = b"s", b"h", b"l"
_KINDS = (SHOWN, HIDDEN, LONG)


@dataclass(frozen=True)
class Links:
    """Makes the links of one search: called with what was executed and the positions of the pages around."""

    url: str
    at: Place
    caller: Caller
    key: bytes

    def __call__(self, used: Params, around: Position | Around | None) -> dict[str, str]:
        """A bare Position is that of the next page."""
        beside = around if isinstance(around, Around) else Around(around)
        shown = [pair for pair in used if pair[0] in OUTSIDE] if self.at.hidden else used
        out = {"self": self.url + _query(shown)}
        if beside.prev is not None or self.at.after is not None:
            out["first"] = self._url(None, back=False)
        if beside.prev is not None:
            out["previous"] = self._url(beside.prev, back=True)
        if beside.next is not None:
            out["next"] = self._url(beside.next, back=False)
        return out

    def of_search(self) -> Callable[[Criteria, Around], dict[str, str]]:
        return lambda criteria, around: self(list(criteria.used), around)

    def _url(self, after: Position | None, *, back: bool) -> str:
        searched = [pair for pair in self.at.params if pair[0] not in OUTSIDE]
        outside = [pair for pair in self.at.params if pair[0] in OUTSIDE]
        if not self.at.hidden:
            token = [(PAGE, self._token(SHOWN, after, back, None))] if after is not None else []
            url = self.url + _query([*self.at.params, *token])
            if len(url) <= LONGEST:
                return url
        kind = HIDDEN if self.at.hidden else LONG
        url = self.url + _query([*outside, (PAGE, self._token(kind, after, back, searched))])
        if len(url) > MOST:
            text = "The search has several pages, and its values are too many for a page link: send fewer values."
            raise FhirError(Category.MALFORMED, [Issue(text, code="too-long")], reason="page-link")
        return url

    def _token(self, kind: bytes, after: Position | None, back: bool, inside: Params | None) -> str:
        nonce = os.urandom(12)
        bound = _bound(self.caller, self.at.path, self.at.params if inside is None else [])
        sealed = _seal(self.key).encrypt(nonce, _packed(orjson.dumps([after, back, inside])), kind + bound)
        return base64.urlsafe_b64encode(kind + nonce + sealed).decode().rstrip("=")


def _packed(text: bytes) -> bytes:
    small = zlib.compress(text, 9)
    return b"z" + small if len(small) < len(text) else b"p" + text


def _unpacked(sealed: bytes) -> bytes:
    """What is sealed was packed here, so it is no larger than a query."""
    return zlib.decompress(sealed[1:]) if sealed[:1] == b"z" else sealed[1:]


@lru_cache(maxsize=4)
def _seal(key: bytes) -> AESGCM:
    return AESGCM(sha256(b"page-links" + key).digest())


def _bound(caller: Caller, path: str, params: Params) -> bytes:
    return orjson.dumps([caller.client_id, path, sorted(pair for pair in params if pair[0] not in OUTSIDE)])


def _query(params: Params) -> str:
    return "?" + "&".join(f"{quote(n, safe=':_-.')}={quote(v, safe=':,/-_.$')}" for n, v in params) if params else ""
