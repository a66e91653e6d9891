"""`enlace notices`: what people were told; sending again; preferences."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from typer.testing import CliRunner

from service.cli import app
from service.notify.model import Outcome, Result
from service.store.engine import open_store
from service.store.notice_preferences import Preference
from tests.frozen_clock import FrozenClock
from tests.service.notify.notice_world import HOUR, alert, populate
from tests.service.world import LCM1, build_world, put

POSTGRESQL_IN_DEEP = True


@pytest.fixture
async def enlace(database_url: str, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Awaitable[Any]]:
    """Runs a command where one mail failed and a digest was sent."""
    clock = FrozenClock()
    store = await open_store(database_url, clock)
    await build_world(store)
    told = await populate(store)
    told.email.results = [Result(Outcome.REFUSED, 550, "recipient")] * 3
    await put(store, alert("one"), source="Device/enlace")
    for _ in range(4):
        await told.run()
        clock.advance(HOUR)
    await told.wish(LCM1, Preference(LCM1, "", "*", "email", quiet="22:00-06:00", digest="08:00"))
    for number in range(2):
        await put(store, alert(f"r{number}", priority="routine"), source="Device/enlace")
    await told.run()
    clock.advance(6 * HOUR)
    await told.run()
    await store.close()
    monkeypatch.setenv("ENLACE_DATABASE_URL", database_url)

    async def run(*words: str) -> Any:
        return await asyncio.to_thread(CliRunner().invoke, app, list(words))

    return run


async def test_list_show_replay_preferences(enlace: Callable[..., Awaitable[Any]]) -> None:
    listed = await enlace("notices", "list", "--state", "failed")
    assert listed.exit_code == 0 and "recipient" in listed.output and "Made" not in listed.output
    (failed,) = json.loads((await enlace("notices", "list", "--state", "failed", "--json")).output)
    assert (failed["channel"], failed["target"]) == ("email", "Communication/one")
    assert "attempts: 3" in (await enlace("notices", "show", str(failed["id"]))).output
    (digest,) = json.loads((await enlace("notices", "list", "--kind", "digest", "--json")).output)
    shown = json.loads((await enlace("notices", "show", str(digest["id"]), "--json")).output)
    assert [one["target"] for one in shown["collected"]] == ["Communication/r0", "Communication/r1"]
    assert (await enlace("notices", "replay", str(failed["id"]))).exit_code == 0
    assert "waiting" in (await enlace("notices", "show", str(failed["id"]))).output
    preferences = await enlace("notices", "preferences", LCM1)
    assert "22:00-06:00" in preferences.output and "email" in preferences.output
    nobody = await enlace("notices", "preferences", "Practitioner/x")
    assert nobody.exit_code == 1 and "There is no Practitioner/x" in nobody.output


async def test_what_is_wrong_is_a_sentence(enlace: Callable[..., Awaitable[Any]]) -> None:
    assert (await enlace("notices", "list", "--state", "x")).exit_code == 2
    for words in (("show", "1"), ("replay", "1")):
        answer = await enlace("notices", *words)
        assert answer.exit_code == 1 and "enlace notices list" in answer.output
    (sent, *_) = json.loads((await enlace("notices", "list", "--state", "sent", "--json")).output)
    refused = await enlace("notices", "replay", str(sent["id"]))
    assert refused.exit_code == 1 and "Only a notice that failed" in refused.output
