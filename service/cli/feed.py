"""The synthetic ADT feed over the members and hospitals that the database holds, paced, over a real MLLP connection."""

import asyncio
import random
from collections.abc import Iterator

from mappers.hl7v2.simulate import feed
from service.access.context import parse
from service.cli.mllp_client import Connection
from service.store import roster, sources
from service.store.engine import Store
from service.workflow.sandbox_messages import member_facts

MEMBERS = 2000
POSITIVE = frozenset({"AA", "CA"})


async def messages(store: Store, seed: int, gap_us: int) -> Iterator[tuple[int, bytes]]:
    """An endless feed of the stored members at the registered hospitals, from now on."""
    people = [parse(body) for body in await roster.patients(store, MEMBERS)]
    members = [facts for facts in map(member_facts, people) if facts]
    hospitals = [
        {
            "name": s.config.get("display") or s.name,
            "application": s.application,
            "facility": s.facility,
            "zone": s.config.get("zone", "America/Los_Angeles"),
            "enhanced": s.config.get("ack_mode") == "enhanced",
        }
        for s in await sources.all_sources(store)
        if s.active
    ]
    if not members or not hospitals:
        raise OSError(0, "There are no members or no sending systems: run `enlace seed` first")
    start = store.clock.now_us()
    return feed(seed ^ (start // 1_000_000), members, hospitals, start, gap_us=gap_us)


async def play_feed(store: Store, where: tuple[str, int], *, rate: float, seconds: float, seed: int) -> tuple[int, int]:
    """Sends at `rate` messages a second for `seconds`; (sent, accepted). Times in the messages are the present."""
    gap = int(1_000_000 / rate)
    stream = await messages(store, seed, gap)
    jitter = random.Random(seed)
    sent = accepted = 0
    loop = asyncio.get_running_loop()
    started = loop.time()
    async with Connection(*where) as connection:
        while loop.time() - started < seconds:
            _, message = next(stream)
            sent += 1
            accepted += await connection.send(message) in POSITIVE
            due = started + sent / rate * jitter.uniform(0.98, 1.02)
            await asyncio.sleep(max(0.0, due - loop.time()))
    return sent, accepted
