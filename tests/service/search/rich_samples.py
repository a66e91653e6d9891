"""The project's examples with what they lack added, so that every served parameter has a value in a valid resource."""

import copy
from decimal import Decimal
from typing import Any

from fhir_profiles import Resource
from mappers.hsds.elements import ACCESSIBLE_URL
from tests.service.search.samples import examples

META = {
    "profile": ["http://example.org/fhir/StructureDefinition/made-up|1.0"],
    "security": [
        {
            "system": "http://terminology.hl7.org/CodeSystem/v3-Confidentiality",
            "code": "R",
            "display": "Restricted",
        }
    ],
    "source": "https://source.example.org/feeds/a",
    "tag": [{"system": "http://example.org/tags", "code": "demo", "display": "Démonstration"}],
}
"""Given to every one of them."""


def concept(code: str, text: str) -> dict[str, Any]:
    return {"coding": [{"system": "http://example.org/cs", "code": code, "display": f"{text} (display)"}], "text": text}


def to(reference: str) -> dict[str, str]:
    return {"reference": reference}


def quantity(value: str, code: str, unit: str) -> dict[str, Any]:
    return {"value": Decimal(value), "unit": unit, "system": "http://unitsofmeasure.org", "code": code}


def related(rtype: str) -> list[dict[str, str]]:
    kinds = ("composed-of", "depends-on", "derived-from", "predecessor", "successor")
    return [{"type": kind, "resource": f"http://example.org/fhir/{rtype}/{kind}"} for kind in kinds]


