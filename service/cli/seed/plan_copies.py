"""The copy of the care plan that the member gets, as text, with the note in the plan that says so.

facts/california.md A.2 R25: a copy, electronic or on paper, and how to ask for updates.
"""

import base64
from collections.abc import Iterator, Sequence

from fhir_profiles import Resource
from service.cli.seed.parts import LOINC, Days, Entry, coded, filled, ref
from service.cli.seed.people import Member


def plan_with_copy(
    who: Member,
    days: Days,
    plan: Resource,
    goals: Sequence[str],
    when: tuple[int, str],
    note: str,
    labels: Sequence[Resource] = (),
) -> Iterator[Entry]:
    """The CarePlan with its note, and the copy. labels: of what the copy holds beside the plan's own goals."""
    yield who.ecm.reference, plan | {"note": [{"time": days.at(*when), "text": note}]}
    yield who.ecm.reference, _copy(who, days, goals, when, labels)


def _copy(who: Member, days: Days, goals: Sequence[str], when: tuple[int, str], labels: Sequence[Resource]) -> Resource:
    text = "\n".join(["My care plan", f"My lead care manager: {who.lcm.name}", *(f"- {words}" for words in goals), ""])
    data = text.encode()
    attachment = {
        "contentType": "text/plain; charset=utf-8",
        "language": who.row.language_written,
        "data": base64.b64encode(data).decode(),
        "size": len(data),
        "title": "My care plan",
        "creation": days.on(when[0]),
    }
    return filled(
        resourceType="DocumentReference",
        id=who.id("plan-copy"),
        meta={"security": list(labels)} if labels else None,
        status="current",
        type=coded(LOINC, "18776-5", "Plan of care note"),
        category=[coded("http://hl7.org/fhir/us/core/CodeSystem/us-core-documentreference-category", "clinical-note")],
        subject=ref(who.reference, who.name),
        date=days.at(*when),
        author=[ref(who.lcm.reference, who.lcm.name)],
        custodian=ref(who.ecm.reference, who.ecm.name),
        description="Copy of the care plan, given to the member",
        content=[{"attachment": attachment}],
        context={"related": [ref(f"CarePlan/{who.id('care-plan')}")]},
    )
