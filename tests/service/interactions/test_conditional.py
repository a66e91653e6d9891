"""Conditional create by URL, update, patch, delete and read: one match, none, several; one resource under any race."""

import asyncio
from collections.abc import AsyncIterator
from email.utils import formatdate, parsedate_to_datetime
from pathlib import Path
from typing import Any

import httpx
import pytest

from service.main import build
from service.settings import load
from service.store.engine import Store, open_store
from tests.frozen_clock import FrozenClock
from tests.service.conftest import AppClient
from tests.service.interactions.foreign import same_answers
from tests.service.world import ECM1, access_token, build_world, make, put

NEW = "identifier=http://example.org/mrn|new-1"
MERGE = {"Content-Type": "application/merge-patch+json"}
STATUS = {"status": "amended"}


def member(number: str = "new-1", **more: Any) -> dict[str, Any]:
    return {"resourceType": "Patient", "identifier": [{"system": "http://example.org/mrn", "value": number}], **more}


@pytest.fixture
async def twins(world: Store) -> None:
    """Two Patients of ours under one identifier."""
    for name in ("t1", "t2"):
        await put(world, member("twin", id=name), source=ECM1)


async def test_create_by_the_query_of_the_url(world: Store, app_client: AppClient) -> None:
    """fhirpy sends POST Patient?identifier=... and no If-None-Exist: without it every retry would make another one."""
    client = await app_client()
    first = await client.post(f"/Patient?{NEW}&_format=json", json=member())
    second = await client.post(f"/Patient?{NEW}", json=member())
    assert (first.status_code, second.status_code) == (201, 200) and first.json()["id"] == second.json()["id"]
    both = await client.post(f"/Patient?_format=json&{NEW}", json=member(), headers={"If-None-Exist": NEW})
    assert both.status_code == 200
    differ = await client.post(f"/Patient?{NEW}", json=member(), headers={"If-None-Exist": "identifier=x"})
    assert differ.status_code == 400
    assert (await client.post("/Patient?_format=json&_pretty=true", json=member())).status_code == 201
    assert (await client.post(f"/Patient?{NEW}", json=member())).status_code == 412
    assert (await client.post("/Patient?shoe=1", json=member())).status_code == 400


async def test_an_update_by_query_creates_then_updates(world: Store, app_client: AppClient) -> None:
    client = await app_client()
    made = await client.put(f"/Patient?{NEW}", json=member())
    assert made.status_code == 201 and made.headers["location"].endswith("/_history/1")
    fhir_id = made.json()["id"]
    for body in (member(gender="female"), member(gender="male", id=fhir_id)):
        answer = await client.put(f"/Patient?{NEW}", json=body)
        assert answer.status_code == 200 and answer.json()["id"] == fhir_id
    assert answer.headers["etag"] == 'W/"3"'
    assert (await client.put(f"/Patient?{NEW}", json=member(id="other"))).status_code == 400
    same = await client.put(f"/Patient?{NEW}", json=member(gender="male"))
    assert (same.status_code, same.headers["etag"]) == (200, 'W/"3"')


async def test_an_id_in_the_body_where_nothing_fits(world: Store, app_client: AppClient) -> None:
    """For a Patient the answer is the same whether the id is foreign or absent; for the directory it is honoured."""
    client = await app_client("admin", "Organization/op")
    ours = await app_client()
    answer = await same_answers(ours, "PUT", f"/Patient?{NEW}", "b", json=member(id="{id}"))
    assert answer.status_code == 400
    place = make("Location/l1", name="Clinic", managingOrganization={"reference": ECM1})
    made = await client.put("/Location?name=Clinic", json=place)
    assert (made.status_code, made.json()["id"]) == (201, "l1")
    assert (await client.put("/Location?name=Elsewhere", json={**place, "name": "Elsewhere"})).status_code == 409


