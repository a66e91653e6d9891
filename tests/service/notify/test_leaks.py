"""What is kept back leaves no trace: in the ledger, in how many events come at once, in what goes along."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest

from service.notify import deciding
from service.notify.hosts import Hosts
from service.store.change import Change, Statement
from tests.service.conftest import AppClient
from tests.service.notify.fake_receiver import Desk, events_of
from tests.service.notify.subscription_samples import extension
from tests.service.notify.test_deciding import UPDATED, assignment_ends, resources
from tests.service.world import CBO1, PLAN1, SUD, put, ref, task

POSTGRESQL_IN_DEEP = True


async def hidden(desk: Desk, name: str) -> None:
    """A Task about a member of ECM 1 that a label keeps from it."""
    made = task(f"Task/{name}", "Patient/a", "ServiceRequest/a", PLAN1, CBO1, meta=SUD)
    await put(desk.store, made, source=PLAN1)


async def seen(desk: Desk, name: str) -> None:
    await put(desk.store, task(f"Task/{name}", "Patient/a", "ServiceRequest/a", PLAN1, CBO1), source=PLAN1)


@pytest.fixture
async def client(app_client: AppClient) -> httpx.AsyncClient:
    return await app_client("ecm-provider")


async def test_the_ledger_of_a_pause_does_not_tell_that_something_hidden_waits(
    desk: Desk, client: httpx.AsyncClient
) -> None:
    state = await desk.subscribes(client, criteria=UPDATED)
    assert (await client.post(f"/{state.reference}/$pause")).status_code == 200
    before = (await client.get(f"/{state.reference}/$deliveries")).json()
    await hidden(desk, "h")
    await desk.work()
    ((count,),) = await desk.store.fetch("SELECT count(*) FROM event_waiting")
    assert count == 1
    assert (await client.get(f"/{state.reference}/$deliveries")).json() == before


async def test_how_many_come_at_once_does_not_tell_how_many_were_kept_back(
    desk: Desk, client: httpx.AsyncClient
) -> None:
    """Two at a time, as if the hidden ones had never been."""
    most = extension("backport-max-count", valuePositiveInt=2)
    state = await desk.subscribes(client, criteria=UPDATED, more=(most,))
    await client.post(f"/{state.reference}/$pause")
    for name in ("h1", "h2", "h3", "s1", "h4", "s2", "h5", "h6", "s3", "s4", "h7", "s5"):
        await (hidden if name.startswith("h") else seen)(desk, name)
    await desk.work()
    assert (await client.post(f"/{state.reference}/$resume")).status_code == 200
    await desk.work()
    assert [[name for _, name in events_of(one)] for one in desk.receiver.bundles()] == [
        ["Task/s1", "Task/s2"],
        ["Task/s3", "Task/s4"],
        ["Task/s5"],
    ]
    assert desk.receiver.numbers() == [1, 2, 3, 4, 5]
    rows = await desk.store.fetch("SELECT detail FROM audit WHERE kind = 'notification-suppressed'")
    assert len(rows) == len(set(rows)) == 7


async def test_what_goes_along_and_is_labelled_meanwhile_stays_behind(
    desk: Desk, client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between decision and commit: decided again."""
    await desk.subscribes(client, criteria=UPDATED, content="full-resource")
    included, done = deciding._included, list[bool]()

    async def including(*facts: Any) -> Any:
        made = await included(*facts)
        if not done:
            done.append(True)
            assert "ServiceRequest/a" in made
            await desk.changes("ServiceRequest/a", meta=SUD, source=PLAN1)
        return made

    monkeypatch.setattr(deciding, "_included", including)
    await seen(desk, "s")
    await desk.work()
    (bundle,) = desk.receiver.bundles()
    assert done and "Task/s" in resources(bundle) and "ServiceRequest/a" not in resources(bundle)


async def test_a_right_that_ends_while_it_waits_for_a_place_at_the_receiver(
    desk: Desk, client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was numbered already: the number goes out alone."""
    state = await desk.subscribes(client, criteria=UPDATED, content="full-resource")
    done = list[bool]()

    @asynccontextmanager
    async def place(*_: Any, **__: Any) -> AsyncIterator[bool]:
        if not done:
            done.append(True)
            await assignment_ends(desk, "")
        yield True

    monkeypatch.setattr(Hosts, "place", place)
    await seen(desk, "s")
    await desk.work()
    assert done and desk.receiver.told() == []
    await desk.work(after_s=1)
    assert desk.receiver.told() == [(1, "")]
    assert (await desk.state(state.fhir_id)).delivered == 1


async def test_a_version_about_another_member_than_now_is_told_to_nobody_and_holds_up_nothing(
    desk: Desk, client: httpx.AsyncClient
) -> None:
    """No write moves a resource to another member; should one, the second wall must not stop all that follows."""
    state = await desk.subscribes(client, criteria=UPDATED, content="full-resource")
    await put(desk.store, task("Task/z", "Patient/b", "ServiceRequest/b", PLAN1, CBO1), source=PLAN1)
    await desk.changes("Task/z", PLAN1, **{"for": ref("Patient/a")})
    key = desk.store.keys.resource("Task/z")
    ((vid,),) = await desk.store.fetch("SELECT vid FROM version WHERE key = ? AND version = 1", (key,))
    await desk.worker()._match()
    wait = "INSERT INTO event_waiting (subscription, id, vid, key, kind, at_us) VALUES (?, ?, ?, ?, 'event', 1)"
    await desk.store.commit(Change(statements=[Statement(wait, (state.key, vid, vid, key))]))
    await desk.work()
    (bundle,) = desk.receiver.bundles()
    assert [one["meta"]["versionId"] for one in resources(bundle).values() if one["resourceType"] == "Task"] == ["2"]
