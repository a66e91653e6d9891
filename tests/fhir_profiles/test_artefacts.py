"""What code and data name under https://enlace.example.org/fhir/ is defined by an artefact file, codes included."""

import ast
import json
import re
from collections.abc import Iterator
from functools import cache
from itertools import product
from pathlib import Path
from typing import Any

import pytest
from fhir.resources.R4B import get_fhir_model_class

from fhir_profiles.validate import validate

ROOT = Path(__file__).parents[2]
PROFILES = ROOT / "fhir_profiles"
BASE = "https://enlace.example.org/fhir/"
FOLDERS = (
    "code_systems",
    "value_sets",
    "structure_definitions",
    "naming_systems",
    "operation_definitions",
    "plan_definitions",
    "measures",
)
TREES = ("service", "mappers", "fhir_profiles", "adt_listener", "openapi")
PLANNED = {
    f"SubscriptionTopic/{name}"
    for name in (
        "care-transition",
        "referral-status",
        "care-plan-updated",
        "task-updated",
        "consent-changed",
        "assignment-changed",
    )
}
"""Named in ../shared/contract.md, written with the notification issue."""
NO_ARTEFACT = ("policy/", "Questionnaire/", "ConceptMap/hl7v2-")
"""Policies are URIs alone; questionnaires are stored by the server; code tables render their ConceptMaps."""


def artefacts() -> dict[str, Any]:
    """{path: resource} of all artefact files of ours."""
    files = [path for folder in FOLDERS for path in sorted((PROFILES / folder).glob("*.json"))]
    return {str(path.relative_to(PROFILES)): json.loads(path.read_text("utf-8")) for path in files}


@cache
def defined() -> frozenset[str]:
    """Canonicals without the base; a pattern's {names} become {}."""
    found = {"CapabilityStatement/enlace"}
    for resource in artefacts().values():
        names = [u["value"] for u in resource.get("uniqueId", ())] or [resource["url"]]
        found |= {re.sub(r"\{[^}]*\}", "{}", name).removeprefix(BASE) for name in names}
    parameters = json.loads((PROFILES / "search_parameters" / "extra.json").read_text("utf-8"))
    return frozenset(found | {row["url"].removeprefix(BASE) for row in parameters})


@cache
def codes(slug: str) -> frozenset[str]:
    system = json.loads((PROFILES / "code_systems" / f"{slug}.json").read_text("utf-8"))
    return frozenset(_codes(system["concept"]))


def _codes(concepts: list[Any]) -> Iterator[str]:
    for concept in concepts:
        yield concept["code"]
        yield from _codes(concept.get("concept", []))


@cache
def modules() -> dict[str, ast.Module]:
    files = sorted(path for tree in TREES for path in (ROOT / tree).rglob("*.py"))
    return {str(path.relative_to(ROOT)): ast.parse(path.read_text("utf-8")) for path in files}


@cache
def constants() -> dict[str, str]:
    """Module-level names that hold a URI of ours, from the whole tree."""
    found: dict[str, str] = {}
    for _ in range(3):  # a constant is made of another
        for module in modules().values():
            for node in module.body:
                if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
                    for value in _values(node.value, found):
                        if value.startswith(BASE.rstrip("/")):
                            found[node.targets[0].id] = value
    return found


def _values(node: ast.AST | None, names: dict[str, str]) -> list[str]:
    """The strings that an expression can have, as far as it can be seen; {} for what cannot."""
    match node:
        case ast.Constant(value=str(value)):
            return [value]
        case ast.Name(id=name):
            return [names.get(name, "{}")]
        case ast.FormattedValue(value=value):
            return _values(value, names)
        case ast.IfExp(body=body, orelse=orelse):
            return _values(body, names) + _values(orelse, names)
        case ast.BinOp(op=ast.Add(), left=left, right=right):
            return [a + b for a, b in product(_values(left, names), _values(right, names))]
        case ast.JoinedStr(values=parts):
            return ["".join(one) for one in product(*(_values(part, names) for part in parts))]
    return ["{}"]


