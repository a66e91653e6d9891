"""Which patch a body is, and what no patch may do."""

import os
import random
from typing import Any

import pytest

from service.errors import Category, FhirError
from service.patching.document import read_patch
from service.patching.operations import MAX_OPERATIONS
from service.patching.work import MAX_VALUES
from tests.service.patching.samples import PATIENT, fhirpath, parameters, patched

OPERATIONS = [{"op": "replace", "path": "/active", "value": False}]
MERGE = {"active": False}
PARAMETERS = parameters({"type": "replace", "path": "Patient.active", "value": {"valueBoolean": False}})
JSON_PATCH, MERGE_PATCH, FHIR = "application/json-patch+json", "application/merge-patch+json", "application/fhir+json"


@pytest.mark.parametrize(
    ("content_type", "document", "kind"),
    [
        (JSON_PATCH, OPERATIONS, "json-patch"),
        ("application/json", OPERATIONS, "json-patch"),
        (MERGE_PATCH, MERGE, "merge-patch"),
        ("application/json", MERGE, "merge-patch"),
        (FHIR, PARAMETERS, "fhirpath-patch"),
        ("application/json", PARAMETERS, "fhirpath-patch"),
        ("application/fhir+xml", PARAMETERS, "fhirpath-patch"),
    ],
)
def test_the_rule_of_content_types(content_type: str, document: Any, kind: str) -> None:
    patch = read_patch(content_type, document)
    assert patch.kind == kind
    assert patched(document, kind=content_type) == {**PATIENT, "active": False}


@pytest.mark.parametrize(
    ("content_type", "document"),
    [("text/plain", MERGE), ("", MERGE), (FHIR, MERGE), (FHIR, OPERATIONS), ("application/xml-patch+xml", MERGE)],
)
def test_anything_else_is_415_and_lists_the_three(content_type: str, document: Any) -> None:
    with pytest.raises(FhirError) as caught:
        read_patch(content_type, document)
    assert caught.value.category is Category.UNSUPPORTED_MEDIA
    for named in (JSON_PATCH, MERGE_PATCH, FHIR):
        assert named in caught.value.issues[0].diagnostics and named in caught.value.headers["Accept-Patch"]


@pytest.mark.parametrize(
    ("content_type", "document"), [(JSON_PATCH, MERGE), (MERGE_PATCH, OPERATIONS), (JSON_PATCH, 1)]
)
def test_a_body_without_the_form_that_it_announces(content_type: str, document: Any) -> None:
    with pytest.raises(FhirError) as caught:
        read_patch(content_type, document)
    assert caught.value.category is Category.MALFORMED


@pytest.mark.parametrize(
    "document",
    [
        [{"op": "replace", "path": "/id", "value": "q"}],
        [{"op": "remove", "path": "/resourceType"}],
        [{"op": "replace", "path": "", "value": {"resourceType": "Patient"}}],
        [{"op": "replace", "path": "", "value": 5}],
        {"id": None},
        {"resourceType": "Person"},
        parameters({"type": "delete", "path": "Patient.id"}),
        parameters({"type": "replace", "path": "Patient.id", "value": {"valueId": "q"}}),
    ],
)
def test_identity_is_not_patched(document: Any) -> None:
    with pytest.raises(FhirError) as caught:
        patched(document)
    assert caught.value.category is Category.RULE


def test_a_patch_can_be_applied_again_to_another_version() -> None:
    patch = read_patch("application/json", [{"op": "add", "path": "/name/-", "value": {"text": "n", "given": []}}])
    first = patch.apply({"resourceType": "Patient", "id": "p", "name": []})
    first["name"][0]["given"].append("x")
    assert patch.apply({"resourceType": "Patient", "id": "p", "name": []})["name"] == [{"text": "n", "given": []}]


def test_limits() -> None:
    one = {"op": "test", "path": "/active", "value": True}
    assert patched([one] * MAX_OPERATIONS) == PATIENT
    with pytest.raises(FhirError) as caught:
        patched([one] * (MAX_OPERATIONS + 1))
    assert caught.value.category is Category.MALFORMED and str(MAX_OPERATIONS) in caught.value.issues[0].diagnostics
    doubling = [{"op": "copy", "from": "/name", "path": f"/name/{0}"}] * 40
    deep = [{"op": "copy", "from": "/contact/0", "path": "/contact/0/x"}] * 70
    many: Any = [{"op": "add", "path": "/photo", "value": [1] * MAX_VALUES}]
    for document in (doubling, deep, many, {"photo": [1] * MAX_VALUES}, {"language": "x" * 11_000_000}):
        with pytest.raises(FhirError) as caught:
            patched(document)
        assert caught.value.category is Category.RULE and caught.value.issues[0].code == "too-long"


