"""Albert's story, complete: facts/california.md C.8 story 3. Days are counted back from the day of the seed.

120 his doctor refers; 113 authorized; 110-104 reached; 104 consent; 103 assessment; 100 insulin gone warm is found;
98 plan and its copy; 96 the food bank is asked for a refrigerator: nobody pays, so nobody authorizes; 84 it is
there; 82 the promised visit finds it in use, and the request is closed; 70 his doctor; 15 better sugar.
"""

from collections.abc import Iterator
from decimal import Decimal

from fhir_profiles import Resource
from service.cli.seed import intake, outreach
from service.cli.seed.care_plans import care_plan, condition, goal, observation, quantity
from service.cli.seed.contacts import PHYSICIAN_ORG, message, visit
from service.cli.seed.directory import PHARMACIST, PHYSICIANS
from service.cli.seed.enrolled import enrolled
from service.cli.seed.forms import ASSESSMENT, answers
from service.cli.seed.more_services import FOOD_BANK, FURNISHINGS, RIDES
from service.cli.seed.parts import Days, Entry, note, own, ref
from service.cli.seed.people import Member
from service.cli.seed.plan_copies import plan_with_copy
from service.cli.seed.referrals import Referral
from service.cli.seed.referrals import entries as referral
from service.cli.seed.relatives import may_share
from service.cli.seed.story_tasks import task

ATTEMPTS = (
    (110, "09:50", "telephone", "message-left", "Left word with the name and number of the lead care manager."),
    (106, "12:10", "telephone", "reached-follow-up", "Albert called back in his break; agreed on a visit."),
    (104, "15:00", "in-person-home", "reached-engaged", "Met Albert in his room; he agreed to ECM."),
)
CONDITIONS = (
    ("diabetes", ("E11.65", "Type 2 diabetes with high blood sugar")),
    ("heart", ("I25.10", "Coronary artery disease")),
    ("pressure", ("I10", "High blood pressure")),
    ("storage", ("Z59.87", "No refrigerator at home, and no money for one")),
    ("rides", ("Z59.82", "No way to get to appointments")),
)
FRIDGE = Referral(
    *("fridge", FURNISHINGS, "completed", 96, "urgent", 84),
    notes=(
        (94, "10:20", "Accepted. We ask our donors; no form and no cost."),
        (92, "14:00", "A donated mini-fridge is found; the driver comes next week."),
        (84, "11:10", "Delivered, plugged in, tried."),
    ),
    condition="storage",
    words="A small refrigerator for medicine that must stay cold. Nothing else is covered; call before noon.",
    began=(92, "14:00"),
)
_RIDE = Referral(
    *("ride", RIDES, "accepted", 8),
    notes=((6, "09:30", "Accepted; we fetch him at his door."),),
    condition="rides",
    words="A ride to the eye clinic and back.",
)
_GOALS = (
    ("goal-storage", "Keep my medicine cold and take it every day", "storage", "achieved"),
    ("goal-sugar", "Keep my A1c below 8", "diabetes", "achieved"),
    ("goal-pressure", "Bring my blood pressure below 140 over 90", "pressure", "in-progress"),
)


def story(who: Member, days: Days) -> Iterator[Entry]:
    """All of it, each resource after those that it refers to."""
    doctor = PHYSICIANS[1]
    others = (
        {"role": [own("team-role", "pcp")], "member": ref(doctor.reference, doctor.name)},
        {"role": [own("team-role", "pharmacist")], "member": ref(PHARMACIST.reference, PHARMACIST.name)},
    )
    yield from enrolled(who, [FOOD_BANK, RIDES], others)
    words = "Sugar out of control again and again, five emergency visits in six months; he agreed to be referred."
    yield from intake.ecm_referral(who, days, "completed", ago=120, closed=113, words=words)
    for role, what in CONDITIONS:
        yield who.ecm.reference, condition(who, role, what, days.on(103))
    for number, (ago, clock, medium, outcome, text) in enumerate(ATTEMPTS):
        made = outreach.attempt(who, f"attempt-{number}", days.at(ago, clock), medium, outcome, text)
        yield who.ecm.reference, made
    yield who.ecm.reference, may_share(who, days, (104, "15:20"))
    yield from _assessment(who, days)
    yield from _medicines(who, days)
    yield from _fridge(who, days)
    yield from referral(who, days, _RIDE)
    yield from _plan(who, days)
    why = "Sugar and blood pressure; change to an insulin that keeps at room temperature once opened is discussed"
    yield PHYSICIAN_ORG, visit(who, days, "pcp-visit", 70, why, doctor)


