"""`enlace access explain` prints the steps, and says plainly what it cannot explain."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from typer.testing import CliRunner

from service.cli import app
from service.store.engine import open_store
from tests.service.world import ECM2, PLAN1, access_token, build_world

POSTGRESQL_IN_DEEP = True


@pytest.fixture
async def explain(database_url: str, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Awaitable[Any]]:
    """Runs the command against the small world."""
    store = await open_store(database_url)
    await build_world(store)
    await access_token(store, "mcp", PLAN1)
    await store.close()
    monkeypatch.setenv("ENLACE_DATABASE_URL", database_url)

    async def run(*words: str) -> Any:
        return await asyncio.to_thread(CliRunner().invoke, app, ["access", "explain", *words])

    return run


async def test_the_steps_are_printed(explain: Callable[..., Awaitable[Any]]) -> None:
    told = await explain("Task/a", "--actor", PLAN1)
    assert told.exit_code == 0, told.output
    assert "decision: permit" in told.output and "yes panel: coverage, payor (Coverage/a)" in told.output
    refused = await explain("Task/b", "--actor", PLAN1)
    assert "decision: deny" in refused.output and "no  rule: Nothing relates the actor" in refused.output
    assert json.loads((await explain("Task/a", "--actor", PLAN1, "--json")).output)["resourceType"] == "Parameters"


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("Task/absent", "--actor", PLAN1), "is not known"),
        (("Task/a", "--actor", ECM2), "No client acts for this actor"),
        (("nonsense", "--actor", PLAN1), "takes a reference"),
    ],
)
async def test_what_cannot_be_explained_is_one_sentence(
    explain: Callable[..., Awaitable[Any]], words: tuple[str, ...], sentence: str
) -> None:
    told = await explain(*words)
    assert told.exit_code == 1 and sentence in told.output
