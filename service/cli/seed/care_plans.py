"""What is found and planned: Conditions, Observations, answers to the forms, Goals, CarePlan. US Core 6.1 shapes.

A Condition of a sensitive group bears its label (sensitive.py), so that it stays with the organization that wrote it.
"""

from collections.abc import Iterator, Sequence
from decimal import Decimal

from fhir_profiles import Resource
from service.cli.seed.directory import Cbo
from service.cli.seed.forms import SCREENING, answers
from service.cli.seed.parts import BASE, ICD10, LOINC, TERMINOLOGY, Days, Entry, coded, filled, ref
from service.cli.seed.people import Member
from service.cli.seed.referrals import Referral
from service.cli.seed.sensitive import BY_CODE

DISEASES = (
    ("E11.9", "Type 2 diabetes"),
    ("I50.9", "Heart failure"),
    ("J44.9", "COPD"),
    ("I10", "High blood pressure"),
    ("F33.1", "Depression"),
    ("M17.0", "Arthritis of both knees"),
)
_DISEASE_GOALS = {
    "E11.9": "Keep my A1c below 8",
    "I50.9": "Weigh myself every morning",
    "J44.9": "Walk to the corner without a rest",
    "I10": "Bring my blood pressure below 140 over 90",
    "F33.1": "Do one thing each day that I like",
    "M17.0": "Climb the stairs with less pain",
}


def disease(who: Member) -> tuple[str, str]:
    return DISEASES[who.number % len(DISEASES)]


def findings(who: Member, days: Days, cbos: Sequence[Cbo]) -> Iterator[Entry]:
    """A disease, the need behind each referral, and for every third member a screening and measurements."""
    yield who.ecm.reference, condition(who, "disease", disease(who), days.on(who.started - 3))
    for cbo in cbos:
        yield who.ecm.reference, condition(who, f"need-{cbo.slug}", cbo.need, days.on(who.started - 3))
    if who.number % 3 == 0:
        yield who.ecm.reference, _screening(who, days, {cbo.sdoh for cbo in cbos})
        yield who.ecm.reference, _pressure(who, days)
    if disease(who)[0] == "E11.9":
        value = Decimal(who.random("a1c").randrange(65, 105)) / 10
        text = ("4548-4", "Hemoglobin A1c/Hemoglobin.total in Blood")
        yield who.ecm.reference, observation(who, "a1c", text, days.at(30, "08:20"), quantity(value, "%"), "laboratory")


def condition(who: Member, role: str, what: tuple[str, str], recorded: str) -> Resource:
    code, words = what
    social = code[0] == "Z"
    kind = ("health-concern", "Health Concern") if social else ("problem-list-item", "Problem List Item")
    return filled(
        resourceType="Condition",
        id=who.id(role),
        meta={"security": list(BY_CODE[code])} if code in BY_CODE else None,
        clinicalStatus=coded(f"{TERMINOLOGY}/condition-clinical", "active"),
        verificationStatus=coded(f"{TERMINOLOGY}/condition-ver-status", "confirmed"),
        category=[coded(f"{TERMINOLOGY}/condition-category", *kind)],
        code=coded(ICD10, code, words, words),
        subject=ref(who.reference, who.name),
        recordedDate=recorded,
        recorder=ref(who.lcm.reference, who.lcm.name),
    )


def quantity(value: Decimal, unit: str) -> Resource:
    return {"valueQuantity": {"value": value, "unit": unit, "system": "http://unitsofmeasure.org", "code": unit}}


def observation(
    who: Member, role: str, what: tuple[str, str], when: str, value: Resource, kind: str = "survey"
) -> Resource:
    """what: (LOINC code, words), or ("", words) where no code is confirmed. value: element value[x] or component."""
    return filled(
        resourceType="Observation",
        id=who.id(role),
        status="final",
        category=[coded(f"{TERMINOLOGY}/observation-category", kind)],
        code=coded(LOINC, *what) if what[0] else {"text": what[1]},
        subject=ref(who.reference, who.name),
        effectiveDateTime=when,
        performer=[ref(who.ecm.reference, who.ecm.name)],
        **value,
    )


