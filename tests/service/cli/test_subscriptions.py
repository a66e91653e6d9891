"""`enlace subscriptions`, `enlace deliveries`: the operator does what a client can do, and it stands in the audit."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result
from typer.testing import CliRunner

from service.cli import app
from service.notify.model import Event
from service.store import deliveries, subscriptions
from service.store.change import Change
from service.store.deliveries import Attempt
from service.store.engine import Store, open_store
from tests.service.world import ECM1, access_token, build_world

POSTGRESQL_IN_DEEP = True
HOOK = "https://hooks.example.org/enlace?key=not-to-be-shown"
Run = Callable[..., Awaitable[Result]]


@pytest.fixture
async def enlace(database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Runs a command against the small world, in which ECM 1 has one client."""
    store = await open_store(database_url)
    await build_world(store)
    await access_token(store, "ecm-provider", ECM1)
    await store.close()
    monkeypatch.setenv("ENLACE_DATABASE_URL", database_url)
    monkeypatch.setenv("ENLACE_SECRET_KEY_FILE", str(tmp_path / "secret.key"))

    async def run(*words: str) -> Result:
        return await asyncio.to_thread(CliRunner().invoke, app, words)

    return run


async def looked(url: str, work: Callable[[Store], Awaitable[Any]]) -> Any:
    store = await open_store(url)
    try:
        return await work(store)
    finally:
        await store.close()


async def ok(run: Run, *words: str) -> str:
    done = await run(*words)
    assert done.exit_code == 0, done.output
    return done.stdout


@pytest.fixture
async def made(enlace: Run) -> dict[str, Any]:
    """A subscription of the client, made by the command."""
    client = json.loads(await ok(enlace, "client", "list", "--json"))[0]["id"]
    words = ("add", client, "--topic", "referral-status", "--endpoint", HOOK, "--filter", f"Task?requester={ECM1}")
    found: dict[str, Any] = json.loads(await ok(enlace, "subscriptions", *words, "--timeout", "3", "--json"))
    return found | {"client": client}


async def test_topics_are_listed(enlace: Run) -> None:
    assert "referral-status" in await ok(enlace, "subscriptions", "topics")
    rows = json.loads(await ok(enlace, "subscriptions", "topics", "--json"))
    assert {"topic", "url", "types", "filters"} <= rows[0].keys()
    assert next(row for row in rows if row["topic"] == "referral-status")["types"] == ["Task"]


async def test_what_is_added_is_its_clients_and_shows_its_secret_once(enlace: Run, made: dict[str, Any]) -> None:
    assert made["secret"].startswith("whsec_")
    listed = json.loads(await ok(enlace, "subscriptions", "list", "--client", made["client"], "--json"))
    assert [(row["id"], row["status"], row["client"]) for row in listed] == [(made["id"], "requested", made["client"])]
    text = await ok(enlace, "subscriptions", "show", made["id"])
    assert "hooks.example.org" in text and "not-to-be-shown" not in text and made["secret"] not in text
    assert "status: requested" in text


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("show", "absent"), "Subscription/absent is not known"),
        (("pause", "absent"), "Subscription/absent is not known"),
        (("add", "nobody", "--topic", "referral-status", "--endpoint", HOOK), "No active client"),
        (("list", "--client", "nobody"), "No active client"),
    ],
)
async def test_what_is_not_there_is_one_sentence(enlace: Run, words: tuple[str, ...], sentence: str) -> None:
    done = await enlace("subscriptions", *words)
    assert done.exit_code == 1 and sentence in done.output and "Traceback" not in done.output


async def test_what_cannot_be_honoured_is_told_all_at_once(enlace: Run, made: dict[str, Any]) -> None:
    words = ("--topic", "weather", "--endpoint", "http://10.0.0.1/x", "--channel", "rest-hook", "--timeout", "900")
    done = await enlace("subscriptions", "add", made["client"], *words)
    assert done.exit_code == 1
    assert len(done.output.strip().splitlines()) == 3, done.output


