"""Paused, off, ended, quiet, by websocket, asked to send again: what is numbered then, and what is sent."""

from service.notify import dispatching
from service.notify.model import State
from service.store import deliveries, subscriptions
from service.store.change import Change
from tests.service.conftest import AppClient
from tests.service.notify.fake_receiver import DOWN, OK, Desk
from tests.service.notify.recorded import kinds_of, ledger, owner
from tests.service.notify.subscription_samples import extension

HOUR = 3600
POSTGRESQL_IN_DEEP = True


# --- paused, off, ended, heartbeat, websocket -------------------------------------------------------------------------


async def test_paused_events_wait(desk: Desk, state: State) -> None:
    await desk.store.commit(Change(statements=[subscriptions.changed(state.key, paused=True)]))
    await desk.changes("Task/a", status="accepted")
    await desk.work()
    assert (await desk.state(state.fhir_id)).numbered == 0
    resumed = [subscriptions.changed(state.key, paused=False), deliveries.nudged(state.key, desk.clock.now_us())]
    await desk.store.commit(Change(statements=resumed))
    await desk.work()
    assert desk.receiver.told() == [(1, "Task/a")]


async def test_off_hears_nothing_and_forgets_nothing(desk: Desk, app_client: AppClient, state: State) -> None:
    client = await owner(desk, app_client, state.client_id)
    await desk.puts(client, state, status="off")
    await desk.changes("Task/a", status="accepted")
    await desk.work()
    assert (await desk.state(state.fhir_id)).numbered == 0
    await desk.puts(client, state, status="requested")
    await desk.changes("Task/a", status="in-progress")
    await desk.work()
    assert desk.receiver.told() == [(1, "Task/a")]


async def test_a_subscription_ends_at_its_end(desk: Desk, app_client: AppClient) -> None:
    state = await desk.subscribes(await app_client("ecm-provider"), end="2026-03-08T10:00:00Z")
    await desk.work(after_s=5 * HOUR)
    assert (await desk.state(state.fhir_id)).status == "off"
    assert (await desk.resource(state.reference))[0]["error"] == dispatching.ENDED
    await desk.changes("Task/a", status="accepted")
    await desk.work()
    assert desk.receiver.numbers() == []


async def test_a_heartbeat_where_nothing_happens(desk: Desk, app_client: AppClient) -> None:
    more = (extension("backport-heartbeat-period", valueUnsignedInt=600),)
    state = await desk.subscribes(await app_client("ecm-provider"), more=more)
    await desk.work(after_s=590)
    assert desk.receiver.kinds() == ["handshake"]
    await desk.changes("Task/a", status="accepted")
    await desk.work()
    await desk.work(after_s=590)
    assert desk.receiver.kinds() == ["handshake", "event-notification"], "an event is as good as a heartbeat"
    await desk.work(after_s=20)
    assert desk.receiver.kinds()[2:] == ["heartbeat"]
    assert (await desk.state(state.fhir_id)).numbered == 1


async def test_to_a_websocket_it_numbers_only(desk: Desk, app_client: AppClient) -> None:
    state = await desk.subscribes(await app_client("ecm-provider"), channel="websocket", endpoint="")
    assert state.status == "active"
    await desk.changes("Task/a", status="accepted")
    await desk.work()
    state = await desk.state(state.fhir_id)
    assert (state.numbered, state.delivered) == (1, 0) and desk.receiver.sent == []
    assert await kinds_of(desk) == [], "what does not leave is not disclosed"


# --- asked for --------------------------------------------------------------------------------------------------------


async def test_events_are_sent_again_on_request(desk: Desk, state: State) -> None:
    for status in ("accepted", "in-progress", "completed"):
        await desk.changes("Task/a", status=status)
    await desk.work()
    now, ids = desk.clock.now_us(), lambda: desk.store.next_id(desk.clock.now_us())
    await desk.store.commit(Change(statements=deliveries.resend(state.key, 2, 3, now, ids)))
    desk.receiver.answers = [DOWN, OK]
    await desk.work()
    await desk.work(after_s=2)
    assert [one[1:] for one in await ledger(desk, state) if one[0] == "resend"] == [(2, 3, "failed"), (2, 3, "ok")]
    assert desk.receiver.numbers() == [1, 2, 3, 2, 3, 2, 3]
    assert len({one.id for one in desk.receiver.sent}) == 3, "a receiver that knows ids does not drop it"
    state = await desk.state(state.fhir_id)
    assert (state.numbered, state.delivered) == (3, 3)


async def test_a_test_event_takes_the_next_number(desk: Desk, state: State) -> None:
    now = desk.clock.now_us()
    await desk.store.commit(Change(statements=deliveries.test_event(state.key, now, desk.store.next_id(now))))
    await desk.changes("Task/a", status="accepted")
    await desk.work()
    assert desk.receiver.told() == [(1, state.reference), (2, "Task/a")]


async def test_figures(desk: Desk, state: State) -> None:
    assert await deliveries.oldest_undelivered(desk.store) is None
    desk.receiver.answers = [DOWN]
    at_us = desk.clock.now_us()
    await desk.changes("Task/a", status="accepted")
    await desk.work()
    assert at_us <= (await deliveries.oldest_undelivered(desk.store) or 0) <= desk.clock.now_us()
    assert await deliveries.counts(desk.store) == {"active": 1}
    assert await deliveries.failing(desk.store, 0, 5) == [(state.fhir_id, 2, 1)]
    await desk.store.commit(Change(statements=deliveries.forget(desk.clock.now_us() + 1, desk.clock.now_us())))
    assert await deliveries.events(desk.store, state.key, 1, 9, 9) == []
    desk.receiver.answers = [OK]
    await desk.changes("Task/a", status="in-progress")
    await desk.work(after_s=5)
    assert desk.receiver.numbers()[-1] == 2, "what is kept no longer stands in nobody's way"
