"""PID-15, NK1-20 -> Patient.communication, RelatedPerson.communication: a language of BCP 47, or the sender's words."""

from __future__ import annotations

from mappers.hl7v2.message import Segment
from mappers.hl7v2.resources.collected import Collected
from mappers.hl7v2.resources.elements import Resource, filled


def communication(made: Collected, segment: Segment, number: int) -> list[Resource]:
    """One language, or none."""
    if not segment.get(number):
        return []
    row = made.mapped("language", segment, number)
    text = segment.get(number, comp=2) or row.get("display", "") or segment.get(number)
    codings = [{"system": "urn:ietf:bcp:47", "code": row["tag"], "display": row["display"]}] if row else []
    return [{"language": filled(coding=codings, text=text)}]
