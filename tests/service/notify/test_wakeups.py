"""No wake-up is lost: what comes at the moment in which a turn ends, and what the watcher of the notifier is told."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from service.notify import runner
from service.notify.matching import match
from service.notify.model import NEVER_US, Message, State
from service.notify.runner import Notifier
from service.store import deliveries, outbox, subscriptions
from service.store.change import Change
from service.store.together import current
from tests.service.conftest import AppClient
from tests.service.notify.fake_receiver import OK, Desk
from tests.service.notify.subscribed import subscribe
from tests.service.world import BASE, ECM1

Step = Callable[[], Awaitable[object]]


def as_it_ends(desk: Desk, monkeypatch: pytest.MonkeyPatch, step: Step) -> None:
    """Does the step when the next turn has looked for the last time and is about to give back its lease."""
    commit = desk.store.commit

    async def late(change: Change) -> Any:
        if any("lease_until_us = 0" in one.sql for one in change.statements):
            monkeypatch.setattr(desk.store, "commit", commit)
            await step()
        return await commit(change)

    monkeypatch.setattr(desk.store, "commit", late)


async def matched(desk: Desk, reference: str) -> None:
    await desk.changes(reference, status="accepted")
    assert await match(desk.store, BASE) == 1


@pytest.mark.parametrize("nudged_before", [False, True])
async def test_what_is_matched_as_a_turn_ends_is_told(
    desk: Desk, state: State, monkeypatch: pytest.MonkeyPatch, nudged_before: bool
) -> None:
    """At the same microsecond as the nudge before, too: by the clock alone the second could not be told from it."""

    async def meanwhile(_message: Message) -> None:
        desk.receiver.before = None
        if nudged_before:
            await desk.changes("Task/a", status="in-progress")
            assert await match(desk.store, BASE) == 1

    desk.receiver.before = meanwhile
    await matched(desk, "Task/a")
    as_it_ends(desk, monkeypatch, lambda: matched(desk, "Task/b"))
    await desk.work()
    told = ["Task/a", "Task/a", "Task/b"] if nudged_before else ["Task/a", "Task/b"]
    assert desk.receiver.told() == list(enumerate(told, 1))


async def test_what_is_matched_as_a_turn_for_a_websocket_ends_is_numbered(
    desk: Desk, app_client: AppClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    state = await desk.subscribes(await app_client("ecm-provider"), channel="websocket", endpoint="")
    await matched(desk, "Task/a")
    as_it_ends(desk, monkeypatch, lambda: matched(desk, "Task/b"))
    await desk.work()
    assert (await desk.state(state.fhir_id)).numbered == 2


async def test_what_is_asked_for_as_a_turn_ends_is_sent(
    desk: Desk, state: State, monkeypatch: pytest.MonkeyPatch
) -> None:
    now_us = desk.clock.now_us()

    async def asked() -> None:
        again = deliveries.resend(state.key, 1, 1, now_us, lambda: desk.store.next_id(now_us))
        await desk.store.commit(Change(statements=again))

    await matched(desk, "Task/a")
    as_it_ends(desk, monkeypatch, asked)
    await desk.work()
    assert desk.receiver.numbers() == [1, 1]


async def test_a_turn_that_has_told_all_is_over(desk: Desk, state: State) -> None:
    """One Change records the attempt and gives back the lease, and nobody looks in vain."""
    await matched(desk, "Task/a")
    claims = await deliveries.claim(desk.store, 9)
    assert [one.key for one in claims] == [state.key]
    await desk.store.commit(Change(statements=[deliveries.released(state.key, 0)]))
    await desk.work()
    found = await desk.state(state.fhir_id)
    assert (found.delivered, found.lease_until_us, found.due_us) == (1, 0, NEVER_US)


async def test_one_that_was_failing_looks_again(desk: Desk, state: State, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is matched while it fails does not nudge it: it must be found when the attempt has arrived."""
    await desk.store.commit(Change(statements=[subscriptions.changed(state.key, failures=1, due_us=0)]))
    desk.receiver.answers = [OK]
    await matched(desk, "Task/a")
    commit = desk.store.commit

    async def late(change: Change) -> Any:
        if any("delivery_attempt" in one.sql for one in change.statements):
            monkeypatch.setattr(desk.store, "commit", commit)
            await matched(desk, "Task/b")
        return await commit(change)

    monkeypatch.setattr(desk.store, "commit", late)
    await desk.work()
    assert desk.receiver.told() == [(1, "Task/a"), (2, "Task/b")]


# --- the watcher ----------------------------------------------------------------------------------------------------


async def test_what_there_is_to_do(desk: Desk) -> None:
    county = desk.store
    assert await outbox.to_do(county) == (False, False)
    key = await subscribe(county, "ecm1", ECM1, due_us=0)
    assert await outbox.to_do(county) == (True, False)
    await county.commit(Change(statements=[deliveries.extended(key, county.clock.now_us() + 1)]))
    assert await outbox.to_do(county) == (False, False), "another worker has it"


async def test_it_tells_what_is_committed_and_ends(desk: Desk, state: State, monkeypatch: pytest.MonkeyPatch) -> None:
    """By its wake-ups alone: nobody looks by the clock here."""
    monkeypatch.setattr(runner, "POLL_S", 600)
    notifier = Notifier(desk.store, desk.behaviour, {"rest-hook": desk.receiver})
    running = asyncio.create_task(notifier.run())
    heard = asyncio.Event()

    async def hear(_message: Message) -> None:
        heard.set()

    desk.receiver.before = hear
    for reference in ("Task/a", "Task/b"):
        await desk.changes(reference, status="accepted")
        await asyncio.wait_for(heard.wait(), 30)
        heard.clear()
    notifier.stop()
    await asyncio.wait_for(running, 30)
    assert desk.receiver.told() == [(1, "Task/a"), (2, "Task/b")]


async def test_a_commit_that_tells_nobody_of_anything_is_looked_at_once(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On PostgreSQL by one statement; nobody claims anything."""
    monkeypatch.setattr(runner, "POLL_S", 600)
    asked: list[str] = []
    looked = asyncio.Event()
    fetch, execute = desk.store.db.fetch, desk.store.db.execute

    async def counted(sql: str, params: tuple[Any, ...] = (), **more: bool) -> Any:
        found = await fetch(sql, params, **more)
        if current() is None:
            asked.append(sql)
            looked.set()
        return found

    async def claimed(sql: str, params: tuple[Any, ...] = ()) -> Any:
        asked.append(sql)
        return await execute(sql, params)

    monkeypatch.setattr(desk.store.db, "fetch", counted)
    monkeypatch.setattr(desk.store.db, "execute", claimed)
    notifier = Notifier(desk.store, desk.behaviour, {})
    running = asyncio.create_task(notifier.run())
    for _ in range(3):
        looked.clear()
        await desk.store.commit(Change(statements=[deliveries.unanchored(1)]))
        await asyncio.wait_for(looked.wait(), 30)
    notifier.stop()
    await asyncio.wait_for(running, 30)
    assert len(set(asked)) == (1 if desk.store.db.name == "postgresql" else 3) and "UPDATE" not in "".join(asked)
