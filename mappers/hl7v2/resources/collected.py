"""What a bundle is made of while it grows: resources by reference, and of which segments each was made."""

from __future__ import annotations

from dataclasses import dataclass, field

from mappers.hl7v2.code_tables import look_up
from mappers.hl7v2.datatypes import code_system, coded, identifier, moment
from mappers.hl7v2.event import AdtEvent
from mappers.hl7v2.findings import Finding
from mappers.hl7v2.message import Message, Rep, Segment
from mappers.hl7v2.resources.elements import Resource, derived_id, filled
from mappers.hl7v2.resources.elements import identifier as shown
from mappers.hl7v2.source import SourceConfig


@dataclass(slots=True)
class Collected:
    """One patient's part of a message (`group`) on its way to resources.

    `findings` holds what only the maps noticed; what the event's reading noticed is not said twice.
    """

    group: Message
    event: AdtEvent
    source: SourceConfig
    findings: list[Finding]
    resources: dict[str, Resource] = field(default_factory=dict)
    origins: dict[str, tuple[str, ...]] = field(default_factory=dict)
    patient_ref: str = ""
    encounter_ref: str = ""

    def add(self, resource: Resource, *segments: str) -> str:
        """The reference of a resource; one that is there already keeps its content and gains the segments."""
        ref = f"{resource['resourceType']}/{resource['id']}"
        self.resources.setdefault(ref, resource)
        self.origins[ref] = tuple(dict.fromkeys((*self.origins.get(ref, ()), *segments)))
        return ref

    def numbered(self, name: str) -> list[tuple[str, Segment]]:
        """Segments of that name with what each is called: "DG1", or "DG1[2]" where there are several."""
        found = self.group.all(name)
        return [(name if len(found) == 1 else f"{name}[{n}]", one) for n, one in enumerate(found, 1)]

    def id_of(self, *parts: str) -> str:
        """An id that follows from the sender and the parts."""
        return "v2-" + derived_id(self.source.name, *parts)

    def concept(self, segment: Segment, number: int, rep: int = 1) -> Resource:
        """A coded field as a CodeableConcept with every coding that was sent (CWE.1-3, 4-6, 10-12)."""
        reps = segment.reps(number)
        return self.concept_of(reps[rep - 1], f"{segment.name}-{number}") if len(reps) >= rep else {}

    def concepts(self, segment: Segment, number: int) -> list[Resource]:
        """Every repetition of a coded field that says something."""
        read = (self.concept_of(rep, f"{segment.name}-{number}") for rep in segment.reps(number))
        return [one for one in read if one]

    def concept_of(self, rep: Rep, location: str) -> Resource:
        """One repetition of a coded field."""
        codings = []
        for first in (1, 4, 10):
            code, display = rep.get(first), rep.get(first + 1)
            if code:
                system = code_system(rep.get(first + 2), f"{location}.{first + 2}", self.findings)
                codings.append(filled(system=system, code=" ".join(code.split()), display=display))
        main = coded(rep, location, [])
        return filled(coding=codings, text=main.text if main else "")

    def mapped(self, table: str, segment: Segment, number: int) -> dict[str, str]:
        """The row of a coded field's first code; one without a row is reported."""
        return look_up(table, segment.get(number), f"{segment.name}-{number}", self.findings)

    def time(self, segment: Segment, number: int) -> str:
        """A time field as FHIR text with the precision as sent."""
        found = moment(segment, number, self.source, self.findings)
        return found.fhir if found else ""

    def period(self, segment: Segment, start: int, end: int) -> Resource:
        """Two time fields as a Period; an end before its start cannot be said in FHIR (per-1) and is reported."""
        first = moment(segment, start, self.source, self.findings)
        last = moment(segment, end, self.source, self.findings)
        if first and last and last.us < first.us:
            text = "The end lies before the start and was left out."
            self.findings.append(Finding("end-before-start", f"{segment.name}-{end}", "warning", text))
            last = None
        return filled(start=first.fhir if first else "", end=last.fhir if last else "")

    def instant(self, segment: Segment, number: int) -> str:
        """A time field that FHIR wants whole; "" where it is coarser."""
        found = moment(segment, number, self.source, self.findings)
        return found.fhir if found and found.timed else ""

    def identifiers(self, segment: Segment, number: int) -> list[Resource]:
        """The CX repetitions of a field; never a social security number."""
        location = f"{segment.name}-{number}"
        read = (identifier(rep, location, self.source, self.findings) for rep in segment.reps(number))
        return [shown(one) for one in read if one and one.type != "SS"]
