"""The made-up members: everything about one follows from the seed and its number, never from its neighbours.

The first four have a story (story_people.py). Lead care managers take turns, plans change every six members.
"""

import random
from dataclasses import dataclass
from datetime import date
from typing import Any

from mappers.plan_files.member_resources import Refs
from mappers.plan_files.member_row import MemberRow
from service.cli.seed import names
from service.cli.seed.directory import ECM_PROVIDERS, LEAD_CARE_MANAGERS, PHYSICIANS, PLANS, TOWNS, Party, Person
from service.cli.seed.parts import Days, fhir_id, made_up_npi
from service.cli.seed.story_people import STORY_PEOPLE, StoryPerson

# Every 20th place in a lead care manager's list has this engagement status; all others are engaged.
STATUSES = {
    3: "in-outreach",
    7: "authorized-not-outreached",
    9: "referred",
    11: "on-hold",
    13: "graduated",
    15: "discontinued",
    17: "declined",
    19: "unable-to-reach",
}
ENGAGED = frozenset({"engaged-enrolled", "on-hold"})
NEVER_STARTED = frozenset({"in-outreach", "authorized-not-outreached", "referred", "declined", "unable-to-reach"})
_REASONS = {"graduated": "goals-met", "discontinued": "moved-out-of-county", "declined": "declined-to-participate"}
_POFS = ("1a", "2a", "3a", "5", "2a", "1a", "9", "4a", "6", "3a", "5", "2a")


@dataclass(frozen=True)
class Member:
    """One member. started: days since ECM began (or would have). place: position in the list of the care manager."""

    seed: int
    number: int
    place: int
    row: MemberRow
    plan: Party
    ecm: Party
    lcm: Person
    started: int

    def id(self, *role: str) -> str:
        return fhir_id(self.seed, f"member-{self.number}", *role)

    def random(self, topic: str) -> random.Random:
        return random.Random(f"{self.seed}:{self.number}:{topic}")

    @property
    def reference(self) -> str:
        return f"Patient/{self.id('patient')}"

    @property
    def name(self) -> str:
        return f"{self.row.first_name} {self.row.last_name}"

    @property
    def engaged(self) -> bool:
        return self.row.ecm_status in ENGAGED

    @property
    def refs(self) -> Refs:
        ids = (self.id("patient"), self.id("coverage"), self.id("episode"), self.id("team"))
        return Refs(self.plan.reference, self.ecm.reference, self.lcm.reference, *ids)


def cin(seed: int, number: int) -> str:
    """9, seven digits, a letter: no two members of a seed share one (7,919 and ten million have no common divisor)."""
    return f"9{(seed * 104_729 + number * 7_919 + 12_345) % 10_000_000:07d}{'ACDEFGHKMN'[number % 10]}"


def member(seed: int, number: int, days: Days) -> Member:
    lcm = LEAD_CARE_MANAGERS[number % 6]
    place = number // 6
    ecm = next(party for party in ECM_PROVIDERS if party.slug == lcm.organization)
    if told := STORY_PEOPLE.get(number):
        return Member(seed, number, place, _told(seed, number, days, told), told.plan, ecm, lcm, told.started)
    plan = PLANS[place % 2]
    rng = random.Random(f"{seed}:{number}:person")
    status = STATUSES.get((place + 2 * (number % 6)) % 20, "engaged-enrolled") if place else "engaged-enrolled"
    started = rng.randrange(40, 330)
    row = _row(seed, number, days, rng, status, started)
    return Member(seed, number, place, row, plan, ecm, lcm, started)


def _row(seed: int, number: int, days: Days, rng: random.Random, status: str, started: int) -> MemberRow:
    pof = rng.choice(_POFS)
    gender = "female" if pof == "9" else rng.choice(("female", "male"))
    given, family = rng.choice(names.GIVEN[gender]), rng.choice(names.FAMILY)
    town, code = rng.choice(TOWNS)
    homeless = pof == "1a"
    street = None if homeless else f"{rng.randrange(10, 990)} {rng.choice(names.STREETS)}"
    language = rng.choice(names.LANGUAGES)
    age = rng.randrange(19, 40) if pof == "9" else rng.randrange(63, 90) if pof in ("5", "6") else rng.randrange(22, 75)
    return MemberRow(
        cin=cin(seed, number),
        last_name=family,
        first_name=given,
        middle_name=rng.choice(names.MIDDLE) or None,
        birth_date=date(days.today.year - age, rng.randrange(1, 13), rng.randrange(1, 29)),
        gender=gender,
        language_spoken=language,
        language_written=language,
        homeless=homeless,
        residential_line=street,
        residential_city=town,
        residential_state="CA",
        residential_zip=code,
        phone=f"{names.AREA_CODES[number // 100 % 7]}-555-01{number % 100:02d}",
        email=f"{given}.{family}{number}@example.org".lower() if rng.random() < 0.4 else None,
        pofs=(pof, "3a") if pof == "1a" and rng.random() < 0.3 else (pof,),
        **_enrollment(number, PLANS[number // 6 % 2], days, status, started),
        **_staff(number),
    )


def _enrollment(number: int, plan: Party, days: Days, status: str, started: int) -> dict[str, Any]:
    """Coverage, authorization, start and end. Whoever left did so 12 days ago, so that the plan still sees it fresh."""
    prefix = "GP" if plan is PLANS[0] else "SV"
    begun = status not in NEVER_STARTED
    ended = days.day(12) if status in ("graduated", "discontinued") else None
    authorized = status != "referred"
    reason = _REASONS.get(status, "unable-to-connect" if status == "unable-to-reach" else None)
    return {
        "ecm_status": status,
        "plan_member_id": f"{prefix}{number:06d}",
        "coverage_start": days.day(started + 400).replace(day=1),
        "ecm_start": days.day(started) if begun else None,
        "ecm_end": ended,
        "authorization_number": f"AUTH-{prefix}-{number:05d}" if authorized else None,
        "authorization_start": days.day(started + 9) if authorized else None,
        "authorization_end": days.day(started + 9 - 364) if authorized else None,
        "discontinuation_date": ended or (days.day(12) if reason else None),
        "discontinuation_reason": reason,
    }


def _staff(number: int) -> dict[str, Any]:
    lcm, doctor = LEAD_CARE_MANAGERS[number % 6], PHYSICIANS[number % 2]
    ecm = next(party for party in ECM_PROVIDERS if party.slug == lcm.organization)
    return {
        "provider_npi": made_up_npi(ecm.number),
        "provider_name": ecm.name,
        "pcp_npi": made_up_npi(doctor.number),
        "pcp_name": f"Dr. {doctor.name}",
    }


def _told(seed: int, number: int, days: Days, person: StoryPerson) -> MemberRow:
    city, code = TOWNS[person.town]
    return MemberRow(
        cin=cin(seed, number),
        last_name=person.family,
        first_name=person.given,
        middle_name=person.middle,
        birth_date=date(days.today.year - person.age, *person.born),
        gender=person.gender,
        language_spoken=person.language,
        language_written=person.language,
        homeless=person.homeless,
        residential_line=person.street or None,
        residential_city=city,
        residential_state="CA",
        residential_zip=code,
        phone=f"209-555-01{number:02d}",
        email=f"{person.given}.{person.family}@example.org".lower(),
        pofs=person.pofs,
        **_enrollment(number, person.plan, days, "engaged-enrolled", person.started),
        **_staff(number),
    )
