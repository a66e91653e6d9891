"""Felix's story, complete: facts/california.md C.8 story 2. Days are counted back from the day of the seed.

224 stroke (ADT); 217 nursing facility; 166 he says in the resident assessment that he wants to go home; 159 the
plan's manager of transitions refers; 154 authorized; 150-145 reached; 145 consent and assessment; 140 plan and its
copy; 137 four Community Supports at once; 100 home, on the day when the last of them had begun; 92 his doctor.
"""

from collections.abc import Iterator

from fhir_profiles import Resource
from service.cli.seed import felix_home, intake, outreach
from service.cli.seed.care_plans import condition, observation
from service.cli.seed.contacts import message
from service.cli.seed.directory import HOSPITALS, PHYSICIANS, SNF, TCS_MANAGER
from service.cli.seed.enrolled import enrolled
from service.cli.seed.forms import ASSESSMENT, answers
from service.cli.seed.more_services import CAREGIVER_SUPPORT, HOME_TRANSITION, KITCHEN, PERSONAL_CARE, RESPITE
from service.cli.seed.parts import Days, Entry, own, ref
from service.cli.seed.people import Member
from service.cli.seed.relatives import may_share, may_take_part, related

ADMITTED, DISCHARGED = 224, 217
"""Days ago: hospital, and from there to the nursing facility."""

ATTEMPTS = (
    (150, "10:20", "telephone", "message-left", "Left word with the nurses' station of his floor."),
    (149, "16:00", "telephone", "reached-follow-up", "Spoke with Felix and Teresa; explained ECM and agreed on a day."),
    (
        145,
        "13:30",
        "in-person-facility",
        "reached-engaged",
        "Met both after physical therapy; Felix agreed to ECM.",
    ),
)
CONDITIONS = (
    ("stroke", ("I69.351", "Weakness of the right side after a stroke")),
    ("swallowing", ("I69.391", "Difficulty swallowing after a stroke")),
    ("diabetes", ("E11.9", "Type 2 diabetes")),
    ("cholesterol", ("E78.5", "High cholesterol")),
    ("adl", ("Z74.1", "Needs help with personal care")),
    ("home", ("Z59.10", "Home without grab bars or ramp")),
    ("caregiver", ("Z63.6", "His wife cares for him beside her work")),
)


def story(who: Member, days: Days) -> Iterator[Entry]:
    """All of it, each resource after those that it refers to."""
    teresa = ref(f"RelatedPerson/{who.id('teresa')}", "Teresa Amador")
    helpers = [HOME_TRANSITION, KITCHEN, PERSONAL_CARE, RESPITE, CAREGIVER_SUPPORT]
    patient, coverage, team, episode = enrolled(who, helpers, _team(teresa))
    yield patient
    yield coverage
    wife = related(who, "teresa", ("Teresa", "Amador"), ("WIFE", "wife"), "209-555-0198", days.on(145))
    yield who.ecm.reference, wife
    yield team
    yield episode
    yield from _referred(who, days)
    for role, what in CONDITIONS:
        yield who.ecm.reference, condition(who, role, what, days.on(144))
    for number, (ago, clock, medium, outcome, text) in enumerate(ATTEMPTS):
        made = outreach.attempt(who, f"attempt-{number}", days.at(ago, clock), medium, outcome, text)
        yield who.ecm.reference, made
    yield who.ecm.reference, may_share(who, days, (145, "13:40"))
    yield who.ecm.reference, may_take_part(who, days, "consent-teresa", (145, "13:45"), teresa)
    yield from _assessment(who, days)
    yield from felix_home.before(who, days, teresa)
    yield from felix_home.after(who, days)


def _team(teresa: Resource) -> tuple[Resource, ...]:
    doctor, manager = PHYSICIANS[1], TCS_MANAGER
    return (
        {"role": [own("team-role", "pcp")], "member": ref(doctor.reference, doctor.name)},
        {"role": [own("team-role", manager.role)], "member": ref(manager.reference, manager.name)},
        {"role": [own("team-role", "caregiver")], "member": teresa},
    )


def _referred(who: Member, days: Days) -> Iterator[Entry]:
    """The plan's manager of transitions is there from the first day, hears of the wish, and refers."""
    plan, manager, facility = who.plan.reference, TCS_MANAGER, SNF.reference
    number = f"+1-209-555-01{manager.number}"
    contact = f"Your patient's contact at the plan for this transition is {manager.name}, {number}."
    hospital = HOSPITALS[1].reference
    yield plan, message(who, days, "contact-to-hospital", (ADMITTED - 1, "09:10"), manager.reference, hospital, contact)
    risk = {"valueCodeableConcept": own("tcs-risk", "high", "High risk")}
    yield plan, observation(who, "tcs-risk", ("", "Risk in transitions of care"), days.at(223, "09:00"), risk)
    wish = observation(who, "wish-to-return", ("", _SECTION_Q), days.at(166, "10:30"), {"valueBoolean": True}) | {
        "performer": [ref(facility, SNF.name)]
    }
    yield facility, wish
    heard = "Section Q of his assessment says it, and his wife asks too: he wants to live at home again. Can you help?"
    yield facility, message(who, days, "wish-told", (165, "14:05"), facility, manager.reference, heard)
    words = "In a nursing facility for 58 days, wants to go home and can with help; he and his wife agreed to ECM."
    yield from intake.ecm_referral(who, days, "completed", ago=159, closed=154, by=manager, words=words)


_SECTION_Q = "MDS 3.0 Section Q: wants to talk about returning to live in the community"


def _assessment(who: Member, days: Days) -> Iterator[Entry]:
    given: dict[str, object] = {
        "important": "Go home to Teresa, and be no burden to her.",
        "living": "In a nursing facility; before that with my wife, third floor with elevator",
        "adl": True,
        "falls": 1,
        "medicines": 6,
        "helper": "Teresa, my wife; she works half days in a shop",
    }
    author, patient = ref(who.lcm.reference, who.lcm.name), ref(who.reference, who.name)
    yield who.ecm.reference, answers(who.id("assessment"), ASSESSMENT, patient, author, days.at(145, "14:30"), given)
    able = {"valueString": "Can help with meals and walking; not with lifting, and not on five mornings of the week."}
    what = ("", "What the caregiver can do, and what is too much")
    yield who.ecm.reference, observation(who, "caregiver-capacity", what, days.at(145, "14:50"), able)
