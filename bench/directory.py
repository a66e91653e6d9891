"""What a search of the service directory costs among 50,000 services, by the ways in which people ask.

Asked as an ECM provider, in this process, parsed and answered as the API does; every page holds twenty services.
"""

import asyncio
import random
import time
from collections.abc import Iterator
from statistics import median
from typing import Any

import psutil

from bench.county import _put
from bench.processes import cpu_us
from bench.results import Row
from service.access.context import Context
from service.caller import Caller, Role
from service.search import query
from service.store import find
from service.store.engine import Store, open_store
from service.workflow.directory_find import ALL
from tests.service.search.test_directory import service

PAGE = 500
PER_PLACE, PER_ORGANIZATION = 5, 50
NEEDS = (
    "food-insecurity",
    "housing-instability",
    "transportation-insecurity",
    "utility-insecurity",
    "social-connection",
)
SDOH = "http://hl7.org/fhir/us/sdoh-clinicalcare/CodeSystem/SDOHCC-CodeSystemTemporaryCodes"
LANGUAGES = ("en", "es", "hmn", "zh", "vi")
STANDINGS = ("capacity", "no-capacity", "waitlist")

SEARCHES = {
    "by need and distance, nearest first": "service-category={need}&near={at}|10|mi&_sort=near",
    "by need, distance, language, hours, capacity": (
        "service-category={need}&near={at}|25|mi&communication={language}&open-at=tue|10:30&capacity=capacity&_sort=near"
    ),
    "by distance alone, nearest first": "near={at}|5|mi&_sort=near",
    "by language and capacity": "communication={language}&capacity=capacity",
    "stale ones": "stale=180",
}


def measure(url: str, database: psutil.Process | None, *, services: int, searches: int) -> list[Row]:
    return asyncio.run(_measure(url, database, services, searches))


async def _measure(url: str, database: psutil.Process | None, services: int, searches: int) -> list[Row]:
    store = await open_store(url)
    try:
        batch: list[dict[str, Any]] = []
        for one in _directory(services):
            batch.append(one)
            if len(batch) == PAGE:
                await _put(store, batch, lambda _: "Organization/keeper")
                batch = []
        await _put(store, batch, lambda _: "Organization/keeper")
        if store.db.name == "postgresql":
            await store.db.execute("ANALYZE")
        return [await _of(store, database, name, text, services, searches) for name, text in SEARCHES.items()]
    finally:
        await store.close()


def _directory(services: int) -> Iterator[dict[str, Any]]:
    dice = random.Random(8)
    for number in range(services // PER_ORGANIZATION):
        yield {"resourceType": "Organization", "id": f"dir-org-{number}", "active": True, "name": f"Made up {number}"}
    for number in range(services // PER_PLACE):
        latitude, longitude = _point(dice)
        position = {"latitude": latitude, "longitude": longitude}
        yield {"resourceType": "Location", "id": f"dir-{number}", "status": "active", "position": position}
    for number in range(services):
        day = dice.choice(("mon", "tue", "wed", "thu", "fri"))
        yield service(
            f"dir-{number}",
            f"dir-{number % (services // PER_PLACE)}",
            owner=f"Organization/dir-org-{number % (services // PER_ORGANIZATION)}",
            verified=f"2026-{dice.randrange(1, 13):02d}-01",
            standing=dice.choice(STANDINGS),
            category=[{"coding": [{"system": SDOH, "code": NEEDS[number % len(NEEDS)]}]}],
            communication=[{"coding": [{"system": "urn:ietf:bcp:47", "code": dice.choice(LANGUAGES)}]}],
            availableTime=[
                {
                    "daysOfWeek": ["tue", day] if day != "tue" else ["tue"],
                    "availableStartTime": "09:00:00",
                    "availableEndTime": "17:00:00",
                }
            ],
        )


def _point(dice: random.Random) -> tuple[float, float]:
    """In the Central Valley: about 200 by 100 km."""
    return round(37 + dice.random() * 2, 5), round(-122 + dice.random(), 5)


async def _of(store: Store, database: psutil.Process | None, name: str, text: str, services: int, searches: int) -> Row:
    dice = random.Random(9)
    caller = Caller("bench", Role.ECM_PROVIDER, "Organization/bench", allows=lambda _letter, _type: True)
    ctx = Context(store, caller, store.clock.now_us())
    mine, its, took, found = time.process_time(), _cpu(database), [], 0
    for _ in range(searches):
        latitude, longitude = _point(dice)
        told = text.format(need=dice.choice(NEEDS), at=f"{latitude}|{longitude}", language=dice.choice(LANGUAGES))
        params = [pair.partition("=")[::2] for pair in told.split("&")] + [("_count", "20")]
        began = time.perf_counter()
        found += len(await _matches(ctx, params))
        took.append(time.perf_counter() - began)
    spent = (time.process_time() - mine) / searches * 1e6
    p99 = sorted(took)[len(took) * 99 // 100] * 1000
    row = Row(f"directory, {services:,} services, {name}", p50_ms=median(took) * 1000, p99_ms=p99, server_us=spent)
    row.database_us = (_cpu(database) - its) / searches
    row.note = f"{found / searches:.0f} a page"
    return row


async def _matches(ctx: Context, params: list[tuple[str, str]]) -> list[Any]:
    criteria = query.parse(
        "HealthcareService",
        params,
        ctx.store.keys,
        strict=True,
        now_us=ctx.now_us,
        base_url=ctx.settings.base_url,
        may=ALL,
    )
    page = await find.search(ctx.store, criteria, ctx.restriction, include_restriction=ctx.readable())
    return page.matches


def _cpu(database: psutil.Process | None) -> float:
    return cpu_us(database) if database is not None else 0.0
