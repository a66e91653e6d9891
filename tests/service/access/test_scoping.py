"""Scopes with a query, and `patient/` scopes, over HTTP: each letter narrows its own interactions on every path."""

from collections.abc import Awaitable, Callable
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from service.store.change import Change, Statement
from service.store.engine import Store
from tests.service.conftest import AppClient
from tests.service.world import CBO1, ECM1, LCM1, access_token, condition, make, observation, patient, put, ref, task

POSTGRESQL_IN_DEEP = True
LAB = "http://terminology.hl7.org/CodeSystem/observation-category|laboratory"
CONCERN = "http://hl7.org/fhir/us/core/CodeSystem/condition-category|health-concern"
Launched = Callable[..., Awaitable[httpx.AsyncClient]]


def coded(text: str) -> dict[str, Any]:
    system, _, code = text.partition("|")
    return {"category": [{"coding": [{"system": system, "code": code}]}]}


@pytest.fixture
async def labs(world: Store) -> Store:
    """Beside the world: a laboratory result and a vital sign, two Conditions, all of member A."""
    vital = LAB.replace("laboratory", "vital-signs")
    await put(
        world,
        observation("Observation/lab", "Patient/a", **coded(LAB), valueString="7"),
        observation("Observation/vital", "Patient/a", **coded(vital), derivedFrom=[ref("Observation/lab")]),
        condition("Condition/concern", "Patient/a", **coded(CONCERN)),
        patient("Patient/a2"),
        make(
            "EpisodeOfCare/a2",
            status="active",
            patient=ref("Patient/a2"),
            managingOrganization=ref(ECM1),
            careManager=ref(LCM1),
        ),
        observation("Observation/a2", "Patient/a2", **coded(LAB)),
        source=ECM1,
    )
    return world


@pytest.fixture
def launched(labs: Store, app: FastAPI) -> Launched:
    """launched(scopes) -> client of a lead care manager whose token was made for Patient A."""

    async def make_client(scopes: str, member: str = "Patient/a") -> httpx.AsyncClient:
        token = await access_token(labs, "lcm", ECM1, LCM1, "user/*.cruds")
        await labs.commit(Change(statements=[Statement("UPDATE token SET scopes = ?, patient = ?", (scopes, member))]))
        transport = httpx.ASGITransport(app)
        return httpx.AsyncClient(
            transport=transport, base_url="http://test/fhir", headers={"Authorization": f"Bearer {token}"}
        )

    return make_client


async def ids(client: httpx.AsyncClient, path: str) -> list[str]:
    answer = await client.get(path)
    assert answer.status_code == 200, answer.text
    return sorted({entry["resource"]["id"] for entry in answer.json().get("entry", [])})


async def test_search_and_its_total_hold_only_what_fits(labs: Store, app_client: AppClient) -> None:
    client = await app_client(scopes=f"system/Observation.s?category={LAB}")
    assert await ids(client, "/Observation") == ["a2", "lab"]
    for more in ("_total=accurate", "_summary=count"):
        assert (await client.get(f"/Observation?{more}")).json()["total"] == 2
    assert await ids(client, "/Observation?category=vital-signs") == []
    assert await ids(client, "/Observation?_sort=-_lastUpdated&_count=1&_id=lab,vital") == ["lab"]
    assert await ids(client, "/?_type=Observation") == ["a2", "lab"]
    assert await ids(client, "/Patient/a/Observation") == ["lab"]
    assert (await client.get("/Observation/lab")).status_code == 403


async def test_several_queries_are_alternatives_and_a_whole_scope_ends_them(labs: Store, app_client: AppClient) -> None:
    scopes = f"system/Observation.rs?category={LAB} system/Observation.rs?category=vital-signs&status=final"
    client = await app_client(scopes=scopes)
    assert await ids(client, "/Observation") == ["a2", "lab", "vital"]
    none = await app_client(scopes=f"system/Observation.rs?category={LAB}&category=vital-signs")
    assert await ids(none, "/Observation") == []
    whole = await app_client(scopes=f"system/Observation.rs?category={LAB} system/*.rs")
    assert await ids(whole, "/Observation") == ["a", "a2", "lab", "vital"]


