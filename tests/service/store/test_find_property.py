"""For random resources and parameters, the result of a search is the result of a naive filter in memory."""

import os
import random
from dataclasses import replace

import orjson
import pytest

from service.errors import FhirError
from service.search.criteria import Criteria
from service.search.restriction import Restriction
from service.store import find, find_plan
from service.store.engine import Store
from tests.service.store.oracle import CALLERS, Memory, filled, restriction_for
from tests.service.store.oracle_search import included
from tests.service.store.random_criteria import Searches, decorated

SEARCHES = 4_000 if os.environ.get("ENLACE_TEST_DEEP") else 100
LIMITS = {"FEW": (5_000, 5, 0), "TARGETS": (1_000, 4, 0), "SMALL_PANEL": (2_000, -1), "LOOKED_AT": (3, 1)}
"""Of the plan: so that each way of driving and of reading in order is taken by small data too."""


async def read_through(store: Store, criteria: Criteria, r: Restriction, wider: Restriction) -> list[find.Page]:
    """All pages to the end by `next`; and back to the start by `prev`, which must be the same pages in reverse."""
    out: list[find.Page] = []
    while True:
        page = await find.search(store, criteria, r, include_restriction=wider)
        out.append(page)
        if page.next is None:
            break
        assert len(out) < 200 and len(page.matches) == criteria.count
        # What a link holds has passed through JSON.
        criteria = replace(criteria, after=tuple(orjson.loads(orjson.dumps(page.next))))
    return out


async def read_back(store: Store, pages: list[find.Page], criteria: Criteria, r: Restriction, w: Restriction) -> None:
    assert pages[0].prev is None
    prev = pages[-1].prev
    for page in reversed(pages[:-1]):
        assert prev is not None
        before = await find.search(store, replace(criteria, after=prev, back=True), r, include_restriction=w)
        assert [f.key for f in before.matches] == [f.key for f in page.matches]
        assert before.next == page.next
        prev = before.prev
    assert prev is None


async def check(store: Store, memory: Memory, criteria: Criteria, r: Restriction, wider: Restriction) -> int:
    wanted = memory.found(criteria, r, wider)
    pages = await read_through(store, criteria, r, wider)
    assert [f.fhir_id for page in pages for f in page.matches] == [w.fhir_id for w in wanted]
    await read_back(store, pages, criteria, r, wider)
    for at, page in enumerate(pages):
        shown = wanted[at * criteria.count :][: criteria.count]
        assert {f.reference for f in page.included} == included(memory, criteria.includes, shown, wider)
    for total in ("accurate", "estimate", "count"):
        page = await find.search(store, replace(criteria, total=total, count=0), r, include_restriction=wider)
        assert (page.matches, page.total) == ([], len(wanted))
    return len(wanted)


async def test_a_search_finds_what_a_naive_filter_finds(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    chance = random.Random(int(os.environ.get("ENLACE_TEST_SEED", "11")))
    memory = await filled(store, 7, lambda write: decorated(store.keys, chance, write))
    searches, found = Searches(memory, chance), 0
    for number in range(SEARCHES):
        for name, values in LIMITS.items():
            monkeypatch.setattr(find_plan, name, chance.choice(values))
        criteria = searches.criteria()
        r = restriction_for(store, chance.choice(list(CALLERS)))
        wider = r
        if chance.random() < 0.3 and not r.unrestricted:  # scopes that cover fewer types
            wider = replace(r, types=dict(chance.sample(sorted(r.types.items()), len(r.types) * 2 // 3)))
        try:
            found += await check(store, memory, criteria, r, wider)
        except (AssertionError, FhirError) as error:
            raise AssertionError(f"search {number}: {criteria}") from error
    assert found > SEARCHES * 3
