"""A made-up plan, ECM providers and members for the tests of plan files: the directory, and files of rows."""

import json
from datetime import date
from typing import Any

from fhir_profiles import Resource
from mappers.plan_files import layout
from mappers.plan_files.member_information import format_rows
from mappers.plan_files.member_resources import CIN_SYSTEM, NPI_SYSTEM
from mappers.plan_files.member_row import MemberRow
from service.access.context import Context
from service.access.new_version import new_version
from service.caller import Caller, Role, system_caller
from service.store import read
from service.store.change import ABSENT, Change
from service.store.engine import Store
from service.workflow.member_directory import PLAN_SYSTEM, find_plan
from service.workflow.member_files import Imported, IncomingFile, import_file

TODAY = date(2026, 3, 7)
KIND = "member-information"
BASE = layout.load(KIND)
NPI, OTHER_NPI, MANAGER_NPI = "1234567893", "1555555550", "1987654328"
PLAN, OTHER_PLAN = "valley-plan", "coast-plan"
CLINIC, OTHER_CLINIC = "Organization/ecm-1", "Organization/ecm-2"

DIRECTORY: list[Resource] = [
    {"resourceType": "Organization", "id": "plan-1", "identifier": [{"system": PLAN_SYSTEM, "value": PLAN}]},
    {"resourceType": "Organization", "id": "plan-2", "identifier": [{"system": PLAN_SYSTEM, "value": OTHER_PLAN}]},
    {"resourceType": "Organization", "id": "ecm-1", "identifier": [{"system": NPI_SYSTEM, "value": NPI}]},
    {"resourceType": "Organization", "id": "ecm-2", "identifier": [{"system": NPI_SYSTEM, "value": OTHER_NPI}]},
    {
        "resourceType": "Practitioner",
        "id": "lcm-1",
        "name": [{"family": "Okonkwo", "given": ["Pilar"]}],
        "telecom": [{"system": "email", "value": "pilar@clinic.example.org"}],
    },
]


async def put(store: Store, *resources: Resource, source_org: str = "Organization/operator") -> None:
    """Stores new resources as another part of the service would."""
    keys, now = store.keys, store.clock.now_us()
    org = keys.resource(source_org)
    await store.commit(
        Change(writes=[new_version(dict(r), ABSENT, keys, source_org=org, now_us=now) for r in resources])
    )


def member(number: int = 1, **changes: Any) -> MemberRow:
    """An enrolled member; number makes the CIN and the name."""
    facts: dict[str, Any] = {
        "cin": f"{90000000 + number:08d}A",
        "last_name": f"Quintanilla{number}",
        "first_name": "Sonja",
        "birth_date": date(1958, 2, 28),
        "gender": "female",
        "phone": "559-555-0101",
        "coverage_start": date(2025, 1, 1),
        "ecm_status": "engaged-enrolled",
        "ecm_start": date(2026, 1, 15),
        "provider_npi": NPI,
        "provider_name": "Rio Verde Clinic",
        "pofs": ("5",),
        "lcm_name": "Pilar Okonkwo",
        "lcm_email": "pilar@clinic.example.org",
    }
    return MemberRow(**(facts | changes))


def csv_of(*members: MemberRow) -> bytes:
    return format_rows(members, BASE)


async def context(store: Store, plan: str = PLAN) -> Context:
    found = await find_plan(Context(store, system_caller(), store.clock.now_us()), plan)
    return Context(store, system_caller(found.reference), store.clock.now_us(), request_id="file-test")


async def imported(
    store: Store, content: bytes, plan: str = PLAN, *, filename: str = "members.csv", **options: Any
) -> Imported:
    ctx = await context(store, plan)
    found = await find_plan(ctx, plan)
    return await import_file(ctx, found, IncomingFile(KIND, filename, content), today=TODAY, **options)


def counts(result: Imported) -> tuple[int, int, int, int]:
    """created, updated, unchanged, rejected"""
    found = result.report["counts"]
    return found["created"], found["updated"], found["unchanged"], found["rejected"]


async def stored(store: Store, rtype: str, who: Caller | None = None) -> list[Resource]:
    """Current resources of a type, oldest first, that the caller sees (None: all)."""
    ctx = Context(store, who or system_caller(), store.clock.now_us())
    rows = await store.fetch("SELECT fhir_id FROM resource WHERE rtype = ? AND deleted = 0 ORDER BY vid", (rtype,))
    heads = await read.heads(store, [f"{rtype}/{row[0]}" for row in rows], ctx.restriction)
    return [json.loads(heads[r].body or b"") for r in (f"{rtype}/{row[0]}" for row in rows) if r in heads]


def caller(organization: str, role: Role, person: str | None = None) -> Caller:
    return Caller("client-1", role, organization, person, allows=lambda _letter, _type: True)


async def last_vid(store: Store) -> int:
    return int((await store.fetch("SELECT max(vid) FROM version"))[0][0])


async def patient_of(store: Store, number: int) -> Resource:
    cin = member(number).cin
    (found,) = [p for p in await stored(store, "Patient") if any(i == (CIN_SYSTEM, cin) for i in _identifiers(p))]
    return found


def _identifiers(patient: Resource) -> list[tuple[str, str]]:
    return [(i.get("system", ""), i.get("value", "")) for i in patient["identifier"]]
