"""history of a resource, a type, the whole service: in order of time, paged both ways, nothing foreign."""

import re
from typing import Any

import asyncpg
import httpx
import pytest

from service.clock import instant
from service.search.restriction import See
from service.store import history as store_history
from service.store.database import TooCostly
from service.store.engine import Store
from service.store.slots import updated_us
from tests.frozen_clock import FrozenClock
from tests.service.conftest import AppClient
from tests.service.interactions.foreign import same_answers
from tests.service.world import CBO1, ECM1, SUD, change_of, observation, put

BASE = "http://127.0.0.1:8000/fhir"
MINUTE = 60_000_000


async def pages(client: httpx.AsyncClient, url: str, relation: str = "next") -> list[dict[str, Any]]:
    """All pages from this one on."""
    found: list[dict[str, Any]] = []
    while url:
        answer = await client.get(url)
        assert answer.status_code == 200, answer.text
        found.append(answer.json())
        url = links_of(found[-1]).get(relation, "")
        assert len(found) < 100
    return found


def links_of(bundle: dict[str, Any]) -> dict[str, str]:
    return {link["relation"]: link["url"].replace(BASE, "") for link in bundle["link"]}


def named(*bundles: dict[str, Any]) -> list[str]:
    """Type/id/version of each entry, with a - where it is a deletion."""
    found = []
    for entry in (e for b in bundles for e in b.get("entry", ())):
        version = re.fullmatch(r'W/"(\d+)"', entry["response"]["etag"])
        assert version
        gone = "" if "resource" in entry else "-"
        assert (gone == "-") == (entry["request"]["method"] == "DELETE")
        found.append(f"{entry['fullUrl'].removeprefix(BASE + '/')}/{version[1]}{gone}")
    return found


async def rewrite(client: httpx.AsyncClient, clock: FrozenClock, letter: str, times: int) -> None:
    for n in range(times):
        clock.advance(MINUTE)
        body = observation(f"Observation/{letter}", f"Patient/{letter}", note=[{"text": str(n)}])
        assert (await client.put(f"/Observation/{letter}", json=body)).status_code == 200


async def test_history_newest_first_with_methods(world: Store, app_client: AppClient) -> None:
    client = await app_client()
    await client.put("/Observation/a", json=observation("Observation/a", "Patient/a", status="amended"))
    await client.delete("/Observation/a")
    for url in ("/Observation/a/_history", "/Observation/_history"):
        bundle = (await client.get(url)).json()
        assert bundle["type"] == "history" and "total" not in bundle
        assert [e["request"]["method"] for e in bundle["entry"]] == ["DELETE", "PUT", "POST"]
        assert [e["response"]["etag"] for e in bundle["entry"]] == ['W/"3"', 'W/"2"', 'W/"1"']
        assert "resource" not in bundle["entry"][0]


async def test_history_pages(world: Store, app_client: AppClient, clock: FrozenClock) -> None:
    client, other = await app_client(), await app_client()
    await rewrite(client, clock, "a", 6)
    for base in ("/Observation/a/_history", "/Observation/_history"):
        forth = await pages(client, f"{base}?_count=3")
        assert named(*forth) == [f"Observation/a/{n}" for n in (7, 6, 5, 4, 3, 2, 1)]
        assert [len(named(one)) for one in forth] == [3, 3, 1]
        assert "previous" not in links_of(forth[0])
        back = await pages(client, links_of(forth[-1])["previous"], "previous")
        assert [named(one) for one in back] == [named(forth[1]), named(forth[0])]
        assert named(*await pages(client, links_of(back[0])["next"])) == ["Observation/a/1"]
        rising = await pages(client, f"{base}?_count=2&_sort=_lastUpdated")
        assert named(*rising) == [f"Observation/a/{n}" for n in range(1, 8)]
        assert named((await client.get(links_of(rising[2])["previous"])).json()) == named(rising[1])
        url = links_of(forth[0])["next"]
        assert (await other.get(url)).status_code == 400
        assert (await client.get(url.replace("_count=3", "_count=4"))).status_code == 400


async def test_a_page_stays_where_it_was_while_others_write(
    world: Store, app_client: AppClient, clock: FrozenClock
) -> None:
    client = await app_client()
    await rewrite(client, clock, "a", 3)
    first = (await client.get("/Observation/_history?_count=2")).json()
    await rewrite(client, clock, "a", 2)
    assert named(first, *await pages(client, links_of(first)["next"])) == [f"Observation/a/{n}" for n in (4, 3, 2, 1)]


async def test_since_counts_the_instant_itself(world: Store, app_client: AppClient, clock: FrozenClock) -> None:
    client = await app_client()
    await rewrite(client, clock, "a", 3)
    for base in ("/Observation/a/_history", "/Observation/_history", "/_history"):
        newest = (await client.get("/Observation/a")).json()["meta"]["lastUpdated"]
        assert named((await client.get(base, params={"_since": newest})).json()) == ["Observation/a/4"]
        later = instant(clock.now_us() + MINUTE)
        answer = await client.get(base, params={"_since": later})
        assert answer.status_code == 200 and "entry" not in answer.json()


