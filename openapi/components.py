"""What all operations share: refusals, headers, parameters, security. https://spec.openapis.org/oas/v3.1.1#components-object"""

from typing import Any

from service.errors import Category

Json = dict[str, Any]

FHIR_JSON = "application/fhir+json"
FHIR_XML = "application/fhir+xml"
ID_PATTERN = r"^[A-Za-z0-9\-.]{1,64}$"
BEARER, OAUTH = "bearer", "oauth2"

REFUSALS: dict[Category, tuple[str, str]] = {
    Category.MALFORMED: (
        "The body is no sound JSON or XML, or no R4 resource of this type, or a parameter cannot be executed.",
        "status must be present: add Task.status.",
    ),
    Category.UNAUTHENTICATED: ("No valid access token.", "Send Authorization: Bearer with a valid access token."),
    Category.FORBIDDEN: ("Scope, role or authorship does not allow this.", "The scope system/Task.u is missing."),
    Category.NOT_FOUND: (
        "Absent, or not yours to see: both answer alike.",
        "Task/example is not known.",
    ),
    Category.METHOD_NOT_ALLOWED: (
        "What an entry asks for is not served there.",
        "PATCH is not served here for AuditEvent: see /fhir/metadata.",
    ),
    Category.NOT_ACCEPTABLE: (
        "The client takes neither JSON nor XML.",
        "Enlace answers JSON or XML: send Accept: application/fhir+json or application/fhir+xml, "
        "or _format=json or xml.",
    ),
    Category.CONFLICT: (
        "Other resources refer to this one, or other requests won the race six times.",
        "Other requests changed the same resource at the same time: read it again and repeat the change.",
    ),
    Category.GONE: ("The resource was deleted; ETag names the version that did it.", "Task/example was deleted."),
    Category.STALE: (
        "If-Match names another version than the current one, or If-None-Exist matches several resources.",
        "The resource was changed since the version in If-Match: read it again and repeat the change on it.",
    ),
    Category.TOO_LARGE: ("The body or the URL is too long.", "The URL is longer than 8 KB: use POST [type]/_search."),
    Category.UNSUPPORTED_MEDIA: (
        "The body is not announced in a media type that is read here.",
        "Send the resource as Content-Type: application/fhir+json or application/fhir+xml.",
    ),
    Category.RULE: (
        "The resource breaks a rule of R4 or of the workflow; all problems at once.",
        "A Task goes from requested to accepted, rejected or cancelled.",
    ),
    Category.PRECONDITION_REQUIRED: (
        "This type is edited by several parties and needs If-Match.",
        'Task is edited by several parties: read it first, then send If-Match with its ETag, for example W/"1".',
    ),
    Category.TOO_MANY: (
        "This client sends more than its share; Retry-After says when to go on.",
        "This client sends more than 500 requests a second: try again after Retry-After seconds.",
    ),
    Category.INTERNAL: ("A fault of ours; the operator finds it by X-Request-Id.", "Our fault: quote X-Request-Id."),
    Category.UNAVAILABLE: (
        "Overloaded, stopping, or without its database; Retry-After says when to try again.",
        "The store cannot be reached now: try again.",
    ),
}
"""What a refusal means and an example of its diagnostics; status and code stand in service.errors."""

RETRY = frozenset({Category.CONFLICT, Category.TOO_MANY, Category.UNAVAILABLE})


def response_name(category: Category) -> str:
    return "".join(word.capitalize() for word in category.name.split("_"))


def refusals(*categories: Category) -> Json:
    """{"404": reference to the shared response, ...} in the order of the status."""
    ordered = sorted(categories, key=_status)
    return {str(c.status): {"$ref": f"#/components/responses/{response_name(c)}"} for c in ordered}


def header(*names: str) -> Json:
    return {name: {"$ref": f"#/components/headers/{name}"} for name in names}


def parameter(name: str) -> Json:
    return {"$ref": f"#/components/parameters/{name}"}


def schema(name: str) -> Json:
    return {"$ref": f"#/components/schemas/{name}"}


def content(schema_name: str, *examples: str) -> Json:
    """An answer: FHIR JSON of a schema, or the same as XML where that is asked for; examples name components."""
    return {**request_content(schema_name, *examples), FHIR_XML: {"schema": schema("Xml")}}


def request_content(schema_name: str, *examples: str) -> Json:
    """FHIR JSON of a schema. That every body may come as XML too stands in the description of the document."""
    media: Json = {"schema": schema(schema_name)}
    if examples:
        media["examples"] = {name: {"$ref": f"#/components/examples/{name}"} for name in examples}
    return {FHIR_JSON: media}


