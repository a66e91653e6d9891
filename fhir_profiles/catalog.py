"""The catalog: what capability_statement.json says we serve, joined with how each search parameter is read.

Sources: https://hl7.org/fhir/R4/capabilitystatement.html, https://hl7.org/fhir/R4/search.html and
https://hl7.org/fhir/R4/compartmentdefinition-patient.html. Data alone: a type or a parameter is added in the JSON.
"""

import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path as File
from typing import Any, NamedTuple

HERE = File(__file__).parent
SERVED_KINDS = frozenset({"token", "reference", "date", "string", "uri"})
HEAD_PARAMETERS = ("_id", "_lastUpdated")
"""Parameters that the store answers from the resource's head, not from index rows."""


class CatalogError(Exception):
    """capability_statement.json promises something that the definitions or the walkers do not hold."""


class Step(NamedTuple):
    """One JSON member; `field` and `value` keep only the entries whose member `field` equals `value`."""

    name: str
    field: str = ""
    value: str = ""


@dataclass(frozen=True)
class Path:
    """From the resource to the values of one datatype, lists flattened.

    datatype: FHIR datatype, or "truth" (present and not false). target: only references to this type.
    system: code system that a required binding implies for a plain `code`.
    """

    steps: tuple[Step, ...]
    datatype: str
    target: str | None = None
    system: str | None = None


@dataclass(frozen=True)
class SearchParameter:
    """stored_as: the parameters of the type whose index rows answer this one: itself, or what it is an alias of.

    An alias only narrows the type of the target: Task.patient is stored as Task.subject (both read Task.for).
    targets: types that a reference may lead to, ("Any",) for all.
    """

    code: str
    type: str
    paths: tuple[Path, ...]
    canonical: str
    targets: tuple[str, ...] = ()
    stored_as: tuple[str, ...] = ()

    @property
    def is_alias(self) -> bool:
        return self.stored_as != (self.code,)

    @property
    def datatypes(self) -> frozenset[str]:
        return frozenset(path.datatype for path in self.paths)


@dataclass(frozen=True)
class TypeEntry:
    """One served resource type. includes: "Task:focus" of this type; revincludes: "Provenance:target" to this type.

    compartment: codes that lead to the Patient, the subject first; patient_paths: their paths in that order.
    operations: names without the dollar sign. conditional: which of create, update, patch, delete take a query.
    update_create: whether a PUT to an unknown id creates.
    """

    name: str
    interactions: frozenset[str]
    if_match_required: bool
    search: dict[str, SearchParameter]
    includes: frozenset[str]
    revincludes: frozenset[str]
    compartment: tuple[str, ...]
    patient_paths: tuple[tuple[Path, ...], ...]
    operations: frozenset[str]
    conditional: frozenset[str] = frozenset()
    update_create: bool = False


@dataclass(frozen=True)
class Catalog:
    """interactions: of the whole service, such as transaction and history-system."""

    types: dict[str, TypeEntry]
    statement: dict[str, Any]
    interactions: frozenset[str] = frozenset()


@cache
def catalog() -> Catalog:
    """The one catalog of this process; raises CatalogError where the data files contradict each other."""
    statement = _json("capability_statement.json")
    compiled = _json("search_parameters/compiled.json")
    compartment = _json("search_parameters/patient_compartment.json")
    return build(statement, compiled, compartment)


def build(statement: dict[str, Any], compiled: dict[str, Any], compartment: dict[str, list[str]]) -> Catalog:
    rest = statement["rest"][0]
    types = {}
    for block in rest["resource"]:
        name = block["type"]
        search = _search(name, [*rest.get("searchParam", []), *block.get("searchParam", [])], compiled)
        types[name] = _entry(block, search, compiled, compartment.get(name, []))
    return Catalog(types, statement, frozenset(row["code"] for row in rest.get("interaction", [])))


