"""The catalog: what capability_statement.json says we serve, joined with how each search parameter is read.

Sources: https://hl7.org/fhir/R4/capabilitystatement.html, https://hl7.org/fhir/R4/search.html and
https://hl7.org/fhir/R4/compartmentdefinition-patient.html. Data alone: a type or a parameter is added in the JSON.
"""

import json
from dataclasses import dataclass, replace
from functools import cache
from itertools import takewhile
from pathlib import Path as File
from typing import Any, NamedTuple

from fhir_profiles.topics import topics

HERE = File(__file__).parent
SERVED_KINDS = frozenset({"token", "reference", "date", "string", "uri", "number", "quantity", "composite", "special"})
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
    system: code system that a required binding implies for a plain `code`. codes: value set of such a binding.
    """

    steps: tuple[Step, ...]
    datatype: str
    target: str | None = None
    system: str | None = None
    codes: str | None = None


class Part(NamedTuple):
    """One component of a composite: its kind, and its paths below the element that bears both."""

    kind: str
    paths: tuple[Path, ...]


class Group(NamedTuple):
    """Where both components of a composite stand: below each element at `at`, () for the resource itself.

    asked: where nothing repeats, the two parameters whose conjunction is the composite, so that it needs no rows.
    """

    at: tuple[Step, ...]
    parts: tuple[Part, Part]
    single: bool = False
    asked: tuple[str, ...] = ()


@dataclass(frozen=True)
class SearchParameter:
    """stored_as: the parameters of the type whose index rows answer this one: itself, or what it is an alias of.

    Of references an alias only narrows the type of the target: Task.patient is stored as Task.subject (both read
    Task.for). Of other kinds it is the union of others: Observation.combo-code is stored as code and component-code.
    targets: types that a reference may lead to, ("Any",) for all. groups: of a composite, which has no paths.
    derived: of a parameter without rows: the chain, or the other parameter of the type, that answers it.
    """

    code: str
    type: str
    paths: tuple[Path, ...]
    canonical: str
    targets: tuple[str, ...] = ()
    stored_as: tuple[str, ...] = ()
    groups: tuple[Group, ...] = ()
    derived: str = ""

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
    """interactions, operations: of the whole service, such as transaction and history-system."""

    types: dict[str, TypeEntry]
    statement: dict[str, Any]
    interactions: frozenset[str] = frozenset()
    operations: frozenset[str] = frozenset()


@cache
def catalog() -> Catalog:
    """The one catalog of this process; raises CatalogError where the data files contradict each other."""
    statement = _with_topics(_json("capability_statement.json"))
    compiled = _json("search_parameters/compiled.json")
    compartment = _json("search_parameters/patient_compartment.json")
    return build(statement, compiled, compartment)


_BACKPORT = "http://hl7.org/fhir/uv/subscriptions-backport/StructureDefinition"
TOPIC = f"{_BACKPORT}/capabilitystatement-subscriptiontopic-canonical"


def _with_topics(statement: dict[str, Any]) -> dict[str, Any]:
    """The statement that names each topic of subscription_topics/ where Subscription is served."""
    named = [{"url": TOPIC, "valueCanonical": url} for url in topics()]
    for number, block in enumerate(blocks := statement["rest"][0]["resource"]):
        if block["type"] == "Subscription":
            blocks[number] = {"extension": named, **block}
    return statement


def build(statement: dict[str, Any], compiled: dict[str, Any], compartment: dict[str, list[str]]) -> Catalog:
    rest = statement["rest"][0]
    types = {}
    for block in rest["resource"]:
        name = block["type"]
        search = _search(name, [*rest.get("searchParam", []), *block.get("searchParam", [])], compiled)
        types[name] = _entry(block, search, compiled, compartment.get(name, []))
    interactions = frozenset(row["code"] for row in rest.get("interaction", []))
    return Catalog(types, statement, interactions, frozenset(row["name"] for row in rest.get("operation", [])))


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
    found = {code: _asked(parameter, found) for code, parameter in found.items()}
    return {code: _aliased(parameter, found) for code, parameter in found.items()}


def _parameter(rtype: str, code: str, compiled: dict[str, Any]) -> SearchParameter:
    row = compiled.get(rtype, {}).get(code) or compiled["Resource"].get(code)
    if row is None:
        raise CatalogError(f"{rtype}.{code} has no definition; build search_parameters/compiled.json again")
    if "paths" not in row and "groups" not in row:
        raise CatalogError(f"{rtype}.{code} cannot be indexed: {row.get('unsupported')}")
    paths = tuple(_path(path) for path in row.get("paths", ()))
    groups = tuple(_group(group) for group in row.get("groups", ()))
    targets = tuple(row.get("targets", ()))
    return SearchParameter(code, row["type"], paths, row["canonical"], targets, (code,), groups, row.get("derived", ""))


def _steps(row: list[Any]) -> tuple[Step, ...]:
    return tuple(Step(step) if isinstance(step, str) else Step(*step) for step in row)


def _path(row: dict[str, Any]) -> Path:
    return Path(_steps(row["steps"]), row["type"], row.get("target"), row.get("system"), row.get("codes"))


def _group(row: dict[str, Any]) -> Group:
    first, second = (Part(part["kind"], tuple(_path(path) for path in part["paths"])) for part in row["parts"])
    return Group(_steps(row["at"]), (first, second), row["single"])


def _asked(parameter: SearchParameter, search: dict[str, SearchParameter]) -> SearchParameter:
    groups = tuple(
        group._replace(asked=asked) if (asked := _conjunction(group, search)) else group for group in parameter.groups
    )
    return replace(parameter, groups=groups)


def _conjunction(group: Group, search: dict[str, SearchParameter]) -> tuple[str, ...]:
    """The narrowest served parameter of each component, reading no other element: value-quantity for valueQuantity."""
    found = []
    for part in group.parts if group.single else ():
        wanted, stem = set(part.paths), _stem(part.paths[0])
        wider = [
            other
            for other in search.values()
            if other.type == part.kind
            and wanted <= set(other.paths)
            and {_stem(path) for path in other.paths} == {stem}
        ]
        found += [min(wider, key=lambda other: (len(other.paths), other.code)).code] if wider else []
    return tuple(found) if len(found) == 2 else ()


def _stem(path: Path) -> str:
    """value of valueQuantity."""
    return "".join(takewhile(str.islower, path.steps[0].name))


def _aliased(parameter: SearchParameter, search: dict[str, SearchParameter]) -> SearchParameter:
    """A parameter that others answer together is stored as those."""
    stored = _wider(parameter, search) if parameter.type == "reference" else _union(parameter, search)
    return replace(parameter, stored_as=stored) if stored else parameter


def _union(parameter: SearchParameter, search: dict[str, SearchParameter]) -> tuple[str, ...]:
    """Other parameters of the kind that read a part of what this one reads, if together they read all of it."""
    whole: frozenset[Any] = frozenset(parameter.groups or parameter.paths)
    if not whole:
        return ()
    parts = {
        other.code: frozenset[Any](other.groups or other.paths)
        for other in search.values()
        if other.type == parameter.type
    }
    parts = {c: p for c, p in parts.items() if p < whole or (p == whole and c < parameter.code)}
    same = [code for code, part in parts.items() if part == whole]
    if same:
        return (min(same),)
    return tuple(sorted(parts)) if whole and frozenset().union(*parts.values()) == whole else ()


def _wider(parameter: SearchParameter, search: dict[str, SearchParameter]) -> tuple[str, ...]:
    """Of a reference: the parameters each of which is the whole of one of its paths."""
    wider = {
        other.paths[0].steps: other.code
        for other in search.values()
        if other.type == "reference" and len(other.paths) == 1 and other.paths[0].target is None
    }
    stored = tuple(wider.get(path.steps, "") for path in parameter.paths)
    return () if "" in stored or parameter.code in stored else stored


def _json(name: str) -> Any:
    return json.loads((HERE / name).read_text("utf-8"))
