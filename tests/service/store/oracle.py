"""What a search must answer: random resources, queries of every kind, and the answer worked out in memory.

Visibility is written here apart from service/store/visible.py, in the plainest form.
"""

import asyncio
import random
from collections.abc import Callable
from typing import Any

from service.access.roles import restriction
from service.caller import Caller, Role
from service.search.asking import May
from service.search.criteria import Criteria
from service.search.keys import CANDIDATE_EDGE, edge
from service.search.query import parse
from service.search.restriction import EVERYTHING, Restriction, See
from service.store.change import Write
from service.store.engine import Store
from service.store.visible import PARTY_EDGES
from tests.service.store.oracle_search import holds, ordered
from tests.service.world import BASE, SUD, change_of, make, ref

ORGS = [f"Organization/o{n}" for n in range(5)]
PEOPLE = [f"Practitioner/l{n}" for n in range(3)]
MEMBERS = [f"Patient/P{n}" if n % 2 else f"Patient/p{n}" for n in range(12)]
QUERIES: list[tuple[str, str]] = [
    ("Task", ""),
    ("Task", "status=requested,accepted"),
    ("Task", "status:not=completed"),
    ("Task", "owner=Organization/o1"),
    ("Task", "owner=Organization/o1,Organization/o2&status=requested"),
    ("Task", "owner:missing=true"),
    ("Task", "owner:missing=false&_sort=_id"),
    ("Task", "patient=p0,P1,p2"),
    ("Task", "patient=Patient/p0&authored-on=ge2025"),
    ("Task", "authored-on=lt2025-06-01"),
    ("Task", "authored-on=ne2025&_sort=_lastUpdated"),
    ("Task", "authored-on=gt2025-03-08T01:30:00-08:00&_sort=-_id"),
    ("Task", "authored-on=2024,2026"),
    ("Task", "authored-on=ap2025-03-08"),
    ("Task", "_id=t1,t2,t3,nope"),
    ("Task", "_id=t1,t2,t3&status=requested"),
    ("Task", "_lastUpdated=gt1999&status=requested"),
    ("Task", "_lastUpdated=lt1999"),
    ("Task", "_lastUpdated=ge9999-12-31"),
    ("Task", "_lastUpdated=lt0001-01-02,gt0001"),
    ("Task", "_tag=http://example.org/tags|x"),
    ("Task", "identifier=http://example.org/t|n3"),
    ("Task", "identifier=n3,n4,n5"),
    ("Task", "identifier=http://example.org/t|&owner=Organization/o2"),
    ("Task", "focus=ServiceRequest/s1,ServiceRequest/s2,ServiceRequest/s3"),
    ("ServiceRequest", "status=active"),
    ("ServiceRequest", "requester=Organization/o3"),
    ("ServiceRequest", "subject=Patient/p2"),
    ("ServiceRequest", "identifier:missing=true"),
    ("Patient", "name=ro"),
    ("Patient", "family:exact=Roa"),
    ("Patient", "family:exact=roa"),
    ("Patient", "name=nuñ,Ro&gender=female"),
    ("Patient", "birthdate=ge1980&birthdate=lt1990"),
    ("Patient", "birthdate=sa1985"),
    ("Patient", "birthdate=eb1985-06"),
    ("Patient", "identifier=http://example.org/mrn|m1"),
    ("Patient", "_profile=http://example.org/sd/p"),
    ("Patient", "address-city=sac&_sort=_id"),
    ("Patient", "active:not=true"),
    ("EpisodeOfCare", "status=active&patient=P1"),
    ("EpisodeOfCare", "date=2025"),
    ("EpisodeOfCare", "organization=Organization/o0"),
    ("Procedure", "status=completed"),
    ("Procedure", "subject=Patient/p4,Patient/P5"),
    ("Organization", "name=o"),
    ("Group", "member=Patient/p0"),
    ("Task", "patient.identifier=http://example.org/mrn|m1"),
    ("Task", "patient.gender=female&status=requested&_sort=-authored-on"),
    ("Task", "patient.name=ro,nu&_sort=status,-authored-on"),
    ("Task", "owner:Organization.name=o1"),
    ("Task", "focus:ServiceRequest.subject:Patient.address-city=davis&_sort=patient"),
    ("Patient", "_has:Task:patient:status=requested&_sort=family"),
    ("Patient", "_has:ServiceRequest:subject:_has:Task:focus:owner=Organization/o1"),
    ("Patient", "name:contains=OME"),
    ("Patient", "_sort=-birthdate,gender"),
]