async def test_at_shows_what_was_current(world: Store, app_client: AppClient, clock: FrozenClock) -> None:
    """Created half an hour before midnight in Los Angeles, changed at 0:31 and 0:32, deleted at 0:33."""
    client = await app_client()
    clock.advance(60 * MINUTE)
    began = clock.now_us()
    await rewrite(client, clock, "a", 2)
    clock.advance(MINUTE)
    await client.delete("/Observation/a")
    clock.advance(60 * MINUTE)
    for base in ("/Observation/a/_history", "/Observation/_history"):

        async def at(value: str, base: str = base) -> list[int]:
            found = named((await client.get(base, params={"_at": value})).json())
            return [int(one.removeprefix("Observation/a/").removesuffix("-")) for one in found]

        assert await at(instant(began)) == [1]
        assert await at(instant(began + MINUTE + 1_000_000)) == [2]
        assert await at(instant(began + 2 * MINUTE + 1_000_000)) == [3]
        assert await at(instant(clock.now_us())) == await at("2099") == [4]
        assert await at("2026-03-06") == await at("2020") == []
        assert await at("2026-03-07") == [1]
        assert await at("2026-03-08") == await at("2026") == [4, 3, 2, 1]
        assert await at("2026-03-08T00:32-08:00") == [3]  # its minute begins where the former version ends


async def test_foreign_history_is_absent(world: Store, app_client: AppClient) -> None:
    client = await app_client()
    assert (await same_answers(client, "GET", "/Observation/{id}/_history", "b")).status_code == 404
    assert (await same_answers(client, "GET", "/Patient/{id}/_history?_count=1", "b")).status_code == 404
    assert (
        await same_answers(client, "GET", "/Patient/{id}/_history?_since=2099-01-01T00:00:00Z", "b")
    ).status_code == 404


ROLES = [
    ("ecm-provider", ECM1, "led"),
    ("ecm-provider", ECM1, "through"),
    ("mcp", "Organization/plan-1", "newest"),
    ("cbo", CBO1, "led"),
    ("cbo", CBO1, "through"),
    ("hospital", ECM1, "led"),
    ("referrer", ECM1, "led"),
]
"""The three ways of finding: among the newest, led by the few of the panel, through all versions by windows."""


@pytest.mark.parametrize(("role", "organization", "way"), ROLES)
async def test_histories_hold_what_reads_show_and_nothing_foreign(
    world: Store,
    app_client: AppClient,
    monkeypatch: pytest.MonkeyPatch,
    clock: FrozenClock,
    role: str,
    organization: str,
    way: str,
) -> None:
    if way != "newest":
        monkeypatch.setattr(store_history, "WINDOWS", (2, 5, 1000))
    if way == "through":
        monkeypatch.setattr(store_history, "MAX_DRIVEN", 0)
    await rewrite(await app_client(), clock, "a", 2)
    await rewrite(await app_client("ecm-provider", "Organization/ecm-2"), clock, "b", 2)
    await (await app_client("ecm-provider", "Organization/ecm-2")).delete("/Condition/b")
    await (await app_client()).delete("/Condition/a")
    client = await app_client(role, organization)
    everything = named(*await pages(client, "/_history?_count=7"))
    assert len(set(everything)) == len(everything)
    rows = await world.fetch("SELECT rtype, fhir_id, version, op FROM version ORDER BY vid DESC")
    expected = []
    for rtype, fhir_id, version, op in rows:
        answer = await client.get(f"/{rtype}/{fhir_id}/_history/{version}")
        if answer.status_code == (410 if op == 3 else 200):
            expected.append(f"{rtype}/{fhir_id}/{version}{'-' if op == 3 else ''}")
    assert everything == expected
    assert not any(re.match(r"\w+/(sud-)?b/", one) for one in everything)
    for rtype in {one.partition("/")[0] for one in expected}:
        mine = [one for one in expected if one.startswith(rtype + "/")]
        assert named(*await pages(client, f"/{rtype}/_history?_count=2")) == mine


async def test_a_label_that_is_added_hides_former_versions_too(world: Store, app_client: AppClient) -> None:
    plan = await app_client("mcp", "Organization/plan-1")
    before = named((await plan.get("/_history")).json())
    assert "Encounter/e/1" not in before
    visit = {"resourceType": "Encounter", "id": "e", "status": "planned", "class": {"code": "AMB"}}
    visit["subject"] = {"reference": "Patient/a"}  # type: ignore[assignment]
    await put(world, visit, source=ECM1)
    assert "Encounter/e/1" in named((await plan.get("/_history")).json())
    await world.commit(change_of(world, {**visit, "meta": SUD}, ECM1, expect=1))
    assert named((await plan.get("/_history")).json()) == before
    await world.commit(change_of(world, visit, ECM1, expect=2))
    seen = named((await plan.get("/Encounter/_history")).json())
    assert seen == ["Encounter/e/3", "Encounter/e/1"]  # the version that bore the label stays hidden


