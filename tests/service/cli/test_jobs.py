"""`enlace jobs`: what failed for good is seen and tried again, and nothing else is touched."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from typer.testing import CliRunner

from service.cli import app
from service.store import work
from service.store.change import Change, Job
from service.store.engine import open_store
from service.store.work import Claimed

POSTGRESQL_IN_DEEP = True


@pytest.fixture
async def enlace(database_url: str, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Awaitable[Any]]:
    """Runs a command where of three jobs two are dead."""
    store = await open_store(database_url)
    for n in range(3):
        await store.commit(Change(jobs=[Job("adt.settle" if n else "tcs.settle", {"patient": "Patient/secret"})]))
    jobs: list[Claimed] = await work.claim(store, 2)
    await store.commit(Change(statements=[work.dead(job, "KeyError at made/up.py:1") for job in jobs]))
    await store.close()
    monkeypatch.setenv("ENLACE_DATABASE_URL", database_url)

    async def run(*words: str) -> Any:
        return await asyncio.to_thread(CliRunner().invoke, app, ["jobs", *words])

    return run


async def test_what_failed_for_good_is_seen_without_what_it_is_about(enlace: Callable[..., Awaitable[Any]]) -> None:
    listed = await enlace("list")
    assert listed.exit_code == 0 and listed.output.count("KeyError at made/up.py:1") == 2
    assert "secret" not in listed.output
    ready = json.loads((await enlace("list", "--state", "ready", "--json")).output)
    assert [one["kind"] for one in ready] == ["adt.settle"]
    assert "No jobs are leased" in (await enlace("list", "--state", "leased")).output


async def test_it_is_tried_again_by_number_and_by_kind(enlace: Callable[..., Awaitable[Any]]) -> None:
    dead = json.loads((await enlace("list", "--json")).output)
    done = await enlace("retry", str(dead[0]["id"]), "17")
    assert done.exit_code == 1 and "Not dead" in done.output and "1 will be tried again" in done.output
    again = json.loads((await enlace("list", "--state", "ready", "--json")).output)
    assert dead[0]["id"] in [one["id"] for one in again] and all(one["attempts"] == 0 for one in again)
    assert json.loads((await enlace("retry", "--kind", dead[1]["kind"], "--json")).output) == {
        "retried": [dead[1]["id"]]
    }
    assert "No jobs are dead" in (await enlace("list")).output


@pytest.mark.parametrize("words", [("list", "--state", "lost"), ("retry",), ("retry", "1", "--kind", "adt.settle")])
async def test_wrong_use(enlace: Callable[..., Awaitable[Any]], words: tuple[str, ...]) -> None:
    assert (await enlace(*words)).exit_code == 2
