"""Examples of what goes in and comes out, each valid for the schema of its type (tests/openapi/test_examples.py)."""

import json
from typing import Any

from fhir_profiles.catalog import HERE as PROFILES
from fhir_profiles.catalog import TypeEntry, catalog
from openapi import notifications
from openapi.components import Json

BASE = "https://fhir.example.org/fhir"
WHEN = "2026-03-08T07:30:00.000Z"
SEARCH, HISTORY = "-search", "-history"
"""Endings of the names of a type's Bundles among the components."""

NO_PROBLEM: Json = {
    "resourceType": "OperationOutcome",
    "issue": [{"severity": "information", "code": "informational", "diagnostics": "No problems were found."}],
}
PROBLEM: Json = {
    "resourceType": "OperationOutcome",
    "issue": [
        {
            "severity": "error",
            "code": "required",
            "diagnostics": "status is required: add it.",
            "expression": ["Task.status"],
        }
    ],
}
MESSAGE = (
    "MSH|^~\\&|ADT|VALLEY|ENLACE|ENLACE|20260307223000-0800||ADT^A01^ADT_A01|MSG00001|P|2.5.1\r"
    "EVN|A01|20260307223000-0800\r"
    "PID|1||MRN0001^^^VALLEY^MR||Example^Made-Up||19700101|F\r"
    "PV1|1|I|4W^401^1||||||||||||||||V0001\r"
)
ACKNOWLEDGEMENT = (
    "MSH|^~\\&|ENLACE|ENLACE|ADT|VALLEY|20260308063000+0000||ACK^A01^ACK|0b5d7c1e|P|2.5.1\rMSA|AA|MSG00001\r"
)
JSON_PATCH = [{"op": "add", "path": "/language", "value": "en"}]
MERGE_PATCH = {"language": "en"}
FHIRPATH_PATCH: Json = {
    "resourceType": "Parameters",
    "parameter": [
        {
            "name": "operation",
            "part": [
                {"name": "type", "valueCode": "add"},
                {"name": "path", "valueString": "Task"},
                {"name": "name", "valueString": "language"},
                {"name": "value", "valueCode": "en"},
            ],
        }
    ],
}
BREAK_GLASS: Json = {
    "resourceType": "Parameters",
    "parameter": [
        {"name": "reason", "valueString": "Made-up: found unconscious, the hospital asks for the medicines."},
        {"name": "minutes", "valueInteger": 30},
    ],
}
PREFERENCES: Json = {
    "resourceType": "Parameters",
    "parameter": [
        {
            "name": "preference",
            "part": [
                {"name": "kind", "valueCode": "*"},
                {"name": "channel", "valueCode": "in-app"},
                {"name": "channel", "valueCode": "email"},
                {"name": "quiet", "valueString": "22:00-06:00"},
                {"name": "digest", "valueString": "08:00"},
                {"name": "zone", "valueString": "America/Los_Angeles"},
            ],
        }
    ],
}
NOTICES_READ: Json = {"resourceType": "Parameters", "parameter": [{"name": "read", "valueString": "7213"}]}
FORWARD: Json = {
    "resourceType": "Parameters",
    "parameter": [
        {"name": "target", "valueReference": {"reference": "Organization/cbo-1"}},
        {"name": "target", "valueReference": {"reference": "Organization/cbo-2"}},
        {"name": "policy", "valueCode": "first-completes"},
    ],
}
HAND_OFF: Json = {
    "resourceType": "Parameters",
    "parameter": [
        {"name": "participant", "valueReference": {"reference": "Patient/example"}},
        {"name": "participant", "valueReference": {"reference": "Organization/cbo-1"}},
        {"name": "accepted-by", "valueReference": {"reference": "Organization/cbo-1"}},
        {"name": "follow-up", "valueDate": "2026-04-01"},
    ],
}
REFER: Json = {
    "resourceType": "Parameters",
    "parameter": [
        {"name": "target", "valueReference": {"reference": "Organization/cbo-1"}},
        {"name": "priority", "valueCode": "urgent"},
        {"name": "due", "valueDate": "2026-04-01"},
    ],
}
RESEND: Json = {
    "resourceType": "Parameters",
    "parameter": [
        {"name": "eventsSinceNumber", "valueString": "12"},
        {"name": "eventsUntilNumber", "valueString": "20"},
    ],
}
MATCH: Json = {
    "resourceType": "Parameters",
    "parameter": [
        {
            "name": "resource",
            "resource": {
                "resourceType": "Patient",
                "name": [{"family": "Example", "given": ["Made-Up"]}],
                "birthDate": "1970-01-01",
            },
        },
        {"name": "onlyCertainMatches", "valueBoolean": False},
        {"name": "count", "valueInteger": 5},
    ],
}
TRANSACTION: Json = {
    "resourceType": "Bundle",
    "type": "transaction",
    "entry": [
        {
            "fullUrl": "urn:uuid:4b4a6a1c-9d5c-4a2e-8f0b-5f4f9f0f6a11",
            "resource": {"resourceType": "Organization", "active": True, "name": "Made-Up Pantry"},
            "request": {"method": "POST", "url": "Organization", "ifNoneExist": "name:exact=Made-Up Pantry"},
        },
        {
            "fullUrl": "urn:uuid:4b4a6a1c-9d5c-4a2e-8f0b-5f4f9f0f6a12",
            "resource": {
                "resourceType": "Location",
                "name": "Front desk",
                "managingOrganization": {"reference": "urn:uuid:4b4a6a1c-9d5c-4a2e-8f0b-5f4f9f0f6a11"},
            },
            "request": {"method": "POST", "url": "Location"},
        },
    ],
}
TRANSACTION_RESPONSE: Json = {
    "resourceType": "Bundle",
    "type": "transaction-response",
    "entry": [
        {
            "response": {
                "status": "201 Created",
                "location": f"{BASE}/{rtype}/7f3c9a52/_history/1",
                "etag": 'W/"1"',
                "lastModified": WHEN,
            }
        }
        for rtype in ("Organization", "Location")
    ],
}
SAID: Json = {"resourceType": "Parameters", "parameter": [{"name": "decision", "valueCode": "permit"}]}
METRICS = 'enlace_jobs{queue="adt.apply",state="ready"} 0.0\n'


