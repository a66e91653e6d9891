"""What goes into the operations of the FHIR base: a resource, a form, a patch, a Bundle, parameters."""

from fhir_profiles.catalog import TypeEntry
from openapi.components import FHIR_JSON, Json, request_content, schema
from openapi.examples import (
    ALERT,
    AUTHORIZE,
    BREAK_GLASS,
    FHIRPATH_PATCH,
    FORWARD,
    HAND_OFF,
    JSON_PATCH,
    MATCH,
    MERGE_PATCH,
    NO_SERVICE,
    NOTICES_READ,
    PREFERENCES,
    REFER,
    RESEND,
    TRANSACTION,
    search_form,
)
from openapi.notification_example import NOTIFICATION

FORM = "application/x-www-form-urlencoded"


def body_of(kind: str, entry: TypeEntry | None) -> Json | None:
    """kind: as openapi/interactions.py names it."""
    name = entry.name if entry else ""
    match kind:
        case "resource":
            return {"required": True, "content": request_content(name, name)}
        case "form":
            return _form(name, entry)
        case "patch":
            return {"$ref": "#/components/requestBodies/Patch"}
        case "bundle":
            return {"required": True, "content": {FHIR_JSON: {"schema": schema("Bundle"), "example": TRANSACTION}}}
        case "notification":
            return {"required": True, "content": {FHIR_JSON: {"schema": schema("Bundle"), "example": NOTIFICATION}}}
        case "match":
            return {"required": True, "content": {FHIR_JSON: {"schema": schema("Parameters"), "example": MATCH}}}
        case "alert-reason" | "alert-snooze" | "alert-reassign" | "alert-outcome":
            return {
                "required": kind != "alert-reason",
                "content": {FHIR_JSON: {"schema": schema("Parameters"), "example": ALERT[kind]}},
            }
        case "refer":
            return {"required": False, "content": {FHIR_JSON: {"schema": schema("Parameters"), "example": REFER}}}
        case "forward":
            return {"required": True, "content": {FHIR_JSON: {"schema": schema("Parameters"), "example": FORWARD}}}
        case "hand-off":
            return {"required": True, "content": {FHIR_JSON: {"schema": schema("Parameters"), "example": HAND_OFF}}}
        case "no-service":
            return {"required": True, "content": {FHIR_JSON: {"schema": schema("Parameters"), "example": NO_SERVICE}}}
        case "authorize":
            return {"required": True, "content": {FHIR_JSON: {"schema": schema("Parameters"), "example": AUTHORIZE}}}
        case "break-glass":
            return {"required": True, "content": {FHIR_JSON: {"schema": schema("Parameters"), "example": BREAK_GLASS}}}
        case "preferences":
            return {"required": True, "content": {FHIR_JSON: {"schema": schema("Parameters"), "example": PREFERENCES}}}
        case "notices-read":
            return {"required": True, "content": {FHIR_JSON: {"schema": schema("Parameters"), "example": NOTICES_READ}}}
        case "resend":
            return {"required": True, "content": {FHIR_JSON: {"schema": schema("Parameters"), "example": RESEND}}}
        case _:
            return None


def _form(name: str, entry: TypeEntry | None) -> Json:
    text = f"The parameters of GET {'/fhir/' + name if name else '/fhir'}, so that they stand in no log of URLs."
    fields = {"type": "object", "additionalProperties": {"type": "string"}}
    example = search_form(entry) if entry else {"_type": "Patient,Task", "_count": "10"}
    return {"description": text, "content": {FORM: {"schema": fields, "example": example}}}


def shared() -> Json:
    """Bodies that many operations have in common."""
    operation = {
        "type": "object",
        "required": ["op", "path"],
        "properties": {
            "op": {"enum": ["add", "remove", "replace", "move", "copy", "test"]},
            "path": {"type": "string"},
        },
    }
    return {
        "Patch": {
            "description": "A JSON Patch (RFC 6902), a merge patch (RFC 7396) or a FHIRPath Patch, here of a Task. "
            "https://hl7.org/fhir/R4/fhirpatch.html",
            "required": True,
            "content": {
                "application/json-patch+json": {
                    "schema": {"type": "array", "items": operation},
                    "example": JSON_PATCH,
                },
                "application/merge-patch+json": {"schema": {"type": "object"}, "example": MERGE_PATCH},
                FHIR_JSON: {"schema": schema("Parameters"), "example": FHIRPATH_PATCH},
            },
        }
    }