def random_resources(chance: random.Random) -> list[tuple[str, dict[str, Any]]]:
    """(organization that wrote it, resource), a few hundred."""
    out: list[tuple[str, dict[str, Any]]] = []

    def add(reference: str, **elements: Any) -> None:
        meta = dict(chance.choice([{}, {}, {}, SUD, {"tag": [{"system": "http://example.org/tags", "code": "x"}]}]))
        out.append((chance.choice(ORGS), make(reference, **({"meta": meta} if meta else {}), **elements)))

    def year() -> str:
        return f"{chance.choice((2024, 2025, 2026))}{chance.choice(('', '-03', '-03-08', '-03-08T01:30:00-08:00'))}"

    for number, organization in enumerate(ORGS):
        add(organization, name=f"O{number}", active=True)
    for number, member in enumerate(MEMBERS):
        add(
            member,
            name=[{"family": chance.choice(("Roa", "Romero", "Núñez", "roa"))}],
            gender=chance.choice(("female", "male")),
            birthDate=f"19{chance.randint(70, 99)}-06-15",
            identifier=[{"system": "http://example.org/mrn", "value": f"m{number}"}],
            active=chance.random() < 0.5,
            address=[{"city": chance.choice(("Sacramento", "Davis"))}],
        )
    for number in range(30):
        period = {"start": "2025-01-01", **({"end": chance.choice(("2025-12-31", "2026-12-31"))} if number % 2 else {})}
        add(
            f"EpisodeOfCare/e{number}",
            status=chance.choice(("active", "active", "finished")),
            patient=ref(chance.choice(MEMBERS)),
            managingOrganization=ref(chance.choice(ORGS[:4])),
            careManager=ref(chance.choice(PEOPLE)),
            period=period,
        )
        add(
            f"Coverage/c{number}",
            status="active",
            beneficiary=ref(chance.choice(MEMBERS)),
            payor=[ref(chance.choice(ORGS))],
        )
        add(f"Procedure/pr{number}", status="completed", subject=ref(chance.choice(MEMBERS)))
        add(
            f"Group/g{number}",
            type="person",
            actual=True,
            member=[{"entity": ref(m)} for m in chance.sample(MEMBERS, 2)],
        )
    for number in range(60):
        add(
            f"ServiceRequest/s{number}",
            status=chance.choice(("active", "completed")),
            intent="order",
            subject=ref(chance.choice(MEMBERS)),
            requester=ref(chance.choice(ORGS)),
            performer=[ref(chance.choice(ORGS))] if chance.random() < 0.3 else [{"display": "x"}],
        )
        add(
            f"Task/t{number}" if number % 3 else f"Task/T{number}",
            status=chance.choice(("requested", "accepted", "completed", "rejected")),
            intent="order",
            focus=ref(f"ServiceRequest/s{chance.randint(0, 59)}"),
            authoredOn=year(),
            identifier=[{"system": "http://example.org/t", "value": f"n{number}"}],
            requester=ref(chance.choice(ORGS)),
            **{"for": ref(chance.choice(MEMBERS))},
            **({"owner": ref(chance.choice(ORGS))} if chance.random() < 0.8 else {}),
            **({"restriction": {"recipient": [ref(o) for o in chance.sample(ORGS, 2)]}} if number % 2 else {}),
        )
    return out


CALLERS = {
    "system": EVERYTHING,
    **{
        f"{role}": (role, organization, person)
        for role, organization, person in (
            (Role.ADMIN, ORGS[0], None),
            (Role.ECM_PROVIDER, ORGS[1], None),
            (Role.LCM, ORGS[1], PEOPLE[1]),
            (Role.MCP, ORGS[2], None),
            (Role.CBO, ORGS[3], None),
            (Role.REFERRER, ORGS[4], None),
            (Role.HOSPITAL, ORGS[0], None),
        )
    },
}


