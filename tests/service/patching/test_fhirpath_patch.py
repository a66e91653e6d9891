"""FHIRPath Patch: each operation, values of every shape, twins of primitives, and what is refused."""

import pytest

from service.errors import Category, FhirError
from tests.service.patching.samples import OBSERVATION, PATIENT, fhirpath, parameters, patched, refused

TEXT = {"valueString": "x"}


def test_add_sets_and_appends() -> None:
    result = fhirpath(
        {"type": "add", "path": "Patient", "name": "language", "value": {"valueCode": "es"}},
        {"type": "add", "path": "Patient", "name": "telecom", "value": {"valueContactPoint": {"value": "1"}}},
        {"type": "add", "path": "Patient.name[1]", "name": "given", "value": TEXT},
        {"type": "add", "path": "Patient.name.where(use = 'official')", "name": "given", "value": TEXT},
        {"type": "add", "path": "Patient.maritalStatus", "name": "coding", "value": {"valueCoding": {"code": "S"}}},
    )
    assert result["language"] == "es" and result["telecom"][2] == {"value": "1"}
    assert result["name"][1]["given"] == ["x"] and result["maritalStatus"]["coding"] == [{"code": "S"}]
    assert result["name"][0]["given"] == ["Up", "Second", "x"]
    assert result["name"][0]["_given"] == [None, {"id": "g2"}, None]


def test_add_of_a_backbone_element_by_parts() -> None:
    contact = [
        {"name": "name", "valueHumanName": {"family": "New"}},
        {"name": "telecom", "valueContactPoint": {"value": "1"}},
        {"name": "telecom", "valueContactPoint": {"value": "2"}},
        {"name": "gender", "valueCode": "male"},
    ]
    result = fhirpath({"type": "add", "path": "Patient", "name": "contact", "value": {"part": contact}})
    made = {"name": {"family": "New"}, "telecom": [{"value": "1"}, {"value": "2"}], "gender": "male"}
    assert result["contact"][1] == made
    inner = {"part": [{"name": "code", "valueCodeableConcept": {"text": "c"}}, {"name": "value[x]", "valueInteger": 4}]}
    result = fhirpath({"type": "add", "path": "Observation", "name": "component", "value": inner}, resource=OBSERVATION)
    assert result["component"] == [{"code": {"text": "c"}, "valueInteger": 4}]


def test_add_of_a_choice_a_resource_and_a_twin() -> None:
    plain = {k: v for k, v in OBSERVATION.items() if k != "valueQuantity"}
    for name in ("value", "value[x]"):
        operation = {"type": "add", "path": "Observation", "name": name, "value": {"valueString": "high"}}
        assert fhirpath(operation, resource=plain)["valueString"] == "high"
    contained = {"resourceType": "Organization", "id": "o1", "name": "n"}
    operation = {"type": "add", "path": "Patient", "name": "contained", "value": {"resource": contained}}
    assert fhirpath(operation)["contained"] == [contained]
    extension = {"valueExtension": {"url": "http://example.org/e", "valueString": "x"}}
    result = fhirpath(
        {"type": "add", "path": "Patient.birthDate", "name": "extension", "value": extension},
        {"type": "add", "path": "Patient.gender", "name": "extension", "value": extension},
    )
    assert len(result["_birthDate"]["extension"]) == 2
    assert result["_gender"] == {"extension": [extension["valueExtension"]]}
    twin = {"type": "add", "path": "Patient.name[1]", "name": "given", "value": {"_valueString": {"id": "only"}}}
    assert fhirpath(twin)["name"][1] == {"use": "nickname", "text": "Mup", "_given": [{"id": "only"}]}


def test_insert_and_move_keep_twins_beside_their_values() -> None:
    result = fhirpath({"type": "insert", "path": "Patient.name[0].given", "index": 0, "value": TEXT})
    assert result["name"][0]["given"] == ["x", "Up", "Second"]
    assert result["name"][0]["_given"] == [None, None, {"id": "g2"}]
    moved = fhirpath({"type": "move", "path": "Patient.name[0].given", "source": 1, "destination": 0})
    assert moved["name"][0]["given"] == ["Second", "Up"] and moved["name"][0]["_given"] == [{"id": "g2"}, None]
    swapped = fhirpath({"type": "move", "path": "Patient.name", "source": 0, "destination": 1})
    assert [name["use"] for name in swapped["name"]] == ["nickname", "official"]
    first = fhirpath(
        {"type": "insert", "path": "Patient.photo", "index": 0, "value": {"valueAttachment": {"title": "t"}}}
    )
    assert first["photo"] == [{"title": "t"}]


