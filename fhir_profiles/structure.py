"""The judge of one resource against R4's facts, element by element: https://hl7.org/fhir/R4/json.html

It reports everything that is wrong with a FHIRPath each. Slower than the compiled schema (`schema.py`), it is asked
only about what that did not accept at once.
"""

import difflib
import re
from functools import cache
from typing import Any

from fhir_profiles import references
from fhir_profiles.invariants import rules_of
from fhir_profiles.narrative import narrative_problem
from fhir_profiles.primitives import primitive_problem
from fhir_profiles.problem import Problem, rule_broken, structural
from fhir_profiles.r4_types import (
    Element,
    all_codes,
    codes,
    elements,
    fields,
    has_twin,
    is_primitive,
    resource_types,
)

LIMIT = 50
PLAUSIBLE_NAME = re.compile(r"_?[A-Za-z][A-Za-z0-9]{0,40}")
MALFORMED = (TypeError, AttributeError, KeyError, ValueError, IndexError, ArithmeticError)


class Enough(Exception):
    """LIMIT problems are found; a sender who mends them learns the rest."""


class Report:
    """Problems without repetition, at most LIMIT."""

    def __init__(self) -> None:
        self.problems: dict[tuple[str, str], Problem] = {}

    def add(self, *found: Problem) -> None:
        for problem in found:
            self.problems.setdefault((problem.expression, problem.diagnostics), problem)
            if len(self.problems) >= LIMIT:
                raise Enough


def judge(resource: Any, rtype: str) -> list[Problem]:
    """All problems of a resource, up to LIMIT."""
    report = Report()
    try:
        _Walk(report, resource, rtype).resource(resource, rtype, rtype)
    except Enough:
        return list(report.problems.values())
    except RecursionError:
        return [structural("structure", rtype, "The resource is nested too deeply: 64 levels are read.")]
    return list(report.problems.values())