def test_what_a_patch_leaves_empty_goes_and_what_is_sent_empty_stays() -> None:
    """FHIR has no empty arrays and objects; one that was sent is for the check of structure to refuse."""
    taken = [{"op": "remove", "path": "/telecom/0"}, {"op": "remove", "path": "/telecom/0"}]
    assert "telecom" not in patched(taken)
    assert "contact" not in patched([{"op": "remove", "path": "/contact/0/name/family"}, *_of_contact()])
    assert "maritalStatus" not in patched({"maritalStatus": {"text": None}})
    assert "maritalStatus" not in fhirpath({"type": "delete", "path": "Patient.maritalStatus.text"})
    assert patched([{"op": "add", "path": "/photo", "value": []}])["photo"] == []
    assert patched({"photo": []})["photo"] == []


def _of_contact() -> list[dict[str, str]]:
    return [{"op": "remove", "path": "/contact/0/telecom/0/value"}]


PATHS = (
    "",
    "/name",
    "/name/0",
    "/name/0/given/1",
    "/name/-",
    "/id",
    "/_birthDate",
    "/contact/0/name/family",
    "/x/y",
    "/",
)
FHIRPATHS = (
    *("Patient", "Patient.name", "Patient.name[0].given[1]", "Patient.birthDate", "Patient.birthDate.extension"),
    *("Patient.contact.name.family", "Patient.deceased", "Patient.id", "name.where(given='Up')", "Patient.contained"),
    *("Patient.contained.name", "Patient.meta.extension", "Patient.text.div", "Patient.name.first().period.start"),
)
VALUES: tuple[Any, ...] = (
    None,
    True,
    1,
    "x",
    [],
    {},
    [None],
    {"id": "x"},
    {"given": 5},
    [{"family": []}],
    {"resourceType": 3},
)


def test_no_patch_breaks_more_than_itself() -> None:
    """Random operations on what former ones made of the resource: a result or a refusal, never another exception."""
    chance = random.Random(11)
    kinds = {"done": 0, "refused": 0}
    for _ in range(40_000 if os.environ.get("ENLACE_TEST_DEEP") else 3_000):
        document: Any = [_operation(chance) for _ in range(chance.randint(1, 6))]
        if chance.random() < 0.5:
            document = parameters(*(_of_fhirpath(chance) for _ in range(chance.randint(1, 6))))
        elif chance.random() < 0.2:
            document = {chance.choice(["name", "_birthDate", "contact", "id", "x"]): chance.choice(VALUES)}
        try:
            patched(document)
            kinds["done"] += 1
        except FhirError as error:
            assert error.category.status in (400, 422)
            kinds["refused"] += 1
    assert all(count > 300 for count in kinds.values()), kinds


def _operation(chance: random.Random) -> dict[str, Any]:
    op = chance.choice(["add", "remove", "replace", "move", "copy", "test"])
    return {"op": op, "path": chance.choice(PATHS), "from": chance.choice(PATHS), "value": chance.choice(VALUES)}


def _of_fhirpath(chance: random.Random) -> dict[str, Any]:
    kind, path = chance.choice(["add", "insert", "delete", "replace", "move"]), chance.choice(FHIRPATHS)
    name = chance.choice(["valueString", "valueHumanName", "_valueDate", "valueExtension", "resource", "valueInteger"])
    value = {name: chance.choice(VALUES)}
    if chance.random() < 0.2:
        value = {"part": [{"name": chance.choice(["given", "family", "url", "value[x]"]), "valueString": "x"}]}
    needed: dict[str, dict[str, Any]] = {
        "add": {"name": chance.choice(["name", "given", "extension", "deceased", "contained", "id"]), "value": value},
        "insert": {"index": chance.randint(0, 2), "value": value},
        "delete": {},
        "replace": {"value": value},
        "move": {"source": chance.randint(0, 2), "destination": chance.randint(0, 2)},
    }
    return {"type": kind, "path": path, **needed[kind]}
