"""Validation on write, on the examples and on what people and programs get wrong."""

import copy
import os
import subprocess
import sys
import time
from decimal import Decimal
from pathlib import Path
from typing import Any

import fhirpathpy
import pytest
from fhirpathpy.models import models

from fhir_profiles import validate as validation
from fhir_profiles.build.definitions import structures_of
from fhir_profiles.invariants import RULES
from fhir_profiles.models import explain
from fhir_profiles.narrative import narrative_problem
from fhir_profiles.r4_types import elements, fields, resource_types
from fhir_profiles.schema import fast_validator
from fhir_profiles.structure import LIMIT, judge
from fhir_profiles.validate import accepts, validate
from tests.fhir_profiles.examples import invalid, load, mutants, valid

DEEP = bool(os.environ.get("ENLACE_TEST_DEEP"))


def example(rtype: str) -> Any:
    return load(next(path for path in valid() if path.name == f"{rtype}-example.json"))


@pytest.mark.parametrize("path", valid(), ids=lambda p: p.stem)
def test_examples_are_valid(path: Path) -> None:
    resource = load(path)
    assert validate(resource, resource["resourceType"]) == []
    assert judge(resource, resource["resourceType"]) == []


def test_most_examples_are_accepted_at_once() -> None:
    slow = {p.stem for p in valid() if not accepts(load(p), load(p)["resourceType"])}
    assert slow == {"Patient-example", "Questionnaire-example"}  # `_line` with null; rules on items by their type


@pytest.mark.parametrize("path", invalid(), ids=lambda p: p.stem)
def test_each_invalid_example_fails_with_its_one_issue(path: Path) -> None:
    case = load(path)
    issue = case["issue"]
    rtype = issue["expression"].split(".")[0]
    found = validate(case["resource"], rtype)
    assert [(p.severity, p.code, p.expression, p.structural) for p in found] == [
        (issue["severity"], issue["code"], issue["expression"], issue["structural"])
    ]
    assert not accepts(case["resource"], rtype)


def test_each_rule_has_an_invalid_example_or_is_a_datatype_rule_checked_below() -> None:
    shown = {path.stem for path in invalid()}
    assert {rule.key for rule in RULES} - shown == {
        "cnt-3",
        "dis-1",
        "exp-1",
        "rat-1",
        "trd-1",
        "trd-2",
        "tim-1",
        "tim-4",
        "tim-6",
        "tim-7",
        "tim-8",
        "tim-9",
        "tim-10",
    }


@pytest.mark.parametrize(
    ("choice", "value", "key"),
    [
        ("valueCount", {"value": Decimal("1.5"), "code": "1", "system": "http://unitsofmeasure.org"}, "cnt-3"),
        ("valueDistance", {"value": 3}, "dis-1"),
        ("valueExpression", {"language": "text/fhirpath"}, "exp-1"),
        ("valueRatio", {"numerator": {"value": 1}}, "rat-1"),
        (
            "valueTriggerDefinition",
            {"type": "named-event", "name": "a", "data": [{"type": "Task"}], "timingDate": "2026"},
            "trd-1",
        ),
        (
            "valueTriggerDefinition",
            {"type": "named-event", "condition": {"language": "text/fhirpath", "expression": "a"}},
            "trd-2",
        ),
        ("valueTiming", {"repeat": {"duration": 1}}, "tim-1"),
        ("valueTiming", {"repeat": {"duration": -1, "durationUnit": "h"}}, "tim-4"),
        ("valueTiming", {"repeat": {"periodMax": 2}}, "tim-6"),
        ("valueTiming", {"repeat": {"durationMax": 2}}, "tim-7"),
        ("valueTiming", {"repeat": {"countMax": 2}}, "tim-8"),
        ("valueTiming", {"repeat": {"offset": 10}}, "tim-9"),
        ("valueTiming", {"repeat": {"when": ["C"], "offset": 10}}, "tim-9"),
        ("valueTiming", {"repeat": {"when": ["AC"], "timeOfDay": ["08:00:00"]}}, "tim-10"),
    ],
)
def test_datatype_rules(choice: str, value: Any, key: str) -> None:
    task = example("Task")
    task["input"][0] = {"type": {"text": "x"}, choice: value}
    found = validate(task, "Task")
    assert [(p.code, f"({key})" in p.diagnostics) for p in found] == [("invariant", True)]
    assert not accepts(task, "Task")


