"""FHIRPath Patch: add, insert, delete, replace and move. https://hl7.org/fhir/R4/fhirpatch.html"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from fhir_profiles import Resource
from service.errors import Category, FhirError, Issue
from service.patching import paths
from service.patching.elements import NOTHING, Node, insert_at, nodes, set_at, spelled, take
from service.patching.operations import WHOLE, Operation, Refused, perform_all, read_all
from service.patching.values import Given, built, given_of
from service.patching.work import Work

_FORM = "A FHIRPath Patch is a Parameters resource whose parameters are all named operation."


@dataclass(frozen=True)
class _Parts:
    """What the parts of one operation say."""

    steps: tuple[paths.Step, ...]
    name: str = ""
    value: Given | None = None
    index: int = 0
    source: int = 0
    destination: int = 0


def read(document: Any) -> tuple[Operation, ...]:
    """The operations; 400 names all that cannot be read."""
    rows = document.get("parameter") if isinstance(document, dict) else None
    if not isinstance(rows, list) or document.get("resourceType") != "Parameters":
        raise FhirError(Category.MALFORMED, [Issue(_FORM, "Parameters", "structure")], reason="patch")
    return read_all(rows, _operation, _type_of)


def apply(resource: Resource, operations: tuple[Operation, ...], work: Work) -> Any:
    return perform_all(resource, operations, work)


def _type_of(row: Any) -> Any:
    parts = row.get("part") if isinstance(row, dict) else None
    types = [p for p in parts if isinstance(p, dict) and p.get("name") == "type"] if isinstance(parts, list) else []
    return types[0].get("valueCode", types[0].get("valueString")) if types else ""


def _operation(row: Any) -> Operation:
    if not isinstance(row, dict) or row.get("name") != "operation" or not isinstance(row.get("part"), list):
        raise Refused("a parameter is named operation and has the parts type, path and what the type needs")
    parts: dict[str, Any] = {}
    for part in row["part"]:
        name = part.get("name") if isinstance(part, dict) else None
        if not isinstance(name, str) or name not in _PARTS or name in parts:
            raise Refused(f"the parts are, each once: {', '.join(_PARTS)}")
        parts[name] = part
    kind = _type_of(row)
    if not isinstance(kind, str) or kind not in _OPERATIONS:
        raise Refused(f"type must be one of {', '.join(_OPERATIONS)} as valueCode")
    needs, perform = _OPERATIONS[kind]
    missing = [name for name in ("path", *needs) if name not in parts]
    if missing:
        raise Refused(f"the part {' and '.join(missing)} must be given", code="required")
    read = {name: _PARTS[name](name, parts[name]) for name in parts if name != "type"}
    said = _Parts(read.pop("path"), **read)
    return Operation(kind, _touched(said), partial(perform, said))


def _text(name: str, part: Any) -> str:
    text = part.get("valueString", part.get("valueCode"))
    if not isinstance(text, str) or not text.removesuffix("[x]").isalnum() or len(text) > 60:
        raise Refused(f"the part {name} is the name of an element as valueString")
    return text


def _number(name: str, part: Any) -> int:
    number = next((part[key] for key in ("valueInteger", "valueUnsignedInt", "valuePositiveInt") if key in part), None)
    if not isinstance(number, int) or isinstance(number, bool) or number < 0:
        raise Refused(f"the part {name} is a place counted from 0 as valueInteger")
    return number


_PARTS: dict[str, Callable[[str, Any], Any]] = {
    "type": _text,
    "path": lambda _name, part: paths.parse(part.get("valueString")),
    "name": _text,
    "value": lambda _name, part: given_of(part),
    "index": _number,
    "source": _number,
    "destination": _number,
}


def _touched(said: _Parts) -> frozenset[str]:
    names = [step.name for step in said.steps if isinstance(step, paths.Name)]
    if names and names[0][:1].isupper():
        names = names[1:]
    return frozenset({names[0] if names else said.name or WHOLE})


# --- the five operations --------------------------------------------------------------------------------------------


def _add(said: _Parts, resource: Resource, work: Work) -> Resource:
    """Appends to an element that repeats; a single one must not be there yet."""
    node = _one(resource, said.steps, work)
    json, element, kind = _chosen(node, said)
    path = f"{node.path}.{element.name.removesuffix('[x]')}"
    value, twin = built(_value(said), kind, work, path)
    holder = node.inside(create=True)
    if element.many:
        present = max(len(holder.get(key) or ()) for key in (json, "_" + json))
        insert_at(holder, json, present, value, twin)
        return resource
    if any(key in holder for name, _, _ in spelled(node.structure, said.name, path) for key in (name, "_" + name)):
        raise Refused("the element is there already and does not repeat: replace it", path)
    set_at(holder, json, None, value, twin)
    return resource


def _insert(said: _Parts, resource: Resource, work: Work) -> Resource:
    holder, json, kind, path = _array(resource, said.steps, work)
    present = max(len(holder.get(key) or ()) for key in (json, "_" + json))
    if said.index > present:
        raise Refused(f"index must be 0 to {present}, since so many values are there", path)
    value, twin = built(_value(said), kind, work, path)
    insert_at(holder, json, said.index, value, twin)
    return resource


def _delete(said: _Parts, resource: Resource, work: Work) -> Resource:
    """What is not there needs no deletion."""
    found = nodes(resource, said.steps, work)
    if len(found) > 1:
        raise Refused(f"the path leads to {len(found)} elements: choose one by [n] or where()", found[0].path)
    if found:
        if found[0].owner is None:
            raise Refused("the whole resource cannot be taken away: delete it")
        take(found[0], work)
    return resource


def _replace(said: _Parts, resource: Resource, work: Work) -> Resource:
    node = _one(resource, said.steps, work)
    if node.owner is None or node.element is None:
        raise Refused("the whole resource is replaced by an update (PUT), not by a patch")
    given, json, kind = _value(said), node.name, node.kind
    if node.element.choice:
        json, kind = _of_choice(node.element, given, node.path)
    value, twin = built(given, kind, work, node.path)
    if node.index is None:
        take(node, work)
        set_at(node.owner, json, None, value, twin)
        return resource
    # Beside a new value the old twin would go on saying what it said of the old one.
    cleared = None if twin is NOTHING and isinstance(node.owner.get("_" + json), list) else twin
    set_at(node.owner, json, node.index, None if value is NOTHING else value, cleared)
    if cleared is None:
        work.took_from(node.owner["_" + json])
    return resource


def _move(said: _Parts, resource: Resource, work: Work) -> Resource:
    holder, json, _, path = _array(resource, said.steps, work)
    present = max(len(holder.get(key) or ()) for key in (json, "_" + json))
    if said.source >= present or said.destination >= present:
        raise Refused(f"source and destination must be below {present}, since so many values are there", path)
    for key in (json, "_" + json):
        if isinstance(array := holder.get(key), list):
            array += [None] * (present - len(array))
            array.insert(said.destination, array.pop(said.source))
    return resource


_Perform = Callable[[_Parts, Resource, Work], Resource]
_OPERATIONS: dict[str, tuple[tuple[str, ...], _Perform]] = {
    "add": (("name", "value"), _add),
    "insert": (("index", "value"), _insert),
    "delete": ((), _delete),
    "replace": (("value",), _replace),
    "move": (("source", "destination"), _move),
}


# --- places ---------------------------------------------------------------------------------------------------------


def _one(resource: Resource, steps: tuple[paths.Step, ...], work: Work) -> Node:
    found = nodes(resource, steps, work)
    if not found:
        raise Refused("the path leads to no element: add it first", code="not-found")
    if len(found) > 1:
        raise Refused(f"the path leads to {len(found)} elements: choose one by [n] or where()", found[0].path)
    return found[0]


def _array(resource: Resource, steps: tuple[paths.Step, ...], work: Work) -> tuple[dict[str, Any], str, str, str]:
    """(object, JSON name, type, path) of the repeating element that the last name of a path means."""
    *before, last = steps
    if not isinstance(last, paths.Name):
        raise Refused("the path ends with the name of an element that repeats, such as Patient.name")
    node = _one(resource, tuple(before), work)
    found = spelled(node.structure, last.name, node.path)
    json, element, kind = found[0]
    path = f"{node.path}.{element.name.removesuffix('[x]')}"
    if not element.many:
        raise Refused("this element does not repeat: replace it", path)
    return node.inside(create=True), json, kind, path


def _value(said: _Parts) -> Given:
    if said.value is None:
        raise Refused("the part value must be given", code="required")
    return said.value


def _chosen(node: Node, said: _Parts) -> tuple[str, Any, str]:
    found = spelled(node.structure, said.name, node.path)
    element = found[0][1]
    if len(found) == 1:
        return found[0]
    json, kind = _of_choice(element, _value(said), f"{node.path}.{said.name.removesuffix('[x]')}")
    return json, element, kind


def _of_choice(element: Any, given: Given, path: str) -> tuple[str, str]:
    """The spelling of value[x] for the type of the value."""
    for json, kind in element.json_names():
        if given.json_suffix and json == element.name.removesuffix("[x]") + given.json_suffix:
            return json, kind
    types = [kind for _, kind in element.json_names()]
    which = f"one of {', '.join(types)}" if len(types) <= 15 else "one of the types that R4 allows here"
    raise Refused(f"the value must be of {which}", path, "structure")
