"""The routes beside the FHIR interactions: OAuth, HL7 v2 over HTTP, health. ../shared/contract.md "Addresses" """

from openapi.components import BEARER, OAUTH, Json, content, refusals
from service.errors import Category as C

FORM = "application/x-www-form-urlencoded"
ASSERTION = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
HL7V2 = "application/hl7-v2"
OPEN: list[Json] = []
"""`security: []`: no token. [{}, {BEARER: []}]: the client's assertion in the form, or a token."""

MESSAGE = (
    "MSH|^~\\&|ADT|VALLEY|ENLACE|ENLACE|20260307223000-0800||ADT^A01^ADT_A01|MSG00001|P|2.5.1\r"
    "EVN|A01|20260307223000-0800\r"
    "PID|1||MRN0001^^^VALLEY^MR||Example^Made-Up||19700101|F\r"
    "PV1|1|I|4W^401^1||||||||||||||||V0001\r"
)


def paths() -> Json:
    return {
        "/auth/token": {"post": _oauth("Obtain an access token", "token", _TOKEN_FIELDS, _TOKEN)},
        "/auth/introspect": {"post": _oauth("Say what a token is", "introspect", _ABOUT_FIELDS, _ACTIVE)},
        "/auth/revoke": {"post": _oauth("End a token", "revoke", _ABOUT_FIELDS, {})},
        "/auth/jwks": {"get": _open("Keys of the server; none while tokens are opaque", "jwks", {"keys": []}, "auth")},
        "/fhir/metadata": {"get": _metadata()},
        "/fhir/.well-known/smart-configuration": {
            "get": _open("SMART configuration", "smartConfiguration", {"token_endpoint": "/auth/token"}, "auth")
        },
        "/healthz": {"get": _open("Whether the process lives", "healthz", {"status": "ok"}, "health")},
        "/readyz": {"get": _ready()},
        "/metrics": {"get": _metrics()},
        "/hl7v2": {"post": _hl7v2()},
    }


_JWT = {"type": "string", "description": "A JWT signed by the client's key, RS384 or ES384, five minutes at most."}
_CLIENT: Json = {"client_assertion_type": {"const": ASSERTION}, "client_assertion": _JWT}
_TOKEN_FIELDS: Json = {
    "grant_type": {"const": "client_credentials"},
    "scope": {"type": "string", "example": "system/Task.rs system/Task.u"},
    **_CLIENT,
}
_ABOUT_FIELDS: Json = {"token": {"type": "string"}, **_CLIENT}
_TOKEN: Json = {"access_token": "opaque", "token_type": "bearer", "expires_in": 300, "scope": "system/Task.rs"}
_ACTIVE: Json = {"active": True, "scope": "system/Task.rs", "client_id": "valley-ecm"}
_REFUSED: Json = {"error": "invalid_client"}
_WRONG = {
    400: "The request is wrong in form.",
    401: "The client is not who it says; one answer for all reasons.",
    413: "The form is longer than 16 KB.",
    415: "The body is no form.",
    429: "Too many requests from there: Retry-After says how long.",
}


def _oauth(summary: str, name: str, fields: Json, example: Json) -> Json:
    required = ["token"] if "token" in fields else sorted(set(fields) - {"scope"})
    form = {"type": "object", "properties": fields, "required": required}
    return {
        "tags": ["auth"],
        "operationId": name,
        "summary": summary,
        "description": "https://hl7.org/fhir/smart-app-launch/STU2.2/backend-services.html",
        "security": OPEN if name == "token" else [{}, {BEARER: []}],
        "requestBody": {"required": True, "content": {FORM: {"schema": form}}},
        "responses": {
            "200": _json("Done.", example),
            **{str(status): _json(text, _REFUSED) for status, text in _WRONG.items()},
        },
    }


def _json(description: str, example: Json) -> Json:
    media = {"schema": {"type": "object"}, "example": example}
    return {"description": description, "content": {"application/json": media}}


def _open(summary: str, name: str, example: Json, tag: str) -> Json:
    return {
        "tags": [tag], "operationId": name, "summary": summary, "security": OPEN,
        "responses": {"200": _json("The answer.", example)},
    }  # fmt: skip


def _metadata() -> Json:
    return {
        "tags": ["server"],
        "operationId": "capabilities",
        "summary": "What is served: the CapabilityStatement",
        "description": "https://hl7.org/fhir/R4/http.html#capabilities",
        "security": OPEN,
        "responses": {
            "200": {"description": "The CapabilityStatement.", "content": content("CapabilityStatement")},
            "304": {"description": "Not changed since the ETag in If-None-Match."},
        },
    }


def _ready() -> Json:
    ready = _open("Whether the process takes work", "readyz", {"status": "ready"}, "health")
    ready["responses"]["503"] = _json("Stopping, not migrated, or without its database.", {"status": "unready"})
    return ready


def _metrics() -> Json:
    text = {"description": "Prometheus text format.", "content": {"text/plain": {"schema": {"type": "string"}}}}
    return {
        "tags": ["health"], "operationId": "metrics", "summary": "Queue and inbox by state", "security": OPEN,
        "responses": {"200": text},
    }  # fmt: skip


def _hl7v2() -> Json:
    text: Json = {"schema": {"type": "string"}}
    return {
        "tags": ["hl7v2"],
        "operationId": "receiveHl7v2",
        "summary": "Take one HL7 v2 message",
        "description": "The acknowledgement (AA, AE or AR) is the answer, after the message is durable. "
        "For the role hospital. https://hapifhir.github.io/hapi-hl7v2/hapi-hl7overhttp/",
        "security": [{OAUTH: []}, {BEARER: []}],
        "requestBody": {"required": True, "content": {HL7V2: {**text, "example": MESSAGE}}},
        "responses": {
            "200": {"description": "The acknowledgement.", "content": {HL7V2: text}},
            "204": {"description": "The message is stored and asked for no acknowledgement."},
            **refusals(C.MALFORMED, C.UNAUTHENTICATED, C.FORBIDDEN, C.TOO_LARGE, C.UNSUPPORTED_MEDIA, C.UNAVAILABLE),
        },
    }