def test_delete_takes_the_twin_too_and_absent_is_fine() -> None:
    result = fhirpath(
        {"type": "delete", "path": "Patient.birthDate"},
        {"type": "delete", "path": "Patient.name[0].given[1]"},
        {"type": "delete", "path": "Patient.telecom.where(system='email')"},
        {"type": "delete", "path": "Patient.photo[3]"},
        {"type": "delete", "path": "Patient.deceased"},
    )
    assert "birthDate" not in result and "_birthDate" not in result and "deceasedBoolean" not in result
    assert result["name"][0]["given"] == ["Up"] and "_given" not in result["name"][0]
    assert [t["system"] for t in result["telecom"]] == ["phone"]


def test_replace_changes_type_and_twin_with_the_value() -> None:
    result = fhirpath(
        {"type": "replace", "path": "Patient.birthDate", "value": {"valueDate": "1980-02-04"}},
        {"type": "replace", "path": "Patient.deceased", "value": {"valueDateTime": "2026"}},
        {"type": "replace", "path": "Patient.name[0].given[1]", "value": TEXT},
        {"type": "replace", "path": "Patient.contact[0].name.family", "value": {"valueString": "Else"}},
    )
    assert result["birthDate"] == "1980-02-04" and "_birthDate" not in result
    assert result["deceasedDateTime"] == "2026" and "deceasedBoolean" not in result
    assert result["name"][0]["given"] == ["Up", "x"] and "_given" not in result["name"][0]
    assert result["contact"][0]["name"] == {"family": "Else"}


@pytest.mark.parametrize(
    ("path", "kept"),
    [
        ("Observation.code.coding.where(code = '2' and system='http://loinc.org')", ["1"]),
        ("Observation.code.coding.first()", ["2"]),
        ("Observation.code.coding.last()", ["1"]),
        ("code.coding[1]", ["1"]),
        ("Observation.`code`.coding[0]", ["2"]),
    ],
)
def test_paths(path: str, kept: list[str]) -> None:
    result = fhirpath({"type": "delete", "path": path}, resource=OBSERVATION)
    assert [coding["code"] for coding in result["code"]["coding"]] == kept


@pytest.mark.parametrize("cast", ["ofType(Quantity)", "as(Quantity)", "ofType(FHIR.Quantity)"])
def test_paths_into_a_choice(cast: str) -> None:
    path = f"Observation.value.{cast}.unit"
    operation = {"type": "replace", "path": path, "value": {"valueString": "g"}}
    assert fhirpath(operation, resource=OBSERVATION)["valueQuantity"]["unit"] == "g"
    with pytest.raises(FhirError):
        fhirpath({**operation, "path": path.replace("Quantity", "string")}, resource=OBSERVATION)


def test_paths_by_number_and_by_extension() -> None:
    held = {"type": "delete", "path": "Observation.value.where(value = 1.5).unit"}
    assert fhirpath(held, resource=OBSERVATION)["valueQuantity"] == {"value": OBSERVATION["valueQuantity"]["value"]}
    path = "Patient.birthDate.extension('http://example.org/time').value"
    result = fhirpath({"type": "replace", "path": path, "value": {"valueString": "noon"}})
    assert result["_birthDate"]["extension"][0]["valueString"] == "noon"


@pytest.mark.parametrize(
    "operation",
    [
        {"type": "add", "path": "Patient", "name": "gender", "value": {"valueCode": "male"}},
        {"type": "add", "path": "Patient", "name": "deceased", "value": {"valueDateTime": "2026"}},
        {"type": "add", "path": "Patient", "name": "shoe", "value": TEXT},
        {"type": "add", "path": "Patient.photo", "name": "title", "value": TEXT},
        {"type": "add", "path": "Patient.name", "name": "given", "value": TEXT},
        {"type": "add", "path": "Patient", "name": "multipleBirth", "value": TEXT},
        {"type": "add", "path": "Patient", "name": "photo", "value": TEXT},
        {"type": "add", "path": "Patient", "name": "language", "value": {"valueCoding": {"code": "x"}}},
        {
            "type": "add",
            "path": "Patient",
            "name": "contact",
            "value": {"part": [{"name": "shoe", "valueString": "x"}]},
        },
        {"type": "add", "path": "Patient", "name": "language", "value": {"part": [{"name": "a", "valueString": "x"}]}},
        {"type": "insert", "path": "Patient.name", "index": 3, "value": {"valueHumanName": {"text": "x"}}},
        {"type": "insert", "path": "Patient.gender", "index": 0, "value": TEXT},
        {"type": "insert", "path": "Patient.name[0]", "index": 0, "value": {"valueHumanName": {"text": "x"}}},
        {"type": "delete", "path": "Patient.name"},
        {"type": "delete", "path": "Patient"},
        {"type": "replace", "path": "Patient", "value": TEXT},
        {"type": "replace", "path": "Patient.photo", "value": TEXT},
        {"type": "replace", "path": "Patient.telecom", "value": TEXT},
        {"type": "replace", "path": "Person.name", "value": TEXT},
        {"type": "move", "path": "Patient.name", "source": 0, "destination": 2},
        {"type": "move", "path": "Patient.name", "source": 2, "destination": 0},
    ],
)
def test_what_cannot_be_done_is_422_with_its_index(operation: dict[str, object]) -> None:
    with pytest.raises(FhirError) as caught:
        fhirpath({"type": "delete", "path": "Patient.photo"}, operation)
    assert caught.value.category is Category.RULE
    assert [text.split(":")[0] for text in refused(caught.value)] == [f"operation[1] ({operation['type']})"]


