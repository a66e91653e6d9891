"""A resource in XML -> the same JSON value that its JSON form has. https://hl7.org/fhir/R4/xml.html

Names, types and repetition come from R4's tables (`r4_types.py`). Only what JSON cannot say is refused here; whether
the resource is valid is for `validate.py`, as with JSON. The order of different elements is not checked.
"""

import difflib
import re
from typing import Any

from fhir_profiles import Resource
from fhir_profiles.numbers import BadNumber, number
from fhir_profiles.r4_types import Element, fields, is_primitive, resource_types
from fhir_profiles.xml_tree import Limits, Node, XmlFault, tree_of

MOST = 50
WHOLE = frozenset({"integer", "unsignedInt", "positiveInt"})
_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?", re.ASCII)
_WHOLE = re.compile(r"-?(?:0|[1-9][0-9]*)", re.ASCII)


def resource_of(data: bytes, limits: Limits) -> Resource:
    """The resource of an XML document. XmlFault names line and element of all that cannot be read."""
    root = tree_of(data, limits)
    reading = _Reading(limits)
    found = reading.resource(root, root.name, 1)
    if reading.problems:
        raise XmlFault(*reading.problems[:MOST])
    return found


class _Reading:
    def __init__(self, limits: Limits):
        self.limits = limits
        self.problems: list[tuple[int, str, str]] = []

    def note(self, node: Node, path: str, text: str) -> None:
        self.problems.append((node.line, path, text))

    def resource(self, node: Node, path: str, depth: int) -> Resource:
        if node.name not in resource_types():
            self.note(node, path, "R4 has no such resource type: look at the spelling.")
            return {}
        if node.attributes:
            self.note(node, path, 'A resource has no attributes: its id is an element, <id value="..."/>.')
        return {"resourceType": node.name, **self.structure(node, node.name, path, depth)}

    def structure(self, node: Node, name: str, path: str, depth: int) -> Resource:
        """The members of one object. depth: of its JSON form."""
        if depth > self.limits.depth:
            text = f"The resource is nested more than {self.limits.depth} levels deep: flatten it."
            raise XmlFault((node.line, path, text), code="too-costly")
        found: Resource = {}
        if name not in resource_types():
            found |= self.attributes(node, name, path)
        for spelled, nodes in self.grouped(node, name, path).items():
            element, kind = fields(name)[spelled]
            here = f"{path}.{spelled}"
            if not element.many and len(nodes) > 1:
                self.note(nodes[1], here, "This element does not repeat: keep one.")
            elif is_primitive(kind):
                found |= self.primitives(nodes, spelled, element, kind, here)
            else:
                below = depth + (2 if element.many else 1)
                values = [self.value(one, kind, place, below) for one, place in _places(nodes, element, here)]
                found[spelled] = values if element.many else values[0]
        return found

    def attributes(self, node: Node, name: str, path: str) -> dict[str, str]:
        known = fields(name)
        for attribute in node.attributes:
            if attribute not in known or not known[attribute][1].startswith("System."):
                self.note(node, path, f"{name} takes no attribute {attribute}: give it as an element, or remove it.")
        return dict(node.attributes)

    def grouped(self, node: Node, name: str, path: str) -> dict[str, list[Node]]:
        """Children by their name, in the order in which names first occur."""
        known = fields(name)
        groups: dict[str, list[Node]] = {}
        for child in node.children:
            kind = known[child.name][1] if child.name in known else ""
            if not kind:
                near = difflib.get_close_matches(child.name, known, 1)
                remedy = f"did you mean `{near[0]}`?" if near else "remove it or use an extension."
                self.note(child, f"{path}.{child.name}", f"R4 has no such element in {name}: {remedy}")
            elif kind.startswith("System.") and name not in resource_types():
                self.note(child, f"{path}.{child.name}", f"{child.name} is an attribute here, not an element.")
            elif (kind == "xhtml") != (child.div is not None):
                self.note(child, f"{path}.{child.name}", "A narrative's div, and it alone, belongs to XHTML.")
            else:
                groups.setdefault(child.name, []).append(child)
        return groups

    def value(self, node: Node, kind: str, path: str, depth: int) -> Any:
        if "value" in node.attributes:
            self.note(node, path, f"{kind} has elements inside, no attribute value.")
            node.attributes.pop("value")
        if kind != "Resource" and kind not in resource_types():
            return self.structure(node, kind, path, depth)
        if len(node.children) != 1 or node.attributes:
            self.note(node, path, "Here stands one resource: an element named as its type.")
            return {}
        return self.resource(node.children[0], path, depth)

    def primitives(self, nodes: list[Node], spelled: str, element: Element, kind: str, here: str) -> Resource:
        """`name` and, where one of them has an id or extensions, `_name`: both padded with null to one length."""
        read = [self.primitive(one, kind, place) for one, place in _places(nodes, element, here)]
        values, twins = [value for value, _ in read], [twin for _, twin in read]
        found: Resource = {}
        if any(value is not None for value in values):
            found[spelled] = values if element.many else values[0]
        if any(twin is not None for twin in twins):
            found["_" + spelled] = twins if element.many else twins[0]
        return found

    def primitive(self, node: Node, kind: str, path: str) -> tuple[Any, Resource | None]:
        if kind == "xhtml":
            return node.div, None
        text = node.attributes.pop("value", None)
        if text is None and not node.attributes and not node.children:
            self.note(node, path, 'The element is empty: give it a value, <active value="..."/>, or leave it out.')
        twin = (self.structure(node, "Element", path, 1) or None) if node.attributes or node.children else None
        return (None if text is None else self.typed(text, kind, node, path)), twin

    def typed(self, text: str, kind: str, node: Node, path: str) -> Any:
        """The JSON value of an attribute; the form of strings is for the validation."""
        if kind == "boolean":
            if text not in ("true", "false"):
                self.note(node, path, "Expected true or false.")
            return text == "true"
        if kind != "decimal" and kind not in WHOLE:
            return text
        whole = kind in WHOLE
        if not (_WHOLE if whole else _NUMBER).fullmatch(text):
            self.note(node, path, f"Expected a {'whole ' if whole else ''}number ({kind}).")
            return 0
        try:
            return number(text)
        except BadNumber as bad:
            self.note(node, path, str(bad))
        except ArithmeticError:
            self.note(node, path, "A number cannot be read: look at its exponent.")
        return 0


def _places(nodes: list[Node], element: Element, here: str) -> list[tuple[Node, str]]:
    if not element.many:
        return [(nodes[0], here)]
    return [(one, f"{here}[{i}]") for i, one in enumerate(nodes)]
