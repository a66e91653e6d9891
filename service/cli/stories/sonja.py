"""Sonja, 62, lives alone and falls: from her doctor's referral through hospital and nursing facility to a safe home.

facts/california.md C.8 story 1; the county holds the same story as it looks months later (service/cli/seed/sonja.py).
"""

from fhir_profiles import Resource
from service.cli.seed.directory import (
    CBOS,
    CLINIC,
    ECM_PROVIDERS,
    HOSPITALS,
    LEAD_CARE_MANAGERS,
    PHYSICIANS,
    PLANS,
)
from service.cli.seed.parts import filled, ref
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
    write,
)
from service.cli.stories.community_support import (
    ask_plan,
    authorized,
    handed_on,
    late,
    on_its_way,
    outcome_in_plan,
    planned,
    timeline,
    told,
)
from service.cli.stories.referral import Service, closed, delivered, moved, request, task
from service.cli.stories.stage import Stage
from service.cli.stories.story import CLINIC_SYSTEM, Person, Story, StoryFailed, cbo, manager, plan, step
from service.workflow.calaim_caps import DAY_US
from service.workflow.calaim_tasks import authorization_of

MARIA, PLAN, SAFE_STEPS = manager(LEAD_CARE_MANAGERS[0]), plan(PLANS[0]), CBOS[4]
DOCTOR, HOSPITAL = PHYSICIANS[0], HOSPITALS[0]
ED = {"patient_class": "E", "location": "ED^12", "reason": "R41.0^Disorientation"}
BED = {"patient_class": "I", "location": "4W^401^A", "diagnosis": "A41.9^Sepsis"}
ECM = Service("Enhanced Care Management", "sdoh-category-unspecified", "ecm")
MODIFICATION = Service("Home modifications", "inadequate-housing", "home-modifications", "home")
COST = {"value": 5000, "unit": "USD", "system": "urn:iso:std:iso:4217", "code": "USD"}


async def _doctor_refers(s: Stage) -> None:
    """The clinic knows her by name and day of birth; it sees no plan's record, so it writes its own Patient."""
    patient = filled(
        resourceType="Patient",
        active=True,
        name=[{"use": "official", "family": s.row.last_name, "given": [s.row.first_name]}],
        gender=s.row.gender,
        birthDate=s.row.birth_date.isoformat(),
    )
    await s.create(CLINIC_SYSTEM, "clinic-patient", patient)
    who, owner = s.to("clinic-patient", s.name), ref(PLANS[0].reference, PLANS[0].name)
    await s.create(CLINIC_SYSTEM, "request-ecm", request(s, ECM, who, ref(DOCTOR.works_as, DOCTOR.name), owner))
    made = task(s, "ecm", ECM.words, who, ref(CLINIC.reference, CLINIC.name), owner)
    await s.create(CLINIC_SYSTEM, "task-ecm", made)

    async def arrived() -> list[Resource]:
        return await s.find(PLAN, f"Task?focus={s.made['request-ecm']}")

    _, seconds = await s.until(f"{PLAN.name} should find the referral", arrived)
    s.shown.saw(f"{PLAN.name} finds the referral {seconds:.2f} s later.")


async def _plan_authorizes(s: Stage) -> None:
    """A first authorization of ECM is for twelve months, where the plan says nothing else."""
    number = {"name": "number", "valueString": f"ECM-{s.row.cin}"}
    body = {"resourceType": "Parameters", "parameter": [{"name": "outcome", "valueCode": "approved"}, number]}
    await s.ask(PLAN, "POST", f"{s.made['task-ecm']}/$authorize", (200,), body=body)
    await _clinic_reads(s, "accepted")
    found = authorization_of(await s.read(CLINIC_SYSTEM, "task-ecm"))
    months = round((found.end_us - found.start_us) / DAY_US / 30.4)
    if (found.outcome, months) != ("approved", 12):
        raise StoryFailed(f"the clinic should read twelve months, but reads {found.outcome or 'nothing'}, {months}")
    s.shown.saw(f"{CLINIC.name} reads that it is authorized for {months} months.")


async def _clinic_is_told(s: Stage) -> None:
    query = f"Communication?category=clr-notice&recipient={CLINIC.reference}&subject={s.made['clinic-patient']}"
    [notice, *_], _ = await s.until(f"{CLINIC.name} should be told", lambda: s.find(CLINIC_SYSTEM, query))
    s.shown.saw(f'{CLINIC.name} is told: "{notice["payload"][0]["contentString"]}"')


async def _plan_closes(s: Stage) -> None:
    [episode] = await s.find(PLAN, f"EpisodeOfCare?patient={s.made['patient']}")
    s.made["episode"] = f"EpisodeOfCare/{episode['id']}"
    output = {"type": {"text": "Enhanced Care Management"}, "valueReference": s.to("episode")}
    await s.change(PLAN, "task-ecm", status="completed", output=[output])
    await _clinic_reads(s, "completed")


async def _clinic_reads(s: Stage, status: str) -> None:
    found = await s.read(CLINIC_SYSTEM, "task-ecm")
    if found["status"] != status:
        raise StoryFailed(f"the clinic should read that its referral is {status}, but it is {found['status']}")
    s.shown.saw(f"{CLINIC.name} reads that its referral is {status}.")