async def test_onc_category_of_conditions(labs: Store, app_client: AppClient) -> None:
    client = await app_client(scopes=f"system/Condition.rs?category={CONCERN}")
    assert await ids(client, "/Condition") == ["concern"]


async def test_read_is_narrowed_by_its_own_letter_and_what_lies_beside_it_is_absent(
    labs: Store, app_client: AppClient
) -> None:
    client = await app_client(scopes=f"system/Observation.r?category={LAB} system/Observation.s")
    assert (await client.get("/Observation/lab")).status_code == 200
    assert await ids(client, "/Observation") == ["a", "a2", "lab", "vital"]
    hidden, absent = await client.get("/Observation/vital"), await client.get("/Observation/nobody")
    assert hidden.status_code == absent.status_code == 404
    assert hidden.text.replace("vital", "nobody") == absent.text
    assert (await client.get("/Observation/vital/_history/1")).status_code == 404
    assert (await client.get("/Observation/vital/_history")).status_code == 404


async def changed(client: httpx.AsyncClient, path: str, **elements: Any) -> httpx.Response:
    body = (await client.get(path)).json()
    return await client.put(path, json=body | elements)


async def test_history_is_narrowed_version_by_version(labs: Store, app_client: AppClient) -> None:
    owner = await app_client()
    for _ in range(3):
        assert (await changed(owner, "/Observation/lab", **coded(LAB), valueString="8")).status_code == 200
        assert (await changed(owner, "/Observation/lab", **coded(LAB.replace("lab", "no-lab")))).status_code == 200
    assert (await changed(owner, "/Observation/lab", **coded(LAB), valueString="9")).status_code == 200
    client = await app_client(scopes=f"system/Observation.rs?category={LAB}")

    async def versions(path: str) -> list[str]:
        entries = (await client.get(path)).json()["entry"]
        return [one["resource"]["meta"]["versionId"] for one in entries if one["resource"]["id"] == "lab"]

    # Version 2 is the same as 1 but for its value.
    assert await versions("/Observation/lab/_history") == ["8", "6", "4", "2", "1"]
    assert await versions("/Observation/_history") == ["8", "6", "4", "2", "1"]
    assert len(await versions("/Observation/lab/_history?_count=2")) == 2
    assert (await client.get("/Observation/lab/_history/3")).status_code == 404
    assert (await client.get("/Observation/lab/_history/4")).status_code == 200


async def test_includes_are_narrowed_by_r(labs: Store, app_client: AppClient) -> None:
    await put(labs, observation("Observation/of-vital", "Patient/a", derivedFrom=[ref("Observation/vital")]))
    client = await app_client(scopes=f"system/Observation.s system/Observation.r?category={LAB}")
    assert await ids(client, "/Observation?_id=vital&_include=Observation:derived-from") == ["lab", "vital"]
    assert await ids(client, "/Observation?_id=of-vital&_include=Observation:derived-from") == ["of-vital"]
    assert await ids(client, "/Observation?_id=lab&_revinclude=Observation:derived-from") == ["lab"]
    whole = await app_client(scopes="system/Observation.rs")
    assert await ids(whole, "/Observation?_id=lab&_revinclude=Observation:derived-from") == ["lab", "vital"]


@pytest.mark.parametrize("letters", ["r", "s"])
async def test_chains_and_has_are_narrowed_by_both_letters(labs: Store, app_client: AppClient, letters: str) -> None:
    other = "s" if letters == "r" else "r"
    scopes = f"system/Patient.rs system/Observation.{other} system/Observation.{letters}?category={LAB}"
    client = await app_client(scopes=scopes)
    assert await ids(client, "/Patient?_has:Observation:subject:_id=vital") == []
    assert await ids(client, "/Patient?_has:Observation:subject:_id=lab") == ["a"]
    chained = "/Observation?derived-from:Observation.status=final"
    assert await ids(client, chained) == ([] if letters == "s" else ["vital"])
    assert await ids(client, "/Observation?derived-from:Observation._id=vital") == []


