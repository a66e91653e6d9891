"""Felix goes home: the plan, four Community Supports at once, the day that waits for them, what came of it (felix.py).

Criteria and caps of the services: facts/california.md B.8. A service that was received is completed with its Procedure.
"""

from collections.abc import Iterator

from fhir_profiles import Resource
from service.cli.seed.care_plans import care_plan, goal
from service.cli.seed.contacts import PHYSICIAN_ORG, conference, facility_stay, message, visit
from service.cli.seed.directory import PHYSICIANS, SNF
from service.cli.seed.more_services import CAREGIVER_SUPPORT, HOME_TRANSITION, KITCHEN, PERSONAL_CARE, RESPITE
from service.cli.seed.outreach import attempt
from service.cli.seed.parts import BASE, Days, Entry, note, ref
from service.cli.seed.people import Member
from service.cli.seed.plan_copies import plan_with_copy
from service.cli.seed.referrals import Referral
from service.cli.seed.referrals import entries as referral
from service.cli.seed.story_tasks import authorization, task

REFERRED, APPROVED, HOME = 137, 133, 100
SUPPORTS = (
    Referral(
        *("home-transition", HOME_TRANSITION, "completed", REFERRED, "urgent", 99),
        notes=(
            (132, "10:00", "Accepted. We measure the apartment this week."),
            (127, "13:20", "Measured with his wife; bed, ramp and raised toilet seat ordered."),
            (101, "11:40", "Bed and grab bars stand; the van for the ride home is booked for tomorrow."),
        ),
        condition="home",
        words="In a nursing facility for more than 60 days; needs a ride home and an apartment fit for a walker.",
        began=(127, "13:20"),
    ),
    Referral(
        *("meals", KITCHEN, "completed", REFERRED, "urgent", 17),
        notes=(
            (132, "09:30", "Accepted; soft and pureed food, little sugar, little fat."),
            (101, "12:15", "First delivery; his wife was there to receive it."),
        ),
        condition="swallowing",
        words="Three meals a day, pureed, low in sugar. The first delivery before he comes home, please.",
        began=(101, "12:15"),
    ),
    Referral(
        *("personal-care", PERSONAL_CARE, "completed", REFERRED, "urgent", 30),
        notes=(
            (131, "15:00", "Accepted; weekday mornings from the day of the move."),
            (101, "10:00", "The aide met him at the nursing facility and learned the transfers from the therapist."),
        ),
        condition="adl",
        words="Washing, dressing and eating on weekday mornings, when his wife is at work; IHSS not yet applicable.",
        began=(101, "10:00"),
    ),
    Referral(
        *("respite", RESPITE, "completed", REFERRED, "urgent", 15),
        notes=(
            (130, "11:00", "Accepted; two afternoons a week are free."),
            (101, "16:30", "Visited his wife; the hours are agreed and the first two afternoons are booked."),
        ),
        condition="caregiver",
        words="His wife works half days and cares for him beside it; she needs hours of her own.",
        began=(101, "16:30"),
    ),
)
_GROUP = Referral(
    *("caregiver-support", CAREGIVER_SUPPORT, "in-progress", 90),
    notes=((84, "17:00", "Teresa came to the first evening of the group and wants to go on."),),
    condition="caregiver",
    words="Counseling and a group for his wife, who asked for both.",
    began=(84, "17:00"),
)
_GOALS = (
    ("goal-home", "Go home to Teresa", "home", "achieved"),
    ("goal-eating", "Eat what I like without choking", "swallowing", "in-progress"),
    ("goal-walking", "Walk to the corner with Teresa", "stroke", "in-progress"),
    ("goal-sugar", "Keep my sugar and cholesterol in bounds", "diabetes", "in-progress"),
    ("goal-teresa", "Teresa has time to rest", "caregiver", "achieved"),
)


