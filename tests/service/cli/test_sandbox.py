"""`enlace sandbox`: the page's events on the command line, over a running service; refusals in one sentence each."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from service.store.engine import Store
from tests.postgres_server import free_port
from tests.scenarios.harness import Service, look, running
from tests.service.web.county import populate, populate_sandbox

VERBS = ("admit", "discharge", "refer", "accept", "complete")


async def county(store: Store) -> None:
    await populate(store)
    await populate_sandbox(store)


@pytest.fixture
def service(database_url: str, tmp_path: Path) -> Iterator[Service]:
    """The whole service over a county in miniature: Ana's members Rosita and Tia can be named by a hospital."""
    look(database_url, county)
    with running(database_url, tmp_path) as started:
        yield started


def test_a_stay_and_a_referral(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    came = json.loads(service.cli("sandbox", "admit", "--for", "ana", "--json"))
    assert (came["event"], came["state"]) == ("A01", "applied") and came["ack"] in ("AA", "CA")
    assert "was admitted to " + came["hospital"] in came["alert"]
    words = service.cli("sandbox", "discharge")
    assert came["member"] in words and "Alert: " in words and "was discharged home" in words
    [first, last] = service.inbox()[-2:]
    assert (first["id"], first["stay"]) == (came["message"], last["stay"]) and last["event"] == "A03"
    steps = [json.loads(service.cli("sandbox", verb, "--json")) for verb in ("refer", "accept", "complete")]
    assert [step["status"] for step in steps] == ["requested", "accepted", "completed"]
    assert len({step["task"] for step in steps}) == 1
    token = service.cli("token", "--role", "cbo").strip()
    [task] = service.found(token, f"Task?_id={steps[0]['task'].partition('/')[2]}")
    assert task["status"] == "completed" and task["output"][0]["valueReference"]["reference"].startswith("Procedure/")
    assert " to Made-up Steps " in service.cli("sandbox", "refer")
    assert "there are: Ana Quispe, Ben Okafor." in service.cli("sandbox", "admit", "--for", "nobody", code=1)
    assert "send an A01 first" in service.cli("sandbox", "discharge", code=1)
    if ("worker",) in service.parts:
        service.kill("worker")
        monkeypatch.setattr("service.cli.sandbox_steps.WAIT_S", 0.3)
        said = service.cli("sandbox", "admit", code=1)
        assert "start `make run` or `enlace worker`" in said and "No alert; the message is stored" in said


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, sqlite_url: str) -> Path:
    monkeypatch.setenv("ENLACE_DATABASE_URL", sqlite_url)
    monkeypatch.setenv("ENLACE_SECRET_KEY_FILE", str(tmp_path / "secret.key"))
    monkeypatch.setenv("ENLACE_MLLP_PORT", str(free_port()))
    return tmp_path


def refused(*arguments: str) -> str:
    """The one sentence with which it fails."""
    from typer.testing import CliRunner

    from service.cli import app

    done = CliRunner().invoke(app, ["sandbox", *arguments])
    lines = done.stderr.strip().splitlines()
    assert (done.exit_code, done.stdout, len(lines)) == (1, "", 1), (done.exit_code, done.output, done.exception)
    assert lines[0].endswith(".")
    return lines[0]


@pytest.mark.parametrize("verb", VERBS)
def test_production_refuses_each(environment: Path, monkeypatch: pytest.MonkeyPatch, verb: str) -> None:
    monkeypatch.setenv("ENLACE_ENV", "production")
    assert "ENLACE_ENV=sandbox" in refused(verb)


@pytest.mark.parametrize("verb", VERBS)
def test_an_empty_database_says_what_to_do(environment: Path, verb: str) -> None:
    assert "enlace seed" in refused(verb)


def test_no_listener_says_so(environment: Path, sqlite_url: str) -> None:
    look(sqlite_url, county)
    assert "start `make run`" in refused("admit")
    assert "send an A01 first" in refused("discharge")
    assert "No referral waits" in refused("accept") and "accepted first" in refused("complete")
