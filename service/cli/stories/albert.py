"""Albert, 58, has insulin and no refrigerator: a food bank lends him a place in its own. No authorization is needed.

facts/california.md C.8 story 3: a community need that Medi-Cal does not pay for, with the same closed loop.
"""

from service.cli.seed.directory import CBOS, ECM_PROVIDERS, HOSPITALS, LEAD_CARE_MANAGERS, PLANS
from service.cli.stories import records as make
from service.cli.stories.acts import achieved, hidden, plan_file, seen, viewed, write
from service.cli.stories.community_support import outcome_in_plan, planned
from service.cli.stories.hand_off import asked, introduced
from service.cli.stories.referral import Service, closed, delivered, moved, not_without_output, refer
from service.cli.stories.stage import Stage
from service.cli.stories.story import Person, Story, StoryFailed, cbo, manager, plan, step

DEVON, PLAN, PANTRY = manager(LEAD_CARE_MANAGERS[3]), plan(PLANS[1]), CBOS[0]
FRIDGE = Service("Keep a member's insulin in the refrigerator of the pantry", "material-hardship", "", "storage")
COLD = "Insulin kept cold for him; he comes by each morning, and stays for breakfast."


async def _no_authorization(s: Stage) -> None:
    """What the request says, and does not say: no Community Support, no coverage."""
    asked = await s.read(cbo(PANTRY), "request-fridge")
    if "insurance" in asked or "coding" in asked["code"]:
        raise StoryFailed("the request should name neither coverage nor a Community Support, but it does")
    s.shown.saw("The request names no Community Support and no coverage: nobody has to authorize it.")


STORY = Story(
    title="Albert: cold insulin from a food bank's refrigerator",
    person=Person("Albert", "male", 58, ("2a",), street="77 Raisin Alley, Room 4"),
    plan=PLANS[1],
    ecm=ECM_PROVIDERS[0],
    manager=LEAD_CARE_MANAGERS[3],
    hospital=HOSPITALS[0],
    steps=(
        step(PLAN.name, "The plan's member file assigns Albert to a lead care manager.", plan_file()),
        step(
            DEVON.name,
            "He visits Albert, who rents a room without a kitchen.",
            write(DEVON, "met", make.attempt("in-person-home", "reached-engaged", "Met him in his room.")),
            write(DEVON, "consent", make.consent()),
        ),
        step(
            DEVON.name,
            "The insulin on the window sill is warm, and his sugar shows it.",
            write(DEVON, "diabetes", make.condition("E11.65", "Type 2 diabetes with high blood sugar")),
            write(DEVON, "a1c", make.a1c(11.2)),
            write(DEVON, "storage", make.condition("Z59.19", "Room without a refrigerator")),
        ),
        step(
            DEVON.name,
            "What Albert wants goes into the plan.",
            write(DEVON, "goal", make.goal("Insulin that works, every day", "storage")),
            write(DEVON, "care-plan", make.care_plan(("goal",), ("diabetes", "storage"))),
            seen(PLAN, "care-plan", "the care plan"),
        ),
        step(
            DEVON.name,
            f"{PANTRY.name} is around the corner and has a refrigerator. He asks.",
            refer("fridge", FRIDGE, PANTRY),
            _no_authorization,
            planned("fridge"),
        ),
        step(
            PANTRY.name,
            "The food bank sees what it is asked for, and nothing else of him.",
            viewed(cbo(PANTRY)),
            hidden(cbo(PANTRY), "diabetes", "the diagnosis"),
            hidden(cbo(PANTRY), "a1c", "the laboratory value"),
        ),
        step(
            DEVON.name,
            "He does not leave it at a form: he calls the food bank with Albert beside him.",
            introduced("fridge", PANTRY, "They agreed on eight each morning."),
        ),
        step(PANTRY.name, "Yes, of course. It begins today.", moved("fridge", PANTRY, "accepted", "in-progress")),
        step(
            PANTRY.name,
            "A volunteer clicks it away as done without a word. Enlace asks what was done.",
            not_without_output("fridge", PANTRY),
        ),
        step(PANTRY.name, "Then with words.", delivered("fridge", PANTRY, COLD)),
        step(
            DEVON.name,
            "He calls Albert to hear it from him, and measures again: the loop is closed by asking, not by a form.",
            write(DEVON, "call", make.attempt("telephone", "reached-follow-up", "He goes there each morning.")),
            write(DEVON, "a1c-2", make.a1c(8.1)),
            asked("fridge"),
            closed("fridge"),
            outcome_in_plan("fridge"),
            achieved("goal"),
        ),
    ),
    last="A need that no benefit covers was met by a neighbor, and it counts like any other closed referral.",
)
