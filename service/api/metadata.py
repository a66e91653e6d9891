"""GET /fhir/metadata: the CapabilityStatement is the catalog's own file. https://hl7.org/fhir/R4/http.html#capabilities"""

import hashlib
from functools import lru_cache
from importlib.metadata import PackageNotFoundError, version

from starlette.requests import Request
from starlette.responses import Response

from fhir_profiles.catalog import catalog
from fhir_profiles.json_text import write_json
from service.api.headers import FHIR_JSON
from service.api.state import Shared

_OAUTH = "http://fhir-registry.smarthealthit.org/StructureDefinition/oauth-uris"


async def metadata(request: Request) -> Response:
    """Open to everyone, the same for everyone; 304 where the client has it."""
    shared: Shared = request.app.state.enlace
    body, etag = _statement(shared.settings.base_url)
    headers = {"ETag": etag, "Cache-Control": "public, max-age=300", "Access-Control-Allow-Origin": "*"}
    if etag in request.headers.get("if-none-match", ""):
        return Response(status_code=304, headers=headers)
    return Response(body, headers=headers, media_type=FHIR_JSON)


@lru_cache(maxsize=8)
def _statement(base_url: str) -> tuple[bytes, str]:
    statement = {**catalog().statement}
    statement["url"] = f"{base_url}/fhir/metadata"
    statement["software"] = {"name": "Enlace", "version": software_version()}
    statement["implementation"] = {**statement["implementation"], "url": f"{base_url}/fhir"}
    rest = {**statement["rest"][0]}
    endpoints = [
        {"url": "token", "valueUri": f"{base_url}/auth/token"},
        {"url": "introspect", "valueUri": f"{base_url}/auth/introspect"},
        {"url": "revoke", "valueUri": f"{base_url}/auth/revoke"},
    ]
    rest["security"] = {**rest.get("security", {}), "extension": [{"url": _OAUTH, "extension": endpoints}]}
    statement["rest"] = [rest]
    body = write_json(statement)
    return body, f'W/"{hashlib.sha256(body).hexdigest()[:16]}"'


def software_version() -> str:
    try:
        return version("enlace")
    except PackageNotFoundError:
        return "0"
