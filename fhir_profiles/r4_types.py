"""R4 4.0.1 as tables of facts, read at first use: https://hl7.org/fhir/R4/resourcelist.html

A *structure* is a type or a backbone inside one: `Task`, `Task.input`, `Period`. The files in `r4/` are written by
`fhir_profiles/build/definitions.py`; a type's file is opened when that type is first asked for.
"""

import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent / "r4"
VERSION = "4.0.1"
PROFILED_QUANTITY = {"SimpleQuantity": "Quantity", "MoneyQuantity": "Quantity"}
"""Structures that limit a datatype: in JSON the choice is still called `valueQuantity`."""


@dataclass(frozen=True, slots=True, eq=False)
class Element:
    """One element of a structure; `max` None means unbounded, empty `targets` means any type."""

    name: str
    types: tuple[str, ...]
    min: int
    max: int | None
    targets: frozenset[str]
    codes: str

    @property
    def many(self) -> bool:
        return self.max != 1

    @property
    def choice(self) -> bool:
        return self.name.endswith("[x]")

    @cache  # noqa: B019 - elements live as long as the process
    def json_names(self) -> tuple[tuple[str, str], ...]:
        """(property name, type) as JSON spells them: `value[x]` is valueString, valueQuantity, ..."""
        if not self.choice:
            return ((self.name, self.types[0]),)
        stem = self.name[:-3]
        return tuple((stem + _capital(PROFILED_QUANTITY.get(t, t)), t) for t in self.types)


def _capital(word: str) -> str:
    return word[0].upper() + word[1:]


@cache
def resource_types() -> frozenset[str]:
    """All concrete resource types of R4 4.0.1."""
    return frozenset(path.stem for path in (FOLDER / "types").iterdir() if path.suffix == ".json")


@cache
def _file(name: str) -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads((FOLDER / name).read_bytes())
    return loaded


@cache
def elements(structure: str) -> tuple[Element, ...]:
    """The elements of a structure in the order of the definition; KeyError if R4 has no such structure."""
    root = structure.partition(".")[0]
    table = _file(f"types/{root}.json" if root in resource_types() else "datatypes.json")[structure]
    return tuple(
        Element(
            name,
            tuple(e["types"]),
            e.get("min", 0),
            e.get("max", 1),
            frozenset(e.get("targets", ())),
            e.get("codes", ""),
        )
        for name, e in table.items()
    )


@cache
def fields(structure: str) -> dict[str, tuple[Element, str]]:
    """{JSON property: (element, type)} of a structure, without the `_` twins of primitives."""
    return {name: (e, kind) for e in elements(structure) for name, kind in e.json_names()}


@cache
def is_primitive(kind: str) -> bool:
    return kind.startswith("System.") or kind in _file("datatypes.json")["primitives"]


@cache
def has_twin(kind: str) -> bool:
    """Whether `_name` may carry id and extensions: primitives, but not ids of elements, urls of extensions or xhtml."""
    return is_primitive(kind) and not kind.startswith("System.") and kind != "xhtml"


def primitive_regex(kind: str) -> str:
    """The regular expression by which R4 defines a primitive; empty where it has none."""
    name = {"System.id": "id", "System.string": "string", "System.uri": "uri"}.get(kind, kind)
    return str(_file("datatypes.json")["primitives"][name])


@cache
def codes(value_set: str) -> dict[str, frozenset[str]]:
    """{system: codes} of a required value set; empty if R4 does not list it."""
    listed = _file("value_sets.json").get(value_set, {})
    return {system: frozenset(members) for system, members in listed.items()}


def ordered_codes(value_set: str) -> dict[str, tuple[str, ...]]:
    """{system: codes} in the order of the value set; empty if R4 does not list it."""
    return {system: tuple(members) for system, members in _file("value_sets.json").get(value_set, {}).items()}


@cache
def all_codes(value_set: str) -> frozenset[str]:
    """The codes of a required value set whatever their system: what a `code` element may hold."""
    return frozenset().union(*codes(value_set).values())
