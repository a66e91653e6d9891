"""A record of HSDS <-> a resource, group by group of members, so that nothing of a record is lost on the way back.

A group says which members become which elements and how. What a member says beyond its element is kept as it came, in
the extension enlace-hsds. An export writes what was kept, as long as it still becomes the element that stands there; an
element that was changed meanwhile is written from FHIR.
"""

import json
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from fhir_profiles.json_text import write_json
from mappers.hsds.elements import KEPT_URL, Record, extension
from mappers.hsds.tables import TABLES

Part = dict[str, Any]
"""Elements of a resource by name; "extension" holds those of the group's urls."""
_IDS = uuid.UUID("6f0d9a52-6d0c-5c0e-9b5e-5f2a1a9f6d11")


@dataclass(frozen=True)
class Names:
    """references: (kind, HSDS id) -> relative reference; ids: the other way round."""

    references: Mapping[tuple[str, str], str]
    ids: Mapping[str, str]


@dataclass(frozen=True)
class Group:
    """members of HSDS that become `elements`, and extensions with `urls`; both ways pure."""

    members: tuple[str, ...]
    elements: tuple[str, ...]
    to_fhir: Callable[[Record, Names], Part]
    to_hsds: Callable[[Part, Names], Record]
    urls: tuple[str, ...] = ()


def resource_of(rtype: str, record: Record, groups: Sequence[Group], names: Names) -> Part:
    """The elements of the resource; what has no element, or not all of it, is kept."""
    out: Part = {"resourceType": rtype}
    extensions: list[Record] = []
    kept = {name: record[name] for name in record if name not in {"id", *(m for g in groups for m in g.members)}}
    for group in groups:
        own = {name: record[name] for name in group.members if name in record}
        part = group.to_fhir(own, names)
        back = group.to_hsds(part, names)
        kept |= {name: own.get(name) for name in {**own, **back} if own.get(name) != back.get(name)}
        extensions += part.pop("extension", [])
        out |= part
    extensions += [_kept(name, kept[name]) for name in sorted(kept)]
    return {**out, "extension": extensions} if extensions else out


def record_of(kind: str, resource: Part, groups: Sequence[Group], names: Names, hsds_id: str) -> Record:
    """The HSDS record of a resource as it stands now."""
    kept = kept_of(resource)
    record: Record = {"id": hsds_id}
    for group in groups:
        part = {name: resource[name] for name in group.elements if name in resource}
        found = [one for url in group.urls for one in extension(resource, url)]
        part |= {"extension": found} if found else {}
        back = group.to_hsds(part, names)
        former = {**back, **{name: value for name, value in kept.items() if name in group.members}}
        former = {name: value for name, value in former.items() if value is not None}
        record |= former if _same(group.to_fhir(former, names), part) else back
    record |= {n: v for n, v in kept.items() if v is not None and all(n not in g.members for g in groups)}
    return _with_ids(kind, record, hsds_id)


def kept_of(resource: Part) -> Record:
    found: Record = {}
    for one in extension(resource, KEPT_URL):
        parts = {part.get("url"): part.get("valueString") for part in one.get("extension") or ()}
        try:
            found[str(parts.get("name"))] = json.loads(str(parts.get("value")), parse_float=Decimal)
        except ValueError:
            continue  # somebody wrote what is no JSON: it says nothing
    return found


def _kept(name: str, value: Any) -> Record:
    told = [{"url": "name", "valueString": name}, {"url": "value", "valueString": write_json(value).decode()}]
    return {"url": KEPT_URL, "extension": told}


def _same(made: Part, stands: Part) -> bool:
    return _sorted(made) == _sorted(stands)


def _sorted(part: Part) -> Part:
    return {**part, "extension": sorted(part.get("extension", ()), key=lambda one: json.dumps(one, default=str))}


def _with_ids(table: str, record: Record, path: str) -> Record:
    """Entries that came from FHIR have no id of their own: the same one at each export."""
    out = dict(record)
    for member, inner in TABLES[table].lists.items():
        if isinstance(out.get(member), list):
            out[member] = [_entry(inner, one, f"{path}/{member}/{n}") for n, one in enumerate(out[member])]
    for member, inner in TABLES[table].one.items():
        if isinstance(out.get(member), dict):
            out[member] = _entry(inner, out[member], f"{path}/{member}")
    return out


def _entry(table: str, entry: Any, path: str) -> Any:
    if not isinstance(entry, dict):
        return entry
    named = entry if entry.get("id") else {"id": str(uuid.uuid5(_IDS, path)), **entry}
    return _with_ids(table, named, path)
