"""From the hospital back home: Sonja's transition of care, beside the stay that the ADT messages make (sonja.py).

Transitional care of ECM: facts/california.md B.6; the hospital stay itself comes by hospitals.history.
"""

from collections.abc import Iterator
from dataclasses import replace

from fhir_profiles import Resource
from service.cli.seed.care_plans import observation
from service.cli.seed.contacts import facility_stay, message
from service.cli.seed.directory import HOSPITALS
from service.cli.seed.more_services import STPHH
from service.cli.seed.outreach import attempt
from service.cli.seed.parts import Days, Entry, own
from service.cli.seed.people import Member
from service.cli.seed.referrals import Referral
from service.cli.seed.referrals import entries as referral

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
    why = "Antibiotics by vein and physical therapy after sepsis"
    yield who.ecm.reference, facility_stay(who, days, why, (DISCHARGED, "14:30"), (SNF_LEFT, "11:00"))
    yield from referral(who, days, _short_term_housing())
    call = "Called two days after she came home: wheelchair and medicines are there, no fever."
    after = attempt(who, "tcs-call", days.at(HOME - 2, "10:30"), "telephone", "reached-follow-up", call)
    yield who.ecm.reference, after


def _risk(who: Member, days: Days) -> Resource:
    value = {"valueCodeableConcept": own("tcs-risk", "high", "High risk")}
    what = ("", "Risk in transitions of care")
    return observation(who, "tcs-risk", what, days.at(ADMITTED - 1, "09:00"), value)


def _short_term_housing() -> Referral:
    target = replace(STPHH, done="Six nights until the home was safe")
    notes = (
        (SNF_LEFT + 1, "10:00", "Accepted under the plan's presumptive authorization."),
        (SNF_LEFT, "12:00", "Arrived from the nursing facility."),
        (HOME, "11:00", "Left for home with wheelchair and medicines."),
    )
    words = "She cannot go home before the bathroom is safe."
    return Referral("stphh", target, "completed", SNF_LEFT + 2, "urgent", HOME, notes, "home", words)
