"""Bundles at the edge: what is taken, refused and counted. The same over both engines: once is enough here."""

import os
from typing import Any

import pytest

from service.bundles import batch, transaction
from service.store.engine import Store
from tests.service.bundles.sending import entry, goal, issues, post, statuses
from tests.service.conftest import AppClient
from tests.service.world import BASE

POSTGRESQL_IN_DEEP = True


@pytest.fixture
def database_url(sqlite_url: str) -> str:
    return sqlite_url


async def test_prefer_counts_for_every_entry(world: Store, app_client: AppClient) -> None:
    client = await app_client()
    for kind in ("batch", "transaction"):
        entries = (entry("POST", "Goal", goal("Patient/a")), entry("GET", "Patient/a"))
        full = (await post(client, kind, *entries)).json()["entry"]
        assert [one["resource"]["resourceType"] for one in full] == ["Goal", "Patient"]
        assert full[0]["fullUrl"].endswith(full[0]["response"]["location"].partition("/_history")[0])
        small = (await post(client, kind, *entries, Prefer="return=minimal")).json()["entry"]
        assert "resource" not in small[0] and small[0]["response"]["status"] == "201" and "resource" in small[1]
        told = (await post(client, kind, *entries, Prefer="return=OperationOutcome")).json()["entry"]
        assert "resource" not in told[0] and told[0]["response"]["outcome"]["resourceType"] == "OperationOutcome"


@pytest.mark.parametrize("path", ["", "/", "?", "/?"])
async def test_the_base_takes_bundles_with_and_without_slash(world: Store, app_client: AppClient, path: str) -> None:
    client = await app_client()
    bundle = {"resourceType": "Bundle", "type": "batch", "entry": [entry("GET", "Patient/a")]}
    answer = await client.post(f"http://test/fhir{path}", json=bundle)
    assert answer.status_code == 200 and statuses(answer) == ["200"]


async def test_what_is_no_batch_is_refused(world: Store, app_client: AppClient) -> None:
    client = await app_client()
    for kind in ("message", "document", "history", "searchset", "batch-response", "shoe"):
        answer = await post(client, kind, entry("GET", "Patient/a"))
        assert answer.status_code == 400 and issues(answer) == [("value", "Bundle.type")]
    assert (await client.post("", json=goal("Patient/a"))).status_code == 400
    assert (await client.post("", json={"resourceType": "Bundle", "type": "batch", "entry": {}})).status_code == 400
    assert (await client.post("", json={"resourceType": "Bundle", "type": "batch", "shoe": 1})).status_code == 400
    for kind in ("batch", "transaction"):
        empty = await client.post("", json={"resourceType": "Bundle", "type": kind})
        assert empty.status_code == 200 and empty.json()["type"] == f"{kind}-response"


async def test_a_bad_entry_is_refused_alone(world: Store, app_client: AppClient) -> None:
    client = await app_client()
    nested = {"resourceType": "Bundle", "type": "batch"}
    bad = [
        {},
        {"request": {"method": "FETCH", "url": "Patient/a"}},
        {"request": {"method": "GET"}},
        {"request": {"method": "GET", "url": 7}},
        entry("GET", "https://elsewhere.example.org/fhir/Patient/a"),
        entry("POST", "", nested),
        entry("POST", "Goal"),
        7,
    ]
    answer = await post(client, "batch", *bad, entry("GET", "Patient/a"), entry("GET", "/Patient/a"))
    assert statuses(answer) == ["400"] * 8 + ["200", "200"]
    places = [one["response"]["outcome"]["issue"][0].get("expression", [""])[0] for one in answer.json()["entry"][:8]]
    assert all(place.startswith(f"Bundle.entry[{n}]") or n == 6 for n, place in enumerate(places)), places
    refused = await post(client, "transaction", *bad, entry("GET", "Patient/a"))
    assert refused.status_code == 400
    assert {place.partition("]")[0] for _, place in issues(refused)} == {f"Bundle.entry[{n}" for n in range(8)}


async def test_501_entries_are_too_many(world: Store, app_client: AppClient) -> None:
    client = await app_client()
    for kind in ("batch", "transaction"):
        many = [entry("GET", "Patient/a")] * 501
        answer = await post(client, kind, *many)
        assert answer.status_code == 413 and issues(answer) == [("too-long", "Bundle.entry")]
    assert (await post(client, "batch", *many[:500])).status_code == 200


