"""Validation of a resource on write: https://hl7.org/fhir/R4/validation.html

Most resources are accepted at once by the compiled schema of their type and one short walk. What is not accepted so
is judged element by element (`structure.py`), and if that finds fault, fhir.resources adds what it sees elsewhere.
"""

from fhir_profiles import Resource
from fhir_profiles.dates import before
from fhir_profiles.invariants import Rule, rules_of
from fhir_profiles.models import explain
from fhir_profiles.narrative import narrative_problem
from fhir_profiles.problem import Problem
from fhir_profiles.r4_types import resource_types
from fhir_profiles.schema import fast_validator
from fhir_profiles.structure import LIMIT, judge

__all__ = ["Problem", "accepts", "validate"]


def validate(resource: Resource, rtype: str) -> list[Problem]:
    """All problems of a resource as a resource of type `rtype`, at most 50; empty when it is valid.

    Pure and never raising: whatever JSON comes, the answer is a list. Checked are R4's structure, cardinalities,
    primitive forms, the calendar, required bindings, reference targets, narrative, contained resources and the
    invariants of `invariants.py`.
    """
    if rtype in resource_types() and accepts(resource, rtype):
        return []
    problems = judge(resource, rtype)
    if not problems or len(problems) == LIMIT or not isinstance(resource, dict):
        return problems
    return _merged(problems, explain(resource, rtype))


def _merged(own: list[Problem], others: list[Problem]) -> list[Problem]:
    """Our problems, and of the others those at elements that ours leave untouched."""
    seen = [problem.expression for problem in own]
    more = [p for p in others if not any(e.startswith(p.expression) or p.expression.startswith(e) for e in seen)]
    return (own + more)[:LIMIT]


def accepts(resource: Resource, rtype: str) -> bool:
    """Fast acceptance: True only for a valid resource; False says nothing."""
    try:
        if not fast_validator(rtype).is_valid(resource):
            return False
    except (ValueError, TypeError, OverflowError, RecursionError):
        return False  # What the schema engine cannot hold (huge numbers, foreign Python types) is judged slowly.
    return _plain(resource) and not any(rule.broken(resource) for rule in _root_rules(rtype))


_ROOT_RULES: dict[str, tuple[Rule, ...]] = {}


def _root_rules(rtype: str) -> tuple[Rule, ...]:
    """The rules of the type itself that the schema does not hold."""
    found = _ROOT_RULES.get(rtype)
    if found is None:
        found = _ROOT_RULES[rtype] = tuple(rule for rule in rules_of(rtype) if rule.kind == "check")
    return found


def _plain(resource: Resource) -> bool:
    """Nothing inside that needs more than the schema: elements with only an id, periods that run backwards,
    a Reference.type beside another reference, narrative with faults."""
    waiting = [resource]
    for node in waiting:
        if len(node) == 1 and "id" in node:
            return False
        if "end" in node and "start" in node and before(node["end"], node["start"]):
            return False
        if "reference" in node and "type" in node and not _same_type(node["reference"], node["type"]):
            return False
        if "div" in node and narrative_problem(node["div"]):
            return False
        for value in node.values():
            kind = type(value)
            if kind is dict:
                waiting.append(value)
            elif kind is list:
                waiting += [item for item in value if type(item) is dict]
    return True


def _same_type(reference: object, kind: object) -> bool:
    return isinstance(reference, str) and isinstance(kind, str) and reference.startswith(kind + "/")
