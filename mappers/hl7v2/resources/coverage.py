"""IN1 -> Coverage (v2-to-FHIR IN1[Coverage]): https://hl7.org/fhir/R4/coverage.html

The map leaves IN1-36 out. In Medi-Cal feeds the CIN stands there: it becomes an identifier of type MB, and the
subscriber's number where IN1-49 is empty.
"""

from __future__ import annotations

from mappers.hl7v2.datatypes import name
from mappers.hl7v2.message import Segment
from mappers.hl7v2.resources.collected import Collected
from mappers.hl7v2.resources.elements import TERMINOLOGY, V2, Resource, coding, filled, human_name
from mappers.hl7v2.resources.patient import CIN_SYSTEM
from mappers.hl7v2.segments.pid import cin


def coverages(made: Collected) -> None:
    """A Coverage per IN1."""
    for called, in1 in made.numbered("IN1"):
        made.add(_coverage(made, in1), called)


def _coverage(made: Collected, in1: Segment) -> Resource:
    policy, insured = in1.get(36), in1.get(49)
    payor = filled(
        type="Organization",
        identifier=next(iter(made.identifiers(in1, 3)), {}),
        display=in1.get(4) or in1.get(2, comp=2) or in1.get(3) or "Payer not named",
    )
    groups = ((in1.get(8), "group", in1.get(9)), (in1.get(2), "plan", in1.get(2, comp=2)))
    classes = [
        filled(type=coding(TERMINOLOGY + "coverage-class", kind), value=value, name=words)
        for value, kind, words in groups
        if value and not cin(value)
    ]
    row = made.mapped("subscriber_relationship", in1, 17)
    relationship = coding(TERMINOLOGY + "subscriber-relationship", row["target"], row["display"]) if row else {}
    insured_name = next((n for rep in in1.reps(16) if (n := name(rep, "IN1-16", made.findings))), None)
    if row.get("target") == "self":
        subscriber: Resource = {"reference": made.patient_ref}
    else:
        subscriber = filled(display=human_name(insured_name).get("family", "") if insured_name else "")
        if insured_name:
            subscriber = {"display": " ".join((*insured_name.given, insured_name.family)).strip()}
    return filled(
        resourceType="Coverage",
        id=made.id_of("coverage", made.patient_ref, in1.get(2), in1.get(3), policy or insured),
        identifier=_numbers(in1),
        status="active",
        type=made.concept(in1, 15),
        subscriber=subscriber,
        subscriberId=insured or policy,
        beneficiary={"reference": made.patient_ref},
        relationship=relationship or filled(text=in1.get(17)),
        period=made.period(in1, 12, 13),
        payor=[payor],
        **{"class": classes},
    )


def _numbers(in1: Segment) -> list[Resource]:
    """CINs first, each once, then the policy number as sent."""
    found: dict[str, Resource] = {}
    for number in (36, 49, 2):
        if value := cin(in1.get(number)):
            found[value] = {"type": coding(V2 + "0203", "MB"), "system": CIN_SYSTEM, "value": value}
    policy = in1.get(36)
    if policy and not cin(policy):
        found[policy] = {"type": coding(V2 + "0203", "MB"), "value": policy}
    return list(found.values())