def _refusal(category: Category, sentence: str, diagnostics: str) -> Json:
    issue = {"severity": "error", "code": category.code, "diagnostics": diagnostics}
    headers = ["X-Request-Id"]
    if category in RETRY:
        headers.append("Retry-After")
    if category is Category.UNAUTHENTICATED:
        headers.append("WWW-Authenticate")
    if category in (Category.GONE, Category.STALE):
        headers.append("ETag")
    example = {"resourceType": "OperationOutcome", "issue": [issue]}
    return {
        "description": sentence,
        "headers": header(*sorted(headers)),
        "content": {
            FHIR_JSON: {"schema": schema("OperationOutcome"), "example": example},
            FHIR_XML: {"schema": schema("Xml")},
        },
    }


def responses() -> Json:
    return {
        response_name(category): _refusal(category, *REFUSALS[category]) for category in sorted(REFUSALS, key=_status)
    }


def _status(category: Category) -> int:
    return category.status


def _header(description: str, example: str) -> Json:
    return {"description": description, "schema": {"type": "string"}, "example": example}


HEADERS: Json = {
    "ETag": _header("The version, weak. Send it back in If-Match.", 'W/"3"'),
    "Last-Modified": _header("When this version was written.", "Sun, 08 Mar 2026 07:30:00 GMT"),
    "Location": _header("The version that was written.", "https://fhir.example.org/fhir/Task/example/_history/1"),
    "Retry-After": _header("Seconds to wait before the next try.", "1"),
    "WWW-Authenticate": _header("What is wrong with the token.", 'Bearer realm="enlace", error="invalid_token"'),
    "X-Request-Id": _header("Your X-Request-Id, or one of ours: quote it to the operator.", "7f3c9a52"),
}


def _in(place: str, name: str, description: str, required: bool = False, **more: Any) -> Json:
    kind = {"type": "string", **more.pop("kind", {})}
    return {"name": name, "in": place, "description": description, "required": required, "schema": kind, **more}


