"""Felix, 72, wants to leave the nursing facility: four Community Supports at once, home only when they have begun.

facts/california.md C.8 story 2: population of focus 6, several referrals that depend on each other, his wife Teresa.
"""

from typing import Any

from service.cli.seed.directory import (
    CBAS,
    CBOS,
    ECM_PROVIDERS,
    HOME_HEALTH,
    HOSPITALS,
    LEAD_CARE_MANAGERS,
    OPERATOR,
    PLANS,
    SNF,
    Party,
)
from service.cli.seed.parts import TERMINOLOGY, filled, own, ref
from service.cli.stories import records as make
from service.cli.stories.acts import achieved, hidden, plan_file, registered, viewed, write
from service.cli.stories.community_support import (
    ask_plan,
    authorized,
    declined,
    handed_on,
    outcome_in_plan,
    planned,
    timeline,
    told,
)
from service.cli.stories.records import Make
from service.cli.stories.referral import Service, closed, delivered, moved
from service.cli.stories.stage import Stage
from service.cli.stories.story import Act, Person, Story, StoryFailed, cbo, manager, plan, step

PA_NHIA, PLAN = manager(LEAD_CARE_MANAGERS[1]), plan(PLANS[1])
FOOD_BANK, KITCHEN, SAFE_STEPS = CBOS[0], CBOS[2], CBOS[4]
DOLLARS = {"unit": "USD", "system": "urn:iso:std:iso:4217", "code": "USD"}
HOURS = {"unit": "h", "system": "http://unitsofmeasure.org", "code": "h"}
GRANTED: dict[str, dict[str, Any]] = {
    "transition": {"days": 90, "quantity": {"value": 6200, **DOLLARS}},
    "meals": {"days": 83},
    "personal-care": {"days": 180},
    "respite": {"days": 180, "quantity": {"value": 200, **HOURS}},
}
"""What the plan authorizes: for so many days, and how much where the service has a cap (facts/california.md B.8)."""

HOME, CARE = "inadequate-housing", "sdoh-category-unspecified"
SUPPORTS: dict[str, tuple[Party, Service, str]] = {
    "transition": (
        SAFE_STEPS,
        Service("Transition from the nursing facility to his home", HOME, "community-home-transition", "facility"),
        "Hospital bed and raised toilet seat in place before the day of the move.",
    ),
    "meals": (
        FOOD_BANK,
        Service("Medically tailored meals", "food-insecurity", "meals-supportive-food", "diabetes"),
        "Groceries low in sugar for two meals a day, for twelve weeks.",
    ),
    "personal-care": (
        HOME_HEALTH,
        Service("Personal care and help in the household", CARE, "personal-care-homemaker", "facility"),
        "Washing, dressing and laundry three mornings a week until the county's aide began.",
    ),
    "respite": (
        CBAS,
        Service("Respite for his wife Teresa", CARE, "caregiver-respite", "caregiver"),
        "Two afternoons a week at the center; Teresa sleeps, or sees her sister.",
    ),
}
"""Referral -> who does it in the end, what is asked, what was done."""


def _stay(status: str) -> dict[str, Any]:
    return {"status": status, "serviceProvider": ref(SNF.reference, SNF.name)}


def _facility_stay() -> Make:
    """Sixty days by now; the nursing facility has no feed, so the lead care manager writes it."""

    def encounter(s: Stage) -> dict[str, Any]:
        return filled(
            resourceType="Encounter",
            **{"class": {"system": f"{TERMINOLOGY}/v3-ActCode", "code": "IMP", "display": "inpatient encounter"}},
            type=[own("transition-setting", "snf", "Skilled nursing facility")],
            subject=s.patient,
            period={"start": s.now(days=64)},
            **_stay("in-progress"),
        )

    return encounter


def _all_under_way() -> Act:
    """He goes home only when all four have begun."""

    async def act(s: Stage) -> None:
        for name in SUPPORTS:
            status = (await s.read(s.lead, f"task-{name}"))["status"]
            if status != "in-progress":
                raise StoryFailed(f"all four supports should be in progress, but {name} is {status}")
        s.shown.saw(f"{s.lead.name} reads that all four have begun: he can go home.")
        await s.change(s.lead, "stay", status="finished", period={"start": s.now(days=64), "end": s.now()})
        if (await s.read(s.payer, "stay"))["status"] != "finished":
            raise StoryFailed(f"{s.payer.name} should read that the stay has ended, but it does not")
        s.shown.saw(f"{s.payer.name} reads that the stay in the facility has ended.")

    return act


