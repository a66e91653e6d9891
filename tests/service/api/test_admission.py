"""The gate: never more in work than its bound, senders in turn, 503 with a time to come back; a rate per client."""

import asyncio
from collections import Counter
from pathlib import Path
from typing import Any

import httpx
import pytest

from service.api import admission
from service.api.admission import ClientRates, Gate
from service.errors import Category, FhirError
from service.main import build
from service.metrics import COUNTERS
from service.settings import load
from service.store.engine import Store
from tests.service.world import ECM1, access_token


class Work:
    """An application that answers when told to, and counts who is in it."""

    def __init__(self) -> None:
        self.go = asyncio.Event()
        self.inside: list[str] = []
        self.most = 0
        self.order: list[str] = []

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        who = dict(scope["headers"]).get(b"authorization", b"").decode()
        self.inside.append(who)
        self.order.append(who)
        self.most = max(self.most, len(self.inside))
        try:
            await self.go.wait()
            await asyncio.sleep(0)
        finally:
            self.inside.remove(who)
        await send({"type": "http.response.start", "status": 200, "headers": []})


async def ask(gate: Gate, who: str, path: str = "/fhir/Task") -> tuple[int, dict[bytes, bytes]]:
    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {"type": "http", "path": path, "headers": [(b"authorization", who.encode())], "client": ("::1", 1)}
    await gate(scope, None, send)  # type: ignore[arg-type]
    return sent[0]["status"], dict(sent[0]["headers"])


@pytest.fixture(autouse=True)
def _fresh() -> None:
    COUNTERS.in_flight = 0
    COUNTERS.shed.clear()


async def test_never_more_in_work_and_all_who_wait_are_served() -> None:
    work = Work()
    gate = Gate(work, 3)
    work.go.set()
    answers = await asyncio.gather(*(ask(gate, "a") for _ in range(50)))
    assert {status for status, _ in answers} == {200}
    assert work.most == 3
    assert COUNTERS.in_flight == 0


async def test_who_waited_too_long_is_told_when_to_come_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(admission, "WAIT_S", 0.02)
    work = Work()
    gate = Gate(work, 1)
    first = asyncio.create_task(ask(gate, "a"))
    await asyncio.sleep(0)
    answers = [await ask(gate, "b") for _ in range(3)]
    assert [status for status, _ in answers] == [503] * 3
    assert {headers[b"retry-after"] for _, headers in answers} == {b"1", b"2", b"3"}
    assert COUNTERS.shed == {"in-flight": 3}
    work.go.set()
    assert (await ask(gate, "b", "/healthz"))[0] == 200
    assert (await first)[0] == 200
    assert (await ask(gate, "b"))[0] == 200, "those who were turned away hold no place"
    assert COUNTERS.in_flight == 0


async def test_the_waiting_room_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(admission, "MOST_WAITING", 4)
    work = Work()
    gate = Gate(work, 1)
    tasks = [asyncio.create_task(ask(gate, "a")) for _ in range(10)]
    await asyncio.sleep(0.01)
    done = Counter(task.result()[0] for task in tasks if task.done())
    assert done == {503: 5}
    work.go.set()
    assert Counter(status for status, _ in await asyncio.gather(*tasks)) == {200: 5, 503: 5}


async def test_senders_take_turns() -> None:
    work = Work()
    gate = Gate(work, 1)
    tasks = [asyncio.create_task(ask(gate, "flood")) for _ in range(20)]
    await asyncio.sleep(0)
    tasks += [asyncio.create_task(ask(gate, "other")) for _ in range(3)]
    await asyncio.sleep(0)
    work.go.set()
    await asyncio.gather(*tasks)
    assert [n for n, who in enumerate(work.order) if who == "other"] == [2, 4, 6]


