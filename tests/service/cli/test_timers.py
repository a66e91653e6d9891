"""`enlace timers`: what waits, and how much was done in time."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from typer.testing import CliRunner

from service.cli import app
from service.store import timers
from service.store.change import Change
from service.store.engine import open_store
from service.store.timers import StoredTimer
from service.workflow.timer_measure import measure
from tests.frozen_clock import FrozenClock

POSTGRESQL_IN_DEEP = True
MINUTE = 60_000_000
NOW = 1_000_000 * MINUTE


def timer(number: int, state: str, took: int | None = None, due: int = 60, **payload: Any) -> StoredTimer:
    ended = None if took is None else NOW + took * MINUTE
    return StoredTimer(number, "adt-relay", f"t{number}", f"Encounter/{number}", "Patient/a", NOW, NOW + due * MINUTE,
                       state, ended, payload)  # fmt: skip


def test_the_measure_counts_what_is_late_and_open_too() -> None:
    took = [timer(n, "met", n + 1, received_us=NOW + MINUTE * n) for n in range(20)]
    found = measure([*took, timer(30, "breached", 600), timer(31, "breached"), timer(32, "running", due=5)], NOW)
    assert (found.count, found.within, found.late, found.waiting) == (23, 20, 2, 1)
    assert (found.p50, found.p95, found.from_receipt_p95) == (11, 20, 1)
    assert found.share == 20 / 22
    late = measure([timer(1, "running", due=-5)], NOW)
    assert (late.late, late.waiting, late.p50, late.share) == (1, 0, None, 0)
    assert measure([], NOW).share is None


@pytest.fixture
async def enlace(database_url: str, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Awaitable[Any]]:
    store = await open_store(database_url, FrozenClock())
    now_us = store.clock.now_us()
    rows = [
        StoredTimer(1, "adt-relay", "a", "Encounter/a", "Patient/a", now_us, now_us + 9, "met", now_us + 5 * MINUTE),
        StoredTimer(2, "tcs-visit", "b", "Task/b", "Patient/a", now_us, now_us + 9),
    ]
    await store.commit(Change(statements=[timers.started(one) for one in rows]))
    await store.close()
    monkeypatch.setenv("ENLACE_DATABASE_URL", database_url)
    monkeypatch.setenv("ENLACE_TIMER_DAYS", "0")  # the frozen clock stands long ago

    async def run(*words: str) -> Any:
        return await asyncio.to_thread(CliRunner().invoke, app, ["timers", *words])

    return run


async def test_list_and_measure(enlace: Callable[..., Awaitable[Any]]) -> None:
    listed = await enlace("list")
    assert listed.exit_code == 0 and "Task/b" in listed.output and "Encounter/a" not in listed.output
    assert "Patient" not in listed.output
    assert "." not in listed.output, "to the second, as every other list"
    [met] = json.loads((await enlace("list", "--state", "met", "--json")).output)
    assert (met["kind"], met["about"]) == ("adt-relay", "Encounter/a")
    measured = json.loads((await enlace("measure", "--days", "3650", "--json")).output)
    assert measured["adt-relay"]["within"] == 1 and measured["adt-relay"]["p95"] == 5
    assert "100.0%" in (await enlace("measure", "--kind", "adt-relay", "--days", "3650")).output
    for words in (("list", "--state", "x"), ("list", "--kind", "x"), ("measure", "--kind", "x")):
        assert (await enlace(*words)).exit_code == 2


async def test_no_measure_goes_back_to_timers_that_are_gone(
    enlace: Callable[..., Awaitable[Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ENLACE_TIMER_DAYS", "60")
    assert (await enlace("measure", "--days", "60")).exit_code == 0
    refused = await enlace("measure", "--days", "61")
    assert refused.exit_code == 2 and "60 at most here" in refused.output and "ENLACE_TIMER_DAYS" in refused.output
