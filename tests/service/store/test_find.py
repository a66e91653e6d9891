"""Search against the evaluator in memory: queries of every kind, as every role, in order, page by page."""

import os
from dataclasses import replace

import pytest

from service.access.new_version import deletion
from service.errors import FhirError
from service.search.criteria import AllOf, AnyOf, Criteria, HasId, Sort
from service.search.restriction import EVERYTHING, Restriction
from service.store import find, find_plan
from service.store.change import Change
from service.store.engine import Store
from tests.service.store.oracle import CALLERS, QUERIES, criteria_of, filled, restriction_for
from tests.service.world import make, put

DEEP = bool(os.environ.get("ENLACE_TEST_DEEP"))


async def pages(store: Store, criteria: Criteria | list[Criteria], r: Restriction) -> list[str]:
    """All references, page by page."""
    several = [criteria] if isinstance(criteria, Criteria) else criteria
    out: list[str] = []
    for _ in range(500):
        page = await find.search(store, several, r, include_restriction=r)
        out += [found.reference for found in page.matches]
        if page.next is None:
            return out
        several = [replace(one, after=page.next) for one in several]
    raise AssertionError("pages without end")


async def test_every_query_as_every_role_by_both_plans(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """Same results, same order, each once over pages, true totals; whichever way the query is driven."""
    memory = await filled(store)
    found = 0
    for at, name in enumerate(CALLERS):
        r = restriction_for(store, name)
        for rtype, query in QUERIES if DEEP else QUERIES[at % 3 :: 3]:
            criteria = criteria_of(store, rtype, query)
            wanted = [w.reference for w in memory.found(criteria, r)]
            found += len(wanted)
            for small in (2000, -1):
                monkeypatch.setattr(find_plan, "SMALL_PANEL", small)
                page = await find.search(
                    store, replace(criteria, total="accurate", count=200), r, include_restriction=r
                )
                assert [f.reference for f in page.matches] == wanted, (name, rtype, query, small)
                assert page.total == len(wanted)
            assert await pages(store, replace(criteria, count=7), r) == wanted, (name, rtype, query)
    assert found > 300


async def test_a_deleted_resource_is_found_no_more(store: Store) -> None:
    await filled(store)
    criteria = criteria_of(store, "Task", "_id=t1")
    assert await pages(store, criteria, EVERYTHING) == ["Task/t1"]
    await store.commit(Change(writes=[deletion("Task", "t1", 1, patient=None, source_org=1)]))
    for query in ("_id=t1", "identifier=n1", "status:not=nothing&identifier=n1", "identifier=n1&_lastUpdated=gt1999"):
        assert await pages(store, criteria_of(store, "Task", query), EVERYTHING) == []


@pytest.mark.parametrize("sort", [Sort("_lastUpdated"), Sort("_lastUpdated", True), Sort("_id"), Sort("_id", True)])
async def test_several_types_are_one_search(store: Store, sort: Sort, monkeypatch: pytest.MonkeyPatch) -> None:
    """Merged in order, each once over the pages there and back, totals summed; two of one id do not hide each other."""
    memory = await filled(store)
    for few in (5_000, 0):
        monkeypatch.setattr(find_plan, "FEW", few)
        for name in ("system", "lcm"):
            r = restriction_for(store, name)
            several = [
                replace(criteria_of(store, rtype, query), sort=(sort,), count=5)
                for rtype, query in (("Task", "status=requested"), ("Patient", ""), ("Group", ""), ("Coverage", ""))
            ]
            hits = [w for criteria in several for w in memory.found(criteria, r)]
            vids = memory.vids
            by_id = sort.by == "_id"
            hits.sort(key=lambda w: (w.fhir_id.encode() if by_id else b"", vids[w.reference]), reverse=sort.down)
            wanted = [w.reference for w in hits]
            assert await pages(store, several, r) == wanted
            counted = [replace(one, total="accurate") for one in several]
            assert (await find.search(store, counted, r, include_restriction=r)).total == len(wanted)


async def test_either_of_two_groups_drives_and_is_still_asked(store: Store) -> None:
    """A group is driven by its rarest part, which holds more than the group."""
    memory = await filled(store)
    rare = criteria_of(store, "Task", "owner=Organization/o1").clauses
    group = AllOf((*rare, *criteria_of(store, "Task", "status=requested").clauses))
    criteria = Criteria("Task", (AnyOf((group, HasId(("t1", "t2")))),), count=200)
    wanted = [w.reference for w in memory.found(criteria, EVERYTHING)]
    assert 2 <= len(wanted) < len(memory.found(Criteria("Task", rare), EVERYTHING))
    assert await pages(store, criteria, EVERYTHING) == wanted


async def test_equal_ids_of_two_types_both_come(store: Store) -> None:
    await put(store, *(make(f"{rtype}/same", name=f"x{n}") for n, rtype in enumerate(("Organization", "Location"))))
    several = [Criteria(t, (HasId(("same",)),), (Sort("_id"),), 1) for t in ("Organization", "Location")]
    assert sorted(await pages(store, several, EVERYTHING)) == ["Location/same", "Organization/same"]
    with pytest.raises(ValueError, match="_lastUpdated or _id"):
        several = [replace(one, sort=(Sort("string", keys=(1,)),)) for one in several]
        await find.search(store, several, EVERYTHING, include_restriction=EVERYTHING)
    assert (await find.search(store, [], EVERYTHING, include_restriction=EVERYTHING)).matches == []


async def test_an_estimate_is_exact_to_its_bound_and_no_more_than_the_visible(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    memory = await filled(store)
    r = restriction_for(store, "lcm")
    criteria = replace(criteria_of(store, "Task", ""), total="estimate")
    seen = len(memory.found(criteria, r))
    assert 0 < seen < len(memory.found(criteria, EVERYTHING))
    for bound in (seen + 1, seen, seen - 1, 3):
        monkeypatch.setattr(find, "ESTIMATED", bound)
        page = await find.search(store, criteria, r, include_restriction=r)
        assert page.total == min(seen, bound)


async def test_before_the_first_page_is_the_first_page(store: Store) -> None:
    """A link back whose page is gone: what stands first now is shown."""
    await filled(store)
    criteria = replace(criteria_of(store, "Task", ""), sort=(Sort("_id"),), count=5)
    first = await find.search(store, criteria, EVERYTHING, include_restriction=EVERYTHING)
    gone = replace(criteria, after=("A", 1), back=True)
    page = await find.search(store, gone, EVERYTHING, include_restriction=EVERYTHING)
    assert (page.matches, page.next, page.prev) == (first.matches, first.next, None)
    assert first.prev is None


async def test_what_does_not_fit_a_statement_is_too_costly(store: Store) -> None:
    """Both databases end at 32,767 values."""
    criteria = Criteria("Task", (HasId(tuple(f"t{n}" for n in range(40_000))),))
    with pytest.raises(FhirError) as refused:
        await find.search(store, criteria, EVERYTHING, include_restriction=EVERYTHING)
    assert refused.value.issues[0].code == "too-costly"
