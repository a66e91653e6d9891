"""A made-up county, seeded: members with their records as a plan keeps them, and messages as hospitals write them.

Written from facts/adt.md section 5, apart from the matcher: it knows whom each message is about. Hard on purpose: twins
who share half of a first name, parents and children of one name under one telephone, compound surnames, whole buildings
and shelters under one address, birth dates of 1 January, day and month changed round, cards and record numbers of
somebody else.
"""

import random
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any

from mappers.hl7v2.event import Address, AdtEvent, Contact, Identifier, Name, Patient, Visit
from service.workflow.match_evidence import CIN_SYSTEM, SSN_SYSTEM
from service.workflow.member_match import Candidate, Lookup, candidates_wanted
from tests.service.workflow.made_up import adt

FAMILIES = (
    "Garcia Hernandez Lopez Martinez Gonzalez Rodriguez Perez Sanchez Ramirez Flores Torres Rivera Gomez Diaz Cruz "
    "Reyes Morales Gutierrez Ortiz Mendoza Nguyen Tran Le Pham Kim Lee Park Chen Wong Singh Kaur Smith Johnson "
    "Williams Brown Jones Davis Miller Wilson Moore Jackson Washington Ali Hassan Mohamed Yang Vang Xiong O'Brien Muñoz"
).split()
MEN = (
    "José Juan Luis Carlos Miguel Jesus Antonio Francisco Pedro Daniel Michael David James Robert William Anthony "
    "Andrew Kevin Minh Duc Wei Ali Muhammad Omar Arjun Gurpreet Tou Ángel Martín Ramón"
).split()
WOMEN = (
    "María Guadalupe Rosa Ana Elena Carmen Juana Teresa Patricia Elizabeth Jennifer Jessica Mary Linda Susan Karen Lan "
    "Thuy Mei Fatima Aisha Priya Harpreet Mai Sofía Isabel Luz Gloria Irma Norma"
).split()
NICK = {"José": "Pepe", "Francisco": "Paco", "Guadalupe": "Lupe", "William": "Bill", "Robert": "Bob",
        "Jennifer": "Jenny", "Elizabeth": "Liz", "Patricia": "Pat", "Anthony": "Tony", "Michael": "Mike",
        "Antonio": "Tony"}  # fmt: skip
SHARED = {True: (("María", "Elena", "Luisa"), ("Ana", "Isabel", "Sofía")),
          False: (("José", "Luis", "Miguel"), ("Juan", "Carlos", "Pablo"), ("Muhammad", "Ali", "Hassan"))}  # fmt: skip
"""Twins who share the first of two first names."""
GENERATION = 16
STREETS = "Alder Birch Cedar Dogwood Elm Fir Grove Hazel Ivy Juniper Laurel Maple Oak Pine Quince Rose Spruce".split()
ZIPS = [str(95_814 + n) for n in range(40)]
HOSPITALS = tuple(f"HOSP{n}" for n in range(12))
SHELTERS_KNOWN = frozenset((str(n), zip) for n in (7001, 7002, 7003) for zip in ZIPS[:5])
"""Addresses of shelters that are Organizations of ours; some others bear the word, some nothing."""


@dataclass
class Human:
    """Who somebody is, in truth. member: reference, "" for a stranger."""

    number: int
    family: str
    given: tuple[str, ...]
    born: str
    female: bool
    phone: str
    street: str
    zip: str
    suffix: str = ""
    email: str = ""
    ssn: str = ""
    cin: str = ""
    member: str = ""
    kin: list["Human"] = field(default_factory=list)


