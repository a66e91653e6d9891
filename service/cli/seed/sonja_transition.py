"""From the hospital back home: Sonja's transition of care, beside the stay that the ADT messages make (sonja.py).

Transitional care of ECM: facts/california.md B.6; the hospital stay itself comes by hospitals.history.
"""

from collections.abc import Iterator

from fhir_profiles import Resource
from service.cli.seed.care_plans import observation
from service.cli.seed.directory import CBOS, HOSPITALS, SNF, Cbo
from service.cli.seed.outreach import attempt
from service.cli.seed.parts import TERMINOLOGY, Days, Entry, filled, own, ref
from service.cli.seed.people import Member
from service.cli.seed.referrals import Referral
from service.cli.seed.referrals import entries as referral
from service.cli.seed.sonja_contacts import message

ADMITTED, DISCHARGED, SNF_LEFT, HOME = 27, 22, 12, 6
"""Days ago: hospital, nursing facility (ten days), short-term housing, home."""


def entries(who: Member, days: Days) -> Iterator[Entry]:
    hospital, plan = HOSPITALS[0].reference, who.plan.reference
    contact = (
        f"Your patient is in ECM. Her single point of contact is {who.lcm.name}, +1-209-555-01{who.lcm.number:02d}."
    )
    yield plan, message(who, days, "contact-to-hospital", (ADMITTED - 1, "09:20"), plan, hospital, contact)
    met = "Visited her in the hospital; read the evaluation for the discharge with the case manager."
    seen = attempt(who, "tcs-visit", days.at(ADMITTED - 2, "13:00"), "in-person-facility", "reached-follow-up", met)
    yield who.ecm.reference, seen
    yield who.ecm.reference, _risk(who, days)
    yield who.ecm.reference, _facility_stay(who, days)
    yield from referral(who, days, _short_term_housing())
    call = "Called two days after she came home: wheelchair and medicines are there, no fever."
    after = attempt(who, "tcs-call", days.at(HOME - 2, "10:30"), "telephone", "reached-follow-up", call)
    yield who.ecm.reference, after


def _risk(who: Member, days: Days) -> Resource:
    value = {"valueCodeableConcept": own("tcs-risk", "high", "High risk")}
    what = ("", "Risk in transitions of care")
    return observation(who, "tcs-risk", what, days.at(ADMITTED - 1, "09:00"), value)


def _facility_stay(who: Member, days: Days) -> Resource:
    """Ten days in the nursing facility, which has no feed: written by the lead care manager."""
    return filled(
        resourceType="Encounter",
        id=who.id("snf-stay"),
        status="finished",
        **{"class": {"system": f"{TERMINOLOGY}/v3-ActCode", "code": "IMP", "display": "inpatient encounter"}},
        type=[own("transition-setting", "snf", "Skilled nursing facility")],
        subject=ref(who.reference, who.name),
        episodeOfCare=[ref(f"EpisodeOfCare/{who.id('episode')}")],
        period={"start": days.at(DISCHARGED, "14:30"), "end": days.at(SNF_LEFT, "11:00")},
        reasonCode=[{"text": "Antibiotics by vein and physical therapy after sepsis"}],
        location=[{"location": ref(f"Location/{SNF.slug}-site", SNF.name), "status": "completed"}],
        serviceProvider=ref(SNF.reference, SNF.name),
    )


def _short_term_housing() -> Referral:
    harbor = CBOS[3]
    service = "Short-Term Post-Hospitalization Housing"
    code = "short-term-post-hospitalization-housing"
    party = (harbor.slug, harbor.name, harbor.number, harbor.street, harbor.town)
    target = Cbo(*party, service=service, cs=code, sdoh="inadequate-housing", done="Six nights until the home was safe")
    notes = (
        (SNF_LEFT + 1, "10:00", "Accepted under the plan's presumptive authorization."),
        (SNF_LEFT, "12:00", "Arrived from the nursing facility."),
        (HOME, "11:00", "Left for home with wheelchair and medicines."),
    )
    words = "She cannot go home before the bathroom is safe."
    return Referral("stphh", target, "completed", SNF_LEFT + 2, "urgent", HOME, notes, "home", words)