PARAMETERS: Json = {
    "If-Match": _in("header", "If-Match", "The version that the change was made on.", example='W/"3"'),
    "If-Match-required": _in("header", "If-Match", "The version that the change was made on.", True, example='W/"3"'),
    "If-Match-any": _in("header", "If-Match", "The version of the one that fits.", example='W/"3"'),
    "If-Modified-Since": _in(
        "header", "If-Modified-Since", "304 if nothing changed since; If-None-Match goes before it.",
        example="Sun, 08 Mar 2026 07:30:00 GMT",
    ),
    "If-None-Exist": _in(
        "header",
        "If-None-Exist",
        "A search that must find nothing for the resource to be created: one match answers 200 with it, several 412.",
        example="identifier=https://example.org/orders|1234",
    ),
    "If-None-Match": _in("header", "If-None-Match", "304 if this is still the version.", example='W/"3"'),
    "Prefer-handling": _in(
        "header",
        "Prefer",
        "`handling=strict` refuses unknown parameters with 400; without it they are named in a warning entry.",
        example="handling=strict",
    ),
    "Prefer-return": _in(
        "header",
        "Prefer",
        "What the answer holds.",
        kind={"enum": ["return=representation", "return=minimal", "return=OperationOutcome"]},
    ),
    "X-Request-Id": _in(
        "header", "X-Request-Id", "Yours to choose; comes back.", kind={"pattern": "^[A-Za-z0-9._-]{1,64}$"}
    ),
    "id": _in("path", "id", "The logical id.", True, kind={"pattern": ID_PATTERN}, example="example"),
    "vid": _in("path", "vid", "The version number.", True, kind={"pattern": r"^\d{1,15}$"}, example="1"),
    "compartment": _in(
        "path", "compartment", "A type whose resources belong to the record, or `*` for all.", True, example="Task"
    ),
    "criteria": {
        "name": "criteria", "in": "query", "required": True, "style": "form", "explode": True,
        "description": "Search parameters of the type, which one resource at most may fit.",
        "schema": {"type": "object", "additionalProperties": {"type": "string"}, "minProperties": 1},
        "example": {"_id": "example"},
    },
    "_at": _in("query", "_at", "Versions that were current at some time in this period.", example="2026-03"),
    "_count": _in(
        "query",
        "_count",
        "Entries per page; 50 unless told, at most 200. 0 in a search asks for the number alone.",
        kind={"type": "integer", "minimum": 0},
    ),
    "_elements": _in("query", "_elements", "Only these elements of the matches.", example="status,code"),
    "_format": _in("query", "_format", "Goes before Accept.", kind={"enum": ["json", "xml", FHIR_JSON, FHIR_XML]}),
    "_page": _in("query", "_page", "Position from the `next` link: opaque, bound to the caller and the query."),
    "_pretty": _in("query", "_pretty", "Indented for people.", kind={"enum": ["true", "false"]}),
    "_since": _in("query", "_since", "Written at this instant or later.", example="2026-03-08T07:30:00Z"),
    "_sort": _in("query", "_sort", "Search parameters to sort by, `-` for downwards.", example="-_lastUpdated"),
    "_summary": _in(
        "query", "_summary", "Shorter resources, or the number alone.",
        kind={"enum": ["true", "text", "data", "count", "false"]},
    ),
    "_summary-one": _in("query", "_summary", "A shorter resource.", kind={"enum": ["true", "text", "data", "false"]}),
    "_total": _in(
        "query", "_total", "Whether `Bundle.total` is counted.", kind={"enum": ["none", "accurate", "estimate"]}
    ),
    "_type": _in("query", "_type", "Types, separated by commas; unset: all that may be read.", example="Task"),
    "actor": _in(
        "query", "actor", "Id of a client, or reference of an Organization or a Practitioner.", required=True,
        example="Organization/1",
    ),
    "before": _in("query", "before", "The id of an attempt: those before it are listed.", example="4711"),
    "content": _in(
        "query", "content", "How much is told; never more than the Subscription has.",
        kind={"enum": ["empty", "id-only", "full-resource"]},
    ),
    "end": _in("query", "end", "The last day of care.", example="2026-03-31"),
    "eventsSinceNumber": _in("query", "eventsSinceNumber", "The first event number, included.", example="1"),
    "eventsUntilNumber": _in("query", "eventsUntilNumber", "The last event number, included.", example="20"),
    "id-listed": _in("query", "id", "Ids of Subscriptions, repeated or separated by commas; unset: all."),
    "at": _in("query", "at", "The day whose criteria, caps and codes count; unset: today.", example="2026-07-01"),
    "asOf": _in("query", "asOf", "What was committed up to this instant counts.", example="2026-06-30T23:59:59Z"),
    "measure": _in("query", "measure", "Url or id of a Measure; on the type only.", example="referrals-made"),
    "months": _in("query", "months", "How many months after the service was received.", example="6"),
    "periodEnd": _in("query", "periodEnd", "The last day on which referrals were opened.", example="2026-06-30"),
    "periodStart": _in("query", "periodStart", "The first day on which referrals were opened.", example="2026-01-01"),
    "reportType": _in("query", "reportType", "population, which is the only one.", example="population"),
    "stratifier": _in("query", "stratifier", "Only by these, such as need or plan.", example="need"),
    "before-instant": _in("query", "before", "Only notices before this moment.", example="2026-03-07T23:30:00Z"),
    "unread": _in("query", "unread", "Only notices that were not marked as read.", kind={"type": "boolean"}),
    "number": _in("query", "number", "Only attempts at this event.", example="7"),
    "outcome": _in("query", "outcome", "Only attempts that ended so.", kind={"enum": ["ok", "failed", "refused"]}),
    "resource": _in("query", "resource", "Reference of the resource.", required=True, example="Task/7f3c9a52"),
    "start": _in("query", "start", "The first day of care.", example="2026-03-01"),
    "status-listed": _in(
        "query", "status", "Subscription.status, repeated or separated by commas; unset: any.", example="active,error"
    ),
}  # fmt: skip


def security_schemes(scopes: Json, base_url: str = "") -> Json:
    """scopes: scope -> what it allows. base_url: where /auth/token lies."""
    return {
        BEARER: {
            "type": "http",
            "scheme": "bearer",
            "description": "An opaque token from /auth/token. In the sandbox `enlace token --role lcm` prints one.",
        },
        OAUTH: {
            "type": "oauth2",
            "description": "SMART Backend Services: client credentials with private_key_jwt (RS384 or ES384). "
            "https://hl7.org/fhir/smart-app-launch/STU2.2/backend-services.html",
            "flows": {"clientCredentials": {"tokenUrl": f"{base_url}/auth/token", "scopes": scopes}},
        },
    }
