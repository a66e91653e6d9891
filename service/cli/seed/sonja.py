"""Sonja's story, complete: facts/california.md C.8 story 1. Days are counted back from the day of the seed.

200 her doctor refers; 193 authorized for 12 months; 190-185 missed calls, nobody at home, reached through Arlene;
184 consent and assessment; 182 medicines; 176 ride and visit; 66-36 home modification stalls; 27 hospital (ADT);
22 nursing facility; 12 short-term housing; 7 home made safe; 6 home; 3 copy of the plan.
"""

from collections.abc import Iterator

from fhir_profiles import Resource
from service.cli.seed import intake, outreach, sonja_home, sonja_transition
from service.cli.seed.care_plans import condition, observation
from service.cli.seed.contacts import PHYSICIAN_ORG, message, visit
from service.cli.seed.directory import PHARMACIST, PHYSICIANS
from service.cli.seed.enrolled import enrolled
from service.cli.seed.forms import ASSESSMENT, answers
from service.cli.seed.parts import Days, Entry, own, ref
from service.cli.seed.people import Member
from service.cli.seed.relatives import may_share, may_take_part, related

ATTEMPTS = (
    (190, "10:05", "telephone", "no-answer", "Called at the number of the plan's file."),
    (188, "14:20", "telephone", "no-answer", "Called in the afternoon."),
    (186, "17:40", "telephone", "message-left", "Left word with the name and number of the lead care manager."),
    (185, "11:00", "in-person-home", "not-at-location", "Came to the agreed visit; nobody was at home."),
    (185, "16:30", "via-third-party", "third-party-reached", "Sonja brought her neighbor Arlene to the telephone."),
    (184, "10:00", "in-person-home", "reached-engaged", "Met Sonja and Arlene at home; Sonja agreed to ECM."),
)
CONDITIONS = (
    ("parkinson", ("G20.A1", "Parkinson's disease")),
    ("dementia", ("F02.80", "Dementia in Parkinson's disease")),
    ("arthritis", ("M17.0", "Arthritis of both knees")),
    ("alone", ("Z60.2", "Lives alone")),
    ("adl", ("Z74.1", "Needs help with personal care")),
    ("home", ("Z59.10", "Home without grab bars or ramp")),
)


def story(who: Member, days: Days) -> Iterator[Entry]:
    """All of it, each resource after those that it refers to."""
    arlene = ref(f"RelatedPerson/{who.id('arlene')}", "Arlene Fosdick")
    patient, coverage, team, episode = enrolled(who, list(sonja_home.HELPERS), _team(arlene))
    yield patient
    yield coverage
    neighbor = ("NBOR", "neighbor")
    since = days.on(184)
    yield who.ecm.reference, related(who, "arlene", ("Arlene", "Fosdick"), neighbor, "209-555-0199", since)
    yield team
    yield episode
    yield from intake.ecm_referral(who, days, "completed", ago=200, closed=193)
    yield PHYSICIAN_ORG, visit(who, days, "pcp-visit-1", 200, "Visit at the clinic, brought by a neighbor")
    for role, what in CONDITIONS:
        yield who.ecm.reference, condition(who, role, what, days.on(184))
    for number, (ago, clock, medium, outcome, text) in enumerate(ATTEMPTS):
        made = outreach.attempt(who, f"attempt-{number}", days.at(ago, clock), medium, outcome, text)
        yield who.ecm.reference, made
    yield who.ecm.reference, may_share(who, days, (184, "10:10"))
    yield who.ecm.reference, may_take_part(who, days, "consent-arlene", (184, "10:15"), arlene)
    yield from _assessment(who, days)
    yield from _medicines(who, days)
    yield from sonja_home.before_the_hospital(who, days)
    yield from sonja_transition.entries(who, days)
    yield from sonja_home.after_the_hospital(who, days)


def _team(arlene: Resource) -> tuple[Resource, ...]:
    doctor = ref(PHYSICIANS[0].reference, PHYSICIANS[0].name)
    return (
        {"role": [own("team-role", "pharmacist")], "member": ref(PHARMACIST.reference, PHARMACIST.name)},
        {"role": [own("team-role", "pcp")], "member": doctor},
        {"role": [own("team-role", "caregiver")], "member": arlene},
    )


def _assessment(who: Member, days: Days) -> Iterator[Entry]:
    given: dict[str, object] = {
        "important": "Stay in my home, near my friends.",
        "living": "Alone, on the ground floor",
        "adl": True,
        "falls": 2,
        "medicines": 7,
        "helper": "Arlene, my neighbor",
    }
    author, patient = ref(who.lcm.reference, who.lcm.name), ref(who.reference, who.name)
    yield who.ecm.reference, answers(who.id("assessment"), ASSESSMENT, patient, author, days.at(184, "11:30"), given)
    level = {"valueCodeableConcept": {"text": "Meets the nursing facility level of care"}}
    what = ("", "Nursing facility level of care (population of focus 5)")
    yield who.ecm.reference, observation(who, "level-of-care", what, days.at(193, "09:00"), level)


def _medicines(who: Member, days: Days) -> Iterator[Entry]:
    """The review finds two prescribers of one antidepressant; the pharmacist tells the doctor, who answers."""
    doctor, pharmacist = PHYSICIANS[0], PHARMACIST
    found = "Seven medicines; an antidepressant in a high dose from two prescribers, which may worsen the tremor."
    yield (
        who.ecm.reference,
        message(who, days, "medicines", (182, "15:10"), pharmacist.reference, doctor.reference, found),
    )
    answer = "I did not know of the second prescriber. Please bring her in; I will lower the dose."
    yield (
        PHYSICIAN_ORG,
        message(who, days, "medicines-answer", (181, "08:50"), doctor.reference, who.lcm.reference, answer),
    )
