"""One plain line about any resource, for lists: what it is called, its state, whom it is about. Pure."""

from collections.abc import Iterator
from typing import Any

from fhir_profiles import Resource
from service.auth.login import name_of

TITLES = ("code", "type", "vaccineCode", "medicationCodeableConcept", "description", "title", "category", "scope")
"""Elements that say what a resource is, the telling ones first."""
ABOUT = ("subject", "patient", "for", "beneficiary")
STATES = ("status", "lifecycleStatus")
LONGEST = 140


def plain_line(resource: Resource) -> str:
    """Parts joined by commas; the type's name where nothing is said."""
    parts = [part for part in _parts(resource) if part]
    text = ", ".join(dict.fromkeys(parts)) or str(resource.get("resourceType", ""))
    return text if len(text) <= LONGEST else text[: LONGEST - 1].rstrip() + "…"


def _parts(resource: Resource) -> Iterator[str]:
    yield _title(resource)
    if born := resource.get("birthDate"):
        yield f"born {born}"
    for element in STATES:
        if isinstance(resource.get(element), str):
            yield str(resource[element])
    for element in ABOUT:
        value = resource.get(element)
        if isinstance(value, dict) and value.get("display"):
            yield f"for {value['display']}"
    owner = resource.get("owner") or resource.get("performer")
    owner = owner[0] if isinstance(owner, list) and owner else owner
    if isinstance(owner, dict) and isinstance(owner.get("display"), str):
        yield f"by {owner['display']}"


def _title(resource: Resource) -> str:
    name = resource.get("name")
    if isinstance(name, str) and name:
        return name
    if people := name_of(resource):
        return people
    for payload in resource.get("payload") or ():
        if payload.get("contentString"):
            return str(payload["contentString"])
    if resource.get("resourceType") == "Task" and resource.get("description"):
        return str(resource["description"]).partition(":")[0]
    return next((text for text in (_words(resource.get(element)) for element in TITLES) if text), "")


def _words(value: Any) -> str:
    """Text of a string, a CodeableConcept, a Coding, or the first of a list of these."""
    if isinstance(value, list):
        return next((text for text in map(_words, value) if text), "")
    if isinstance(value, dict):
        own = value.get("text") or value.get("display")
        return str(own) if own else _words(value.get("coding")) or str(value.get("code") or "")
    return value if isinstance(value, str) else ""
