"""A made-up history of referrals, and an oracle that computes measures from the raw versions alone.

The oracle knows nothing of events or of SQL: it reads the bodies of all versions up to an instant, in plain Python.
"""

import json
import random
from collections import defaultdict
from dataclasses import dataclass, field
from typing import Any

from service.store.change import ABSENT, Change
from service.store.engine import Store
from service.store.slots import updated_us
from service.workflow.measure_traits import traits
from service.workflow.referral_facts import ANSWERS, FOLLOW_UP, SDOH_CODES, SERVICES
from tests.service.world import change_of, coverage, make, ref

Resource = dict[str, Any]
HOUR, DAY = 3_600_000_000, 86_400_000_000
NEEDS = ("food-insecurity", "housing-instability", "transportation-insecurity")
SERVICES_OF = ("meals-supportive-food", "housing-deposits", "")
REQUESTERS = ("Organization/ecm-1", "Organization/ecm-2")
OWNERS = ("Organization/cbo-1", "Organization/cbo-2", "Organization/cbo-3")
PLANS = ("Organization/plan-1", "Organization/plan-2")
RACES, LANGUAGES = ("2106-3", "2054-5", ""), ("en", "es", "")
CLOSED = ("rejected", "cancelled", "failed", "completed")
TAKEN = ("accepted", "in-progress", "on-hold", "completed", "failed")
NOT_APPROPRIATE = ("not-appropriate",)
REASONS = (*NOT_APPROPRIATE, "not-eligible", "other", "")
US_CORE = "http://hl7.org/fhir/us/core/StructureDefinition/us-core-"


def member(number: int, race: str, language: str) -> Resource:
    made = make(f"Patient/p{number}", name=[{"family": "Made", "given": ["Up"]}])
    if race:
        part = {"url": "ombCategory", "valueCoding": {"system": "urn:oid:2.16.840.1.113883.6.238", "code": race}}
        made["extension"] = [{"url": f"{US_CORE}race", "extension": [part]}]
    if language:
        made["communication"] = [{"language": {"coding": [{"system": "urn:ietf:bcp:47", "code": language}]}}]
    return made


def request(name: str, patient: str, requester: str, need: str, service: str) -> Resource:
    return make(
        f"ServiceRequest/{name}",
        status="active",
        intent="order",
        subject=ref(patient),
        requester=ref(requester),
        category=[{"coding": [{"system": SDOH_CODES, "code": need}]}],
        code={"coding": [{"system": SERVICES, "code": service}]} if service else {"text": "a ride"},
    )


def task(name: str, patient: str, requester: str, owner: str | None, request_id: str, **more: Any) -> Resource:
    made = make(
        f"Task/{name}",
        status="requested",
        intent="order",
        focus=ref(f"ServiceRequest/{request_id}"),
        authoredOn="2026-03-01T10:00:00Z",
        requester=ref(requester),
    )
    made |= {"for": ref(patient)} | ({"owner": ref(owner)} if owner else {})
    return made | more


def answered(name: str, patient: str, referral: str, requester: str, said: dict[str, bool]) -> Resource:
    """A promised follow-up that was completed."""
    outputs = [
        {"type": {"coding": [{"system": ANSWERS, "code": code}]}, "valueBoolean": value} for code, value in said.items()
    ]
    code = {"coding": [{"system": FOLLOW_UP, "code": "referral-follow-up"}]}
    made = make(f"Task/{name}", status="completed", intent="order", code=code, output=outputs)
    return made | {"focus": ref(f"Task/{referral}"), "for": ref(patient), "requester": ref(requester)}


