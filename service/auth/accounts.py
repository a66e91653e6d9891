"""Which rights a person has who came through an identity provider: PractitionerRoles that are in force now; B12.

https://hl7.org/fhir/R4/practitionerrole.html ; read anew at each request, so that an ended role, an inactive person or
organization, a disabled provider act on the next one. One organization and one role at a time, never their union.
"""

import json
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from hashlib import sha256

from fhir_profiles import Resource
from service.caller import Role
from service.search.dates import MAX_US, MIN_US, parse
from service.search.restriction import EVERYTHING
from service.store import identities, read
from service.store.engine import Store
from service.store.identities import Account, Provider

TEAM_ROLE = "https://enlace.example.org/fhir/CodeSystem/team-role"
MOST_ABOVE = 8
"""Organizations above an organization that are looked at."""

ROLES = {
    "lead-care-manager": Role.LCM,
    "rn-cm": Role.LCM,
    "bh-cm": Role.LCM,
    "chw-promotor": Role.LCM,
    "peer": Role.LCM,
    "care-coordinator": Role.LCM,
    "clinical-consultant": Role.LCM,
    "ecm-director": Role.ECM_PROVIDER,
    "cbo-staff": Role.CBO,
    "housing-navigator": Role.CBO,
    "cs-specialist": Role.CBO,
}
"""Code of PractitionerRole.code -> role. Who works with members has the members assigned to the person (lcm); the
director has those of the organization. A code that is absent gives nothing: pharmacists, probation, caregivers."""
PERSONAL = (Role.LCM, Role.ECM_PROVIDER, Role.CBO)
"""Roles that a provider's people can have."""


@dataclass(frozen=True, order=True)
class Acting:
    """For whom and as what a person may act. above: organizations of which it is part, nearest first."""

    organization: str
    role: Role
    above: tuple[str, ...] = ()
    name: str = ""
    """Of the organization, for people."""

    @property
    def value(self) -> str:
        """What a form sends."""
        return f"{self.organization} {self.role}"


def account_id(provider: str, subject: str) -> str:
    """The one id of a subject at a provider."""
    return sha256(f"{provider}\0{subject}".encode()).hexdigest()[:32]


def bound(provider: Provider, subject: str, practitioner: str, now_us: int) -> Account:
    return Account(account_id(provider.id, subject), provider.id, subject, practitioner, True, now_us)


def offered(
    roles: Iterable[Resource], practitioner: str, allowed: Collection[str], now_us: int
) -> list[tuple[str, Role]]:
    """(organization, role) of the PractitionerRoles that are active now and whose code gives an allowed role."""
    found = {
        (str(_reference(one, "organization")), role)
        for one in roles
        if one.get("active") is not False and _reference(one, "practitioner") == practitioner and _now(one, now_us)
        for role in _roles(one)
        if role in allowed
    }
    return sorted(pair for pair in found if pair[0].startswith("Organization/"))


async def may_act(store: Store, provider: Provider, practitioner: str, now_us: int) -> list[Acting]:
    """What the person may choose from. Only for the provider's organization and those that are part of it."""
    if not provider.active or not await _standing(store, practitioner):
        return []
    bodies = await identities.practitioner_roles(store, store.keys, practitioner)
    allowed = frozenset(provider.roles.split()) & frozenset(PERSONAL)
    found = []
    for organization, role in offered(map(json.loads, bodies), practitioner, allowed, now_us):
        line = await _line(store, organization)
        references = tuple(f"Organization/{one['id']}" for one in line)
        if provider.organization in references:
            found.append(Acting(organization, role, references[1:], str(line[0].get("name") or "")))
    return found


async def acts_by_directory(store: Store, practitioner: str, now_us: int, *, every: bool = False) -> list[Acting]:
    """As what a person who is not here now would be let in: for notices. Where no provider speaks for the organization,
    its entries alone count, and only for the roles that see the least.

    every: whatever the directory says, where it only tells for whom the person works.
    """
    if not await _standing(store, practitioner):
        return []
    bodies = await identities.practitioner_roles(store, store.keys, practitioner)
    providers = [provider for provider in await identities.providers(store) if provider.active]
    found = []
    for organization, role in offered(map(json.loads, bodies), practitioner, PERSONAL, now_us):
        line = await _line(store, organization)
        references = tuple(f"Organization/{one['id']}" for one in line)
        speaking = [one for one in providers if one.organization in references]
        allowed = {name for one in speaking for name in one.roles.split()} if speaking else {Role.LCM, Role.CBO}
        if line and (every or role in allowed):
            found.append(Acting(organization, role, references[1:], str(line[0].get("name") or "")))
    return found


async def still_acts(store: Store, account_id: str, person: str, organization: str, role: str, now_us: int) -> bool:
    """Whether who came through this account may act for the organization in the role at this moment."""
    account = await identities.account_by_id(store, account_id)
    if account is None or not account.active or account.practitioner != person:
        return False
    provider = await identities.provider_by_id(store, account.provider)
    if provider is None:
        return False
    acting = await may_act(store, provider, person, now_us)
    return any((one.organization, one.role) == (organization, role) for one in acting)


async def _line(store: Store, organization: str) -> list[Resource]:
    """The organization and those above it, as far as they are active; empty where it is not there itself."""
    line: list[Resource] = []
    one, seen = organization, set[str]()
    while one.startswith("Organization/") and one not in seen and len(line) <= MOST_ABOVE:
        resource = await _standing(store, one)
        if resource is None:
            break
        line.append(resource)
        seen.add(one)
        one = _reference(resource, "partOf") or ""
    return line


async def _standing(store: Store, reference: str) -> Resource | None:
    """The resource, unless it was deleted or set inactive."""
    found = (await read.heads(store, [reference], EVERYTHING)).get(reference)
    if found is None or found.body is None:
        return None
    resource: Resource = json.loads(found.body)
    return None if resource.get("active") is False else resource


def _roles(resource: Resource) -> list[Role]:
    codings = [coding for concept in resource.get("code") or () for coding in concept.get("coding") or ()]
    return [ROLES[c["code"]] for c in codings if c.get("system") == TEAM_ROLE and c.get("code") in ROLES]


def _now(resource: Resource, now_us: int) -> bool:
    period = resource.get("period") or {}
    start, end = period.get("start"), period.get("end")
    return (parse(start)[0] if start else MIN_US) <= now_us < (parse(end)[1] if end else MAX_US)


def _reference(resource: Resource, element: str) -> str | None:
    value = resource.get(element)
    text = value.get("reference") if isinstance(value, dict) else None
    return text if isinstance(text, str) else None
