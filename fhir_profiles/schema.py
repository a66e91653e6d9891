"""The strict JSON schema of a type, made from R4's element facts: https://hl7.org/fhir/R4/json.html

It serves fast acceptance only and errs to the strict side: what it accepts is valid by structure, required codes,
reference targets and invariants of inner structures; what it refuses is judged by `structure.py`, which knows the rare
valid forms left out here (a required primitive given by extension alone, nulls in arrays, 29 February, absolute
references, contained resources). Draft 4, because there 1.0 is not an integer.
"""

from functools import cache
from itertools import product
from typing import Any

import jsonschema_rs

from fhir_profiles.invariants import Rule, rules_of, spellings
from fhir_profiles.r4_types import (
    Element,
    all_codes,
    codes,
    elements,
    has_twin,
    is_primitive,
    primitive_regex,
    resource_types,
)

Schema = dict[str, Any]
SCANNED = ("per-1",)
"""Inner rules that `validate.py` decides on its own walk, being too common for the slow way."""
YEAR = "[0-9]{3}[1-9]|[0-9]{2}[1-9]0|[0-9][1-9]00|[1-9]000"
DAY = "(?:0[13578]|1[02])-(?:0[1-9]|[12][0-9]|3[01])|(?:0[469]|11)-(?:0[1-9]|[12][0-9]|30)|02-(?:0[1-9]|1[0-9]|2[0-8])"
TIME = (
    r"T(?:[01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](?:\.[0-9]+)?"
    r"(?:Z|[+-](?:(?:0[0-9]|1[0-3]):[0-5][0-9]|14:00))"
)
DATES = {
    "date": f"(?:{YEAR})(?:-(?:(?:0[1-9]|1[0-2])|{DAY}))?",
    "dateTime": f"(?:{YEAR})(?:-(?:(?:0[1-9]|1[0-2])|(?:{DAY})(?:{TIME})?))?",
    "instant": f"(?:{YEAR})-(?:{DAY}){TIME}",
}
ID = r"[A-Za-z0-9\-.]{1,64}"
BASE64 = "(?:[0-9A-Za-z+/]{4})*(?:[0-9A-Za-z+/]{2}==|[0-9A-Za-z+/]{3}=)?"
INTEGERS = {"integer": -(2**31), "unsignedInt": 0, "positiveInt": 1}


def primitive(kind: str) -> Schema:
    """One primitive value by its R4 form; dates by the calendar as well."""
    if kind == "boolean":
        return {"type": "boolean"}
    if kind == "decimal":
        return {"type": "number"}
    if kind in INTEGERS:
        return {"type": "integer", "minimum": INTEGERS[kind], "maximum": 2**31 - 1}
    if kind in ("string", "System.string", "markdown", "xhtml"):
        return {"type": "string", "minLength": 1}
    if kind == "base64Binary":
        return {"type": "string", "minLength": 1, "pattern": f"^{BASE64}$"}
    if kind in DATES:
        return {"type": "string", "pattern": f"^(?:{DATES[kind]})$"}
    return {"type": "string", "minLength": 1, "pattern": f"^(?:{primitive_regex(kind)})$"}


def reference(allowed: frozenset[str]) -> Schema:
    """A Reference whose relative target has one of the allowed types (any R4 type if none are named)."""
    names = "|".join(sorted(allowed or resource_types()))
    form = rf"^(?:(?:{names})/{ID}(?:/_history/{ID})?|urn:(?:uuid|oid):[0-9a-f.\-]+)$"
    schema = structure("Reference")
    kinds = {"enum": sorted(allowed)} if allowed else {"enum": sorted(resource_types())}
    schema["properties"] |= {"reference": {"type": "string", "pattern": form}, "type": kinds}
    return schema


def required_concept(value_set: str) -> Schema:
    """A CodeableConcept bound as required: each coding is one of the value set's."""
    coded = [
        {"properties": {"system": {"enum": [system]}, "code": {"enum": sorted(members)}}}
        for system, members in codes(value_set).items()
    ]
    schema = structure("CodeableConcept")
    one = {"allOf": [_ref("Coding"), {"required": ["system", "code"]}, {"anyOf": coded}]}
    schema["properties"]["coding"] = {"type": "array", "minItems": 1, "items": one}
    schema["required"] = ["coding"]
    return schema


def definition(name: str) -> Schema:
    """The schema of a `$ref` name: `Reference(Group,Patient)`, `CodeableConcept[value set]` or a structure."""
    if name.startswith("Reference("):
        return reference(frozenset(filter(None, name[10:-1].split(","))))
    if name.startswith("CodeableConcept["):
        return required_concept(name[16:-1])
    return structure(name)


