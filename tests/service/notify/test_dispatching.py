"""Numbers, order, retries, status: what a subscriber is sent, on both databases, by fake channels and a fake clock."""

import asyncio
from typing import Any

import pytest

from service.notify import dispatching
from service.notify.model import Message, State
from service.store import deliveries
from service.store.change import Change, Statement
from service.store.database import Unavailable
from tests.service.conftest import AppClient
from tests.service.notify.fake_receiver import DOWN, GONE, OK, Desk, events_of
from tests.service.notify.recorded import kinds_of, ledger, owner
from tests.service.notify.subscription_samples import extension
from tests.service.world import ECM1

HOUR = 3600
POSTGRESQL_IN_DEEP = True


# --- numbers and order ------------------------------------------------------------------------------------------------


async def test_a_subscription_shakes_hands_and_is_told(desk: Desk, state: State) -> None:
    assert desk.receiver.kinds() == ["handshake"] and state.status == "active"
    assert (await desk.resource(state.reference))[0]["status"] == "active"
    await desk.changes("Task/a", status="accepted")
    await desk.changes("Task/a", status="in-progress")
    await desk.work()
    assert desk.receiver.told() == [(1, "Task/a"), (2, "Task/a")]
    state = await desk.state(state.fhir_id)
    assert (state.numbered, state.delivered, state.failures) == (2, 2, 0)
    assert await ledger(desk, state) == [("handshake", 0, 0, "ok"), ("event", 1, 2, "ok")]
    assert await kinds_of(desk) == [("notification", 0, ECM1)]
    assert all(one.settled_us for one in await deliveries.events(desk.store, state.key, 1, 9, 9))


async def test_a_suppressed_event_takes_no_number_and_is_the_auditors_alone(desk: Desk, state: State) -> None:
    """Between two events of member A one of member B waits, who is foreign."""
    key = desk.store.keys.resource("Task/b")
    await desk.changes("Task/a", status="accepted")
    await desk.worker()._match()
    ((vid,),) = await desk.store.fetch("SELECT vid FROM resource WHERE key = ?", (key,))
    now = desk.clock.now_us()
    sql = "INSERT INTO event_waiting (subscription, id, vid, key, kind, at_us) VALUES (?, ?, ?, ?, 'event', ?)"
    row = (state.key, vid, vid, key, now)
    await desk.store.commit(Change(statements=[Statement(sql, row)]))
    await desk.changes("Task/a", status="in-progress")
    await desk.work()
    assert desk.receiver.told() == [(1, "Task/a"), (2, "Task/a")]
    assert (await desk.state(state.fhir_id)).numbered == 2
    assert sorted(await kinds_of(desk)) == [
        ("notification", 0, ECM1),
        ("notification-suppressed", 4, "Device/enlace"),
    ]
    assert not await deliveries.waiting(desk.store, state.key, limit=9)


async def test_events_go_in_batches_in_their_order(desk: Desk, app_client: AppClient) -> None:
    more = (extension("backport-max-count", valuePositiveInt=2),)
    await desk.subscribes(await app_client("ecm-provider"), more=more)
    for status in ("accepted", "in-progress", "on-hold", "in-progress", "completed"):
        await desk.changes("Task/a", status=status)
    await desk.work()
    assert [len(events_of(one)) for one in desk.receiver.bundles()] == [2, 2, 1]
    assert desk.receiver.numbers() == [1, 2, 3, 4, 5]


async def test_other_subscriptions_have_numbers_of_their_own(desk: Desk, app_client: AppClient, state: State) -> None:
    await desk.changes("Task/a", status="accepted")
    await desk.work()
    other = await desk.subscribes(await app_client("mcp", "Organization/plan-1"))
    await desk.changes("Task/a", status="in-progress")
    await desk.work()
    assert sorted(desk.receiver.numbers()) == [1, 1, 2]
    assert ((await desk.state(state.fhir_id)).numbered, (await desk.state(other.fhir_id)).numbered) == (2, 1)


# --- failure ----------------------------------------------------------------------------------------------------------


