"""Encounters and messages of the told stories (story_people.py). https://hl7.org/fhir/R4/communication.html"""

from collections.abc import Sequence

from fhir_profiles import Resource
from service.cli.seed.directory import CLINIC, PHYSICIANS, SNF, Person
from service.cli.seed.parts import BASE, TERMINOLOGY, Days, filled, own, ref
from service.cli.seed.people import Member

PHYSICIAN_ORG = CLINIC.reference


def visit(who: Member, days: Days, role: str, ago: int, reason: str, doctor: Person = PHYSICIANS[0]) -> Resource:
    """An Encounter in the clinic."""
    return filled(
        resourceType="Encounter",
        id=who.id(role),
        status="finished",
        **{"class": {"system": f"{TERMINOLOGY}/v3-ActCode", "code": "AMB", "display": "ambulatory"}},
        type=[{"text": "Primary care visit"}],
        subject=ref(who.reference, who.name),
        participant=[{"individual": ref(doctor.reference, doctor.name)}],
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


def conference(
    who: Member, days: Days, role: str, when: tuple[int, str], what: str, people: Sequence[Resource]
) -> Resource:
    """A team meeting about the member, on one day. people: References to those who came beside the member."""
    return filled(
        resourceType="Encounter",
        id=who.id(role),
        status="finished",
        **{"class": {"system": f"{TERMINOLOGY}/v3-ActCode", "code": "AMB", "display": "ambulatory"}},
        type=[{"text": "Care conference"}],
        subject=ref(who.reference, who.name),
        participant=[{"individual": one} for one in people],
        period={"start": days.at(*when), "end": days.at(*when)},
        reasonCode=[{"text": what}],
        serviceProvider=ref(who.ecm.reference, who.ecm.name),
    )


def facility_stay(who: Member, days: Days, reason: str, since: tuple[int, str], until: tuple[int, str]) -> Resource:
    """In the nursing facility, which has no feed: written by the lead care manager."""
    return filled(
        resourceType="Encounter",
        id=who.id("snf-stay"),
        status="finished",
        **{"class": {"system": f"{TERMINOLOGY}/v3-ActCode", "code": "IMP", "display": "inpatient encounter"}},
        type=[own("transition-setting", "snf", "Skilled nursing facility")],
        subject=ref(who.reference, who.name),
        episodeOfCare=[ref(f"EpisodeOfCare/{who.id('episode')}")],
        period={"start": days.at(*since), "end": days.at(*until)},
        reasonCode=[{"text": reason}],
        location=[{"location": ref(f"Location/{SNF.slug}-site", SNF.name), "status": "completed"}],
        serviceProvider=ref(SNF.reference, SNF.name),
    )
