"""What the operator takes from a client is taken from its subscriptions, and both sides are told: status and log."""

from typing import Any

import pytest

from service.log_events import NOTIFY_GIVEN_UP, Event
from service.notify import dispatching
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
