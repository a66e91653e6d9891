"""What a Patient says of who the member is, as measures group by it: race, ethnicity, language as codes.

Sources: http://hl7.org/fhir/us/core/StructureDefinition/us-core-race and us-core-ethnicity; Patient.communication.
"""

from collections.abc import Iterator
from typing import NamedTuple

from fhir_profiles import Resource

_US_CORE = "http://hl7.org/fhir/us/core/StructureDefinition/us-core-"
SEVERAL = "more-than-one"


class Traits(NamedTuple):
    """Codes; "" where the Patient does not say."""

    race: str = ""
    ethnicity: str = ""
    language: str = ""


def traits(patient: Resource | None) -> Traits:
    """None: the Patient was deleted."""
    if patient is None:
        return Traits()
    return Traits(_one(patient, "race"), _one(patient, "ethnicity"), _language(patient))


def _one(patient: Resource, name: str) -> str:
    """The OMB category; more than one is a group of its own, as the census counts."""
    codes = sorted(set(_categories(patient, name)))
    return "" if not codes else codes[0] if len(codes) == 1 else SEVERAL


def _categories(patient: Resource, name: str) -> Iterator[str]:
    for extension in patient.get("extension") or ():
        if extension.get("url") == _US_CORE + name:
            for part in extension.get("extension") or ():
                if part.get("url") == "ombCategory" and (code := (part.get("valueCoding") or {}).get("code")):
                    yield str(code)


def _language(patient: Resource) -> str:
    """The preferred one, else the first; without region: es-MX counts as es."""
    said = [one for one in patient.get("communication") or () if isinstance(one, dict)]
    for one in sorted(said, key=lambda entry: entry.get("preferred") is not True):
        for coding in (one.get("language") or {}).get("coding") or ():
            if coding.get("code"):
                return str(coding["code"]).partition("-")[0].lower()
    return ""