@dataclass
class History:
    """Writes versions as an importer does (the fill makes facts of them), while the clock goes on."""

    store: Store
    seed: int = 1
    versions: dict[str, int] = field(default_factory=dict)
    rng: random.Random = field(init=False)
    tasks: dict[str, Resource] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.rng = random.Random(self.seed)

    async def write(self, resource: Resource, source: str = "Organization/op") -> None:
        name = f"{resource['resourceType']}/{resource['id']}"
        change = change_of(self.store, resource, source, self.versions.get(name, ABSENT))
        await self.store.commit(change)
        self.versions[name] = self.versions.get(name, 0) + 1

    def later(self, most_hours: int = 30) -> None:
        self.store.clock.advance(self.rng.randrange(1, most_hours * 60) * 60_000_000)  # type: ignore[attr-defined]

    async def begin(self, members: int = 8) -> None:
        for name in (*REQUESTERS, *OWNERS, *PLANS):
            await self.write(make(name, name=name.partition("/")[2].upper(), active=True))
        for owner in OWNERS[:2]:
            service = make(f"HealthcareService/{owner[-5:]}", providedBy=ref(owner), active=True)
            await self.write(service)
        await self.write(make("Organization/idle", name="Idle", active=True))
        await self.write(make("HealthcareService/idle", providedBy=ref("Organization/idle"), active=True))
        for number in range(members):
            await self.write(member(number, self.rng.choice(RACES), self.rng.choice(LANGUAGES)))
            await self.write(coverage(f"Coverage/p{number}", f"Patient/p{number}", PLANS[number % 2]))

    async def refer(self, number: int, members: int = 8) -> str:
        """Opens a referral; sometimes as a part of another, of a draft, or to nobody yet."""
        rng, name = self.rng, f"t{number}"
        patient, requester = f"Patient/p{rng.randrange(members)}", rng.choice(REQUESTERS)
        await self.write(request(name, patient, requester, rng.choice(NEEDS), rng.choice(SERVICES_OF)))
        owner = rng.choice([*OWNERS, None])
        made = task(name, patient, requester, owner, name)
        if self.tasks and rng.random() < 0.2:
            parent = rng.choice(sorted(self.tasks))
            whole = self.tasks[parent]
            made = task(name, whole["for"]["reference"], OWNERS[2], owner, name, partOf=[ref(f"Task/{parent}")])
        if rng.random() < 0.2:
            await self.write(made | {"status": "draft"})
            self.later(5)
        await self.write(made)
        self.tasks[name] = made
        return name

    async def move(self) -> None:
        """One legal step of one Task, or something else that happens."""
        rng = self.rng
        names = sorted(self.tasks)
        names = [name for name in names if self.tasks[name]["status"] in STEPS] if rng.random() < 0.8 else names
        name = rng.choice(names or sorted(self.tasks))
        old = self.tasks[name]
        steps = STEPS.get(old["status"], ())
        if not steps:
            await self.follow_up(name)
            return
        status = rng.choice(steps)
        new = old | {"status": status}
        if status in ("accepted",) and "owner" not in old:
            new["owner"] = ref(rng.choice(OWNERS))
        if status in ("rejected", "cancelled", "failed"):
            code = rng.choice(REASONS)
            new["statusReason"] = {"text": "why"} | ({"coding": [{"code": code}]} if code else {})
        await self.write(new)
        self.tasks[name] = new

    async def follow_up(self, name: str) -> None:
        said = {
            code: self.rng.random() < 0.5 for code in ("used-service", "still-receiving") if self.rng.random() < 0.7
        }
        number = sum(reference.startswith("Task/f") for reference in self.versions)
        one = self.tasks[name]
        await self.write(answered(f"f{number}", one["for"]["reference"], name, one["requester"]["reference"], said))

    async def change_member(self, members: int = 8) -> None:
        number = self.rng.randrange(members)
        await self.write(member(number, self.rng.choice(RACES), self.rng.choice(LANGUAGES)))

    async def run(self, referrals: int, moves: int) -> None:
        number = len(self.tasks)
        for _ in range(referrals + moves):
            self.later()
            if number < referrals and (not self.tasks or self.rng.random() < referrals / (referrals + moves)):
                await self.refer(number)
                number += 1
            elif self.rng.random() < 0.1:
                await self.change_member()
            else:
                await self.move()


STEPS = {
    "requested": ("accepted", "accepted", "rejected", "cancelled", "entered-in-error"),
    "accepted": ("in-progress", "on-hold", "completed", "failed", "cancelled"),
    "in-progress": ("completed", "failed", "on-hold", "cancelled"),
    "on-hold": ("in-progress", "completed", "failed"),
}


# --- the oracle ------------------------------------------------------------------------------------------------------


