"""The routes beside the FHIR interactions: OAuth, HL7 v2 over HTTP, health. ../shared/contract.md "Addresses" """

import base64
from typing import Any

from fhir_profiles.notices import statement
from openapi import client_paths, feed_paths, source_paths
from openapi.components import BEARER, OAUTH, Json, content, header, refusals
from openapi.examples import ACKNOWLEDGEMENT, BASE, MESSAGE, METRICS
from service.api.smart import configuration, openid_configuration
from service.auth.grants import GRANTS
from service.auth.refusal import ClientRefused, OAuthRefused
from service.errors import Category as C
from service.interactions.notices import NOTICE_PATH

FORM = "application/x-www-form-urlencoded"
ASSERTION = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
HL7V2 = "application/hl7-v2"
OPEN: list[Json] = []
"""`security: []`: no token. [{}, {BEARER: []}]: the client's assertion in the form, or a token."""


def paths() -> Json:
    base = BASE.removesuffix("/fhir")
    smart, openid = configuration(base), openid_configuration(base)
    return {
        "/auth/token": {"post": _oauth("Obtain an access token", "token", _TOKEN_FIELDS, _TOKEN, tuple(_TOKEN))},
        "/auth/introspect": {"post": _oauth("Say what a token is", "introspect", _ABOUT_FIELDS, _ACTIVE, ("active",))},
        "/auth/revoke": {"post": _oauth("End a token", "revoke", _ABOUT_FIELDS, {}, ())},
        "/auth/jwks": {"get": _open("Keys with which id_tokens are signed", "jwks", {"keys": []}, "auth")},
        "/.well-known/openid-configuration": {
            "get": _open("OpenID configuration", "openidConfiguration", openid, "auth")
        },
        **client_paths.paths(),
        **source_paths.paths(),
        **feed_paths.paths(),
        "/fhir/metadata": {"get": _metadata()},
        "/fhir/.well-known/smart-configuration": {
            "get": _open("SMART configuration", "smartConfiguration", smart, "auth")
        },
        "/healthz": {"get": _open("Whether the process lives", "healthz", {"status": "ok"}, "health")},
        "/readyz": {"get": _ready()},
        "/metrics": {"get": _metrics()},
        NOTICE_PATH: {"get": _notice()},
        "/hl7v2": {"post": _hl7v2()},
        "/partners/notices/{token}": {"post": _partner_notice()},
    }


_JWT = {"type": "string", "description": "A JWT signed by the client's key, RS384 or ES384, five minutes at most."}
_CLIENT: Json = {"client_assertion_type": {"const": ASSERTION}, "client_assertion": _JWT}
_TOKEN_FIELDS: Json = {"grant_type": {"enum": sorted(GRANTS)}, "scope": {"type": "string"}, **_CLIENT}
_ABOUT_FIELDS: Json = {"token": {"type": "string"}, **_CLIENT}
_FORM_EXAMPLE = {
    "grant_type": "client_credentials",
    "scope": "system/Task.rs system/Task.u",
    "client_assertion_type": ASSERTION,
    "client_assertion": "eyJhbGciOiJFUzM4NCIsImtpZCI6IjEifQ.eyJpc3MiOiJ2YWxsZXktZWNtIn0.c2lnbmF0dXJl",
    "token": "enl_opaque",
}
"""Each form takes the fields that it has."""
_TOKEN: Json = {
    "access_token": "enl_opaque",
    "token_type": "bearer",
    "expires_in": 300,
    "scope": "system/Task.rs system/Task.u",
}
_ACTIVE: Json = {"active": True, "scope": "system/Task.rs", "client_id": "valley-ecm", "exp": 1772955300}
_REFUSED: dict[str, OAuthRefused] = {
    "The request is wrong in form, or asks for what this client cannot be granted.": OAuthRefused(
        400, "invalid_scope", ""
    ),
    "The client is not who it says; one answer for all reasons.": ClientRefused(""),
    "The form is longer than 16 KB.": OAuthRefused(413, "invalid_request", "", sentence="The body has at most 16 KB."),
    "The body is no form.": OAuthRefused(415, "invalid_request", "", sentence=f"The body is {FORM}."),
    "Too many requests from there: Retry-After says how long.": OAuthRefused(429, "slow_down", ""),
}
_REFUSAL_HEADERS = {401: ("WWW-Authenticate",), 429: ("Retry-After",)}


def _oauth(summary: str, name: str, fields: Json, example: Json, always: tuple[str, ...]) -> Json:
    required = ["token"] if "token" in fields else sorted(set(fields) - {"scope"})
    form = {"type": "object", "properties": fields, "required": required}
    filled = {field: _FORM_EXAMPLE[field] for field in fields}
    return {
        "tags": ["auth"],
        "operationId": name,
        "summary": summary,
        "description": "https://hl7.org/fhir/smart-app-launch/STU2.2/backend-services.html",
        "security": OPEN if name == "token" else [{}, {BEARER: []}],
        "requestBody": {"required": True, "content": {FORM: {"schema": form, "example": filled}}},
        "responses": {
            "200": _json("Done.", example, always),
            **{str(refused.status): _refusal(text, refused) for text, refused in _REFUSED.items()},
            **refusals(C.UNAVAILABLE),
        },
    }