@pytest.mark.parametrize("waits", ["receive", "send"])
async def test_who_waits_for_its_client_has_no_place(waits: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """As many half-sent requests, or answers that nobody takes, as there are places must not close the service."""
    monkeypatch.setattr(admission, "SLOW_S", 0.01)
    monkeypatch.setattr(admission, "LOOK_S", 0.0)
    client, inside = asyncio.Event(), asyncio.Event()

    async def slow(*_message: Any) -> Any:
        await client.wait()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["path"] == "/slow":
            await (receive() if waits == "receive" else send({}))
            inside.set()
            await asyncio.sleep(0.05)
        else:
            await send({"type": "http.response.start", "status": 200, "headers": []})

    gate = Gate(app, 2)
    scope = {"type": "http", "path": "/slow", "headers": [], "client": ("::1", 1)}
    tasks = []
    for _ in range(3):
        tasks += [asyncio.create_task(gate(scope, slow, slow)) for _ in range(2)]
        await asyncio.sleep(0.02)
        assert (await ask(gate, "a"))[0] == 200
    assert COUNTERS.in_flight == 0
    client.set()
    await inside.wait()
    assert COUNTERS.in_flight == 6, "they are in work again, beyond the bound"
    late = asyncio.create_task(ask(gate, "a"))
    await asyncio.gather(*tasks)
    assert (await late)[0] == 200
    assert COUNTERS.in_flight == 0


async def test_a_client_that_goes_while_it_is_waited_for_leaves_no_place(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(admission, "SLOW_S", 0.01)
    monkeypatch.setattr(admission, "LOOK_S", 0.0)

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()

    async def never() -> Any:
        await asyncio.Event().wait()

    scope = {"type": "http", "path": "/slow", "headers": [], "client": ("::1", 1)}
    gate = Gate(app, 2)
    tasks = [asyncio.create_task(gate(scope, never, never)) for _ in range(2)]
    await asyncio.sleep(0.02)
    tasks.append(asyncio.create_task(gate(scope, never, never)))  # takes the places of those who wait
    await asyncio.sleep(0)
    assert COUNTERS.in_flight == 1
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    assert COUNTERS.in_flight == 0


@pytest.mark.parametrize("moment", ["waiting", "called"])
async def test_a_request_that_is_given_up_keeps_no_place(moment: str) -> None:
    work = Work()
    gate = Gate(work, 1)
    first = asyncio.create_task(ask(gate, "a"))
    second = asyncio.create_task(ask(gate, "b"))
    third = asyncio.create_task(ask(gate, "c"))
    await asyncio.sleep(0.01)
    if moment == "waiting":
        second.cancel()
    work.go.set()
    await first
    if moment == "called":
        second.cancel()
    assert (await third)[0] == 200
    with pytest.raises(asyncio.CancelledError):
        await second
    assert COUNTERS.in_flight == 0


def test_a_clients_rate() -> None:
    rates = ClientRates(10)
    now = 1_000_000_000
    for _ in range(20):
        rates.take("a", now)
    with pytest.raises(FhirError) as refused:
        rates.take("a", now)
    assert refused.value.category is Category.TOO_MANY
    assert refused.value.headers == {"Retry-After": "1"}
    rates.take("b", now)
    rates.take("a", now + 100_000)
    with pytest.raises(FhirError):
        rates.take("a", now + 100_000)
    assert [rates.tell("a", now), rates.tell("a", now + 999_999), rates.tell("a", now + 1_000_000)] == [
        True,
        False,
        True,
    ]
    for _ in range(1000):
        ClientRates(0).take("a", now)


def test_what_a_client_may_still_send() -> None:
    rates, now = ClientRates(10), 1_000_000_000
    assert rates.headers("a") == {}
    for _ in range(5):
        rates.take("a", now)
    rates.take("b", now)
    assert rates.headers("a") == {"X-RateLimit-Limit": "20", "X-RateLimit-Remaining": "15", "X-RateLimit-Reset": "1"}
    assert rates.headers("b")["X-RateLimit-Remaining"] == "19", "of its own requests alone"
    rates.charge("a", 100, now)
    assert rates.headers("a") == {"X-RateLimit-Limit": "20", "X-RateLimit-Remaining": "0", "X-RateLimit-Reset": "11"}


async def test_the_allowance_stands_on_answers_and_on_refusals(world: Store, tmp_path: Path) -> None:
    key = str(tmp_path / "secret.key")
    settings = {"ENLACE_DATABASE_URL": world.url, "ENLACE_SECRET_KEY_FILE": key, "ENLACE_CLIENT_RATE": "1"}
    token = await access_token(world, "ecm-provider", ECM1)
    transport = httpx.ASGITransport(build(world, load(settings)))
    headers = {"Authorization": f"Bearer {token}"}
    async with httpx.AsyncClient(transport=transport, base_url="http://test/fhir", headers=headers) as client:
        answers = [await client.get("/Patient/a"), await client.get("/Patient/absent"), await client.get("/Patient/a")]
    assert [answer.status_code for answer in answers] == [200, 404, 429]
    assert [answer.headers["X-RateLimit-Remaining"] for answer in answers] == ["1", "0", "0"]
    assert answers[2].headers["Retry-After"] == "1"