@pytest.mark.parametrize("kind", ["batch", "transaction"])
async def test_what_takes_too_long_is_too_costly(
    world: Store, app_client: AppClient, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    client = await app_client()
    before = await world.fetch("SELECT count(*) FROM version")
    for module in (batch, transaction):
        monkeypatch.setattr(module, "SECONDS", -1.0)
    answer = await post(client, kind, entry("POST", "Goal", goal("Patient/a")), entry("GET", "Patient/a"))
    if kind == "batch":
        assert statuses(answer) == ["503", "503"]
        told = answer.json()["entry"][0]["response"]["outcome"]
    else:
        assert answer.status_code == 503 and answer.headers["retry-after"]
        told = answer.json()
    assert told["issue"][0]["code"] == "too-costly"
    assert await world.fetch("SELECT count(*) FROM version") == before


async def test_urls_may_be_absolute_and_in_any_script(world: Store, app_client: AppClient) -> None:
    client = await app_client()
    answer = await post(client, "batch", entry("GET", f"{BASE}/Patient/a"), entry("GET", "Patient?family=Múñoz"))
    assert statuses(answer) == ["200", "200"]
    link = answer.json()["entry"][1]["resource"]["link"][0]["url"]
    assert link == f"{BASE}/Patient?family=M%C3%BA%C3%B1oz"


STRANGE = (
    None, 7, "", " ", "x", "?", "/", "//", "a/b/c/d", "Patient/../a", "Patient?", "Patient?=", "Patient?_id=%ff",
    "Patient/%00", "Patient/a#x", "urn:uuid:x", "W/", "*", "2026", [], [[]], {}, {"resourceType": "Patient"},
    {"resourceType": []}, {"resourceType": "Shoe", "id": {}}, {"resourceType": "Binary", "data": 7}, "é" * 3000,
)  # fmt: skip


async def test_nothing_strange_is_our_fault(world: Store, app_client: AppClient) -> None:
    client = await app_client()
    fields = ("url", "method", "ifMatch", "ifNoneMatch", "ifNoneExist", "ifModifiedSince")
    good = {"method": "GET", "url": "Patient/a"}
    odd = [{"request": {**good, name: value}} for name in fields for value in STRANGE]
    for method, url in (("POST", "Goal"), ("PUT", "Goal/x"), ("PUT", "Goal?_id=x"), ("PATCH", "Goal?_id=x")):
        odd += [{"request": {"method": method, "url": url}, "resource": value} for value in STRANGE]
        odd += [{"request": {"method": method, "url": value}, "resource": goal("Patient/a")} for value in STRANGE]
        odd += [{"fullUrl": value, **entry(method, url, goal("Patient/a"))} for value in STRANGE]
    answer = await post(client, "batch", *odd)
    assert answer.status_code == 200 and {one[0] for one in statuses(answer)} <= set("234")
    for one in odd if os.environ.get("ENLACE_TEST_DEEP") else odd[::7]:
        answer = await post(client, "transaction", one)
        assert answer.status_code < 500, (one, answer.text)
    answer = await post(client, "transaction", *odd)
    assert answer.status_code == 400 and len(answer.json()["issue"]) == 50


async def test_a_long_answer_ends(world: Store, app_client: AppClient, monkeypatch: pytest.MonkeyPatch) -> None:
    client = await app_client()
    monkeypatch.setattr(batch, "MAX_ANSWER", 2_000)
    many = [entry("GET", "Patient/a/_history"), *[entry("GET", "Patient/a")] * 40]
    for kind in ("batch", "transaction"):
        found = statuses(await post(client, kind, *many))
        assert found[0] == "200" and found[-1] == "413" and len(found) == 41


async def test_a_bundle_counts_as_its_entries(world: Store, app_client: AppClient, app: Any) -> None:
    client = await app_client()
    rates = app.state.enlace.rates
    rates.per_second = 10
    assert (await post(client, "batch", *[entry("GET", "Patient/a")] * 30)).status_code == 200
    assert (await client.get("/Patient/a")).status_code == 429
    rates.per_second = 0


async def test_a_leap_second_is_an_instant(world: Store, app_client: AppClient) -> None:
    """The XML and JSON schemas of R4 allow the second 60, and Python's datetime does not."""
    client = await app_client()
    for when, status in (("2030-06-30T23:59:60Z", "304"), ("1998-12-31T23:59:60Z", "200")):
        answer = await post(client, "batch", entry("GET", "Patient/a", ifModifiedSince=when))
        assert answer.status_code == 200 and statuses(answer) == [status], answer.text
