"""Where the member was during a stay: bed by bed, and when the facility itself changed.

Source: https://hl7.org/fhir/R4/encounter-definitions.html#Encounter.location; HL7 v2.5.1 3.3.2 (A02), 3.3.12 (A12).
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

from service.workflow.stay_events import STARTS, Fact

MOVES = frozenset({*STARTS, "class-change", "transfer", "update", "tracking", "cancel-transfer", "cancel-discharge"})


@dataclass(frozen=True)
class PlaceSpan:
    """place: PV1-3 as text, unit^room^bed as sent. facility: PV1-3.4, empty where not sent."""

    place: str
    facility: str
    start_us: int
    fact: Fact = field(compare=False)


def places(facts: Sequence[Fact], end_us: int | None) -> tuple[PlaceSpan, ...]:
    """facts: standing, sorted. An A12 names the bed the patient is back in; nothing moves after the discharge."""
    spans: list[PlaceSpan] = []
    for fact in facts:
        moves = fact.effect in MOVES or (fact.effect == "discharge" and not spans)
        if not moves or not fact.place or (end_us is not None and fact.occurred_us > end_us and spans):
            continue
        if not spans and fact.effect == "transfer" and fact.prior_place:
            spans.append(PlaceSpan(fact.prior_place, fact.prior_facility, fact.occurred_us, fact))
        if not spans or spans[-1].place != fact.place:
            spans.append(PlaceSpan(fact.place, fact.place_facility, fact.occurred_us, fact))
    return tuple(spans)


def facility_moves(facts: Sequence[Fact]) -> tuple[PlaceSpan, ...]:
    """The standing transfers (A02 only) to another facility. Bed moves within one are nobody's news."""
    moves: list[PlaceSpan] = []
    here = ""
    for fact in facts:
        if fact.effect == "transfer" and fact.place_facility:
            before = here or fact.prior_facility
            if before and before != fact.place_facility:
                moves.append(PlaceSpan(fact.place, fact.place_facility, fact.occurred_us, fact))
        if fact.effect in MOVES and fact.place_facility:
            here = fact.place_facility
    return tuple(moves)
