"""GET /fhir/metadata: the CapabilityStatement is the catalog's own file. https://hl7.org/fhir/R4/http.html#capabilities"""

import hashlib
from functools import lru_cache
from importlib.metadata import PackageNotFoundError, version
from typing import Any

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
    body, etag = _rendered(shared.settings.base_url, bool(shared.settings.origins), _part(dict(params)), wanted)
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
def _rendered(base_url: str, cors: bool, part: Criteria | None, wanted: Format) -> tuple[bytes, str]:
    """Body and ETag of one variant. What a client can ask for has no end, so that old ones are forgotten."""
    body = write_json(statement(base_url, cors))
    body = render(cut(body, _TYPE, part, "match") if part else body, wanted)
    return body, f'W/"{hashlib.sha256(body).hexdigest()[:16]}"'


@lru_cache(maxsize=8)
def statement(base_url: str, cors: bool) -> dict[str, Any]:
    """The catalog's statement as this installation makes it. cors: whether a browser's origin may be let in."""
    made = {**catalog().statement}
    made["url"] = f"{base_url}/fhir/metadata"
    made["software"] = {"name": "Enlace", "version": software_version()}
    made["implementation"] = {**made["implementation"], "url": f"{base_url}/fhir"}
    rest = {**made["rest"][0]}
    # No `authorize`: there is no sign-in of people for apps yet, and a client must not be sent where nothing is.
    endpoints = [
        {"url": "token", "valueUri": f"{base_url}/auth/token"},
        {"url": "introspect", "valueUri": f"{base_url}/auth/introspect"},
        {"url": "revoke", "valueUri": f"{base_url}/auth/revoke"},
    ]
    rest["security"] = {
        **rest.get("security", {}),
        "cors": cors,
        "extension": [{"url": _OAUTH, "extension": endpoints}],
    }
    made["rest"] = [rest]
    return made


def software_version() -> str:
    try:
        return version("enlace")
    except PackageNotFoundError:
        return "0"
