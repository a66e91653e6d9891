"""Which rights a person from an identity provider has: B12 of ../shared/facts/security.md 1.5, on both engines."""

from typing import Any

import pytest

from service.auth import identities as rules
from service.auth.accounts import ROLES, Acting, may_act, offered
from service.auth.identities import BadIdentity, new_provider
from service.auth.login import session_of, sign_in_person
from service.auth.sealing import SealBroken, seal, unseal
from service.caller import Role
from service.store import identities
from service.store.change import Change
from service.store.engine import Store
from service.store.identities import Provider
from tests.frozen_clock import FrozenClock
from tests.service.world import change_of, make, put, ref

POSTGRESQL_IN_DEEP = True

SYSTEM = "https://enlace.example.org/fhir/CodeSystem/team-role"
ANA, ECM, BRANCH, CBO = "Practitioner/ana", "Organization/e", "Organization/branch", "Organization/c"
KEY = b"k" * 64


def role(fhir_id: str, organization: str, code: str = "lead-care-manager", **more: Any) -> dict[str, Any]:
    facts = {"practitioner": ref(ANA), "organization": ref(organization), "active": True}
    return make(f"PractitionerRole/{fhir_id}", code=[{"coding": [{"system": SYSTEM, "code": code}]}], **facts | more)


async def directory(store: Store) -> Provider:
    """Ana is lead care manager of the branch, which is part of the ECM provider; the CBO is another organization."""
    organizations = [make(ECM, name="Ecm"), make(BRANCH, name="Branch", partOf=ref(ECM)), make(CBO, name="Cbo")]
    await put(store, make(ANA), *organizations, role("r1", BRANCH), role("r2", CBO))
    return Provider("p", "https://login.example", "P", ECM, "enlace", roles="lcm", created_us=1)


async def changed(store: Store, resource: dict[str, Any], expect: int = 1) -> None:
    await store.commit(change_of(store, resource, expect=expect))


async def test_b12_a_provider_speaks_for_its_organization_and_its_parts(store: Store, clock: FrozenClock) -> None:
    provider = await directory(store)
    now = clock.now_us()
    assert await may_act(store, provider, ANA, now) == [Acting(BRANCH, Role.LCM, (ECM,), "Branch")]
    other = Provider("q", "https://login.example", "Q", CBO, "enlace")
    assert [one.organization for one in await may_act(store, other, ANA, now)] == [CBO]
    assert await may_act(store, provider, "Practitioner/nobody", now) == []


@pytest.mark.parametrize(
    "end",
    [
        role("r1", BRANCH, active=False),
        role("r1", BRANCH, period={"end": "2000-01-01"}),
        role("r1", BRANCH, period={"start": "2999-01-01"}),
        role("r1", BRANCH, practitioner=ref("Practitioner/ben")),
        role("r1", BRANCH, code="pharmacist"),
        role("r1", BRANCH, code="ecm-director"),
        make(ANA, active=False),
        make(BRANCH, active=False, partOf=ref(ECM)),
        make(BRANCH),
        make(ECM, active=False),
    ],
)
async def test_what_ends_rights(store: Store, clock: FrozenClock, end: dict[str, Any]) -> None:
    """The director's role is not among those of this provider: its organization cannot give it by its directory."""
    provider = await directory(store)
    await changed(store, end)
    assert await may_act(store, provider, ANA, clock.now_us()) == []


async def test_a_session_lives_as_long_as_its_rights(store: Store, clock: FrozenClock) -> None:
    provider = await directory(store)
    await rules.add_provider(store, provider)
    account = await rules.bind(store, provider, "ana-at-work", ANA)
    (acting,) = await may_act(store, provider, ANA, clock.now_us())
    cookie, change = sign_in_person("production", account, acting, clock.now_us())
    await store.commit(change)

    async def alive() -> bool:
        return await session_of(store, cookie, "production", clock.now_us()) is not None

    session = await session_of(store, cookie, "production", clock.now_us())
    assert session is not None and session.provider is not None and session.account == account.id
    caller = session.caller
    assert (caller.client_id, caller.role, caller.organization, caller.person) == ("pages", "lcm", BRANCH, ANA)
    assert caller.above == (ECM,) and caller.allows("u", "Task")
    await changed(store, role("r1", BRANCH, active=False))
    assert not await alive()
    await changed(store, role("r1", BRANCH), 2)
    assert await alive()
    await rules.bind(store, provider, "ana-at-work", "Practitioner/ben")
    assert not await alive()
    await rules.bind(store, provider, "ana-at-work", ANA)
    assert await alive()
    await rules.remove(store, provider, "ana-at-work")
    assert not await alive()


