"""The class of a stay over time: ED, observation, inpatient; what lowers it and what only confirms it.

Source: https://hl7.org/fhir/R4/encounter-definitions.html#Encounter.classHistory; HL7 v2.5.1 3.3.6, 3.3.7 (A06, A07).
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

from service.workflow.stay_events import STARTS, Fact

RANK = {"PRE": 0, "OTHER": 1, "AMBULATORY": 2, "ED": 3, "OBSERVATION": 4, "INPATIENT": 5}
"""Upward is news for a care manager; downward is a correction of what was told."""

RAISES = frozenset({*STARTS, "class-change", "update", "transfer", "discharge", "cancel-discharge", "leave", "return"})
LOWERS = frozenset({"class-change", "update"})
"""A repeated A04 of class E must not turn an inpatient back into an ED patient; an A07 or A08 may."""


@dataclass(frozen=True)
class ClassSpan:
    klass: str
    start_us: int
    fact: Fact = field(compare=False)
    """The event that told it."""


def class_history(
    facts: Sequence[Fact], start_us: int | None, planned: bool, over: bool = False
) -> tuple[ClassSpan, ...]:
    """facts: standing, sorted. An unknown class never hides a known one; empty when none was told.

    over: the visit was cancelled or deleted; then any message says what it would have been.
    Class P says nothing of someone who was admitted after all: such a stay must not pass as a mere appointment.
    """
    admitted = not planned and any(f.effect == "admit" for f in facts)
    spans: list[ClassSpan] = []
    for fact in facts:
        klass = told_class(fact)
        if klass not in RANK or (klass == "PRE" and admitted):
            continue
        if not over and fact.effect not in RAISES and not (planned and fact.effect == "pre-admit"):
            continue
        if not spans:
            spans.append(ClassSpan(klass, fact.occurred_us if start_us is None else start_us, fact))
            continue
        step = RANK[klass] - RANK[spans[-1].klass]
        if step > 0 or (step < 0 and fact.effect in LOWERS):
            spans.append(ClassSpan(klass, fact.occurred_us, fact))
    return tuple(spans)


def told_class(fact: Fact) -> str:
    """A06 and A07 say the change by their name, even where PV1-2 is empty, local or still the old one."""
    if fact.code == "A06" and fact.klass not in {"OBSERVATION", "INPATIENT"}:
        return "INPATIENT"
    if fact.code == "A07" and fact.klass not in {"ED", "OBSERVATION", "AMBULATORY", "OTHER"}:
        return "AMBULATORY"
    return fact.klass
