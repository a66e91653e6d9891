"""GET /fhir/metadata: the CapabilityStatement is the catalog's own file. https://hl7.org/fhir/R4/http.html#capabilities"""

import hashlib
from functools import lru_cache
from importlib.metadata import PackageNotFoundError, version
from typing import Any, NamedTuple

from starlette.requests import Request
from starlette.responses import Response

from fhir_profiles.catalog import catalog
from fhir_profiles.json_text import write_json
from service.api.formats import Format, asked, check_format, chosen, render
from service.api.headers import without_body
from service.api.state import Shared
from service.errors import FhirError
from service.interactions.subset import cut
from service.search.criteria import Criteria
from service.search.results import element_names

_OAUTH = "http://fhir-registry.smarthealthit.org/StructureDefinition/oauth-uris"
_TYPE = "CapabilityStatement"


async def metadata(request: Request) -> Response:
    """Open to everyone, the same for everyone; 304 where the client has it. Every `mode` gets the whole statement."""
    shared: Shared = request.app.state.enlace
    try:
        params = asked(request)
        check_format(request)
    except FhirError as refusal:
        body = render(write_json(refusal.outcome()), chosen(request))
        return Response(body, refusal.category.status, {"Vary": "Accept"}, media_type=chosen(request).media_type)
    wanted = chosen(request)
    body, etag = _rendered(_made(shared), _part(dict(params)), wanted)
    headers = {
        "ETag": etag,
        "Cache-Control": "public, max-age=300",
        "Access-Control-Allow-Origin": "*",
        "Vary": "Accept",
    }
    if etag in request.headers.get("if-none-match", ""):
        return Response(status_code=304, headers=headers)
    return without_body(request, Response(body, headers=headers, media_type=wanted.media_type))


def _part(given: dict[str, str]) -> Criteria | None:
    """What of it is asked for; None: all. Unknown names and kinds of summary are ignored."""
    known = element_names(_TYPE)
    names = tuple(sorted({name.strip() for name in given.get("_elements", "").split(",")} & set(known)))
    summary = given.get("_summary", "")
    summary = summary if summary in ("true", "text", "data") else ""
    return Criteria(_TYPE, summary=summary, elements=names) if names or summary else None


@lru_cache(maxsize=16)
def _rendered(made: "_Made", part: Criteria | None, wanted: Format) -> tuple[bytes, str]:
    """Body and ETag of one variant. What a client can ask for has no end, so that old ones are forgotten."""
    body = write_json(statement(made.base_url, made.cors, made.endpoints))
    body = render(cut(body, _TYPE, part, "match") if part else body, wanted)
    return body, f'W/"{hashlib.sha256(body).hexdigest()[:16]}"'


Endpoints = tuple[tuple[str, str], ...]
"""(name in the extension oauth-uris, address)"""


class _Made(NamedTuple):
    base_url: str
    cors: bool
    endpoints: Endpoints | None


def _made(shared: Shared) -> _Made:
    endpoints: Endpoints | None = None
    if shared.issuer is not None:
        issuer = shared.issuer.issuer
        given = (("authorize", issuer.authorization_endpoint), ("token", issuer.token_endpoint))
        endpoints = tuple((name, url) for name, url in given if url)
    return _Made(shared.settings.base_url, bool(shared.settings.origins), endpoints)


@lru_cache(maxsize=8)
def statement(base_url: str, cors: bool, endpoints: Endpoints | None = None) -> dict[str, Any]:
    """The catalog's statement as this installation makes it. cors: whether a browser's origin may be let in.

    endpoints: of an external issuer; None: our own.
    """
    made = {**catalog().statement}
    made["url"] = f"{base_url}/fhir/metadata"
    made["software"] = {"name": "Enlace", "version": software_version()}
    made["implementation"] = {**made["implementation"], "url": f"{base_url}/fhir"}
    rest = {**made["rest"][0]}
    if endpoints is None:
        endpoints = tuple((name, f"{base_url}/auth/{name}") for name in ("authorize", "token", "introspect", "revoke"))
    told = [{"url": name, "valueUri": url} for name, url in endpoints]
    rest["security"] = {
        **rest.get("security", {}),
        "cors": cors,
        "extension": [{"url": _OAUTH, "extension": told}],
    }
    made["rest"] = [rest]
    return made


def software_version() -> str:
    try:
        return version("enlace")
    except PackageNotFoundError:
        return "0"
