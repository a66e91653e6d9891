"""A store of random rights, written as bare rows: resources, panels, Consents' rules, references; and who asks."""

from dataclasses import replace
from random import Random

from service.access.roles import restriction
from service.caller import Caller, Role
from service.search.clearance import GENERAL, Rule
from service.search.keys import edge
from service.search.restriction import Restriction
from service.store.change import Change, Statement
from service.store.columns import COLUMNS
from service.store.engine import Store
from service.store.read import Found

ORGANIZATIONS = ("Organization/1", "Organization/2", "Organization/3")
PEOPLE = ("Practitioner/1", "Practitioner/2")
PATIENTS = ("Patient/1", "Patient/2", "Patient/3", "Patient/4")
TYPES = ("Patient", "Task", "ServiceRequest", "Communication", "Condition", "Observation", "Coverage", "Organization",
         "Procedure", "Group", "Consent", "Provenance")  # fmt: skip
EDGES = tuple(edge(rtype, code) for rtype, codes in (
    ("Task", ("owner", "requester", "@candidate")), ("ServiceRequest", ("requester", "performer")),
    ("Communication", ("sender", "recipient")),
) for code in codes)  # fmt: skip
ROLES = (Role.ECM_PROVIDER, Role.LCM, Role.MCP, Role.CBO, Role.REFERRER, Role.HOSPITAL, Role.ADMIN)
BASES = (
    ("coverage", "payor"), ("episode", "ecm-provider"), ("care-team", "care-team"), ("task", "task-owner"),
    ("task", "task-requester"), ("task", "task-candidate"), ("care-team", "self"), ("break-glass", "break-glass"),
)  # fmt: skip
PURPOSES = ("TREAT", "HPAYMT", "HOPERAT")
HOUR = 3_600_000_000


def _insert(table: str, *values: object) -> Statement:
    names = tuple(COLUMNS[table])
    marks = ", ".join("?" * len(names))
    return Statement(f"INSERT INTO {table} ({', '.join(names)}) VALUES ({marks}) ON CONFLICT DO NOTHING", values)


def _period(r: Random, now: int) -> tuple[int, int]:
    return r.choice((now - 9 * HOUR, now - HOUR, now, now + HOUR)), r.choice((now - HOUR, now, now + 1, now + 9 * HOUR))


async def fill(store: Store, r: Random, resources: int) -> list[Found]:
    """The resources as a read would find them."""
    change, found = Change(), []
    keys, now = store.keys, store.clock.now_us()
    names = [keys.resource(one) for one in (*ORGANIZATIONS, *PEOPLE)]
    for number in range(resources):
        rtype = r.choice(TYPES)
        reference = f"{rtype}/r{number}"
        key, vid = keys.resource(reference), number + 1
        patient = None if rtype in ("Organization", "Group") else keys.resource(r.choice(PATIENTS))
        labels = r.choice((0, 0, 0, 1, 2, 3, 1 << 17))
        author = keys.resource(r.choice(ORGANIZATIONS))
        head = (key, rtype, f"r{number}", vid, 1, 0, patient, labels, author)
        change.statements.append(_insert("resource", *head))
        body = b"{}"
        change.statements.append(
            _insert("version", vid, key, rtype, f"r{number}", 1, 1, patient, labels, author, None, body)
        )
        found.append(Found(key, rtype, f"r{number}", 1, vid, False, body, patient, labels, author))
    keys_of = [one.key for one in found]
    for one in found:
        for _ in range(r.choice((0, 1, 2))):
            change.statements.append(_insert("ref", r.choice(EDGES), r.choice(names), one.vid))
        if r.random() < 0.5:
            change.statements.append(_insert("ref", edge("Task", "focus"), r.choice(keys_of), one.vid))
    for source in range(len(PATIENTS) * 6):
        basis, role = r.choice(BASES)
        patient = keys.resource(r.choice(PATIENTS))
        change.statements.append(_insert("panel", r.choice(names), patient, source % 4, basis, role, *_period(r, now)))
    for number in range(r.choice((0, 4, 12))):
        rule = _rule(r, number, keys.resource(r.choice(PATIENTS)), names, keys_of, now)
        change.statements.append(_insert("clearance", *vars(rule).values()))
    await store.commit(change)
    return found


def _rule(r: Random, number: int, patient: int, names: list[int], resources: list[int], now: int) -> Rule:
    kind = r.choice((0, 0, 0, 1, 2, 3, 4))
    return Rule(
        patient=patient,
        consent=r.choice((7, 8)),
        number=number,
        actor=r.choice((0, 1, 2, 3, *names)),
        also=r.choice((0, 0, 0, *names)),
        purpose=r.choice(("", "", *PURPOSES)),
        labels=r.choice((GENERAL, 1, 2, 3, GENERAL | 3)),
        rtype=r.choice(("", "", "Condition", "Task")),
        data_kind=kind,
        data=0 if kind == 0 else r.choice(names) if kind == 4 else r.choice(resources),
        grade=r.randrange(40),
        start_us=_period(r, now)[0],
        end_us=_period(r, now)[1],
    )


def asker(store: Store, r: Random) -> Restriction:
    """What a random caller sees, as the request would have it; views and all."""
    role = r.choice(ROLES)
    person = r.choice(PEOPLE) if role is Role.LCM or r.random() < 0.2 else None
    above = tuple(r.sample(ORGANIZATIONS, r.choice((0, 0, 1))))
    caller = Caller("c", role, r.choice(ORGANIZATIONS), person, purpose=r.choice(PURPOSES), above=above)
    made = restriction(caller, store.keys, store.clock.now_us(), env="production")
    return replace(made, views=True, grace_us=r.choice((0, 0, 2 * HOUR)))