async def test_a_create_must_fit_its_scope(labs: Store, app_client: AppClient) -> None:
    client = await app_client(scopes=f"system/Observation.c?category={LAB}")
    plain = observation("Observation/x", "Patient/a")
    refused = await client.post("/Observation", json=plain)
    assert refused.status_code == 403 and "Observation.c" in refused.text
    assert "insufficient_scope" in refused.headers["www-authenticate"]
    assert (await client.post("/Observation", json=plain | coded(LAB))).status_code == 201


async def test_an_update_must_fit_before_and_after(labs: Store, app_client: AppClient) -> None:
    scopes = f"system/Observation.r system/Observation.u?category={LAB}"
    client = await app_client(scopes=scopes)
    assert (await changed(client, "/Observation/lab", valueString="8")).status_code == 200
    assert (await changed(client, "/Observation/lab", category=[])).status_code in (400, 403)
    assert (await changed(client, "/Observation/lab", **coded("http://x.example|no"))).status_code == 403
    # Before: it would fit afterwards, but is not within reach now.
    assert (await changed(client, "/Observation/vital", **coded(LAB))).status_code == 404
    patch = [{"op": "replace", "path": "/category/0/coding/0/code", "value": "survey"}]
    kind = {"Content-Type": "application/json-patch+json"}
    for path, status in (("/Observation/lab", 403), ("/Observation/vital", 404)):
        answer = await client.request("PATCH", path, json=patch, headers=kind)
        assert answer.status_code == status
    assert (await client.get("/Observation/lab")).json()["category"] == coded(LAB)["category"]


async def test_a_delete_needs_its_reach(labs: Store, app_client: AppClient) -> None:
    client = await app_client(scopes="system/Observation.rs system/Observation.d?category=vital-signs")
    assert (await client.delete("/Observation/a")).status_code == 404
    assert (await client.get("/Observation/a")).status_code == 200
    assert (await client.delete("/Observation/vital")).status_code == 204


async def test_conditional_writes_need_s_and_the_reach_of_their_own_letter(labs: Store, app_client: AppClient) -> None:
    body = observation("Observation/x", "Patient/a", **coded(LAB))
    del body["id"]
    without = await app_client(scopes="system/Observation.cud")
    for method, path in (("PUT", "/Observation?_id=lab"), ("DELETE", "/Observation?_id=lab")):
        assert (await without.request(method, path, json=body)).status_code == 403
    created = await without.post("/Observation", json=body, headers={"If-None-Exist": "_id=lab"})
    assert created.status_code == 403
    client = await app_client(scopes=f"system/Observation.s system/Observation.cud?category={LAB}")
    put_vital = await client.put("/Observation?_id=vital", json=body)
    assert put_vital.status_code == 403 and "some resources only" in put_vital.text
    assert (await client.delete("/Observation?_id=vital")).status_code == 403
    patch = [{"op": "add", "path": "/valueString", "value": "9"}]
    kind = {"Content-Type": "application/json-patch+json"}
    answer = await client.request("PATCH", "/Observation?_id=vital", json=patch, headers=kind)
    assert answer.status_code == 403
    assert (await client.put("/Observation?_id=lab", json=body)).status_code == 200
    # The search itself is narrowed: beside its reach nothing is found, and a second one may be made.
    narrow = await app_client(scopes=f"system/Observation.cs?category={LAB}")
    twin = await narrow.post("/Observation", json=body, headers={"If-None-Exist": "_id=vital"})
    assert twin.status_code == 201


