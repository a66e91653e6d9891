"""What a plan file says laid over what is stored: the file's elements replace theirs, all else stays.

The same file twice changes nothing, and nobody's contacts are lost (facts/california.md C.7).
"""

from collections.abc import Callable
from copy import deepcopy
from typing import Any

from fhir_profiles import Resource
from mappers.plan_files.member_resources import DISCONTINUATION_URL, ENGAGEMENT_URL, POF_URL

_Key = Callable[[dict[str, Any]], object]

# Lists that others write too: two entries with the same key are the same thing, and the file's word counts.
LIST_KEYS: dict[tuple[str, str], _Key] = {
    ("Patient", "extension"): lambda e: e.get("url"),
    ("Patient", "identifier"): lambda e: e.get("system"),
    ("Patient", "name"): lambda e: e.get("use"),
    ("Patient", "telecom"): lambda e: (e.get("system"), e.get("use")),
    ("Patient", "address"): lambda e: (e.get("use"), e.get("type")),
    ("Patient", "communication"): lambda e: _code(e.get("language")),
    ("Patient", "generalPractitioner"): lambda e: "reference" in e,
    ("Coverage", "identifier"): lambda e: e.get("system"),
    ("Coverage", "extension"): lambda e: e.get("url"),
    ("EpisodeOfCare", "extension"): lambda e: e.get("url"),
    ("EpisodeOfCare", "team"): lambda e: e.get("reference"),
    ("CareTeam", "participant"): lambda e: _code((e.get("role") or [None])[0]) in ("lead-care-manager", "ecm-provider"),
}
# What the file alone decides: gone from the file means gone.
_FILE_OWNS = frozenset({POF_URL, ENGAGEMENT_URL, DISCONTINUATION_URL})


def merge(current: Resource, from_file: Resource) -> Resource:
    """`current` with what the file says; neither argument is changed. ValueError for two different types."""
    if current.get("resourceType") != from_file.get("resourceType"):
        raise ValueError("only resources of one type can be merged")
    kind = from_file["resourceType"]
    merged = deepcopy(current)
    for name, value in from_file.items():
        if name in ("id", "meta") or ((name, value) == ("gender", "unknown") and current.get("gender")):
            continue  # a file without a gender does not unlearn it
        key = LIST_KEYS.get((kind, name))
        merged[name] = deepcopy(_joined(current.get(name) or [], value, key) if key else value)
    _one_preferred(merged, from_file)
    return merged


def merge_patient(current: Resource, from_file: Resource) -> Resource:
    """`merge` for a Patient: other identifiers, contacts, names and addresses written by others stay."""
    return merge(current, from_file)


def changed(current: Resource, proposed: Resource) -> bool:
    """Whether storing `proposed` would change anything but meta."""
    return {**current, "meta": None} != {**proposed, "meta": None}


def _joined(stored: list[dict[str, Any]], told: list[dict[str, Any]], key: _Key) -> list[dict[str, Any]]:
    """The stored list in its order with the file's entries in place of their like, new ones at the end."""
    told_keys = [key(entry) for entry in told]
    kept: list[dict[str, Any]] = []
    placed: set[int] = set()
    for entry in stored:
        if entry.get("url") in _FILE_OWNS or key(entry) in told_keys:
            fits = [i for i, k in enumerate(told_keys) if k == key(entry) and i not in placed]
            kept += [told[i] for i in fits]
            placed |= set(fits)
        else:
            kept.append(entry)
    return kept + [entry for i, entry in enumerate(told) if i not in placed]


def _one_preferred(merged: Resource, from_file: Resource) -> None:
    """When the file names the preferred language, no other language stays preferred."""
    told = [_code(c.get("language")) for c in from_file.get("communication", ()) if c.get("preferred")]
    for entry in merged.get("communication", ()) if told else ():
        if entry.get("preferred") and _code(entry.get("language")) not in told:
            del entry["preferred"]


def _code(concept: Any) -> object:
    """The first code of a CodeableConcept, or its text."""
    codings = (concept or {}).get("coding") or [{}]
    return codings[0].get("code") or (concept or {}).get("text")
