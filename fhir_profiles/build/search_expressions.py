"""SearchParameter expressions (a small part of FHIRPath) -> walker paths: plain lists of JSON steps with a datatype.

Source: https://hl7.org/fhir/R4/searchparameter-definitions.html#SearchParameter.expression and the StructureDefinitions
that give each element its type. A form that is not covered raises Unsupported: it is never indexed as nothing.
"""

import re
from dataclasses import dataclass, field
from typing import Any

Segment = tuple[str, ...]
Step = str | list[str]

INDEXABLE = {
    "token": {"code", "boolean", "string", "id", "uri", "Coding", "CodeableConcept", "Identifier", "ContactPoint"},
    "reference": {"Reference", "canonical", "uri"},
    "date": {"date", "dateTime", "instant", "Period", "Timing"},
    "string": {"string", "markdown", "HumanName", "Address"},
    "uri": {"uri", "url", "canonical", "oid"},
    "number": {"decimal", "integer", "positiveInt", "unsignedInt", "Range"},
    "quantity": {"Quantity", "Age", "Duration", "Distance", "Count", "Money", "Range", "SampledData"},
    "special": {"BackboneElement", "Period"},
}
"""Datatypes that each kind of search parameter reads: https://hl7.org/fhir/R4/search.html#table"""

_CALL = re.compile(r"\.?([A-Za-z]\w*)(\()?")
_EQUALS = re.compile(r"^(\w+)\s*=\s*'([^']*)'$")
_TRUTH = re.compile(r"^([A-Za-z.]+)\.exists\(\) and \1 != false$")


class Unsupported(Exception):
    """The expression has a form that the walkers do not cover."""


@dataclass
class Elements:
    """Element types by path, of all R4 StructureDefinitions; `systems`: code system implied by a required binding;
    `codes`: its value set; `many`: paths that repeat.
    """

    types: dict[str, list[str]] = field(default_factory=dict)
    content: dict[str, str] = field(default_factory=dict)
    systems: dict[str, str] = field(default_factory=dict)
    codes: dict[str, str] = field(default_factory=dict)
    many: set[str] = field(default_factory=set)

    def types_of(self, path: str) -> list[str]:
        return self.types.get(path, [])


def paths_of(expression: str, rtype: str, kind: str, elements: Elements) -> list[dict[str, Any]]:
    """Walker paths of the branches of a union that start at `rtype`; raises Unsupported."""
    truth = _TRUTH.match(expression.strip())
    if truth:
        return _expand(_segments(truth[1]), "truth", elements)
    found: list[dict[str, Any]] = []
    for branch in _split(expression, "|"):
        segments = _segments(branch)
        if segments[:1] != [("name", rtype)]:
            continue
        found += _expand(segments, kind, elements)
    if not found:
        raise Unsupported(f"no branch for {rtype} in {expression!r}")
    return found


def groups_of(expression: str, parts: list[tuple[str, str]], rtype: str, elements: Elements) -> list[dict[str, Any]]:
    """One group per element that bears all components of a composite; parts: kind and expression of each component.

    `single`: the resource itself bears them and none repeats, so that the components may be asked one by one.
    """
    found = []
    for branch in _split(expression, "|"):
        if _segments(branch)[:1] != [("name", rtype)]:
            continue
        at = _position(_segments(branch), elements).steps
        positions = [[_position(_segments(f"{branch}.{e}"), elements) for e in _split(text, "|")] for _, text in parts]
        single = not at and not any(p.element in elements.many for part in positions for p in part)
        rows = [_part(kind, branch, text, len(at), elements) for kind, text in parts]
        found.append({"at": at, "parts": rows, "single": single})
    if not found:
        raise Unsupported(f"no branch for {rtype} in {expression!r}")
    return found


def _part(kind: str, branch: str, text: str, depth: int, elements: Elements) -> dict[str, Any]:
    """Paths below the bearing element. R4 names the components of DocumentReference-relationship the wrong way round:
    where the kind does not fit the element, the element decides."""
    segments = [_segments(f"{branch}.{alternative}") for alternative in _split(text, "|")]
    for tried in (kind, "token", "reference"):
        try:
            paths = [path for branch_segments in segments for path in _expand(branch_segments, tried, elements)]
        except Unsupported:
            continue
        return {"kind": tried, "paths": [path | {"steps": path["steps"][depth:]} for path in paths]}
    raise Unsupported(f"{branch}.{text} has no datatype for a component")


def branches_of(expression: str, rtype: str) -> str:
    """The part of a union that speaks of one type, for people and for the tests' FHIRPath engine."""
    if _TRUTH.match(expression.strip()):
        return expression.strip()
    return " | ".join(part for part in _split(expression, "|") if _segments(part)[:1] == [("name", rtype)])


def _split(text: str, separator: str) -> list[str]:
    parts, depth, quoted, start = [], 0, False, 0
    for i, char in enumerate(text):
        if char == "'":
            quoted = not quoted
        elif not quoted:
            depth += (char == "(") - (char == ")")
            if char == separator and depth == 0:
                parts.append(text[start:i])
                start = i + 1
    return [part.strip() for part in [*parts, text[start:]]]


