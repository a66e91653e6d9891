"""What an entry of the service directory says of its capacity, its last check and its costs: extensions read and made.

Capacity: http://hl7.org/fhir/us/sdoh-clinicalcare/StructureDefinition/SDOHCC-ExtensionHealthcareServiceCapacityStatus
The others are ours (fhir_profiles/structure_definitions), where R4 has no element.
"""

from collections.abc import Iterator
from typing import Any

from fhir_profiles import Resource
from mappers.hsds.elements import CAPACITY_URL, CODES, VERIFIED_URL

CAPACITY = "capacity"
NO_CAPACITY = "no-capacity"
WAITLIST = "waitlist"
ASSESSMENT = "additional-assessment-required"
STANDINGS = (CAPACITY, NO_CAPACITY, WAITLIST, ASSESSMENT)


def standing(resource: Resource) -> str:
    """capacity, no-capacity, waitlist, additional-assessment-required; "" where the entry says nothing of it."""
    for part in _parts(resource, CAPACITY_URL, "capacityStatus"):
        for coding in (part.get("valueCodeableConcept") or {}).get("coding") or ():
            if coding.get("system") == CODES and coding.get("code") in STANDINGS:
                return str(coding["code"])
    return ""


def notes(resource: Resource) -> str:
    """The organization's own words about its capacity, or ""."""
    return next((str(part.get("valueString", "")) for part in _parts(resource, CAPACITY_URL, "capacityNotes")), "")


def verified(resource: Resource) -> str:
    """The date on which somebody last confirmed the entry, or ""."""
    found = (one for one in resource.get("extension") or () if one.get("url") == VERIFIED_URL)
    return next((str(one.get("valueDateTime", "")) for one in found), "")


def _parts(resource: Resource, url: str, name: str) -> Iterator[dict[str, Any]]:
    for extension in resource.get("extension") or ():
        if extension.get("url") == url:
            yield from (part for part in extension.get("extension") or () if part.get("url") == name)