class County:
    """people: all; of them `members` have a record. Half as many strangers again live among them."""

    def __init__(self, members: int, seed: int = 7):
        self.dice = random.Random(seed)
        self._taken = 0
        self._rare = [self._word() for _ in range(max(200, members // 40))]
        self._rare_given = [self._word() for _ in range(400)]
        self.people: list[Human] = []
        while len(self.people) < members * 3 // 2:
            self.people += self._household()
        self.members = [human for human in self.people if human.member]
        self.roster = [Candidate(human.member, self._record(human)) for human in self.members]

    def _word(self) -> str:
        parts = "ba be bo da de di ka ko la le li lo ma me mi mo na ne ra re ri ro sa se ta te to va vi za".split()
        return "".join(self.dice.choices(parts, k=self.dice.randint(2, 4))).capitalize()

    def _family(self) -> str:
        def one() -> str:
            pool = FAMILIES if self.dice.random() < 0.6 else self._rare
            return pool[min(int(self.dice.expovariate(4 / len(pool))), len(pool) - 1)]

        return f"{one()} {one()}" if self.dice.random() < 0.3 else one()

    def _given(self, female: bool) -> str:
        pool = (WOMEN if female else MEN) if self.dice.random() < 0.8 else self._rare_given
        return pool[min(int(self.dice.expovariate(3 / len(pool))), len(pool) - 1)]

    def _born(self, low: int = 1940, high: int = 2015) -> str:
        year = self.dice.randint(low, high)
        if self.dice.random() < 0.015:
            return f"{year}-01-01"
        return f"{year}-{self.dice.randint(1, 12):02d}-{self.dice.randint(1, 28):02d}"

    def _place(self) -> tuple[str, str]:
        dice = self.dice.random()
        zip = self.dice.choice(ZIPS)
        if dice < 0.004:
            return f"{self.dice.choice((7001, 7002, 7003))} Union Way", ZIPS[self.dice.randrange(5)]
        if dice < 0.008:
            return f"{self.dice.choice((8001, 8002))} Bethel Shelter", zip
        if dice < 0.012:
            return f"{self.dice.choice((9001, 9002))} Harbor Rd", zip  # a shelter that nobody knows to be one
        number = self.dice.choice((100, 200, 300)) if dice < 0.1 else self.dice.randint(1, 4000)
        return f"{number} {self.dice.choice(STREETS)} St", zip

    def _household(self) -> list[Human]:
        """No two go by one first name, but for a parent and a child of the same name."""
        street, zip = self._place()
        phone, family = self._phone(), self._family()
        found: list[Human] = []
        for _ in range(self.dice.choice((1, 1, 2, 3, 4))):
            human = self._human(family, street, zip, phone)
            self._apart(human, found)
            found.append(human)
        first = found[0]
        if self.dice.random() < 0.02:
            found.append(self._twin(first, found))
        if int(first.born[:4]) + GENERATION < 2015 and self.dice.random() < 0.03:
            found.append(self._namesake(first))
        for human in found:
            human.kin = [other for other in found if other is not human]
        return found

    def _apart(self, human: Human, others: list[Human]) -> None:
        taken = {NICK.get(other.given[0], other.given[0]) for other in others}
        while NICK.get(human.given[0], human.given[0]) in taken:
            human.given = (self._word(), *human.given[1:])

    def _namesake(self, of: Human) -> Human:
        """Jr of a Sr, or a daughter of her mother's name: under one roof and one telephone."""
        born = self._born(int(of.born[:4]) + GENERATION, 2015)
        child = self._human(of.family, of.street, of.zip, of.phone, born=born)
        child.given, child.female = of.given, of.female
        if not of.female:
            of.suffix = "Sr" if self.dice.random() < 0.5 else ""
            child.suffix = "Jr" if self.dice.random() < 0.6 else ""
        return child

    def _human(self, family: str, street: str, zip: str, phone: str, born: str = "") -> Human:
        dice, self._taken = self.dice, self._taken + 1
        female, number = dice.random() < 0.5, self._taken
        given = [self._given(female)] + ([self._given(female)] if dice.random() < 0.4 else [])
        return Human(
            number,
            family,
            tuple(dict.fromkeys(given)),
            born or self._born(),
            female,
            phone if dice.random() < 0.6 else self._phone(),
            street,
            zip,
            email=f"p{number}@mail.example" if dice.random() < 0.3 else "",
            ssn=f"{dice.randint(100, 665)}-{dice.randint(10, 99)}-{dice.randint(1000, 9999)}",
            cin=f"9{number:07d}{'ACDEFGHMNPSTUVWXY'[number % 17]}",
            member=f"Patient/p{number}" if dice.random() < 0.67 else "",
        )

    def _twin(self, of: Human, others: list[Human]) -> Human:
        """In a third of the cases the twins share the first of two first names."""
        twin = self._human(of.family, of.street, of.zip, of.phone, born=of.born)
        if self.dice.random() < 0.33:
            shared = self.dice.choice(SHARED[of.female])
            of.given, twin.given, twin.female = (shared[0], shared[1]), (shared[0], shared[2]), of.female
        else:
            if self.dice.random() < 0.5:
                twin.female, twin.given = of.female, (self._given(of.female),)
            self._apart(twin, others)
        twin.phone = of.phone
        return twin

    def _phone(self) -> str:
        return f"{self.dice.choice((916, 530, 209))}{self.dice.randint(2_000_000, 9_899_999)}"

    def _record(self, human: Human) -> dict[str, Any]:
        """As the plan has it: second names, telephones and e-mail addresses are often missing."""
        dice = self.dice
        given = list(human.given[: 1 if dice.random() < 0.4 else 2])
        name: dict[str, Any] = {"family": human.family, "given": given}
        if human.suffix and dice.random() < 0.5:
            name["suffix"] = [human.suffix]
        ids = [{"system": CIN_SYSTEM, "value": human.cin}]
        if dice.random() < 0.3:
            ids.append({"system": SSN_SYSTEM, "value": human.ssn})
        telecom = [{"system": "phone", "value": human.phone}] if dice.random() < 0.85 else []
        if human.email and dice.random() < 0.7:
            telecom.append({"system": "email", "value": human.email})
        home = [{"line": [human.street], "postalCode": human.zip}] if dice.random() < 0.9 else []
        id = human.member.partition("/")[2]
        return {"resourceType": "Patient", "id": id, "identifier": ids, "name": [name], "birthDate": human.born,
                "gender": "female" if human.female else "male", "telecom": telecom, "address": home}  # fmt: skip


BASE = adt("A01", 0, "I")


class Hospitals:
    """Messages of a county: `events` yields (whom it is about in truth, the event).

    slips: how many times as often as it happens a card or a chart of the family is taken for the patient's.
    """

    def __init__(self, county: County, seed: int = 11, slips: float = 1):
        self.county, self.dice, self.slips = county, random.Random(seed), slips

    def mistakable(self, count: int) -> Iterator[tuple[Human, AdtEvent]]:
        """About twins, and parents and children of one name, only: member or not."""
        alike = [h for h in self.county.people if any(k.born == h.born or k.given == h.given for k in h.kin)]
        for _ in range(count):
            human = self.dice.choice(alike)
            yield human, self._event(human)

    def events(self, count: int) -> Iterator[tuple[Human, AdtEvent]]:
        strangers = [human for human in self.county.people if not human.member]
        near = [human for human in strangers if any(other.member for other in human.kin)]
        for _ in range(count):
            dice = self.dice.random()
            if dice < 0.5:
                human = self.dice.choice(self.county.members)
            elif dice < 0.6 and near:
                human = self.dice.choice(near)
            elif dice < 0.62:
                human = self._double(self.dice.choice(self.county.members))
            else:
                human = self.dice.choice(strangers)
            yield human, self._event(human)

    def _double(self, of: Human) -> Human:
        """A stranger of the same name, sex and birth date, who lives elsewhere; now and then in the same building."""
        street, zip = self.county._place()
        return replace(of, number=-of.number, member="", phone=self.county._phone(), street=street, zip=zip,
                       email="", ssn="000-00-0000", cin=f"8{of.number:07d}A", kin=[])  # fmt: skip

    def _event(self, human: Human) -> AdtEvent:
        dice = self.dice
        if dice.random() < 0.004:
            return self._placeholder(human)
        if human.female and human.born > "1975" and dice.random() < 0.004:
            return self._baby(human)
        return replace(BASE, patient=self._patient(human))

    def _patient(self, human: Human) -> Patient:
        dice, hospital = self.dice, self.dice.choice(HOSPITALS)
        ids = [Identifier(self._mrn(human, hospital), "", hospital, "MR")] if dice.random() < 0.95 else []
        if human.member and dice.random() < 0.15:
            meant = human if dice.random() > 0.002 else dice.choice(self.county.members)
            ids.append(Identifier(meant.member.partition("/")[2], "", "ENLACE", "PI"))
        streets = (Address((human.street.upper(),), "", "CA", human.zip),)
        contacts = [Contact("phone", human.phone, "home", human.phone)] if dice.random() < 0.7 else []
        if human.email and dice.random() < 0.3:
            contacts.append(Contact("email", human.email.upper()))
        born = self._born(human)
        return Patient(
            ids=tuple(ids),
            cins=self._cins(human),
            names=(self._name(human),),
            birth_date=born,
            birth_precision="day" if len(born) == 10 else "year" if born else "",
            sex="" if dice.random() < 0.02 else "female" if human.female else "male",
            contacts=tuple(contacts),
            addresses=streets if dice.random() < 0.75 else (),
            ssn4=human.ssn[-4:] if dice.random() < 0.3 and not human.ssn.startswith("000") else "",
        )

    def _mrn(self, human: Human, hospital: str) -> str:
        """Now and then the wrong chart was opened: of a relative, or of anybody."""
        dice = self.dice.random()
        if dice < 0.0005:
            human = self.dice.choice(self.county.people)
        elif dice < 0.0005 * (1 + self.slips) and human.kin:
            human = self.dice.choice(human.kin)
        return f"{hospital[4:]}-{human.number}"

    def _cins(self, human: Human) -> tuple[str, ...]:
        """A third of the messages bear a card; a few one of the family's, or mistyped into somebody else's."""
        dice = self.dice.random()
        if dice > 0.35:
            return ()
        if dice < 0.001:
            return (self.dice.choice(self.county.people).cin,)
        if dice < 0.001 + 0.004 * self.slips and human.kin:
            return (self.dice.choice(human.kin).cin,)
        return (human.cin,)

    def _born(self, human: Human) -> str:
        dice, day = self.dice.random(), human.born
        if dice < 0.005 and day[8:] <= "12":
            return f"{day[:5]}{day[8:]}-{day[5:7]}"
        if dice < 0.012:
            return f"{day[:8]}{self.dice.randint(1, 28):02d}"
        if dice < 0.015:
            return f"{self.dice.randint(1940, 2015)}{day[4:]}"
        if dice < 0.02:
            return f"{day[:5]}01-01" if dice < 0.018 else day[:4]
        return day if dice < 0.99 else ""

    def _name(self, human: Human) -> Name:
        dice, family = self.dice, human.family
        if " " in family:
            family = dice.choice((family, family.replace(" ", "-"), family.split()[0], family))
        if human.female and dice.random() < 0.01:
            family = dice.choice(FAMILIES)
        given = list(human.given)
        if len(given) > 1:
            given[1:] = dice.choice(([given[1]], [given[1][0]], []))
        if dice.random() < 0.05:
            given[0] = NICK.get(given[0], given[0])
        if dice.random() < 0.015:
            at = dice.randrange(max(1, len(family) - 1))
            family = family[:at] + family[at + 1 : at + 2] + family[at : at + 1] + family[at + 2 :]
        suffix = human.suffix if dice.random() < 0.6 else ""
        upper = dice.random() < 0.7
        return Name(family.upper() if upper else family, tuple(g.upper() if upper else g for g in given), suffix)

    def _placeholder(self, human: Human) -> AdtEvent:
        who = replace(self._patient(human), names=(Name("UNKNOWN", ("MALE",)),), placeholder=True, cins=())
        return replace(BASE, patient=who)

    def _baby(self, mother: Human) -> AdtEvent:
        """Under the mother's card, telephone and address; named or not yet."""
        told = self._patient(mother)
        name = Name(mother.family, ("BABY GIRL",) if self.dice.random() < 0.7 else (mother.given[0],))
        who = replace(told, names=(name,), birth_date="2024-03-07", birth_precision="day", ids=())
        visit = replace(BASE.visit or Visit(), newborn=name.given[0] != "BABY GIRL")
        return replace(BASE, patient=who, visit=visit)


class Memory:
    """Plays the store for the lookups of a message, and remembers record numbers as matches make them known."""

    def __init__(self, roster: list[Candidate]):
        self._by_id = {candidate.patient["id"]: [candidate] for candidate in roster}
        self._born: dict[str, list[Candidate]] = {}
        self._cins: dict[str, list[Candidate]] = {}
        self._mrns: dict[tuple[str, str], list[Candidate]] = {}
        for candidate in roster:
            self._born.setdefault(candidate.patient["birthDate"], []).append(candidate)
            self._cins.setdefault(candidate.patient["identifier"][0]["value"], []).append(candidate)

    def of(self, event: AdtEvent) -> dict[Lookup, list[Candidate]]:
        found: dict[Lookup, list[Candidate]] = {}
        for want in candidates_wanted(event):
            if want.kind == "panel":
                found[want] = self._by_id.get(want.value, [])
            elif want.kind == "cin":
                found[want] = self._cins.get(want.value, [])
            elif want.kind == "mrn":
                found[want] = self._mrns.get((want.scope, want.value), [])
            elif not any(found[known] for known in found if known.kind in ("panel", "cin")):
                found[want] = self._born.get(want.scope, [])
        return found

    def link(self, number: tuple[str, str], patient: str) -> None:
        self._mrns.setdefault(number, self._by_id[patient.partition("/")[2]])