@dataclass
class Told:
    """A referral as the raw versions tell it up to an instant."""

    name: str
    opened: int
    need: str
    service: str
    requester: str
    owner: str
    plan: str
    patient: str
    parent: str
    statuses: list[tuple[int, str]]
    reasons: list[tuple[int, str, str]]
    follow_ups: list[tuple[int, str, bool]] = field(default_factory=list)

    def first(self, among: tuple[str, ...]) -> int | None:
        return min((at for at, status in self.statuses if status in among), default=None)

    @property
    def received(self) -> int | None:
        used = [at for at, code, yes in self.follow_ups if code == "used-service" and yes]
        done = [at for at, status in self.statuses if status == "completed"]
        return min([*used, *done], default=None)

    @property
    def unfit(self) -> bool:
        return any(code in NOT_APPROPRIATE for _, status, code in self.reasons if status in CLOSED)


async def oracle(store: Store, start: int, end: int, at: int) -> dict[str, Any]:
    """Referrals opened in [start, end) as the versions up to `at` tell them, and what Patients said then."""
    rows = await store.fetch("SELECT rtype, fhir_id, vid, body FROM version ORDER BY vid")
    told: dict[str, Told] = {}
    last: dict[str, Resource] = {}
    people: dict[str, Any] = {}
    for rtype, fhir_id, vid, raw in rows:
        when, body = updated_us(vid), json.loads(bytes(raw)) if raw else {}
        if when > at:
            continue
        before = last.get(f"{rtype}/{fhir_id}", {})
        last[f"{rtype}/{fhir_id}"] = body
        if rtype == "Patient":
            people[f"Patient/{fhir_id}"] = traits(body)
        if rtype != "Task":
            continue
        focus = body["focus"]["reference"]
        if focus.startswith("Task/"):
            for output in body["output"]:
                code = output["type"]["coding"][0]["code"]
                told[focus[5:]].follow_ups.append((when, code, output["valueBoolean"]))
            continue
        if body["status"] == "draft":
            continue
        one = told.get(fhir_id)
        if one is None:
            asked = last[focus]
            service = (asked["code"].get("coding") or [{"code": ""}])[0]["code"]
            patient = body["for"]["reference"]
            plan = PLANS[int(patient[len("Patient/p") :]) % 2]
            parent = body.get("partOf", [{"reference": "Task/"}])[0]["reference"][5:]
            need = asked["category"][0]["coding"][0]["code"]
            sides = (body["requester"]["reference"], body.get("owner", {}).get("reference", ""))
            one = told[fhir_id] = Told(fhir_id, when, need, service, *sides, plan, patient, parent, [], [])
        if before.get("status") != body["status"]:
            one.statuses.append((when, body["status"]))
            reason = (body.get("statusReason", {}).get("coding") or [{"code": ""}])[0]["code"]
            one.reasons.append((when, body["status"], reason))
        one.owner = body.get("owner", {}).get("reference", "") or one.owner
    kept = {
        name: one
        for name, one in told.items()
        if start <= one.opened < end and all(status != "entered-in-error" for _, status in one.statuses)
    }
    return {"referrals": kept, "people": people}


def value_of(one: Told, dim: str, people: dict[str, Any]) -> str:
    if dim in ("race", "ethnicity", "language"):
        return str(getattr(people[one.patient], dim))
    return "" if dim == "" else str(getattr(one, dim))


def counted(found: dict[str, Any], dims: tuple[str, ...], fits: Any, root: Any) -> dict[tuple[str, str], list[Told]]:
    """(dim, value) -> referrals that count in it. fits: whether the caller counts it. root: whether in totals too."""
    groups: dict[tuple[str, str], list[Told]] = defaultdict(list)
    for one in found["referrals"].values():
        if not fits(one):
            continue
        for dim in ("", *dims):
            if dim in ("requester", "owner") or root(one):
                groups[dim, value_of(one, dim, found["people"])].append(one)
    return groups


def nearest_rank(values: list[int], share: int) -> int:
    ordered = sorted(values)
    return next(v for n, v in enumerate(ordered, 1) if n * 100 >= share * len(ordered))


def half_up(number: int, of: int) -> int:
    """Hundredths."""
    whole, rest = divmod(number * 100, of)
    return whole + (1 if rest * 2 >= of else 0)


__all__ = ["Change", "History", "counted", "half_up", "nearest_rank", "oracle"]
