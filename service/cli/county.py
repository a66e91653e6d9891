"""Writes the synthetic county and its hospital history, through the same paths as real data."""

from service.access.context import Settings as Behaviour
from service.cli.seed import SeedRefused, complete, hospital_history, seed, unfinished
from service.interactions.receive_hl7v2 import Receiver
from service.settings import Settings
from service.store import inbox
from service.store.engine import Store, open_store
from service.worker import Worker

__all__ = ["SeedRefused", "fill", "unfinished", "write_county"]


async def write_county(settings: Settings, members: int, number: int) -> dict[str, int]:
    """Opens the database of the settings, seeds it, returns what is there by name."""
    store = await open_store(settings.database_url.get_secret_value())
    try:
        return await fill(store, settings, members, number)
    finally:
        await store.close()


async def fill(store: Store, settings: Settings, members: int, number: int) -> dict[str, int]:
    """The county, then its ADT messages through inbox and worker: alerts are made as they will be for real.

    Run again after a start that was cut off it writes the rest: what is there is left, a message that is there is
    acknowledged again. That all is there is remembered last.
    """
    now_us = store.clock.now_us()
    counts = await seed(store, members=members, seed=number, now_us=now_us)
    receiver = Receiver(store)
    history = await hospital_history(store, members=members, seed=number, now_us=now_us)
    before = sum((await inbox.counts(store)).values())
    for _source, message in history:
        await receiver.receive(message)
    new = sum((await inbox.counts(store)).values()) - before
    worker = Worker(store, Behaviour(env=settings.env, base_url=f"{settings.base_url}/fhir"), concurrency=8)
    await worker.drain()
    await complete(store, members)
    return {**counts, "hospital messages": new} if new else dict(counts)