async def test_what_each_channel_usually_carries_need_not_be_said(
    enlace: Run, made: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ENLACE_SMTP_URL", "smtps://mail.example.org:465")
    words = ("--topic", "referral-status", "--channel", "email", "--endpoint", "mailto:team@example.org")
    added = json.loads(await ok(enlace, "subscriptions", "add", made["client"], *words, "--json"))
    assert "content: empty" in await ok(enlace, "subscriptions", "show", added["id"])
    assert "content: id-only" in await ok(enlace, "subscriptions", "show", made["id"])


def test_an_unknown_status_is_wrong_use() -> None:
    done = CliRunner().invoke(app, ["subscriptions", "list", "--status", "sleepy"])
    assert done.exit_code == 2 and "requested, active, error, off" in done.output


async def test_paused_resumed_rotated_deleted_and_audited(enlace: Run, made: dict[str, Any], database_url: str) -> None:
    fhir_id = made["id"]
    assert (await ok(enlace, "subscriptions", "pause", fhir_id)).strip() == "Paused."
    assert "(paused)" in await ok(enlace, "subscriptions", "list")
    assert (await ok(enlace, "subscriptions", "resume", f"Subscription/{fhir_id}")).strip() == "Resumed."
    rotated = await enlace("subscriptions", "rotate-secret", fhir_id)
    secret = rotated.stdout.strip()
    assert secret.startswith("whsec_") and secret != made["secret"] and "\n" not in secret, "as it goes into a file"
    assert "signs as well until" in rotated.stderr
    refused = await enlace("subscriptions", "test", fhir_id)
    assert refused.exit_code == 1 and "active" in refused.output
    assert (await ok(enlace, "subscriptions", "delete", fhir_id, "--yes")).strip() == "Deleted."
    assert (await enlace("subscriptions", "show", fhir_id)).exit_code == 1
    rows = await looked(database_url, lambda s: s.fetch("SELECT actor, kind FROM audit WHERE target LIKE 'Subscr%'"))
    acts = {kind for actor, kind in rows if actor == "operator"}
    assert {"create", "delete", "subscription-pause", "subscription-resume", "subscription-secret"} <= acts
    assert {actor for actor, _ in rows} == {"operator"}


async def _history(store: Store, fhir_id: str, status: str) -> None:
    """Three events, of which the first arrived and two failed."""
    state = await subscriptions.by_id(store, fhir_id)
    assert state is not None
    events = [Event(number, -number, state.key, "test", False, 1_000_000 * number) for number in (1, 2, 3)]
    tried = [
        Attempt(1, 1_000_000, "event", 1, 1, "ok", 200, "", 12, "abc"),
        Attempt(2, 2_000_000, "event", 2, 3, "failed", 503, "http-5xx", 40),
        Attempt(3, 3_000_000, "event", 2, 3, "failed", 0, "timeout", 5_000),
    ]
    change = Change(statements=[*deliveries.numbered(state.key, events), *deliveries.arrived(state.key, 1, 5)])
    change.statements += [deliveries.attempted(state.key, one) for one in tried]
    change.statements.append(subscriptions.changed(state.key, status=status, failures=2, error="72 hours are over."))
    await store.commit(change)


async def test_the_ledger_in_words(enlace: Run, made: dict[str, Any], database_url: str) -> None:
    await looked(database_url, lambda store: _history(store, made["id"], "error"))
    assert "error (failing)" in await ok(enlace, "subscriptions", "list")
    text = await ok(enlace, "deliveries", "list", made["id"])
    assert len(text.splitlines()) == 4 and "2-3" in text and "did not answer in time" in text
    rows = json.loads(await ok(enlace, "deliveries", "list", made["id"], "--number", "1", "--json"))
    assert [(row["events"], row["outcome"], row["receipt"]) for row in rows] == [("1", "ok", "abc")]
    assert json.loads(await ok(enlace, "deliveries", "list", made["id"], "--outcome", "refused", "--json")) == []
    shown = json.loads(await ok(enlace, "deliveries", "show", made["id"], "2", "--json"))
    assert [one["outcome"] for one in shown["attempts"]] == ["failed", "failed"] and shown["arrived"] is None
    assert "arrived 1970" in await ok(enlace, "deliveries", "show", made["id"], "1")
    missing = await enlace("deliveries", "show", made["id"], "9")
    assert missing.exit_code == 1 and "No event 9" in missing.output
    text = await ok(enlace, "subscriptions", "show", made["id"])
    assert (
        "72 hours are over." in text and "Status 503" in text and "PUT the Subscription with status requested" in text
    )


async def test_replay_of_one_of_many_and_of_the_dead(enlace: Run, made: dict[str, Any], database_url: str) -> None:
    await looked(database_url, lambda store: _history(store, made["id"], "active"))
    assert (await ok(enlace, "deliveries", "replay", made["id"], "1")).strip() == "1 event will be sent again."
    assert "3 events will" in await ok(enlace, "deliveries", "replay", made["id"], "1", "2-3")
    sql = "SELECT vid FROM event_waiting WHERE kind = 'resend' ORDER BY vid"
    assert [row[0] for row in await looked(database_url, lambda store: store.fetch(sql))] == [-3, -2, -1]
    assert "not in error" in await ok(enlace, "deliveries", "replay", made["id"], "--dead")
    await looked(database_url, lambda store: _ended(store, made["id"]))
    told = await ok(enlace, "deliveries", "replay", made["id"], "--dead")
    assert "Events 2 to 3 wait." in told and "status requested" in told
    told = await ok(enlace, "subscriptions", "resume", made["id"])
    assert "in error" in told and "status requested" in told, "resuming alone sends nothing"
    refused = await enlace("deliveries", "replay", made["id"], "1")
    assert refused.exit_code == 1 and "this one is error" in refused.output


async def _ended(store: Store, fhir_id: str) -> None:
    key = store.keys.resource(f"Subscription/{fhir_id}")
    await store.commit(Change(statements=[subscriptions.changed(key, status="error")]))


@pytest.mark.parametrize("words", [(), ("1", "--dead"), ("0",), ("5-2",), ("x",), ("1-",)])
def test_numbers_that_are_none_are_wrong_use(words: tuple[str, ...]) -> None:
    done = CliRunner().invoke(app, ["deliveries", "replay", "any", *words])
    assert done.exit_code == 2 and "7-12" in done.output
