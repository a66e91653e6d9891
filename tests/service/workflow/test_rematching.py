"""What waits for a member is found when the roster changes: by card, number, and surname with birth date."""

from typing import Any

import pytest

from fhir_profiles import Resource
from mappers.hl7v2.event import AdtEvent, Identifier
from service.store.change import Change
from service.store.engine import Store
from service.store.together import current
from service.store.waiting_terms import put
from service.workflow.match_reviews import opened
from service.workflow.rematching import AGAIN_US, rematch, roster_changed
from service.workflow.steps import Step
from tests.service.adt_world import CIN_SYSTEM
from tests.service.workflow.match_world import AT_MERCY, CIN, STAY, ask, context, keep, member, mrn, said

POSTGRESQL_IN_DEEP = True


async def waits(store: Store, event: AdtEvent) -> None:
    found = await ask(store, event)
    assert found.patient_ref is None
    await keep(store, event, 1)
    await store.commit(Change(statements=opened(context(store), STAY, 1, "mercy", found)))


async def found(store: Store, payload: dict[str, Any]) -> list[dict[str, Any]]:
    return [job.payload for job in (await rematch(context(store), payload)).jobs]


@pytest.mark.parametrize(
    "event",
    [
        said(cins=(CIN,)),
        said(),
        said(ids=(Identifier("rosa", "", "ENLACE", "PI"),)),
        said(ids=(Identifier("77", "urn:oid:1.2.3", "MERCY", "MR"),), birth_date="1951-01-01"),
    ],
    ids=["card", "surname and birth date", "panel id", "number that the record bears"],
)
async def test_a_new_member_finds_what_waits(store: Store, event: AdtEvent) -> None:
    await waits(store, event)
    held = [{"system": "urn:oid:1.2.3", "value": "77"}, {"system": CIN_SYSTEM, "value": CIN}]
    rosa = await member(store, identifier=held)
    assert await found(store, {"patient": rosa}) == [{"stay": STAY}]
    other = await member(store, "other", "91000002A", birthDate="1999-09-09")
    assert await found(store, {"patient": other}) == []
    assert await found(store, {"patient": "Patient/none"}) == []


async def test_a_number_that_became_known_finds_what_waits_under_it(store: Store) -> None:
    await waits(store, said(ids=(mrn("7"),)))
    assert await found(store, {"number": [AT_MERCY, "7"]}) == [{"stay": STAY}]
    assert await found(store, {"number": [AT_MERCY, "8"]}) == []


async def test_what_is_matched_by_now_waits_no_more(store: Store) -> None:
    await waits(store, said(cins=(CIN,)))
    rosa = await member(store)
    await store.db.execute("UPDATE inbox SET state = 'applied'")
    assert await found(store, {"patient": rosa}) == []


async def test_a_message_in_hand_is_looked_for_once_more(store: Store) -> None:
    """It may be decided on the roster as it was, and is not unmatched yet."""
    rosa = await member(store)
    await store.db.execute(
        "INSERT INTO job (id, queue, kind, ordering_key, due_us, state, lease, attempts, payload, last_error) "
        "VALUES (1, 'adt', 'adt.apply', '', 0, 'leased', 1, 1, '{}', '')"
    )
    [again] = (await rematch(context(store), {"patient": rosa})).jobs
    assert (again.kind, again.payload) == ("adt.rematch", {"patient": rosa, "again": True})
    assert again.due_us == store.clock.now_us() + AGAIN_US
    assert await found(store, again.payload) == []


async def test_a_message_that_ends_between_two_looks_is_not_missed(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    rosa = await member(store)
    await store.db.execute(
        "INSERT INTO job (id, queue, kind, ordering_key, due_us, state, lease, attempts, payload, last_error) "
        "VALUES (1, 'adt', 'adt.apply', '', 0, 'leased', 1, 1, '{}', '')"
    )
    store_fetch, left = store.db.fetch, [1]

    async def fetched(sql: str, params: tuple[Any, ...] = (), **how: Any) -> Any:
        rows = await store_fetch(sql, params, **how)
        if current() is None and ("'leased'" in sql or "'unmatched'" in sql) and left:
            left.clear()
            await keep(store, said(cins=(CIN,)), 1)
            await store.commit(Change(statements=put(store, 1, [("wait", "cin", CIN, "")])))
            await store.db.execute("UPDATE job SET state = 'done'")
        return rows

    monkeypatch.setattr(store.db, "fetch", fetched)
    assert (await rematch(context(store), {"patient": rosa})).jobs and not left


PERSON: Resource = {"resourceType": "Patient", "id": "rosa", "birthDate": "1980-05-17"}


@pytest.mark.parametrize(
    ("old", "new", "jobs"),
    [
        (None, PERSON, 1),
        (PERSON, PERSON | {"birthDate": "1980-05-18"}, 1),
        (PERSON, PERSON | {"telecom": [{"system": "phone", "value": "916-555-0100"}]}, 1),
        (PERSON, PERSON | {"maritalStatus": {"text": "?"}, "meta": {"versionId": "2"}}, 0),
    ],
)
async def test_only_what_people_are_known_by_counts(store: Store, old: Resource, new: Resource, jobs: int) -> None:
    step = Step(context(store), "update" if old else "create", new, old, Change())
    await roster_changed(step)
    assert [job.payload for job in step.change.jobs] == [{"patient": "Patient/rosa"}] * jobs