async def test_several_matches_are_412_and_no_criteria_too(twins: None, app_client: AppClient) -> None:
    client = await app_client()
    several, nothing = "/Patient?identifier=http://example.org/mrn|twin", "/Patient?_format=json"
    for url, code in ((several, "multiple-matches"), (nothing, "conflict")):
        answers = (
            await client.put(url, json=member("twin")),
            await client.patch(url, json={"gender": "male"}, headers=MERGE),
            await client.delete(url),
        )
        for answer in answers:
            assert (answer.status_code, answer.json()["issue"][0]["code"]) == (412, code), answer.text


async def test_patch_and_delete_by_query(world: Store, app_client: AppClient) -> None:
    client = await app_client()
    one = "/Observation?_id=a&status=final"
    assert (await client.patch("/Observation?_id=zz", json=STATUS, headers=MERGE)).status_code == 404
    patched = await client.patch(one, json=STATUS, headers=MERGE)
    assert (patched.status_code, patched.json()["status"]) == (200, "amended")
    assert (await client.patch(one, json=STATUS, headers=MERGE)).status_code == 404
    assert (await client.delete(one)).status_code == 204
    assert (await client.get("/Observation/a")).status_code == 200
    assert (await client.delete("/Observation?_id=a")).status_code == 204
    assert (await client.get("/Observation/a")).status_code == 410
    assert (await client.delete("/Observation?_id=a")).status_code == 204


async def test_only_what_the_caller_sees_is_meant(world: Store, app_client: AppClient) -> None:
    client = await app_client()
    url = "/Observation?_id={id}"
    assert (await same_answers(client, "PATCH", url, "b", json=STATUS, headers=MERGE)).status_code == 404
    assert (await same_answers(client, "DELETE", url, "b")).status_code == 204
    theirs = await app_client("ecm-provider", "Organization/ecm-2")
    assert (await theirs.get("/Observation/b")).json()["status"] == "final"


async def test_preconditions_beside_a_query(world: Store, app_client: AppClient) -> None:
    """If-Match is law on CareTeam for what is there; where nothing is there no version can be named."""
    client = await app_client()
    body = (await client.get("/CareTeam/a")).json() | {"name": "n"}
    url, none = "/CareTeam?_id=a", "/CareTeam?_id=zz"
    for headers, status in ({}, 428), ({"If-Match": 'W/"9"'}, 412):
        assert (await client.put(url, json=body, headers=headers)).status_code == status
        assert (await client.patch(url, json={"name": "n"}, headers={**MERGE, **headers})).status_code == status
        assert (await client.delete(url, headers=headers)).status_code == status
    fresh = {name: value for name, value in body.items() if name != "id"}
    tag = {"If-Match": 'W/"1"'}
    assert (await client.put(none, json=fresh, headers=tag)).status_code == 412
    assert (await client.delete(none, headers=tag)).status_code == 412
    assert (await client.put(none, json=fresh)).status_code == 201
    assert (await client.put(url, json=body, headers=tag)).status_code == 200
    assert (await client.delete(url, headers={"If-Match": 'W/"2"'})).status_code == 204


@pytest.mark.parametrize(("method", "scopes"), [("put", "us"), ("put", "cs"), ("patch", "s"), ("delete", "cus")])
async def test_scopes(world: Store, app_client: AppClient, method: str, scopes: str) -> None:
    """What is created needs c as well; each search needs s."""
    lacking = await app_client(scopes=f"system/Patient.{scopes}")
    body = {} if method == "delete" else {"json": member(), "headers": MERGE if method == "patch" else {}}
    answer = await getattr(lacking, method)(f"/Patient?{NEW}", **body)
    assert answer.status_code == 403 and "insufficient_scope" in answer.headers["www-authenticate"]
    silent = await app_client(scopes="system/Patient.crud")
    assert (await getattr(silent, method)(f"/Patient?{NEW}", **body)).status_code == 403


async def test_types_without_the_interaction(world: Store, app_client: AppClient) -> None:
    client = await app_client("admin", "Organization/op")
    for rtype in ("Provenance", "AuditEvent"):
        for method in ("PUT", "PATCH", "DELETE"):
            answer = await client.request(method, f"/{rtype}?_id=x", content=b"{}", headers=MERGE)
            assert answer.status_code == 405 and method not in answer.headers["allow"]