STORY = Story(
    title="Sonja: a safe home, and nobody loses sight of her in the hospital",
    person=Person("Sonja", "female", 62, ("5",), street="18 Alder Court, Unit 3"),
    plan=PLANS[0],
    ecm=ECM_PROVIDERS[0],
    manager=LEAD_CARE_MANAGERS[0],
    hospital=HOSPITAL,
    status="authorized-not-outreached",
    steps=(
        step(
            f"Dr. {DOCTOR.name}, {CLINIC.name}",
            "Sonja lives alone and fell twice; her doctor refers her to Enhanced Care Management.",
            _doctor_refers,
        ),
        step(
            PLAN.name, "The health plan authorizes it, and her doctor hears of it.", _plan_authorizes, _clinic_is_told
        ),
        step(
            PLAN.name,
            "The plan names provider and lead care manager in its member file. Care management has begun, and the "
            "doctor knows: the first loop is closed.",
            plan_file(),
            _plan_closes,
        ),
        step(
            MARIA.name,
            "Two attempts fail; then Arlene, the neighbor, brings Sonja to the telephone. Each attempt is a record.",
            write(MARIA, "attempt-1", make.attempt("telephone", "no-answer", "Called in the morning.", days_ago=2)),
            write(MARIA, "attempt-2", make.attempt("in-person-home", "not-at-location", "Nobody at home.", days_ago=1)),
            write(MARIA, "attempt-3", make.attempt("via-third-party", "third-party-reached", "Arlene helped.")),
        ),
        step(
            MARIA.name,
            "Sonja agrees in writing to share with those who care for her, and that Arlene may be told.",
            write(MARIA, "consent", make.consent()),
            write(MARIA, "arlene", make.related("Arlene", "Fosdick", "NBOR", "neighbor")),
            write(MARIA, "consent-arlene", make.consent(to="arlene")),
            seen(PLAN, "consent", "the consent"),
        ),
        step(
            MARIA.name,
            "They talk about what matters to her, and about the bathroom without grab bars.",
            write(
                MARIA, "assessment", make.assessment(important="Stay in my home.", living="Alone", adl=True, falls=2)
            ),
            write(MARIA, "parkinson", make.condition("G20.A1", "Parkinson's disease")),
            write(MARIA, "home", make.condition("Z59.10", "Home without grab bars or ramp")),
        ),
        step(
            MARIA.name,
            "The care plan is written, in Sonja's words.",
            write(MARIA, "goal-bath", make.goal("Wash and walk at home without a fall", "home")),
            write(MARIA, "care-plan", make.care_plan(("goal-bath",), ("parkinson", "home"))),
            seen(PLAN, "care-plan", "the care plan"),
        ),
        step(
            MARIA.name,
            "Grab bars, a shower bench and a ramp: a Community Support, which the plan authorizes.",
            ask_plan("home", MODIFICATION),
            planned("home"),
        ),
        step(
            PLAN.name,
            f"It authorizes up to $5,000 for it, and asks {SAFE_STEPS.name}.",
            authorized("home", "CS", quantity=COST),
            handed_on("home", SAFE_STEPS),
            told("home", "authorized"),
        ),
        step(
            SAFE_STEPS.name,
            "They see how to reach Sonja and nothing else of her. They take the work, but it stalls: the landlord must "
            "agree first.",
            viewed(cbo(SAFE_STEPS)),
            hidden(cbo(SAFE_STEPS), "parkinson", "the diagnosis"),
            moved("home", SAFE_STEPS, "accepted"),
            told("home", "assigned"),
            moved("home", SAFE_STEPS, "on-hold", reason="Waiting for the landlord's letter"),
        ),
        step(
            MARIA.name,
            "A month without progress. Nobody had to remember it: the referral's clock tells her. She asks what is "
            "missing; they have the letter now and begin.",
            late("home", "referral-stalled-again", "stalled"),
            write(MARIA, "chased", make.message(SAFE_STEPS.reference, "What is missing, and when can you come?")),
            seen(cbo(SAFE_STEPS), "chased", "her question"),
            moved("home", SAFE_STEPS, "in-progress"),
            on_its_way("home"),
        ),
        step(
            HOSPITAL.name,
            "An ambulance brings Sonja to the emergency department, and she is admitted with sepsis.",
            hospital("A04", "", "", ago=30, **ED),
            hospital("A06", "admission", "was admitted to", ago=20, **BED, prior_location="ED^12"),
        ),
        step(MARIA.name, "She acknowledges the alert and calls the ward.", acknowledged("admission")),
        step(
            HOSPITAL.name,
            "Sonja leaves the hospital for a nursing facility. Somebody must visit her within seven days.",
            hospital("A03", "discharge", "for a nursing facility", ago=1, **BED, disposition="03"),
            follow_up("discharge", "visit"),
        ),
        step(
            SAFE_STEPS.name,
            "Meanwhile the bathroom is made safe.",
            delivered("home", SAFE_STEPS, "Grab bars, shower bench and ramp fitted and tried with the walker."),
        ),
        step(
            MARIA.name,
            "She visits Sonja in the nursing facility on the third day. Two weeks later Sonja walks again and the "
            "facility lets her go; Maria takes her home, and closes what was open.",
            followed_up("visit"),
            closed("home"),
            outcome_in_plan("home"),
            timeline("home"),
            achieved("goal-bath"),
        ),
    ),
    last="One record from the doctor's referral to the grab bars: each party saw its part, nobody re-typed anything.",
)
