"""Search against the evaluator in memory: every kind of criterion, as every role, in order, page by page."""

from dataclasses import replace

import pytest

from service.access.new_version import deletion
from service.caller import Role
from service.search.criteria import Criteria
from service.search.keys import edge
from service.search.restriction import EVERYTHING, Restriction
from service.store import find
from service.store.change import Change, Write
from service.store.engine import Store
from tests.service.store.oracle import CALLERS, QUERIES, criteria_of, filled, restriction_for


async def pages(store: Store, criteria: Criteria, r: Restriction) -> list[str]:
    """All ids, page by page."""
    out: list[str] = []
    for _ in range(500):
        page = await find.search(store, criteria, r, include_restriction=r)
        out += [found.fhir_id for found in page.matches]
        if page.next is None:
            return out
        criteria = replace(criteria, after=page.next)
    raise AssertionError("pages without end")


async def test_every_query_as_every_role_by_both_plans(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """Same results, same order, each once over pages, true totals; whichever way the query is driven."""
    memory = await filled(store)
    found = 0
    for name in CALLERS:
        r = restriction_for(store, name)
        for rtype, query in QUERIES:
            criteria = criteria_of(store, rtype, query)
            wanted = memory.search(criteria, r)
            found += len(wanted)
            for small in (2000, -1):
                monkeypatch.setattr(find, "SMALL_PANEL", small)
                page = await find.search(
                    store, replace(criteria, total="accurate", count=200), r, include_restriction=r
                )
                assert [f.fhir_id for f in page.matches] == wanted, (name, rtype, query, small)
                assert page.total == len(wanted)
            assert await pages(store, replace(criteria, count=7), r) == wanted, (name, rtype, query)
    assert found > 500


async def test_includes_hold_what_the_caller_may_see_and_nothing_else(store: Store) -> None:
    memory = await filled(store)
    by_reference = {w.reference: w for w in memory.writes}
    keys = {store.keys.resource(w.reference): w.reference for w in memory.writes}
    seen = 0
    for name in CALLERS:
        r = restriction_for(store, name)
        criteria = criteria_of(
            store, "Task", "_include=Task:focus&_include=Task:patient&_include=Task:owner&_count=200"
        )
        page = await find.search(store, criteria, r, include_restriction=r)
        wanted = set()
        for match in page.matches:
            for number, target in by_reference[match.reference].index.edges:
                if number in {edge("Task", p) for p in ("focus", "subject", "owner")} and target in keys:
                    wanted |= {keys[target]} if memory.sees(by_reference[keys[target]], r) else set()
        assert {f.reference for f in page.included} == wanted, name
        assert len(page.included) == len({f.key for f in page.included})
        seen += len(wanted)
        criteria = criteria_of(store, "ServiceRequest", "_revinclude=Task:focus&_count=200")
        page = await find.search(store, criteria, r, include_restriction=r)
        matched = {f.key for f in page.matches}
        wanted = {
            w.reference
            for w in memory.writes
            if w.rtype == "Task"
            and memory.sees(w, r)
            and any(number == edge("Task", "focus") and target in matched for number, target in w.index.edges)
        }
        assert {f.reference for f in page.included} == wanted, name
    assert seen > 50


async def test_paging_returns_each_match_once_while_others_write(store: Store) -> None:
    memory = await filled(store)
    r = restriction_for(store, str(Role.ECM_PROVIDER))
    for sort in ("-_lastUpdated", "_lastUpdated", "_id", "-_id"):
        criteria = replace(criteria_of(store, "Task", ""), sort=sort, count=4)
        before = memory.search(criteria, r)
        untouched = {i for i in before if not i.endswith(("1", "2"))}
        got: list[str] = []
        turn = 0
        while True:
            page = await find.search(store, criteria, r, include_restriction=r)
            got += [f.fhir_id for f in page.matches]
            if page.next is None:
                break
            criteria = replace(criteria, after=page.next)
            turn += 1
            victim = next(w for w in memory.writes if w.rtype == "Task" and w.fhir_id.endswith(str(1 + turn % 2)))
            await touch(store, victim)
        kept = [i for i in got if i in untouched]
        assert sorted(kept) == sorted(untouched) and len(kept) == len(set(kept)), sort
        assert kept == [i for i in before if i in untouched], sort


async def touch(store: Store, write: Write) -> None:
    """A new version with the same content."""
    version = (
        await store.fetch("SELECT version FROM resource WHERE key = ?", (store.keys.resource(write.reference),))
    )[0][0]
    await store.commit(Change(writes=[replace(write, expect=version)]))


async def test_a_deleted_resource_is_found_no_more(store: Store) -> None:
    await filled(store)
    criteria = criteria_of(store, "Task", "_id=t1")
    assert await pages(store, criteria, EVERYTHING) == ["t1"]
    await store.commit(Change(writes=[deletion("Task", "t1", 1, patient=None, source_org=1)]))
    for query in ("_id=t1", "identifier=n1", "status:not=nothing&identifier=n1", "identifier=n1&_lastUpdated=gt1999"):
        assert await pages(store, criteria_of(store, "Task", query), EVERYTHING) == []
