"""Who a person is, for a notice: as what it would be let in now, under which names it stands in resources, its address.

PractitionerRoles in force (service/auth/accounts.py), and the clients registered for the person.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass

from fhir_profiles import Resource
from service.access import tripwire
from service.access.context import Context
from service.access.context import Settings as Behaviour
from service.auth.accounts import Acting, acts_by_directory, may_act
from service.auth.scopes import compile_allows
from service.caller import Caller, Role
from service.search.restriction import EVERYTHING
from service.store import identities, notice_preferences, read
from service.store.change import Stale
from service.store.credentials import place_now
from service.store.engine import Store
from service.store.read import Found
from service.store.together import each, together


@dataclass(frozen=True)
class Person:
    """resource: the Practitioner. callers: as whom it may look, one for each organization and role."""

    reference: str
    resource: Resource
    callers: tuple[Caller, ...]
    names: frozenset[str]
    """Itself and its PractitionerRoles, relative and absolute: under these a resource names it."""


@dataclass(frozen=True)
class Seen:
    """What the person would be shown of a target, and as what."""

    found: Found
    caller: Caller


async def practitioner_of(store: Store, reference: str) -> str:
    """The Practitioner of a PractitionerRole, itself where it is one; "" for all else."""
    if reference.startswith("Practitioner/"):
        return reference
    role = await _resource(store, reference) if reference.startswith("PractitionerRole/") else None
    named = str(((role or {}).get("practitioner") or {}).get("reference") or "")
    return named if named.startswith("Practitioner/") else ""


async def person(store: Store, reference: str, now_us: int, base_url: str) -> Person | None:
    """None where there is no such active Practitioner."""
    found, bodies, callers = await together(
        store,
        _resource(store, reference),
        identities.practitioner_roles(store, store.keys, reference),
        _callers(store, reference, now_us),
    )
    if found is None or found.get("active") is False:
        return None
    names = {reference, *(f"PractitionerRole/{json.loads(body)['id']}" for body in bodies)}
    return Person(reference, found, tuple(callers), frozenset(names | {f"{base_url}/{name}" for name in names}))


async def sees(store: Store, who: Person, target: str, behaviour: Behaviour, now_us: int) -> Seen | None:
    """The target as the person would read it now, in the first role in which it may. Both walls decide."""
    for caller in who.callers:
        if not caller.allows("r", target.partition("/")[0]):
            continue
        ctx = Context(store, caller, now_us, behaviour, "notice")
        for ctx.again in (False, True):
            try:
                found = await ctx.head(target)
                if found is not None:
                    await tripwire.check_found(ctx, [found])
                    return Seen(found, caller)
                break
            except Stale:  # a right moved between the two looks
                ctx.at(store.clock.now_us())
    return None


async def seen_of(
    store: Store, who: Person, references: Sequence[str], behaviour: Behaviour, now_us: int
) -> frozenset[str]:
    """Those of the references that the person would read now, in any role. Both walls decide."""
    shown = set[str]()
    for caller in who.callers:
        wanted = [one for one in references if caller.allows("r", one.partition("/")[0])]
        ctx = Context(store, caller, now_us, behaviour, "notice")
        for ctx.again in (False, True):
            try:
                found = await read.heads(store, wanted, ctx.readable()) if wanted else {}
                await tripwire.check_found(ctx, list(found.values()))
                shown |= {one for one, head in found.items() if head.body is not None}
                break
            except Stale:  # a right moved between the two looks
                ctx.at(store.clock.now_us())
    return frozenset(shown)


async def _callers(store: Store, reference: str, now_us: int) -> Sequence[Caller]:
    found: dict[tuple[str, Role], Caller] = {}
    several, clients = await together(
        store, _acting(store, reference, now_us), notice_preferences.clients_of(store, reference)
    )
    places = await each(store, [place_now(store, own.organization, reference) for own in clients])
    for acting in several:
        caller = Caller(
            client_id="enlace",
            role=acting.role,
            organization=acting.organization,
            person=reference,
            scopes="user/*.rs",
            allows=compile_allows("user/*.rs"),
            above=acting.above,
        )
        found[caller.organization, caller.role] = caller
    for own, (active, person_active, above) in zip(clients, places, strict=True):
        if active and person_active and own.role in set(Role) - {Role.SYSTEM}:
            caller = Caller(
                client_id=own.id,
                role=Role(own.role),
                organization=own.organization,
                person=reference,
                scopes=own.scopes,
                allows=compile_allows(own.scopes),
                purpose=own.purpose,
                above=tuple(f"Organization/{one}" for one in above),
            )
            found.setdefault((caller.organization, caller.role), caller)
    return list(found.values())


async def _acting(store: Store, reference: str, now_us: int) -> Sequence[Acting]:
    """What the person could choose from at a sign-in through an account of its own; by the directory while it has none.

    Another provider of the organization may let in more than the person's own does.
    """
    accounts = await identities.accounts_of(store, reference)
    if not accounts:
        return await acts_by_directory(store, reference, now_us)
    found: set[Acting] = set()
    for account in accounts:
        provider = await identities.provider_by_id(store, account.provider) if account.active else None
        if provider is not None:
            found.update(await may_act(store, provider, reference, now_us))
    return sorted(found)


async def _resource(store: Store, reference: str) -> Resource | None:
    """As stored, for the service itself."""
    found = (await read.heads(store, [reference], EVERYTHING)).get(reference)
    stored: Resource | None = json.loads(found.body) if found is not None and found.body is not None else None
    return stored