async def test_scopes_of_histories(world: Store, app_client: AppClient) -> None:
    client = await app_client(scopes="system/Observation.s system/Condition.r")
    assert {one.partition("/")[0] for one in named((await client.get("/_history")).json())} == {"Observation"}
    assert (await client.get("/Condition/_history")).status_code == 403
    assert (await client.get("/Condition/a/_history")).status_code == 200
    assert (await client.get("/Observation/a/_history")).status_code == 403
    none = await app_client(scopes="system/Observation.r")
    assert (await none.get("/_history")).status_code == 403


async def test_what_history_does_not_take_is_refused(world: Store, app_client: AppClient) -> None:
    client = await app_client()
    bad = (
        "_since=2026",
        "_since=2026-02-30T00:00:00Z",
        "_count=x",
        "_count=-1",
        "_count=0",
        "_page=AAAA",
        "_at=ge2026",
    )
    for query in (*bad, "_type=Task", "_sort=status", "_total=accurate", "_count=1&_count=2", "_since=%00"):
        for base in ("/Observation/a/_history", "/Observation/_history", "/_history"):
            for prefer in ({}, {"Prefer": "handling=lenient"}):
                answer = await client.get(f"{base}?{query}", headers=prefer)
                assert answer.status_code == 400, query
    both = (await client.get("/_history?_type=Task&_count=x")).json()["issue"]
    assert len(both) == 2 and "_since" in both[0]["diagnostics"]
    assert (await client.get("/AuditEvent/_history")).status_code == 405


async def test_too_many_versions_to_look_at_are_refused(
    world: Store, app_client: AppClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = await app_client()
    monkeypatch.setattr(store_history, "MAX_DRIVEN", 0)
    monkeypatch.setattr(store_history, "WINDOWS", (1, 2))
    answer = await client.get("/_history")
    assert answer.status_code == 503 and answer.json()["issue"][0]["code"] == "too-costly"

    async def slow(*_args: object, **_named: object) -> None:
        raise TooCostly

    monkeypatch.setattr(world.db, "fetch", slow)
    with pytest.raises(Exception, match="UNAVAILABLE"):
        await store_history.versions(
            world, store_history.Asked(("Task",), 2), store_history.Restriction(types={"Task": See.PANEL})
        )


async def test_the_audit_row_names_the_patients(world: Store, app_client: AppClient) -> None:
    client = await app_client()
    await client.get("/Observation/_history")
    rows = await world.fetch("SELECT kind, target, patients FROM audit ORDER BY seq DESC LIMIT 1")
    assert tuple(rows[0]) == ("history", "Observation", "Patient/a")


async def test_a_write_that_runs_holds_back_what_is_newer(
    store: Store, app_client: AppClient, clock: FrozenClock
) -> None:
    """On PostgreSQL: what it commits later, with older numbers, must not be missed by who follows the feed."""
    if store.db.name == "sqlite":
        assert await store_history.complete_until(store) is None
        return
    con = await asyncpg.connect(store.url)
    clock.advance(int(await con.fetchval("SELECT extract(epoch FROM now()) * 1000000")) - clock.now_us())
    await put(store, observation("Observation/old", "Patient/a"))
    client = await app_client("admin", "Organization/op")
    running = con.transaction()
    await running.start()
    await con.execute("SELECT pg_current_xact_id()")
    clock.advance(60 * MINUTE)
    await put(store, observation("Observation/new", "Patient/a"))
    feed = (await client.get("/Observation/_history")).json()
    assert named(feed) == ["Observation/old/1"]
    assert named((await client.get("/Observation/new/_history")).json()) == ["Observation/new/1"]
    began = await con.fetchval("SELECT (extract(epoch FROM now()) * 1000000)::int8")
    await running.rollback()
    assert feed["meta"]["lastUpdated"] <= instant(began)
    followed = (await client.get("/Observation/_history", params={"_since": feed["meta"]["lastUpdated"]})).json()
    assert named(followed)[0] == "Observation/new/1"
    await con.close()


async def test_the_committer_is_known_by_its_name(store: Store) -> None:
    """Its transactions count from their beginning, before they have a number."""
    if store.db.name == "sqlite":
        return
    await put(store, observation("Observation/x", "Patient/a"))
    sql = "SELECT count(*) FROM pg_stat_activity WHERE application_name = ? AND datname = current_database()"
    assert (await store.fetch(sql, (store_history.WRITER,)))[0][0] == 1
    newest = await store_history.complete_until(store)
    assert newest is not None and updated_us(newest) > 0
