"""fhir.resources behind its wall: it words, it never raises, it repeats no value."""

from typing import Any

import pytest

from fhir_profiles.models import explain, fhirpath
from tests.fhir_profiles.examples import load, valid


def example(rtype: str) -> Any:
    return load(next(path for path in valid() if path.name == f"{rtype}-example.json"))


def test_it_agrees_with_the_examples() -> None:
    for path in valid():
        resource = load(path)
        assert explain(resource, resource["resourceType"]) == []


def test_paths_are_fhirpath() -> None:
    assert fhirpath("CarePlan", ("activity", 0, "detail", "status__ext")) == "CarePlan.activity[0].detail.status"
    assert fhirpath("Task", ("for_fhir", "reference")) == "Task.for.reference"


def test_a_wrong_element_is_named_without_its_value() -> None:
    plan = example("CarePlan")
    plan["activity"][1]["detail"]["foo"] = "Zyxwvut"
    found = explain(plan, "CarePlan")
    assert [(p.expression, p.code) for p in found] == [("CarePlan.activity[1].detail.foo", "structure")]
    assert "Zyxwvut" not in found[0].diagnostics


@pytest.mark.parametrize(
    "change",
    [
        {"contained": [{"resourceType": "NopeType"}]},
        {"contained": [{"resourceType": 5}]},
        {"contained": "x"},
        {"for": []},
        {"status": {"a": "b"}},
        {"resourceType": "Patient"},
        {"input": [None]},
    ],
)
def test_it_never_raises(change: dict[str, Any]) -> None:
    assert all(p.structural for p in explain(example("Task") | change, "Task"))


def test_what_r4_lacks_is_refused() -> None:
    definition = {"resourceType": "PlanDefinition", "status": "draft", "subjectCanonical": "https://x.example.org"}
    assert [p.expression for p in explain(definition, "PlanDefinition")] == ["PlanDefinition.subjectCanonical"]
    assert explain({"resourceType": "NutritionProduct", "status": "active"}, "NutritionProduct")


def test_types_that_r4b_dropped_are_left_to_us() -> None:
    assert explain({"resourceType": "MedicinalProduct"}, "MedicinalProduct") == []