ADDRESS = {"use": "work", "line": ["2 Elm St"], "city": "Fresno", "state": "CA", "postalCode": "93650", "country": "US"}
EMAIL = {"system": "email", "value": "Contact@Example.org"}
RESOLVED = {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/condition-clinical", "code": "resolved"}]}
PROTOCOL = {
    "instantiatesCanonical": ["http://example.org/fhir/PlanDefinition/made-up|2"],
    "instantiatesUri": ["http://example.org/protocols/made-up"],
}

USE_CONTEXT = [
    {
        "code": {
            "system": "http://terminology.hl7.org/CodeSystem/usage-context-type",
            "code": "age",
            "display": "Age",
        },
        "valueRange": {"low": quantity("18", "a", "years")},
    },
    {
        "code": {
            "system": "http://terminology.hl7.org/CodeSystem/usage-context-type",
            "code": "focus",
            "display": "Focus",
        },
        "valueCodeableConcept": concept("homeless", "Homeless"),
    },
]

ADDED: dict[str, list[dict[str, Any]]] = {
    "Patient": [{"link": [{"other": to("Patient/other"), "type": "seealso"}]}],
    "RelatedPerson": [{"address": [ADDRESS], "telecom": [EMAIL]}],
    "Practitioner": [{"address": [ADDRESS]}],
    "PractitionerRole": [{"telecom": [EMAIL], "endpoint": [to("Endpoint/e1")]}],
    "Organization": [{"address": [ADDRESS]}],
    "Location": [
        {
            "address": ADDRESS,
            "endpoint": [to("Endpoint/e1")],
            "partOf": to("Location/whole"),
            "operationalStatus": {
                "system": "http://terminology.hl7.org/CodeSystem/v2-0116",
                "code": "O",
                "display": "Occupied",
            },
        },
        {"extension": [{"url": ACCESSIBLE_URL, "valueCodeableConcept": concept("ramp", "A ramp")}]},
    ],
    "HealthcareService": [
        {"characteristic": [concept("wheelchair", "Wheelchair access")], "endpoint": [to("Endpoint/e1")]}
    ],
    "CareTeam": [{"encounter": to("Encounter/Encounter-example")}],
    "EpisodeOfCare": [{}],
    "Encounter": [
        {
            "account": [to("Account/a1")],
            "appointment": [to("Appointment/a1")],
            "basedOn": [to("ServiceRequest/ServiceRequest-example")],
            "partOf": to("Encounter/whole"),
            "reasonReference": [to("Condition/Condition-example")],
            "hospitalization": {"specialArrangement": [concept("wheel", "Wheelchair")]},
        }
    ],
    "Condition": [
        {
            "onsetAge": None,
            "clinicalStatus": RESOLVED,
            "onsetString": "In the wét winter",
            "abatementString": "By spring",
            "evidence": [{"code": [concept("cough", "Cough")]}],
            "stage": [{"summary": concept("two", "Stage two")}],
        },
        {
            "onsetAge": None,
            "clinicalStatus": RESOLVED,
            "onsetRange": {"low": quantity("20", "a", "years"), "high": quantity("30", "a", "years")},
            "abatementAge": quantity("31.5", "a", "years"),
        },
    ],
    "Observation": [
        {
            "valueQuantity": None,
            "valueString": "Sóme words",
            "device": to("Device/d1"),
            "specimen": to("Specimen/s1"),
            "focus": [to("Goal/Goal-example")],
            "partOf": [to("Procedure/Procedure-example")],
            "hasMember": [to("Observation/member")],
            "derivedFrom": [to("QuestionnaireResponse/QuestionnaireResponse-example")],
        },
        {"valueQuantity": None, "valueDateTime": "2026-02-03"},
        {
            "valueQuantity": None,
            "dataAbsentReason": concept("unknown", "Unknown"),
            "component": [
                {"code": concept("housing", "Housing"), "valueCodeableConcept": concept("none", "No housing")},
                {"code": concept("weight", "Weight"), "valueQuantity": quantity("72.5", "kg", "kilograms")},
                {"code": concept("height", "Height"), "dataAbsentReason": concept("refused", "Refused")},
            ],
        },
    ],
    "Goal": [{}],
    "CarePlan": [
        {
            **PROTOCOL,
            "basedOn": [to("CarePlan/wider")],
            "partOf": [to("CarePlan/whole")],
            "replaces": [to("CarePlan/former")],
        }
    ],
    "ServiceRequest": [
        {
            **PROTOCOL,
            "bodySite": [concept("knee", "Left knee")],
            "orderDetail": [{"text": "Twice a week"}],
            "replaces": [to("ServiceRequest/former")],
            "specimen": [to("Specimen/s1")],
        }
    ],
    "Task": [
        {
            "extension": [
                {
                    "url": "https://enlace.example.org/fhir/StructureDefinition/enlace-overdue",
                    "valueCode": "acknowledge",
                }
            ]
        }
    ],
    "Consent": [
        {
            "provision": {
                "type": "permit",
                "period": {"start": "2026-01-01", "end": "2026-12-31"},
                "actor": [{"role": concept("IRCP", "Recipient"), "reference": to("Organization/cbo")}],
                "action": [concept("disclose", "Disclose")],
                "purpose": [
                    {
                        "system": "http://terminology.hl7.org/CodeSystem/v3-ActReason",
                        "code": "TREAT",
                        "display": "Treatment",
                    }
                ],
                "securityLabel": [META["security"][0]],  # type: ignore[index]
                "data": [{"meaning": "instance", "reference": to("Observation/Observation-example")}],
            }
        }
    ],
    "Communication": [{**PROTOCOL, "partOf": [to("Procedure/Procedure-example")]}],
    "Procedure": [{**PROTOCOL, "partOf": [to("Procedure/whole")], "reasonCode": [concept("fall", "After a fall")]}],
    "Coverage": [{"policyHolder": to("Patient/parent")}],
    "Group": [{}],
    "Questionnaire": [
        {
            "jurisdiction": [concept("US-CA", "California")],
            "useContext": USE_CONTEXT,
            "item": [
                {
                    "linkId": "1",
                    "type": "string",
                    "definition": "http://example.org/fhir/StructureDefinition/x#x.name",
                    "text": "Name",
                    "code": [{"system": "http://loinc.org", "code": "45392-8", "display": "First name"}],
                }
            ],
        }
    ],
    "PlanDefinition": [
        {
            "identifier": [{"system": "http://example.org/plan-definitions", "value": "tcs"}],
            "jurisdiction": [concept("US-CA", "California")],
            "topic": [concept("treatment", "Treatment")],
            "effectivePeriod": {"start": "2026-01-01"},
            "library": ["http://example.org/fhir/Library/logic"],
            "useContext": USE_CONTEXT,
            "relatedArtifact": related("PlanDefinition"),
            "action": [{"title": "Call", "definitionCanonical": "http://example.org/fhir/ActivityDefinition/call"}],
        }
    ],
    "Measure": [
        {
            "identifier": [{"system": "http://example.org/measures", "value": "made"}],
            "jurisdiction": [concept("US-CA", "California")],
            "topic": [concept("treatment", "Treatment")],
            "effectivePeriod": {"start": "2026-01-01"},
            "library": ["http://example.org/fhir/Library/logic"],
            "useContext": USE_CONTEXT,
            "relatedArtifact": related("Measure"),
        }
    ],
    "MeasureReport": [
        {
            "identifier": [{"system": "http://example.org/measure-reports", "value": "made"}],
            "type": "individual",
            "subject": to("Patient/Patient-example"),
            "evaluatedResource": [to("Task/Task-example")],
        }
    ],
    "QuestionnaireResponse": [{"partOf": [to("Procedure/Procedure-example")]}],
    "DocumentReference": [
        {
            "content": [{"attachment": {"contentType": "text/plain", "url": "http://example.org/files/a/1.txt"}}],
            "context": {
                "event": [concept("visit", "Visit")],
                "facilityType": concept("clinic", "Clinic"),
                "practiceSetting": concept("general", "General practice"),
            },
        }
    ],
    "RiskAssessment": [
        {
            "prediction": [
                {
                    "probabilityRange": {"low": {"value": Decimal("0.2")}, "high": {"value": Decimal("0.4")}},
                    "qualitativeRisk": concept("mid", "Middling"),
                }
            ]
        }
    ],
    "List": [{"entry": None, "emptyReason": concept("nilknown", "Nil known")}],
    "Subscription": [{}],
    "Provenance": [
        {
            "target": [to("Patient/Patient-example")],
            "signature": [
                {
                    "type": [{"system": "urn:iso-astm:E1762-95:2013", "code": "1.2.840.10065.1.12.1.5"}],
                    "when": "2026-02-10T15:02:11Z",
                    "who": to("Practitioner/Practitioner-example"),
                }
            ],
        }
    ],
    "AuditEvent": [
        {
            "agent": [
                {
                    "requestor": True,
                    "role": [concept("lcm", "Lead care manager")],
                    "policy": ["http://example.org/policies/basic"],
                    "altId": "lcm-1",
                    "name": "Rosa Example",
                    "network": {"address": "192.0.2.7", "type": "2"},
                }
            ],
            "source": {"site": "Main Street", "observer": to("Organization/Organization-example")},
        }
    ],
}


def rich() -> list[Resource]:
    """Each type's example, with each set of additions."""
    originals = {r["resourceType"]: r for r in examples() if str(r["id"]).endswith("-example")}
    made = []
    for rtype, variants in ADDED.items():
        for number, added in enumerate(variants):
            resource = copy.deepcopy(originals[rtype]) | copy.deepcopy(added)
            resource["meta"] = copy.deepcopy(META)
            resource["id"] = f"{rtype}-rich-{number}"
            made.append({name: value for name, value in resource.items() if value is not None})
    return made
