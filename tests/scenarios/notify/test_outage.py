"""A receiver that is away for three days under a fake clock, then all arrives in order; a dead one holds up nobody.

In one process, by Notifier.drain, with a real receiver on loopback.
"""

import asyncio
import os
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from service.auth import tokens
from service.main import build
from service.notify.channels import table
from service.notify.runner import Notifier
from service.settings import load
from service.store import credentials, deliveries, subscriptions
from service.store.change import Change
from service.store.engine import Store, open_store
from tests.frozen_clock import FrozenClock
from tests.scenarios.notify.parties import subscription
from tests.scenarios.notify.receiver import HOSTS
from tests.scenarios.notify.receiving import Receiver, heard, receiver
from tests.service.world import CBO1, ECM1, access_token, build_world, change_of, task

POSTGRESQL_IN_DEEP = True
DEEP = bool(os.environ.get("ENLACE_TEST_DEEP"))
EVENTS = 300 if DEEP else 30
ROUNDS = 3
HOUR_US = 3_600_000_000


@pytest.fixture
async def world(database_url: str, clock: FrozenClock) -> AsyncIterator[Store]:
    opened = await open_store(database_url, clock)
    await build_world(opened)
    yield opened
    await opened.close()


@pytest.fixture
def hooks(tmp_path: Path) -> Any:
    with receiver(tmp_path, 1) as started:
        yield started


@pytest.fixture
def app(world: Store, tmp_path: Path, hooks: Receiver) -> FastAPI:
    allowed = ",".join(hooks.address(number) for number in range(HOSTS))
    settings = {"ENLACE_DATABASE_URL": world.url, "ENLACE_SECRET_KEY_FILE": str(tmp_path / "secret.key"),
                "ENLACE_CLIENT_RATE": "0", "ENLACE_EGRESS_ALLOW": allowed}  # fmt: skip
    return build(world, load(settings))


class Delivery:
    """The notifier over the app's settings, and a client that subscribes."""

    def __init__(self, store: Store, app: FastAPI, hooks: Receiver, clock: FrozenClock):
        shared = app.state.enlace
        self.store, self.app, self.hooks, self.clock = store, app, hooks, clock
        self.egress = table.egress_of(shared.settings)
        channels = table.build(shared.settings, self.egress)
        self.notifier = Notifier(store, shared.behaviour, channels, concurrency=2, draw=lambda: 0.999)
        self.count = 0

    async def client(self) -> httpx.AsyncClient:
        token = await access_token(self.store, "ecm-provider", ECM1)
        return httpx.AsyncClient(
            transport=httpx.ASGITransport(self.app),
            base_url="http://test/fhir",
            headers={"Authorization": f"Bearer {token}"},
        )

    async def subscribe(self, client: httpx.AsyncClient, host: int, path: str, timeout_s: int = 1) -> str:
        body = subscription("ecm", 1, self.hooks.endpoint(host, path), timeout_s=timeout_s)
        answer = await client.post("/Subscription", json=body)
        assert answer.status_code == 201, answer.text
        return str(answer.json()["id"])

    async def event(self) -> None:
        self.count += 1
        body = task(f"Task/n{self.count}", "Patient/a", "ServiceRequest/a", ECM1, CBO1)
        await self.store.commit(change_of(self.store, body, ECM1))

    async def until(self, end_us: int, events: int) -> None:
        """Goes from one instant of work to the next, writing `events` on the way."""
        start_us = self.clock.now_us()
        every_us = (end_us - start_us) // max(events, 1)
        next_us = start_us if events else end_us
        while self.clock.now_us() < end_us:
            await self.notifier.drain()
            now_us = self.clock.now_us()
            due_us = min(max(await deliveries.next_due(self.store), now_us + 1), end_us)
            if events and next_us <= due_us:
                due_us, next_us, events = max(next_us, now_us), next_us + every_us, events - 1
                await self.event()
            self.clock.advance(due_us - now_us)
        await self.notifier.drain()

    async def status(self, fhir_id: str) -> tuple[str, int, int]:
        state = await subscriptions.by_id(self.store, fhir_id)
        assert state is not None
        return state.status, state.numbered, state.delivered


@pytest.fixture
async def delivery(world: Store, app: FastAPI, hooks: Receiver, clock: FrozenClock) -> AsyncIterator[Delivery]:
    made = Delivery(world, app, hooks, clock)
    await made.notifier.drain()  # what the world was made of
    yield made
    await made.egress.close()


