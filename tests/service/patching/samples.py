"""A made-up Patient, read from JSON anew for each test, and short ways to patch it."""

import copy
from decimal import Decimal
from typing import Any

from service.errors import FhirError
from service.patching.document import read_patch

PATIENT: dict[str, Any] = {
    "resourceType": "Patient",
    "id": "p",
    "meta": {"versionId": "3", "lastUpdated": "2026-01-01T00:00:00Z"},
    "active": True,
    "name": [
        {"use": "official", "family": "Made", "given": ["Up", "Second"], "_given": [None, {"id": "g2"}]},
        {"use": "nickname", "text": "Mup"},
    ],
    "telecom": [{"system": "phone", "value": "555-0100"}, {"system": "email", "value": "a@example.org"}],
    "gender": "female",
    "birthDate": "1980-02-03",
    "_birthDate": {"extension": [{"url": "http://example.org/time", "valueString": "dawn"}]},
    "deceasedBoolean": False,
    "maritalStatus": {"text": "single"},
    "contact": [{"name": {"family": "Other"}, "telecom": [{"value": "555-0101"}]}],
}
OBSERVATION: dict[str, Any] = {
    "resourceType": "Observation",
    "id": "o",
    "status": "final",
    "code": {"coding": [{"system": "http://loinc.org", "code": "1"}, {"system": "http://loinc.org", "code": "2"}]},
    "valueQuantity": {"value": Decimal("1.50"), "unit": "kg"},
}


def patched(document: Any, resource: dict[str, Any] = PATIENT, kind: str = "application/json") -> dict[str, Any]:
    return read_patch(kind, document).apply(copy.deepcopy(resource))


def parameters(*operations: dict[str, Any]) -> dict[str, Any]:
    """Each operation: its parts by name; a value is {"valueString": "x"}, {"part": [...]} or {"resource": {}}."""
    names = {"path": "valueString", "name": "valueString", "type": "valueCode"}
    rows = []
    for operation in operations:
        parts = []
        for name, value in operation.items():
            parts.append({"name": name, **(value if name == "value" else {names.get(name, "valueInteger"): value})})
        rows.append({"name": "operation", "part": parts})
    return {"resourceType": "Parameters", "parameter": rows}


def fhirpath(*operations: dict[str, Any], resource: dict[str, Any] = PATIENT) -> dict[str, Any]:
    return patched(parameters(*operations), resource)


def refused(error: FhirError) -> list[str]:
    return [issue.diagnostics for issue in error.issues]