def _pressure(who: Member, days: Days) -> Resource:
    rng = who.random("pressure")
    parts = (("8480-6", "Systolic blood pressure", (118, 165)), ("8462-4", "Diastolic blood pressure", (68, 98)))
    value = {
        "component": [
            {"code": coded(LOINC, code, text), **quantity(Decimal(rng.randrange(*between)), "mm[Hg]")}
            for code, text, between in parts
        ]
    }
    what = ("85354-9", "Blood pressure panel with all children optional")
    return observation(who, "pressure", what, days.at(who.started - 2, "10:40"), value, "vital-signs")


def _screening(who: Member, days: Days, needs: set[str]) -> Resource:
    given: dict[str, object] = {
        "food": "food-insecurity" in needs,
        "housing": not needs & {"homelessness", "housing-instability"},
        "rides": "transportation-insecurity" not in needs,
    }
    author = ref(who.lcm.reference, who.lcm.name)
    patient = ref(who.reference, who.name)
    return answers(who.id("screening"), SCREENING, patient, author, days.at(who.started - 1, "11:10"), given)


def goal(who: Member, role: str, words: str, condition_role: str, start: str, state: str = "in-progress") -> Resource:
    return filled(
        resourceType="Goal",
        id=who.id(role),
        lifecycleStatus="completed" if state == "achieved" else "active",
        achievementStatus=coded(f"{TERMINOLOGY}/goal-achievement", state),
        description={"text": words},
        subject=ref(who.reference, who.name),
        startDate=start,
        expressedBy=ref(who.reference, who.name),
        addresses=[ref(f"Condition/{who.id(condition_role)}")],
    )


def plan(who: Member, days: Days, chosen: Sequence[Referral]) -> Iterator[Entry]:
    """Goals of the disease and of the needs, and the CarePlan that joins them."""
    start = days.on(who.started - 5)
    goals = [goal(who, "goal-disease", _DISEASE_GOALS[disease(who)[0]], "disease", start)]
    for r in chosen:
        state = "achieved" if r.status == "completed" else "in-progress"
        goals.append(goal(who, f"goal-{r.role}", r.cbo.goal, r.condition, start, state))
    for one in goals:
        yield who.ecm.reference, one
    requests = [f"ServiceRequest/{who.id(r.role, 'request')}" for r in chosen if r.status != "entered-in-error"]
    conditions = [f"Condition/{who.id(role)}" for role in ("disease", *(r.condition for r in chosen))]
    yield who.ecm.reference, care_plan(who, days, who.started - 5, goals, conditions, requests)


def care_plan(
    who: Member, days: Days, ago: int, goals: Sequence[Resource], conditions: Sequence[str], requests: Sequence[str]
) -> Resource:
    lcm = ref(who.lcm.reference, who.lcm.name)
    call = {
        "kind": "Appointment",
        "code": {"text": "Call every two weeks"},
        "status": "in-progress",
        "performer": [lcm],
    }
    return filled(
        resourceType="CarePlan",
        id=who.id("care-plan"),
        status="on-hold" if who.row.ecm_status == "on-hold" else "active",
        intent="plan",
        category=[
            coded("http://hl7.org/fhir/us/core/CodeSystem/careplan-category", "assess-plan"),
            coded(f"{BASE}/CodeSystem/care-plan-category", "ecm"),
        ],
        title="ECM care plan",
        subject=ref(who.reference, who.name),
        period={"start": days.on(ago), "end": days.on(ago - 180)},
        created=days.on(ago),
        author=lcm,
        careTeam=[ref(f"CareTeam/{who.id('team')}")],
        addresses=[ref(one) for one in conditions],
        goal=[ref(f"Goal/{one['id']}") for one in goals],
        activity=[{"detail": call}, *({"reference": ref(one)} for one in requests)],
    )