async def test_a_failed_attempt_is_made_again_with_the_same_numbers_and_bytes(desk: Desk, state: State) -> None:
    desk.receiver.answers = [DOWN, OK]
    await desk.changes("Task/a", status="accepted")
    await desk.work()
    failing = await desk.state(state.fhir_id)
    assert (failing.failures, failing.delivered, failing.numbered) == (1, 0, 1) and "5xx" in failing.error
    await desk.changes("Task/a", status="in-progress")
    await desk.work()  # not due yet
    assert desk.receiver.numbers() == [1]
    await desk.work(after_s=1)
    first, second = desk.receiver.sent[1:3]
    assert (first.id, first.body) == (second.id, second.body)
    assert desk.receiver.numbers() == [1, 1, 2]
    assert (await desk.state(state.fhir_id)).error == ""
    assert [one[3] for one in await ledger(desk, state)] == ["ok", "failed", "ok", "ok"]


async def test_after_72_hours_it_is_in_error_and_the_client_starts_it_again(
    desk: Desk, app_client: AppClient, state: State
) -> None:
    desk.receiver.answers = [DOWN]
    await desk.changes("Task/a", status="accepted")
    for _ in range(82):
        await desk.work(after_s=HOUR)
    failed = await desk.state(state.fhir_id)
    resource, _ = await desk.resource(state.reference)
    assert failed.status == resource["status"] == "error" and "72 hours" in failed.error == resource["error"]
    tried = len(desk.receiver.sent)
    assert 70 < tried < 100
    desk.receiver.answers = [OK]
    await desk.changes("Task/a", status="in-progress")
    await desk.work(after_s=HOUR)
    assert len(desk.receiver.sent) == tried, "nothing is sent in error"
    assert (await desk.state(state.fhir_id)).numbered == 2, "but it is numbered"
    client = await owner(desk, app_client, failed.client_id)
    assert (await desk.puts(client, state, status="active")).status_code == 200
    await desk.work()
    assert desk.receiver.kinds()[tried:] == ["handshake", "event-notification"]
    assert events_of(desk.receiver.bundles()[-1]) == [(1, "Task/a"), (2, "Task/a")]
    assert (await desk.state(state.fhir_id)).status == "active"


async def test_a_receiver_that_is_gone_is_given_up_after_three(desk: Desk, state: State) -> None:
    desk.receiver.answers = [GONE]
    await desk.changes("Task/a", status="accepted")
    for _ in range(6):
        await desk.work(after_s=10)
    assert (await desk.state(state.fhir_id)).status == "error"
    assert [one[3] for one in await ledger(desk, state)] == ["ok", "refused", "refused", "refused"]


async def test_three_handshakes_within_a_minute(desk: Desk, app_client: AppClient) -> None:
    desk.receiver.answers = [DOWN]
    state = await desk.subscribes(await app_client("ecm-provider"))
    await desk.changes("Task/a", status="accepted")
    for _ in range(12):
        await desk.work(after_s=5)
    assert desk.receiver.kinds() == ["handshake"] * 3
    assert (await desk.state(state.fhir_id)).status == "error"


async def test_what_happens_before_the_handshake_waits_for_it(desk: Desk, app_client: AppClient) -> None:
    desk.receiver.answers = [DOWN, OK]
    state = await desk.subscribes(await app_client("ecm-provider"))
    await desk.changes("Task/a", status="accepted")
    await desk.work()
    assert (await desk.state(state.fhir_id)).numbered == 0
    await desk.work(after_s=10)
    assert desk.receiver.kinds() == ["handshake", "handshake", "event-notification"]


async def test_one_who_fails_holds_up_nobody(desk: Desk, app_client: AppClient, state: State) -> None:
    other = await desk.subscribes(await app_client("mcp", "Organization/plan-1"), endpoint="https://b.example.org/x")

    async def down(message: Message) -> None:
        desk.receiver.answers = [DOWN if "hooks.example.org" in message.to else OK]

    desk.receiver.before = down
    await desk.changes("Task/a", status="accepted")
    await desk.work()
    assert (await desk.state(state.fhir_id)).failures == 1
    assert (await desk.state(other.fhir_id)).delivered == 1


# --- a worker that dies, is slow, or is stopped -----------------------------------------------------------------------


