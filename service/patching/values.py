"""The value of a FHIRPath Patch operation: value[x], a resource, or parts where the element has no type of its own."""

from dataclasses import dataclass
from typing import Any

from fhir_profiles.r4_types import is_primitive
from service.patching.elements import NOTHING, insert_at, set_at, spelled, takes_twin
from service.patching.operations import Refused
from service.patching.work import Work

MAX_DEPTH = 16
_FORM = "a value is one value[x], one resource, or parts with the elements of a backbone element"


@dataclass(frozen=True)
class Given:
    """json_suffix: `Quantity` of valueQuantity; "" for parts and resources. parts: names and values of elements."""

    json_suffix: str = ""
    value: Any = NOTHING
    twin: Any = NOTHING
    parts: tuple[tuple[str, "Given"], ...] = ()


def given_of(part: dict[str, Any], depth: int = 1) -> Given:
    """What one part of an operation holds; Refused where that is nothing or several things."""
    rest = {name: value for name, value in part.items() if name not in ("name", "id", "extension")}
    plain = {name.removeprefix("_") for name in rest}
    if len(plain) != 1 or depth > MAX_DEPTH:
        raise Refused(_FORM, code="structure")
    name = plain.pop()
    if name == "resource" and isinstance(rest.get(name), dict):
        return Given(value=rest[name])
    if name == "part" and isinstance(rest.get(name), list):
        return Given(parts=tuple(_named(inner, depth) for inner in rest[name]))
    if not name.startswith("value") or not name[5:6].isupper():
        raise Refused(_FORM, code="structure")
    twin = rest.get("_" + name, NOTHING)
    if twin is not NOTHING and not isinstance(twin, dict):
        raise Refused(_FORM, code="structure")
    return Given(name.removeprefix("value"), rest.get(name, NOTHING), twin)


def _named(part: Any, depth: int) -> tuple[str, Given]:
    name = part.get("name") if isinstance(part, dict) else None
    if not isinstance(name, str) or not name.removesuffix("[x]").isalnum() or len(name) > 60:
        raise Refused("each part of a value is named as an element", code="structure")
    return name, given_of(part, depth + 1)


def built(given: Given, kind: str, work: Work, path: str) -> tuple[Any, Any]:
    """(value, twin) of an element of type `kind`; what fits neither its kind nor its twin is refused."""
    if given.parts:
        return _assembled(given, kind, work, path), NOTHING
    primitive = is_primitive(kind)
    if given.value is not NOTHING and isinstance(given.value, dict | list) == primitive:
        raise Refused(f"the value must be of type {kind}", path, "structure")
    if given.twin is not NOTHING and not (primitive and takes_twin(kind)):
        raise Refused(f"the value must be of type {kind}", path, "structure")
    value = given.value if given.value is NOTHING else work.copy(given.value)
    return value, given.twin if given.twin is NOTHING else work.copy(given.twin)


def _assembled(given: Given, kind: str, work: Work, path: str) -> dict[str, Any]:
    """An object of a backbone element (or any datatype) from its parts, in their order."""
    if is_primitive(kind) or kind == "Resource":
        raise Refused(f"the value must be of type {kind}", path, "structure")
    made: dict[str, Any] = {}
    for name, inner in given.parts:
        where = f"{path}.{name.removesuffix('[x]')}"
        choices = spelled(kind, name, path)
        fitting = [c for c in choices if len(choices) == 1 or c[0] == name.removesuffix("[x]") + inner.json_suffix]
        if not fitting:
            raise Refused("the value is of none of the types that R4 allows here", where, "structure")
        json, element, own = fitting[0]
        value, twin = built(inner, own, work, where)
        if element.many:
            insert_at(made, json, max(len(made.get(k) or ()) for k in (json, "_" + json)), value, twin)
        elif json in made or "_" + json in made:
            raise Refused("this element is given twice and does not repeat", where)
        else:
            set_at(made, json, None, value, twin)
    return made
