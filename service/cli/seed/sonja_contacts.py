"""Encounters and messages of Sonja's story (sonja.py). https://hl7.org/fhir/R4/communication.html"""

from fhir_profiles import Resource
from service.cli.seed.directory import PHYSICIANS
from service.cli.seed.parts import BASE, TERMINOLOGY, Days, filled, ref
from service.cli.seed.people import Member

PHYSICIAN_ORG = f"Organization/{PHYSICIANS[0].organization}"


def visit(who: Member, days: Days, role: str, ago: int, reason: str) -> Resource:
    """An Encounter in the clinic."""
    return filled(
        resourceType="Encounter",
        id=who.id(role),
        status="finished",
        **{"class": {"system": f"{TERMINOLOGY}/v3-ActCode", "code": "AMB", "display": "ambulatory"}},
        type=[{"text": "Primary care visit"}],
        subject=ref(who.reference, who.name),
        participant=[{"individual": ref(PHYSICIANS[0].reference, PHYSICIANS[0].name)}],
        period={"start": days.at(ago, "09:30"), "end": days.at(ago, "10:10")},
        reasonCode=[{"text": reason}],
        serviceProvider=ref(PHYSICIAN_ORG),
    )


def message(
    who: Member, days: Days, role: str, when: tuple[int, str], sender: str, recipient: str, text: str
) -> Resource:
    """A Communication about her between two professionals or organizations."""
    return filled(
        resourceType="Communication",
        id=who.id(role),
        status="completed",
        category=[{"coding": [{"system": f"{BASE}/CodeSystem/communication-category", "code": "care-coordination"}]}],
        subject=ref(who.reference, who.name),
        sent=days.at(*when),
        recipient=[ref(recipient)],
        sender=ref(sender),
        payload=[{"contentString": text}],
    )
