"""_include and _revinclude: what the caller may see and nothing else, over several steps, within honest limits."""

from dataclasses import replace

import pytest

from service.errors import FhirError
from service.search.criteria import Criteria, HasId, Include
from service.search.restriction import EVERYTHING, Restriction
from service.store import find, find_includes
from service.store.engine import Store
from tests.service.store.oracle import CALLERS, Memory, filled, restriction_for
from tests.service.store.oracle_search import included
from tests.service.world import make, put, ref

MANY = (
    Include("Task", "focus"),
    Include("Task", "subject"),
    Include("Task", "owner"),
    Include("ServiceRequest", "requester", iterate=True),
    Include("EpisodeOfCare", "patient", reverse=True, iterate=True),
    Include("Coverage", "beneficiary", "Patient", reverse=True, iterate=True),
)


async def found(store: Store, criteria: Criteria, r: Restriction) -> find.Page:
    return await find.search(store, criteria, r, include_restriction=r)


async def test_what_the_caller_may_see_and_nothing_else(store: Store) -> None:
    memory: Memory = await filled(store)
    by_reference = {w.reference: w for w in memory.writes}
    seen = 0
    for name in CALLERS:
        r = restriction_for(store, name)
        page = await found(store, Criteria("Task", count=200, includes=MANY), r)
        wanted = included(memory, MANY, [by_reference[f.reference] for f in page.matches], r)
        assert {f.reference for f in page.included} == wanted, name
        assert len(page.included) == len(wanted)
        seen += len(wanted)
        back = (Include("Task", "focus", reverse=True),)
        page = await found(store, Criteria("ServiceRequest", count=200, includes=back), r)
        wanted = included(memory, back, [by_reference[f.reference] for f in page.matches], r)
        assert {f.reference for f in page.included} == wanted, name
    assert seen > 100


async def test_a_type_outside_the_scopes_gives_nothing(store: Store) -> None:
    await filled(store)
    r = restriction_for(store, "ecm-provider")
    narrow = replace(r, types={t: rule for t, rule in r.types.items() if t != "Patient"})
    criteria = Criteria("Task", count=200, includes=(Include("Task", "subject"), Include("Task", "owner")))
    page = await find.search(store, criteria, r, include_restriction=narrow)
    assert {f.rtype for f in page.included} == {"Organization"}


async def test_many_includes_are_two_statements(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """Beside that of the page."""
    await filled(store)
    asked: list[str] = []
    fetch = store.fetch

    async def counted(sql: str, *args: object, **options: object) -> object:
        asked.append(sql)
        return await fetch(sql, *args, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(store, "fetch", counted)
    one_step = tuple(replace(include, iterate=False) for include in MANY)
    await found(store, Criteria("Task", includes=one_step), EVERYTHING)
    assert len(asked) == 3


async def test_more_than_the_limit_is_refused_not_cut(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    await filled(store)
    criteria = Criteria("Task", count=200, includes=(Include("Task", "subject"),))
    count = len((await found(store, criteria, EVERYTHING)).included)
    monkeypatch.setattr(find_includes, "MAX_INCLUDED", count)
    assert len((await found(store, criteria, EVERYTHING)).included) == count
    monkeypatch.setattr(find_includes, "MAX_INCLUDED", count - 1)
    with pytest.raises(FhirError) as refused:
        await found(store, criteria, EVERYTHING)
    assert refused.value.issues[0].code == "too-costly"


async def test_iterate_ends_where_nothing_is_new_and_refuses_what_leads_too_far(store: Store) -> None:
    """A ring of organizations, and a line of six."""
    await put(
        store, *(make(f"Organization/r{n}", name="r", partOf=ref(f"Organization/r{(n + 1) % 3}")) for n in range(3))
    )
    line = [make(f"Organization/l{n}", name="l", partOf=ref(f"Organization/l{n - 1}")) for n in range(1, 6)]
    await put(store, make("Organization/l0", name="l"), *line)
    up = (Include("Organization", "partof", iterate=True),)

    async def above(start: str) -> list[str]:
        page = await found(store, Criteria("Organization", (HasId((start,)),), includes=up), EVERYTHING)
        return sorted(f.fhir_id for f in page.included)

    assert await above("r0") == ["r1", "r2"]
    assert await above("l4") == ["l0", "l1", "l2", "l3"]
    with pytest.raises(FhirError) as refused:
        await above("l5")
    assert refused.value.issues[0].code == "too-costly"
