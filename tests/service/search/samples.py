"""Made-up resources that carry every served search parameter: one per path from the catalog, and some by hand.

The examples of fhir_profiles/examples/ join them where they are present.
"""

import json
from decimal import Decimal
from pathlib import Path as File
from typing import Any

from fhir_profiles import Resource
from fhir_profiles.catalog import Path, SearchParameter, catalog

VALUES: dict[str, Any] = {
    "code": "some-code",
    "boolean": True,
    "truth": True,
    "string": "Élan Vital",
    "markdown": "Some *text*",
    "id": "an-id",
    "uri": "http://example.org/thing",
    "url": "http://example.org/url",
    "canonical": "http://example.org/Questionnaire/q|1.0",
    "Coding": {"system": "http://example.org/cs", "code": "AbC"},
    "CodeableConcept": {"coding": [{"system": "http://example.org/cs", "code": "x"}, {"code": "local"}], "text": "X"},
    "Identifier": {"system": "http://example.org/ids", "value": "Id-7|8"},
    "ContactPoint": {"system": "phone", "value": "+1 (916) 555-0100"},
    "Reference": {"reference": "Practitioner/pr1"},
    "date": "2026-03-08",
    "dateTime": "2026-03-08T01:30:00-08:00",
    "instant": "2026-03-08T10:00:00.123Z",
    "Period": {"start": "2026-03-01"},
    "Timing": {"event": ["2026-03-01", "2026-04-01T00:00:00Z"]},
    "HumanName": {"family": "Núñez", "given": ["Ana", "María"], "text": "Ana María Núñez"},
    "decimal": Decimal("0.25"),
    "Range": {
        "low": {"value": Decimal("18"), "unit": "years", "system": "http://unitsofmeasure.org", "code": "a"},
        "high": {"value": 65, "unit": "years", "system": "http://unitsofmeasure.org", "code": "a"},
    },
    "Quantity": {
        "value": Decimal("5.40"),
        "unit": "milligrams",
        "system": "http://unitsofmeasure.org",
        "code": "mg",
    },
    "Age": {"value": 41, "unit": "years", "system": "http://unitsofmeasure.org", "code": "a"},
    "Duration": {"value": Decimal("3.5"), "unit": "days", "system": "http://unitsofmeasure.org", "code": "d"},
    "SampledData": {
        "origin": {"value": 0, "unit": "mV", "system": "http://unitsofmeasure.org", "code": "mV"},
        "period": 10,
        "dimensions": 1,
        "data": "-2 4 E 8.5",
    },
    "BackboneElement": {"latitude": Decimal("37.9577"), "longitude": Decimal("-121.29078")},
    "Address": {"line": ["1 Main St"], "city": "Sacramento", "state": "CA", "postalCode": "95814"},
}


HOURS = {"daysOfWeek": ["tue"], "availableStartTime": "09:00:00", "availableEndTime": "16:00:00"}


def sample_value(parameter: SearchParameter, path: Path) -> Any:
    if parameter.code == "open-at" and path.datatype == "BackboneElement":
        return HOURS
    if path.datatype != "Reference":
        return VALUES[path.datatype]
    wanted = path.target or next((t for t in parameter.targets if t in catalog().types), parameter.targets[0])
    return {"reference": f"{'Patient' if parameter.targets == ('Any',) else wanted}/r1"}


def from_path(rtype: str, parameter: SearchParameter, path: Path) -> Resource:
    """A resource with exactly one value of the parameter, lists around every second step to exercise both shapes."""
    value = sample_value(parameter, path)
    for depth, step in reversed(list(enumerate(path.steps))):
        if step.field:
            value = {**value, step.field: step.value}
        value = {step.name: [value] if depth % 2 == 0 and path.datatype != "truth" else value}
    return {"resourceType": rtype, "id": "s1", **value}


def every_parameter() -> list[tuple[str, str]]:
    return [
        (name, code)
        for name, entry in catalog().types.items()
        for code, parameter in entry.search.items()
        if code not in ("_id", "_lastUpdated") and not parameter.derived
    ]


