"""Chains and _has past what the caller may not see: no match, whichever way they are driven (security.md L9 to L11)."""

from dataclasses import replace

import pytest

from service.access.new_version import deletion
from service.caller import Role
from service.errors import FhirError
from service.search.criteria import AnyOf, Clause, Criteria, HasId, HasKey, HasNear, Linked, Not, Sort
from service.search.index_rows import IndexRows
from service.search.keys import edge
from service.search.restriction import EVERYTHING, Restriction
from service.store import find, find_plan
from service.store.change import Change
from service.store.engine import Store
from tests.service.store.oracle import restriction_for
from tests.service.world import change_of, make, put, ref

MINE, THEIRS = "Organization/o1", "Organization/o2"
"""o1 is the organization of the caller `ecm-provider` of the oracle."""


@pytest.fixture(params=[1_000, 0], ids=["resolved", "row by row"])
def targets(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(find_plan, "TARGETS", request.param)


def born(store: Store, year: str) -> HasKey:
    return HasKey((store.keys.token("Patient", "identifier", "http://example.org/mrn", year),), 0)


async def build(store: Store) -> None:
    """Our own Task points at our Patient and, by a reference that we wrote, at a stranger's; they have a Task too."""
    for name, source in (("ours", MINE), ("strange", THEIRS)):
        identifier = [{"system": "http://example.org/mrn", "value": name}]
        await put(store, make(f"Patient/{name}", identifier=identifier), source=source)
        request = make(f"ServiceRequest/{name}", status="active", intent="order", subject=ref(f"Patient/{name}"))
        await put(store, request, source=source)
    for name, about, source in (
        ("ours", "ours", MINE),
        ("spying", "strange", MINE),
        ("strange", "strange", THEIRS),
        ("about-us", "ours", THEIRS),
    ):
        focus = ref(f"ServiceRequest/{about}")
        task = make(f"Task/{name}", status="requested", intent="order", focus=focus, **{"for": ref(f"Patient/{about}")})
        await put(store, task, source=source)


async def ids(store: Store, rtype: str, clause: Clause, r: Restriction) -> set[str]:
    page = await find.search(store, Criteria(rtype, (clause,), total="accurate"), r, include_restriction=r)
    assert page.total == len(page.matches)
    return {f.fhir_id for f in page.matches}


@pytest.mark.usefixtures("targets")
async def test_an_end_that_is_hidden_matches_nothing(store: Store) -> None:
    await build(store)
    r = restriction_for(store, str(Role.ECM_PROVIDER))
    subject = (edge("Task", "subject"),)
    for name, seen, all_ in (("ours", {"ours"}, {"ours", "about-us"}), ("strange", set(), {"spying", "strange"})):
        chain = Linked(subject, "Patient", (born(store, name),))
        assert await ids(store, "Task", chain, r) == seen
        assert await ids(store, "Task", chain, EVERYTHING) == all_
    hidden = Not(Linked(subject, "Patient", ()))
    assert await ids(store, "Task", hidden, r) == {"spying"}


@pytest.mark.usefixtures("targets")
async def test_has_sees_no_hidden_source(store: Store) -> None:
    await build(store)
    r = restriction_for(store, str(Role.ECM_PROVIDER))
    status = HasKey((store.keys.token("Task", "status", None, "requested"),), 7)
    has = Linked((edge("Task", "subject"),), "Task", (status,), reverse=True)
    assert await ids(store, "Patient", has, r) == {"ours"}
    assert await ids(store, "Patient", has, EVERYTHING) == {"ours", "strange"}
    gone = deletion("Task", "ours", 1, patient=None, source_org=store.keys.resource(MINE))
    await store.commit(Change(writes=[gone]))
    assert await ids(store, "Patient", has, r) == set()
    assert await ids(store, "Patient", has, EVERYTHING) == {"ours", "strange"}


@pytest.mark.usefixtures("targets")
async def test_a_hidden_middle_breaks_the_chain_both_ways(store: Store) -> None:
    await build(store)
    r = restriction_for(store, str(Role.ECM_PROVIDER))
    focus, subject = (edge("Task", "focus"),), (edge("ServiceRequest", "subject"),)
    for name, seen in (("ours", {"ours"}), ("strange", set())):
        chain = Linked(focus, "ServiceRequest", (Linked(subject, "Patient", (born(store, name),)),))
        assert await ids(store, "Task", chain, r) == seen
        assert len(await ids(store, "Task", chain, EVERYTHING)) == 2
    has = Linked(focus, "Task", (), reverse=True)
    nested = Linked(subject, "ServiceRequest", (has,), reverse=True)
    assert await ids(store, "Patient", nested, r) == {"ours"}
    assert await ids(store, "Patient", nested, EVERYTHING) == {"ours", "strange"}


async def test_sorting_by_a_hidden_reference_is_sorting_by_none(store: Store) -> None:
    await build(store)
    r = restriction_for(store, str(Role.ECM_PROVIDER))
    for down in (False, True):
        sort = (Sort("reference", down, (edge("Task", "subject"),)),)
        page = await find.search(store, Criteria("Task", sort=sort), r, include_restriction=r)
        assert [f.fhir_id for f in page.matches] == ["ours", "spying"]


async def test_a_chain_of_eight_is_followed_and_a_deeper_one_refused(store: Store) -> None:
    """More than SQLite can parse is refused in words."""
    await build(store)
    subject = (edge("Task", "subject"),)
    about: Clause = born(store, "ours")
    for _ in range(4):  # a Patient with a Task of a Patient with a Task of ...
        about = Linked(subject, "Task", (Linked(subject, "Patient", (about,)),), reverse=True)
    assert await ids(store, "Patient", about, EVERYTHING) == {"ours"}
    r = restriction_for(store, str(Role.ECM_PROVIDER))
    assert await ids(store, "Patient", AnyOf((about, HasId(("x",)))), r) == {"ours"}
    with pytest.raises(FhirError) as refused:
        await ids(store, "Patient", Not(Linked(subject, "Task", (about,), reverse=True)), EVERYTHING)
    assert refused.value.issues[0].code == "too-costly"


KEY = 77


async def test_near_counts_the_shorter_way_round_the_earth(store: Store) -> None:
    """Across the date line, at a pole, and from just inside to just outside."""
    places = {"taveuni": (-16.8, 179.98), "east": (-16.8, -179.98), "sacramento": (38.58, -121.49), "pole": (89.9, 0.0)}
    for name, (latitude, longitude) in places.items():
        change = change_of(store, make(f"Location/{name}", name=name))
        rows = IndexRows(keys=(store.keys.marker("Location"),), numbers=((KEY, latitude, longitude),))
        await store.commit(Change(writes=[replace(change.writes[0], index=rows)]))

    async def near(latitude: float, longitude: float, km: float) -> set[str]:
        return await ids(store, "Location", HasNear(KEY, latitude, longitude, km), EVERYTHING)

    assert await near(-16.8, 179.99, 5) == {"taveuni", "east"}
    assert await near(-16.8, 179.99, 2) == {"taveuni"}
    assert await near(38.58, -121.5, 0.86) == set()
    assert await near(38.58, -121.5, 0.88) == {"sacramento"}
    assert await near(90, 120, 12) == {"pole"}
