"""What a story is made of: who acts (Party), what happens (Step), whom it is about (Person), how it fails."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from service.caller import Role
from service.cli.seed.directory import CLINIC, Hospital
from service.cli.seed.directory import Party as Organization
from service.cli.seed.directory import Person as Professional

if TYPE_CHECKING:
    from service.cli.stories.stage import Stage


class StoryFailed(Exception):
    """What should have come did not: one sentence."""


class Stopped(StoryFailed):
    """The service was being stopped meanwhile: that is nobody's fault."""


@dataclass(frozen=True)
class Party:
    """A client of the service. client: its name in the seed. reference: the person or organization it acts for."""

    name: str
    role: Role
    client: str
    reference: str
    organization: str


@dataclass(frozen=True)
class Step:
    """who: a name. says: one plain sentence. act: does it, and waits for what must follow; several run in turn."""

    who: str
    says: str
    acts: tuple["Act", ...]


Act = Callable[["Stage"], Awaitable[None]]


def step(who: str, says: str, *acts: Act) -> Step:
    return Step(who, says, acts)


@dataclass(frozen=True)
class Person:
    """The made-up member; the family name, the day of birth and the CIN are new at every playing."""

    given: str
    gender: str
    age: int
    pofs: tuple[str, ...]
    homeless: bool = False
    language: str = "en"
    street: str = ""


@dataclass(frozen=True)
class Story:
    """status: in the plan's file, of ecm-engagement-status. last: what was shown, in a sentence."""

    title: str
    person: Person
    plan: Organization
    ecm: Organization
    manager: Professional
    hospital: Hospital
    steps: tuple[Step, ...]
    last: str
    status: str = "engaged-enrolled"


def manager(person: Professional) -> Party:
    return Party(person.name, Role.LCM, f"{person.slug}-lcm", person.reference, f"Organization/{person.organization}")


def organization(party: Organization, role: Role, suffix: str) -> Party:
    client = f"{party.slug.removeprefix('plan-')}-{suffix}"
    return Party(party.name, role, client, party.reference, party.reference)


def plan(party: Organization) -> Party:
    return organization(party, Role.MCP, "mcp")


def records(party: Organization) -> Party:
    """The record system of an ECM provider."""
    return organization(party, Role.ECM_PROVIDER, "ehr")


def cbo(party: Organization) -> Party:
    return organization(party, Role.CBO, "cbo")


CLINIC_SYSTEM = organization(CLINIC, Role.REFERRER, "referrer")