def _ref(name: str) -> Schema:
    return {"$ref": "#/definitions/" + name.replace("/", "~1").replace("[", "%5B").replace("]", "%5D")}


def _value(element: Element, kind: str) -> Schema:
    if is_primitive(kind):
        if element.codes and (allowed := all_codes(element.codes)):
            return {"enum": sorted(allowed)}
        return primitive(kind)
    if kind == "Reference":
        return _ref(f"Reference({','.join(sorted(element.targets))})")
    if kind == "CodeableConcept" and codes(element.codes):
        return _ref(f"CodeableConcept[{element.codes}]")
    if kind in ("CodeableConcept", "Coding") and codes(element.codes):
        return {"not": {}}
    return _ref(kind)


def _properties(name: str) -> Schema:
    found: Schema = {}
    for element in elements(name):
        for spelled, kind in element.json_names():
            if kind == "Resource":
                continue
            value = _value(element, kind)
            if element.many:
                value = {"type": "array", "minItems": max(1, element.min), "items": value}
                if element.max is not None:
                    value["maxItems"] = element.max
            elif has_twin(kind) and not element.choice:
                found["_" + spelled] = _ref("Element")
            found[spelled] = value
    return found


def _choice(element: Element) -> list[Schema]:
    """At most one spelling of value[x]; exactly one where it is required."""
    names = [{"required": [spelled]} for spelled, _ in element.json_names()]
    if element.min:
        return [{"oneOf": names}]
    return [{"anyOf": [{"not": {"anyOf": names}}, {"oneOf": names}]}] if len(names) > 1 else []


def _rule(rule: Rule, root: bool) -> list[Schema]:
    if rule.kind == "needs":
        return [{"dependencies": {n: list(rule.names[1:]) for n in spellings(rule.structure, rule.names[0])}}]
    if rule.kind == "one_of":
        return [{"anyOf": [{"required": [n]} for name in rule.names for n in spellings(rule.structure, name)]}]
    if rule.kind == "check" and (root or rule.key in SCANNED):
        return []
    if rule.fast is not None:
        return [rule.fast]
    combined = product(*(spellings(rule.structure, name) for name in rule.names))
    return [{"not": {"required": list(combination)}} if combination else {"not": {}} for combination in combined]


def structure(name: str) -> Schema:
    """The schema of one structure, by facts and rules; nested structures by `$ref`."""
    properties = _properties(name)
    if name == "Extension":
        # url and exactly one other property: ext-1 and the exclusive choice at once; an id takes the slow way.
        del properties["id"]
        return {
            "type": "object",
            "properties": properties,
            "additionalProperties": False,
            "required": ["url"],
            "minProperties": 2,
            "maxProperties": 2,
        }
    if name == "Element":
        return {"type": "object", "properties": properties, "additionalProperties": False, "required": ["extension"]}
    root = name in resource_types()
    required = [e.name for e in elements(name) if e.min and not e.choice]
    demands: list[Schema] = []
    for element in elements(name):
        if element.choice:
            demands += _choice(element)
    for rule in rules_of(name):
        demands += _rule(rule, root)
    schema: Schema = {"type": "object", "properties": properties, "additionalProperties": False, "minProperties": 1}
    if root:
        properties["resourceType"] = {"enum": [name]}
        required.append("resourceType")
    if required:
        schema["required"] = required
    if demands:
        schema["allOf"] = demands
    return schema


def schema_for(rtype: str) -> Schema:
    """The whole schema of a resource type with every definition that it reaches."""
    definitions: Schema = {}
    root = structure(rtype)
    waiting = _refs(root)
    while waiting:
        name = waiting.pop()
        if name not in definitions:
            definitions[name] = definition(name)
            waiting += _refs(definitions[name])
    return {"$schema": "http://json-schema.org/draft-04/schema#", **root, "definitions": definitions}


def _refs(schema: Any) -> list[str]:
    if isinstance(schema, list):
        return [name for part in schema for name in _refs(part)]
    if not isinstance(schema, dict):
        return []
    if isinstance(schema.get("$ref"), str):
        name = schema["$ref"].removeprefix("#/definitions/")
        return [name.replace("~1", "/").replace("%5B", "[").replace("%5D", "]")]
    return [name for part in schema.values() for name in _refs(part)]


@cache
def fast_validator(rtype: str) -> jsonschema_rs.Draft4Validator:
    """The compiled schema, made at the first use of the type."""
    return jsonschema_rs.Draft4Validator(schema_for(rtype), pattern_options=jsonschema_rs.RegexOptions())