def test_all_problems_come_at_once_and_no_more_than_fifty() -> None:
    task = example("Task")
    task |= {"status": "bogus", "authoredOn": "2026-02-30", "owner": {"reference": "Encounter/1"}, "statsu": "x"}
    del task["intent"]
    assert {p.expression for p in validate(task, "Task")} == {
        "Task.status",
        "Task.authoredOn",
        "Task.owner.reference",
        "Task.statsu",
        "Task.intent",
    }
    task["note"] = [{"txet": "a"} for _ in range(200)]
    assert len(validate(task, "Task")) == LIMIT


def test_diagnostics_never_carry_a_value() -> None:
    marker = "Zyxwvut"
    for resource in mutants(20, seed=5):
        rtype = resource["resourceType"]
        node = resource
        for key in list(node):
            if key != "resourceType":
                broken = copy.deepcopy(node)
                broken[key] = [marker, {"reference": marker, marker + " ": marker, "div": marker}]
                assert all(marker not in p.diagnostics + p.expression for p in validate(broken, rtype))


@pytest.mark.parametrize(
    ("rtype", "change"),
    [
        ("Task", {"status": None, "_status": {"extension": [{"url": "https://x.example.org", "valueCode": "a"}]}}),
        ("Task", {"owner": {"reference": "https://cbo.example.org/fhir/Organization/1"}}),
        ("Task", {"owner": {"reference": "urn:uuid:6f1d0c52-6a55-4a5e-9df3-4a3f6f0b7a11"}}),
        ("Task", {"owner": {"reference": "Organization/1", "type": "Organization"}}),
        ("Task", {"owner": {"reference": "Organization/1/_history/2"}}),
        (
            "Task",
            {"owner": {"reference": "#o"}, "contained": [{"resourceType": "Organization", "id": "o", "name": "x"}]},
        ),
        ("Patient", {"birthDate": "2024-02-29"}),
        ("Patient", {"name": [{"given": ["Sonja", None], "_given": [None, {"id": "a"}], "family": "M"}]}),
        ("Coverage", {"period": {"start": "2026-03-01", "end": "2026-03-01"}}),
        ("Coverage", {"period": {"start": "2026-03-01T23:30:00-08:00", "end": "2026-03"}}),
    ],
)
def test_rare_valid_forms_pass(rtype: str, change: dict[str, Any]) -> None:
    resource = {k: v for k, v in (example(rtype) | change).items() if v is not None}
    if "_given" in str(change):
        resource["name"][0]["_given"][1] = {"extension": [{"url": "https://x.example.org", "valueCode": "a"}]}
    assert validate(resource, rtype) == []


@pytest.mark.parametrize("junk", [None, [], "x", 1, {}, {"resourceType": "Task"}, {"resourceType": ["Task"]}])
def test_any_json_gets_an_answer(junk: Any) -> None:
    assert validate(junk, "Task")
    assert validate(junk, "NopeType")


def test_deep_nesting_gets_an_answer() -> None:
    deep: dict[str, Any] = {"url": "https://x.example.org", "valueString": 5}
    for _ in range(2000):
        deep = {"url": "https://x.example.org", "extension": [deep]}
    assert validate(example("Task") | {"extension": [deep]}, "Task")[0].structural


