"""As whom a person is told: never as more than the person would be let in as at this moment."""

import pytest

from service.auth.accounts import bound
from service.auth.registration import insertion, new_client
from service.notify.persons import person
from service.store import identities
from service.store.change import Change, Statement
from service.store.credentials import suspend_client
from service.store.engine import Store
from service.store.identities import Provider
from tests.service.notify.notice_world import DIRECTOR, World, populate, role
from tests.service.world import BASE, ECM1, LCM1, LCM2, put

POSTGRESQL_IN_DEEP = True


@pytest.fixture
async def told(world: Store) -> World:
    return await populate(world)


def provider(fhir_id: str, roles: str) -> Provider:
    facts = {"issuer": f"https://{fhir_id}.example.org", "name": fhir_id, "organization": ECM1, "client_id": "x"}
    return Provider(fhir_id, **facts, roles=roles)


async def commit(store: Store, *statements: Statement) -> None:
    await store.commit(Change(statements=list(statements)))


async def roles_of(told: World, reference: str) -> list[tuple[str, str]]:
    found = await person(told.store, reference, told.store.clock.now_us(), BASE)
    assert found is not None
    return sorted((one.client_id, str(one.role)) for one in found.callers)


async def test_a_suspended_client_of_a_person_is_nobody(told: World) -> None:
    facts = {"organization": "Organization/ecm-2", "role": "lcm", "scope": "user/*.cruds", "person": LCM2}
    client = new_client("two", name="two", now_us=told.store.clock.now_us(), **facts)
    await told.store.commit(insertion(client))
    assert await roles_of(told, LCM2) == [("two", "lcm")]
    await commit(told.store, suspend_client("two", told.store.clock.now_us()))
    assert await roles_of(told, LCM2) == []


async def test_another_provider_of_the_organization_gives_the_person_nothing(told: World) -> None:
    """One provider lets directors in, the person's own only care managers."""
    store, now = told.store, told.store.clock.now_us()
    narrow, wide = provider("narrow", "lcm"), provider("wide", "lcm ecm-provider")
    await put(store, role("lcm-1-too", LCM1, ECM1, "ecm-director"), source=ECM1)
    await commit(store, identities.insert_provider(narrow), identities.insert_provider(wide))
    await commit(store, identities.put_account(bound(narrow, "ana", LCM1, now)))
    assert await roles_of(told, LCM1) == [("enlace", "lcm")]
    await commit(store, identities.put_account(bound(wide, "ana", LCM1, now)))
    assert await roles_of(told, LCM1) == [("enlace", "ecm-provider"), ("enlace", "lcm")]
    await commit(store, identities.disable_provider("wide"))
    assert await roles_of(told, LCM1) == [("enlace", "lcm")]


async def test_who_has_not_signed_in_yet_counts_by_the_directory(told: World) -> None:
    await commit(told.store, identities.insert_provider(provider("wide", "lcm ecm-provider")))
    assert await roles_of(told, LCM1) == [("enlace", "lcm")]
    assert ("enlace", "ecm-provider") in await roles_of(told, DIRECTOR)
