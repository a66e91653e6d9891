"""What no map knows: told field by field, never dropped; Z-segments go along as they came.

tables/field_map.csv holds every field that is read: where it goes, or why it is left in the message.
"""

from __future__ import annotations

from mappers.hl7v2.code_tables import table
from mappers.hl7v2.findings import Finding
from mappers.hl7v2.message import DELETE, Message
from mappers.hl7v2.resources.collected import Collected
from mappers.hl7v2.resources.elements import Resource, derived_id, filled
from mappers.hl7v2.source import SourceConfig

SEGMENT_EXTENSION = "https://enlace.example.org/fhir/StructureDefinition/enlace-hl7v2-segment"
KEPT_CHARACTERS = 64 * 1024
"""Of Z-segments in one message; the rest stays in the stored message."""


def unmapped(message: Message) -> list[Finding]:
    """Each segment and field with a value that has no row in field_map, once."""
    known = table("field_map")
    segments = {name.partition("-")[0] for name in known}
    found: dict[str, Finding] = {}
    for one in message.segments:
        if one.name[0] == "Z":
            continue
        if one.name not in segments:
            text = "The segment has no map; it stays in the stored message."
            found[one.name] = Finding("unmapped-segment", one.name, "information", text)
            continue
        fields = one.text.split(one.separators.field)
        shift = 1 if one.name == "MSH" else 0  # MSH-1 is the delimiter itself
        for number, value in enumerate(fields[1:], 1 + shift):
            place = f"{one.name}-{number}"
            if value and value != DELETE and place not in known:
                text = "The field has no map; it stays in the stored message."
                found[place] = Finding("unmapped-field", place, "information", text)
    if sum(len(one.text) for one in message.segments if one.name[0] == "Z") > KEPT_CHARACTERS:
        text = "There are too many Z-segments to go along; the rest stays in the stored message."
        found["Z"] = Finding("segments-left", "ZZZ", "information", text)
    return list(found.values())


def kept_segments(
    message: Message,
    control_id: str,
    source: SourceConfig,
) -> list[tuple[Resource, tuple[str, ...]]]:
    """The Z-segments, verbatim, in one Basic with their names; none where there are none."""
    lines: list[str] = []
    size = 0
    for one in message.segments:
        if one.name[0] == "Z" and one.text.strip():
            size += len(one.text)
            if size <= KEPT_CHARACTERS:
                lines.append(one.text)
    if not lines:
        return []
    basic = {
        "resourceType": "Basic",
        "id": "v2-" + derived_id("z", source.name, control_id, *lines),
        "extension": [{"url": SEGMENT_EXTENSION, "valueString": line} for line in lines],
        "code": {"text": "Segments of the sender's own"},
    }
    return [(basic, tuple(dict.fromkeys(line[:3] for line in lines)))]


def merges_as_links(made: Collected) -> None:
    """A retired or linked record as Patient.link: replaces what MRG-1 retires, seealso what A24 links."""
    links: list[Resource] = []
    for pair in made.event.merges:
        for one in pair.retired:
            if one.type != "SS":
                links.append(_link("replaces", one.system, one.value))
    if made.event.effect == "link":
        links += [_link("seealso", one.system, one.value) for one in made.event.linked if one.type != "SS"]
    if links:
        made.resources[made.patient_ref]["link"] = links
        made.add(made.resources[made.patient_ref], "MRG" if made.event.merges else "PID")


def _link(kind: str, system: str, value: str) -> Resource:
    return {"other": {"type": "Patient", "identifier": filled(system=system, value=value)}, "type": kind}
