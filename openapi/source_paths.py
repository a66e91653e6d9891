"""The operator's API of sending systems, /adt/sources; their form is service/workflow/source_form.py."""

from openapi.components import BEARER, Json, header, parameter, refusals
from service.errors import Category as C
from service.workflow.source_form import CONFIG, DEFAULTS, REQUIRED, RULES

_SOURCE: Json = {
    "name": "san-marcelo",
    "facility": "SMMC",
    "organization": "Organization/san-marcelo",
    **DEFAULTS,
    "application": "EPICADT",
    "display": "San Marcelo Medical Center",
    "class_map": {"PV1-18:OBS": "OBSERVATION"},
    "disposition_map": {"HOME": "01"},
    "certificates": ["dns:adt.san-marcelo.example.org"],
}
_KINDS: dict[type, Json] = {
    str: {"type": "string"},
    bool: {"type": "boolean"},
    list: {"type": "array", "items": {"type": "string"}},
    dict: {"type": "object"},
    type(None): {"type": ["string", "null"]},
}
_SHAPE: Json = {
    "type": "object",
    "properties": {
        name: {**_KINDS[type(DEFAULTS.get(name, ""))], "description": rule[:1].upper() + rule[1:] + "."}
        for name, (_, rule) in RULES.items()
    },
    "required": [name for name in REQUIRED if name not in CONFIG],
}
_TEXT: Json = {"type": "string"}
_ERROR: Json = {"type": "object", "properties": {"error": _TEXT, "error_description": _TEXT}, "required": ["error"]}
_NAME: Json = {"name": "name", "in": "path", "required": True, "schema": _TEXT, "description": "Name of the source."}


def paths() -> Json:
    listed: Json = {"type": "object", "properties": {"sources": {"type": "array", "items": _SHAPE}}}
    change = _operation("sourceChange", "Change a sending system", "200", _SHAPE, _SOURCE, 412, 428)
    return {
        "/adt/sources": {
            "get": _operation("sources", "List the sending systems", "200", listed, {"sources": [_SOURCE]}),
            "post": _operation("sourceAdd", "Register a sending system", "201", _SHAPE, _SOURCE, 409) | _body(),
        },
        "/adt/sources/{name}": {
            "get": {"parameters": [_NAME]} | _operation("sourceRead", "Show a sending system", "200", _SHAPE, _SOURCE),
            "put": {"parameters": [_NAME, parameter("If-Match-required")]} | change | _body(),
        },
    }


def _body() -> Json:
    return {"requestBody": {"required": True, "content": {"application/json": {"schema": _SHAPE, "example": _SOURCE}}}}


_REFUSED: dict[int, tuple[str, str, str]] = {
    400: ("What is wrong, all at once.", "invalid_source", "facility is required."),
    401: ("No good token.", "invalid_token", "The access token is missing."),
    403: ("The scope is missing.", "insufficient_scope", "The access token needs the scope system/*.u."),
    404: ("No such source, or not for you.", "not_found", "There is nothing at this address."),
    409: ("The name or the sender is taken.", "exists", "A source has this name already: change that one by PUT."),
    412: ("Somebody changed it.", "changed", "The source was changed since you read it: read it again."),
    428: ("If-Match is missing.", "precondition_required", "Send If-Match with the ETag of the source as you read it."),
}


def _operation(name: str, summary: str, status: str, schema: Json, example: Json, *more: int) -> Json:
    refused = {code: said for code, said in _REFUSED.items() if code <= 404 or code in more}
    single = status == "201" or schema is _SHAPE
    return {
        "tags": ["hl7v2"],
        "operationId": name,
        "summary": summary,
        "description": "For the role admin with the scope system/*.crus; for all others there is nothing here.",
        "security": [{BEARER: []}],
        "responses": {
            status: _answer("Done.", schema, example) | ({"headers": header("ETag")} if single else {}),
            **{
                str(code): _answer(text, _ERROR, {"error": error, "error_description": sentence})
                for code, (text, error, sentence) in refused.items()
            },
            **refusals(C.UNAVAILABLE),
        },
    }


def _answer(description: str, schema: Json, example: Json) -> Json:
    return {"description": description, "content": {"application/json": {"schema": schema, "example": example}}}
