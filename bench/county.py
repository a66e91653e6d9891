"""The made-up county that is measured: 10,000 members, 100,000 Tasks, care plans of 3 KB, hospitals that send ADT."""

import asyncio
import random
from dataclasses import dataclass, field
from typing import Any

from mappers.hl7v2.simulate import message
from service.access.new_version import new_version
from service.auth import tokens
from service.auth.registration import insertion, new_client
from service.store import credentials, sources
from service.store.change import ABSENT, Change, Stale
from service.store.database import Unavailable
from service.store.engine import Store
from service.store.sources import RegisteredSource
from service.workflow.candidates import CIN_SYSTEM

Resource = dict[str, Any]

LARGE, SMALL, OTHER = "Organization/ecm-large", "Organization/ecm-small", "Organization/ecm-other"
OWNER = "Organization/cbo-owner"
HOSPITALS = 8
SMALL_MEMBERS = 10
BASE = "http://127.0.0.1:8000/fhir"
BATCH = 20


@dataclass
class County:
    """Counts, and what the measurements need to ask for: tokens, ids, members for messages."""

    tasks: int = 100_000
    plans: int = 2_000
    members: int = field(init=False)
    large_token: str = ""
    small_token: str = ""

    def __post_init__(self) -> None:
        self.members = self.tasks // 10

    def provider(self, member: int) -> str:
        """Half of the members are of the large provider; a few of the small one, which so sees 0.1 % of the Tasks."""
        half = self.members // 2
        return LARGE if member < half else SMALL if member < half + SMALL_MEMBERS else OTHER


def ref(reference: str) -> Resource:
    return {"reference": reference}


def patient(number: int) -> Resource:
    rng = random.Random(number)
    return {
        "resourceType": "Patient",
        "id": f"m{number}",
        "active": True,
        "identifier": [{"system": CIN_SYSTEM, "value": cin(number)}],
        "name": [{"use": "official", "family": family(number), "given": ["Ada" if number % 2 else "Ben"]}],
        "telecom": [{"system": "phone", "value": f"+1-209-55{number:05d}"}],
        "gender": "female" if number % 2 else "male",
        "birthDate": born(number),
        "address": [{"line": [f"{rng.randrange(1, 999)} Elm St"], "city": "Stockton", "state": "CA"}],
    }


def cin(number: int) -> str:
    return f"9{number:07d}A"


def family(number: int) -> str:
    return "Made" + "".join(chr(97 + int(digit)) for digit in str(number))


def born(number: int) -> str:
    """Spread over sixty years, so that few share a birth date."""
    mixed = number * 7919
    return f"{1940 + mixed % 60}-{1 + mixed // 60 % 12:02d}-{1 + mixed // 720 % 28:02d}"


def episode(number: int, organization: str) -> Resource:
    return {
        "resourceType": "EpisodeOfCare",
        "id": f"e{number}",
        "status": "active",
        "patient": ref(f"Patient/m{number}"),
        "managingOrganization": ref(organization),
        "careManager": ref(f"Practitioner/lcm-{organization.rpartition('-')[2]}"),
    }


def task(number: int, member: int, organization: str, owner: str, status: str) -> Resource:
    return {
        "resourceType": "Task",
        "id": f"t{number}",
        "status": status,
        "intent": "order",
        "priority": "routine",
        "code": {"coding": [{"system": "http://hl7.org/fhir/CodeSystem/task-code", "code": "fulfill"}]},
        "description": "Help with food for a household of three, made up for a measurement of speed.",
        "for": ref(f"Patient/m{member}"),
        "authoredOn": "2026-03-01T10:00:00Z",
        "requester": ref(organization),
        "owner": ref(owner),
        "note": [{"text": "Calls are best in the afternoon. " * 12}],
    }


def care_plan(number: int, member: int) -> Resource:
    """About 3 KB."""
    return {
        "resourceType": "CarePlan",
        "id": f"c{number}",
        "status": "active",
        "intent": "plan",
        "category": [{"coding": [{"system": "http://snomed.info/sct", "code": "734163000"}]}],
        "title": "Enhanced Care Management plan",
        "subject": ref(f"Patient/m{member}"),
        "period": {"start": "2026-01-01"},
        "activity": [
            {
                "detail": {
                    "status": "in-progress",
                    "code": {"text": f"Step {step} of the plan"},
                    "description": "Made up: visit at home, look at medicines, book the appointment, report back. " * 3,
                }
            }
            for step in range(8)
        ],
        "note": [{"text": "No real person stands behind this plan. " * 8}],
    }


