"""Modifiers and composites as a client writes them: each finds what it should and nothing beside it."""

import pytest

from fhir_profiles import Resource
from fhir_profiles.catalog import catalog
from service.errors import FhirError
from service.search.clauses import modifiers
from service.search.criteria import AllOf, HasKey, HasNumber
from service.search.keys import Keys
from service.search.query import parse
from service.search.values import index_rows
from tests.service.search.memory import matches

KEYS = Keys(b"k")
BASE = "https://enlace.test/fhir"
OURS = "https://enlace.example.org/fhir/CodeSystem/"
SETS = "https://enlace.example.org/fhir/ValueSet/"
UCUM = "http://unitsofmeasure.org"
LOINC = "http://loinc.org"


def coded(code: str, system: str = OURS + "cs-service", **more: str) -> dict:
    return {"coding": [{"system": system, "code": code, **more}]}


SERVICE: Resource = {
    "resourceType": "ServiceRequest",
    "id": "sr1",
    "status": "active",
    "intent": "order",
    "code": coded("alf-ongoing", display="Diversión y (más)"),
    "category": [{"text": "Community, Supports | $5"}],
}
PARENT: Resource = {**SERVICE, "code": coded("assisted-living-transitions")}
PATIENT: Resource = {
    "resourceType": "Patient",
    "id": "p1",
    "identifier": [
        {
            "type": {
                "coding": [{"system": "http://terminology.hl7.org/CodeSystem/v2-0203", "code": "MR"}],
                "text": "Médical record number",
            },
            "system": "http://example.org/mrn",
            "value": "A|7",
        }
    ],
    "name": [{"family": "O'Brien-Núñez", "given": ["Mary  Ann"]}],
}
OBSERVATION: Resource = {
    "resourceType": "Observation",
    "id": "o1",
    "status": "final",
    "code": coded("85354-9", LOINC),
    "component": [
        {
            "code": coded("8480-6", LOINC),
            "valueQuantity": {"value": 120, "unit": "mmHg", "system": UCUM, "code": "mm[Hg]"},
        },
        {
            "code": coded("8462-4", LOINC),
            "valueQuantity": {"value": 80, "unit": "mmHg", "system": UCUM, "code": "mm[Hg]"},
        },
        {"code": coded("71802-3", LOINC), "valueCodeableConcept": coded("LA$1", LOINC)},
    ],
}
WEIGHT: Resource = {
    "resourceType": "Observation",
    "id": "o2",
    "status": "final",
    "code": {"coding": [{"system": LOINC, "code": "29463-7"}, {"code": "Weight"}]},
    "valueQuantity": {"value": 72, "unit": "kg", "system": UCUM, "code": "kg"},
}
DATED: Resource = {
    "resourceType": "Observation",
    "id": "o3",
    "status": "final",
    "code": coded("11778-8", LOINC),
    "valueDateTime": "2026-05-01",
}
SPOKEN: Resource = {**DATED, "id": "o4", "valueString": "Señal débil"}
del SPOKEN["valueDateTime"]
GROUP: Resource = {
    "resourceType": "Group",
    "id": "g1",
    "type": "person",
    "actual": True,
    "characteristic": [
        {"code": coded("a"), "valueBoolean": True, "exclude": False},
        {"code": coded("b"), "valueCodeableConcept": coded("z"), "exclude": False},
    ],
}
DOCUMENT: Resource = {
    "resourceType": "DocumentReference",
    "id": "d1",
    "status": "current",
    "content": [{"attachment": {"url": "http://example.org/files/a/1.txt"}}],
    "relatesTo": [
        {"code": "replaces", "target": {"reference": "DocumentReference/old"}},
        {"code": "appends", "target": {"reference": BASE + "/DocumentReference/base"}},
    ],
}
QUESTIONNAIRE: Resource = {
    "resourceType": "Questionnaire",
    "id": "q1",
    "url": "http://example.org/fhir/Questionnaire/housing/short",
    "status": "active",
}


MANY_SEGMENTS = ",".join("http://x" + f"/{letter}" * 490 for letter in "abc")


def finds(resource: Resource, name: str, value: str) -> bool:
    rtype = resource["resourceType"]
    criteria = parse(rtype, [(name, value)], KEYS, strict=True, now_us=1_790_000_000_000_000, base_url=BASE)
    return matches(criteria, index_rows(resource, rtype, KEYS, BASE), resource["id"], 0)


def refusal(rtype: str, name: str, value: str) -> str:
    with pytest.raises(FhirError) as caught:
        parse(rtype, [(name, value)], KEYS, strict=True, now_us=0, base_url=BASE)
    return caught.value.issues[0].diagnostics


