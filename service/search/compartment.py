"""The record of one patient: which references put a resource into it, and when it clinically was.

Source: https://hl7.org/fhir/R4/compartmentdefinition-patient.html
"""

from functools import cache

from fhir_profiles.catalog import NO_COMPARTMENT, catalog
from service.search.keys import PATIENT_EDGE, edge

MAIN_DATES = (
    *("date", "onset-date", "authored", "authored-on", "authoredon", "start-date", "sent", "created", "recorded"),
    *("onset", "effective", "datetime", "started", "collected", "period"),
)
"""Which date parameter of a type says when it clinically was: the first of these that the type has."""


@cache
def record_types() -> tuple[str, ...]:
    """Served types that can be part of a patient's record, the Patient aside. An AuditEvent is rendered, not stored."""
    served = catalog().types.values()
    return tuple(sorted(entry.name for entry in served if entry.compartment and "create" in entry.interactions))


@cache
def directory_types() -> tuple[str, ...]:
    """Served types that belong to nobody's record and that a record refers to."""
    return tuple(sorted(e.name for e in catalog().types.values() if not e.compartment and e.name not in NO_COMPARTMENT))


@cache
def compartment_edges(rtype: str) -> tuple[int, ...]:
    """Numbers of the references that put a resource of the type into the record of the Patient they lead to."""
    entry = catalog().types[rtype]
    stored = {one for code in entry.compartment if code in entry.search for one in entry.search[code].stored_as}
    return tuple(sorted(edge(rtype, code) for code in (*stored, PATIENT_EDGE)))


@cache
def main_date(rtype: str) -> str | None:
    search = catalog().types[rtype].search
    return next((code for code in MAIN_DATES if code in search and search[code].type == "date"), None)
