"""An HSDS document in JSON <-> its services, organizations and places, each once and apart from the others.

Taken are a list, a page of the HSDS API (`contents`), one record, or an object with `services`, `organizations`,
`locations`; with what belongs together nested in one another, as https://docs.openreferral.org (3.0, JSON) has it.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from mappers.hsds.elements import Record
from mappers.plan_files.rows import FileProblem, RowIssue

KINDS = ("organization", "location", "service")
"""In the order in which they are written: each after what it refers to."""


@dataclass(frozen=True)
class Entry:
    """A record and its place: of the item that held it in the document, of its row in a table."""

    number: int
    record: Record


@dataclass
class Package:
    """By kind: the records by their ids. broken: records without an id. problems: of the file as a whole."""

    entries: dict[str, dict[str, Entry]] = field(default_factory=lambda: {kind: {} for kind in KINDS})
    issues: list[RowIssue] = field(default_factory=list)
    problems: list[FileProblem] = field(default_factory=list)
    broken: int = 0

    def add(self, kind: str, number: int, record: Record) -> None:
        fhir_id = record.get("id")
        if not isinstance(fhir_id, str) or not fhir_id.strip() or len(fhir_id) > 200:
            self.broken += 1
            words = f"a {kind} needs an id, a text of at most 200 characters: add it"
            self.issues.append(RowIssue(number, f"{kind}.id", "missing", words))
            return
        known = self.entries[kind].get(fhir_id)
        if known is None:
            self.entries[kind][fhir_id] = Entry(number, record)
        elif not _holds(known.record, record):
            words = f"the same id stands at {known.number} with other contents, which were taken: keep one"
            self.issues.append(RowIssue(number, f"{kind}.id", "differs", words, "warning"))


def _holds(known: Record, other: Record) -> bool:
    """Whether a shorter form of a record says nothing else."""
    return all(known.get(name) == value for name, value in other.items())


def read_json(data: bytes) -> Package:
    """Never raises: what is no JSON is a problem of the file."""
    package = Package()
    try:
        document = json.loads(data, parse_float=Decimal, parse_constant=_no_number)
    except (ValueError, RecursionError):
        words = "This is no JSON: send an HSDS document as JSON, or its tables as CSV in a zip file or a folder."
        package.problems.append(FileProblem("unreadable", words))
        return package
    for number, (kind, item) in enumerate(_items(document), 1):
        if isinstance(item, dict):
            _take(package, kind or _kind(item), number, clean(item))
        else:
            package.broken += 1
            package.issues.append(RowIssue(number, "", "structure", "an object is expected: leave this entry out"))
    if not any(package.entries.values()) and not package.issues:
        package.problems.append(FileProblem("empty", "No service, organization or location was found in the file."))
    return package


def _no_number(_text: str) -> None:
    raise ValueError("no JSON number")


def clean(value: Any) -> Any:
    """Without members that say nothing: null, "", [] and {}."""
    if isinstance(value, dict):
        return {name: kept for name, one in value.items() if (kept := clean(one)) not in (None, "", [], {})}
    if isinstance(value, list):
        return [kept for one in value if (kept := clean(one)) not in (None, "", [], {})]
    return value


def _items(document: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(document, list):
        yield from (("", item) for item in document)
    elif not isinstance(document, dict):
        return
    elif isinstance(document.get("contents"), list):
        yield from (("", item) for item in document["contents"])
    elif "id" in document:
        yield "", document
    else:
        for kind in KINDS:
            found = document.get(f"{kind}s")
            yield from ((kind, item) for item in (found if isinstance(found, list) else ()))


def _kind(item: Record) -> str:
    if "status" in item or "organization" in item or "service_at_locations" in item:
        return "service"
    return "location" if {"latitude", "location_type", "addresses"} & set(item) else "organization"


def _take(package: Package, kind: str, number: int, item: Record) -> None:
    if kind == "organization":
        _organization(package, number, item)
    elif kind == "service":
        _service(package, number, item)
    else:
        package.add("location", number, item)


def _organization(package: Package, number: int, item: Record) -> None:
    own = {"organization_id": item["id"]} if "id" in item else {}
    services, places = _objects(item.pop("services", ())), _objects(item.pop("locations", ()))
    package.add("organization", number, item)
    for place in places:
        package.add("location", number, {**own, **place})
    for service in services:
        _service(package, number, {**own, **service})


def _service(package: Package, number: int, item: Record) -> None:
    organization = item.pop("organization", None)
    if isinstance(organization, dict):
        item.setdefault("organization_id", organization.get("id"))
        _organization(package, number, organization)
    for at in _objects(item.get("service_at_locations", ())):
        place = at.pop("location", None)
        if isinstance(place, dict):
            at.setdefault("location_id", place.get("id"))
            package.add("location", number, place)
    package.add("service", number, item)


def _objects(value: Any) -> list[Record]:
    return [one for one in value if isinstance(one, dict)] if isinstance(value, list) else []


def document(records: dict[str, dict[str, Record]]) -> Record:
    """The JSON form: each service with its organization and places in it; beside them what no service names."""
    organizations, places = records["organization"], records["location"]
    used: set[str] = set()
    services = []
    for service in records["service"].values():
        whole = dict(service)
        owner = str(whole.get("organization_id", ""))
        if owner in organizations:
            used.add(f"organization/{owner}")
            whole["organization"] = organizations[owner]
        ats = []
        for at in whole.get("service_at_locations", ()):
            place = str(at.get("location_id", ""))
            used.add(f"location/{place}")
            ats.append({**at, "location": places[place]} if place in places else at)
        services.append({**whole, "service_at_locations": ats} if ats else whole)
    out: Record = {"services": services}
    for kind in ("organization", "location"):
        out[f"{kind}s"] = [one for key, one in records[kind].items() if f"{kind}/{key}" not in used]
    return {name: value for name, value in out.items() if value or name == "services"}
