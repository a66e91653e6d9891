"""XML out: a resource as JSON values -> its XML form, elements in R4's order. https://hl7.org/fhir/R4/xml.html"""

import json
import re
from decimal import Decimal
from functools import cache
from typing import Any, NamedTuple

from fhir_profiles import Resource
from fhir_profiles.json_text import decimal_text
from fhir_profiles.r4_types import fields, is_primitive, resource_types
from fhir_profiles.xml_tree import FHIR

_HEAD = '<?xml version="1.0" encoding="UTF-8"?>'
_SPECIAL = re.compile('[&<>"\t\n\r\ufffe\uffff]')
_ESCAPED = str.maketrans(
    {
        "&": "&amp;",
        "<": "&lt;",
        ">": "&gt;",
        '"': "&quot;",
        # As they are they would come back as spaces.
        "\t": "&#9;",
        "\n": "&#10;",
        "\r": "&#13;",
        # JSON has these two, XML not even as references.
        "\ufffe": "\ufffd",
        "\uffff": "\ufffd",
    }
)


class _Place(NamedTuple):
    """order: among the elements of its structure, attributes first.

    what: "attribute", "primitive", "xhtml", "resource" or "structure".
    """

    order: int
    what: str
    kind: str


def xml_of(body: bytes, pretty: bool = False) -> bytes:
    """The XML form of a resource in JSON; every digit of a decimal stays."""
    return write_xml(json.loads(body, parse_float=str, parse_int=str), pretty)


def write_xml(resource: Resource, pretty: bool = False) -> bytes:
    """Numbers may be given as text. ValueError for a member that R4 does not know: nothing is left out unsaid."""
    out = _Writing(pretty)
    out.parts.append(_HEAD)
    out.resource(resource, 0, f' xmlns="{FHIR}"')
    return ("".join(out.parts) + ("\n" if pretty else "")).encode("utf-8")


@cache
def _places(structure: str) -> dict[str, _Place]:
    """{JSON property: its place}; `_name` stands where `name` stands."""
    found: dict[str, _Place] = {}
    for order, (spelled, (_, kind)) in enumerate(fields(structure).items()):
        if kind.startswith("System.") and structure not in resource_types():
            what = "attribute"
        elif kind == "Resource" or kind in resource_types():  # Bundle.entry.response.outcome is an OperationOutcome
            what = "resource"
        elif kind == "xhtml":
            what = "xhtml"
        else:
            what = "primitive" if is_primitive(kind) else "structure"
        found[spelled] = found["_" + spelled] = _Place(-1 if what == "attribute" else order, what, kind)
    return found


def _escaped(text: str) -> str:
    return text.translate(_ESCAPED) if _SPECIAL.search(text) else text


def _as_text(value: Any) -> str:
    if isinstance(value, str):
        return _escaped(value)
    if isinstance(value, bool):
        return "true" if value else "false"
    return decimal_text(value) if isinstance(value, Decimal) else str(value)


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


class _Writing:
    def __init__(self, pretty: bool):
        self.parts: list[str] = []
        self._pretty = pretty

    def _lead(self, level: int) -> str:
        return "\n" + "  " * level if self._pretty else ""

    def resource(self, node: Resource, level: int, namespace: str = "") -> None:
        name = node["resourceType"]
        if name not in resource_types():
            raise ValueError("no resource type of R4")
        members = {key: value for key, value in node.items() if key != "resourceType"}
        self.element(name, members, name, level, namespace)

    def element(self, tag: str, node: Resource, structure: str, level: int, more: str = "") -> None:
        """An element with the members of a structure inside. more: attributes written already, each after a space."""
        places = _places(structure)
        try:
            ordered = sorted(node, key=lambda key: places[key].order)
        except KeyError:
            raise ValueError(f"R4 has no such member in {structure}") from None
        start, done = f"{self._lead(level)}<{tag}{more}", False
        for key in ordered:
            place = places[key]
            if place.what == "attribute":
                start += f' {key}="{_as_text(node[key])}"'
                continue
            if not done:
                self.parts.append(start + ">")
                done = True
            if key[0] == "_" and key[1:] in node:
                continue  # written with its value
            self.member(key.removeprefix("_"), node, place, level + 1)
        self.parts.append(f"{self._lead(level)}</{tag}>" if done else start + "/>")

    def member(self, name: str, node: Resource, place: _Place, level: int) -> None:
        if place.what == "primitive":
            self.primitives(name, _listed(node.get(name)), _listed(node.get("_" + name)), level)
        elif place.what == "xhtml":
            self.parts.append(self._lead(level) + node[name])
        elif place.what == "resource":
            for inner in _listed(node[name]):
                self.parts.append(f"{self._lead(level)}<{name}>")
                self.resource(inner, level + 1)
                self.parts.append(f"{self._lead(level)}</{name}>")
        else:
            for inner in _listed(node[name]):
                self.element(name, inner, place.kind, level)

    def primitives(self, name: str, values: list[Any], twins: list[Any], level: int) -> None:
        for i in range(max(len(values), len(twins))):
            value = values[i] if i < len(values) else None
            twin = twins[i] if i < len(twins) else None
            given = "" if value is None else f' value="{_as_text(value)}"'
            if twin:
                # R4's schemas take attributes in any order; extensions are the only elements inside.
                self.element(name, twin, "Element", level, given)
            elif given:
                self.parts.append(f"{self._lead(level)}<{name}{given}/>")