class _Walk:
    """One walk through one resource and what it contains."""

    def __init__(self, report: Report, root: Any, path: str, inside: bool = False) -> None:
        self.add = report.add
        self.report = report
        self.locals = references.Locals(root, path)
        self.inside = inside

    def resource(self, node: Any, rtype: str, path: str) -> None:
        if not isinstance(node, dict):
            self.add(structural("structure", path, "A resource is a JSON object."))
            return
        if rtype not in resource_types():
            self.add(structural("structure", path, "R4 has no such resource type: look at the spelling."))
            return
        if node.get("resourceType") != rtype:
            self.add(structural("structure", f"{path}.resourceType", f"resourceType must be `{rtype}` here."))
        self.structure({k: v for k, v in node.items() if k != "resourceType"}, rtype, path)
        if not self.inside:
            self.add(*self.locals.problems())

    def structure(self, node: Any, name: str, path: str) -> None:
        """One object: unknown elements, each known one, then the rules of the structure."""
        if not isinstance(node, dict):
            self.add(structural("structure", path, f"Expected a JSON object ({name})."))
            return
        if not (node.keys() - {"id"}) and name not in resource_types():
            self.add(structural("structure", path, "An element has a value or children: leave it out. (ele-1)"))
            return
        known = fields(name)
        given: dict[Element, list[tuple[str, str]]] = {}
        for key in node:
            base = key[1:] if key[:1] == "_" else key
            if base not in known or (key != base and not has_twin(known[base][1])):
                self.add(_unknown(key, path, name))
                continue
            element, kind = known[base]
            spellings = given.setdefault(element, [])
            if (base, kind) not in spellings:
                spellings.append((base, kind))
        for element in _required(name):
            if element not in given:
                where = f"{path}.{element.name.removesuffix('[x]')}"
                self.add(structural("required", where, f"{element.name} is required: add it."))
        for element, found in given.items():
            self.element(node, element, found, path)
        self.rules(node, name, path)

    def element(self, node: dict[str, Any], element: Element, found: list[tuple[str, str]], path: str) -> None:
        here = f"{path}.{element.name.removesuffix('[x]')}"
        if len(found) > 1:
            self.add(structural("structure", here, f"{element.name} is given in more than one type: keep one."))
        for spelled, kind in found:
            if not element.many:
                self.one(node.get(spelled, _ABSENT), node.get("_" + spelled, _ABSENT), element, kind, here)
            else:
                self.several(node.get(spelled, _ABSENT), node.get("_" + spelled, _ABSENT), element, kind, here)

    def several(self, values: Any, twins: Any, element: Element, kind: str, here: str) -> None:
        """A repeating element: arrays of one length for a primitive and its twins, null only where the other speaks."""
        for given in (values, twins):
            if given is not _ABSENT and not isinstance(given, list):
                self.add(structural("structure", here, "This element repeats: give a JSON array, even for one value."))
                return
            if given == []:
                self.add(structural("structure", here, "An array is never empty: leave the element out."))
                return
        count = max(len(given) for given in (values, twins) if given is not _ABSENT)
        if twins is not _ABSENT and values is not _ABSENT and len(twins) != len(values):
            self.add(structural("structure", here, "The array and its `_` twin have the same length: pad with null."))
            return
        if count < element.min or (element.max is not None and count > element.max):
            self.add(structural("structure", here, f"{element.min} to {element.max or '*'} repetitions are allowed."))
        for i in range(count):
            value = _ABSENT if values is _ABSENT else values[i]
            twin = _ABSENT if twins is _ABSENT else twins[i]
            if is_primitive(kind):
                value = _ABSENT if value is None and twin not in (None, _ABSENT) else value
                twin = _ABSENT if twin is None and value not in (None, _ABSENT) else twin
            self.one(value, twin, element, kind, f"{here}[{i}]")

    def one(self, value: Any, twin: Any, element: Element, kind: str, here: str) -> None:
        if value is None or twin is None:
            self.add(structural("structure", here, "null is no value: leave the element out."))
            return
        # Beside a value an id alone is enough: ele-1 asks for a value or children of the element as a whole.
        id_only = value is not _ABSENT and isinstance(twin, dict) and [*twin] == ["id"] and isinstance(twin["id"], str)
        if twin is not _ABSENT and not id_only:
            self.structure(twin, "Element", here)
        if value is _ABSENT:
            return
        if is_primitive(kind):
            if problem := primitive_problem(value, kind):
                self.add(structural(problem.code, here, problem.text))
            else:
                self.coded(value, element, here)
                self.locals.uses(value, kind, here)
        elif kind == "Resource":
            self.nested(value, element, here)
        else:
            self.structure(value, kind, here)
            if isinstance(value, dict):
                self.typed(value, element, kind, here)

    def typed(self, node: dict[str, Any], element: Element, kind: str, here: str) -> None:
        """What the place demands of a datatype beyond its own structure."""
        if kind == "Reference":
            self.add(*references.target_problems(node, element.targets, here))
            self.locals.refers(node.get("reference"), here)
        elif kind == "Narrative" and isinstance(node.get("div"), str):
            if text := narrative_problem(node["div"]):
                self.add(structural("structure", f"{here}.div", text))
        elif kind in ("CodeableConcept", "Coding") and (allowed := codes(element.codes)):
            codings = node.get("coding") if kind == "CodeableConcept" else [node]
            given = [c for c in codings if isinstance(c, dict)] if isinstance(codings, list) else []
            if not any(
                c.get("system") == system and c.get("code") in [*members]
                for system, members in allowed.items()
                for c in given
            ):
                self.add(_not_in_value_set(here, element.codes))

    def coded(self, value: Any, element: Element, here: str) -> None:
        allowed = all_codes(element.codes) if element.codes else None
        if allowed and value not in allowed:
            self.add(_not_in_value_set(here, element.codes))

    def nested(self, node: Any, element: Element, here: str) -> None:
        """A resource inside: contained ones share the local ids; entries of a Bundle are documents of their own."""
        rtype = node.get("resourceType") if isinstance(node, dict) else None
        if not isinstance(rtype, str):
            self.add(structural("structure", here, "A resource is a JSON object with a resourceType."))
        elif element.name != "contained":
            _Walk(self.report, node, here).resource(node, rtype, here)
        else:
            self.add(*references.contained_problems(node, here))
            was, self.inside = self.inside, True
            with self.locals.within(node, here):
                self.resource(node, rtype, here)
            self.inside = was

    def rules(self, node: dict[str, Any], name: str, path: str) -> None:
        for rule in rules_of(name):
            try:
                broken = rule.broken(node)
            except MALFORMED:
                continue  # The shape that the rule stumbled over is reported by itself.
            if broken:
                where = f"{path}.{rule.element}" if rule.element else path
                self.add(rule_broken("invariant", where, f"{rule.text} ({rule.key})"))


_ABSENT: Any = object()


def _unknown(key: str, path: str, name: str) -> Problem:
    """An element that R4 lacks here, with the nearest one that it has."""
    if not PLAUSIBLE_NAME.fullmatch(key):
        return structural("structure", path, f"A property here is no element name of {name}: remove it.")
    where = f"{path}.{key}"
    near = difflib.get_close_matches(key, _names(name), 1)
    remedy = f"did you mean `{near[0]}`?" if near else "remove it or use an extension."
    return structural("structure", where, f"R4 has no such element in {name}: {remedy}")


@cache
def _required(name: str) -> tuple[Element, ...]:
    return tuple(element for element in elements(name) if element.min)


@cache
def _names(name: str) -> list[str]:
    return list(fields(name))


def _not_in_value_set(here: str, url: str) -> Problem:
    listed = sorted(all_codes(url))
    shown = f"one of {', '.join(listed)}" if len(listed) <= 15 else "a code of this value set"
    return rule_broken("code-invalid", here, f"The code is not in the required value set {url}: use {shown}.")
