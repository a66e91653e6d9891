"""Records of HSDS -> resources of the directory and back, by kind; and what an import notes of itself in an entry."""

import hashlib
import json
from collections.abc import Sequence
from typing import Any

from fhir_profiles.json_text import write_json
from mappers.hsds.elements import HSDS_IDS, KEPT_URL, Record
from mappers.hsds.lens import Group, Names, Part, record_of, resource_of
from mappers.hsds.places import LOCATION, ORGANIZATION
from mappers.hsds.services import GROUPS

RTYPES = {"organization": "Organization", "location": "Location", "service": "HealthcareService"}
KINDS = {rtype: kind for kind, rtype in RTYPES.items()}
OF_KIND: dict[str, Sequence[Group]] = {"organization": ORGANIZATION, "location": LOCATION, "service": GROUPS}
SINCE = "_import"
"""Name of what an import keeps about itself: digests of the record and of the entry that it made."""
_LIVE: dict[str, Part] = {"Organization": {"active": True}, "Location": {"status": "active"}, "HealthcareService": {}}


def id_of(kind: str, hsds_id: str, system: str = HSDS_IDS) -> str:
    """The id of a new resource: the same record is the same resource, whoever imports it."""
    digest = hashlib.blake2b(f"{system}\x1f{kind}\x1f{hsds_id}".encode(), digest_size=15).hexdigest()
    return f"hsds-{digest}"


def laid_over(kind: str, record: Record, current: Part | None, names: Names, system: str = HSDS_IDS) -> Part:
    """The entry as the record says it; what HSDS does not speak of, or says as before, stays as it stands."""
    rtype, groups = RTYPES[kind], OF_KIND[kind]
    made = resource_of(rtype, record, groups, names)
    if current is not None:
        groups = _differing(kind, record, current, names, system)
        said = {name for group in OF_KIND[kind] for name in group.elements} - {n for g in groups for n in g.elements}
        spoken = {url for group in OF_KIND[kind] for url in group.urls} - {url for g in groups for url in g.urls}
        made = {name: value for name, value in made.items() if name not in said}
        made["extension"] = [one for one in made.get("extension", ()) if one.get("url") not in spoken]
    owned = {name for group in groups for name in group.elements}
    urls = {KEPT_URL, *(url for group in groups for url in group.urls)}
    standing = current or {"resourceType": rtype, "id": id_of(kind, record["id"], system), **_LIVE[rtype]}
    out: Part = {name: value for name, value in standing.items() if name not in owned and name != "extension"}
    kept = [one for one in standing.get("extension", ()) if one.get("url") not in urls]
    extensions = kept + made.pop("extension", [])
    identifiers = out.get("identifier", [])
    if not any(one.get("system") == system and one.get("value") == record["id"] for one in identifiers):
        out["identifier"] = [*identifiers, {"system": system, "value": record["id"]}]
    out |= made
    if extensions:
        out["extension"] = extensions
    return _noted(out, digest(record))


def _differing(kind: str, record: Record, current: Part, names: Names, system: str) -> Sequence[Group]:
    """Groups of which the record says something else than the entry does, or the entry nothing: a coded value has no
    form in HSDS."""
    stands = standing_of(current, names, system)
    there = {*current, *(str(one.get("url")) for one in current.get("extension", ()))}

    def of(told: Record, group: Group) -> str:
        return digest({name: told[name] for name in group.members if name in told})

    def silent(group: Group) -> bool:
        return not there & {*group.elements, *group.urls}

    return [group for group in OF_KIND[kind] if silent(group) or of(record, group) != of(stands, group)]


def standing_of(resource: Part, names: Names, system: str = HSDS_IDS) -> Record:
    """The HSDS record of an entry."""
    kind = KINDS[resource["resourceType"]]
    record = record_of(kind, resource, OF_KIND[kind], names, hsds_id(resource, system))
    record.pop(SINCE, None)
    if kind == "service":
        record.setdefault("name", resource["id"])
    return record


def hsds_id(resource: Part, system: str = HSDS_IDS) -> str:
    found = (one.get("value") for one in resource.get("identifier", ()) if one.get("system") == system)
    return str(next((value for value in found if value), resource["id"]))


def imported(resource: Part) -> tuple[str, bool]:
    """Digest of the record that was imported last ("" for none), and whether the entry was changed since."""
    bare, note = _without_note(resource)
    return str(note.get("record", "")), bool(note) and note.get("entry") != digest(bare)


def digest(value: Any) -> str:
    plain = json.loads(write_json(value))
    return hashlib.sha256(json.dumps(plain, sort_keys=True).encode()).hexdigest()[:24]


def _noted(resource: Part, of_record: str) -> Part:
    bare, _ = _without_note(resource)
    value = json.dumps({"entry": digest(bare), "record": of_record})
    told = [{"url": "name", "valueString": SINCE}, {"url": "value", "valueString": value}]
    return {**resource, "extension": [*bare.get("extension", ()), {"url": KEPT_URL, "extension": told}]}


def _without_note(resource: Part) -> tuple[Part, Part]:
    """The entry without meta and without the note; the note."""
    note: Part = {}
    rest = []
    for one in resource.get("extension", ()):
        parts = {part.get("url"): part.get("valueString") for part in one.get("extension") or ()}
        if one.get("url") == KEPT_URL and parts.get("name") == SINCE:
            try:
                note = dict(json.loads(str(parts.get("value"))))
            except (ValueError, TypeError):
                note = {}
        else:
            rest.append(one)
    out = {name: value for name, value in resource.items() if name not in ("meta", "extension", "text")}
    return (out | {"extension": rest} if rest else out), note