async def test_a_deleted_person_or_organization_has_no_session(store: Store, clock: FrozenClock) -> None:
    provider = await directory(store)
    gone = make(BRANCH)
    write = change_of(store, gone, expect=1).writes[0]
    from dataclasses import replace

    await store.commit(Change(writes=[replace(write, resource=None, hole=(b"", b""))]))
    assert await may_act(store, provider, ANA, clock.now_us()) == []


def test_roles_are_one_organization_and_one_role_each() -> None:
    """Two codes are two choices; codes of other systems and organizations that are elsewhere give nothing."""
    both = role("r", ECM) | {"code": [{"coding": [{"system": SYSTEM, "code": c}]} for c in ("peer", "ecm-director")]}
    allowed = {"lcm", "ecm-provider", "cbo"}
    assert offered([both], ANA, allowed, 0) == [(ECM, Role.ECM_PROVIDER), (ECM, Role.LCM)]
    assert offered([both], ANA, {"lcm"}, 0) == [(ECM, Role.LCM)] and offered([both], ANA, (), 0) == []
    for bad in (
        role("r", ECM) | {"code": [{"coding": [{"system": "http://other", "code": "peer"}]}]},
        role("r", ECM) | {"code": [{"text": "lead-care-manager"}]},
        role("r", "https://elsewhere.example/Organization/e"),
        {"resourceType": "PractitionerRole", "practitioner": ref(ANA)},
    ):
        assert offered([bad], ANA, allowed, 0) == []


def test_every_code_of_the_table_exists() -> None:
    from tests.fhir_profiles.test_artefacts import codes

    assert set(ROLES) <= codes("team-role")


def test_secrets_open_in_their_place_only() -> None:
    sealed = seal(KEY, "row/a", b"secret")
    assert b"secret" not in sealed and unseal(KEY, "row/a", sealed) == b"secret"
    assert seal(KEY, "row/a", b"secret") != sealed
    for key, purpose, text in ((KEY, "row/b", sealed), (b"j" * 64, "row/a", sealed), (KEY, "row/a", sealed[:-1] + b"x"),
                               (KEY, "row/a", b"")):  # fmt: skip
        with pytest.raises(SealBroken):
            unseal(key, purpose, text)


async def test_registering_says_all_problems_at_once(store: Store, clock: FrozenClock) -> None:
    facts: dict[str, Any] = {"key": KEY, "now_us": 1}
    with pytest.raises(BadIdentity) as refused:
        new_provider("p", name=" ", issuer="http://x", organization="x", client_id="", roles=["admin"], **facts)
    assert len(refused.value.problems) == 5
    provider = await directory(store)
    await rules.add_provider(store, provider)
    with pytest.raises(BadIdentity, match="enlace identity disable"):
        await rules.add_provider(store, Provider("p2", provider.issuer, "P", ECM, "enlace"))
    for subject, person in (("", ANA), ("a\n", ANA), ("a", "Patient/ana"), ("a" * 256, ANA)):
        with pytest.raises(BadIdentity):
            await rules.bind(store, provider, subject, person)
    with pytest.raises(BadIdentity, match="enlace identity people"):
        await rules.remove(store, provider, "nobody")
    await rules.bind(store, provider, "one", ANA)
    await rules.disable(store, provider)
    with pytest.raises(BadIdentity, match="enlace identity list"):
        await rules.named(store, "P")
    assert (await rules.named(store, "p")).active is False
    assert [one.subject for one in await identities.accounts(store, "p")] == ["one"]
    rows = await store.fetch("SELECT kind, target FROM audit WHERE kind LIKE 'identity%' ORDER BY slot, seq")
    assert [kind for kind, _ in rows] == ["identity-add", "identity-person", "identity-disable"]