@pytest.mark.parametrize(
    ("resource", "name", "value", "expected"),
    [
        # strings: without case and accents, anywhere
        (PATIENT, "family:contains", "brien", True),
        (PATIENT, "family:contains", "NUNEZ", True),
        (PATIENT, "family:contains", "ñe", True),
        (PATIENT, "family:contains", "nunes", False),
        (PATIENT, "given:contains", "y a", True),
        (PATIENT, "given:contains", "Ann  x,ANN", True),
        # :text, of displays, texts and types of identifiers
        (SERVICE, "code:text", "diversion", True),
        (SERVICE, "code:text", "DIVERSIÓN Y (MAS)", True),
        (SERVICE, "code:text", "mas", False),
        (SERVICE, "category:text", "community\\, supports \\| \\$5", True),
        (SERVICE, "category:text", "nothing,community", True),
        (PATIENT, "identifier:text", "medical", True),
        (PATIENT, "identifier:text", "A|7", False),
        # identifiers by type
        (PATIENT, "identifier:of-type", "http://terminology.hl7.org/CodeSystem/v2-0203|MR|A\\|7", True),
        (PATIENT, "identifier:of-type", "http://terminology.hl7.org/CodeSystem/v2-0203|mr|A\\|7", True),
        (PATIENT, "identifier:of-type", "http://terminology.hl7.org/CodeSystem/v2-0203|MR|a\\|7", False),
        (PATIENT, "identifier:of-type", "http://terminology.hl7.org/CodeSystem/v2-0203|SS|A\\|7", False),
        # value sets and hierarchies
        (SERVICE, "code:in", SETS + "cs-service", True),
        (SERVICE, "code:in", SETS + "cs-service|0.1.0", True),
        (SERVICE, "code:in", SETS + "ecm-pof", False),
        (SERVICE, "code:in", f"{SETS}ecm-pof,{SETS}cs-service", True),
        (SERVICE, "code:not-in", SETS + "cs-service", False),
        (SERVICE, "code:not-in", SETS + "ecm-pof", True),
        (SERVICE, "status:in", "http://hl7.org/fhir/ValueSet/request-status", True),
        (SERVICE, "status:in", "http://hl7.org/fhir/ValueSet/task-status", False),
        (SERVICE, "code:below", OURS + "cs-service|assisted-living-transitions", True),
        (SERVICE, "code:below", OURS + "cs-service|housing-deposits", False),
        (SERVICE, "code:below", OURS + "cs-service|alf-ongoing", True),
        (SERVICE, "code:above", OURS + "cs-service|alf-ongoing", True),
        (SERVICE, "code:above", OURS + "cs-service|housing-deposits", False),
        (SERVICE, "code:below", OURS + "cs-service|no-such-code", False),
        (PARENT, "code:above", OURS + "cs-service|alf-ongoing", True),
        (PARENT, "code:below", OURS + "cs-service|alf-ongoing", False),
        # uris
        (QUESTIONNAIRE, "url:below", "http://example.org/fhir/Questionnaire/housing", True),
        (QUESTIONNAIRE, "url:below", "http://example.org/fhir/Questionnaire/housing/", True),
        (QUESTIONNAIRE, "url:below", "http://example.org/fhir/Questionnaire/hous", False),
        (QUESTIONNAIRE, "url:below", "http://example.org/fhir/Questionnaire/housing/short", True),
        (QUESTIONNAIRE, "url:below", "http://example.org/fhir/questionnaire", False),
        (QUESTIONNAIRE, "url:above", "http://example.org/fhir/Questionnaire/housing/short/v/1", True),
        (QUESTIONNAIRE, "url:above", "http://example.org/fhir/Questionnaire/housing", False),
        (DOCUMENT, "location:below", "http://example.org/files", True),
        # composites: both from one element
        (OBSERVATION, "component-code-value-quantity", "8480-6$120", True),
        (OBSERVATION, "component-code-value-quantity", f"{LOINC}|8480-6$gt100", True),
        (OBSERVATION, "component-code-value-quantity", f"{LOINC}|8480-6$gt100|{UCUM}|mm[Hg]", True),
        (OBSERVATION, "component-code-value-quantity", f"{LOINC}|8462-4$gt100", False),
        (OBSERVATION, "component-code-value-quantity", "8462-4$gt100,8462-4$lt90||mmHg", True),
        (OBSERVATION, "component-code-value-quantity", "|8480-6$120", False),
        (OBSERVATION, "combo-code-value-quantity", "8480-6$120", True),
        (OBSERVATION, "combo-code-value-quantity", "85354-9$120", False),
        (OBSERVATION, "code-value-quantity", "8480-6$120", False),
        (OBSERVATION, "component-code-value-concept", "71802-3$LA\\$1", True),
        (OBSERVATION, "component-code-value-concept", f"{LOINC}|71802-3${LOINC}|la\\$1", True),
        (OBSERVATION, "component-code-value-concept", "8480-6$LA\\$1", False),
        (OBSERVATION, "combo-code", "8480-6", True),
        (OBSERVATION, "combo-code:not", "8480-6", False),
        (OBSERVATION, "combo-code:not", "29463-7", True),
        (OBSERVATION, "combo-value-quantity", "le80", True),
        (WEIGHT, "code-value-quantity", f"{LOINC}|29463-7$72", True),
        (WEIGHT, "code-value-quantity", f"weight$72000|{UCUM}|g", True),
        (WEIGHT, "code-value-quantity", "|weight$gt70", True),
        (WEIGHT, "code-value-quantity", f"{LOINC}|29463-7$lt72", False),
        (WEIGHT, "combo-code-value-quantity", "29463-7$72", True),
        (WEIGHT, "code-value-quantity:missing", "false", True),
        (WEIGHT, "code-value-date:missing", "true", True),
        (WEIGHT, "combo-code-value-quantity:missing", "true", False),
        (WEIGHT, "component-code-value-quantity:missing", "true", True),
        (DATED, "code-value-date", "11778-8$2026-05", True),
        (DATED, "code-value-date", "11778-8$gt2026-05", False),
        (SPOKEN, "code-value-string", "11778-8$senal", True),
        (SPOKEN, "code-value-string", "11778-8$debil", False),
        (GROUP, "characteristic-value", "a$true", True),
        (GROUP, "characteristic-value", "b$true", False),
        (GROUP, "characteristic-value", f"{OURS}cs-service|b$z", True),
        (GROUP, "characteristic-value", "a$z", False),
        (DOCUMENT, "relationship", "replaces$DocumentReference/old", True),
        (DOCUMENT, "relationship", "http://hl7.org/fhir/document-relationship-type|replaces$old", True),
        (DOCUMENT, "relationship", "http://example.org|replaces$old", False),
        (DOCUMENT, "relationship", "appends$DocumentReference/base", True),
        (DOCUMENT, "relationship", f"appends${BASE}/DocumentReference/base", True),
        (DOCUMENT, "relationship", "appends$DocumentReference/old", False),
    ],
)
def test_forms(resource: Resource, name: str, value: str, expected: bool):
    assert finds(resource, name, value) is expected


