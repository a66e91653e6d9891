"""Names that the directory uses: extensions, code systems, and how a member of an HSDS record is kept.

Source: facts/closed-loop.md 6; fhir_profiles/structure_definitions/enlace-*.json.
"""

from typing import Any

GRAVITY = "http://hl7.org/fhir/us/sdoh-clinicalcare"
CODES = f"{GRAVITY}/CodeSystem/SDOHCC-CodeSystemTemporaryCodes"
APPOINTMENT_URL = f"{GRAVITY}/StructureDefinition/SDOHCC-ExtensionHealthcareServiceTelecomAppointment"
CAPACITY_URL = f"{GRAVITY}/StructureDefinition/SDOHCC-ExtensionHealthcareServiceCapacityStatus"
VERIFIED_URL = "https://enlace.example.org/fhir/StructureDefinition/enlace-verified"
COST_URL = "https://enlace.example.org/fhir/StructureDefinition/enlace-service-cost"
ACCESSIBLE_URL = "http://hl7.org/fhir/us/davinci-pdex-plan-net/StructureDefinition/accessibility"
"""Of a Location, as the HSDS guide of HL7 takes it from Plan-Net."""
AGE_URL = "https://enlace.example.org/fhir/StructureDefinition/enlace-eligible-age"
KEPT_URL = "https://enlace.example.org/fhir/StructureDefinition/enlace-hsds"
HSDS_IDS = "https://enlace.example.org/fhir/sid/hsds"
"""System of the identifier that an HSDS record has, unless the import names another."""

LANGUAGES = "urn:ietf:bcp:47"
YEARS = {"unit": "years", "system": "http://unitsofmeasure.org", "code": "a"}

Record = dict[str, Any]


def extension(resource: Record, url: str) -> list[Record]:
    """The extensions with this url."""
    return [one for one in resource.get("extension") or () if one.get("url") == url]
