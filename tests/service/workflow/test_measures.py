"""Measures say what an oracle says that reads raw versions in plain Python, at every instant and for every caller."""

import json
import os
from typing import Any

import pytest

from service.access.context import Context
from service.caller import Caller, Role, system_caller
from service.store.change import ABSENT, Change
from service.store.engine import Store
from service.store.measures import Period
from service.workflow import measure_evaluation, measure_fill, measure_scope, referral_facts
from service.workflow.measure_definitions import CALCULATIONS, shipped, strata
from service.workflow.measure_evaluation import Question, evaluate
from service.workflow.measure_report import csv_text, report
from tests.service.workflow.measure_world import (
    CLOSED,
    DAY,
    NEEDS,
    OWNERS,
    PLANS,
    REQUESTERS,
    TAKEN,
    History,
    Told,
    counted,
    half_up,
    nearest_rank,
    oracle,
    request,
    task,
)
from tests.service.world import BASE, SUD

POSTGRESQL_IN_DEEP = True

REFERRALS, MOVES = (60, 180) if os.environ.get("ENLACE_TEST_DEEP") else (24, 60)
MONTHS = 1
OPERATOR = system_caller("")
Cells = dict[tuple[str, str], tuple[tuple[int, ...], int | None]]


def caller(role: Role, organization: str) -> Caller:
    return Caller("c", role, organization, allows=lambda _letter, _type: True)


@pytest.fixture
async def history(store: Store) -> History:
    made = History(store)
    await made.begin()
    await made.run(REFERRALS, MOVES)
    store.clock.advance(DAY)  # type: ignore[attr-defined]
    return made


async def ask(store: Store, measure: str, period: Period, who: Caller = OPERATOR, **more: Any) -> Any:
    await measure_fill.settled(store, period.at_us, BASE)
    scope = measure_scope.whose(Context(store, who, store.clock.now_us()))
    asked = {"small": 0, "months": MONTHS} | more
    return await evaluate(store, Question(shipped()[measure], period, scope, **asked))


def cells(found: Any, group: str) -> Cells:
    return {
        at: (tuple(count for _, count in one.cell.counts), one.cell.score) for at, one in found.groups[group].items()
    }


