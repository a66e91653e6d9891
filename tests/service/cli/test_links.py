"""`enlace links`: made, listed and ended by the operator; refused with the remedy."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from service.cli import app
from service.store.engine import Store, open_store
from tests.frozen_clock import FrozenClock
from tests.service.web.county import put, register
from tests.service.web.replying import Desk, people_of

POSTGRESQL_IN_DEEP = True
Enlace = Callable[..., Awaitable[Any]]


@pytest.fixture
async def task(database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.chdir(tmp_path)
    store: Store = await open_store(database_url, FrozenClock())
    await put(store, {"resourceType": "Organization", "id": "ecm-1", "name": "Made-up Care Collective"})
    await register(store, "ehr", role="ecm-provider")
    await people_of(store)
    desk = Desk(store)
    made = await desk.refer()
    await desk.work()
    await store.close()
    monkeypatch.setenv("ENLACE_DATABASE_URL", database_url)
    monkeypatch.setenv("ENLACE_SMTP_URL", "smtps://mail.example.org:465")
    return str(made["id"])


async def run(*words: str) -> Any:
    return await asyncio.to_thread(CliRunner().invoke, app, ["links", *words])


async def test_make_list_revoke(task: str) -> None:
    made = await run("make", task)
    assert made.exit_code == 0 and "/r/" in made.output and "by email" in made.output
    listed = json.loads((await run("list", "--json")).output)
    assert sorted(one["state"] for one in listed) == ["open", "revoked"] and listed[0]["task"] == task
    assert made.output.split("/r/")[1][:24] not in (await run("list")).output
    ended = await run("revoke", f"Task/{task}")
    assert ended.exit_code == 0 and "Organization/pantry" in ended.output
    again = await run("revoke", task)
    assert again.exit_code == 1 and "enlace links list" in again.output


async def test_what_cannot_be_done_is_said(task: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for words, exit_code, said in (
        (("make", "nothing"), 1, "no such referral"),
        (("make", task, "--organization", "Organization/other"), 1, "does not go to"),
        (("list", "--state", "x"), 2, "one of open"),
    ):
        answer = await run(*words)
        assert answer.exit_code == exit_code and said in answer.output
    monkeypatch.delenv("ENLACE_SMTP_URL")
    answer = await run("make", task)
    assert answer.exit_code == 1 and "ENLACE_SMTP_URL" in answer.output
