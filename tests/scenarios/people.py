"""The made-up people of the scenarios, and how a test writes to and looks into the database of a running service."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, TypeVar

from mappers.hl7v2.simulate import message as er7
from service.access.context import Context
from service.caller import system_caller
from service.store import sources
from service.store.change import ABSENT, Change
from service.store.engine import Store, open_store
from service.store.sources import RegisteredSource
from tests.service.world import access_token, coverage, episode, make, team

T = TypeVar("T")
CIN_SYSTEM = "https://enlace.example.org/fhir/NamingSystem/medi-cal-cin"
MINUTE = 60_000_000
SOON = 5 * MINUTE
"""A job due in less is waited for: it is work or its next try. One due later is a timer."""


def now_us() -> int:
    return time.time_ns() // 1000


# --- the database ------------------------------------------------------------------------------------------------


def look(url: str, work: Callable[[Store], Awaitable[T]]) -> T:
    """Opens the database beside the running service, runs `work`, closes it."""

    async def run() -> T:
        store = await open_store(url)
        try:
            return await work(store)
        finally:
            await store.close()

    return asyncio.run(run())


def rows(url: str, sql: str, *params: Any) -> list[tuple[Any, ...]]:
    """A SELECT with `?` placeholders."""

    async def fetch(store: Store) -> list[tuple[Any, ...]]:
        return [tuple(row) for row in await store.fetch(sql, params)]

    return look(url, fetch)


async def put(store: Store, *items: dict[str, Any]) -> None:
    """Writes new resources as the service itself, in one Change."""
    ctx = Context(store, system_caller(), store.clock.now_us())
    await store.commit(Change(writes=[ctx.write(item, ABSENT) for item in items]))


# --- the world ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Member:
    """A member and the lead care manager (`lead`) of the ECM provider (`organization`) who answers for it."""

    key: str
    cin: str
    family: str
    given: str
    birth_date: str
    lead: str
    organization: str

    @property
    def reference(self) -> str:
        return f"Patient/{self.key}"

    @property
    def said(self) -> dict[str, Any]:
        """What a hospital that knows the CIN says of the person."""
        return {"cin": self.cin, "mrn": f"M-{self.key}", "family": self.family, "given": self.given,
                "birth_date": self.birth_date, "sex": "F", "phone": "(555) 555-0142"}  # fmt: skip


ROSA = Member("rosa", "91000001A", "Quillfeather", "Rosalind", "1980-05-17", "Practitioner/ada", "Organization/north")
LUIS = Member("luis", "91000002A", "Brambleton", "Luisa", "1971-11-02", "Practitioner/ben", "Organization/south")
HOSPITAL = {"name": "Mercy Made-up", "application": "EPIC", "facility": "MERCY"}
SOURCE = RegisteredSource("mercy", "EPIC", "MERCY", "Organization/mercy", {"display": "Mercy Made-up"}, True)
ORGANIZATIONS = ("north", "south", "plan", "mercy", "cbo")
CLIENTS: dict[str, tuple[str, str, str | None]] = {
    "ada": ("lcm", "Organization/north", "Practitioner/ada"),
    "ben": ("lcm", "Organization/south", "Practitioner/ben"),
    "north": ("ecm-provider", "Organization/north", None),
    "south": ("ecm-provider", "Organization/south", None),
    "plan": ("mcp", "Organization/plan", None),
    "cbo": ("cbo", "Organization/cbo", None),
    "mercy": ("hospital", "Organization/mercy", None),
    "admin": ("admin", "Organization/enlace", None),
}
"""name -> (role, organization, person) of a client with all scopes"""


def patient(member: Member) -> dict[str, Any]:
    return make(
        member.reference,
        identifier=[{"system": CIN_SYSTEM, "value": member.cin}],
        name=[{"use": "official", "family": member.family, "given": [member.given]}],
        birthDate=member.birth_date,
        gender="female",
        telecom=[{"system": "phone", "value": "(555) 555-0142"}],
    )


async def put_member(store: Store, member: Member, *, lead: bool = True) -> None:
    """Patient, Coverage, EpisodeOfCare and CareTeam, as a plan file would make them."""
    await put(store, *_records(member, lead))


async def put_members(store: Store, members: Iterable[Member]) -> None:
    """All in one Change."""
    await put(store, *(one for member in members for one in _records(member, True)))


def _records(member: Member, lead: bool) -> list[dict[str, Any]]:
    key, who = member.key, member.reference
    return [
        patient(member),
        coverage(f"Coverage/{key}", who, "Organization/plan"),
        episode(f"EpisodeOfCare/{key}", who, member.organization, member.lead if lead else None),
        team(f"CareTeam/{key}", who, member.organization, *([member.lead] if lead else [])),
    ]


async def _world(store: Store) -> dict[str, str]:
    await put(store, *(make(f"Organization/{o}", name=f"{o.title()} Made-up", active=True) for o in ORGANIZATIONS))
    await put(store, make("Practitioner/ada", name=[{"family": "Adair"}]), make("Practitioner/ben"))
    for member in (ROSA, LUIS):
        await put_member(store, member)
    await store.commit(Change(statements=[sources.put(SOURCE)]))
    return {name: await access_token(store, *facts) for name, facts in CLIENTS.items()}


def write_world(url: str) -> dict[str, str]:
    """Hospital, two ECM providers, plan, CBO, two members with their lead care managers; a token for each CLIENTS."""
    return look(url, _world)


@dataclass(frozen=True)
class Cast:
    """Two members of their own for one test, so that tests can share a running service: ours and a foreign one.

    tokens: ada and ben (their lead care managers), south (ben's organization), cbo, mercy, plan, admin.
    """

    rosa: Member
    luis: Member
    tokens: dict[str, str]


_CASTS = iter(range(1, 99_999))


def cast(url: str, tokens: dict[str, str]) -> Cast:
    """Writes a new pair of members with lead care managers beside the running service."""
    number = next(_CASTS)
    surname = "".join(chr(97 + int(digit)) for digit in f"{number:05d}")
    rosa = replace(
        ROSA, key=f"rosa-{number}", cin=f"92{number:06d}A", family=f"Quill{surname}", lead=f"Practitioner/ada-{number}"
    )
    luis = replace(
        LUIS, key=f"luis-{number}", cin=f"93{number:06d}A", family=f"Bram{surname}", lead=f"Practitioner/ben-{number}"
    )

    async def write(store: Store) -> dict[str, str]:
        made: dict[str, str] = {}
        for name, member in (("ada", rosa), ("ben", luis)):
            await put(store, make(member.lead, name=[{"family": "Adair"}]))
            await put_member(store, member)
            made[name] = await access_token(store, "lcm", member.organization, member.lead)
        return made

    return Cast(rosa, luis, {**tokens, **look(url, write)})


def adt(
    event: str, member: Mapping[str, Any] = ROSA.said, *, ago: float = 60, visit: str = "V1", **fields: Any
) -> bytes:
    """An ADT message of Mercy of what happened `ago` minutes ago, sent at once; its control id is new by default."""
    at = now_us() - int(ago * MINUTE)
    fields = {"control_id": f"C{time.time_ns()}", "at_us": at + 1_000_000, "occurred_us": at, **fields}
    return er7(event, member, HOSPITAL, visit_number=visit, **fields)