@pytest.mark.parametrize(
    "path",
    [
        "",
        "Patient.name.exists()",
        "Patient.name | Patient.contact",
        "Patient.name[-2]",
        "Patient.name[x]",
        "Patient..name",
        "Patient.name.",
        "(Patient.name)",
        "Patient.name.where(use != 'x')",
        "Patient.name.where(use = 'x' or use = 'y')",
        "Patient.name.where(use = other)",
        "Patient.name.where(",
        "Patient.name[0",
        "%resource.name",
        "Patient.name.where(use='x",
        "a." * 600,
    ],
)
def test_paths_beyond_the_subset_are_400(path: str) -> None:
    with pytest.raises(FhirError) as caught:
        fhirpath({"type": "delete", "path": path})
    assert caught.value.category is Category.MALFORMED and len(refused(caught.value)) == 1


def test_parameters_without_the_form_are_400_and_all_of_it_is_said() -> None:
    document = parameters(
        {"type": "rename", "path": "Patient.name"},
        {"type": "add", "path": "Patient", "name": "language"},
        {"path": "Patient.name"},
        {"type": "insert", "path": "Patient.name", "index": -1, "value": TEXT},
        {"type": "delete", "path": "Patient.name", "shoe": 1},
        {"type": "add", "path": "Patient", "name": "language", "value": {}},
        {"type": "add", "path": "Patient", "name": "language", "value": {"valueCode": "a", "valueString": "b"}},
        {"type": "add", "path": "Patient", "name": "language", "value": {"part": [5]}},
        {"type": "add", "path": "Patient", "name": "a b", "value": TEXT},
    )
    document["parameter"] += [{"name": "other"}, 5, {"name": "operation", "part": [7]}]
    with pytest.raises(FhirError) as caught:
        patched(document)
    assert caught.value.category is Category.MALFORMED
    places = [text.partition(" ")[0].rstrip(":") for text in refused(caught.value)]
    assert places == [f"operation[{n}]" for n in range(12)]
    for broken in ({"resourceType": "Parameters"}, {"resourceType": "Parameters", "parameter": {}}):
        with pytest.raises(FhirError):
            patched(broken)


def test_independent_faults_come_together() -> None:
    with pytest.raises(FhirError) as caught:
        fhirpath(
            {"type": "replace", "path": "Patient.photo[0]", "value": TEXT},
            {"type": "replace", "path": "Patient.photo[0].title", "value": TEXT},
            {"type": "replace", "path": "Patient.birthDate", "value": {"valueDate": "1980"}},
            {"type": "add", "path": "Patient", "name": "gender", "value": {"valueCode": "male"}},
        )
    assert [text.split(" ")[0] for text in refused(caught.value)] == ["operation[0]", "operation[3]"]
    assert PATIENT["birthDate"] == "1980-02-03"


@pytest.mark.parametrize(
    "path",
    [
        "Observation.code.coding.where(code = 'none')",
        "Observation.code.coding[7]",
        "Observation.code" + ".coding.ofType(Coding)" + ".ofType(Coding)" * 30 + ".where(code = 'none')",
    ],
)
def test_paths_look_at_so_much_and_no_more(path: str) -> None:
    """A thousand paths through a large resource kept the service from everything else for minutes."""
    large = {**OBSERVATION, "code": {"coding": [{"code": str(n)} for n in range(2_000)]}}
    with pytest.raises(FhirError) as caught:
        fhirpath(*[{"type": "delete", "path": path}] * 1_000, resource=large)
    assert caught.value.category is Category.RULE
    assert [issue.code for issue in caught.value.issues] == ["too-costly"]