STORY = Story(
    title="Felix: home from the nursing facility, when four supports are ready for him",
    person=Person("Felix", "male", 72, ("6",), street="205 Plum Orchard Way, Apt 12"),
    plan=PLANS[1],
    ecm=ECM_PROVIDERS[1],
    manager=LEAD_CARE_MANAGERS[1],
    hospital=HOSPITALS[1],
    steps=(
        step(
            PLAN.name,
            "Felix told the nursing facility that he wants to go home; the plan assigns him a lead care manager.",
            plan_file(),
        ),
        step(
            PA_NHIA.name,
            "She meets him in the facility, where he has been for 64 days, and writes the stay down.",
            write(PA_NHIA, "met", make.attempt("in-person-facility", "reached-engaged", "Felix agreed to ECM.")),
            write(PA_NHIA, "stay", _facility_stay()),
        ),
        step(
            PA_NHIA.name,
            "Teresa, his wife, will care for him; he agrees that she may be told.",
            write(PA_NHIA, "teresa", make.related("Teresa", "", "WIFE", "wife")),
            write(PA_NHIA, "consent", make.consent(to="teresa")),
        ),
        step(
            PA_NHIA.name,
            "What stands between him and his home, and what he wants.",
            write(PA_NHIA, "diabetes", make.condition("E11.9", "Type 2 diabetes")),
            write(PA_NHIA, "facility", make.condition("Z74.1", "Needs help with personal care")),
            write(PA_NHIA, "caregiver", make.condition("Z63.6", "Wife cares for him alone")),
            write(PA_NHIA, "goal", make.goal("Sleep in my own bed again", "facility")),
            write(PA_NHIA, "care-plan", make.care_plan(("goal",), ("diabetes", "facility", "caregiver"))),
        ),
        step(
            OPERATOR.name,
            "Two of the four organizations that he needs have never used Enlace: they get a login.",
            registered(cbo(HOME_HEALTH), cbo(CBAS)),
        ),
        step(
            PA_NHIA.name,
            "Four Community Supports at once, and each is part of his plan.",
            *(ask_plan(name, service) for name, (_, service, _) in SUPPORTS.items()),
            planned(*SUPPORTS),
        ),
        step(
            PLAN.name,
            "It authorizes all four on one day.",
            *(authorized(name, f"CS{place}", **GRANTED[name]) for place, name in enumerate(SUPPORTS, 1)),
        ),
        step(
            PLAN.name,
            "Each goes to another organization.",
            *(handed_on(name, KITCHEN if name == "meals" else target) for name, (target, _, _) in SUPPORTS.items()),
        ),
        step(
            KITCHEN.name,
            "The kitchen is full. It says so, and the plan is asked to find another.",
            declined("meals", KITCHEN, "The kitchen is full until May"),
            told("meals", "declined"),
        ),
        step(
            PLAN.name,
            "The food bank offers the same service. It is the same referral: nobody asks Felix anything again.",
            handed_on("meals", FOOD_BANK),
            hidden(cbo(KITCHEN), "task-meals-part", "who has it now"),
        ),
        step(
            f"{SAFE_STEPS.name} and {FOOD_BANK.name}",
            "Two accept. Neither sees what the other was asked, nor his record.",
            moved("transition", SAFE_STEPS, "accepted"),
            moved("meals", FOOD_BANK, "accepted", read="in-progress"),
            told("meals", "assigned"),
            hidden(cbo(FOOD_BANK), "task-transition-part", "the other referrals"),
            viewed(cbo(SAFE_STEPS)),
        ),
        step(
            f"{HOME_HEALTH.name} and {CBAS.name}",
            "The third accepts; the fourth has no place until Monday and says so, instead of saying nothing.",
            moved("personal-care", HOME_HEALTH, "accepted"),
            moved("respite", CBAS, "accepted", "on-hold", reason="No place until Monday"),
        ),
        step(
            "All four organizations",
            "On Monday everything begins.",
            *(moved(name, target, "in-progress") for name, (target, _, _) in SUPPORTS.items()),
        ),
        step(
            PA_NHIA.name,
            "Home depends on all four. Now they are there, and Felix leaves the facility.",
            _all_under_way(),
        ),
        step(
            "All four organizations",
            "Each says what it did.",
            *(delivered(name, target, words) for name, (target, _, words) in SUPPORTS.items()),
        ),
        step(
            PA_NHIA.name,
            "She closes the four loops; he sleeps in his own bed.",
            closed(*SUPPORTS),
            outcome_in_plan(*SUPPORTS),
            timeline("meals"),
            achieved("goal"),
        ),
    ),
    last="Four organizations worked for one person at once; each saw its own part, and the care manager saw all four.",
)