@pytest.mark.parametrize(
    "change",
    [
        {"contained": [{"resourceType": "Basic", "id": "a", "code": {"text": "x"}}] * 9000},
        {f"no name {i}": i for i in range(49_000)},
        {"note": [{"text": ""}] * 20_000},
        {"owner": {"reference": "https://" + "a/" * 400_000}},
        {"code": {"coding": [{"code": "x"}] * 12_000}, "component": [{"code": {"coding": [{"code": "y"}] * 12_000}}]},
    ],
    ids=["contained", "unknown", "empty", "reference", "codings"],
)
def test_hostile_sizes_are_answered_soon(change: dict[str, Any]) -> None:
    start = time.process_time()
    assert isinstance(validate(example("Observation") | change, "Observation"), list)
    assert time.process_time() - start < 5


@pytest.mark.parametrize(
    "inner",
    [
        "<script>x</script>",
        "<SCRIPT>x</SCRIPT>",
        "<img src='x' onerror='a()'/>",
        "<iframe src='#a'/>",
        "<form>a</form>",
        "<a href='javascript:a()'>x</a>",
        "<a href='JaVaScRiPt:a()'>x</a>",
        "<a href='&#x9;javascript:a()'>x</a>",
        "<a href='data:text/html,x'>x</a>",
        "<a href='vbscript:x'>x</a>",
        "<p style='background:url(//e.example.org)'>x</p>",
        "<p style='width:expression(a())'>x</p>",
        "<p style='b\\65 x'>x</p>",
        "<svg xmlns='http://www.w3.org/2000/svg'>x</svg>",
        "<svg onload='a()'>x</svg>",
        "<math>x</math>",
        "<object data='x'/>",
        "<embed/>",
        "<link href='#'/>",
        "<meta/>",
        "<base href='https://e.example.org'/>",
        "<style>a</style>",
        "<input/>",
        "<button>x</button>",
        "<video src='#a'/>",
        "x<![CDATA[><script>a()</script>]]>",
        "x<!--><img src=x onerror=a()>-->",
        "x<?a ><script>a()</script>?>",
        "<img src='//e.example.org/a.png' alt='x'/>",
        "<img src='data:image/svg+xml;base64,AAAA' alt='x'/>",
        "&nbsp;x",
        "<p>x",
        "x</p>",
        "<p a=b>x</p>",
        "<p xmlns:x='urn:x' x:onclick='a'>x</p>",
        "<a xlink:href='x'>x</a>",
        "<a href='//x' target='_blank'>x</a>",
        "<p tabindex='1' onfocus='a()'>x</p>",
        "<a name='x' formaction='y'>x</a>",
    ],
)
def test_active_or_broken_narrative_is_refused(inner: str) -> None:
    assert narrative_problem(f'<div xmlns="http://www.w3.org/1999/xhtml">{inner}</div>')


@pytest.mark.parametrize(
    "inner",
    [
        "<p>a &amp; b &#160; é</p>",
        "<table border='1'><tr><td colspan='2'>a</td></tr></table>",
        "a<!-- note -->",
        "<a href='https://x.example.org'>x</a>",
        "<a href='#n'>x</a>",
        "<a href='Patient/1'>x</a>",
        "<img src='#p' alt='p'/>",
        "<p style='font-weight: bold; color: #333' class='x' xml:lang='en'>a</p>",
        "<ul><li>a</li></ul><hr/><br/>",
    ],
)
def test_plain_narrative_passes(inner: str) -> None:
    assert narrative_problem(f'<div xmlns="http://www.w3.org/1999/xhtml">{inner}</div>') is None


def test_what_we_take_fhir_resources_takes_too() -> None:
    """The differential fuzz with bound 0, of the fast way and of the judge."""
    taken = 0
    for resource in mutants(12_000 if DEEP else 500, seed=20261122):
        rtype = resource["resourceType"]
        fast, slow = accepts(resource, rtype), not judge(resource, rtype)
        assert slow or not fast, resource
        if slow:
            taken += 1
            assert explain(resource, rtype) == [], resource
    assert taken > 20


