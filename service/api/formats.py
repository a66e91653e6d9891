"""In which format a request wants its answer, and an answer put into it. https://hl7.org/fhir/R4/http.html#mime-type

Everything is decided, stored and audited as JSON; XML and indented JSON are made of it here, at the edge.
"""

import asyncio
import json
from typing import NamedTuple

import orjson
from starlette.requests import Request

from fhir_profiles.xml_text import xml_of
from service.api.headers import XML_TYPES, url_query
from service.errors import Category, FhirError

FHIR_JSON = "application/fhir+json; charset=utf-8"
FHIR_XML = "application/fhir+xml; charset=utf-8"
HTML_TYPES = frozenset({"text/html", "application/xhtml+xml", "html"})
"""A browser that looks at an address gets JSON; the pages are elsewhere."""
_WORD = "enlace.format"
_LARGE = 65_536
_REMEDY = "send Accept: application/fhir+json or application/fhir+xml, or _format=json or xml."


class Format(NamedTuple):
    xml: bool = False
    pretty: bool = False

    @property
    def media_type(self) -> str:
        return FHIR_XML if self.xml else FHIR_JSON


_PLAIN = Format()


def asked(request: Request) -> list[tuple[str, str]]:
    """The parameters of the URL; what they and Accept say of the format is noted, also where they cannot be read."""
    params: list[tuple[str, str]] = []
    try:
        params = url_query(request)
        return params
    finally:
        choose(request, params)


def choose(request: Request, params: list[tuple[str, str]]) -> None:
    """Notes the format that `_format` (before Accept) and `_pretty` ask for: for `chosen` and `check_format`."""
    given = dict(params)
    if not given and request.headers.get("accept") in (None, "*/*", "application/fhir+json", "application/json"):
        return
    word = given.get("_format")
    xml = _by_word(word) if word else _by_accept(",".join(request.headers.getlist("accept")) or "*/*")
    found = Format(bool(xml), given.get("_pretty", "").lower() == "true")
    request.scope[_WORD] = (found, xml is not None)


def chosen(request: Request) -> Format:
    """JSON where nothing else was chosen, and where what was asked for cannot be had."""
    found: Format = request.scope.get(_WORD, (_PLAIN, True))[0]
    return found


def check_format(request: Request) -> None:
    """406 where the client takes neither JSON nor XML."""
    if not request.scope.get(_WORD, (_PLAIN, True))[1]:
        raise FhirError(Category.NOT_ACCEPTABLE, f"Enlace answers JSON or XML: {_REMEDY}")


def _is_json(name: str) -> bool:
    return name.endswith("json") or name == "application/json+fhir" or name in HTML_TYPES


def _by_word(word: str) -> bool | None:
    """Whether a value of _format means XML; None: neither. A plus sign in a query arrives as a space."""
    name = word.partition(";")[0].strip().lower().replace(" ", "+")
    return True if name in XML_TYPES or name == "xml" else False if _is_json(name) or name == "*/*" else None


def _by_accept(text: str) -> bool | None:
    """Whether XML is wanted more than JSON; None: neither. The most specific range decides, as in RFC 9110, 12.5.1."""
    best = {"json": (-1, 0.0), "xml": (-1, 0.0)}
    for part in text.split(","):
        name, _, rest = part.strip().lower().partition(";")
        name, weight = name.strip(), _weight(rest)
        for kind in best:
            at = _specific(name, kind)
            if at >= 0:
                best[kind] = max(best[kind], (at, weight)) if at != best[kind][0] else (at, max(best[kind][1], weight))
    xml, other = best["xml"][1], best["json"][1]
    return None if not (xml or other) else xml > other


def _specific(name: str, kind: str) -> int:
    """How closely a media range names a kind: -1 not at all, 2 by name."""
    if name == "*/*" or name == "*":
        return 0
    if name in ("application/*", "text/*"):
        return 1
    return 2 if (name in XML_TYPES if kind == "xml" else _is_json(name)) else -1


def _weight(parameters: str) -> float:
    for parameter in parameters.split(";"):
        name, _, value = parameter.partition("=")
        name, value = name.strip(), value.strip().strip('"')
        if name == "fhirversion" and not "4.0.1".startswith(value):
            return 0.0
        if name == "q":
            try:
                return min(1.0, max(0.0, float(value)))
            except ValueError:
                return 0.0
    return 1.0


async def rendered(body: bytes, wanted: Format) -> bytes:
    """A resource in JSON, in the format that is wanted. A large one is made beside the loop."""
    if not body or wanted == _PLAIN:
        return body
    if len(body) > _LARGE:
        return await asyncio.to_thread(render, body, wanted)
    return render(body, wanted)


def render(body: bytes, wanted: Format) -> bytes:
    if wanted.xml:
        return xml_of(body, wanted.pretty)
    return indented(body) if wanted.pretty else body


class _Digits(str):
    """A number as it stands in the text."""


def _fragment(value: object) -> orjson.Fragment:
    return orjson.Fragment(str(value))


def indented(body: bytes) -> bytes:
    """JSON with line ends and two spaces a level; every digit stays."""
    value = json.loads(body, parse_float=_Digits, parse_int=_Digits)
    option = orjson.OPT_INDENT_2 | orjson.OPT_PASSTHROUGH_SUBCLASS | orjson.OPT_APPEND_NEWLINE
    return orjson.dumps(value, default=_fragment, option=option)
