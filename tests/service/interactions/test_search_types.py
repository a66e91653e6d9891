"""Searches of the whole service and of a Patient's compartment, through HTTP."""

from typing import Any

import httpx

from service.store.engine import Store
from tests.service.conftest import AppClient
from tests.service.interactions.test_search_results import links_of
from tests.service.world import CBO1, ECM1, observation, put

POSTGRESQL_IN_DEEP = True


async def found(client: httpx.AsyncClient, url: str, **more: Any) -> set[str]:
    answer = await client.request("POST" if more else "GET", url, **more)
    assert answer.status_code == 200, answer.text
    entries = answer.json().get("entry", [])
    return {f"{e['resource']['resourceType']}/{e['resource']['id']}" for e in entries if e["search"]["mode"] == "match"}


# ---- the whole service


TOGETHER = [
    ("?_type=Task,ServiceRequest", {"Task/a", "ServiceRequest/a"}),
    ("/?_type=Task,ServiceRequest", {"Task/a", "ServiceRequest/a"}),
    ("?_type=Task,ServiceRequest&status=requested", {"Task/a"}),
    ("?_type=Task,ServiceRequest&patient=Patient/a", {"Task/a", "ServiceRequest/a"}),
    ("?_type=Task,ServiceRequest&patient=Patient/b", set()),
    ("?_type=Task,ServiceRequest&patient.gender=female", {"Task/a", "ServiceRequest/a"}),
    ("?_type=Task,ServiceRequest&_filter=status eq requested", {"Task/a"}),
    ("?_type=Task&owner=" + CBO1, {"Task/a"}),
]


async def test_types_are_searched_together(world: Store, app_client: AppClient) -> None:
    client = await app_client()
    for url, wanted in TOGETHER:
        assert await found(client, url) == wanted, url
        query = dict(pair.split("=", 1) for pair in url.partition("?")[2].split("&"))
        assert await found(client, "/_search", data=query) == wanted, url


async def test_all_types_with_scope_and_by_common_parameters(world: Store, app_client: AppClient) -> None:
    client = await app_client(scopes="system/Task.rs system/Patient.rs system/Condition.r")
    assert await found(client, "?_lastUpdated=ge2020") == {"Task/a", "Patient/a"}
    assert await found(client, "?_id=a") == {"Task/a", "Patient/a"}
    every = await found(await app_client(), "?_id=a&_count=200")
    assert {"Task/a", "Patient/a", "Condition/a", "Observation/a"} <= every
    refused = await client.get("?status=requested", headers={"Prefer": "handling=strict"})
    assert refused.status_code == 400 and "every type that is searched" in refused.text
    lenient = await client.get("?status=requested&_id=a")
    assert lenient.json()["entry"][-1]["search"]["mode"] == "outcome"


REFUSED = [
    ("?_type=Task,Medication", 400, "'_type' takes types"),
    ("?_type=", 400, "'_type' takes types"),
    ("?_type=AuditEvent", 400, "'_type' takes types"),
    ("?_type=Task,Patient", 403, "system/Patient.s"),
    ("?_type=Task&_type=Task", 400, "may stand once"),
    ("?_type=Task,ServiceRequest&_sort=status", 400, "_lastUpdated, _id"),
    ("?_type=Task&_include=Patient:link", 400, "starts at a type that is searched"),
    ("/Task?_type=Task", 400, "the path names the type"),
]


async def test_refusals_of_system_searches(world: Store, app_client: AppClient) -> None:
    client = await app_client(scopes="system/Task.rs system/ServiceRequest.rs")
    for url, status, said in REFUSED:
        answer = await client.get(url)
        assert answer.status_code == status and said in answer.text, (url, answer.text)


async def test_without_any_scope_there_is_nothing_to_search(world: Store, app_client: AppClient) -> None:
    assert (await (await app_client(scopes="system/Task.r")).get("?_id=a")).status_code == 403
    hospital = await app_client("hospital", "Organization/h")
    assert (await hospital.get("?_id=a&_total=accurate")).json()["total"] == 0


async def test_pages_of_several_types(world: Store, app_client: AppClient) -> None:
    await put(world, *(observation(f"Observation/n{n}", "Patient/a") for n in range(5)), source=ECM1)
    client, other = await app_client(), await app_client()
    for sort in ("_id", "-_lastUpdated"):
        seen, url = [], f"?_type=Task,Observation,Condition&_count=3&_sort={sort}&_total=accurate"
        while url:
            bundle = (await client.get(url)).json()
            assert bundle["total"] == 9
            seen += [e["fullUrl"].partition("/fhir/")[2] for e in bundle["entry"]]
            links = links_of(bundle)
            assert links["self"].startswith("?_type=Task,Observation,Condition")
            url = links.get("next", "")
            if url:
                assert (await other.get(url)).status_code == 400
        assert len(seen) == len(set(seen)) == 9
        assert "previous" in links and (await client.get(links["previous"])).status_code == 200


