"""Code systems and value sets that we hold: what a code stands under, and which codes a value set lists.

Ours are in code_systems/ and value_sets/; of R4 those of required bindings. Nothing is fetched from elsewhere.
"""

import json
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from fhir_profiles import r4_types

HERE = Path(__file__).parent
BASES = ("https://enlace.example.org/fhir/ValueSet/", "http://hl7.org/fhir/ValueSet/")
"""Where the canonicals of the held value sets begin, for sentences."""


@dataclass
class CodeSystem:
    """parents: code -> the code above it, "" for none, in the order of the definition."""

    url: str
    version: str
    parents: dict[str, str] = field(default_factory=dict)

    def above(self, code: str) -> tuple[str, ...]:
        """The code and all above it; () for an unknown one."""
        found = []
        while code in self.parents:
            found.append(code)
            code = self.parents[code]
        return tuple(found)

    def below(self, code: str) -> tuple[str, ...]:
        """The code and all below it; () for an unknown one."""
        return tuple(other for other in self.parents if code in self.above(other))


@cache
def code_systems() -> dict[str, CodeSystem]:
    """By url."""
    found = {}
    for path in sorted((HERE / "code_systems").glob("*.json")):
        resource = json.loads(path.read_text("utf-8"))
        system = CodeSystem(resource["url"], resource.get("version", ""))
        _add(system, resource.get("concept", ()), "")
        found[system.url] = system
    return found


def _add(system: CodeSystem, concepts: Any, parent: str) -> None:
    for concept in concepts:
        system.parents[concept["code"]] = parent
        _add(system, concept.get("concept", ()), concept["code"])


@cache
def _composed() -> dict[str, tuple[str, dict[str, tuple[str, ...]]]]:
    """url -> (version, {system: codes}) of our own value sets, as far as they are plain lists."""
    found = {}
    for path in sorted((HERE / "value_sets").glob("*.json")):
        resource = json.loads(path.read_text("utf-8"))
        rows = [row for row in resource["compose"]["include"] if "system" in row and "filter" not in row]
        listed = {row["system"]: _codes(row) for row in rows}
        found[resource["url"]] = (resource.get("version", ""), listed)
    return found


def _codes(include: dict[str, Any]) -> tuple[str, ...]:
    if "concept" in include:
        return tuple(concept["code"] for concept in include["concept"])
    return tuple(code_systems()[include["system"]].parents)


def value_set(canonical: str) -> dict[str, tuple[str, ...]]:
    """{system: codes} of a held value set, url or url|version, in its own order; empty for one not held."""
    url, _, version = canonical.partition("|")
    own = _composed().get(url)
    if own is not None:
        return own[1] if version in ("", own[0]) else {}
    if version not in ("", r4_types.VERSION):
        return {}
    return r4_types.ordered_codes(url)
