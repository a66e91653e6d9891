"""XML out: R4's order and names, every digit kept, read back the same; fhir.resources and lxml as other judges."""

import importlib
import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from lxml import etree

from fhir_profiles.xml_reader import resource_of
from fhir_profiles.xml_text import write_xml, xml_of
from fhir_profiles.xml_tree import Limits
from tests.fhir_profiles.examples import load, valid

LIMITS = Limits(64, 50_000, 1 << 20, 250_000)
GOLDEN = Path(__file__).parent / "xml"
XHTML = '<div xmlns="http://www.w3.org/1999/xhtml"><p>a &amp; b<br/>c</p><p class="x">d</p></div>'

OTHERS: list[dict[str, Any]] = [
    {"resourceType": "Binary", "contentType": "text/plain", "data": "eA=="},
    {
        "resourceType": "Bundle",
        "type": "batch-response",
        "link": [{"relation": "self", "url": "https://x.example/fhir"}],
        "entry": [
            {
                "fullUrl": "urn:uuid:6b0f7a2e-8c3d-4f0e-9a51-3f2f0f1c7a10",
                "resource": {"resourceType": "Binary", "id": "b", "contentType": "text/plain"},
                "search": {"mode": "match", "score": Decimal("0.50")},
                "response": {
                    "status": "400",
                    "outcome": {"resourceType": "OperationOutcome", "issue": [{"severity": "error", "code": "value"}]},
                },
            }
        ],
    },
    {
        "resourceType": "Parameters",
        "parameter": [
            {"name": "a", "valueDecimal": Decimal("1.50")},
            {"name": "b", "part": [{"name": "c", "resource": {"resourceType": "Binary", "contentType": "a/b"}}]},
            {"name": "d", "valueBoolean": False},
            {"name": "e", "valueInteger": 0},
        ],
    },
    {
        "resourceType": "Patient",
        "text": {"status": "generated", "div": XHTML},
        "name": [
            {
                "given": ["A", None, "C"],
                "_given": [None, {"extension": [{"url": "u", "valueCode": "x"}]}, {"id": "i"}],
                "text": 'tab\tline\nreturn\r"quoted" <&> \u00e9 \U0001f600',
            }
        ],
        "_birthDate": {"extension": [{"url": "u", "valueString": "unknown"}]},
    },
]


def read(data: bytes) -> Any:
    return resource_of(data, LIMITS)


@pytest.mark.parametrize("path", valid(), ids=lambda path: path.stem)
@pytest.mark.parametrize("pretty", [False, True])
def test_examples_come_back_whole(path: Path, pretty: bool) -> None:
    wanted = load(path)
    made = xml_of(path.read_bytes(), pretty)
    assert read(made) == wanted == read(write_xml(wanted, pretty))
    assert [str(n) for n in numbers(read(made))] == [str(n) for n in numbers(wanted)]


def numbers(value: Any) -> list[Decimal]:
    if isinstance(value, Decimal):
        return [value]
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return sorted((n for one in inner for n in numbers(one)), key=str)


@pytest.mark.parametrize("resource", OTHERS, ids=lambda one: one["resourceType"])
@pytest.mark.parametrize("pretty", [False, True])
def test_what_no_example_has_comes_back_whole(resource: dict[str, Any], pretty: bool) -> None:
    assert read(write_xml(resource, pretty)) == resource


@pytest.mark.parametrize("path", valid(), ids=lambda path: path.stem)
def test_fhir_resources_reads_the_same_from_it(path: Path) -> None:
    """An independent reader. It knows no id of a primitive in XML, so that is left out."""
    rtype = path.stem.partition("-")[0]
    model = getattr(importlib.import_module(f"fhir.resources.R4B.{rtype.lower()}"), rtype)
    resource = without_twin_ids(json.loads(path.read_text()))
    text = json.dumps(resource).encode()
    assert model.model_validate_xml(xml_of(text)) == model.model_validate_json(text)


@pytest.mark.parametrize("path", valid(), ids=lambda path: path.stem)
def test_elements_stand_where_fhir_resources_puts_them(path: Path) -> None:
    """Its writer loses digits and seconds; names, namespaces and order are compared."""
    rtype = path.stem.partition("-")[0]
    model = getattr(importlib.import_module(f"fhir.resources.R4B.{rtype.lower()}"), rtype)
    theirs = model.model_validate_json(path.read_bytes()).model_dump_xml()
    theirs = theirs if isinstance(theirs, bytes) else theirs.encode()
    assert names(xml_of(path.read_bytes())) == names(theirs)


def names(data: bytes) -> list[str]:
    return [element.tag for element in etree.fromstring(data).iter(etree.Element)]


def without_twin_ids(node: Any) -> Any:
    if isinstance(node, list):
        return [without_twin_ids(one) for one in node]
    if not isinstance(node, dict):
        return node
    found = {}
    for key, value in node.items():
        if key.startswith("_") and isinstance(value, dict):
            value = {name: one for name, one in value.items() if name != "id"}
            if not value:
                continue
        found[key] = without_twin_ids(value)
    return found


@pytest.mark.parametrize("path", sorted(GOLDEN.glob("*.json")), ids=lambda path: path.stem)
def test_three_by_hand(path: Path) -> None:
    """Written from https://hl7.org/fhir/R4/xml.html, not by this code: equal by canonical XML, both ways."""
    by_hand = path.with_suffix(".xml").read_bytes()
    canonical = [
        etree.canonicalize(text.decode(), strip_text=True, rewrite_prefixes=True)
        for text in (by_hand, xml_of(path.read_bytes(), True))
    ]
    assert canonical[0] == canonical[1]
    assert read(by_hand) == load(path)


def test_an_unknown_member_is_never_left_out_unsaid() -> None:
    for bad in ({"resourceType": "Patient", "shoe": 1}, {"resourceType": "Shoe"}):
        with pytest.raises(ValueError):
            write_xml(bad)


def test_characters_that_xml_lacks_are_replaced() -> None:
    made = write_xml({"resourceType": "Basic", "code": {"text": "a\uffffb"}})
    assert read(made)["code"]["text"] == "a\ufffdb"


def test_pretty_is_indented_and_leaves_the_narrative_alone() -> None:
    made = write_xml(OTHERS[3], pretty=True).decode()
    assert "\n  <text>\n    <status" in made and XHTML in made
    assert "\n" not in write_xml(OTHERS[3]).decode()
