"""search through HTTP: Bundles, totals, warnings, POST, includes by scope."""

from urllib.parse import urlsplit

import pytest

from service.store.engine import Store
from tests.service.conftest import AppClient
from tests.service.interactions.foreign import same_answers
from tests.service.world import CBO1, ECM1, LCM1, PLAN1, observation, put


async def ids(client, url: str) -> list[str]:  # type: ignore[no-untyped-def]
    bundle = (await client.get(url)).json()
    return sorted(e["resource"]["id"] for e in bundle.get("entry", []) if e["search"]["mode"] == "match")


@pytest.mark.parametrize(
    ("role", "organization", "person", "rtype", "wanted"),
    [
        ("ecm-provider", ECM1, None, "Patient", ["a"]),
        ("ecm-provider", ECM1, None, "Condition", ["a", "sud-a"]),
        ("lcm", ECM1, LCM1, "Patient", ["a"]),
        ("mcp", PLAN1, None, "Patient", ["a"]),
        ("mcp", PLAN1, None, "Observation", []),
        ("cbo", CBO1, None, "Task", ["a"]),
        ("cbo", CBO1, None, "ServiceRequest", ["a"]),
        ("cbo", CBO1, None, "Procedure", ["a"]),
        ("cbo", CBO1, None, "Condition", []),
        ("hospital", "Organization/h", None, "Patient", []),
        ("hospital", "Organization/h", None, "Organization", []),
        ("admin", "Organization/op", None, "Patient", ["a", "b"]),
    ],
)
async def test_what_each_role_finds(
    world: Store, app_client: AppClient, role: str, organization: str, person: str | None, rtype: str, wanted: list[str]
) -> None:
    client = await app_client(role, organization, person)
    assert await ids(client, f"/{rtype}") == wanted
    bundle = (await client.get(f"/{rtype}?_total=accurate&_count=1")).json()
    assert bundle["total"] == len(wanted)
    assert (await client.get(f"/{rtype}?_summary=count")).json()["total"] == len(wanted)


async def test_foreign_and_absent_searches_are_the_same(world: Store, app_client: AppClient, clock: object) -> None:
    client = await app_client()
    for query in ("_id={id}", "identifier=mrn-{id}", "general-practitioner=Practitioner/{id}"):
        one = (await client.get(f"/Patient?{query.replace('{id}', 'b')}&_total=accurate")).json()
        two = (await client.get(f"/Patient?{query.replace('{id}', 'z')}&_total=accurate")).json()
        assert one["total"] == two["total"] == 0 and "entry" not in one
    assert (await same_answers(client, "GET", "/Observation/{id}", "b")).status_code == 404


async def test_an_unknown_parameter_warns_or_is_refused(world: Store, app_client: AppClient) -> None:
    client = await app_client()
    lenient = (await client.get("/Patient?shoe=42&gender=female")).json()
    outcome = lenient["entry"][-1]
    assert outcome["search"]["mode"] == "outcome" and outcome["resource"]["issue"][0]["severity"] == "warning"
    self_link = next(link["url"] for link in lenient["link"] if link["relation"] == "self")
    assert urlsplit(self_link).query == "gender=female"
    strict = await client.get("/Patient?shoe=42", headers={"Prefer": "handling=strict"})
    assert strict.status_code == 400


async def test_post_search_is_the_same_search(world: Store, app_client: AppClient) -> None:
    client = await app_client()
    got = (await client.get("/Patient?gender=female&_count=5")).json()
    posted = (await client.post("/Patient/_search?_count=5", data={"gender": "female"})).json()
    assert [e["resource"]["id"] for e in got["entry"]] == [e["resource"]["id"] for e in posted["entry"]]
    wrong = await client.post("/Patient/_search", json={"gender": "female"})
    assert wrong.status_code == 415


async def test_l08_who_is_shown_a_view_asks_for_it_by_id_alone(world: Store, app_client: AppClient) -> None:
    """Also a bare list or a count: its order and its changes would tell of what is hidden."""
    cbo = await app_client("cbo", CBO1)
    for query in ("", "?_total=accurate&_count=1", "?_summary=count", "?gender=female", "?_id=a&_sort=_lastUpdated"):
        assert (await cbo.get(f"/Patient{query}")).status_code == 400, query
    assert await ids(cbo, "/Patient?_id=a,b") == ["a"], "of its own referral, not of a foreign one"


async def test_includes_need_the_scope_of_what_is_included(world: Store, app_client: AppClient) -> None:
    every, few = await app_client(), await app_client(scopes="system/Task.rs")
    url = "/Task?_id=a&_include=Task:patient&_include=Task:focus&_include=Task:owner"
    entries = (await every.get(url)).json()["entry"]
    included = {f"{e['resource']['resourceType']}/{e['resource']['id']}" for e in entries[1:]}
    assert included == {"Patient/a", "ServiceRequest/a", CBO1}
    assert {e["search"]["mode"] for e in entries[1:]} == {"include"}
    assert len((await few.get(url)).json()["entry"]) == 1
    cbo = await app_client("cbo", CBO1)
    seen = {e["resource"]["resourceType"]: e["resource"] for e in (await cbo.get(url)).json()["entry"]}
    assert set(seen) == {"Task", "ServiceRequest", "Organization", "Patient"}
    assert set(seen["Patient"]) == {"resourceType", "id", "meta", "name"}, "a minimum view (security.md 2.1, 2.3)"
    refused = await few.get("/Task?_revinclude=Provenance:target")
    assert refused.status_code == 403


async def test_pages_by_link_are_bound_to_caller_and_query(world: Store, app_client: AppClient) -> None:
    await put(world, *(observation(f"Observation/n{n}", "Patient/a") for n in range(9)), source=ECM1)
    client, other = await app_client(), await app_client()
    found, url = [], "/Observation?status=final&_count=4"
    while url:
        bundle = (await client.get(url)).json()
        found += [e["resource"]["id"] for e in bundle["entry"]]
        url = {link["relation"]: link["url"] for link in bundle["link"]}.get("next", "").partition("/fhir")[2]
        if url:
            assert (await other.get(url)).status_code == 400
            for changed in (url.replace("final", "amended"), url.replace("_count=4", "_count=5"), url[:-3] + "AAA"):
                assert (await client.get(changed)).status_code == 400
    assert len(found) == len(set(found)) == 10


async def test_every_patient_of_a_page_is_audited(world: Store, app_client: AppClient) -> None:
    client = await app_client("admin", "Organization/op")
    await client.get("/Observation?status=final")
    rows = await world.fetch("SELECT target, patients FROM audit ORDER BY seq DESC LIMIT 1")
    assert rows[0][0] == "Observation?status" and set(rows[0][1].split()) == {"Patient/a", "Patient/b"}


async def test_not_these_ids(world: Store, app_client: AppClient) -> None:
    client = await app_client("admin", "Organization/op")
    assert await ids(client, "/Patient?_id:not=a") == ["b"]
    assert await ids(client, "/Patient?_id:not=a,b") == []
    refused = await client.get("/Patient?_id:exact=a")
    assert refused.status_code == 400 and ":not" in refused.json()["issue"][0]["diagnostics"]


async def test_a_day_that_does_not_exist_is_said_to(world: Store, app_client: AppClient) -> None:
    refused = await (await app_client()).get("/Patient?birthdate=1980-02-30")
    assert refused.status_code == 400 and "dates that exist" in refused.json()["issue"][0]["diagnostics"]