def restriction_for(store: Store, name: str, env: str = "production") -> Restriction:
    who = CALLERS[name]
    if isinstance(who, Restriction):
        return who
    role, organization, person = who
    return restriction(Caller("c", role, organization, person), store.keys, store.clock.now_us(), env=env)


class Memory:
    """What is stored, and what a caller sees of it, in the plainest form: written apart from visible.py."""

    def __init__(self, store: Store, writes: list[Write], vids: dict[str, int]):
        self.store, self.writes, self.vids = store, writes, vids
        self.by_key = {store.keys.resource(w.reference): w for w in writes}
        standing = [p for w in writes for p in w.panel if p.start_us <= self.now < p.end_us]
        self.panel = {(p.subject, p.patient) for p in standing}
        self.assigned = {(p.subject, p.patient) for p in standing if p.basis != "task"}

    @property
    def now(self) -> int:
        return self.store.clock.now_us()

    def sees(self, write: Write, r: Restriction) -> bool:
        rule = r.types.get(write.rtype)
        if r.unrestricted or rule is See.OPEN:
            return True
        if rule is None:
            return False
        if write.source_org in r.own:
            return True
        if rule is See.OWN or write.labels:
            return False
        names = {*r.subjects, *r.own}  # an organization, or a person and the organization for which the person acts
        if rule is See.PANEL and all((name, write.patient) in self.assigned for name in names):
            return True
        return all((name, write.patient) in self.panel for name in names) and self.party(write, r)

    def offered(self, task: Write, r: Restriction) -> bool:
        """An open referral that nobody owns is seen by those whom it is offered to; apart from access/panels.py."""
        body = task.resource or {}
        if task.rtype != "Task" or body["status"] != "requested" or "owner" in body:
            return False
        named = [one["reference"] for one in body.get("restriction", {}).get("recipient", ())]
        return any(self.store.keys.resource(one) in r.subjects for one in named)

    def party(self, write: Write, r: Restriction) -> bool:
        def direct(one: Write) -> bool:
            edges = {*PARTY_EDGES.get(one.rtype, ())} - {edge("Task", CANDIDATE_EDGE)}
            return self.offered(one, r) or any(e in edges and t in r.subjects for e, t in one.index.edges)

        if direct(write):
            return True
        about = (edge("Task", "focus"), self.store.keys.resource(write.reference))
        return write.rtype == "ServiceRequest" and any(
            about in w.index.edges and direct(w) for w in self.writes if w.rtype == "Task"
        )

    def search(self, criteria: Criteria, r: Restriction, wider: Restriction | None = None) -> list[str]:
        return [w.fhir_id for w in self.found(criteria, r, wider)]

    def found(self, criteria: Criteria, r: Restriction, wider: Restriction | None = None) -> list[Write]:
        """In order; linked resources as `wider` shows them."""
        linked = wider or r
        hits = [
            w
            for w in self.writes
            if w.rtype == criteria.rtype
            and self.sees(w, r)
            and all(holds(self, clause, w, linked) for clause in criteria.clauses)
        ]
        return ordered(self, hits, criteria.sort, linked)


async def filled(store: Store, seed: int = 5, decorate: Callable[[Write], Write] = lambda write: write) -> Memory:
    chance = random.Random(seed)
    changes = [change_of(store, resource, source) for source, resource in random_resources(chance)]
    for change in changes:
        change.writes[:] = [decorate(write) for write in change.writes]
    done = await asyncio.gather(*(store.commit(change) for change in changes))
    vids = {one.written[0].reference: one.written[0].vid for one in done}
    return Memory(store, [change.writes[0] for change in changes], vids)


def criteria_of(store: Store, rtype: str, query: str) -> Criteria:
    params = [tuple(part.split("=", 1)) for part in query.split("&") if part]
    may = May(lambda _rtype: True, lambda _rtype: True)
    now_us = store.clock.now_us()
    return parse(rtype, params, store.keys, strict=True, now_us=now_us, base_url=BASE, may=may)  # type: ignore[arg-type]
