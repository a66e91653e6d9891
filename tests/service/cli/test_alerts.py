"""`enlace alerts`: who has each alert and when it was told, without a word of what it says."""

import json

import pytest
from typer.testing import CliRunner

from service.cli import app
from service.store.engine import Store
from tests.scenarios.harness import look
from tests.service.adt_world import Sender, adt_world
from tests.service.world import LCM1

POSTGRESQL_IN_DEEP = True


def enlace(*arguments: str) -> tuple[int, str, str]:
    done = CliRunner().invoke(app, ["alerts", *arguments])
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
    return done.exit_code, done.stdout.strip(), done.stderr.strip()


@pytest.fixture
def url(monkeypatch: pytest.MonkeyPatch, database_url: str) -> str:
    monkeypatch.setenv("ENLACE_DATABASE_URL", database_url)

    async def write(store: Store) -> None:
        await adt_world(store)
        send = Sender(store)
        await send(send.adt("A01"))

    look(database_url, write)
    return database_url


def test_listed_and_shown_without_a_name(url: str) -> None:
    code, out, _ = enlace("list", "--state", "open")
    assert code == 0 and "lead care manager" in out and "Rosalind" not in out
    [one] = json.loads(enlace("list", "--json")[1])
    assert (one["patient"], one["level"], one["state"]) == ("Patient/rosa", 0, "open")
    code, out, _ = enlace("show", one["alert"])
    assert code == 0 and f"recipients: {LCM1}" in out and "happened: " in out and "came: " in out
    assert "Rosalind" not in out and "Mercy" not in out
    assert json.loads(enlace("show", one["alert"].partition("/")[2], "--json")[1])["told"] == []


def test_what_is_not_there(url: str) -> None:
    assert enlace("list", "--state", "snoozed")[1] == "No alerts."
    assert enlace("list", "--state", "lost")[0] == 2
    assert "There is no alert" in enlace("show", "al-absent")[2]