def components() -> Json:
    """The named examples that operations refer to: a resource and its Bundles for each type."""
    found: Json = {}
    for name, entry in sorted(catalog().types.items()):
        found[name] = {"value": resource(name)}
        if "search-type" in entry.interactions:
            found[name + SEARCH] = {"summary": f"One {name} found", "value": searchset(name)}
        if "history-instance" in entry.interactions:
            found[name + HISTORY] = {"summary": "As it was created", "value": history(name)}
    return found | {
        "NoProblem": {"summary": "Nothing is wrong", "value": NO_PROBLEM},
        "Problem": {"summary": "An element is missing", "value": PROBLEM},
        "TransactionResponse": {"summary": "Both were created", "value": TRANSACTION_RESPONSE},
        "CapabilityStatement": {"summary": "Shortened", "value": capabilities()},
        "Parameters": {"summary": "What an operation said", "value": SAID},
        **notifications.examples(BASE),
    }


def resource(rtype: str) -> Json:
    found: Json = json.loads((PROFILES / "examples" / f"{rtype}-example.json").read_text("utf-8"))
    return found


def searchset(rtype: str) -> Json:
    """What a search that finds the example answers."""
    return _bundle("searchset", f"{BASE}/{rtype}?_count=50", rtype, {"search": {"mode": "match"}})


def history(rtype: str) -> Json:
    """The versions of the example: one, its creation."""
    entry = {
        "request": {"method": "POST", "url": rtype},
        "response": {"status": "201", "etag": 'W/"1"', "lastModified": WHEN},
    }
    return _bundle("history", f"{BASE}/{rtype}/{resource(rtype)['id']}/_history", rtype, entry)


def _bundle(kind: str, url: str, rtype: str, entry: dict[str, Any]) -> Json:
    found = resource(rtype)
    return {
        "resourceType": "Bundle",
        "id": "7f3c9a52",
        "meta": {"lastUpdated": WHEN},
        "type": kind,
        "link": [{"relation": "self", "url": url}],
        "entry": [{"fullUrl": f"{BASE}/{rtype}/{found['id']}", "resource": found, **entry}],
    }


def capabilities() -> Json:
    """The CapabilityStatement with one of its types."""
    statement = {**catalog().statement, "url": f"{BASE}/metadata"}
    rest = {**statement["rest"][0]}
    rest["resource"] = [one for one in rest["resource"] if one["type"] == "Organization"]
    statement["rest"] = [rest]
    return statement


def search_form(entry: TypeEntry) -> dict[str, str]:
    """A form for POST [type]/_search: by patient where the type has one."""
    asked = {"patient": "Patient/Patient-example"} if "patient" in entry.search else {}
    return {**asked, "_count": "10"}


ALERT: dict[str, Json] = {
    "alert-reason": {
        "resourceType": "Parameters",
        "parameter": [{"name": "reason", "valueString": "Called the ward"}],
    },
    "alert-snooze": {"resourceType": "Parameters", "parameter": [{"name": "minutes", "valueInteger": 60}]},
    "alert-reassign": {
        "resourceType": "Parameters",
        "parameter": [{"name": "to", "valueReference": {"reference": "Practitioner/maria-lopez"}}],
    },
    "alert-outcome": {"resourceType": "Parameters", "parameter": [{"name": "code", "valueCode": "reached"}]},
}
"""Bodies of the operations on alerts."""
NO_SERVICE: Json = {
    "resourceType": "Parameters",
    "parameter": [
        {"name": "reason", "valueCode": "no-capacity"},
        {"name": "searched", "valueString": "food-insecurity, 10 miles around Stockton, Spanish"},
    ],
}
AUTHORIZE: Json = {
    "resourceType": "Parameters",
    "parameter": [
        {"name": "outcome", "valueCode": "approved"},
        {"name": "number", "valueString": "CS-2026-0042"},
        {"name": "period", "valuePeriod": {"start": "2026-03-09", "end": "2026-09-08"}},
        {
            "name": "quantity",
            "valueQuantity": {"value": 80, "unit": "h", "system": "http://unitsofmeasure.org", "code": "h"},
        },
    ],
}