@pytest.mark.parametrize(
    ("rtype", "name", "value", "sentence"),
    [
        ("ServiceRequest", "code:in", "http://example.org/ValueSet/other", "below " + SETS),
        ("ServiceRequest", "code:in", SETS + "cs-service|9.9", "is held here"),
        ("ServiceRequest", "code:below", "assisted-living-transitions", "system|code"),
        ("ServiceRequest", "code:above", "http://snomed.info/sct|1", "below " + OURS),
        ("ServiceRequest", "code:below", OURS + "cs-service|", "system|code"),
        ("ServiceRequest", "code:text", "\u0301", "letters or digits"),
        ("Patient", "identifier:in", SETS + "ecm-pof", ":not, :text, :of-type, :missing"),
        ("Patient", "identifier:of-type", "a|b", "system|code|value"),
        ("Patient", "identifier:of-type", "a||b", "system|code|value"),
        ("Patient", "phone:text", "x", ":not, :missing"),
        ("Patient", "active:in", SETS + "ecm-pof", ":not, :missing"),
        ("Questionnaire", "url:above", "urn:uuid:1", "takes URLs"),
        ("Questionnaire", "url:below", "http://" + "x" * 500, "500 characters"),
        ("Questionnaire", "url:above", MANY_SEGMENTS, "too many"),
        ("Observation", "code-value-quantity:not", "a$1", "takes the modifiers :missing"),
        ("Observation", "code-value-quantity", "a", "with a '$' between"),
        ("Observation", "code-value-quantity", "a$", "with a '$' between"),
        ("Observation", "code-value-quantity", "a$1$2", "with a '$' between"),
        ("Observation", "component-code-value-quantity", "http://x|$1", "not a system alone"),
        ("Observation", "component-code-value-quantity", "a$x", "a number"),
        ("Observation", "value-quantity:text", "1", ":missing"),
        ("RiskAssessment", "probability", "half", "a number"),
        ("Location", "near:missing", "maybe", "true or false"),
    ],
)  # fmt: skip
def test_refusals(rtype: str, name: str, value: str, sentence: str):
    assert sentence in refusal(rtype, name, value)


def test_a_composite_of_single_elements_is_a_conjunction_without_rows():
    criteria = parse("Observation", [("code-value-quantity", "a$5")], KEYS, strict=True, now_us=0, base_url=BASE)
    (both,) = criteria.clauses
    assert isinstance(both, AllOf)
    assert [type(part) for part in both.clauses] == [HasKey, HasNumber]
    alone = {**WEIGHT, "component": []}
    assert len(index_rows(alone, "Observation", KEYS, BASE).numbers) == 3


def test_every_modifier_that_is_named_is_executed():
    """None of those that a refusal names is refused as a modifier."""
    for rtype, entry in catalog().types.items():
        for code, parameter in entry.search.items():
            for modifier in modifiers(parameter) if code not in ("_id", "_lastUpdated", "_security") else ():
                name = f"{code}:{parameter.targets[0] if modifier == '[type]' else modifier}"
                try:
                    parse(rtype, [(name.replace("Any", "Patient"), "x")], KEYS, strict=True, now_us=0, base_url=BASE)
                except FhirError as refused:
                    assert "takes the modifiers" not in refused.issues[0].diagnostics, (rtype, name)