# --- conditional read -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["/Patient/a", "/Patient/a/_history/1"])
async def test_conditional_read(world: Store, app_client: AppClient, path: str) -> None:
    client = await app_client()
    plain = await client.get(path)
    changed = parsedate_to_datetime(plain.headers["last-modified"]).timestamp()
    for seconds, status in ((-1, 200), (0, 304), (3600, 304)):
        since = {"If-Modified-Since": formatdate(changed + seconds, usegmt=True)}
        answer = await client.get(path, headers=since)
        assert (answer.status_code, bool(answer.content)) == (status, status == 200)
        assert (await client.head(path, headers=since)).status_code == status
        assert (await client.get(path, headers={**since, "If-None-Match": 'W/"9"'})).status_code == 200
    assert (await client.get(path, headers={"If-Modified-Since": "yesterday"})).status_code == 200
    for tag in ('W/"1"', "*"):
        assert (await client.get(path, headers={"If-None-Match": tag})).status_code == 304
    assert (await same_answers(client, "GET", "/Patient/{id}", "b", headers={"If-None-Match": "*"})).status_code == 404


# --- races ------------------------------------------------------------------------------------------------------------


@pytest.fixture(params=["one process", "two processes"])
async def racers(
    request: pytest.FixtureRequest, database_url: str, tmp_path: Path
) -> AsyncIterator[tuple[httpx.AsyncClient, ...]]:
    """Clients of one service, or of two over one database, which share nothing but it."""
    stores = [await open_store(database_url, FrozenClock() if request.param == "one process" else None)]
    await build_world(stores[0])
    token = await access_token(stores[0], "ecm-provider", ECM1)
    if request.param == "two processes":
        stores.append(await open_store(database_url))
    clients = []
    for store in stores:
        settings = {"ENLACE_DATABASE_URL": store.url, "ENLACE_SECRET_KEY_FILE": str(tmp_path / "k")}
        transport = httpx.ASGITransport(build(store, load({**settings, "ENLACE_CLIENT_RATE": "0"})))
        headers = {"Authorization": f"Bearer {token}"}
        clients.append(httpx.AsyncClient(transport=transport, base_url="http://test/fhir", headers=headers))
    yield tuple(clients)
    for client in clients:
        await client.aclose()
    for store in stores:
        await store.close()


CREATES: dict[str, tuple[str, str, dict[str, str]]] = {
    "If-None-Exist": ("POST", "/Patient", {"If-None-Exist": NEW}),
    "POST by URL": ("POST", f"/Patient?{NEW}", {}),
    "PUT by URL": ("PUT", f"/Patient?{NEW}", {}),
}


@pytest.mark.parametrize("way", CREATES)
async def test_twenty_creators_of_one_key_make_one(racers: tuple[httpx.AsyncClient, ...], way: str) -> None:
    method, url, headers = CREATES[way]
    answers = await asyncio.gather(
        *(racers[n % len(racers)].request(method, url, json=member(), headers=headers) for n in range(20))
    )
    assert sorted(a.status_code for a in answers) == [200] * 19 + [201], [a.text for a in answers if a.is_error]
    assert len({a.json()["id"] for a in answers}) == 1
    found = await racers[0].get(f"/Patient?{NEW}&_total=accurate")
    assert found.json()["total"] == 1 and found.json()["entry"][0]["resource"]["meta"]["versionId"] == "1"


async def test_twenty_updates_by_one_query_lose_nothing(racers: tuple[httpx.AsyncClient, ...]) -> None:
    """Each becomes a version of the one resource, or is refused by a clean 409 and may be sent again."""
    answers = await asyncio.gather(
        *(racers[n % len(racers)].put(f"/Patient?{NEW}", json=member(multipleBirthInteger=n + 1)) for n in range(20))
    )
    kept = [a for a in answers if a.is_success]
    assert {a.status_code for a in answers} <= {200, 201, 409, 412} and len({a.json()["id"] for a in kept}) == 1
    assert sorted(int(a.json()["meta"]["versionId"]) for a in kept) == [*range(1, len(kept) + 1)]
    assert sum(a.status_code == 201 for a in answers) == 1
