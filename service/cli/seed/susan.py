"""Susan's story, complete: facts/california.md C.8 story 4. Days are counted back from the day of the seed.

186 found without breath, hospital (ADT, which withholds the reason); 182 out, to a shelter; 178 street medicine
refers; 171 authorized; 169-162 looked for and found; 162 two consents; 161 assessment; 158 housing and food; 120 a
room of her own; 60 help to keep it; 30 the food loop is closed. What a program under 42 CFR Part 2 wrote is in
susan_recovery.py: everything here may be read by those who help with housing and food, so it names nothing of that.
"""

from collections.abc import Iterator
from decimal import Decimal

from service.cli.seed import intake, outreach, susan_recovery
from service.cli.seed.care_plans import care_plan, condition, goal, observation, quantity
from service.cli.seed.contacts import PHYSICIAN_ORG, message, visit
from service.cli.seed.directory import PHYSICIANS
from service.cli.seed.enrolled import enrolled
from service.cli.seed.forms import ASSESSMENT, SCREENING, answers
from service.cli.seed.more_services import FOOD_BANK, HOUSING, TENANCY
from service.cli.seed.parts import Days, Entry, own, ref
from service.cli.seed.people import Member
from service.cli.seed.plan_copies import plan_with_copy
from service.cli.seed.referrals import Referral
from service.cli.seed.referrals import entries as referral
from service.cli.seed.relatives import may_share
from service.cli.seed.sensitive import PART_2
from service.cli.seed.story_tasks import authorization

ADMITTED, DISCHARGED = 186, 182

ATTEMPTS = (
    (
        169,
        "08:10",
        "in-person-street",
        "not-at-location",
        "Looked for her behind the depot, where she had slept.",
    ),
    (166, "17:20", "via-third-party", "third-party-reached", "The shelter's night desk gave her our card."),
    (162, "09:00", "in-person-street", "reached-engaged", "Met Susan at the shelter's door; she agreed to ECM."),
)
CONDITIONS = (
    ("diabetes", ("E11.65", "Type 2 diabetes with high blood sugar")),
    ("homeless", ("Z59.01", "Sheltered homelessness")),
    ("hungry", ("Z59.41", "Food insecurity")),
)
HOME = Referral(
    *("housing", HOUSING, "completed", 158, "urgent", 120),
    notes=(
        (154, "13:00", "Accepted; we meet at the shelter."),
        (150, "10:30", "Papers are complete; two houses with staff on site have a waiting list."),
        (120, "14:40", "Moved into a room in a house with case managers on site."),
    ),
    condition="homeless",
    words="Two years between shelters and friends' sofas. She asks for a quiet house with staff on site.",
    began=(150, "10:30"),
)
FOOD = Referral(
    *("food", FOOD_BANK, "completed", 157, "urgent", 30),
    notes=(
        (156, "09:45", "Accepted. First box on Thursday at the shelter."),
        (153, "11:00", "First box taken; she likes beans and greens."),
        (110, "15:00", "She has a stove now: joined the cooking class on reading labels."),
        (30, "12:00", "Eighteen boxes and six classes; she cooks for herself and knows where to come."),
    ),
    condition="hungry",
    words="Weekly box low in sugar and white flour; no stove for now. A class on shopping and cooking too.",
    began=(153, "11:00"),
)
_KEEP = Referral(
    *("tenancy", TENANCY, "in-progress", 60),
    notes=((52, "10:00", "First visit in her room; rent and house rules gone through."),),
    condition="homeless",
    words="Help to keep the room and to look for an apartment of her own.",
    began=(52, "10:00"),
)
_GOALS = (
    ("goal-home", "Move into a place with a door that I can lock", "homeless", "achieved"),
    ("goal-food", "Cook for myself and know what does me good", "hungry", "achieved"),
    ("goal-sugar", "Keep my A1c below 8", "diabetes", "in-progress"),
)


