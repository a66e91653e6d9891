"""The operator's API of hospital feeds: /adt/feeds, /adt/messages, /adt/replay."""

from openapi.components import BEARER, Json, refusals
from service.api.feed_questions import MOST, OPEN, PERSONAL
from service.errors import Category as C
from service.store.inbox import STATES

_TEXT: Json = {"type": "string"}
_COUNT: Json = {"type": "integer"}
_YES: Json = {"type": "boolean"}
_FEED: Json = {
    "name": "san-marcelo-adt",
    "active": True,
    "last_seen": "2026-03-02T16:25:00.000000Z",
    "messages": {"last_hour": 62, "last_day": 1310, "last_week": 9120, "per_minute": 1.03},
    "expected_this_hour": 58.4,
    "error_share": 0.0,
    "answer": {"mean_ms": 4.2, "most_ms": 61.0},
    "waiting": 0,
    "alarms": [],
}
_MESSAGE: Json = {
    "id": 890940000000000000,
    "source": "san-marcelo-adt",
    "control_id": "TEST-0002",
    "event": "A01",
    "state": "unmatched",
    "reason": "no-candidate",
    "words": "No member has this number, or this surname and birth date.",
    "remedy": "None for a stranger.",
    "same_control_id": False,
}
_TRIAL: Json = {"asked": 1, "looked": 1, "changed": 0, "messages": [{"id": _MESSAGE["id"], "changes": False}]}
_OBJECT: Json = {"type": "object"}
_ERROR: Json = {"type": "object", "properties": {"error": _TEXT, "error_description": _TEXT}, "required": ["error"]}
_ID: Json = {"name": "id", "in": "path", "required": True, "schema": _COUNT, "description": "Number of the message."}
_SHAPES: dict[str, Json] = {"state": {"type": "string", "enum": [*STATES]}, "limit": _COUNT, "look": _COUNT}
_CONTENT: Json = {
    "name": "content", "in": "query", "schema": _YES, "description": "Also the message and its FHIR; sandbox only.",
}  # fmt: skip


def paths() -> Json:
    asked: Json = {"type": "object", "properties": {n: _SHAPES.get(n, _TEXT) for n in (*OPEN, *PERSONAL)}}
    more = {"ids": {"type": "array", "items": _COUNT, "maxItems": MOST}, "reason": _TEXT, "trial": _YES}
    replayed: Json = {"type": "object", "properties": {**asked["properties"], **more}}
    tried: Json = {"type": "object", "properties": {"trial": _YES}}
    query = [{"name": name, "in": "query", "schema": _SHAPES.get(name, _TEXT)} for name in OPEN]
    found = {"messages": [_MESSAGE], "unseen": None}
    one = {**_MESSAGE, "understood": [{"effect": "admit"}], "alerts": []}
    return {
        "/adt/feeds": {"get": _operation("feeds", "Show how each hospital feed does", {"feeds": [_FEED]})},
        "/adt/messages": {
            "get": {"parameters": query} | _operation("messages", "List received hospital messages", found)
        },
        "/adt/messages/_search": {
            "post": _operation("messageSearch", "Find hospital messages by what is about a person", found)
            | _body(asked, {"mrn": "M-4711", "event": "A01"})
        },
        "/adt/messages/{id}": {
            "get": {"parameters": [_ID, _CONTENT]} | _operation("message", "Show one message on one view", one)
        },
        "/adt/messages/{id}/replay": {
            "post": {"parameters": [_ID]}
            | _operation("messageReplay", "Process one message again, or try to", _TRIAL)
            | _body(tried, {"trial": True}, required=False)
        },
        "/adt/replay": {
            "post": _operation("replay", "Process messages again, or try to", _TRIAL)
            | _body(replayed, {"state": "unmatched", "reason": "no-candidate", "trial": True})
        },
    }


def _body(schema: Json, example: Json, *, required: bool = True) -> Json:
    return {
        "requestBody": {"required": required, "content": {"application/json": {"schema": schema, "example": example}}}
    }


def _operation(name: str, summary: str, example: Json) -> Json:
    nothing = {"error": "not_found", "error_description": "There is nothing at this address."}
    wrong = {"error": "invalid_request", "error_description": "limit is a number from 1 to 1000."}
    return {
        "tags": ["hl7v2"],
        "operationId": name,
        "summary": summary,
        "description": "For the role admin with the scope system/*.cruds; for all others there is nothing here.",
        "security": [{BEARER: []}],
        "responses": {
            "200": _answer("Done.", _OBJECT, example),
            "400": _answer("What is wrong, all at once.", _ERROR, wrong),
            "401": _answer("No good token.", _ERROR, {"error": "invalid_token"}),
            "403": _answer("The scope is missing.", _ERROR, {"error": "insufficient_scope"}),
            "404": _answer("No such message, or not for you.", _ERROR, nothing),
            **refusals(C.UNAVAILABLE),
        },
    }


def _answer(text: str, schema: Json, example: Json) -> Json:
    return {"description": text, "content": {"application/json": {"schema": schema, "example": example}}}