async def test_killed_between_sending_and_recording(desk: Desk, state: State) -> None:
    async def killed(_: Message) -> None:
        raise asyncio.CancelledError

    desk.receiver.before = killed
    await desk.changes("Task/a", status="accepted")
    worker = desk.worker()
    await worker._match()
    await worker._dispatch()
    await asyncio.wait(worker._turns)
    desk.receiver.before = None
    await desk.work()
    assert desk.receiver.numbers() == [1], "another worker waits for the end of the lease"
    await desk.work(after_s=20)
    assert desk.receiver.numbers() == [1, 1]
    state = await desk.state(state.fhir_id)
    assert (state.numbered, state.delivered) == (1, 1)


async def test_a_worker_whose_lease_ended_records_nothing(desk: Desk, state: State) -> None:
    """Slow enough that another worker has taken over, and delivered, before the first one hears of its failure."""

    async def slow(_: Message) -> None:
        desk.receiver.before = None
        await desk.work(after_s=60)
        desk.receiver.answers = [DOWN]

    desk.receiver.before = slow
    await desk.changes("Task/a", status="accepted")
    await desk.work()
    assert desk.receiver.numbers() == [1, 1]
    state = await desk.state(state.fhir_id)
    assert (state.delivered, state.failures, state.error) == (1, 0, "")
    assert [one[3] for one in await ledger(desk, state)] == ["ok", "ok"]


async def test_the_clients_word_counts_that_came_during_an_attempt(
    desk: Desk, app_client: AppClient, state: State
) -> None:
    """The third refusal would lead to error; the client turned the subscription off meanwhile."""
    client = await owner(desk, app_client, state.client_id)
    desk.receiver.answers = [GONE]
    await desk.changes("Task/a", status="accepted")
    await desk.work()
    await desk.work(after_s=2)

    async def off(_: Message) -> None:
        assert (await desk.puts(client, state, status="off")).status_code == 200

    desk.receiver.before = off
    await desk.work(after_s=4)
    assert (await desk.state(state.fhir_id)).status == "off"
    assert (await desk.resource(state.reference))[0]["status"] == "off"


async def test_what_the_database_did_not_take_is_recorded_a_little_later(
    desk: Desk, state: State, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dispatching, "AWAY_US", 1000)
    commit, away = desk.store.commit, [True, True]

    async def failing(change: Change) -> Any:
        if any("delivery_attempt" in one.sql for one in change.statements) and away:
            away.pop()
            raise Unavailable("away")
        return await commit(change)

    monkeypatch.setattr(desk.store, "commit", failing)
    await desk.changes("Task/a", status="accepted")
    await desk.work()
    assert desk.receiver.numbers() == [1] and not away
    assert (await desk.state(state.fhir_id)).delivered == 1


async def test_a_stop_ends_what_is_under_way_and_begins_nothing(desk: Desk, state: State) -> None:
    under_way, go_on = asyncio.Event(), asyncio.Event()

    async def slow(_: Message) -> None:
        under_way.set()
        await go_on.wait()

    desk.receiver.before = slow
    worker = desk.worker()
    running = asyncio.create_task(worker.run())
    await desk.changes("Task/a", status="accepted")
    await asyncio.wait_for(under_way.wait(), 5)
    await desk.changes("Task/a", status="in-progress")
    worker.stop()
    await asyncio.sleep(0.02)
    assert not running.done()
    go_on.set()
    await asyncio.wait_for(running, 5)
    state = await desk.state(state.fhir_id)
    assert desk.receiver.numbers() == [1] and (state.delivered, state.lease_until_us) == (1, 0)
    await desk.work()
    assert desk.receiver.numbers() == [1, 2]


async def test_a_host_that_is_slow_holds_its_own_places_only(desk: Desk, app_client: AppClient) -> None:
    """Five subscriptions of one receiver: four are under way at a time."""
    client = await app_client("ecm-provider")
    for _ in range(5):
        await desk.subscribes(client)
    most, now, four = [0], [0], asyncio.Event()

    async def slow(_: Message) -> None:
        now[0] += 1
        most[0] = max(most[0], now[0])
        if now[0] >= 4:
            four.set()
        await asyncio.wait_for(four.wait(), 30)
        await asyncio.sleep(0.05)
        now[0] -= 1

    desk.receiver.before = slow
    await desk.changes("Task/a", status="accepted")
    await desk.work()
    assert most == [4] and desk.receiver.numbers() == [1] * 5
