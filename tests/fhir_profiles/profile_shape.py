"""What a resource lacks of a published profile, from the snapshot in its package: counts, types, values, codes, slices.

Of our own only the value sets of R4 are used, so that it says something about the service. Left out: FHIRPath
invariants, profiles of what is referred to (only its type is compared), and codes that the packages do not list.
"""

import json
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from fhir_profiles.terminology import value_set
from tests.conftest import missing

FOLDER = Path("/work/shared/igs")
Json = dict[str, Any]


@cache
def package(name: str) -> dict[str, Json]:
    """Canonical url -> artefact. A run without the package is skipped, or fails where CI says that it must be there."""
    path = FOLDER / f"{name}.tgz"
    if not path.exists():
        missing("igs", f"The package {name} is not here.")
    found = {}
    with tarfile.open(path) as archive:
        for member in archive.getmembers():
            if member.name.endswith(".json") and (file := archive.extractfile(member)):
                content = json.load(file)
                if isinstance(content, dict) and "url" in content:
                    found[content["url"]] = content
    return found


@dataclass(frozen=True)
class Element:
    path: tuple[str, ...]
    said: Json
    slices: "tuple[Slice, ...]" = ()
    children: "tuple[Element, ...]" = ()

    @property
    def name(self) -> str:
        return self.path[-1]


@dataclass(frozen=True)
class Slice:
    """paths: of the discriminators, with what kind each is."""

    element: Element
    paths: tuple[tuple[str, str], ...]


@cache
def tree(canonical: str, *packages: str) -> tuple[Element, ...]:
    definition = next(found[canonical] for one in packages if canonical in (found := package(one)))
    said = {one["id"]: one for one in definition["snapshot"]["element"]}
    root = next(iter(said))
    return _children(root, said)


def _children(parent: str, said: dict[str, Json]) -> tuple[Element, ...]:
    depth = parent.count(".") + 1
    own = [key for key in said if key.startswith(parent + ".") and key.count(".") == depth]
    return tuple(_element(key, said) for key in own if ":" not in key.rpartition(".")[2])


def _element(key: str, said: dict[str, Json]) -> Element:
    by = tuple((one["type"], one["path"]) for one in (said[key].get("slicing") or {}).get("discriminator", ()))
    sliced = [one for one in said if one.startswith(key + ":") and one.count(".") == key.count(".")]
    slices = tuple(Slice(_element(one, said), by) for one in sliced)
    return Element(tuple(said[key]["path"].split(".")), said[key], slices, _children(key, said))


def faults(resource: Json, canonical: str, *packages: str) -> list[str]:
    """One sentence for each thing that the profile does not allow."""
    return [one for element in tree(canonical, *packages) for one in _faults(resource, element, packages)]


def _values(holder: Json, element: Element) -> Iterator[tuple[str, Any]]:
    """(name as written, value) of each occurrence; of value[x] whatever type was chosen."""
    stem = element.name.removesuffix("[x]")
    for name, value in holder.items():
        if name == stem or (element.name.endswith("[x]") and name.startswith(stem) and name[len(stem)].isupper()):
            yield from ((name, one) for one in (value if isinstance(value, list) else [value]))


def _faults(holder: Json, element: Element, packages: tuple[str, ...]) -> Iterator[str]:
    found = list(_values(holder, element))
    yield from _counted(len(found), element.said, ".".join(element.path))
    for name, value in found:
        yield from _one(name, value, element, packages)
    for one in element.slices:
        mine = [(name, value) for name, value in found if _belongs(name, value, one, packages)]
        yield from _counted(len(mine), one.element.said, str(one.element.said["id"]))
        for name, value in mine:
            yield from _one(name, value, one.element, packages)


def _one(name: str, value: Any, element: Element, packages: tuple[str, ...]) -> Iterator[str]:
    place = str(element.said["id"])
    if not _fits(value, element.said):
        yield f"{place}: {json.dumps(value)} is not what the profile fixes."
    if not _typed(name, value, element):
        yield f"{place}: {name} {json.dumps(value)[:80]} has a type that the profile does not allow."
    if not _coded(value, element.said, packages):
        yield f"{place}: {json.dumps(value)[:120]} is not of {element.said['binding']['valueSet']}."
    if isinstance(value, dict):
        for child in element.children:
            yield from _faults(value, child, packages)


def _counted(count: int, said: Json, place: str) -> Iterator[str]:
    if count < said.get("min", 0):
        yield f"{place}: {count} where the profile asks for {said['min']}."
    if said.get("max", "*") != "*" and count > int(said["max"]):
        yield f"{place}: {count} where the profile allows {said['max']}."


def _fits(value: Any, said: Json) -> bool:
    for name, wanted in said.items():
        if name.startswith("fixed") and value != wanted:
            return False
        if name.startswith("pattern") and not covers(value, wanted):
            return False
    return True


def covers(value: Any, wanted: Any) -> bool:
    """Whether the value holds all that the pattern says. https://hl7.org/fhir/R4/elementdefinition.html"""
    if isinstance(wanted, dict):
        return isinstance(value, dict) and all(covers(value.get(name), one) for name, one in wanted.items())
    if isinstance(wanted, list):
        return isinstance(value, list) and all(any(covers(have, one) for have in value) for one in wanted)
    return bool(value == wanted)


