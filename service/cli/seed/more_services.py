"""Services beside the first one of each community organization: what the told stories refer to (story_people.py).

Names of Community Supports: facts/california.md 0.1 and A.7; what has no code is not paid by Medi-Cal.
"""

from service.cli.seed.directory import CAREGIVERS, CBAS, CBOS, HOME_HEALTH, Cbo, Party


def serving(
    party: Party, service: str, *, cs: str = "", sdoh: str = "sdoh-category-unspecified", done: str = ""
) -> Cbo:
    """This organization with another service, as the target of a referral."""
    place = (party.slug, party.name, party.number, party.street, party.town)
    return Cbo(*place, service=service, cs=cs, sdoh=sdoh, done=done or service)


FOOD_BANK, HOUSING, KITCHEN, HARBOR, SAFE_STEPS, _, RIDES, _ = CBOS

STPHH = serving(
    HARBOR,
    "Short-Term Post-Hospitalization Housing",
    cs="short-term-post-hospitalization-housing",
    sdoh="inadequate-housing",
)
HOME_TRANSITION = serving(
    SAFE_STEPS,
    "Community or Home Transition Services",
    cs="community-home-transition",
    sdoh="inadequate-housing",
    done="Ride home, hospital bed, ramp and raised toilet seat in place before the day of the move",
)
PERSONAL_CARE = serving(
    HOME_HEALTH,
    "Personal Care and Homemaker Services",
    cs="personal-care-homemaker",
    done="Help with washing, dressing and meals on weekdays until he managed alone",
)
RESPITE = serving(
    CBAS,
    "Caregiver Respite",
    cs="caregiver-respite",
    done="Twelve weeks of respite, two afternoons a week",
)
CAREGIVER_SUPPORT = serving(CAREGIVERS, "Counseling and support group for caregivers")
TENANCY = serving(
    HOUSING,
    "Housing Tenancy and Sustaining Services",
    cs="housing-tenancy-sustaining",
    sdoh="housing-instability",
)
FURNISHINGS = serving(
    FOOD_BANK,
    "Household goods and small appliances",
    sdoh="material-hardship",
    done="Donated mini-fridge delivered, plugged in and tried",
)
SUPPORTIVE_FOOD = serving(
    FOOD_BANK,
    "Medically supportive groceries",
    cs="meals-supportive-food",
    sdoh="food-insecurity",
    done="Twelve weeks of groceries that fit the diet",
)

MORE_SERVICES = (
    ("quiet-harbor-stphh", STPHH),
    ("safe-steps-home-transition", HOME_TRANSITION),
    ("poppy-home-health-personal-care", PERSONAL_CARE),
    ("golden-day-respite", RESPITE),
    ("poppy-caregiver-center-support", CAREGIVER_SUPPORT),
    ("open-door-tenancy", TENANCY),
    ("harvest-table-furnishings", FURNISHINGS),
    ("harvest-table-supportive-food", SUPPORTIVE_FOOD),
)
"""(id of the HealthcareService, the service)"""