def before(who: Member, days: Days, teresa: Resource) -> Iterator[Entry]:
    """Team meeting, referrals as one group, the plan of care with its copy, and the plan's authorization."""
    lcm = ref(who.lcm.reference, who.lcm.name)
    what = "Team meeting at the nursing facility: what must be there before Felix goes home"
    yield who.ecm.reference, conference(who, days, "team-meeting", (140, "15:00"), what, [lcm, teresa])
    group = {"system": f"{BASE}/NamingSystem/referral-group", "value": who.id("supports")}
    for one in (*SUPPORTS, _GROUP):
        for author, resource in referral(who, days, one):
            together = one in SUPPORTS and resource["resourceType"] == "ServiceRequest"
            yield author, resource | {"requisition": group} if together else resource
    yield from _plan(who, days)
    roles = [one.role for one in SUPPORTS]
    asked, decided = (REFERRED, "10:30"), (APPROVED, "14:00")
    yield who.ecm.reference, authorization(who, days, roles, asked=asked, decided=decided, until=APPROVED - 181)
    stay = "Rehabilitation after a stroke"
    yield who.ecm.reference, facility_stay(who, days, stay, (217, "15:00"), (HOME, "11:00"))
    yield who.ecm.reference, _return_home(who, days)


def _plan(who: Member, days: Days) -> Iterator[Entry]:
    goals = [goal(who, role, words, about, days.on(140), state) for role, words, about, state in _GOALS]
    for one in goals:
        yield who.ecm.reference, one
    abouts = ("stroke", "swallowing", "diabetes", "cholesterol", "adl", "home", "caregiver")
    conditions = [f"Condition/{who.id(role)}" for role in abouts]
    requests = [f"ServiceRequest/{who.id(one.role, 'request')}" for one in (*SUPPORTS, _GROUP)]
    plan = care_plan(who, days, 140, goals, conditions, requests)
    given = "Copy of the plan given to Felix on paper, and to Teresa as he asked."
    yield from plan_with_copy(who, days, plan, [words for _, words, _, _ in _GOALS], (139, "15:30"), given)


def _return_home(who: Member, days: Days) -> Resource:
    """The day of the move waits for the start of each Community Support: they are its inputs."""
    author = ref(who.lcm.reference, who.lcm.name)
    waits = [f"Task/{who.id(one.role, 'task')}" for one in SUPPORTS]
    words = (
        (114, "09:00", "Two services are not in place; the day of the move is put off until all four have begun."),
        (101, "17:00", "All four have begun. He goes home tomorrow."),
    )
    return task(
        *(who, days, "return-home", "Return home from the nursing facility"),
        focus=f"CarePlan/{who.id('care-plan')}",
        asked=(REFERRED, "11:00"),
        began=(HOME, "11:00"),
        done=(HOME, "12:30"),
        owner=author,
        description="Only when every Community Support that is named here has begun.",
        note=[note(text, days.at(ago, clock), author) for ago, clock, text in words],
        input=[{"type": {"text": "Must have begun"}, "valueReference": ref(one)} for one in waits],
        output=[{"type": {"text": "Stay that ended"}, "valueReference": ref(f"Encounter/{who.id('snf-stay')}")}],
    )


def after(who: Member, days: Days) -> Iterator[Entry]:
    """Papers of the nursing facility, the visit within seven days, his doctor, and what he learns by himself."""
    lcm, doctor = who.lcm.reference, PHYSICIANS[1]
    papers = "Discharge instructions and medicines are with Felix, Teresa and you; they name you as the contact."
    yield SNF.reference, message(who, days, "discharge-papers", (HOME, "10:30"), SNF.reference, lcm, papers)
    seen = "Read the medicines against the discharge list with both; one box too many was taken out. He slept well."
    visited = attempt(who, "tcs-visit", days.at(HOME - 3, "10:00"), "in-person-home", "reached-follow-up", seen)
    yield who.ecm.reference, visited
    ask = "Felix would like your advice on sugar, cholesterol and exercise when he comes on Thursday."
    yield who.ecm.reference, message(who, days, "to-doctor", (HOME - 6, "09:40"), lcm, doctor.reference, ask)
    yield PHYSICIAN_ORG, visit(who, days, "pcp-visit", 92, "First visit after the nursing facility", doctor)
    lesson = "Exercises while seated for people after a stroke, and a food diary; we did the first page together."
    yield who.ecm.reference, message(who, days, "lesson", (78, "11:00"), lcm, who.reference, lesson)
