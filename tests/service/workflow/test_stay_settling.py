"""What is decided otherwise than by a message: a person's word about a match, silence, a death without a stay."""

from typing import Any

import pytest

from service.access.context import Context
from service.caller import system_caller
from service.store import matches
from service.store.change import Change, Job
from service.store.engine import Store
from service.workflow.stay_silence import settle_silent
from tests.frozen_clock import FrozenClock
from tests.scenarios.adt_truth import resources
from tests.service.adt_world import Sender, adt_world, said
from tests.service.world import LCM1, LCM2

POSTGRESQL_IN_DEEP = True
DAY_US = 86_400_000_000


@pytest.fixture
async def send(store: Store) -> Sender:
    await adt_world(store)
    return Sender(store)


async def told(store: Store) -> list[dict[str, Any]]:
    found = (await resources(store, "Communication")).values()
    return [c for c in found if c["id"].startswith("al-")]


async def settle(send: Sender, stay: str) -> None:
    await send.store.commit(Change(jobs=[Job("adt.settle", {"stay": stay})]))
    await send.worker.drain()


async def test_a_person_corrects_a_match_and_the_stay_finds_its_home(store: Store, send: Sender) -> None:
    await send(send.adt("A01"))
    [stay] = await resources(store, "Encounter")
    word = matches.decide(
        matches.stay_subject(stay), "Patient/luis", matches.SAME, by="sup", now_us=store.clock.now_us(), review=None
    )
    await store.commit(Change(statements=word))
    await settle(send, stay)
    encounters = (await resources(store, "Encounter")).values()
    assert {(e["subject"]["reference"], e["status"]) for e in encounters} == {
        ("Patient/rosa", "entered-in-error"),
        ("Patient/luis", "in-progress"),
    }
    assert {(c["recipient"][0]["reference"], c["status"]) for c in await told(store)} == {
        (LCM1, "entered-in-error"),
        (LCM2, "completed"),
    }
    # Later messages follow the decision; decided again nothing changes.
    states = await send(send.adt("A03", ago=20, disposition="01"))
    assert states[-1][0] == "applied"
    [his] = [e for e in (await resources(store, "Encounter")).values() if e["status"] != "entered-in-error"]
    assert (his["subject"]["reference"], his["status"]) == ("Patient/luis", "finished")
    before = [tuple(r) for r in await store.fetch("SELECT max(vid) FROM version")]
    await settle(send, his["id"])
    assert [tuple(r) for r in await store.fetch("SELECT max(vid) FROM version")] == before


async def test_nobody_of_ours_takes_all_back(store: Store, send: Sender) -> None:
    await send(send.adt("A01"))
    [stay] = await resources(store, "Encounter")
    word = matches.decide(
        matches.stay_subject(stay), "", matches.NOBODY, by="sup", now_us=store.clock.now_us(), review=None
    )
    await store.commit(Change(statements=word))
    await settle(send, stay)
    assert [e["status"] for e in (await resources(store, "Encounter")).values()] == ["entered-in-error"]
    assert [c["status"] for c in await told(store)] == ["entered-in-error"]
    assert (await send())[0][0] == "unmatched"


async def test_a_stay_without_a_word_is_unknown_until_the_next_one(
    store: Store, send: Sender, clock: FrozenClock
) -> None:
    await send(send.adt("A04", patient_class="E"))
    alerts = len(await told(store))
    clock.advance(3 * DAY_US)
    change = await settle_silent(Context(store, system_caller(), store.clock.now_us()), {})
    assert [job.kind for job in change.jobs] == ["adt.settle"]
    await store.commit(change)
    await send.worker.drain()
    [encounter] = (await resources(store, "Encounter")).values()
    assert encounter["status"] == "unknown"
    assert encounter["extension"][0]["url"].endswith("enlace-closed-by-timeout")
    assert len(await told(store)) == alerts
    await send(send.adt("A08", patient_class="E", ago=1))
    [encounter] = (await resources(store, "Encounter")).values()
    assert encounter["status"] == "arrived"


async def test_a_death_without_a_stay_is_told_once(store: Store, send: Sender) -> None:
    dead = send.adt("A31", ago=60, PID_30="Y")
    assert await send(dead, send.adt("A31", ago=50, PID_30="Y")) == [("applied", "matched")] * 2
    [alert] = await told(store)
    assert alert["recipient"][0]["reference"] == LCM1
    assert "encounter" not in alert and alert["about"] == [{"reference": "Patient/rosa"}]
    await send(send.adt("A31", ago=40, PID_30="N"))
    assert [c["status"] for c in await told(store)] == ["entered-in-error"]


async def test_test_traffic_leaves_the_real_stay_alone(store: Store, send: Sender) -> None:
    assert await send(send.adt("A01"), send.adt("A11", ago=5, processing_id="T")) == [
        ("applied", "matched"),
        ("ignored", "processing-id"),
    ]
    [encounter] = (await resources(store, "Encounter")).values()
    assert encounter["status"] == "in-progress"


async def test_a_purged_message_is_left_out(store: Store, send: Sender) -> None:
    await send(send.adt("A01", said(cin="", family="Stranger", mrn="S1", birth_date="1955-01-09")))
    [(stay,)] = [tuple(r) for r in await store.fetch("SELECT stay FROM stay_event")]
    await store.db.execute("UPDATE stay_event SET event = '' RETURNING stay")
    await settle(send, stay)
    assert await resources(store, "Encounter") == {}