def admission(member: int, number: int, now_us: int) -> bytes:
    """An A01 of a member; the number makes control id, visit and hospital."""
    facts = {
        "cin": cin(member),
        "mrn": f"M{member}",
        "family": family(member),
        "given": "Ada" if member % 2 else "Ben",
        "birth_date": born(member),
        "sex": "F" if member % 2 else "M",
        "phone": f"+1-209-55{member:05d}",
    }
    hospital = {"name": f"Hospital {number % HOSPITALS}", "application": "BENCH", "facility": f"H{number % HOSPITALS}"}
    times = {"at_us": now_us, "occurred_us": now_us, "admit_us": now_us}
    return message(
        "A01", facts, hospital, control_id=f"B{number}", visit_number=f"V{number}", patient_class="I", **times
    )


async def build(store: Store, county: County) -> None:
    """Loads everything through store.commit, some hundred resources in one group."""
    places = [LARGE, SMALL, OTHER, OWNER, *(f"Organization/cbo-{n}" for n in range(50))]
    people = [f"Practitioner/lcm-{name}" for name in ("large", "small", "other")]
    await _put(store, [_named(reference) for reference in [*places, *people]], lambda _r: OWNER)
    half = county.members // 2
    resources: list[Resource] = []
    for member in range(county.members):
        resources += [patient(member), episode(member, county.provider(member))]
    resources += [care_plan(number, number % half) for number in range(county.plans)]
    await _put(store, resources, lambda _r: OTHER)
    await _put(store, _tasks(county), lambda r: str(r["requester"]["reference"]))
    change = Change()
    for number in range(HOSPITALS):
        config = {"display": f"Hospital {number}", "zone": "America/Los_Angeles"}
        source = RegisteredSource(f"bench{number}", "BENCH", f"H{number}", places[3], config, True)
        change.statements.append(sources.put(source))
    await store.commit(change)
    county.large_token = await _token(store, "bench-large", LARGE)
    county.small_token = await _token(store, "bench-small", SMALL)


def _tasks(county: County) -> list[Resource]:
    """1.5 % are of one owner, two thirds of these open, all of members of the large provider but two."""
    made: list[Resource] = []
    wanted, half = county.tasks // 100 * 3 // 2, county.members // 2
    for number in range(county.tasks):
        member = number % county.members
        mine = (member < half and number % 33 == 0 and number // 33 < wanted * 2) or number in (half, half + 1)
        owner = OWNER if mine else f"Organization/cbo-{number % 50}"
        status = ("requested", "accepted", "completed")[number % 3 if not mine else number // 33 % 3]
        made.append(task(number, member, county.provider(member), owner, status))
    random.Random(7).shuffle(made)
    return made


def _named(reference: str) -> Resource:
    rtype, _, fhir_id = reference.partition("/")
    name: Any = fhir_id if rtype == "Organization" else [{"family": "Manager"}]
    return {"resourceType": rtype, "id": fhir_id, "name": name}


async def _put(store: Store, resources: list[Resource], source_of: Any) -> None:
    now_us = store.clock.now_us()
    waiting: set[asyncio.Future[Any]] = set()
    for first in range(0, len(resources), BATCH):
        writes = [
            new_version(
                resource,
                ABSENT,
                store.keys,
                source_org=store.keys.resource(source_of(resource)),
                now_us=now_us,
                base_url=BASE,
            )
            for resource in resources[first : first + BATCH]
        ]
        waiting.add(asyncio.ensure_future(_commit(store, Change(writes=writes))))
        if len(waiting) >= 8:
            done, waiting = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
            for one in done:
                one.result()
        await asyncio.sleep(0)
    await asyncio.gather(*waiting)


async def _commit(store: Store, change: Change) -> None:
    """A large load brings checkpoints that hold a group up: what was given up is tried again, or was done after all."""
    for attempt in range(10):
        try:
            await store.commit(change)
            return
        except Unavailable:
            await asyncio.sleep(1)
        except Stale:
            if attempt:
                return
            raise


async def _token(store: Store, name: str, organization: str) -> str:
    now = store.clock.now_us()
    client = new_client(
        name, name=name, organization=organization, role="ecm-provider", scope="system/*.cruds", now_us=now
    )
    text, digest = tokens.new_token()
    change = insertion(client)
    change.statements.append(credentials.insert_token(digest, name, client.scopes, now, now + 86_000_000_000))
    await store.commit(change)
    return text