def _told(hooks: Receiver, fhir_id: str) -> list[str]:
    """What it was told of, in the order of arrival; whoever tells gaps, doubles or disorder fails here."""
    mine = heard([one for one in hooks.arrivals() if one.subscription == fhir_id], [], {})[fhir_id]
    assert mine.problems == []
    return [mine.focus[number].rsplit("/", 1)[-1] for number in mine.ok]


@pytest.mark.parametrize("hours", [71, 90])
async def test_three_days_away_then_all_in_order(delivery: Delivery, hooks: Receiver, hours: int) -> None:
    """Before the 72 hours are over nobody has to do anything; after them its client says that it is there again."""
    async with await delivery.client() as client:
        fhir_id = await delivery.subscribe(client, 0, "/hook")
        await delivery.notifier.drain()
        assert await delivery.status(fhir_id) == ("active", 0, 0)
        hooks.behave({"5xx": 1.0})
        began_us = delivery.clock.now_us()
        await delivery.until(began_us + hours * HOUR_US, EVENTS)
        status, numbered, delivered = await delivery.status(fhir_id)
        assert delivered == 0 and status == ("active" if hours < 72 else "error")
        assert hours < 72 or numbered == EVENTS, "events of an errored subscription are numbered and kept"
        attempts = len(hooks.arrivals())
        assert 71 < attempts < 100, "an hour apart at most, and no flood"
        hooks.behave()
        if hours > 72:
            await delivery.notifier.drain()
            assert len(hooks.arrivals()) == attempts, "in error nothing is sent"
            await _again(delivery, client, fhir_id)
        await delivery.until(delivery.clock.now_us() + 2 * HOUR_US, 0)
        assert await delivery.status(fhir_id) == ("active", EVENTS, EVENTS)
        assert _told(hooks, fhir_id) == [f"n{number}" for number in range(1, EVENTS + 1)]


async def _again(delivery: Delivery, client: httpx.AsyncClient, fhir_id: str) -> None:
    """As its client would, with a token of today."""
    store, now_us = delivery.store, delivery.clock.now_us()
    state = await subscriptions.by_id(store, fhir_id)
    assert state is not None
    token, digest = tokens.new_token()
    row = credentials.insert_token(digest, state.client_id, state.scopes, now_us, now_us + HOUR_US)
    await store.commit(Change(statements=[row]))
    client.headers["Authorization"] = f"Bearer {token}"
    body = (await client.get(f"/Subscription/{fhir_id}")).json()
    assert body["status"] == "error" and "72 hours" in body["error"]
    answer = await client.put(f"/Subscription/{fhir_id}", json=body | {"status": "requested"})
    assert answer.status_code == 200, answer.text


async def test_a_dead_receiver_holds_its_own_place_only(delivery: Delivery, hooks: Receiver) -> None:
    """Two places, one of them held by a receiver that never answers: all others are served before it is given up.

    The times of both runs are printed and not judged.
    """
    async with await delivery.client() as client:
        healthy = [await delivery.subscribe(client, number + 1, f"/hook/{number}") for number in range(8)]
        dead = await delivery.subscribe(client, 0, "/dead", timeout_s=30)
        await delivery.notifier.drain()
        running = asyncio.create_task(delivery.notifier.run())
        for away in ([], ["/dead"]):
            hooks.behave(dead=away)
            for _ in range(ROUNDS):
                first = len(hooks.arrivals())
                at = time.time()
                await delivery.event()
                await _served(hooks, first, healthy)
                waits = [one.at - at for one in hooks.arrivals()[first:] if one.said == "ok"]
                print(f"dead: {away}: {', '.join(f'{wait * 1000:.0f}' for wait in sorted(waits))} ms")
                assert all(one.said != "gone" for one in hooks.everything()), "the dead one was waited for"
            await _settled(delivery, [*healthy, *([] if away else [dead])], 2 * ROUNDS if away else ROUNDS)
        assert (await delivery.status(dead))[2] == ROUNDS
        hooks.behave()  # so that the stop need not wait for it; what it missed may reach it now
        delivery.notifier.stop()
        await running
        for one in healthy:
            assert await delivery.status(one) == ("active", 2 * ROUNDS, 2 * ROUNDS)


async def _served(hooks: Receiver, first: int, wanted: list[str]) -> None:
    async with asyncio.timeout(30):
        while not set(wanted) <= {one.subscription for one in hooks.arrivals()[first:] if one.ok}:
            await asyncio.sleep(0.02)


async def _settled(delivery: Delivery, several: list[str], events: int) -> None:
    """So many events of each are recorded as arrived."""
    async with asyncio.timeout(30):
        for one in several:
            while (await delivery.status(one))[1:] != (events, events):
                await asyncio.sleep(0.02)