def named_in_python() -> Iterator[tuple[str, str]]:
    for path, module in modules().items():
        for node in ast.walk(module):
            if isinstance(node, ast.Constant | ast.JoinedStr | ast.BinOp):
                for value in _values(node, constants()):
                    if value.startswith(BASE):
                        yield path, value


def named_in_json() -> Iterator[tuple[str, str]]:
    for tree in TREES:
        for path in sorted((ROOT / tree).rglob("*.json")):
            if "/r4/" not in str(path):
                for value in re.findall(rf'"({re.escape(BASE)}[^"]+)"', path.read_text("utf-8")):
                    yield str(path.relative_to(ROOT)), value


def test_every_canonical_of_ours_is_defined() -> None:
    missing = set()
    seen = 0
    for path, value in [*named_in_python(), *named_in_json()]:
        name = re.sub(r"\{[^}]*\}", "{}", value.removeprefix(BASE).partition("|")[0])
        bare = name.endswith("/") or "/" not in name or "{}" in name.split("/")[0] or name.endswith("System/{}")
        if bare or name.startswith(NO_ARTEFACT):
            continue  # a prefix, or made of a variable alone: the calls are looked at below
        seen += 1
        if name not in defined() | PLANNED:
            missing.add((path, name))
    assert not missing
    assert seen > 200


def test_each_artefact_is_valid_r4_and_a_draft_under_its_name() -> None:
    found = artefacts()
    assert len(found) > 60
    for path, resource in found.items():
        kind = resource["resourceType"]
        assert validate(resource, kind) == [], path
        get_fhir_model_class(kind).model_validate(resource)
        assert (resource["id"], resource["status"]) == (Path(path).stem, "draft"), path
        if kind != "NamingSystem":
            assert (resource["url"], resource["experimental"]) == (f"{BASE}{kind}/{resource['id']}", True), path
        if kind == "CodeSystem":
            assert len(resource["concept"]) <= resource["count"] == len(codes(resource["id"]))
            assert resource["valueSet"].removeprefix(BASE) in defined()


def _calls(*names: str) -> Iterator[tuple[str, ast.Call]]:
    for path, module in modules().items():
        for node in ast.walk(module):
            if isinstance(node, ast.Call):
                called = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
                if called in names:
                    yield path, node


def test_codes_written_by_the_mappers_and_the_seed_exist() -> None:
    """own("slug", "code") and _concept(SYSTEM or "slug", "code"), as far as the code is a literal."""
    slugs = {name for name in defined() if name.startswith("CodeSystem/")}
    seen = 0
    for path, call in _calls("own", "_concept"):
        if len(call.args) < 2:
            continue
        system = _values(call.args[0], constants())[0].removeprefix(BASE).removeprefix("CodeSystem/")
        if "://" in system or "{}" in system:
            continue
        assert f"CodeSystem/{system}" in slugs, (path, system)
        for code in _values(call.args[1], _string_constants()):
            if "{}" not in code:
                seen += 1
                assert code in codes(system), (path, system, code)
    assert seen >= 8


@cache
def _string_constants() -> dict[str, str]:
    """NAME = "text" of every module; a name with two meanings is left out."""
    found: dict[str, set[str]] = {}
    for module in modules().values():
        for node in module.body:
            if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
                value = node.value.value if isinstance(node.value, ast.Constant) else None
                found.setdefault(node.targets[0].id, set()).add(value if isinstance(value, str) else "{}")
    return {name: next(iter(values)) for name, values in found.items() if len(values) == 1}


def test_follow_ups_exist() -> None:
    from service.workflow.alert_text import FOLLOW_UPS
    from service.workflow.follow_ups import TEXTS
    from service.workflow.tcs_definition import actions_of, shipped

    checklist = {action.code for action in actions_of(shipped())}
    about_referrals = {*TEXTS, "call-about-referral"}
    assert {follow_up.code for follow_up in FOLLOW_UPS.values()} | checklist | about_referrals == codes("follow-up")


