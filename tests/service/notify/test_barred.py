"""What the operator takes from a client is taken from its subscriptions, and both sides are told: status and log."""

from typing import Any

import pytest

from service.log_events import NOTIFY_GIVEN_UP, Event
from service.notify import dispatching, runner
from service.store.change import Change, Statement
from tests.service.conftest import AppClient
from tests.service.notify.fake_receiver import Desk

POSTGRESQL_IN_DEEP = True


@pytest.mark.parametrize(
    ("sql", "reason", "remedy"),
    [
        ("UPDATE client SET endpoints = '[\"elsewhere.example.org\"]' WHERE id = ?", "endpoint", "client endpoints"),
        ("UPDATE client SET suspended_us = 1 WHERE id = ?", "suspended", "status to requested"),
    ],
)
async def test_to_whom_nothing_may_be_sent_goes_to_error(
    desk: Desk, app_client: AppClient, monkeypatch: pytest.MonkeyPatch, sql: str, reason: str, remedy: str
) -> None:
    said: list[tuple[Event, dict[str, Any]]] = []
    monkeypatch.setattr(dispatching, "log", lambda event, **fields: said.append((event, fields)))
    state = await desk.subscribes(await app_client("ecm-provider"))
    await desk.store.commit(Change(statements=[Statement(sql, (state.client_id,))]))
    await desk.changes("Task/a", status="accepted")
    await desk.work()
    assert (await desk.state(state.fhir_id)).status == "error" and desk.receiver.numbers() == []
    assert remedy in (await desk.resource(state.reference))[0]["error"]
    assert (NOTIFY_GIVEN_UP, {"subscription": state.fhir_id, "reason": reason, "last": reason}) in said


async def test_a_filter_that_is_not_served_any_more_is_told_to_the_client(desk: Desk, app_client: AppClient) -> None:
    state = await desk.subscribes(await app_client("ecm-provider"))
    spec = state.spec.replace('"filters":[]', '"filters":["Task?no-such-parameter=1"]')
    assert spec != state.spec
    sql = "UPDATE subscription SET spec = ? WHERE key = ?"
    await desk.store.commit(Change(statements=[Statement(sql, (spec, state.key))]))
    await desk.changes("Task/a", status="accepted")
    await desk.work()
    assert (await desk.state(state.fhir_id)).status == "error" and desk.receiver.numbers() == []
    assert "status requested" in (await desk.resource(state.reference))[0]["error"]


async def test_an_event_that_cannot_be_decided_holds_up_the_others_for_an_hour_at_most(
    desk: Desk, app_client: AppClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    await desk.subscribes(await app_client("ecm-provider"))
    real = dispatching.tell

    async def tell(who: Any, spec: Any, events: Any, *more: Any) -> Any:
        if any(event.key == desk.store.keys.resource("Task/a") for event in events):
            raise KeyError("defect")
        return await real(who, spec, events, *more)

    monkeypatch.setattr(dispatching, "tell", tell)
    monkeypatch.setattr(runner, "log", lambda *_event, **_fields: None)  # of the defect that this test makes
    await desk.changes("Task/a", status="accepted")
    await desk.changes("Task/b", status="accepted")
    await desk.work()
    assert desk.receiver.numbers() == []
    desk.clock.advance(3_601_000_000)
    await desk.work()
    assert desk.receiver.told() == [(1, "Task/b")]
    rows = await desk.store.fetch("SELECT outcome, reason FROM audit WHERE reason = 'undecidable'")
    assert [tuple(row) for row in rows] == [(8, "undecidable")]