def _refusal(text: str, refused: OAuthRefused) -> Json:
    answer = _json(text, dict(refused.body()), ("error",))
    names = _REFUSAL_HEADERS.get(refused.status)
    return {**answer, "headers": header(*names)} if names else answer


_KINDS: dict[type, Json] = {
    str: {"type": "string"},
    bool: {"type": "boolean"},
    int: {"type": "integer"},
    list: {"type": "array"},
}


def _json(description: str, example: Json, always: tuple[str, ...]) -> Json:
    """always: the members that never lack; the kinds of all are those of the example."""
    kinds: dict[str, Any] = {name: _KINDS[type(value)] for name, value in example.items()}
    shape = {"type": "object", "properties": kinds, "required": list(always)}
    return {"description": description, "content": {"application/json": {"schema": shape, "example": example}}}


def _open(summary: str, name: str, example: Json, tag: str) -> Json:
    return {
        "tags": [tag], "operationId": name, "summary": summary, "security": OPEN,
        "responses": {"200": _json("The answer.", example, tuple(example))},
    }  # fmt: skip


def _notice() -> Json:
    text = {"text/plain": {"schema": {"type": "string"}, "example": statement("part2").text}}
    return {
        "tags": ["server"], "operationId": "part2Notice", "security": OPEN,
        "summary": "The statement that goes with records under 42 CFR Part 2",
        "responses": {"200": {"description": "The answer.", "content": text}},
    }  # fmt: skip


def _partner_notice() -> Json:
    token = {"name": "token", "in": "path", "required": True, "schema": {"type": "string"}}
    return {
        "tags": ["server"], "operationId": "partnerNotice", "security": OPEN, "parameters": [token],
        "summary": "A partner's server says that something changed there",
        "description": "The address stands in our Subscription on that server. Any body is taken, and none is kept.",
        "responses": {
            "200": {"description": "It is noted when to look."},
            "404": _json("This address is nobody's.", {"detail": "There is nothing at this address."}, ("detail",)),
            **refusals(C.UNAVAILABLE),
        },
    }  # fmt: skip


def _metadata() -> Json:
    return {
        "tags": ["server"],
        "operationId": "capabilities",
        "summary": "What is served: the CapabilityStatement",
        "description": "https://hl7.org/fhir/R4/http.html#capabilities",
        "security": OPEN,
        "responses": {
            "200": {
                "description": "The CapabilityStatement.",
                "content": content("CapabilityStatement", "CapabilityStatement"),
            },
            "304": {"description": "Not changed since the ETag in If-None-Match."},
            **refusals(C.UNAVAILABLE),
        },
    }


def _ready() -> Json:
    ready = _open("Whether the process takes work", "readyz", {"status": "ready"}, "health")
    unready = {"status": "unready", "reason": "The database cannot be reached."}
    ready["responses"]["503"] = _json("Stopping, not migrated, or without its database.", unready, ("status",))
    return ready


def _metrics() -> Json:
    media = {"text/plain": {"schema": {"type": "string"}, "example": METRICS}}
    return {
        "tags": ["health"], "operationId": "metrics", "summary": "Figures for Prometheus; no names, no PHI",
        "security": OPEN, "responses": {"200": {"description": "Prometheus text format.", "content": media}},
    }  # fmt: skip


_BASE64 = base64.b64encode(MESSAGE.encode()).decode()
_PACKED: Json = {
    "type": "object",
    "description": "The message as base64; its acknowledgement comes back so, as hl7Ack.",
    "properties": {"message": {"type": "object", "properties": {"data": {"type": "string"}}}},
}


def _hl7v2() -> Json:
    text: Json = {"schema": {"type": "string"}}
    return {
        "tags": ["hl7v2"],
        "operationId": "receiveHl7v2",
        "summary": "Take one HL7 v2 message, or a batch",
        "description": "The acknowledgement (AA, AE or AR) is the answer, after the message is durable. "
        "For the role hospital. https://hapifhir.github.io/hapi-hl7v2/hapi-hl7overhttp/",
        "security": [{OAUTH: []}, {BEARER: []}],
        "requestBody": {
            "required": True,
            "content": {
                HL7V2: {**text, "example": MESSAGE},
                "application/json": {"schema": _PACKED, "example": {"message": {"data": _BASE64}}},
            },
        },
        "responses": {
            "200": {
                "description": "The acknowledgement.",
                "content": {
                    HL7V2: {**text, "example": ACKNOWLEDGEMENT},
                    "application/json": {"schema": {"type": "object"}, "example": {"hl7Ack": "TVNIfF5+XCZ8"}},
                },
            },
            "204": {"description": "The message is stored and asked for no acknowledgement."},
            **refusals(
                *(C.MALFORMED, C.UNAUTHENTICATED, C.FORBIDDEN, C.TOO_LARGE, C.UNSUPPORTED_MEDIA),
                *(C.INTERNAL, C.UNAVAILABLE),
            ),
        },
    }
