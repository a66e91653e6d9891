"""The operator's API of clients, /auth/clients; https://www.rfc-editor.org/rfc/rfc7591"""

from openapi.components import BEARER, Json, refusals
from service.errors import Category as C

_CLIENT: Json = {
    "client_id": "5b0c0c1e-6a43-4a0e-9d52-0a1c0f3f9d10",
    "client_id_issued_at": 1772955300,
    "client_name": "Made-up EHR",
    "organization": "Organization/valley-oak",
    "role": "ecm-provider",
    "purpose": "TREAT",
    "scope": "system/Task.cruds",
    "kind": "backend",
    "redirect_uris": [],
    "endpoints": ["hooks.valley-oak.example.org", "@valley-oak.example.org"],
    "token_endpoint_auth_method": "private_key_jwt",
    "jwks_uri": "https://ehr.example.org/jwks.json",
    "active": True,
    "suspended": False,
}
_GIVEN = ("client_name", "organization", "role", "purpose", "scope", "jwks_uri")
_TEXT: Json = {"type": "string"}
_SHAPE: Json = {
    "type": "object",
    "properties": {
        "client_id_issued_at": {"type": "integer"},
        "jwks": {"type": "object"},
        "redirect_uris": {"type": "array", "items": _TEXT},
        "endpoints": {"type": "array", "items": _TEXT},
        "active": {"type": "boolean"},
        "suspended": {"type": "boolean"},
        **{name: _TEXT for name, value in _CLIENT.items() if isinstance(value, str)},
        "person": _TEXT,
    },
}
_ERROR: Json = {"type": "object", "properties": {"error": _TEXT, "error_description": _TEXT}, "required": ["error"]}
_ID: Json = {"name": "client_id", "in": "path", "required": True, "schema": _TEXT, "description": "Id of the client."}


def paths() -> Json:
    listed: Json = {"type": "object", "properties": {"clients": {"type": "array", "items": _SHAPE}}}
    given = {name: _CLIENT[name] for name in _GIVEN}
    suspension: Json = {"suspended": True}
    return {
        "/auth/clients": {
            "get": _operation("clients", "List the registered clients", "200", listed, {"clients": [_CLIENT]}),
            "post": _operation("clientAdd", "Register a client", "201", _SHAPE, _CLIENT) | _body(given),
        },
        "/auth/clients/{client_id}": {
            "get": {"parameters": [_ID]} | _operation("clientRead", "Show a client", "200", _SHAPE, _CLIENT),
            "patch": {"parameters": [_ID]}
            | _operation("clientChange", "Suspend, resume or change a client", "200", _SHAPE, _CLIENT)
            | _body(suspension),
        },
    }


def _body(example: Json) -> Json:
    return {"requestBody": {"required": True, "content": {"application/json": {"schema": _SHAPE, "example": example}}}}


def _operation(name: str, summary: str, status: str, schema: Json, example: Json) -> Json:
    said = {"error": "invalid_client_metadata", "error_description": "purpose is required."}
    nothing = {"error": "not_found", "error_description": "There is nothing at this address."}
    return {
        "tags": ["auth"],
        "operationId": name,
        "summary": summary,
        "description": "For the role admin with the scope system/*.cruds; for all others there is nothing here.",
        "security": [{BEARER: []}],
        "responses": {
            status: _answer("Done.", schema, example),
            "400": _answer("What is wrong, all at once.", _ERROR, said),
            "401": _answer("No good token.", _ERROR, {"error": "invalid_token"}),
            "403": _answer("The scope is missing.", _ERROR, {"error": "insufficient_scope"}),
            "404": _answer("No such client, or not for you.", _ERROR, nothing),
            **refusals(C.UNAVAILABLE),
        },
    }


def _answer(description: str, schema: Json, example: Json) -> Json:
    return {"description": description, "content": {"application/json": {"schema": schema, "example": example}}}
