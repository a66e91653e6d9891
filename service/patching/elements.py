"""Elements of a resource as places to read and write: the twin of a primitive (`_birthDate`) goes with it."""

import difflib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from fhir_profiles.r4_types import Element, fields, has_twin, is_primitive, resource_types
from service.patching.operations import Refused
from service.patching.paths import Index, Name, OfType, Step, Where
from service.patching.work import Work, same

NOTHING: Any = object()


@dataclass(frozen=True)
class Node:
    """One element: `owner[name]`, or `owner[name][index]` where the element repeats. kind: its FHIR type.

    path: as FHIRPath from the resource. owner None: the resource itself, which is then `root`.
    """

    kind: str
    path: str
    element: Element | None
    owner: dict[str, Any] | None
    name: str = ""
    index: int | None = None
    root: Any = None

    @property
    def value(self) -> Any:
        return self.root if self.owner is None else self._read(self.name)

    @property
    def twin(self) -> Any:
        return NOTHING if self.owner is None else self._read("_" + self.name)

    def _read(self, name: str) -> Any:
        assert self.owner is not None
        found = self.owner.get(name, NOTHING)
        if self.index is None or found is NOTHING:
            return found
        return found[self.index] if isinstance(found, list) and self.index < len(found) else NOTHING

    def inside(self, *, create: bool = False) -> dict[str, Any]:
        """The object that holds the element's parts: of a primitive its twin. Made on demand where `create`."""
        if self.owner is None or not is_primitive(self.kind):
            return self.value if isinstance(self.value, dict) else {}
        if isinstance(self.twin, dict):
            return self.twin
        made: dict[str, Any] = {}
        if create:
            set_at(self.owner, self.name, self.index, NOTHING, made)
        return made

    @property
    def structure(self) -> str:
        """The structure by whose elements it is read."""
        if self.kind == "Resource":
            named = self.value.get("resourceType") if isinstance(self.value, dict) else None
            return named if isinstance(named, str) and named in resource_types() else ""
        return "Element" if is_primitive(self.kind) else self.kind


def spelled(structure: str, name: str, path: str) -> list[tuple[str, Element, str]]:
    """(JSON name, element, type) that an element's name means: several for a choice. Refused for an unknown one."""
    known = fields(structure) if structure else {}
    stem = name.removesuffix("[x]")
    choices = [(json, element, kind) for json, (element, kind) in known.items() if element.name == f"{stem}[x]"]
    if choices:
        return choices
    if name in known:
        return [(name, *known[name])]
    near = difflib.get_close_matches(name, [e.name.removesuffix("[x]") for e, _ in known.values()], 1)
    more = f"; did you mean {near[0]}?" if near else ""
    raise Refused(f"{structure or 'This resource'} has no element {name}{more}", path, "structure")


def children(node: Node, name: str, work: Work) -> Iterator[Node]:
    work.look()
    holder = node.inside()
    for json, element, kind in spelled(node.structure, name, node.path):
        path = f"{node.path}.{element.name.removesuffix('[x]')}"
        if element.many:
            arrays = [a for a in (holder.get(json), holder.get("_" + json)) if isinstance(a, list)]
            for number in range(max(map(len, arrays), default=0)):
                work.look()
                yield Node(kind, f"{path}[{number}]", element, holder, json, number)
        elif json in holder or "_" + json in holder:
            yield Node(kind, path, element, holder, json)


def nodes(resource: dict[str, Any], steps: tuple[Step, ...], work: Work) -> list[Node]:
    """The elements that a path leads to; it may start with the name of the type."""
    rtype = str(resource.get("resourceType"))
    found = [Node(rtype, rtype, None, None, root=resource)]
    for step in steps[1:] if steps[:1] == (Name(rtype),) else steps:
        match step:
            case Name(name):
                found = [child for node in found for child in children(node, name, work)]
            case Index(number):
                found = found[number:][:1]
            case OfType(kind):
                found = [node for node in found if _is_a(node, kind, work)]
            case Where(conditions):
                found = [node for node in found if all(_holds(node, *each, work) for each in conditions)]
    return found


def _is_a(node: Node, kind: str, work: Work) -> bool:
    work.look()
    return kind in (node.kind, node.structure)


def _holds(node: Node, names: tuple[str, ...], wanted: Any, work: Work) -> bool:
    found = [node]
    for name in names:
        found = [child for one in found for child in children(one, name, work)]
    return any(same(one.value, wanted) for one in found)


# --- writing --------------------------------------------------------------------------------------------------------


def set_at(owner: dict[str, Any], name: str, index: int | None, value: Any, twin: Any) -> None:
    """Sets what is given of value and twin; NOTHING leaves that side as it is."""
    for key, given in ((name, value), ("_" + name, twin)):
        if given is NOTHING:
            continue
        if index is None:
            owner[key] = given
            continue
        array = owner.setdefault(key, [])
        array += [None] * (max(_length(owner, name), index + 1) - len(array))
        array[index] = given
    _aligned(owner, name, index)


def insert_at(owner: dict[str, Any], name: str, index: int, value: Any, twin: Any) -> None:
    """A new value at `index` of a repeating element, in both arrays."""
    _aligned(owner, name, index)
    if twin is not NOTHING and "_" + name not in owner:
        owner["_" + name] = [None] * _length(owner, name)
    if value is not NOTHING and name not in owner:
        owner[name] = [None] * _length(owner, name)
    for key, given in ((name, value), ("_" + name, twin)):
        if isinstance(owner.get(key), list):
            owner[key].insert(index, None if given is NOTHING else given)


def take(node: Node, work: Work) -> tuple[Any, Any]:
    """Removes the element; its value and twin, NOTHING where it has none."""
    owner, found = node.owner, (node.value, node.twin)
    assert owner is not None
    for key in (node.name, "_" + node.name):
        if key not in owner:
            continue
        if node.index is None:
            del owner[key]
        elif isinstance(owner[key], list) and node.index < len(owner[key]):
            work.took_from(owner[key])
            del owner[key][node.index]
        work.took_from(owner)
    return found


def _length(owner: dict[str, Any], name: str) -> int:
    return max(len(a) if isinstance(a := owner.get(key), list) else 0 for key in (name, "_" + name))


def _aligned(owner: dict[str, Any], name: str, index: int | None) -> None:
    """Both arrays of a repeating primitive get one length."""
    if index is None:
        return
    for key in (name, "_" + name):
        if isinstance(array := owner.get(key), list):
            array += [None] * (_length(owner, name) - len(array))


def takes_twin(kind: str) -> bool:
    return has_twin(kind)