HAND_WRITTEN: list[Resource] = [
    {
        "resourceType": "Patient",
        "id": "p1",
        "meta": {
            "profile": ["http://hl7.org/fhir/us/core/StructureDefinition/us-core-patient|7.0.0"],
            "tag": [{"system": "http://example.org/tags", "code": "demo"}],
        },
        "identifier": [
            {"system": "https://enlace.example.org/fhir/NamingSystem/medi-cal-cin", "value": "91234567A"},
            {"value": "no-system"},
        ],
        "active": True,
        "name": [
            {"family": "Núñez", "given": ["Ana", None, "María"], "_given": [None, {"id": "x"}, None]},
            {"text": "Anita"},
        ],
        "telecom": [{"system": "phone", "value": "(916) 555-0100"}, {"system": "email", "value": "Ana@Example.org"}],
        "gender": "female",
        "birthDate": "1980-02-03",
        "deceasedDateTime": "2026-01",
        "address": [{"line": ["1 Main St", "Apt 2"], "city": "Sacramento", "state": "CA", "postalCode": "95814"}],
        "communication": [{"language": {"coding": [{"system": "urn:ietf:bcp:47", "code": "es"}]}}],
        "generalPractitioner": [{"reference": "Practitioner/pr1"}],
        "managingOrganization": {"reference": "https://enlace.test/fhir/Organization/o1"},
    },
    {
        "resourceType": "Task",
        "id": "t1",
        "identifier": [{"system": "http://example.org/tasks", "value": "T,1"}],
        "basedOn": [{"reference": "#contained"}, {"reference": "urn:uuid:7ad4a0a2-0000-4000-8000-000000000000"}],
        "status": "requested",
        "intent": "order",
        "businessStatus": {"coding": [{"system": "http://example.org/bs", "code": "New"}]},
        "focus": {"reference": "ServiceRequest/sr1/_history/3"},
        "for": {"reference": "Patient/p1"},
        "authoredOn": "2026-03-08T01:30:00-08:00",
        "executionPeriod": {"end": "2026-04"},
        "requester": {"identifier": {"system": "http://hl7.org/fhir/sid/us-npi", "value": "1234567893"}},
        "owner": {"reference": "http://elsewhere.test/fhir/Organization/o9"},
        "output": [{"type": {"text": "done"}, "valueReference": {"reference": "Procedure/pc1"}}],
    },
    {
        "resourceType": "Encounter",
        "id": "e1",
        "status": "finished",
        "class": {"system": "http://terminology.hl7.org/CodeSystem/v3-ActCode", "code": "IMP"},
        "subject": {"reference": "Group/g1"},
        "participant": [
            {"individual": {"reference": "Practitioner/pr1"}},
            {"individual": {"reference": "PractitionerRole/pr2"}},
        ],
        "period": {"start": "2026-03-01T10:00:00Z", "end": "2026-03-04"},
        "hospitalization": {"dischargeDisposition": {"coding": [{"code": "home"}]}},
    },
    {
        "resourceType": "Condition",
        "id": "c1",
        "extension": [
            {"url": "http://example.org/other", "valueDateTime": "2001"},
            {"url": "http://hl7.org/fhir/StructureDefinition/condition-assertedDate", "valueDateTime": "2026-02-01"},
        ],
        "code": {"coding": [{"system": "http://snomed.info/sct", "code": "32911000"}]},
        "subject": {"reference": "Patient/p1"},
        "onsetPeriod": {"start": "2025", "end": "2026"},
        "abatementDateTime": "2026-05-01",
        "recordedDate": "2026-02-02",
    },
    {
        "resourceType": "Observation",
        "id": "o1",
        "status": "final",
        "code": {"coding": [{"system": "http://loinc.org", "code": "71802-3"}]},
        "subject": {"reference": "Patient/p1"},
        "effectiveInstant": "2026-03-08T10:00:00.5Z",
        "valueCodeableConcept": {"coding": [{"system": "http://loinc.org", "code": "LA30189-7"}]},
        "component": [{"code": {"text": "n"}, "valueQuantity": {"value": Decimal("1.50")}}],
    },
    {
        "resourceType": "Group",
        "id": "g1",
        "type": "person",
        "actual": True,
        "member": [{"entity": {"reference": "Patient/p1"}}, {"entity": {"reference": "Patient/p2"}}],
        "characteristic": [
            {"code": {"coding": [{"code": "a"}]}, "valueBoolean": False, "exclude": False},
            {"code": {"coding": [{"code": "b"}]}, "valueCodeableConcept": {"coding": [{"code": "z"}]}, "exclude": True},
        ],
    },
    {
        "resourceType": "AuditEvent",
        "id": "a1",
        "type": {"system": "http://terminology.hl7.org/CodeSystem/audit-event-type", "code": "rest"},
        "recorded": "2026-03-08T10:00:00Z",
        "agent": [{"who": {"reference": "Practitioner/pr1"}, "requestor": True}],
        "entity": [{"what": {"reference": "Patient/p1"}}, {"what": {"reference": "Task/t1"}}],
    },
    {
        "resourceType": "QuestionnaireResponse",
        "id": "qr1",
        "questionnaire": "https://enlace.test/fhir/Questionnaire/q1|2.0",
        "status": "completed",
        "subject": {"reference": "Patient/p1"},
        "authored": "2026-03-08",
    },
    {
        "resourceType": "CarePlan",
        "id": "cp1",
        "status": "active",
        "intent": "plan",
        "subject": {"reference": "Patient/p1"},
        "activity": [
            {
                "detail": {
                    "status": "scheduled",
                    "scheduledTiming": {"repeat": {"boundsPeriod": {"start": "2026-03-01"}}},
                    "performer": [{"reference": "Patient/p2"}],
                }
            }
        ],
    },
]


def examples() -> list[Resource]:
    """The hand-written ones above and the project's example files of served types."""
    folder = File(__file__).parents[3] / "fhir_profiles" / "examples"
    files = sorted(folder.glob("*.json")) if folder.is_dir() else []
    loaded = [json.loads(file.read_text("utf-8"), parse_float=Decimal) for file in files]
    return HAND_WRITTEN + [item for item in loaded if item.get("resourceType") in catalog().types]
