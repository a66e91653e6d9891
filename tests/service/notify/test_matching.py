"""From the outbox to what waits for subscriptions: whom a version may concern, once, whatever goes wrong."""

import asyncio
import os
from typing import Any

import orjson
import pytest

from service.notify import matching, people
from service.notify.matching import match
from service.notify.model import NEVER_US, Item
from service.store import outbox, subscriptions
from service.store.change import Change, Statement
from service.store.engine import Store
from tests.service.notify.subscribed import a_task, all_matched, due, left, subscribe, waiting
from tests.service.world import (
    BASE,
    CBO1,
    CBO2,
    ECM1,
    ECM2,
    PLAN1,
    PLAN2,
    episode,
    make,
    patient,
    put,
    ref,
)

POSTGRESQL_IN_DEEP = True  # test_matching_workers.py runs the same statements on both


async def test_only_who_has_to_do_with_it_may_have_to_be_told(county: Store) -> None:
    names = {"ecm1": ECM1, "ecm2": ECM2, "plan1": PLAN1, "plan2": PLAN2, "cbo1": CBO1, "cbo2": CBO2}
    for name, organization in names.items():
        await subscribe(county, name, organization)
    await subscribe(county, "operator", "Organization/op", anchors=(0,))
    await put(county, a_task(), source=ECM1)
    assert await match(county, BASE) == 1 and await match(county, BASE) == 0
    told = {name for name in [*names, "operator"] if await waiting(county, name) == ["Task/x1/1"]}
    assert told == {"ecm1", "plan1", "cbo1", "operator"}
    assert all([not await waiting(county, name) for name in names.keys() - told])


async def test_who_wrote_it_is_found_without_a_panel(county: Store) -> None:
    await subscribe(county, "cbo2", CBO2)
    await put(county, a_task(status="draft"), source=CBO2)
    await all_matched(county)
    assert await waiting(county, "cbo2") == ["Task/x1/1"]


async def test_a_right_that_has_ended_or_not_begun_is_none(county: Store) -> None:
    await subscribe(county, "ecm2", ECM2)
    past = episode("EpisodeOfCare/past", "Patient/a", ECM2, period={"start": "2025-01-01", "end": "2025-02-01"})
    await put(county, past, episode("EpisodeOfCare/next", "Patient/a", ECM2, period={"start": "2027-01-01"}))
    await put(county, a_task())
    await all_matched(county)
    assert await waiting(county, "ecm2") == []


async def test_an_emergency_access_is_no_reason(county: Store) -> None:
    await subscribe(county, "ecm2", ECM2)
    row = (county.keys.resource(ECM2), county.keys.resource("Patient/a"), 1, "break-glass", "", 0, NEVER_US)
    sql = "INSERT INTO panel (subject, patient, source, basis, role, start_us, end_us) VALUES (?, ?, ?, ?, ?, ?, ?)"
    await county.commit(Change(statements=[Statement(sql, row)]))
    await put(county, a_task())
    await all_matched(county)
    assert await waiting(county, "ecm2") == []


async def test_topic_and_filters(county: Store) -> None:
    await subscribe(county, "all", ECM1)
    await subscribe(county, "mine", ECM1, f"Task?owner={CBO1}", "Task?status=requested,accepted")
    await subscribe(county, "other", ECM1, f"Task?owner={CBO2}")
    await subscribe(county, "stays", ECM1, topic="care-transition")
    await subscribe(county, "loop", ECM1, topic="referral-status")
    await put(county, a_task(1), a_task(2, owner=CBO2), a_task(3, status="completed"), source=ECM1)
    await all_matched(county)
    assert await waiting(county, "all") == ["Task/x1/1", "Task/x2/1", "Task/x3/1"] == await waiting(county, "loop")
    assert await waiting(county, "mine") == ["Task/x1/1"]
    assert await waiting(county, "other") == ["Task/x2/1"]
    assert await waiting(county, "stays") == []


async def test_deletion_is_told_to_whom_the_resource_fitted(county: Store) -> None:
    from service.access.new_version import deletion

    await put(county, a_task(), source=ECM1)
    await all_matched(county)
    await subscribe(county, "sdohcc", ECM1, f"Task?owner={CBO1}", topic="sdohcc-task")
    await subscribe(county, "other", ECM1, f"Task?owner={CBO2}", topic="sdohcc-task")
    keys = county.keys
    gone = deletion("Task", "x1", 1, patient=keys.resource("Patient/a"), source_org=keys.resource(ECM1))
    await county.commit(Change(writes=[gone]))
    await all_matched(county)
    assert await waiting(county, "sdohcc") == ["Task/x1/2"] and await waiting(county, "other") == []


@pytest.mark.parametrize(
    ("columns", "waits", "nudged"),
    [
        ({}, True, True),
        ({"paused": True}, True, False),
        ({"status": "requested"}, True, False),
        ({"failures": 3}, True, False),
        ({"status": "error", "failures": 9}, True, True),
        ({"status": "off"}, False, False),
    ],
)
async def test_states_of_a_subscription(county: Store, columns: Any, waits: bool, nudged: bool) -> None:
    key = await subscribe(county, "ecm1", ECM1, **columns)
    await put(county, a_task())
    await all_matched(county)
    assert bool(await waiting(county, "ecm1")) is waits
    assert await due(county, key) == (county.clock.now_us() if nudged else NEVER_US)


async def test_what_is_due_already_stays_so(county: Store) -> None:
    key = await subscribe(county, "ecm1", ECM1, due_us=5)
    await put(county, a_task())
    await all_matched(county)
    assert await due(county, key) == 5


