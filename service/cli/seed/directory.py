"""Who serves the made-up county: plans, providers, care managers, community organizations, hospitals. All invented."""

from dataclasses import dataclass, field

TOWNS = (("Rio Dorado", "95999"), ("Almond Grove", "95998"), ("Vista Clara", "95997"))
COUNTY = "Poppy County"


@dataclass(frozen=True)
class Party:
    """An organization. number: its last two digits of the phone (555-01xx) and the serial of its made-up NPI."""

    slug: str
    name: str
    number: int
    street: str
    town: int = 0

    @property
    def reference(self) -> str:
        return f"Organization/{self.slug}"

    @property
    def phone(self) -> str:
        return f"+1-209-555-01{self.number:02d}"


@dataclass(frozen=True)
class Cbo(Party):
    """A community organization and the service that members are referred to.

    cs: code of a Community Support (code system cs-service), "" for a service that Medi-Cal does not pay for.
    sdoh: category of SDOHCC. need: (ICD-10-CM code, words) of the condition that it answers.
    """

    service: str = ""
    cs: str = ""
    sdoh: str = ""
    need: tuple[str, str] = ("", "")
    done: str = ""
    goal: str = ""


@dataclass(frozen=True)
class Hospital(Party):
    """A sending system: MSH-3, MSH-4, zone of its times, its own patient classes, enhanced acknowledgement."""

    application: str = ""
    facility: str = ""
    zone: str = "America/Los_Angeles"
    enhanced: bool = False
    class_map: dict[str, str] = field(default_factory=dict)

    @property
    def source(self) -> str:
        return f"{self.slug}-adt"


@dataclass(frozen=True)
class Person:
    """A professional. role: code of team-role; organization: slug."""

    slug: str
    given: str
    family: str
    gender: str
    organization: str
    role: str
    number: int
    title: str = ""

    @property
    def name(self) -> str:
        return f"{self.given} {self.family}"

    @property
    def reference(self) -> str:
        return f"Practitioner/{self.slug}"

    @property
    def works_as(self) -> str:
        return f"PractitionerRole/{self.slug}-role"


