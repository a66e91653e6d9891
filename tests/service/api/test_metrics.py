"""/metrics: what it says of a seeded world, that it says nothing of people, that it answers without its database."""

import asyncio
import re
from collections.abc import Awaitable, Callable
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from prometheus_client.parser import text_string_to_metric_families

from service import metrics, worker
from service.access.context import Context
from service.api import metrics as scraping
from service.api.fhir import ROWS
from service.api.metrics import Scrapes
from service.caller import Role
from service.interactions.receive_hl7v2 import CODES
from service.store import figures, inbox, partners, sources
from service.store.change import Change, Job, Statement
from service.store.database import Unavailable
from service.store.engine import Store
from service.store.sources import RegisteredSource
from service.workflow.alerts import CATEGORY, CATEGORY_SYSTEM
from tests.frozen_clock import FrozenClock
from tests.service.adt_world import Sender, adt_world, said
from tests.service.conftest import AppClient
from tests.service.workflow.partner_world import add_partner
from tests.service.world import ECM1, LCM1, make, put, ref

POSTGRESQL_IN_DEEP = True

Sample = dict[tuple[str, ...], float]
Scrape = Callable[[], Awaitable[str]]
HOUR = 3_600_000_000


@pytest.fixture(autouse=True)
def counters(monkeypatch: pytest.MonkeyPatch) -> metrics.Counters:
    """Those of this test alone."""
    fresh = metrics.Counters()
    monkeypatch.setattr(metrics, "COUNTERS", fresh)
    return fresh


@pytest.fixture
def scrape(app: FastAPI, store: Store) -> Scrape:
    """The text as Prometheus gets it, made anew each time."""

    async def get() -> str:
        app.state.scrapes = Scrapes(store)
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test") as client:
            answer = await client.get("/metrics")
        assert answer.status_code == 200
        assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
        return answer.text

    return get


