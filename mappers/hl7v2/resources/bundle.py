"""One ADT message -> a Bundle: everything it says, as FHIR, with Provenance; what no map knows is reported.

v2-to-FHIR 1.0.0 message map ADT_A01 and its kin. A view of one message, never the state of a stay: that is the
reducer's. Ids follow from the sender's numbers, so that the same message gives the same bundle.
"""

from __future__ import annotations

from collections.abc import Sequence

from mappers.hl7v2.adt import at_facility, parts
from mappers.hl7v2.event import AdtEvent
from mappers.hl7v2.findings import Finding
from mappers.hl7v2.message import Message
from mappers.hl7v2.resources.allergy import allergies
from mappers.hl7v2.resources.collected import Collected
from mappers.hl7v2.resources.condition import diagnosed
from mappers.hl7v2.resources.coverage import coverages
from mappers.hl7v2.resources.elements import Resource, derived_id, filled
from mappers.hl7v2.resources.encounter import whole_encounter
from mappers.hl7v2.resources.observation import observations
from mappers.hl7v2.resources.patient import whole_patient
from mappers.hl7v2.resources.procedure import procedures
from mappers.hl7v2.resources.provenance import message_header, provenances
from mappers.hl7v2.resources.related_person import contacts, related_persons
from mappers.hl7v2.resources.unmapped import kept_segments, merges_as_links, unmapped
from mappers.hl7v2.source import SourceConfig

BASE = "https://enlace.example.org/fhir/"
"""Of fullUrl only: what a relative reference in the bundle is resolved against."""


def bundle(message: Message, events: Sequence[AdtEvent], source: SourceConfig) -> tuple[Resource, list[Finding]]:
    """(Bundle of type message, what only the maps noticed). `events` are `to_events` of the same message."""
    findings: list[Finding] = []
    resources: dict[str, Resource] = {}
    origins: dict[str, tuple[str, ...]] = {}
    focus: list[str] = []
    source = at_facility(message, source)
    for group, event in zip(parts(message, events[0].effect, events[0].code), events, strict=False):
        made = Collected(group, event, source, findings)
        _fill(made)
        resources = made.resources | resources
        origins |= {ref: tuple(dict.fromkeys((*origins.get(ref, ()), *names))) for ref, names in made.origins.items()}
        focus.append(made.encounter_ref or made.patient_ref)
    findings += unmapped(message)
    header = message_header(message, events[0], list(dict.fromkeys(focus)))
    for one, names in kept_segments(message, events[0].control_id, source):
        resources[f"Basic/{one['id']}"], origins[f"Basic/{one['id']}"] = one, names
    told = [header, *resources.values(), *provenances(message, events[0], origins)]
    entries = [{"fullUrl": f"{BASE}{one['resourceType']}/{one['id']}", "resource": one} for one in told]
    identity = derived_id("bundle", source.name, events[0].control_id, str(events[0].message_time))
    made_of = filled(resourceType="Bundle", id="v2-" + identity, type="message", timestamp=_timestamp(told))
    return made_of | {"entry": entries}, list(dict.fromkeys(findings))


def _fill(made: Collected) -> None:
    """Patient first: everything else points to it; the Encounter before what happened during it."""
    made.patient_ref = whole_patient(made, contacts(made))
    merges_as_links(made)
    related_persons(made)
    whole_encounter(made)
    if made.encounter_ref:
        diagnosed(made)
    coverages(made)
    allergies(made)
    observations(made)
    procedures(made)


def _timestamp(told: list[Resource]) -> str:
    """The instant of the message, as its Provenance has it."""
    return str(next((one["recorded"] for one in told if one["resourceType"] == "Provenance"), ""))
