"""PL -> Location: bed, part of room, part of ward, of floor, of building (v2-to-FHIR PL[Location])."""

from __future__ import annotations

from mappers.hl7v2.event import Place
from mappers.hl7v2.resources.collected import Collected
from mappers.hl7v2.resources.elements import TERMINOLOGY, Resource, coding, filled, place_text

_LEVELS = (
    ("facility", "si", "Site"),
    ("building", "bu", "Building"),
    ("floor", "lvl", "Level"),
    ("unit", "wa", "Ward"),
    ("room", "ro", "Room"),
    ("bed", "bd", "Bed"),
)
"""(field of Place, code of location-physical-type, display), the widest first."""


def location(made: Collected, place: Place, *segments: str) -> Resource:
    """The Reference to a place, which is added with every place that it lies in; only words where it has no level."""
    above, path = "", [made.event.facility.reference or made.event.facility.id]
    for name, code, display in _LEVELS:
        value = getattr(place, name)
        if not value:
            continue
        path.append(f"{code}:{value}")
        resource = filled(
            resourceType="Location",
            id=made.id_of("location", *path),
            status="active",
            name=value,
            mode="instance",
            physicalType=coding(TERMINOLOGY + "location-physical-type", code, display),
            partOf=filled(reference=above),
        )
        above = made.add(resource, *segments)
    return filled(reference=above, display=place_text(place))
