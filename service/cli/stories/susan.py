"""Susan, 41, sleeps outside, has diabetes, and survives an overdose: help from three sides, and her secret kept.

facts/california.md C.8 story 4: populations of focus 1 and 3; data about substance use is labelled (42 CFR Part 2).
"""

from service.cli.seed.directory import CBOS, ECM_PROVIDERS, HOSPITALS, LEAD_CARE_MANAGERS, PLANS
from service.cli.stories import records as make
from service.cli.stories.acts import (
    achieved,
    acknowledged,
    follow_up,
    followed_up,
    hidden,
    hospital,
    plan_file,
    seen,
    viewed,
)
from service.cli.stories.acts import write as by
from service.cli.stories.community_support import ask_plan, authorized, handed_on, timeline, told
from service.cli.stories.records import SUBSTANCE_USE
from service.cli.stories.referral import Service, closed, delivered, moved, refer
from service.cli.stories.stage import Stage
from service.cli.stories.story import Person, Story, StoryFailed, cbo, manager, plan, records, step

TESS, CLINIC = manager(LEAD_CARE_MANAGERS[2]), records(ECM_PROVIDERS[2])
PLAN, PANTRY, NAVIGATORS, HOSPITAL = plan(PLANS[0]), CBOS[0], CBOS[1], HOSPITALS[1]
ED = {"patient_class": "E", "location": "ED^4"}
FOOD = Service("Food boxes and pantry visits", "food-insecurity", "", "hunger")
HOUSING = Service("Housing transition navigation", "homelessness", "housing-transition-navigation", "outside")


async def _nothing_found(s: Stage) -> None:
    """The food bank searches for what it may: nothing of hers about substance use is among it."""
    words = ("OPIOIDUD", "Opioid", "opioid", "F11")
    if not await s.find(cbo(PANTRY), f"Task?patient={s.made['patient']}"):
        raise StoryFailed("the food bank should find its own Task by the member, but it finds nothing")
    for query in ("Task", "ServiceRequest", "Communication"):
        for one in await s.find(cbo(PANTRY), f"{query}?patient={s.made['patient']}"):
            if any(word in str(one) for word in words):
                raise StoryFailed(f"the food bank should find nothing about substance use, but a {query} tells it")
    s.shown.saw("Nothing that the food bank can find of her says a word about it.")


async def _taken_back(s: Stage) -> None:
    await s.change(TESS, "form", status="inactive")


STORY = Story(
    title="Susan: an overdose, a tent, an empty stomach, and a diagnosis that stays where it belongs",
    person=Person("Susan", "female", 41, ("1a", "3a"), homeless=True),
    plan=PLANS[0],
    ecm=ECM_PROVIDERS[2],
    manager=LEAD_CARE_MANAGERS[2],
    hospital=HOSPITAL,
    steps=(
        step(
            PLAN.name,
            "The plan's member file assigns Susan, who has no address, to street medicine.",
            plan_file(),
        ),
        step(
            HOSPITAL.name,
            "Susan comes to the emergency department after an overdose. The hospital only sends its usual message.",
            hospital("A04", "arrival", "arrived in the emergency department", ago=40, **ED),
        ),
        step(TESS.name, "She acknowledges the alert and sets out.", acknowledged("arrival")),
        step(
            HOSPITAL.name,
            "Susan walks out before the care is finished: the most urgent kind of alert.",
            hospital("A03", "left", "before the care was finished", ago=2, **ED, disposition="07"),
            follow_up("left", "find"),
        ),
        step(
            TESS.name,
            "She finds Susan at her tent under the levee. Susan signs that her care team may share.",
            by(TESS, "met", make.attempt("in-person-street", "reached-engaged", "Found her; she agreed to ECM.")),
            by(TESS, "consent", make.consent()),
            followed_up("find"),
        ),
        step(
            TESS.name,
            "What she learns about substance use gets a label; hunger, homelessness and diabetes need none.",
            by(TESS, "opioids", make.condition("F11.20", "Opioid dependence", security=SUBSTANCE_USE)),
            by(TESS, "hunger", make.condition("Z59.41", "Food insecurity")),
            by(TESS, "outside", make.condition("Z59.02", "Unsheltered homelessness")),
            by(TESS, "diabetes", make.condition("E11.9", "Type 2 diabetes")),
            seen(CLINIC, "opioids", "it, in the organization that wrote it"),
        ),
        step(
            TESS.name,
            "Two goals, one of them labelled. The plan reads its members' goals, but not that one.",
            by(TESS, "goal-safe", make.goal("Be safe when I use, then use less", "opioids", security=SUBSTANCE_USE)),
            by(TESS, "goal-home", make.goal("A door that I can lock", "outside")),
            seen(PLAN, "goal-home", "the goal about a home"),
            hidden(PLAN, "goal-safe", "the labelled goal"),
        ),
        step(
            TESS.name,
            "Food and housing: two referrals. Food needs nobody's leave; housing is for her plan to authorize.",
            refer("food", FOOD, PANTRY),
            ask_plan("housing", HOUSING),
        ),
        step(
            PLAN.name,
            f"It authorizes housing navigation and asks {NAVIGATORS.name}.",
            authorized("housing", "CS", days=364),
            handed_on("housing", NAVIGATORS),
            told("housing", "authorized"),
            hidden(cbo(NAVIGATORS), "goal-safe", "the labelled goal"),
        ),
        step(
            PANTRY.name,
            "The food bank looks for more than it needs. There is nothing.",
            hidden(cbo(PANTRY), "opioids", "the diagnosis of substance use"),
            hidden(cbo(PANTRY), "goal-safe", "the labelled goal"),
            viewed(cbo(PANTRY)),
            hidden(cbo(PANTRY), "task-housing", "the referral for housing"),
            hidden(cbo(PANTRY), "task-housing-part", "what came of it"),
            hidden(cbo(PANTRY), "arrival", "that she was in the hospital"),
            _nothing_found,
        ),
        step(
            PANTRY.name,
            "It knows what it needs to know: a name, and food boxes that need no kitchen.",
            moved("food", PANTRY, "accepted", "in-progress"),
            delivered("food", PANTRY, "A box that needs no stove, each Tuesday and Friday."),
        ),
        step(
            NAVIGATORS.name,
            "Housing takes longer: the list is full, then a room is free.",
            moved("housing", NAVIGATORS, "accepted", "on-hold", reason="On the list for a room"),
            moved("housing", NAVIGATORS, "in-progress"),
            delivered("housing", NAVIGATORS, "Moved into a room with a door; lease signed."),
        ),
        step(
            TESS.name,
            "Susan ticks the box for substance use on the form, for her plan: its next request finds the goal.",
            by(TESS, "form", make.form("substance-use", partners=(PLANS[0].reference,))),
            seen(PLAN, "goal-safe", "the labelled goal"),
            hidden(cbo(PANTRY), "goal-safe", "it, for the form does not name the food bank"),
        ),
        step(
            TESS.name,
            "She takes it back, and the next request of the plan finds nothing.",
            _taken_back,
            hidden(PLAN, "goal-safe", "the labelled goal"),
        ),
        step(
            TESS.name,
            "Both loops are closed, and the label still holds.",
            closed("food", "housing"),
            timeline("housing"),
            achieved("goal-home"),
            hidden(PLAN, "opioids", "the diagnosis of substance use"),
            hidden(cbo(NAVIGATORS), "opioids", "it either"),
        ),
    ),
    last="Food, a home and a care manager at the tent, and her substance use is known only where she is treated.",
)