def _typed(name: str, value: Any, element: Element) -> bool:
    types = element.said.get("type") or []
    stem = element.name.removesuffix("[x]")
    if element.name.endswith("[x]") and types:
        chosen = name.removeprefix(stem)
        if chosen.lower() not in {one["code"].lower() for one in types}:
            return False
    reference = value.get("reference") if isinstance(value, dict) else None
    targets = [one for kind in types if kind["code"] == "Reference" for one in kind.get("targetProfile", ())]
    if not isinstance(reference, str) or not targets or "/" not in reference:
        return True
    allowed = {_target(one.partition("|")[0]) for one in targets}
    return "Resource" in allowed or reference.split("/")[-2] in allowed


def _target(canonical: str) -> str:
    for one in ("sdohcc-3.0.0", "us-core-7.0.0"):
        if canonical in package(one):
            return str(package(one)[canonical]["type"])
    return canonical.rsplit("/", 1)[-1]


def _coded(value: Any, said: Json, packages: tuple[str, ...]) -> bool:
    """A required binding is kept, so far as the packages list its codes; any coding of a concept is enough."""
    binding = said.get("binding") or {}
    if binding.get("strength") != "required" or "valueSet" not in binding:
        return True
    listed = codes(binding["valueSet"].partition("|")[0], packages)
    if listed is None:
        return True
    if isinstance(value, str):
        return any(code == value for _system, code in listed)
    codings = value.get("coding", ()) if "coding" in value or "text" in value else [value]
    return any((one.get("system"), one.get("code")) in listed for one in codings)


def codes(canonical: str, packages: tuple[str, ...]) -> set[tuple[str, str]] | None:
    """(system, code) of a value set of the packages; None where they do not list them all."""
    held = next((package(one)[canonical] for one in packages if canonical in package(one)), None)
    if held is None:
        return {(system, code) for system, codes_ in value_set(canonical).items() for code in codes_} or None
    found = [_included(one, packages) for one in held.get("compose", {}).get("include", ())]
    without = [_included(one, packages) for one in held.get("compose", {}).get("exclude", ())]
    if not found or None in found + without:
        return None
    return set().union(*filter(None, found)) - set().union(*filter(None, without))


def _included(said: Json, packages: tuple[str, ...]) -> set[tuple[str, str]] | None:
    if said.get("filter") or ("system" in said and "valueSet" in said):
        return None
    if "valueSet" in said:
        sets = [codes(one.partition("|")[0], packages) for one in said["valueSet"]]
        return None if None in sets else set.intersection(*filter(None, sets))
    concepts = said.get("concept") or _all_of(said["system"], packages)
    return None if concepts is None else {(said["system"], one["code"]) for one in concepts}


def _all_of(system: str, packages: tuple[str, ...]) -> list[Json] | None:
    held = next((package(one)[system] for one in packages if system in package(one)), None)
    return held.get("concept") if held and held.get("content") == "complete" else None


def _belongs(name: str, value: Any, one: Slice, packages: tuple[str, ...]) -> bool:
    """By its discriminators; a slice by profile or by what cannot be told here has no members."""
    if not one.paths:
        return False
    for kind, path in one.paths:
        if kind == "type" and not _of_type(name, value, path, one.element):
            return False
        if kind in ("value", "pattern") and not _of_value(value, path, one.element, packages):
            return False
        if kind == "exists" and not _extended(value, path):
            return False
    return all(kind in ("type", "value", "pattern", "exists") for kind, _path in one.paths)


def _extended(value: Any, path: str) -> bool:
    """extension('url') is there."""
    url = path.removeprefix("extension('").removesuffix("')")
    return isinstance(value, dict) and any(one.get("url") == url for one in value.get("extension", ()))


def _of_type(name: str, value: Any, path: str, element: Element) -> bool:
    if path == "$this":
        return _typed(name, value, element)
    child = next((c for c in element.children if c.name.removesuffix("[x]") == path), None)
    chosen = list(_values(value, child)) if child and isinstance(value, dict) else []
    typed = [slice_.element for slice_ in child.slices] if child else []
    names = {str(t.said.get("sliceName")) for t in typed}
    return bool(chosen) and (not names or chosen[0][0] in names)


def _of_value(value: Any, path: str, element: Element, packages: tuple[str, ...]) -> bool:
    """Whether the slice says something at the path, and the value is that."""
    if path == "$this":
        decides = any(key.startswith(("fixed", "pattern")) for key in element.said)
        if decides:
            return _fits(value, element.said)
        bound = (element.said.get("binding") or {}).get("valueSet", "").partition("|")[0]
        return bool(bound and codes(bound, packages) is not None and _coded(value, element.said, packages))
    head, _, rest = path.partition(".")
    if element.said.get("type", [{}])[0].get("code") == "Extension" and head == "url":
        wanted = element.said["type"][0].get("profile", [None])[0]
        return bool(isinstance(value, dict) and value.get("url") == wanted)
    for name, wanted in element.said.items():
        if name.startswith(("fixed", "pattern")) and isinstance(wanted, dict) and head in wanted:
            return covers(value, wanted)
    child = next((c for c in element.children if c.name == head), None)
    if child is None or not isinstance(value, dict):
        return False
    inner = rest or "$this"
    return any(_of_value(one, inner, child, packages) for _name, one in _values(value, child))
