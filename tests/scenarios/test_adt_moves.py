"""Stays whose number or person changes, through the database: in any order they end as their pathway says."""

import random

import pytest

from mappers.hl7v2.simulate_faults import faulty
from mappers.hl7v2.simulate_pathways import pathways, tell
from service.access.context import Settings
from service.interactions.receive_hl7v2 import Receiver
from service.store.engine import open_store
from service.worker import Worker
from tests.scenarios.adt_truth import check_expected, check_told_once
from tests.service.adt_world import HOSPITAL, adt_world, luis, said
from tests.service.world import LCM1, LCM2

NAMES = ("visit-renumbered", "visit-of-another", "records-merged", "hospital-to-hospital")
WEST = {**HOSPITAL, "name": "Other"}


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("order", range(4))
async def test_a_stay_that_changes_number_or_person(sqlite_url: str, name: str, order: int) -> None:
    store = await open_store(sqlite_url)
    await adt_world(store)
    rng = random.Random(order)
    story = tell(pathways()[name], rng, (said(), luis()), (HOSPITAL, WEST), store.clock.now_us() - 60_000_000, "K")
    sent = faulty(rng, story.messages, {"disorder"} if order else ())
    receiver, worker = Receiver(store), Worker(store, Settings())
    for one in sent:
        assert await receiver.receive(one.payload)
        await worker.drain()
    await worker.drain()
    whose = {said()["cin"]: "Patient/rosa", luis()["cin"]: "Patient/luis"}
    await check_expected(store, story.expected, whose, {"Patient/rosa": LCM1, "Patient/luis": LCM2})
    await check_told_once(store)
    await store.close()
