"""Small pieces of FHIR of which the made-up county is built: references, codes, ids, days. https://hl7.org/fhir/R4/"""

import hashlib
import uuid
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from fhir_profiles import Resource
from mappers.plan_files import member_resources

BASE = member_resources.BASE
PACIFIC = ZoneInfo("America/Los_Angeles")
ICD10 = "http://hl7.org/fhir/sid/icd-10-cm"
LOINC = "http://loinc.org"
TERMINOLOGY = "http://terminology.hl7.org/CodeSystem"
SDOH_CODES = "http://hl7.org/fhir/us/sdoh-clinicalcare/CodeSystem/SDOHCC-CodeSystemTemporaryCodes"
PLAN_SYSTEM = f"{BASE}/sid/plan"

Entry = tuple[str, Resource]
"""(reference of the organization that would have written it, the resource)"""


def fhir_id(seed: int, *role: str) -> str:
    """The id of the resource that plays this role: the same in every county of this seed, shaped as a UUID."""
    digest = hashlib.blake2b("\x1f".join((str(seed), *role)).encode(), digest_size=16).digest()
    return str(uuid.UUID(bytes=digest, version=4))


@dataclass(frozen=True)
class Days:
    """Dates and times counted from the day of the seed, as people in California write them."""

    today: date

    def on(self, ago: int) -> str:
        """`ago` days before today; negative: ahead."""
        return self.day(ago).isoformat()

    def day(self, ago: int) -> date:
        return self.today - timedelta(days=ago)

    def at(self, ago: int, clock: str) -> str:
        """A dateTime with its offset: at(3, "14:30")."""
        return datetime.combine(self.day(ago), time.fromisoformat(clock), PACIFIC).isoformat()


def filled(**elements: object) -> Resource:
    """Only what has content: FHIR knows no empty element."""
    return {name: value for name, value in elements.items() if value not in (None, "", [], {})}


def ref(reference: str, display: str = "") -> Resource:
    return {"reference": reference, "display": display} if display else {"reference": reference}


def coded(system: str, code: str, display: str = "", text: str = "") -> Resource:
    """A CodeableConcept of one coding."""
    return filled(coding=[filled(system=system, code=code, display=display)], text=text)


def own(system: str, code: str, display: str = "", text: str = "") -> Resource:
    """A CodeableConcept of a code system of ours, by its slug."""
    return coded(f"{BASE}/CodeSystem/{system}", code, display, text)


def npi(number: str) -> Resource:
    return {"system": member_resources.NPI_SYSTEM, "value": number}


def made_up_npi(serial: int) -> str:
    """A National Provider Identifier that passes the check digit and belongs to nobody: 155500xxx + digit.

    https://www.cms.gov/Regulations-and-Guidance/Administrative-Simplification/NationalProvIdentStand: Luhn over 80840…
    """
    number = f"155500{serial:03d}"
    total = 0
    for place, digit in enumerate(reversed("80840" + number)):
        doubled = int(digit) * (2 if place % 2 == 0 else 1)
        total += doubled - 9 if doubled > 9 else doubled
    return number + str(-total % 10)


def phone(number: str, use: str = "work") -> Resource:
    return {"system": "phone", "value": number, "use": use}


def note(text: str, time_text: str, author: Resource | None = None) -> Resource:
    """An Annotation."""
    return filled(authorReference=author, time=time_text, text=text)
