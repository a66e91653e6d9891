"""`enlace partners`: what an operator may say of a server, sees of it, and does when it fails."""

import asyncio
import json
from typing import Any

import pytest
from typer.testing import CliRunner

from service.cli import app
from service.store import partner_notices, partners
from service.store.change import Change
from service.store.engine import open_store
from tests.service.world import CBO1, build_world

POSTGRESQL_IN_DEEP = True
GOOD = ("--organization", CBO1, "--base-url", "https://partner.example.org/fhir")


@pytest.fixture
def cli(database_url: str, tmp_path: Any) -> Any:
    async def world() -> None:
        store = await open_store(database_url)
        await build_world(store)
        await store.close()

    asyncio.run(world())
    env = {"ENLACE_DATABASE_URL": database_url, "ENLACE_SECRET_KEY_FILE": str(tmp_path / "secret.key")}

    def run(*arguments: str, code: int = 0) -> str:
        done = CliRunner().invoke(app, ["partners", *arguments], env=env)
        assert done.exit_code == code, (done.output, done.exception)
        return str(done.output)

    return run


def test_added_listed_paused_resumed_tried_again(cli: Any, database_url: str) -> None:
    assert cli("list").strip() == "No partners."
    cli("add", "food-bank", *GOOD, "--every", "15")

    async def referral() -> None:
        store = await open_store(database_url)
        await store.commit(Change(statements=[partners.opened("t1", "food-bank")]))
        await store.commit(Change(statements=[partners.ended("t1", "refused", "status-422", 1)]))
        await store.close()

    asyncio.run(referral())
    (row,) = json.loads(cli("list", "--json"))
    assert (row["state"], row["for_a_person"], row["waiting"]) == ("active", 1, 0)
    assert "status-422" in cli("show", "food-bank", "--state", "refused")
    cli("pause", "food-bank")
    cli("add", "food-bank", *GOOD, "--every", "30")
    assert json.loads(cli("list", "--json"))[0]["state"] == "paused"
    cli("resume", "food-bank")
    cli("retry", "food-bank", "--task", "Task/t1")
    (shown,) = json.loads(cli("show", "food-bank", "--json"))
    assert (shown["state"], shown["error"]) == ("to-send", "")

    async def audited() -> list[str]:
        store = await open_store(database_url)
        rows = await store.fetch("SELECT kind FROM audit WHERE target = 'partner/food-bank' ORDER BY at_us, seq")
        await store.close()
        return [str(one[0]) for one in rows]

    assert asyncio.run(audited()) == ["partner-add", "partner-state", "partner-add", "partner-state", "partner-state"]


def test_how_it_tells_of_changes_is_said(cli: Any, database_url: str) -> None:
    async def noted(*statements: Any) -> None:
        store = await open_store(database_url)
        await store.commit(Change(statements=list(statements)))
        await store.close()

    cli("add", "food-bank", *GOOD)
    assert "none, since nothing was sent to it yet. It is asked every 60 minutes." in cli("show", "food-bank")
    name, day = "food-bank", 86_400_000_000
    asyncio.run(noted(partner_notices.making(name, "0a", 1, day), partner_notices.first_told(name, "0a", 10 * day)))
    asyncio.run(noted(partner_notices.hinted(name, 11 * day)))
    assert "it tells us of changes since 1970-01-11T00:00:00.000000Z" in (shown := cli("show", name)), shown
    assert "last one 1970-01-12" in shown
    asyncio.run(noted(partner_notices.failed(name, "lost", "off-there", 2, 12 * day)))
    assert "does no more" in (shown := cli("show", name)) and "last error off-there" in shown
    (row,) = json.loads(cli("list", "--json"))
    facts = row["notices"]
    assert (facts["wanted"], facts["status"], facts["since"], facts["error"]) == ("auto", "lost", "", "off-there")
    assert " lost " in cli("list")
    cli("add", name, *GOOD, "--notices", "poll")
    asyncio.run(noted(partner_notices.ended(name)))
    assert "Notices: none, as you said." in cli("show", name)


WRONG = (
    (("Food Bank", *GOOD), "a-z, 0-9"),
    (("x", *GOOD, "--every", "5"), "15 to 60"),
    (("x", *GOOD, "--direction", "sideways"), "push, pull, both"),
    (("x", *GOOD, "--notices", "never"), "auto"),
    (("x", "--organization", "Organization/none", *GOOD[2:]), "write the Organization first"),
    (("x", *GOOD[:2], "--base-url", "http://partner.example.org/fhir"), "not-https"),
    (("x", *GOOD[:2], "--base-url", "https://10.0.0.1/fhir"), "address-not-public"),
    (("x", *GOOD[:2], "--base-url", "https://partner.example.org/fhir/"), "slash at its end"),
    (("x", *GOOD[:2], "--base-url", "http://127.0.0.1:8000/fhir"), "this service's own"),
    (("x", *GOOD, "--token-url", "https://partner.example.org/token"), "--client-id go together"),
)


def test_what_is_wrong_is_said_and_nothing_is_written(cli: Any) -> None:
    for arguments, words in WRONG:
        assert words in cli("add", *arguments, code=1), arguments
    assert json.loads(cli("list", "--json")) == []
    for verb in ("show", "pause", "resume", "retry", "test"):
        assert "There is no partner nobody" in cli(verb, "nobody", code=1)
    assert "--state is one of" in cli("show", "nobody", "--state", "x", code=2)
    cli("add", "one", *GOOD)
    assert "already: an organization has one" in cli("add", "two", *GOOD, code=1)