def _entry(
    block: dict[str, Any], search: dict[str, SearchParameter], compiled: dict[str, Any], compartment: list[str]
) -> TypeEntry:
    name = block["type"]
    leading = () if name in NO_COMPARTMENT else tuple(sorted(compartment, key=lambda code: code not in SUBJECT_CODES))
    return TypeEntry(
        name=name,
        interactions=frozenset(row["code"] for row in block["interaction"]),
        if_match_required=block["versioning"] == "versioned-update",
        search=search,
        includes=frozenset(block.get("searchInclude", [])),
        revincludes=frozenset(block.get("searchRevInclude", [])),
        compartment=leading,
        patient_paths=tuple(_parameter(name, code, compiled).paths for code in leading),
        operations=frozenset(row["name"] for row in block.get("operation", [])),
        conditional=_conditional(block),
        update_create=bool(block.get("updateCreate")),
    )


def _conditional(block: dict[str, Any]) -> frozenset[str]:
    """The CapabilityStatement of R4 has no flag for conditional patch: it goes with conditional update."""
    kinds = {"create": block.get("conditionalCreate"), "update": block.get("conditionalUpdate")}
    kinds["patch"] = kinds["update"] and any(row["code"] == "patch" for row in block["interaction"])
    kinds["delete"] = block.get("conditionalDelete", "not-supported") != "not-supported"
    return frozenset(kind for kind, served in kinds.items() if served)


SUBJECT_CODES = ("patient", "subject", "beneficiary")
"""Of several parameters that lead to a Patient these say whose record it is; performer, recipient, payor come after."""

NO_COMPARTMENT = ("Patient", "Group")
"""A Patient is its own compartment (Patient.link leads to another record); a Group's members are many patients."""


def _search(rtype: str, rows: list[dict[str, Any]], compiled: dict[str, Any]) -> dict[str, SearchParameter]:
    found = {}
    for row in rows:
        parameter = _parameter(rtype, row["name"], compiled)
        if (parameter.canonical, parameter.type) != (row["definition"], row["type"]):
            raise CatalogError(f"{rtype}.{row['name']}: definition or type differ from {parameter.canonical}")
        if parameter.type not in SERVED_KINDS:
            raise CatalogError(f"{rtype}.{row['name']}: parameters of type {parameter.type} are not served")
        found[row["name"]] = parameter
    return {code: _aliased(parameter, found) for code, parameter in found.items()}


def _parameter(rtype: str, code: str, compiled: dict[str, Any]) -> SearchParameter:
    row = compiled.get(rtype, {}).get(code) or compiled["Resource"].get(code)
    if row is None:
        raise CatalogError(f"{rtype}.{code} has no definition; build search_parameters/compiled.json again")
    if "paths" not in row:
        raise CatalogError(f"{rtype}.{code} cannot be indexed: {row.get('unsupported')}")
    paths = tuple(_path(path) for path in row["paths"])
    return SearchParameter(code, row["type"], paths, row["canonical"], tuple(row.get("targets", ())), (code,))


def _path(row: dict[str, Any]) -> Path:
    steps = tuple(Step(step) if isinstance(step, str) else Step(*step) for step in row["steps"])
    return Path(steps, row["type"], row.get("target"), row.get("system"))


def _aliased(parameter: SearchParameter, search: dict[str, SearchParameter]) -> SearchParameter:
    """A reference parameter whose every path is the whole of another served parameter is stored as that one."""
    if parameter.type != "reference":
        return parameter
    wider = {
        other.paths[0].steps: other.code
        for other in search.values()
        if other.type == "reference" and len(other.paths) == 1 and other.paths[0].target is None
    }
    stored = tuple(wider.get(path.steps, "") for path in parameter.paths)
    if "" in stored or parameter.code in stored:
        return parameter
    return SearchParameter(
        parameter.code, parameter.type, parameter.paths, parameter.canonical, parameter.targets, stored
    )


def _json(name: str) -> Any:
    return json.loads((HERE / name).read_text("utf-8"))