def _assessment(who: Member, days: Days) -> Iterator[Entry]:
    given: dict[str, object] = {
        "important": "Keep my job at the packing house.",
        "living": "Alone in a rented room; the kitchen is shared and its refrigerator is not safe",
        "adl": False,
        "falls": 0,
        "medicines": 5,
    }
    author, patient = ref(who.lcm.reference, who.lcm.name), ref(who.reference, who.name)
    yield who.ecm.reference, answers(who.id("assessment"), ASSESSMENT, patient, author, days.at(103, "16:00"), given)
    what = ("4548-4", "Hemoglobin A1c/Hemoglobin.total in Blood")
    for role, ago, value in (("a1c-before", 105, "10.4"), ("a1c-after", 15, "7.7")):
        result = quantity(Decimal(value), "%")
        yield PHYSICIAN_ORG, observation(who, role, what, days.at(ago, "08:10"), result, "laboratory")


def _medicines(who: Member, days: Days) -> Iterator[Entry]:
    """The pharmacist finds why the insulin does not work; the doctor looks for one that need not be cold."""
    doctor, pharmacist = PHYSICIANS[1].reference, PHARMACIST.reference
    found = "His insulin stands on the window sill and has lost its strength. He has no refrigerator of his own."
    yield who.ecm.reference, message(who, days, "medicines", (100, "14:30"), pharmacist, doctor, found)
    answer = "That explains the numbers. I will look for one that need not be cold; until then he needs a fridge."
    yield PHYSICIAN_ORG, message(who, days, "medicines-answer", (98, "08:45"), doctor, who.lcm.reference, answer)


def _fridge(who: Member, days: Days) -> Iterator[Entry]:
    """Asked, handed over by telephone, delivered; closed only after the promised follow-up with Albert."""
    lcm = who.lcm.reference
    seen = "The fridge runs at 39 degrees and his medicines are in it. Need met."
    for author, resource in referral(who, days, FRIDGE):
        if resource["resourceType"] == "ServiceRequest":
            closed = note("Visited the member after the delivery: in use. Closed.", days.at(82, "16:30"))
            resource = resource | {"note": [*resource["note"], closed]}
        yield author, resource
    call = "Called you with the member beside me: he will be at home in the mornings. I will ask in two weeks."
    yield who.ecm.reference, message(who, days, "hand-over", (96, "10:00"), lcm, FOOD_BANK.reference, call)
    visited = outreach.attempt(who, "visit", days.at(82, "16:00"), "in-person-home", "reached-follow-up", seen)
    yield who.ecm.reference, visited
    yield who.ecm.reference, _promise(who, days)


def _promise(who: Member, days: Days) -> Resource:
    """Follow-up with the member within 14 days, as promised at the hand-over (facts/california.md A.8 R90, R93)."""
    return task(
        *(who, days, "promise", "Ask the member whether the need was met"),
        focus=f"Communication/{who.id('hand-over')}",
        asked=(96, "10:10"),
        began=(82, "16:00"),
        done=(82, "16:30"),
        owner=ref(who.lcm.reference, who.lcm.name),
        restriction={"period": {"end": days.at(82, "17:00")}},
        output=[{"type": {"text": "Answer"}, "valueReference": ref(f"Communication/{who.id('visit')}")}],
    )


def _plan(who: Member, days: Days) -> Iterator[Entry]:
    goals = [goal(who, role, words, about, days.on(98), state) for role, words, about, state in _GOALS]
    for one in goals:
        yield who.ecm.reference, one
    conditions = [f"Condition/{who.id(role)}" for role, _ in CONDITIONS]
    requests = [f"ServiceRequest/{who.id(one.role, 'request')}" for one in (FRIDGE, _RIDE)]
    plan = care_plan(who, days, 98, goals, conditions, requests)
    given = "Copy of the plan given to Albert on paper."
    yield from plan_with_copy(who, days, plan, [words for _, words, _, _ in _GOALS], (97, "15:00"), given)
