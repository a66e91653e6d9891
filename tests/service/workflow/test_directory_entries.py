"""A CBO corrects its own entry and nobody else's; stale entries are found, and their organizations asked by a Task."""

import pytest

from mappers.hsds.elements import VERIFIED_URL
from service.access.context import Context, Settings
from service.caller import system_caller
from service.store.change import Change, Job
from service.store.engine import Store
from service.worker import Worker
from service.workflow import derived, directory_stale
from service.workflow.directory_capacity import notes, standing, verified
from tests.frozen_clock import FrozenClock
from tests.service.conftest import AppClient
from tests.service.search.test_directory import place, service
from tests.service.world import CBO1, CBO2, put

POSTGRESQL_IN_DEEP = True
DAY_US = 86_400_000_000


@pytest.fixture
async def entries(world: Store) -> Store:
    await put(world, place("stockton"), place("lodi", CBO2), source="Organization/op")
    await put(world, service("food", "stockton", verified="2025-08-01", standing="capacity"), source="Organization/op")
    await put(world, service("beds", "lodi", owner=CBO2, verified="2026-03-01"), source="Organization/op")
    await put(world, service("rides"), source="Organization/op")
    return world


def ctx(store: Store) -> Context:
    return Context(store, system_caller(), store.clock.now_us())


async def test_its_own_entry_and_place(entries: Store, app_client: AppClient) -> None:
    own = await app_client("cbo", CBO1)
    new = service("food", "stockton", verified="2026-03-07", standing="no-capacity", comment="New hours")
    answer = await own.put("/HealthcareService/food", json=new)
    assert answer.status_code == 200, answer.text
    assert (standing(answer.json()), verified(answer.json())) == ("no-capacity", "2026-03-07")
    patch = [{"op": "replace", "path": "/extension/0/valueDateTime", "value": "2026-03-08"}]
    headers = {"Content-Type": "application/json-patch+json"}
    answer = await own.patch("/HealthcareService/food", json=patch, headers=headers)
    assert answer.status_code == 200 and verified(answer.json()) == "2026-03-08"
    assert (await own.put("/Location/stockton", json=place("stockton", alias=["Hall"]))).status_code == 200
    organization = {"resourceType": "Organization", "id": "cbo-1", "active": True, "name": "Renamed"}
    organization["extension"] = [{"url": VERIFIED_URL, "valueDateTime": "2026-03-08"}]
    assert (await own.put("/Organization/cbo-1", json=organization)).status_code == 200


async def test_nobody_elses(entries: Store, app_client: AppClient) -> None:
    other = await app_client("cbo", CBO2)
    stolen = service("food", "stockton", owner=CBO2, standing="no-capacity")
    assert (await other.put("/HealthcareService/food", json=stolen)).status_code == 403
    assert (await other.put("/HealthcareService/food", json=service("food", "stockton"))).status_code == 403
    assert (await other.put("/Location/stockton", json=place("stockton"))).status_code == 403
    given = await app_client("cbo", CBO1)
    away = service("food", "stockton", owner=CBO2)
    assert (await given.put("/HealthcareService/food", json=away)).status_code == 403


def test_what_an_entry_says_of_its_capacity() -> None:
    assert [standing(service("x", standing=one)) for one in ("waitlist", "full", "")] == ["waitlist", "", ""]
    assert standing({"extension": [{"url": "x"}, {}]}) == notes({}) == verified({}) == ""


async def test_the_longest_unverified_come_first(entries: Store) -> None:
    found = await directory_stale.services(ctx(entries), 180, 10)
    assert [one["service"] for one in found] == ["HealthcareService/food", "HealthcareService/rides"]
    assert (await directory_stale.services(ctx(entries), 0, 2))[0]["service"] == "HealthcareService/food"


async def test_the_organization_is_asked_once(entries: Store, app_client: AppClient) -> None:
    found = await directory_stale.services(ctx(entries), 180, 10)
    assert await directory_stale.ask(ctx(entries), found) == {"HealthcareService/food", "HealthcareService/rides"}
    await directory_stale.ask(ctx(entries), found)
    admin = await app_client("admin", "Organization/op")
    tasks = (await admin.get("/Task?code=verify-entry")).json()
    asked = [entry["resource"] for entry in tasks["entry"]]
    assert len(asked) == 2 and {one["owner"]["reference"] for one in asked} == {CBO1}
    assert all("for" not in one for one in asked), "the directory has no patients"
    own, other = await app_client("cbo", CBO1), await app_client("cbo", CBO2)
    assert len((await own.get("/Task?code=verify-entry")).json().get("entry", ())) == 2
    assert "entry" not in (await other.get("/Task?code=verify-entry")).json()
    task = asked[0] | {"status": "accepted"}
    answer = await own.put(f"/Task/{task['id']}", json=task, headers={"If-Match": 'W/"1"'})
    assert answer.status_code == 200, answer.text


async def test_who_does_nothing_keeps_nobody_else_from_being_asked(
    entries: Store, app_client: AppClient, clock: FrozenClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nor does who completed the Task and left the entry as it was: it is asked again a month later. No job dies."""
    monkeypatch.setattr(directory_stale, "MOST", 1)
    clock.advance(200 * DAY_US)
    for day, expected in enumerate((1, 2, 3, 3)):
        await entries.commit(Change(jobs=[Job("directory.stale", {})]))
        await Worker(entries, Settings()).drain()
        admin = await app_client("admin", "Organization/op")
        found = [one["resource"] for one in (await admin.get("/Task?code=verify-entry")).json()["entry"]]
        assert len(found) == expected, day
        if day == 2:
            ctx_, change = ctx(entries), Change()
            for one in found:
                await derived.put(ctx_, change, one | {"status": "completed"}, 1, "test")
            await entries.commit(change)
        clock.advance(DAY_US)
    left = await entries.fetch("SELECT kind, last_error FROM job WHERE state <> 'done'")
    assert [tuple(one) for one in left] == []


async def test_the_job_leaves_new_entries_alone(entries: Store, app_client: AppClient, clock: FrozenClock) -> None:
    worker = Worker(entries, Settings())
    for days, expected in ((0, 0), (200, 3), (1, 3)):
        clock.advance(days * DAY_US)
        await entries.commit(Change(jobs=[Job("directory.stale", {})]))
        await worker.drain()
        admin = await app_client("admin", "Organization/op")
        found = (await admin.get("/Task?code=verify-entry&_total=accurate")).json()
        assert found["total"] == expected, days
