"""`enlace labels`: rules added, listed, removed and applied; what is wrong is one sentence."""

import json
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from typer.testing import CliRunner

from service.cli import app
from service.store.engine import open_store
from tests.service.world import ECM1, build_world

POSTGRESQL_IN_DEEP = True


@pytest.fixture
async def enlace(database_url: str, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Awaitable[Any]]:
    """Runs a command against the small world."""
    import asyncio

    store = await open_store(database_url)
    await build_world(store)
    await store.close()
    monkeypatch.setenv("ENLACE_DATABASE_URL", database_url)

    async def run(*words: str) -> Any:
        return await asyncio.to_thread(CliRunner().invoke, app, list(words))

    return run


async def test_a_rule_from_its_birth_to_its_end(enlace: Callable[..., Awaitable[Any]]) -> None:
    added = await enlace("labels", "add", "source", ECM1, "part2", "sud", "--note", "program")
    assert added.exit_code == 0 and "enlace labels apply" in added.output
    (rule,) = json.loads((await enlace("labels", "list", "--json")).output)
    assert (rule["kind"], rule["value"], rule["labels"]) == ("source", ECM1, ["sud", "part2"])
    applied = (await enlace("labels", "apply")).output
    assert "versions looked at" in applied and "part2" in applied
    assert (await enlace("labels", "remove", "source", ECM1)).exit_code == 0
    assert "No rules." in (await enlace("labels", "list")).output
    assert "NO LONGER" in (await enlace("labels", "apply")).output


@pytest.mark.parametrize(
    ("words", "sentence", "code"),
    [
        (("source", "Location/x", "part2"), "Organization/ID", 2),
        (("reference", "Patient/a", "part2"), "Location/ID", 2),
        (("source", ECM1, "secret"), "Not a group: secret", 2),
        (("other", ECM1, "part2"), "The kind is one of", 2),
        (("source", "Organization/nobody", "part2"), "write it first", 1),
    ],
)
async def test_what_is_wrong_is_said(
    enlace: Callable[..., Awaitable[Any]], words: tuple[str, ...], sentence: str, code: int
) -> None:
    answer = await enlace("labels", "add", *words)
    assert answer.exit_code == code and sentence in answer.output


async def test_break_glass_lists_and_reviews(enlace: Callable[..., Awaitable[Any]], database_url: str) -> None:
    from service.store.break_glass import Taken, opened
    from service.store.change import Change

    store = await open_store(database_url)
    now = store.clock.now_us()
    taken = Taken("bg-1", "Practitioner/lcm-1", ECM1, "Patient/b", "Made up for this test.", "", now, now + 1)
    await store.commit(Change(statements=opened(store, taken, 1)))
    await store.close()
    assert "bg-1: Made up for this test." in (await enlace("break-glass", "list")).output
    assert (await enlace("break-glass", "review", "bg-1", "--verdict", "maybe")).exit_code == 2
    assert (await enlace("break-glass", "review", "bg-2", "--verdict", "justified")).exit_code == 1
    assert (await enlace("break-glass", "review", "bg-1", "--verdict", "justified")).exit_code == 0
    again = await enlace("break-glass", "review", "bg-1", "--verdict", "justified")
    assert again.exit_code == 1 and "already: justified" in again.output
    assert "No emergency access waits" in (await enlace("break-glass", "list")).output
    assert json.loads((await enlace("break-glass", "list", "--all", "--json")).output)[0]["verdict"] == "justified"