def expected(name: str, groups: dict[tuple[str, str], list[Told]], at: int, measure: str) -> Cells:
    """What the oracle's referrals make of a measure, cell by cell."""
    made: Cells = {("", ""): ((0,) * len(shipped()[measure]["group"][0]["population"]), None)}
    for where, all_ in groups.items():
        if name == "referrals":
            made[where] = ((len(all_),), None)
        elif measure == "service-not-appropriate":
            closed = [one for one in all_ if one.first(CLOSED) is not None]
            bad = sum(one.unfit for one in closed)
            made[where] = ((len(all_), len(closed), bad), half_up(100 * bad, len(closed)) if closed else None)
        elif name in ("median", "p90"):
            until = TAKEN if measure == "days-to-accept" else CLOSED
            ends = [(one.first(until), one.opened) for one in all_]
            hours = [(end - opened) // 3_600_000_000 for end, opened in ends if end is not None]
            rank = nearest_rank(hours, 50 if name == "median" else 90) if hours else None
            made[where] = ((len(all_), len(hours)), None if rank is None else half_up(rank, 24))
        else:
            made[where] = people(all_, at, measure)
    return {w: c for w, c in made.items() if w == ("", "") or c[0][0]}


def people(all_: list[Told], at: int, measure: str) -> tuple[tuple[int, ...], int | None]:
    each: dict[Any, list[Told]] = {}
    for one in all_:
        each.setdefault((one.patient, one.service, one.need if not one.service else None), []).append(one)
    got = still = asked = ago = 0
    for mine in each.values():
        received = min((one.received for one in mine if one.received is not None), default=None)
        got += received is not None
        if received is None or received + MONTHS * 30 * DAY > at:
            continue
        ago += 1
        said = [(t, yes) for one in mine for t, code, yes in one.follow_ups if code == "still-receiving"]
        late = [yes for t, yes in said if t >= received + MONTHS * 30 * DAY]
        asked, still = asked + bool(late), still + any(late)
    if measure == "service-received":
        return (len(each), len(each), got), half_up(100 * got, len(each))
    return (ago, asked, still), half_up(100 * still, asked) if asked else None


def group_of(measure: str) -> dict[str, str]:
    """group -> how the oracle counts it"""
    names = {"referrals-made": "referrals", "referrals-per-organization": "referrals"}
    return {
        code: names.get(measure, code if code in ("median", "p90") else "other")
        for code in CALCULATIONS[measure].groups
    }


WHO = {
    "operator": (OPERATOR, lambda _: True, lambda one: not one.parent),
    "cbo": (
        caller(Role.CBO, OWNERS[2]),
        lambda one: OWNERS[2] in (one.requester, one.owner),
        lambda one: not one.parent or one.requester != OWNERS[2],
    ),
    "ecm-provider": (
        caller(Role.ECM_PROVIDER, REQUESTERS[0]),
        lambda one: REQUESTERS[0] in (one.requester, one.owner),
        lambda one: not one.parent or one.requester != REQUESTERS[0],
    ),
    "plan": (caller(Role.MCP, PLANS[1]), lambda one: one.plan == PLANS[1], lambda one: not one.parent),
}


@pytest.mark.parametrize("parts", [1_000_000, 7], ids=["whole", "in parts"])
async def test_measures_are_what_the_oracle_says(
    store: Store, history: History, monkeypatch: pytest.MonkeyPatch, parts: int
):
    monkeypatch.setattr("service.store.measures.PART", parts)
    now = store.clock.now_us()
    begun = now - 120 * DAY
    periods = [Period(begun, now, now - 1), Period(now - 30 * DAY, now - 9 * DAY, now - 6 * DAY)]
    for period in periods:
        raw = await oracle(store, period.start_us, period.end_us, period.at_us)
        for who, fits, root in WHO.values():
            for measure in [name for name in CALCULATIONS if name != "unmet-needs"]:
                found = await ask(store, measure, period, who)
                groups = counted(raw, strata(shipped()[measure]), fits, root)
                for code, name in group_of(measure).items():
                    told = expected(name, groups, period.at_us, measure)
                    shown = {at: one for at, one in cells(found, code).items() if at == ("", "") or one[0][0]}
                    assert shown == told, (measure, code, who.role, period)


async def test_each_organization_of_the_directory_is_listed_with_zero_too(store: Store, history: History):
    now = store.clock.now_us()
    found = await ask(store, "referrals-per-organization", Period(now - 120 * DAY, now, now - 1))
    listed = cells(found, "referrals")
    assert listed["owner", "Organization/idle"] == ((0,), None)
    assert found.names["Organization/idle"] == "Idle" and "Organization/plan-1" not in {at[1] for at in listed}
    before = await ask(store, "referrals-per-organization", Period(0, now, 1))
    assert cells(before, "referrals") == {("", ""): ((0,), None)}  # nothing was there in 1970


async def test_a_past_instant_gives_the_same_bytes_whatever_is_written_later(store: Store, history: History):
    now = store.clock.now_us()
    period = Period(now - 120 * DAY, now, now - 3 * DAY)

    async def all_bytes() -> list[bytes]:
        asked = [(name, who) for name in CALCULATIONS for who in (OPERATOR, WHO["cbo"][0], WHO["plan"][0])]
        found = [await ask(store, name, period, who, small=3) for name, who in asked]
        return [*(json.dumps(report(one, "")).encode() for one in found), csv_text(found).encode()]

    first = await all_bytes()
    history.rng.seed(99)
    for number in range(8):  # all members are somebody else on paper, organizations are renamed and close
        await history.change_member(number + 1)
    for reference in (*OWNERS, "Organization/idle"):
        await history.write({"resourceType": "Organization", "id": reference.partition("/")[2], "name": "Renamed"})
    service = {"resourceType": "HealthcareService", "id": "idle", "active": False}
    await history.write(service)
    await history.run(REFERRALS + 10, MOVES // 2)
    store.clock.advance(DAY)  # type: ignore[attr-defined]
    assert await all_bytes() == first
    assert first != [*first[:-1], csv_text([await ask(store, "referrals-made", Period(period.start_us, now, now))])]


async def test_facts_are_gathered_once_by_whomever_and_in_pages(
    store: Store, history: History, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(measure_fill, "PAGE", 17)
    ctx = Context(store, system_caller(), store.clock.now_us())
    while True:
        change = await measure_fill.fill(ctx, {})
        await store.commit(change)
        if not change.jobs:
            break
    sql = "SELECT task, kind, vid, reason, count(*) FROM referral_event GROUP BY task, kind, vid, reason, request"
    once = await store.fetch(sql)
    assert once and {row[4] for row in once} == {1}
    await store.db.execute("UPDATE meta SET value = '0' WHERE name = 'referral_facts_upto' RETURNING name")
    monkeypatch.setattr(measure_fill, "PAGE", 500)
    await measure_fill.settled(store, store.clock.now_us() - 1, BASE)
    assert sorted(await store.fetch(sql)) == sorted(once)
    assert {row[0] for row in await store.fetch("SELECT fhir_id FROM resource WHERE rtype = 'Measure'")} == set(
        shipped()
    )


async def test_an_old_database_is_told_to_be_behind(store: Store, history: History, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(measure_fill, "PAGE", 2)
    monkeypatch.setattr(measure_fill, "MOST_INLINE", 3)
    with pytest.raises(Exception, match="UNAVAILABLE"):
        await ask(store, "referrals-made", Period(0, store.clock.now_us(), store.clock.now_us() - 1))


def test_organizations_are_the_strata_with_names():
    assert set(measure_evaluation.ORGANIZATIONS) == {"plan", "requester", "owner"}


async def test_unmet_needs_last_until_a_referral_opens_or_the_request_ends(store: Store, clock: Any):
    history = History(store, seed=3)
    await history.begin()
    ctx = Context(store, OPERATOR, store.clock.now_us())

    async def told(name: str, reason: str = "no-provider") -> int:
        clock.advance(DAY)
        ctx.now_us = clock.now_us()
        asked = request(name, "Patient/p1", REQUESTERS[0], NEEDS[0], "")
        reference = f"ServiceRequest/{name}"
        change = Change(writes=[ctx.write(asked, history.versions.get(reference, ABSENT))])
        await referral_facts.unmet(ctx, change, asked, reason)
        await store.commit(change)
        history.versions[reference] = history.versions.get(reference, 0) + 1
        return ctx.now_us

    async def numbers(at: int, start: int = 0) -> tuple[int, ...]:
        found = await ask(store, "unmet-needs", Period(start, clock.now_us() + 1, at))
        return cells(found, "requests")["", ""][0]

    first, second = await told("u1"), await told("u2")
    third = await told("u3", "waiting-list")
    clock.advance(DAY)
    await history.write(task("u1", "Patient/p1", REQUESTERS[0], OWNERS[0], "u1"))
    opened = clock.now_us()
    clock.advance(DAY)
    ended = request("u2", "Patient/p1", REQUESTERS[0], NEEDS[0], "") | {"status": "revoked"}
    await history.write(ended)
    revoked = clock.now_us()
    again = await told("u1", "no-capacity")
    clock.advance(DAY)
    seen = [await numbers(at) for at in (first - 1, first, second, third, opened, revoked, again)]
    assert seen == [(0, 0, 0), (1, 1, 1), (2, 2, 2), (3, 3, 3), (3, 3, 2), (3, 3, 1), (3, 3, 2)]
    assert await numbers(again, third) == (2, 2, 2), "of this period only what was told in it"
    found = await ask(store, "unmet-needs", Period(0, clock.now_us(), again), stratifiers=("reason",))
    assert {at[1]: counts[0] for at, (counts, _) in cells(found, "requests").items() if at[0]} == {
        "no-capacity": 1,
        "no-provider": 1,
        "waiting-list": 1,
    }
    plan = await ask(store, "unmet-needs", Period(0, clock.now_us(), again), WHO["plan"][0])
    other = await ask(store, "unmet-needs", Period(0, clock.now_us(), again), caller(Role.MCP, PLANS[0]))
    assert [cells(one, "requests")["", ""][0][0] for one in (plan, other)] == [3, 0]


async def test_a_plan_that_is_no_party_does_not_count_what_is_labelled(store: Store, clock: Any):
    history = History(store, seed=5)
    await history.begin()
    await history.write(request("s1", "Patient/p1", REQUESTERS[0], NEEDS[0], ""))
    await history.write(task("s1", "Patient/p1", REQUESTERS[0], OWNERS[0], "s1", meta=SUD))
    clock.advance(DAY)
    period = Period(0, clock.now_us(), clock.now_us() - 1)
    asked = (WHO["plan"][0], WHO["ecm-provider"][0], caller(Role.CBO, OWNERS[0]), OPERATOR)
    found = [cells(await ask(store, "referrals-made", period, who), "referrals")["", ""][0][0] for who in asked]
    assert found == [0, 1, 1, 1]