def test_all_r4_types_compile_and_know_their_rules() -> None:
    assert len(resource_types()) == 146
    for rtype in sorted(resource_types()) if DEEP else ("Bundle", "Parameters", "ValueSet", "Claim", "Subscription"):
        assert not fast_validator(rtype).is_valid({})
    for rule in RULES:
        assert elements(rule.structure)
        assert all(any(e.name.removesuffix("[x]") == n for e in elements(rule.structure)) for n in rule.names), rule


def test_facts_of_the_definitions() -> None:
    owner = fields("Task")["owner"][0]
    assert (owner.min, owner.max, owner.targets >= {"Organization", "Practitioner"}) == (0, 1, True)
    assert fields("Questionnaire.item")["item"][1] == "Questionnaire.item"
    assert fields("Range")["low"][1] == "SimpleQuantity"
    assert "subjectCanonical" not in fields("PlanDefinition")
    assert "SubscriptionStatus" not in resource_types()


@pytest.mark.parametrize(
    ("key", "rtype", "expression"),
    [
        ("obs-6", "Observation", "dataAbsentReason.empty() or value.empty()"),
        ("cpl-3", "CarePlan", "activity.all(detail.empty() or reference.empty())"),
        ("gol-1", "Goal", "target.all((detail.exists() and measure.exists()) or detail.exists().not())"),
        ("ppc-1", "Consent", "policy.exists() or policyRule.exists()"),
        ("grp-1", "Group", "member.empty() or (actual = true)"),
        ("que-2", "Questionnaire", "descendants().linkId.isDistinct()"),
        ("org-1", "Organization", "(identifier.count() + name.count()) > 0"),
        (
            "con-5",
            "Condition",
            "verificationStatus.coding.where(code='entered-in-error').empty() or clinicalStatus.empty()",
        ),
    ],
)
def test_our_rules_agree_with_r4s_own_expressions(key: str, rtype: str, expression: str) -> None:
    good = example(rtype)
    bad = load(next(path for path in invalid() if path.stem == key))["resource"]
    holds = fhirpathpy.compile(expression, models["r4"])
    assert holds(good) == [True]
    assert holds(bad) == [False]


def test_nothing_heavy_is_loaded_by_import() -> None:
    """Start-up: fhir.resources and the compiled schemas wait for their first use."""
    code = "import sys, fhir_profiles.validate; print('fhir.resources' in sys.modules, 'pydantic' in sys.modules)"
    root = Path(validation.__file__).parents[1]
    printed = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=True)
    assert printed.stdout.split() == ["False", "False"]


def test_the_build_turns_a_definition_into_facts() -> None:
    base = "http://hl7.org/fhir/StructureDefinition/"
    patient = {"code": "Reference", "targetProfile": [base + "Patient"]}
    snapshot = [
        {"id": "A", "path": "A", "min": 0, "max": "*"},
        {"id": "A.who", "path": "A.who", "min": 1, "max": "1", "type": [patient]},
        {"id": "A.part", "path": "A.part", "min": 0, "max": "*", "type": [{"code": "BackboneElement"}]},
        {
            "id": "A.part.use",
            "path": "A.part.use",
            "min": 0,
            "max": "1",
            "type": [{"code": "code"}],
            "binding": {"strength": "required", "valueSet": "https://x.example.org/vs|4.0.1"},
        },
        {"id": "A.part.part", "path": "A.part.part", "min": 0, "max": "*", "contentReference": "#A.part"},
        {"id": "A.gone", "path": "A.gone", "min": 0, "max": "0", "type": [{"code": "string"}]},
    ]
    assert structures_of({"name": "A", "type": "A", "snapshot": {"element": snapshot}}) == {
        "A": {
            "who": {"types": ["Reference"], "min": 1, "targets": ["Patient"]},
            "part": {"types": ["A.part"], "max": None},
        },
        "A.part": {
            "use": {"types": ["code"], "codes": "https://x.example.org/vs"},
            "part": {"types": ["A.part"], "max": None},
        },
    }