def story(who: Member, days: Days) -> Iterator[Entry]:
    """All of it, each resource after those that it refers to."""
    doctor = PHYSICIANS[0]
    others = ({"role": [own("team-role", "pcp")], "member": ref(doctor.reference, doctor.name)},)
    yield from enrolled(who, [HOUSING, FOOD_BANK], others)
    words = "Street medicine has cared for her since she left the hospital without a home; she agreed to ECM."
    yield from intake.ecm_referral(who, days, "completed", ago=178, closed=171, by=who.lcm, words=words)
    for role, what in CONDITIONS:
        yield who.ecm.reference, condition(who, role, what, days.on(161))
    for number, (ago, clock, medium, outcome, text) in enumerate(ATTEMPTS):
        made = outreach.attempt(who, f"attempt-{number}", days.at(ago, clock), medium, outcome, text)
        yield who.ecm.reference, made
    yield who.ecm.reference, may_share(who, days, (162, "09:30"))
    yield from _assessment(who, days)
    for one in (HOME, FOOD, _KEEP):
        yield from referral(who, days, one)
    call = "A new member comes on Thursday. She sleeps at the shelter for now; please call me if she does not come."
    sender, target = who.lcm.reference, FOOD_BANK.reference
    yield who.ecm.reference, message(who, days, "hand-over", (157, "10:00"), sender, target, call)
    yield from _plan(who, days)
    yield from susan_recovery.entries(who, days)
    yield PHYSICIAN_ORG, visit(who, days, "pcp-visit-1", 150, "First visit; blood sugar", doctor)
    yield PHYSICIAN_ORG, visit(who, days, "pcp-visit-2", 21, "Blood sugar much better", doctor)
    kept = "Her box is picked up every week; asked Susan and the food bank. She wants to go on by herself."
    asked = outreach.attempt(who, "follow-up", days.at(29, "11:00"), "telephone", "reached-follow-up", kept)
    yield who.ecm.reference, asked


def _assessment(who: Member, days: Days) -> Iterator[Entry]:
    author, patient = ref(who.lcm.reference, who.lcm.name), ref(who.reference, who.name)
    given: dict[str, object] = {
        "important": "A door that I can lock.",
        "living": "In a shelter, or with friends and family in turn",
        "adl": False,
        "falls": 0,
        "medicines": 3,
    }
    yield who.ecm.reference, answers(who.id("assessment"), ASSESSMENT, patient, author, days.at(161, "10:00"), given)
    needs: dict[str, object] = {"food": True, "housing": False, "rides": True, "notes": "I eat what I get."}
    yield who.ecm.reference, answers(who.id("screening"), SCREENING, patient, author, days.at(161, "10:40"), needs)
    what = ("4548-4", "Hemoglobin A1c/Hemoglobin.total in Blood")
    for role, ago, value in (("a1c-before", 150, "10.9"), ("a1c-after", 21, "8.2")):
        result = quantity(Decimal(value), "%")
        yield PHYSICIAN_ORG, observation(who, role, what, days.at(ago, "08:30"), result, "laboratory")
    room = {"valueString": "Housed for the time being: a room in a house with case managers on site"}
    yield who.ecm.reference, observation(who, "housing-status", ("", "Housing status"), days.at(120, "16:00"), room)


def _plan(who: Member, days: Days) -> Iterator[Entry]:
    """The plan of care without the recovery plan; its copy for Susan holds both and bears the labels of both."""
    goals = [goal(who, role, words, about, days.on(159), state) for role, words, about, state in _GOALS]
    for one in goals:
        yield who.ecm.reference, one
    conditions = [f"Condition/{who.id(role)}" for role, _ in CONDITIONS]
    requests = [f"ServiceRequest/{who.id(one.role, 'request')}" for one in (HOME, FOOD, _KEEP)]
    plan = care_plan(who, days, 159, goals, conditions, requests)
    words = [*(words for _, words, _, _ in _GOALS), susan_recovery.GOAL]
    given = "Copy of the plan given to Susan on paper, in an envelope as she asked."
    yield from plan_with_copy(who, days, plan, words, (155, "09:30"), given, PART_2)
    asked, decided = (158, "11:00"), (155, "15:00")
    yield who.ecm.reference, authorization(who, days, ["housing"], asked=asked, decided=decided, until=155 - 181)
