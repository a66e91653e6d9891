"""A person's own list of notices: newest first, as far as it may still see them, and read marks of its own only."""

from typing import Any

import pytest

from service.store import notices
from service.store.engine import Store
from tests.frozen_clock import FrozenClock
from tests.service.conftest import AppClient
from tests.service.notify.notice_world import DIRECTOR, World, alert, populate
from tests.service.world import ECM1, LCM1, PLAN1, SUD, change_of, episode, put, team

POSTGRESQL_IN_DEEP = True
URL = f"/{LCM1}/$notices"


@pytest.fixture
async def told(world: Store, clock: FrozenClock) -> World:
    made = await populate(world)
    for number in range(3):
        clock.advance(1_000_000)
        await put(world, alert(f"n{number}"), source="Device/enlace")
        await made.run()
    return made


def facts(answer: Any) -> list[dict[str, Any]]:
    def value(part: dict[str, Any]) -> Any:
        return next(part[name] for name in part if name.startswith("value"))

    return [{p["name"]: value(p) for p in one["part"]} for one in answer.json().get("parameter", [])]


async def test_the_list_newest_first_by_pages(told: World, app_client: AppClient) -> None:
    ana = await app_client("lcm", ECM1, LCM1)
    first = facts(await ana.get(URL, params={"_count": "2"}))
    assert [one["target"]["reference"] for one in first] == ["Communication/n2", "Communication/n1"]
    rest = facts(await ana.get(URL, params={"before": first[-1]["at"]}))
    assert [one["target"]["reference"] for one in rest] == ["Communication/n0", "EpisodeOfCare/a"]
    assert {one["kind"] for one in rest} == {"alert", "assignment"}


async def test_notices_of_one_moment_are_not_divided_by_a_page(
    told: World, app_client: AppClient, clock: FrozenClock
) -> None:
    """What is matched together bears one time, and the next page begins before it."""
    ana = await app_client("lcm", ECM1, LCM1)
    clock.advance(1_000_000)
    for number in range(5):
        await put(told.store, alert(f"m{number}"), source="Device/enlace")
    await told.run()
    first = facts(await ana.get(URL, params={"_count": "2"}))
    assert {one["target"]["reference"] for one in first} == {f"Communication/m{number}" for number in range(5)}
    rest = facts(await ana.get(URL, params={"before": first[-1]["at"], "_count": "2"}))
    assert [one["target"]["reference"] for one in rest] == ["Communication/n2", "Communication/n1"]


async def test_a_page_is_full_whatever_may_not_be_seen_any_more(
    told: World, app_client: AppClient, clock: FrozenClock
) -> None:
    """An empty one would say that there is nothing behind it, and a short one that something is hidden."""
    ana = await app_client("lcm", ECM1, LCM1)
    for number in range(3):
        clock.advance(1_000_000)
        await put(told.store, alert(f"h{number}"), source="Device/enlace")
        await told.run()
        await told.change({**alert(f"h{number}"), "meta": SUD}, 1)
    shown = facts(await ana.get(URL, params={"_count": "2"}))
    assert [one["target"]["reference"] for one in shown] == ["Communication/n2", "Communication/n1"]


async def test_who_acknowledged_an_alert_has_read_of_it(told: World, app_client: AppClient) -> None:
    """In the inbox, where nothing is marked in this list."""
    ana = await app_client("lcm", ECM1, LCM1)
    await told.change({**alert("n1"), "received": "2026-01-15T12:00:00Z"}, 1)
    unread = facts(await ana.get(URL, params={"unread": "true", "_count": "2"}))
    assert [one["target"]["reference"] for one in unread] == ["Communication/n2", "Communication/n0"], "a full page"
    every = {one["target"]["reference"]: one["read"] for one in facts(await ana.get(URL))}
    assert every["Communication/n1"] and not every["Communication/n2"] and not every["EpisodeOfCare/a"]


async def test_read_marks_are_ones_own(told: World, app_client: AppClient) -> None:
    ana = await app_client("lcm", ECM1, LCM1)
    await put(told.store, alert("hers", to=DIRECTOR), source="Device/enlace")
    await told.run()
    (foreign,) = [n for n in await told.rows(target="Communication/hers") if n.channel == "in-app"]
    first = facts(await ana.get(URL))[0]
    body = {"resourceType": "Parameters", "parameter": [
        {"name": "read", "valueString": first["id"]}, {"name": "read", "valueString": str(foreign.id)},
        {"name": "read", "valueString": "1"},
    ]}  # fmt: skip
    assert (await ana.post(URL, json=body)).status_code == 200
    assert [one["read"] for one in facts(await ana.get(URL))] == [True, False, False, False]
    assert len(facts(await ana.get(URL, params={"unread": "true"}))) == 3
    kept = await notices.by_id(told.store, foreign.id)
    assert kept is not None and kept.state == "sent"


async def test_what_may_not_be_seen_any_more_was_never_there(told: World, app_client: AppClient) -> None:
    ana = await app_client("lcm", ECM1, LCM1)
    ended = {**episode("EpisodeOfCare/a", "Patient/a", ECM1, LCM1), "status": "finished"}
    await told.store.commit(change_of(told.store, ended, PLAN1, 1))
    inactive = {**team("CareTeam/a", "Patient/a"), "status": "inactive"}
    await told.store.commit(change_of(told.store, inactive, ECM1, 1))
    assert (await ana.get(URL)).json() == {"resourceType": "Parameters"}


async def test_nobody_elses_list(told: World, app_client: AppClient) -> None:
    for role, organization, person in (
        ("ecm-provider", ECM1, None),
        ("ecm-provider", ECM1, DIRECTOR),
        ("admin", "Organization/op", None),
        ("plan", PLAN1, None),
    ):
        client = await app_client("mcp" if role == "plan" else role, organization, person)
        assert (await client.get(URL)).status_code == 403
        assert (await client.post(URL, json={"resourceType": "Parameters"})).status_code == 403


async def test_bad_parameters(told: World, app_client: AppClient) -> None:
    ana = await app_client("lcm", ECM1, LCM1)
    bad = {"_count": "0", "unread": "perhaps", "before": "then", "x": "y"}
    answer = await ana.get(URL, params=bad)
    assert answer.status_code == 400 and len(answer.json()["issue"]) == 4
    for wrong in ([], [{"name": "read", "valueString": "x"}], [{"name": "read", "valueString": "1"}] * 101):
        answer = await ana.post(URL, json={"resourceType": "Parameters", "parameter": wrong})
        assert answer.status_code == 400, wrong