PLANS = (
    Party("plan-golden-poppy", "Golden Poppy Health Plan", 1, "100 Capitol Orchard Way"),
    Party("plan-sierra-valley", "Sierra Valley Health", 2, "77 Granite Plaza", 1),
)
ECM_PROVIDERS = (
    Party("valley-oak", "Valley Oak Community Health", 11, "400 Old Mill Row"),
    Party("river-bend", "River Bend Care Partners", 12, "9 Levee Walk", 1),
    Party("sunrise-street", "Sunrise Street Medicine", 13, "231 Depot Alley", 2),
)
LEAD_CARE_MANAGERS = (
    Person("maria-lopez", "Maria", "Lopez", "female", "valley-oak", "lead-care-manager", 21, "CHW"),
    Person("pa-nhia-vang", "Pa Nhia", "Vang", "female", "river-bend", "lead-care-manager", 22, "MSW"),
    Person("tess-okoro", "Tess", "Okoro", "female", "sunrise-street", "lead-care-manager", 23, "RN"),
    Person("devon-ashby", "Devon", "Ashby", "male", "valley-oak", "lead-care-manager", 24, "LVN"),
    Person("ruben-castellan", "Ruben", "Castellan", "male", "river-bend", "lead-care-manager", 25, "CHW"),
    Person("jun-malabanan", "Jun", "Malabanan", "male", "sunrise-street", "lead-care-manager", 26, "MSW"),
)
CBOS = (
    Cbo(
        *("harvest-table", "Harvest Table Food Bank", 31, "18 Packing House Lane"),
        service="Food boxes and pantry visits",
        sdoh="food-insecurity",
        need=("Z59.41", "Food insecurity"),
        done="Weekly food box delivered",
        goal="Enough food at home every week",
    ),
    Cbo(
        *("open-door-housing", "Open Door Housing Navigators", 32, "5 Juniper Stairs"),
        service="Housing transition navigation",
        cs="housing-transition-navigation",
        sdoh="homelessness",
        need=("Z59.02", "Unsheltered homelessness"),
        done="Moved into an apartment, lease signed",
        goal="Move into a place of my own",
    ),
    Cbo(
        *("good-broth-kitchen", "Good Broth Kitchen", 33, "62 Skillet Street", 1),
        service="Medically tailored meals",
        cs="meals-supportive-food",
        sdoh="food-insecurity",
        need=("E11.9", "Type 2 diabetes"),
        done="Twelve weeks of tailored meals delivered",
        goal="Eat in a way that keeps my sugar steady",
    ),
    Cbo(
        *("quiet-harbor", "Quiet Harbor Recuperative Care", 34, "880 Lantern Road", 2),
        service="Recuperative care",
        cs="recuperative-care",
        sdoh="homelessness",
        need=("Z59.01", "Sheltered homelessness"),
        done="Thirty nights of recuperative care",
        goal="Get my strength back in a safe bed",
    ),
    Cbo(
        *("safe-steps", "Safe Steps Home Repair", 35, "14 Carpenter Court"),
        service="Home modifications",
        cs="home-modifications",
        sdoh="inadequate-housing",
        need=("Z59.10", "Inadequate housing"),
        done="Grab bars and a ramp fitted",
        goal="Get around my home safely",
    ),
    Cbo(
        *("cornerstone-sobering", "Cornerstone Sobering Center", 36, "300 Switchyard Avenue", 2),
        service="Sobering center",
        cs="sobering-centers",
        sdoh="sdoh-category-unspecified",
        need=("F10.20", "Alcohol dependence"),
        done="Stay and warm handoff to treatment",
        goal="A safe place to go when I have been drinking",
    ),
    Cbo(
        *("ride-together", "Ride Together Transport", 37, "41 Turntable Drive", 1),
        service="Rides to appointments",
        sdoh="transportation-insecurity",
        need=("Z59.82", "Transportation insecurity"),
        done="Rides to all booked appointments",
        goal="Get to every appointment",
    ),
    Cbo(
        *("fair-ground-legal", "Fair Ground Legal Aid", 38, "7 Courthouse Steps"),
        service="Legal aid for tenants and benefits",
        sdoh="housing-instability",
        need=("Z59.811", "Housing instability, housed, with risk of homelessness"),
        done="Eviction notice withdrawn after the hearing",
        goal="Keep my apartment",
    ),
)
HOSPITALS = (
    Hospital(
        *("poppy-general", "Poppy County General Hospital", 41, "1 Arroyo Hospital Loop"),
        application="PGHADT",
        facility="PGH",
        enhanced=True,
        class_map={"PV1-2:HOV": "OBSERVATION", "PV1-18:OBS": "OBSERVATION"},
    ),
    Hospital(
        *("san-marcelo", "San Marcelo Medical Center", 42, "2400 Vineyard Terrace", 1),
        application="SMM-HIS",
        facility="SMMC",
        class_map={"PV1-2:OBS": "OBSERVATION", "PV1-2:SDC": "AMBULATORY"},
    ),
    Hospital(
        *("desert-line", "Desert Line Hospital", 43, "65 State Line Spur", 2),
        application="DLADT",
        facility="DLH",
        zone="America/Phoenix",
        class_map={"PV1-3:CDU": "OBSERVATION"},
    ),
)
CLINIC = Party("almond-grove-clinic", "Almond Grove Family Clinic", 51, "12 Blossom Square", 1)
SNF = Party("willow-court-snf", "Willow Court Skilled Nursing", 52, "90 Willow Court")
HOME_HEALTH = Party("poppy-home-health", "Poppy Home Health", 53, "33 Meadowlark Row")
COUNTY_IHSS = Party("poppy-county-ihss", "Poppy County In-Home Supportive Services", 54, "2 Civic Green")
CBAS = Party("golden-day-cbas", "Golden Day Adult Center", 55, "71 Sunbeam Street")
CAREGIVERS = Party("poppy-caregiver-center", "Poppy Caregiver Resource Center", 59, "26 Rocking Chair Lane", 1)
OPERATOR = Party("enlace", "Enlace, Poppy County exchange", 60, "1 Civic Green")
PHYSICIANS = (
    Person("dr-ines-calloway", "Ines", "Calloway", "female", CLINIC.slug, "pcp", 56, "MD"),
    Person("dr-owen-thrale", "Owen", "Thrale", "male", CLINIC.slug, "pcp", 57, "DO"),
)
PHARMACIST = Person("faye-renquist", "Faye", "Renquist", "female", "valley-oak", "pharmacist", 58, "PharmD")
TCS_MANAGER = Person("gil-paredes", "Gil", "Paredes", "male", "plan-sierra-valley", "care-coordinator", 61, "RN")
"""Transitional care services of the plan: the one contact of a member who leaves a hospital and is not in ECM."""
EVERYONE = (*LEAD_CARE_MANAGERS, *PHYSICIANS, PHARMACIST, TCS_MANAGER)
