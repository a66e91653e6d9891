"""Which texts of a resource are rewritten, and which only look like it."""

import pytest

from service.bundles.rewrite import Names, rewritten
from tests.service.bundles.sending import new, uuid

U = uuid(1)


def names() -> Names:
    made = Names()
    made.add(U, "Patient/p", made=True)
    made.add("http://example.org/fhir/Patient/7", "Patient/q", made=True)
    made.add("urn:oid:1.2.3", "Questionnaire/c", made=False)
    return made


@pytest.mark.parametrize(
    ("written", "wanted"),
    [
        (U, "Patient/p"),
        (U.upper().replace("URN:UUID", "urn:uuid"), "Patient/p"),
        (U + "#part", "Patient/p#part"),
        (U + "|2", "Patient/p"),
        ("urn:oid:1.2.3", "Questionnaire/c"),
        ("http://example.org/fhir/Patient/7", "Patient/q"),
        ("http://example.org/fhir/Patient/7/_history/3", "Patient/q/_history/1"),
        ("Patient/7", "Patient/q"),
        ("Patient/8", None),
        ("#inside", None),
        (uuid(2), None),
        ("http://elsewhere.example.org/fhir/Patient/7", None),
    ],
)
def test_a_reference_finds_its_entry(written: str, wanted: str | None) -> None:
    assert names().find(written, "http://example.org/fhir/Task/1") == wanted


def test_a_relative_reference_means_nothing_beside_a_urn() -> None:
    assert names().find("Patient/7", uuid(5)) is None


def test_elements_are_told_by_their_type() -> None:
    resource = new(
        "Task",
        identifier=[{"system": "urn:ietf:rfc:3986", "value": U}],
        instantiatesUri=U,
        instantiatesCanonical="urn:oid:1.2.3|1.0",
        description=U,
        **{"for": {"reference": U, "display": U}},
        contained=[new("Patient", link=[{"other": {"reference": U}, "type": "seealso"}])],
        extension=[{"url": "http://example.org/x", "valueUri": U}, {"url": "http://example.org/y", "valueString": U}],
        text={"status": "generated", "div": f'<div xmlns="http://www.w3.org/1999/xhtml"><a href="{U}">{U}</a></div>'},
        input=[{"type": {"text": "x"}, "valueReference": {"reference": "http://example.org/fhir/Patient/7"}}],
    )
    seen = names()
    out = rewritten(resource, "Task", lambda _path, text: seen.find(text, ""))
    assert out["identifier"][0]["value"] == U and out["description"] == U
    assert out["for"] == {"reference": "Patient/p", "display": U}
    assert out["instantiatesUri"] == "Patient/p" and out["instantiatesCanonical"] == "Questionnaire/c"
    assert out["contained"][0]["link"][0]["other"]["reference"] == "Patient/p"
    assert [one.get("valueUri", one.get("valueString")) for one in out["extension"]] == ["Patient/p", U]
    assert out["text"]["div"].endswith(f'<a href="Patient/p">{U}</a></div>')
    assert out["input"][0]["valueReference"]["reference"] == "Patient/q"
    assert resource["for"]["reference"] == U


@pytest.mark.parametrize("strange", [None, 7, [], {}, {"resourceType": 3}, {"resourceType": "Shoe", "x": U}])
def test_what_is_no_resource_stays(strange: object) -> None:
    assert rewritten(strange, "x", lambda _path, _text: "never") == strange


def test_odd_shapes_stay_for_the_check_of_the_structure() -> None:
    odd = {"resourceType": "Task", "for": [{"reference": U}], "status": {"reference": U}, "input": "x", "focus": [[7]]}
    assert rewritten(odd, "Task", lambda _path, text: text) == odd


def test_a_contained_thing_without_a_type_stays() -> None:
    odd = {"resourceType": "Task", "contained": [{"reference": U}, {"contained": [{}]}, {"resourceType": "Shoe"}]}
    assert rewritten(odd, "Task", lambda _path, text: text) == odd
