"""What the program under 42 CFR Part 2 wrote about Susan: every resource labelled, the consent to share it too.

The program is her ECM provider's own street medicine. By her form her plan sees it too; the food pantry, the housing
navigators and all others do not. Consent in writing that names what, who and until when: 42 CFR 2.31, https://www.ecfr.gov/current/title-42/chapter-I/subchapter-A/part-2
"""

from collections.abc import Iterator

from fhir_profiles import Resource
from service.cli.seed.care_plans import care_plan, condition, goal
from service.cli.seed.consents import signed
from service.cli.seed.parts import Days, Entry, filled, ref
from service.cli.seed.people import Member
from service.cli.seed.sensitive import labelled

GOAL = "Stay with my treatment and carry naloxone"
FINDINGS = (
    ("opioids", ("F11.20", "Opioid dependence")),
    ("overdose", ("T40.2X1D", "Overdose of opioids by accident, in follow-up")),
)


def entries(who: Member, days: Days) -> Iterator[Entry]:
    """Consent, findings, treatment, and a plan of its own beside the plan of care."""
    author = who.ecm.reference
    yield author, _consent(who, days)
    for role, what in FINDINGS:
        yield author, condition(who, role, what, days.on(161))
    yield author, _treatment(who, days)
    aim = labelled(goal(who, "goal-recovery", GOAL, "opioids", days.on(159)))
    yield author, aim
    findings = [f"Condition/{who.id(role)}" for role, _ in FINDINGS]
    plan = care_plan(who, days, 159, [aim], findings, [])
    part_of = [ref(f"CarePlan/{who.id('care-plan')}")]
    yield author, labelled(plan | {"id": who.id("recovery-plan"), "title": "Recovery plan", "partOf": part_of})


def _consent(who: Member, days: Days) -> Resource:
    """The box for substance use, to her ECM provider and her plan, for a year; to nobody else. She can take it back."""
    partners = (who.ecm.reference, who.plan.reference)
    return labelled(signed(who, days, "consent-part-2", (162, "09:40"), {"substance-use": True}, partners=partners))


def _treatment(who: Member, days: Days) -> Resource:
    return labelled(
        filled(
            resourceType="Procedure",
            id=who.id("treatment"),
            status="in-progress",
            category={"text": "Substance use disorder treatment"},
            code={"text": "Buprenorphine under the tongue, with counseling"},
            subject=ref(who.reference, who.name),
            performedPeriod={"start": days.on(160)},
            performer=[{"actor": ref(who.lcm.reference, who.lcm.name), "onBehalfOf": ref(who.ecm.reference)}],
            reasonReference=[ref(f"Condition/{who.id('opioids')}")],
            note=[{"text": "Naloxone given and its use practiced. Takes her dose every day since she has a room."}],
        )
    )
