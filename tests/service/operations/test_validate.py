"""$validate with a mode says what the interaction would say, and writes nothing."""

from typing import Any

import httpx

from fhir_profiles.catalog import catalog
from service.store.engine import Store
from tests.service.conftest import AppClient
from tests.service.interactions.foreign import same_answers
from tests.service.world import CBO1, ECM1, SUD, observation, put, ref, request, task

POSTGRESQL_IN_DEEP = True

JSON = dict[str, Any]


async def told(client: httpx.AsyncClient, url: str, resource: JSON | None, **more: str) -> list[tuple[str, str]]:
    """(severity, code) of each issue."""
    parameters: list[JSON] = [{"name": name, "valueCode": value} for name, value in more.items()]
    if resource is not None:
        parameters.append({"name": "resource", "resource": resource})
    answer = await client.post(url, json={"resourceType": "Parameters", "parameter": parameters})
    assert answer.status_code == 200, answer.text
    return [(issue["severity"], issue["code"]) for issue in answer.json()["issue"]]


FINE = [("information", "informational")]


async def heads(store: Store) -> list[tuple[Any, ...]]:
    return [tuple(row) for row in await store.fetch("SELECT key, vid, deleted FROM resource ORDER BY key")]


async def test_create_update_delete_are_tried_and_not_done(world: Store, app_client: AppClient) -> None:
    client = await app_client()
    before = await heads(world)
    good = observation("Observation/a", "Patient/a", status="amended")
    assert await told(client, "/Observation/$validate", good, mode="create") == FINE
    assert await told(client, "/Observation/$validate", good, mode="update") == FINE
    assert await told(client, "/Observation/a/$validate", good, mode="update") == FINE
    assert await told(client, "/Observation/a/$validate", None, mode="delete") == FINE
    assert (await client.post("/Observation/a/$validate?mode=delete")).json()["issue"][0]["severity"] == "information"
    assert await told(client, "/Observation/a/$validate", None) == FINE
    assert await heads(world) == before


async def test_each_mode_refuses_as_its_interaction_does(world: Store, app_client: AppClient) -> None:
    client = await app_client()
    moved = observation("Observation/a", "Patient/b")
    assert {s for s, _ in await told(client, "/Observation/a/$validate", moved, mode="update")} == {"error"}
    assert await told(client, "/ServiceRequest/a/$validate", None, mode="delete") == [("error", "conflict")]
    done = task("Task/a", "Patient/a", "ServiceRequest/a", ECM1, CBO1, status="completed")
    tried = await told(client, "/Task/a/$validate", done, mode="update")
    answer = await client.put("/Task/a", json=done, headers={"If-Match": 'W/"1"'})
    assert tried == [(i["severity"], i["code"]) for i in answer.json()["issue"]] and answer.status_code in (403, 422)
    late = task("Task/x", "Patient/a", "ServiceRequest/a", ECM1, CBO1, status="completed")
    assert ("error", "business-rule") in await told(client, "/Task/$validate", late, mode="create")
    assert await told(client, "/Task/$validate", late) == FINE
    cbo = await app_client("cbo", CBO1)
    new = request("ServiceRequest/x", "Patient/a", CBO1)
    assert await told(cbo, "/ServiceRequest/$validate", new, mode="create") == [("error", "forbidden")]


async def test_what_is_missing_is_said(world: Store, app_client: AppClient) -> None:
    client = await app_client()
    bare = {"resourceType": "Observation", "status": "final", "code": {"text": "x"}, "subject": ref("Patient/a")}
    assert await told(client, "/Observation/$validate", bare, mode="update") == [("error", "required")]
    assert await told(client, "/Observation/$validate", None, mode="delete") == [("error", "required")]
    assert await told(client, "/Observation/$validate", None, mode="create") == [("error", "required")]
    assert await told(client, "/Provenance/$validate", {"resourceType": "Provenance"}, mode="update") == [
        ("error", "not-supported")
    ]
    for body in ({"mode": "eat"}, {"shoe": "x"}):
        parameters = [{"name": name, "valueCode": value} for name, value in body.items()]
        answer = await client.post(
            "/Observation/$validate", json={"resourceType": "Parameters", "parameter": parameters}
        )
        assert answer.status_code == 400


async def test_a_profile_is_not_held_here(world: Store, app_client: AppClient) -> None:
    client = await app_client()
    good = observation("Observation/a", "Patient/a")
    warned = [("warning", "not-supported")]
    assert await told(client, "/Observation/$validate", good, profile="http://example.org/p") == warned
    assert await told(client, "/Observation/$validate", good, mode="profile") == warned
    url = "/Observation/$validate?profile=http://example.org/p"
    assert (await client.post(url, json=good)).json()["issue"][0]["code"] == "not-supported"


async def test_foreign_is_absent_in_every_mode(world: Store, app_client: AppClient) -> None:
    client = await app_client()
    body = observation("Observation/{id}", "Patient/a")
    for mode in ("", "?mode=create", "?mode=update", "?mode=delete", "?mode=profile"):
        answer = await same_answers(client, "POST", f"/Observation/{{id}}/$validate{mode}", "b", json=body)
        assert answer.status_code == 404
        await same_answers(client, "POST", f"/Observation/$validate{mode}", "b", json=body)
    await put(
        world,
        observation("Observation/s", "Patient/a", meta=SUD, subject=ref("Patient/a")),
        source="Organization/ecm-2",
    )
    await same_answers(client, "POST", "/Observation/$validate?mode=update", "s", json=body)


async def test_every_type_that_clients_write_has_it(store: Store, app_client: AppClient) -> None:
    client = await app_client("admin", "Organization/op")
    for rtype, entry in catalog().types.items():
        served = "create" in entry.interactions
        assert ("validate" in entry.operations) == served
        answer = await client.post(f"/{rtype}/$validate?mode=create", json={"resourceType": "Shoe"})
        assert answer.status_code == (200 if served else 405)