def samples(text: str, name: str) -> Sample:
    """Label values in the order of their names -> value, of one series name."""
    return {
        tuple(value for _, value in sorted(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if sample.name == name
    }


def alert(reference: str, **more: Any) -> dict[str, Any]:
    category = [{"coding": [{"system": CATEGORY_SYSTEM, "code": CATEGORY}]}]
    return make(reference, **{"status": "completed", "category": category, "recipient": [ref(LCM1)], **more})


async def test_requests_are_counted_and_timed_by_interaction_type_and_outcome(
    world: Store, app_client: AppClient, scrape: Scrape
) -> None:
    client = await app_client()
    await client.get("/Patient/a")
    await client.head("/Patient/a")
    await client.get("/Patient/b")
    await client.get("/Patient?name=x")
    await client.post("/Task", json={"resourceType": "Task"})
    await client.request("PATCH", "/Task/a")
    await client.get("/Quillfeather/1")
    await client.get("/Patient/a", headers={"Authorization": "Bearer wrong"})
    text = await scrape()
    assert samples(text, "enlace_requests_total") == {
        ("read", "2xx", "Patient"): 2,
        ("read", "4xx", "Patient"): 2,
        ("search-type", "2xx", "Patient"): 1,
        ("create", "4xx", "Task"): 1,
        ("patch", "4xx", "Task"): 1,
        ("none", "4xx", "none"): 1,
    }
    assert samples(text, "enlace_request_seconds_count")[("read",)] == 4
    buckets = samples(text, "enlace_request_seconds_bucket")
    assert buckets["read", "+Inf"] == 4
    assert samples(text, "enlace_request_seconds_sum")[("read",)] > 0


async def test_pages_and_hl7v2_over_http_are_requests_too(app: FastAPI, scrape: Scrape) -> None:
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test") as client:
        page = await client.get("/inbox/list")
        refused = await client.post("/hl7v2", content=b"MSH|")
        token = await client.post("/auth/token", data={"grant_type": "client_credentials"})
    assert (page.status_code, refused.status_code, token.status_code) == (401, 401, 401)
    found = samples(await scrape(), "enlace_requests_total")
    assert found == {("page", "4xx", "none"): 1, ("hl7v2", "4xx", "none"): 1, ("token", "4xx", "none"): 1}


async def test_messages_are_counted_by_answer_and_by_feed(store: Store, scrape: Scrape) -> None:
    await adt_world(store)
    send = Sender(store)
    first = send.adt("A01")
    stranger = first.replace(b"|MERCY|", b"|Quillfeather Clinic|")
    assert stranger != first
    await send(first, first, stranger, b"nothing that begins with MSH")
    text = await scrape()
    assert samples(text, "enlace_hl7v2_answers_total") == {("AA",): 3, ("AR",): 1}
    assert samples(text, "enlace_feed_messages_total") == {("mercy",): 1, ("unregistered",): 2}, (
        "a repeat is no new one"
    )
    assert samples(text, "enlace_inbox_messages")[("unregistered",)] == 1
    assert samples(text, "enlace_job_attempts_total")["adt.apply", "done"] == 1
    assert samples(text, "enlace_job_seconds_count")[("adt.apply",)] == 1


async def test_failed_and_dead_jobs_are_counted(
    store: Store, clock: FrozenClock, scrape: Scrape, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fails(_ctx: Context, _payload: dict[str, Any]) -> Change:
        raise ValueError("Rosalind Quillfeather")

    monkeypatch.setitem(worker.HANDLERS, "adt.apply", fails)
    monkeypatch.setattr(worker.work, "MAX_ATTEMPTS", 2)
    send = Sender(store)
    await store.commit(Change(jobs=[Job("adt.apply", {"inbox": 1})]))
    await send.worker.drain()
    assert samples(await scrape(), "enlace_jobs") == {("adt", "ready"): 1}
    clock.advance(HOUR)
    waiting = samples(await scrape(), "enlace_oldest_due_job_seconds")
    assert waiting == {("adt",): pytest.approx(3598, abs=2)}, "an hour less the two seconds until it was due"
    await send.worker.drain()
    text = await scrape()
    assert samples(text, "enlace_jobs") == {("adt", "dead"): 1}
    assert samples(text, "enlace_oldest_due_job_seconds") == {("adt",): 0}, "nobody waits for a dead one"
    assert samples(text, "enlace_job_attempts_total") == {("adt.apply", "retried"): 1, ("adt.apply", "dead"): 1}


async def test_a_job_given_back_untried_waits_since_it_was_made(
    store: Store, clock: FrozenClock, scrape: Scrape
) -> None:
    await store.commit(Change(jobs=[Job("adt.apply", {"inbox": 1})]))
    await store.commit(Change(statements=[Statement("UPDATE job SET due_us = 0", ())]))
    clock.advance(HOUR)
    assert samples(await scrape(), "enlace_oldest_due_job_seconds") == {("adt",): pytest.approx(3600, abs=1)}


async def test_a_feed_is_silent_since_its_last_message(store: Store, clock: FrozenClock, scrape: Scrape) -> None:
    await adt_world(store)
    never = RegisteredSource("never-sent", "X", "NEVER", "Organization/mercy", {}, True)
    gone = RegisteredSource("gone", "X", "GONE", "Organization/mercy", {}, False)
    await store.commit(Change(statements=[sources.put(never), sources.put(gone)]))
    send = Sender(store)
    await send(send.adt("A01"))
    clock.advance(2 * HOUR)
    await send(send.adt("A02").replace(b"|MERCY|", b"|SOMEBODY|"))
    clock.advance(HOUR)
    text = await scrape()
    assert samples(text, "enlace_feed_registered") == {("mercy",): 1, ("never-sent",): 1}
    silence = samples(text, "enlace_feed_silence_seconds")
    assert silence == {("mercy",): pytest.approx(10_800), ("unregistered",): pytest.approx(3_600, abs=1)}


async def test_the_feed_query_takes_one_index_step_a_source(sqlite_url: str, clock: FrozenClock) -> None:
    from service.store.engine import open_store

    store, seen = await open_store(sqlite_url, clock), list[str]()
    fetch = store.db.fetch

    async def watched(sql: str, params: tuple[Any, ...] = (), **how: Any) -> list[tuple[Any, ...]]:
        seen.append(sql)
        return await fetch(sql, params, **how)

    store.db.fetch = watched  # type: ignore[method-assign]
    await figures.read(store)
    sql = next(sql for sql in seen if "received_us" in sql)
    plan = " ".join(str(row[3]) for row in await fetch(f"EXPLAIN QUERY PLAN {sql}"))
    assert re.search(r"SEARCH i USING COVERING INDEX \w+ \(source=\?\)", plan), plan
    await store.close()


async def test_alerts_by_state_and_the_age_of_the_oldest_new_one(store: Store, scrape: Scrape) -> None:
    await put(store, make(LCM1), make(ECM1, name="e"), alert("Communication/none", sent="2026-03-07T20:30:00-08:00"))
    assert samples(await scrape(), "enlace_oldest_new_alert_seconds") == {(): pytest.approx(10_800)}
    await put(
        store,
        alert("Communication/new", sent="2026-03-07T23:00:00-08:00"),
        alert("Communication/seen", sent="2026-03-01T10:00:00Z", received="2026-03-01T11:00:00Z"),
        alert("Communication/wrong", sent="2026-03-01T10:00:00Z", status="entered-in-error"),
        alert("Communication/both", received="2026-03-01T11:00:00Z", status="entered-in-error"),
        make("Communication/letter", status="completed", sent="2025-03-01T10:00:00Z"),
    )
    text = await scrape()
    assert samples(text, "enlace_alerts") == {("new",): 2, ("acknowledged",): 1, ("retracted",): 2}
    assert samples(text, "enlace_oldest_new_alert_seconds") == {(): pytest.approx(10_800)}


async def test_partners_and_referrals_over_them(store: Store, scrape: Scrape) -> None:
    now_us = store.clock.now_us()
    one = await add_partner(store)
    await store.commit(Change(statements=[partners.opened(task, "food-bank") for task in ("t", "u")]))
    await store.commit(Change(statements=[partners.unreached(one, now_us, now_us, "connect")]))
    text = await scrape()
    assert samples(text, "enlace_partners") == {("failing",): 1}
    assert samples(text, "enlace_partner_referrals") == {("to-send",): 2}


async def test_backup_slots_and_size(store: Store, clock: FrozenClock, scrape: Scrape) -> None:
    text = await scrape()
    assert samples(text, "enlace_backup_age_seconds") == {(): float("inf")}, "never is older than any limit"
    insert = Statement("INSERT INTO meta (name, value) VALUES (?, ?)", (figures.BACKUP, str(clock.now_us() - HOUR)))
    await store.commit(Change(statements=[insert]))
    text = await scrape()
    assert samples(text, "enlace_backup_age_seconds") == {(): 3600}
    assert samples(text, "enlace_slots_leased") == {(): 1}
    assert samples(text, "enlace_slot_held") == {(): 1}
    assert samples(text, "enlace_database_bytes")[()] > 100_000
    assert samples(text, "process_cpu_seconds_total")[()] > 0
    store.lost.set()
    assert samples(await scrape(), "enlace_slot_held") == {(): 0}


async def test_groups_load_and_what_was_turned_away(counters: metrics.Counters, scrape: Scrape) -> None:
    metrics.COUNTERS.group_size, metrics.COUNTERS.group_seconds = (
        metrics.Histogram(metrics.SIZES),
        metrics.Histogram(metrics.SECONDS),
    )
    told: list[tuple[int, float]] = []
    metrics.GROUP_WATCHERS.append(lambda size, seconds: told.append((size, seconds)))
    try:
        for size in (1, 2, 3, 300):
            metrics.group_committed(size, 0.02)
    finally:
        metrics.GROUP_WATCHERS.pop()
    assert told == [(1, 0.02), (2, 0.02), (3, 0.02), (300, 0.02)]
    metrics.request_shed("in-flight")
    counters.in_flight = 7
    text = await scrape()
    sizes = samples(text, "enlace_group_changes_bucket")
    assert (sizes["1.0",], sizes["2.0",], sizes["4.0",], sizes["256.0",], sizes["+Inf",]) == (1, 2, 3, 3, 4)
    assert samples(text, "enlace_group_seconds_sum") == {(): pytest.approx(0.08)}
    assert samples(text, "enlace_requests_shed_total") == {("in-flight",): 1}
    assert samples(text, "enlace_requests_in_flight") == {(): 7}


# ---- no PHI

INTERACTIONS = {row.interaction for row in ROWS} | {"none", "page", "token", "introspect", "revoke", "hl7v2"}
CLOSED: dict[str, Callable[[str], bool]] = {
    "interaction": INTERACTIONS.__contains__,
    "outcome": {*metrics.OUTCOMES, "done", "retried", "dead"}.__contains__,
    "reason": {"in-flight", "client-rate", "client-share"}.__contains__,
    "code": {*CODES, "none"}.__contains__,
    "kind": lambda value: value in worker.HANDLERS or value in {"silent", "errors", "queue"},
    "queue": lambda value: value in {kind.partition(".")[0] for kind in worker.HANDLERS},
    "state": {"ready", "leased", "dead", *inbox.STATES, "new", "acknowledged", "retracted"}.__contains__,
    "source": {"mercy", "other", "unregistered"}.__contains__,
    "le": lambda value: value == "+Inf" or float(value) in (*metrics.SECONDS, *metrics.SIZES),
    "version": lambda value: re.fullmatch(r"[0-9.a-z+-]+", value) is not None,
}
"""label -> its closed set; `type` is added by the test (the served types)."""


async def test_no_label_and_no_line_tells_of_a_person(store: Store, app_client: AppClient, scrape: Scrape) -> None:
    from fhir_profiles.catalog import catalog

    await adt_world(store)
    hostile = ("Rosalind Quillfeather", 'x"} 1\nenlace_leak{name="Brambleton', "91000001A", "123-45-6789")
    rows = [
        RegisteredSource(name, f"APP{n}", f"F{n}", "Organization/mercy", {}, True) for n, name in enumerate(hostile)
    ]
    await store.commit(Change(statements=[sources.put(row) for row in rows]))
    send = Sender(store)
    messages = [send.adt("A01"), send.adt("A03", said("91000002A", "Brambleton")), send.adt("Quillfeather")]
    for number, _ in enumerate(hostile):
        messages.append(send.adt("A01").replace(b"|EPIC|MERCY|", f"|APP{number}|F{number}|".encode()))
    messages.append(send.adt("A01").replace(b"|EPIC|MERCY|", b"|Quillfeather|Rosalind|"))
    await send(*messages)
    client = await app_client(str(Role.ECM_PROVIDER), ECM1)
    for path in ("/Patient/rosa", "/Patient?family=Quillfeather", "/Rosalind/Quillfeather", "/Patient/91000001A"):
        await client.get(path, headers={"X-Request-Id": "Quillfeather"})
    await client.request("QUILLFEATHER", "/Patient/rosa")
    text = await scrape()
    allowed = {**CLOSED, "type": {*catalog().types, "none"}.__contains__}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            for name, value in sample.labels.items():
                assert name in allowed, f"{sample.name}: the label {name} is not on the list"
                assert allowed[name](value), f"{sample.name}: {name}={value} is of no closed set"
    assert samples(text, "enlace_feed_registered") == {("mercy",): 1, ("other",): 1}
    for secret in ("uillfeather", "UILLFEATHER", "osalind", "rambleton", "91000001A", "91000002A", "rosa", "45-6789"):
        assert secret not in text, secret


# ---- a database that does not answer, and many that ask


@pytest.mark.parametrize("error", [Unavailable("away"), OSError("away"), RuntimeError("a defect")])
async def test_without_its_database_the_process_still_answers(
    store: Store, scrape: Scrape, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    async def fails(*_args: object, **_more: object) -> list[tuple[Any, ...]]:
        raise error

    metrics.request_done("read", "Patient", 503, 0.1)
    monkeypatch.setattr(store.db, "fetch", fails)
    text = await scrape()
    assert samples(text, "enlace_database_up") == {(): 0}
    assert samples(text, "enlace_requests_total") == {("read", "5xx", "Patient"): 1}
    assert samples(text, "process_resident_memory_bytes")
    assert not samples(text, "enlace_alerts") and not samples(text, "enlace_backup_age_seconds")
    monkeypatch.undo()
    assert samples(await scrape(), "enlace_database_up") == {(): 1}


async def test_a_database_that_hangs_is_asked_once_and_not_waited_for(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked, answer = 0, asyncio.Event()

    async def hangs(_store: Store) -> figures.Figures:
        nonlocal asked
        asked += 1
        await answer.wait()
        return figures.Figures()

    monkeypatch.setattr(scraping, "PATIENCE_S", 0.01)
    monkeypatch.setattr(scraping, "CACHE_S", -1.0)
    monkeypatch.setattr(figures, "read", hangs)
    scrapes = Scrapes(store)
    for _ in range(3):
        assert samples((await scrapes.text()).decode(), "enlace_database_up") == {(): 0}
    assert asked == 1
    monkeypatch.setattr(scraping, "PATIENCE_S", 30.0)
    answer.set()
    assert samples((await scrapes.text()).decode(), "enlace_database_up") == {(): 1}


async def test_many_scrapes_read_the_database_once(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    read, asked = figures.read, 0

    async def counted(of: Store) -> figures.Figures:
        nonlocal asked
        asked += 1
        return await read(of)

    monkeypatch.setattr(figures, "read", counted)
    scrapes = Scrapes(store)
    texts = await asyncio.gather(*(scrapes.text() for _ in range(20)))
    assert asked == 1 and len(set(texts)) == 1