def _closing(text: str, start: int) -> int:
    """Index of the bracket that closes the one at `start`."""
    depth, quoted = 0, False
    for i in range(start, len(text)):
        if text[i] == "'":
            quoted = not quoted
        elif not quoted:
            depth += (text[i] == "(") - (text[i] == ")")
            if depth == 0:
                return i
    raise Unsupported(f"unbalanced brackets in {text!r}")


def _segments(text: str) -> list[Segment]:
    """`(A.b as T).c` -> name A, name b, as T, name c."""
    text = text.strip()
    out: list[Segment] = []
    at = 0
    if text.startswith("("):
        at = _closing(text, 0) + 1
        out = _segments(text[1 : at - 1])
    while at < len(text):
        cast = re.match(r"\s+as\s+(\w+)\s*$", text[at:])
        if cast:
            out.append(("as", cast[1]))
            break
        match = _CALL.match(text, at)
        if not match:
            raise Unsupported(f"cannot read {text!r}")
        at = match.end()
        if not match[2]:
            out.append(("name", match[1]))
            continue
        end = _closing(text, at - 1)
        out.append(_call(match[1], text[at:end].strip()))
        at = end + 1
    return out


def _call(name: str, argument: str) -> Segment:
    if name in ("as", "ofType"):
        return ("as", argument)
    if name == "where":
        resolved = re.match(r"^resolve\(\) is (\w+)$", argument)
        if resolved:
            return ("is", resolved[1])
        equals = _EQUALS.match(argument)
        if equals:
            return ("where", equals[1], equals[2])
    raise Unsupported(f"function {name}({argument})")


@dataclass
class _Position:
    """Where a walk stands: the JSON steps so far, the element's definition path and its datatype."""

    steps: list[Step]
    element: str
    datatype: str
    choices: list[str] = field(default_factory=list)
    target: str | None = None


def _position(segments: list[Segment], elements: Elements) -> _Position:
    position = _Position([], segments[0][1], segments[0][1])
    for segment in segments[1:]:
        position = _advance(position, segment, elements)
    return position


def _expand(segments: list[Segment], kind: str, elements: Elements) -> list[dict[str, Any]]:
    position = _position(segments, elements)
    if not position.steps:
        raise Unsupported("the resource itself is no value")
    wanted = {"boolean", "dateTime"} if kind == "truth" else INDEXABLE.get(kind, set())
    if position.choices:
        leaves = [_cast(position, choice) for choice in position.choices if choice in wanted]
    else:
        leaves = [position] if position.datatype in wanted else []
    if not leaves:
        raise Unsupported(f"{position.element} has no datatype for a {kind} parameter")
    return [_path(leaf, kind, elements) for leaf in leaves]


def _advance(position: _Position, segment: Segment, elements: Elements) -> _Position:
    match segment[0]:
        case "as":
            choice = "dateTime" if segment[1] == "DateTime" else segment[1]  # as R4 misspells it in a component
            if position.choices and choice not in position.choices:
                raise Unsupported(f"{position.element} cannot be {choice}")
            return _cast(position, choice) if position.choices else position
        case "is":
            position.target = segment[1]
            return position
        case "where":
            position.steps[-1] = [str(position.steps[-1]), segment[1], segment[2]]
            return position
    if position.choices or position.target:
        raise Unsupported(f"a step below {position.element} without its type")
    return _child(position, segment[1], elements)


def _child(position: _Position, name: str, elements: Elements) -> _Position:
    inline = position.datatype in ("BackboneElement", "Element") or "." not in position.element
    parent = position.element if inline else position.datatype
    for path in (f"{parent}.{name}", f"{elements.content.get(parent, parent)}.{name}"):
        types = elements.types_of(path)
        if types:
            return _Position([*position.steps, name], path, types[0])
    types = elements.types_of(f"{parent}.{name}[x]")
    if types:
        return _Position([*position.steps, name], f"{parent}.{name}[x]", "", choices=types)
    for prefix_length in range(len(name) - 1, 0, -1):  # valueDateTime: the JSON name of a choice, as some guides write
        for choice in elements.types_of(f"{parent}.{name[:prefix_length]}[x]"):
            if choice[0].upper() + choice[1:] == name[prefix_length:]:
                return _Position([*position.steps, name], f"{parent}.{name}", choice)
    raise Unsupported(f"{parent}.{name} is no element")


def _cast(position: _Position, choice: str) -> _Position:
    last = str(position.steps[-1])
    steps: list[Step] = [*position.steps[:-1], last + choice[0].upper() + choice[1:]]
    return _Position(steps, position.element, choice)


def _path(leaf: _Position, kind: str, elements: Elements) -> dict[str, Any]:
    out: dict[str, Any] = {"steps": leaf.steps, "type": "truth" if kind == "truth" else leaf.datatype}
    if leaf.target:
        out["target"] = leaf.target
    if leaf.datatype == "code" and leaf.element in elements.codes:
        out["codes"] = elements.codes[leaf.element]
        if leaf.element in elements.systems:
            out["system"] = elements.systems[leaf.element]
    return out
