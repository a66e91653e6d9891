"""Whose message is it: what the decision costs on a roster of members, for a member's message and for a stranger's.

Decided as the worker decides (service/workflow/matching.py), in this process, nothing written. Most of a hospital's
feed is about strangers: their cost is what counts.
"""

import asyncio
import time
from itertools import islice
from statistics import median

import psutil

from bench.county import _put
from bench.processes import cpu_us
from bench.results import Row
from service.access.context import Context
from service.caller import system_caller
from service.store.engine import Store, open_store
from service.workflow.matching import whose
from tests.service.workflow.match_population import County, Hospitals

PAGE = 500
OWNER = "Organization/large"


def measure(url: str, database: psutil.Process | None, *, members: int, messages: int) -> list[Row]:
    return asyncio.run(_measure(url, database, members, messages))


async def _measure(url: str, database: psutil.Process | None, members: int, messages: int) -> list[Row]:
    store = await open_store(url)
    try:
        county = County(members)
        records = [candidate.patient for candidate in county.roster]
        for first in range(0, len(records), PAGE):
            await _put(store, records[first : first + PAGE], lambda _: OWNER)
        if store.db.name == "postgresql":
            await store.db.execute("ANALYZE")
        rows = []
        for strangers in (False, True):
            rows.append(await _of(store, county, database, strangers, messages))
        return rows
    finally:
        await store.close()


async def _of(store: Store, county: County, database: psutil.Process | None, strangers: bool, messages: int) -> Row:
    told = Hospitals(county).events(100 * messages)
    events = list(islice((event for human, event in told if bool(human.member) != strangers), messages))
    ctx = Context(store, system_caller(), store.clock.now_us())
    mine, its, took, found = time.process_time(), _cpu(database), [], 0
    for event in events:
        began = time.perf_counter()
        found += (await whose(ctx, event, "")).patient_ref is not None
        took.append(time.perf_counter() - began)
    spent = (time.process_time() - mine) / len(events) * 1e6
    name = f"whose message, {len(county.roster):,} members, {'a stranger' if strangers else 'a member'}"
    row = Row(name, p50_ms=median(took) * 1000, p99_ms=sorted(took)[len(took) * 99 // 100] * 1000, server_us=spent)
    row.database_us = (_cpu(database) - its) / len(events)
    row.note = f"{found * 100 // len(events)}% matched"
    return row


def _cpu(database: psutil.Process | None) -> float:
    return cpu_us(database) if database is not None else 0.0
