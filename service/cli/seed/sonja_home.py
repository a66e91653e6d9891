"""Sonja at home: rides, the home modification that stalls for 30 days, help at home, the plan's copy (sonja.py)."""

from collections.abc import Iterator

from service.cli.seed.care_plans import care_plan, goal
from service.cli.seed.contacts import PHYSICIAN_ORG, message, visit
from service.cli.seed.directory import CBAS, COUNTY_IHSS, HOME_HEALTH
from service.cli.seed.more_services import HARBOR, RIDES, SAFE_STEPS, serving
from service.cli.seed.parts import Days, Entry
from service.cli.seed.people import Member
from service.cli.seed.plan_copies import plan_with_copy
from service.cli.seed.referrals import Referral
from service.cli.seed.referrals import entries as referral

HELPERS = (SAFE_STEPS, RIDES, HARBOR)
REFERRALS = ("ride", "home-modification", "stphh", "home-health", "ihss", "cbas")
_GOALS = (
    ("goal-home", "Stay in my own home, near my friends", "alone", "in-progress"),
    ("goal-bath", "Wash and walk at home without a fall", "home", "achieved"),
    ("goal-medicines", "Know my medicines and take them on time", "parkinson", "in-progress"),
    ("goal-people", "See people on three days of the week", "alone", "in-progress"),
)


def before_the_hospital(who: Member, days: Days) -> Iterator[Entry]:
    """The ride to the doctor, the specialist, the referral for grab bars and how it was chased."""
    ride = Referral(
        "ride", RIDES, "completed", 178, closed=176, words="Ride to the clinic and back; she walks with a cane."
    )
    yield from referral(who, days, ride)
    yield PHYSICIAN_ORG, visit(who, days, "pcp-visit-2", 176, "Dose of the antidepressant lowered for the time being")
    yield from referral(who, days, _modification())
    chased = "The referral has not moved for 30 days. What is missing, and when can you come?"
    sender, target = who.lcm.reference, SAFE_STEPS.reference
    yield who.ecm.reference, message(who, days, "chased", (36, "09:40"), sender, target, chased)
    answer = "Nothing is back-ordered; the landlord's letter is here now. We begin this week."
    yield target, message(who, days, "chased-answer", (35, "13:15"), target, sender, answer)


def _modification() -> Referral:
    notes = (
        (66, "14:00", "Accepted. Waiting for the landlord's permission, on hold."),
        (36, "09:50", "On hold for 30 days; the lead care manager asked for the reason."),
        (33, "10:30", "Permission is here; measured the bathroom. In progress."),
        (7, "15:30", "Grab bars, shower bench, handheld shower and ramp fitted and tried with the walker."),
    )
    words = "Grab bars, shower bench, ramp; she fell in the shower."
    return Referral("home-modification", SAFE_STEPS, "completed", 68, "urgent", 7, notes, "home", words)


def after_the_hospital(who: Member, days: Days) -> Iterator[Entry]:
    """Help at home begins; the plan is written anew and she gets a copy in her language."""
    health = serving(HOME_HEALTH, "Home health: nursing and therapy")
    yield from referral(
        who, days, Referral("home-health", health, "in-progress", 13, notes=((5, "10:00", "First visit."),))
    )
    ihss = serving(COUNTY_IHSS, "In-Home Supportive Services application")
    applied = ((10, "09:00", "Application received; the interview is booked."),)
    yield from referral(who, days, Referral("ihss", ihss, "accepted", 11, condition="adl", notes=applied))
    centre = serving(CBAS, "Community-Based Adult Services")
    came = ((4, "10:00", "First day at the center; the ride is part of it."),)
    yield from referral(who, days, Referral("cbas", centre, "in-progress", 10, condition="alone", notes=came))
    goals = [goal(who, role, words, about, days.on(180), state) for role, words, about, state in _GOALS]
    for one in goals:
        yield who.ecm.reference, one
    requests = [f"ServiceRequest/{who.id(role, 'request')}" for role in REFERRALS]
    conditions = [
        f"Condition/{who.id(role)}" for role in ("parkinson", "dementia", "arthritis", "alone", "adl", "home")
    ]
    plan = care_plan(who, days, 180, goals, conditions, requests)
    given = "Copy of the plan given to Sonja, and to Arlene as she asked."
    yield from plan_with_copy(who, days, plan, [words for _, words, _, _ in _GOALS], (3, "11:00"), given)