@pytest.mark.parametrize("kind", ["batch", "transaction"])
async def test_each_entry_needs_its_own_scope(labs: Store, app_client: AppClient, kind: str) -> None:
    client = await app_client(scopes=f"system/Observation.r system/Observation.c?category={LAB}")
    good = observation("Observation/x", "Patient/a", **coded(LAB))
    post = {"method": "POST", "url": "Observation"}
    entries = [
        {"request": post, "resource": good},
        {"request": post, "resource": observation("Observation/y", "Patient/a")},
        {"request": {"method": "GET", "url": "Condition/a"}},
        {"request": {"method": "DELETE", "url": "Observation/a"}},
    ]
    bundle = {"resourceType": "Bundle", "type": kind, "entry": entries}
    answer = await client.post("/", json=bundle)
    if kind == "batch":
        statuses = [entry["response"]["status"][:3] for entry in answer.json()["entry"]]
        assert statuses == ["201", "403", "403", "403"]
    else:
        assert answer.status_code == 403
    alone = await client.post("/", json=bundle | {"entry": entries[:1]})
    assert alone.status_code == 200, alone.text


async def test_everything_and_match_are_narrowed(labs: Store, app_client: AppClient) -> None:
    client = await app_client(scopes=f"system/Patient.rs system/Observation.r?category={LAB}")
    assert await ids(client, "/Patient/a/$everything") == ["a", "lab"]


async def test_the_operator_of_a_sandbox_is_narrowed_too(labs: Store, app_client: AppClient) -> None:
    client = await app_client("admin", "Organization/op", scopes=f"system/Observation.rs?category={LAB}")
    assert await ids(client, "/Observation") == ["a2", "lab"]
    assert (await client.get("/Observation/vital")).status_code == 404
    assert {one["resource"]["id"] for one in (await client.get("/_history")).json()["entry"]} == {"a2", "lab"}


async def test_a_task_by_its_owner(labs: Store, app_client: AppClient) -> None:
    await put(labs, task("Task/other", "Patient/a", "ServiceRequest/a", ECM1, ECM1), source=ECM1)
    client = await app_client(scopes=f"system/Task.rs?owner={CBO1}")
    assert await ids(client, "/Task") == ["a"]


# --- patient/ scopes --------------------------------------------------------------------------------------------------


async def test_patient_scopes_reach_one_record_and_the_directory(launched: Launched) -> None:
    client = await launched("patient/*.rs")
    assert await ids(client, "/Patient") == ["a"]
    assert "a2" not in await ids(client, "/Observation")
    assert await ids(client, "/Practitioner") == ["lcm-1", "lcm-2"]
    assert (await client.get("/Patient/a2")).status_code == 404
    assert (await client.get("/Observation/a2")).status_code == 404
    assert (await client.get("/Patient/a2/$everything")).status_code == 404


async def test_patient_scopes_write_into_one_record(launched: Launched) -> None:
    client = await launched("patient/*.cruds")
    good, other = observation("Observation/x", "Patient/a"), observation("Observation/y", "Patient/a2")
    assert (await client.post("/Observation", json=good)).status_code == 201
    assert (await client.post("/Observation", json=other)).status_code in (403, 422)
    assert (await changed(client, "/Observation/lab", subject=ref("Patient/a2"))).status_code in (403, 422)


async def test_patient_and_user_scopes_are_a_union_per_letter(launched: Launched) -> None:
    client = await launched(f"patient/Observation.rs user/Observation.s?category={LAB}")
    assert await ids(client, "/Observation") == ["a", "a2", "lab", "vital"]
    assert (await client.get("/Observation/a2")).status_code == 404
    assert (await client.get("/Observation/vital")).status_code == 200
    both = await launched(f"patient/Observation.rs?category={LAB}")
    assert await ids(both, "/Observation") == ["lab"]


async def test_without_a_launch_patient_patient_scopes_are_none(labs: Store, app_client: AppClient) -> None:
    client = await app_client(scopes="user/Patient.r")
    statement = Statement("UPDATE token SET scopes = 'patient/*.cruds'", ())
    await labs.commit(Change(statements=[statement]))
    assert (await client.get("/Patient/a")).status_code == 403


async def test_the_launch_patient_opens_nothing_by_itself(launched: Launched) -> None:
    client = await launched("patient/*.rs", "Patient/b")
    assert await ids(client, "/Patient") == [] and await ids(client, "/Observation") == []
    assert (await client.get("/Patient/b")).status_code == 404
