"""Any order, any repeats, four connections, two workers: the alerts that stand are those of the ordered feed.

10 random sets, 100 with ENLACE_TEST_DEEP; ENLACE_TEST_SEED repeats a run. PostgreSQL: two workers on one database.
"""

import asyncio
import os
import random
from collections.abc import AsyncIterator
from typing import Any

import pytest

from adt_listener.process import listener
from service.access.context import Settings
from service.store.engine import Store, open_store
from service.worker import Worker
from tests.frozen_clock import FrozenClock
from tests.scenarios.adt_truth import check_alerts, check_audit, check_jobs
from tests.scenarios.people import SOON
from tests.service.adt_world import Sender, adt_world, luis, said
from tests.service.world import LCM1, LCM2

ROUNDS = 100 if os.environ.get("ENLACE_TEST_DEEP") else 10
LEADS = {"Patient/rosa": LCM1, "Patient/luis": LCM2}
WAITING = (
    "SELECT count(*) FROM job WHERE state IN ('ready', 'leased') AND due_us <= ? "
    # The second look at the roster, half a minute later: this clock stands still.
    "AND NOT (kind = 'adt.rematch' AND payload LIKE '%again%')"
)
LATER: list[tuple[str, dict[str, Any]]] = [
    ("A08", {}), ("A02", {"location": "ICU^1^A"}), ("A03", {"disposition": "01"}), ("A03", {"disposition": "20"}),
    ("A13", {"PV1_36": '""', "PV1_45": '""'}), ("A11", {}), ("A06", {}), ("A01", {}), ("A21", {}), ("A22", {}),
]  # fmt: skip


@pytest.fixture
async def stores(postgresql_url: str) -> AsyncIterator[list[Store]]:
    """Three processes' handles on one database; the second and third run the workers."""
    opened = [await open_store(postgresql_url, FrozenClock()) for _ in range(3)]
    await adt_world(opened[0])
    yield opened
    for store in opened:
        await store.close()


def stay(rng: random.Random, sender: Sender, visit: str) -> list[bytes]:
    """The ordered messages of one stay, a minute or more apart."""
    who = rng.choice([said(), luis()])
    plan: list[tuple[str, dict[str, Any]]] = [("A04", {"patient_class": "E"})] if rng.random() < 0.4 else [("A01", {})]
    plan += rng.choices(LATER, k=rng.randint(1, 6))
    ago = 600.0
    messages = []
    for event, fields in plan:
        ago -= rng.randint(1, 60)
        messages.append(sender.adt(event, who, ago=ago, visit_number=visit, **fields))
    return messages


async def send_all(port: int, messages: list[bytes]) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    for message in messages:
        writer.write(b"\x0b" + message + b"\x1c\r")
        assert b"MSA|AA|" in await asyncio.wait_for(reader.readuntil(b"\x1c\r"), 20)
    writer.close()


@pytest.mark.timeout(1800 if ROUNDS > 20 else 240)
async def test_net_alerts_do_not_depend_on_order_or_repeats(stores: list[Store]) -> None:
    seed = int(os.environ.get("ENLACE_TEST_SEED", 0)) or random.randrange(1, 1_000_000)
    print(f"seed {seed}: repeat with ENLACE_TEST_SEED={seed}")
    rng = random.Random(seed)
    receiving, *others = stores
    sender = Sender(receiving)
    server = listener(receiving)
    port = await server.start("127.0.0.1", 0)
    workers = [Worker(store, Settings()) for store in others]
    running = [asyncio.create_task(worker.run()) for worker in workers]
    sent = 0
    try:
        for number in range(ROUNDS):
            messages = [m for n in range(rng.randint(1, 4)) for m in stay(rng, sender, f"R{number}-{n}")]
            messages = [m for m in messages for _ in range(rng.choice([1, 1, 1, 2, 3]))]
            rng.shuffle(messages)
            sent += len(messages)
            await asyncio.gather(*(send_all(port, messages[n::4]) for n in range(4)))
            await drained(receiving)
            # The truth is the reducer over all messages: its result is the same for every order (test_stays.py).
            await check_alerts(receiving, LEADS)
    finally:
        for worker in workers:
            worker.stop()
        await asyncio.gather(*running)
        await server.stop()
    await check_jobs(receiving)
    await check_audit(receiving)
    waited = await receiving.fetch("SELECT max(attempts), count(*) FROM job")
    print(f"{sent} messages sent, {waited[0][1]} jobs, at most {waited[0][0]} attempts")
    assert waited[0][0] == 1, "races between workers end within one attempt"


async def drained(store: Store) -> None:
    for _ in range(2000):
        left = await store.fetch(WAITING, (store.clock.now_us() + SOON,))
        if not left[0][0]:
            return
        await asyncio.sleep(0.02)
    raise AssertionError("the workers do not come to an end")


async def test_two_first_messages_of_one_stay_at_the_same_time(stores: list[Store]) -> None:
    """Without the order of the queue: two workers decide about a new stay at once, again and again."""
    sender = Sender(stores[0])
    for number in range(10):
        messages = [
            sender.adt("A01", ago=60, visit_number=f"T{number}"),
            sender.adt("A03", ago=5, visit_number=f"T{number}"),
        ]
        for message in messages:
            await sender.receiver.receive(message)
        await stores[0].db.execute("UPDATE job SET ordering_key = '' WHERE state = 'ready' RETURNING id")
        workers = [Worker(store, Settings()) for store in stores[1:]]
        for worker in workers:
            worker._batch = 1
        await asyncio.gather(*(worker.drain() for worker in workers))
        await drained_by(workers, stores[0])
    await check_alerts(stores[0], LEADS, at_most=2)
    await check_jobs(stores[0])


async def drained_by(workers: list[Worker], store: Store) -> None:
    for _ in range(50):
        left = await store.fetch(WAITING, (store.clock.now_us() + SOON,))
        if not left[0][0]:
            return
        await asyncio.gather(*(worker.drain() for worker in workers))
        await asyncio.sleep(0.02)
