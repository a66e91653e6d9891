"""Visibility as SQL, as the tripwire judges it, and as row-level security: alike on random rights (G7)."""

import os
from random import Random

import pytest

from service.access.tripwire import asked_of, judged
from service.search.restriction import Restriction
from service.store.engine import Store
from service.store.raw_facts import raw_facts
from service.store.read import Found
from service.store.visible import visible_any
from tests.service.access.random_rights import TYPES, asker, fill

WORLDS, RESOURCES, CALLERS = (50, 100, 20) if os.environ.get("ENLACE_TEST_DEEP") else (1, 60, 10)
SEED = os.environ.get("ENLACE_TEST_SEED", "2026")


async def by_sql(store: Store, seen: Restriction) -> set[int]:
    condition, params = visible_any("r", TYPES, seen)
    return {row[0] for row in await store.fetch(f"SELECT r.key FROM resource r WHERE {condition}", tuple(params))}


async def by_tripwire(store: Store, found: list[Found], seen: Restriction) -> set[int]:
    facts = await raw_facts(store, asked_of(found, seen))
    return {one.key for one in found if judged(one, facts, seen, seen.grace_us)}


async def clear(store: Store) -> None:
    for table in ("resource", "version", "ref", "panel", "clearance"):
        await store.db.execute(f"DELETE FROM {table} RETURNING 1")


@pytest.mark.parametrize("number", range(WORLDS))
async def test_g07_sql_is_what_the_tripwire_judges(store: Store, number: int) -> None:
    r = Random(f"{SEED} {number}")
    found = await fill(store, r, RESOURCES)
    named = {one.key: one for one in found}
    seen_at_all = 0
    for _ in range(CALLERS):
        seen = asker(store, r)
        one, other = await by_sql(store, seen), await by_tripwire(store, found, seen)
        assert one == other, (seen, [named[key] for key in one ^ other])
        seen_at_all += len(one)
    assert seen_at_all
