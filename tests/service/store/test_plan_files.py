"""The bytes of plan files, and how a row's records are found: by identifier, by claim, by patient."""

from collections.abc import AsyncIterator

import pytest

from service.access.new_version import deletion, new_version
from service.store import plan_files
from service.store.change import ABSENT, Change, Claim
from service.store.engine import Store, open_store
from tests.frozen_clock import FrozenClock

SYSTEM = "https://enlace.example.org/fhir/NamingSystem/medi-cal-cin"
ORG = "Organization/plan-1"


@pytest.fixture
async def store(database_url: str, clock: FrozenClock) -> AsyncIterator[Store]:
    opened = await open_store(database_url, clock)
    yield opened
    await opened.close()


async def put(store: Store, resource: dict[str, object], expect: int = ABSENT, *claims: Claim) -> None:
    org = store.keys.resource(ORG)
    write = new_version(resource, expect, store.keys, source_org=org, now_us=store.clock.now_us())
    await store.commit(Change(writes=[write], claims=list(claims)))


def patient(fhir_id: str, cin: str = "90000001A") -> dict[str, object]:
    return {"resourceType": "Patient", "id": fhir_id, "identifier": [{"system": SYSTEM, "value": cin}]}


def key(store: Store, cin: str = "90000001A") -> int:
    return store.keys.token("Patient", "identifier", SYSTEM, cin)


async def test_a_file_is_kept_and_found_by_its_hash(store: Store) -> None:
    facts = {"kind": "member-information", "plan": ORG, "filename": "a.csv", "received_us": 1}
    for number, digest in (("f1", b"1" * 32), ("f2", b"2" * 32)):
        await store.commit(Change(statements=[plan_files.receive(number, digest=digest, content=b"\0\xff", **facts)]))  # type: ignore[arg-type]
    (found,) = await plan_files.same_files(store, "member-information", ORG, b"1" * 32)
    assert (found.id, found.state, found.report) == ("f1", "received", "")
    assert await plan_files.same_files(store, "member-information", "Organization/other", b"1" * 32) == []
    assert bytes((await store.fetch("SELECT content FROM plan_file WHERE id = 'f1'"))[0][0]) == b"\0\xff"


async def test_the_first_report_stays(store: Store) -> None:
    row = plan_files.receive("f1", kind="k", plan=ORG, filename="a", digest=b"1", received_us=1, content=b"")
    await store.commit(Change(statements=[row]))
    for state, report in (("failed", "{}"), ("done", '{"n":1}'), ("done", '{"n":2}')):
        await store.commit(Change(statements=[plan_files.finish("f1", state, report)]))
    (found,) = await plan_files.same_files(store, "k", ORG, b"1")
    assert (found.state, found.report) == ("done", '{"n":1}')


async def test_bearers_come_with_the_holder_of_the_claim_first_then_by_age(store: Store) -> None:
    claim = store.keys.of("cin", "90000001A")
    await put(store, patient("p1"))
    await put(store, patient("p2"))
    await put(store, patient("p3"), ABSENT, Claim(claim, store.keys.resource("Patient/p3")))
    await put(store, patient("p9", "90000009A"))
    await put(store, patient("p1") | {"gender": "female"}, 1)
    found = await plan_files.bearers(store, "Patient", key(store), claim)
    assert [(b.reference, b.version, b.claimed) for b in found] == [
        ("Patient/p3", 1, True),
        ("Patient/p1", 2, False),
        ("Patient/p2", 1, False),
    ]
    assert found[0].source_org == store.keys.resource(ORG)
    assert await plan_files.bearers(store, "Practitioner", key(store), claim) == []


async def test_a_deleted_holder_is_still_found_by_its_claim(store: Store) -> None:
    claim = store.keys.of("cin", "90000001A")
    await put(store, patient("p1"), ABSENT, Claim(claim, store.keys.resource("Patient/p1")))
    await store.commit(Change(writes=[deletion("Patient", "p1", 1, patient=None, source_org=0)]))
    (found,) = await plan_files.bearers(store, "Patient", key(store), claim)
    assert (found.deleted, found.body, found.version) == (True, None, 2)


async def test_the_epoch_of_a_bearer_is_read_with_it(store: Store) -> None:
    await put(store, patient("p1"))
    subject = store.keys.resource("Patient/p1")
    assert (await plan_files.bearers(store, "Patient", key(store)))[0].epoch == 0
    await store.commit(Change(bump_epochs={subject}))
    assert (await plan_files.bearers(store, "Patient", key(store)))[0].epoch == 1


async def test_records_are_the_current_ones_of_the_patient_oldest_first(store: Store) -> None:
    me, other = {"reference": "Patient/p1"}, {"reference": "Patient/p2"}
    payor = [{"reference": ORG}]
    await put(store, {"resourceType": "CareTeam", "id": "t1", "subject": me})
    await put(store, {"resourceType": "Coverage", "id": "c1", "status": "active", "beneficiary": me, "payor": payor})
    await put(store, {"resourceType": "Coverage", "id": "c2", "status": "active", "beneficiary": other, "payor": payor})
    await put(store, {"resourceType": "EpisodeOfCare", "id": "e1", "status": "active", "patient": me})
    await put(store, {"resourceType": "EpisodeOfCare", "id": "e2", "status": "active", "patient": me})
    await put(store, {"resourceType": "Task", "id": "x", "status": "requested", "intent": "order", "for": me})
    await put(store, {"resourceType": "CareTeam", "id": "t1", "subject": me, "name": "Team"}, 1)
    await store.commit(Change(writes=[deletion("EpisodeOfCare", "e2", 1, patient=None, source_org=0)]))
    found = await plan_files.records(store, store.keys.resource("Patient/p1"))
    assert [(r.fhir_id, r.version) for r in found] == [("t1", 2), ("c1", 1), ("e1", 1)]


async def test_an_organization_by_its_id(store: Store) -> None:
    await put(store, {"resourceType": "Organization", "id": "o1", "name": "Valley Plan"})
    body = await plan_files.organization(store, "o1")
    assert body is not None and b"Valley Plan" in body
    assert await plan_files.organization(store, "o2") is None