@pytest.mark.parametrize(
    "call", ["epochs.epoch", "outbox.waiting", "outbox.candidates", "outbox.bodies", "store.commit"]
)
async def test_killed_between_anything(county: Store, monkeypatch: pytest.MonkeyPatch, call: str) -> None:
    key = await subscribe(county, "ecm1", ECM1)
    await put(county, a_task())

    async def killed(*_: object, **__: object) -> None:
        raise asyncio.CancelledError

    with monkeypatch.context() as patched:
        holder: Any = county if call == "store.commit" else getattr(matching, call.partition(".")[0])
        patched.setattr(holder, call.partition(".")[2], killed)
        with pytest.raises(asyncio.CancelledError):
            await match(county, BASE)
    assert (await waiting(county, "ecm1"), await left(county), await due(county, key)) == ([], 1, NEVER_US)
    await all_matched(county)
    assert await waiting(county, "ecm1") == ["Task/x1/1"]


async def test_a_large_resource_goes_alone_and_holds_up_nobody(county: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outbox.waiting, "__defaults__", (20_000,))
    await subscribe(county, "ecm1", ECM1)
    await put(county, a_task(1))
    await put(county, a_task(2, description="x" * 100_000))
    await put(county, a_task(3))
    assert [await match(county, BASE) for _ in range(4)] == [1, 1, 1, 0]
    assert await waiting(county, "ecm1") == ["Task/x1/1", "Task/x2/1", "Task/x3/1"]


async def test_what_cannot_be_read_is_recorded_and_stops_nobody(
    county: Store, capsys: pytest.CaptureFixture[str]
) -> None:
    await subscribe(county, "ecm1", ECM1)
    made = await put(county, a_task(1), a_task(2))
    broken = Statement("UPDATE version SET body = ? WHERE vid = ?", (b'{"resourceType', made.written[0].vid))
    lost = Statement("INSERT INTO outbox (vid) VALUES (?)", (12345,))
    await county.commit(Change(statements=[broken, lost]))
    assert await all_matched(county) == 3
    assert await waiting(county, "ecm1") == ["Task/x2/1"]
    lines = [orjson.loads(line) for line in capsys.readouterr().err.splitlines() if line.startswith("{")]
    (line,) = [one for one in lines if one["event"] == "notify.unread"]
    assert (line["type"], line["vid"], line["part"]) == ("Task", made.written[0].vid, "events")
    sql = "SELECT target, outcome, reason FROM audit WHERE kind = 'notify-unread'"
    assert [tuple(row) for row in await county.fetch(sql)] == [("Task/x1/_history/1", 8, "events: JSONDecodeError")]


async def test_a_subscription_that_cannot_be_read_stops_nobody(
    county: Store, capsys: pytest.CaptureFixture[str]
) -> None:
    """As one of a former release, whose topic offered a filter that is gone."""
    await subscribe(county, "old", ECM1, "Task?gone=1")
    await subscribe(county, "ecm1", ECM1)
    for number in (1, 2):
        await put(county, a_task(number))
        await all_matched(county)
    assert await waiting(county, "ecm1") == ["Task/x1/1", "Task/x2/1"] and await waiting(county, "old") == []
    assert capsys.readouterr().err.count('"event":"notify.subscription-unread"') == 1


async def test_notices_commit_with_the_events_and_one_that_fails_stops_nobody(
    county: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[str] = []

    async def noticed(_store: Store, _keys: Any, items: list[Item], _now: int, _base: str) -> list[Statement]:
        if any(item.reference == "Task/x1" for item in items):
            raise KeyError("made up")
        seen.extend(f"{item.reference}/{item.version}" for item in items)
        assert all(item.body for item in items)
        return [Statement("UPDATE subscription SET error = ? WHERE fhir_id = 'ecm1'", ("told",))]

    monkeypatch.setattr(people, "noticed", noticed)
    key = await subscribe(county, "ecm1", ECM1)
    await put(county, a_task(1), a_task(2), patient("Patient/c"))
    await put(county, make("Consent/1", status="active", patient=ref("Patient/a")))
    await all_matched(county)
    assert seen == ["Task/x2/1"]
    assert await waiting(county, "ecm1") == ["Task/x1/1", "Task/x2/1"]
    found = await subscriptions.get(county, key)
    assert found is not None and found.error == "told"


async def test_more_than_a_batch(county: Store) -> None:
    most = matching.BATCH if os.environ.get("ENLACE_TEST_DEEP") else 50
    for number in range(6):
        await subscribe(county, f"s{number}", ECM1)
    for first in range(0, most + most // 10, 11):
        await put(county, *(a_task(number) for number in range(first, min(first + 11, most + most // 10))))
    assert [await match(county, BASE, most=most) for _ in range(3)] == [most, most // 10, 0]
    assert len(await waiting(county, "s5")) == most + most // 10


async def test_candidates_are_looked_up_by_their_subject(county: Store) -> None:
    """Never a walk over all subscriptions, whatever the statistics of the database say."""
    if county.db.name != "sqlite":
        pytest.skip("The plan of PostgreSQL follows its statistics; the order here is what SQLite is told.")
    for number in range(30):
        await subscribe(county, f"s{number}", f"Organization/{number}")
    plans = []
    fetch = county.fetch

    async def planned(sql: str, params: Any = (), **more: Any) -> Any:
        plans.append([row[3] for row in await fetch(f"EXPLAIN QUERY PLAN {sql}", params)])
        return await fetch(sql, params, **more)

    county.fetch = planned  # type: ignore[method-assign]
    await put(county, a_task())
    assert await match(county, BASE) == 1
    steps = [step for plan in plans for step in plan]
    assert not [step for step in steps if step.startswith("SCAN") and step != "SCAN o"]
    assert [step for step in steps if "SEARCH a USING PRIMARY KEY (topic=? AND subject=?)" in step]