AUDITED = {
    "AuditRow": 1,
    "Operation": 0,
    "act": 0,
    "audit": 1,
    "_audit": 1,
    "_row": 1,
    "_answered": 1,
    "replaced": 4,
    "_audit_refusal": 1,
    "row": 1,
}
"""Function -> which argument is the kind of an audit row."""


def test_kinds_of_audit_rows_exist() -> None:
    from service.audit import _KNOWN
    from service.notify.standing import AUDITED as BY_STATUS

    kinds = set(BY_STATUS.values())
    for _, call in _calls(*AUDITED):
        place = AUDITED[call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")]
        given = call.args[place] if len(call.args) > place else None
        if isinstance(given, ast.Constant) and isinstance(given.value, str):
            kinds.add(given.value)
    assert kinds - _KNOWN == codes("audit-kind")


@pytest.mark.parametrize("tree", ["fhir_profiles/examples", "tests/golden"])
def test_codings_of_examples_and_golden_resources_exist(tree: str) -> None:
    seen = 0
    for path in sorted((ROOT / tree).rglob("*.json")):
        for coding in _codings(json.loads(path.read_text("utf-8"))):
            system = coding["system"].removeprefix(BASE)
            if "/invalid/" not in str(path):
                seen += 1
                slug = system.removeprefix("CodeSystem/")
                code = coding["code"]
                assert code in codes(slug), (path.name, coding)
    assert seen


def _codings(node: Any) -> Iterator[Any]:
    if isinstance(node, dict):
        if str(node.get("system", "")).startswith(BASE + "CodeSystem/") and "code" in node:
            yield node
        for value in node.values():
            yield from _codings(value)
    elif isinstance(node, list):
        for value in node:
            yield from _codings(value)


def test_extensions_of_the_plan_file_mapper_match_their_definitions() -> None:
    """Each extension in the golden resources has the url, context, type of value and codes that are defined."""
    golden = json.loads((ROOT / "tests/golden/plan_files/member-information/base.resources.json").read_text("utf-8"))
    ours = [r for r in artefacts().values() if r["resourceType"] == "StructureDefinition"]
    found = {r["url"]: r for r in ours if r["context"][0]["expression"] not in ("Coding", "Element")}
    for name in (
        "do-not-contact",
        "alert-times",
        "ended-because",
        "notification-format",
        "hl7v2-segment",
        "closed-by-timeout",
        "overdue",
        "mirrored-status",
        "status-date",
        "accepted-by",
        "eligible-age",
        "hsds",
        "service-cost",
        "unmet-need",
        "verified",
        "replies-by-link",
        "referral-rule",
        "referral-fold",
        "held-by",
        "owner-organization",
    ):
        found.pop(f"{BASE}StructureDefinition/enlace-{name}", None)  # no plan file says so
    used = set()
    for resource in _resources(golden):
        for extension in resource.get("extension", ()):
            definition = found[extension["url"]]
            used.add(extension["url"])
            assert resource["resourceType"] in {context["expression"] for context in definition["context"]}
            elements = {element["id"]: element for element in definition["differential"]["element"]}
            _check(extension, elements, "Extension")
    assert used == set(found)


def _resources(node: Any) -> Iterator[Any]:
    if isinstance(node, dict):
        if "resourceType" in node:
            yield node
        for value in node.values():
            yield from _resources(value)
    elif isinstance(node, list):
        for value in node:
            yield from _resources(value)


def _check(extension: Any, elements: dict[str, Any], prefix: str) -> None:
    assert extension["url"] == elements[f"{prefix}.url"]["fixedUri"]
    element = elements[f"{prefix}.value[x]"]
    if element["max"] == "0":
        parts = {f"{prefix}.extension:{part['url']}": part for part in extension["extension"]}
        for name, part in parts.items():
            _check(part, elements, name)
        return
    kind = element["type"][0]["code"]
    value = extension[f"value{kind[0].upper()}{kind[1:]}"]
    if "binding" in element:
        slug = element["binding"]["valueSet"].rpartition("/")[2]
        assert {coding["code"] for coding in value["coding"]} <= codes(slug)