# ---- compartments


MEMBERS = [
    ("/Patient/a/Task", {"Task/a"}),
    ("/Patient/a/Task?status=requested", {"Task/a"}),
    ("/Patient/a/Task?status=draft", set()),
    ("/Patient/a/Condition?_count=10", {"Condition/a", "Condition/sud-a"}),
    ("/Patient/a/*?_type=Task,Observation", {"Task/a", "Observation/a"}),
    ("/Patient/a/*?_id=a&_type=Task,ServiceRequest&status=requested", {"Task/a"}),
    ("/Patient/b/Task", set()),
    ("/Patient/none/Task", set()),
    ("/Patient/b/*", set()),
]


async def test_compartments(world: Store, app_client: AppClient) -> None:
    client = await app_client()
    for url, wanted in MEMBERS:
        assert await found(client, url) == wanted, url
        path, _, query = url.partition("?")
        form = dict(pair.split("=", 1) for pair in query.split("&")) if query else {"_count": "50"}
        assert await found(client, f"{path}/_search", data=form) == wanted, url


async def test_a_whole_compartment(world: Store, app_client: AppClient) -> None:
    every = await found(await app_client(), "/Patient/a/*?_count=100")
    assert {one.partition("/")[2] for one in every} == {"a", "sud-a"}
    assert {"Coverage/a", "EpisodeOfCare/a", "CareTeam/a", "Procedure/a", "ServiceRequest/a"} <= every
    few = await app_client(scopes="system/Task.rs")
    assert await found(few, "/Patient/a/*") == {"Task/a"}
    assert (await few.get("/Patient/a/Observation")).status_code == 403


async def test_a_foreign_patient_answers_like_an_absent_one(world: Store, app_client: AppClient) -> None:
    client = await app_client()
    for part in ("Task", "*"):
        one, two = [(await client.get(f"/Patient/{i}/{part}?_total=accurate")).json() for i in ("b", "z")]
        assert one["total"] == two["total"] == 0 and "entry" not in one and "entry" not in two
    # A resource that names the foreign Patient and that the caller wrote is its own, wherever it is asked for.
    await put(world, observation("Observation/own", "Patient/b"), source=ECM1)
    own = await found(client, "/Patient/b/Observation")
    assert own == await found(client, "/Observation?patient=Patient/b") == {"Observation/own"}


async def test_links_of_a_compartment(world: Store, app_client: AppClient) -> None:
    client = await app_client()
    first = (await client.get("/Patient/a/Condition?_count=1")).json()
    links = links_of(first)
    assert links["self"] == "/Patient/a/Condition?_count=1"
    second = (await client.get(links["next"])).json()
    assert links_of(second)["previous"].startswith("/Patient/a/Condition?")
    for wrong in (links["next"].replace("/Patient/a/", "/Patient/b/"), links["next"].replace("/Patient/a/", "/")):
        assert (await client.get(wrong)).status_code == 400
    posted = (await client.post("/Patient/a/Condition/_search", data={"_count": "1"})).json()
    assert links_of(posted)["next"].startswith("/Patient/a/Condition?_page=")
    assert (await client.get(links_of(posted)["next"])).json()["entry"]


NOWHERE = [
    ("GET", "/Patient/a/Organization", 404),
    ("GET", "/Patient/a/Nothing", 404),
    ("GET", "/Patient/a/Patient", 404),
    ("GET", "/Task/a/Patient", 404),
    ("GET", "/Patient/a b/Task", 404),
    ("DELETE", "/Patient/a/Task", 405),
    ("DELETE", "/Task/a/Patient", 404),
    ("GET", "/Patient/a/Task?_type=Task", 400),
    ("GET", "/Patient/a/*?_type=Organization", 400),
]


async def test_what_is_no_compartment(world: Store, app_client: AppClient) -> None:
    client = await app_client()
    for method, url, status in NOWHERE:
        assert (await client.request(method, url)).status_code == status, url


async def test_audit_events_of_a_patient(world: Store, app_client: AppClient) -> None:
    client = await app_client()
    await client.get("/Patient/a")
    mine, asked = (
        await found(client, "/Patient/a/AuditEvent?action=R"),
        await found(client, "/AuditEvent?patient=a&action=R"),
    )
    assert mine and mine == asked
    assert await found(client, "/Patient/b/AuditEvent") == set()


async def test_what_is_audited(world: Store, app_client: AppClient) -> None:
    client = await app_client()
    wanted = {
        "?_type=Task&_id=a": "?_id&_type",
        "/Patient/a/Task?status=requested": "Patient/a/Task?status",
        "/Patient/a/*?_type=Task": "Patient/a/*?_type",
    }
    for url, target in wanted.items():
        await client.get(url)
        rows = await world.fetch("SELECT target, patients FROM audit ORDER BY seq DESC LIMIT 1")
        assert (rows[0][0], rows[0][1]) == (target, "Patient/a")
