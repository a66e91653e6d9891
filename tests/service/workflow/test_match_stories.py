"""Matching as people live it, messages in and alerts out: a member added late, numbers that come later, corrections."""

from typing import Any

import pytest

from service.access.context import Context
from service.caller import system_caller
from service.store import reviews
from service.store.change import Change
from service.store.engine import Store
from service.workflow import match_reviews
from service.workflow.steps import Step, run_after
from tests.scenarios.adt_truth import resources
from tests.service.adt_world import Sender, adt_world, member, said
from tests.service.world import ECM1, LCM1


@pytest.fixture
async def send(store: Store) -> Sender:
    await adt_world(store)
    return Sender(store)


def context(store: Store) -> Context:
    return Context(store, system_caller(), store.clock.now_us())


async def joins(send: Sender, key: str, who: dict[str, Any]) -> None:
    """A member comes onto the roster, with the jobs that the write of a Patient leaves behind."""
    await member(send.store, key, who, LCM1, ECM1)
    step = Step(context(send.store), "create", (await resources(send.store, "Patient"))[key], None, Change())
    await run_after(step)
    await send.store.commit(step.change)
    await send.worker.drain()


async def alerts(store: Store) -> list[tuple[str, str]]:
    """(member, status) of what was told, in the order of members."""
    found = (await resources(store, "Communication")).values()
    return sorted((c["subject"]["reference"], c["status"]) for c in found if not c.get("inResponseTo"))


async def encounters(store: Store) -> list[tuple[str, str]]:
    found = (await resources(store, "Encounter")).values()
    return sorted((e["subject"]["reference"], e["status"]) for e in found)


async def test_a_member_who_is_added_after_the_admission_is_found_in_hospital(store: Store, send: Sender) -> None:
    late = said("91000007A", "Thistledown")
    assert await send(send.adt("A01", late)) == [("unmatched", "no-candidate")]
    await joins(send, "late", late)
    assert (await send())[0] == ("applied", "matched-later")
    assert await encounters(store) == [("Patient/late", "in-progress")]
    assert [who for who, _ in await alerts(store)] == ["Patient/late"]


async def test_a_card_that_comes_with_an_update_of_the_person_lets_the_stay_match(store: Store, send: Sender) -> None:
    """A01 with too little, then A31 (no stay) with the card: known by the hospital's number."""
    little = said(cin="", mrn="NEW", phone="")
    assert (await send(send.adt("A01", little, ago=70)))[0] == ("unmatched", "demographics-insufficient")
    await send(send.adt("A31", said(mrn="NEW"), ago=60))
    assert (await send())[0] == ("applied", "matched-later")
    assert await encounters(store) == [("Patient/rosa", "in-progress")]


async def test_merged_numbers_let_the_stay_match(store: Store, send: Sender) -> None:
    await send(send.adt("A01", said(mrn="OLD"), ago=90, visit_number="V1"))
    little = said(cin="", mrn="NEW", phone="")
    await send(send.adt("A01", little, ago=70, visit_number="V2"))
    assert (await send())[1][0] == "unmatched"
    merge = send.adt("A40", said(cin="", mrn="NEW", phone=""), retired="OLD")
    await send(merge)
    assert (await send())[1] == ("applied", "matched-later")


async def test_what_two_people_take_back_is_retracted_and_what_they_link_is_told(store: Store, send: Sender) -> None:
    await send(send.adt("A01"))
    assert [status for _, status in await alerts(store)] == ["completed"]
    [stay] = await resources(store, "Encounter")
    await store.commit(await match_reviews.not_my_member(context(store), stay, "Patient/rosa", "lcm"))
    await send.worker.drain()
    assert [status for _, status in await alerts(store)] == ["completed"], "one person takes nothing back"
    [review] = await reviews.listed(store, "open", 9)
    await store.commit(await match_reviews.second(context(store), review.id, "sam"))
    await send.worker.drain()
    assert await alerts(store) == [("Patient/rosa", "entered-in-error")]
    assert await encounters(store) == [("Patient/rosa", "entered-in-error")]
    await store.commit(await match_reviews.decide_stay(context(store), stay, "link", "Patient/luis", "sam"))
    await store.commit(await match_reviews.decide_stay(context(store), stay, "link", "Patient/luis", "pat"))
    await send.worker.drain()
    assert await encounters(store) == [("Patient/luis", "in-progress"), ("Patient/rosa", "entered-in-error")]
    assert ("Patient/luis", "completed") in await alerts(store)


async def test_a_contradiction_opens_a_review_and_two_people_close_it(store: Store, send: Sender) -> None:
    """Rosa's name under Luis's card."""
    await send(send.adt("A01", said(cin="91000002A", birth_date="1961-02-03")))
    [review] = await reviews.listed(store, "open", 9)
    assert review.reason == "cin-conflict" and await alerts(store) == []
    for by in ("pat", "sam"):
        await store.commit(await match_reviews.decide(context(store), review.id, "link", "Patient/rosa", by))
    await send.worker.drain()
    assert await encounters(store) == [("Patient/rosa", "in-progress")]
    assert await reviews.count(store, "open") == 0
    await send(send.adt("A03", said(cin="91000002A", birth_date="1961-02-03"), ago=10, disposition="01"))
    assert await encounters(store) == [("Patient/rosa", "finished")], "later messages of the stay follow the decision"
