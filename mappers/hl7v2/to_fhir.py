"""ADT message -> FHIR R4 by the v2-to-FHIR maps; one module per resource in resources/. This is their front.

`bundle` is a whole message as one sees it alone. `patient`, `encounter_parts` and `conditions` are what the reducer
of stays uses: Encounter.status is not among them, since it depends on all events of the stay.
"""

from mappers.hl7v2.resources.bundle import bundle
from mappers.hl7v2.resources.condition import condition_id, conditions, encounter_diagnoses
from mappers.hl7v2.resources.elements import NPI_SYSTEM, V2, Resource, place_text
from mappers.hl7v2.resources.encounter import (
    ACT_CODE,
    FHIR_DISCHARGE,
    NUBC_DISCHARGE,
    NUBC_ORIGIN,
    discharge_disposition,
    encounter_class,
    encounter_parts,
)
from mappers.hl7v2.resources.patient import CIN_SYSTEM, patient

__all__ = [
    "ACT_CODE",
    "CIN_SYSTEM",
    "FHIR_DISCHARGE",
    "NPI_SYSTEM",
    "NUBC_DISCHARGE",
    "NUBC_ORIGIN",
    "V2",
    "Resource",
    "bundle",
    "condition_id",
    "conditions",
    "discharge_disposition",
    "encounter_class",
    "encounter_diagnoses",
    "encounter_parts",
    "patient",
    "place_text",
]
