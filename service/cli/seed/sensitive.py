"""Which findings of the county bear a sensitivity label, and which (HL7 DS4P; groups: service/access/labels.py).

What a program under 42 CFR Part 2 writes bears its policy too: the label follows the source, not the words alone.
"""

from fhir_profiles import Resource
from service.cli.seed.parts import TERMINOLOGY


def _label(code: str) -> Resource:
    return {"system": f"{TERMINOLOGY}/v3-ActCode", "code": code}


PART_2 = (_label("OPIOIDUD"), _label("42CFRPart2"))
"""Opioid use disorder, from a program under 42 CFR Part 2."""

BY_CODE: dict[str, tuple[Resource, ...]] = {
    "F10.20": (_label("ETHUD"),),
    "F11.20": PART_2,
    "T40.2X1D": PART_2,
}
"""ICD-10-CM code -> labels of a Condition that names it."""


def labelled(resource: Resource, labels: tuple[Resource, ...] = PART_2) -> Resource:
    """The same resource, with these labels: it stays with the organization that wrote it until a consent opens it."""
    return resource | {"meta": {"security": list(labels)}}
