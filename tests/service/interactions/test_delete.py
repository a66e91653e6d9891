"""delete: by the author alone, not while others refer to it; foreign is absent."""

from service.store.engine import Store
from tests.service.conftest import AppClient
from tests.service.interactions.foreign import same_answers
from tests.service.world import condition, make, put, ref


async def test_a_deletion_ends_a_resource(world: Store, app_client: AppClient) -> None:
    client = await app_client()
    answer = await client.delete("/Observation/a")
    assert (answer.status_code, answer.content, answer.headers["etag"]) == (204, b"", 'W/"2"')
    assert (await client.get("/Observation/a")).status_code == 410
    assert (await client.delete("/Observation/a")).status_code == 410
    body = {"resourceType": "Observation", "id": "a", "status": "final", "code": {"text": "x"}}
    assert (await client.put("/Observation/a", json=body)).status_code == 410
    assert (await client.get("/Observation?_id=a&_total=accurate")).json()["total"] == 0


async def test_foreign_is_absent(world: Store, app_client: AppClient) -> None:
    client = await app_client()
    for rtype in ("Observation", "Condition", "Patient", "Task", "CareTeam"):
        for headers in ({}, {"If-Match": 'W/"1"'}, {"If-Match": 'W/"9"'}):
            answer = await same_answers(client, "DELETE", f"/{rtype}/{{id}}", "b", headers=headers)
            assert answer.status_code == 404


async def test_only_the_author_deletes(world: Store, app_client: AppClient) -> None:
    await put(world, condition("Condition/theirs", "Patient/a"), source="Organization/ecm-2")
    client = await app_client()
    assert (await client.get("/Condition/theirs")).status_code == 200
    assert (await client.delete("/Condition/theirs")).status_code == 403


async def test_what_others_refer_to_stays_and_only_visible_ones_are_named(world: Store, app_client: AppClient) -> None:
    client = await app_client()
    await put(world, make("Condition/c1", subject=ref("Patient/a")), source="Organization/ecm-1")
    await put(
        world,
        make("Procedure/mine", status="completed", subject=ref("Patient/a"), reasonReference=[ref("Condition/c1")]),
        make("Procedure/hidden", status="completed", subject=ref("Patient/b"), reasonReference=[ref("Condition/c1")]),
        source="Organization/ecm-2",
    )
    answer = await client.delete("/Condition/c1")
    assert answer.status_code == 409
    text = answer.json()["issue"][0]["diagnostics"]
    assert "Procedure/mine" in text and "hidden" not in text


async def test_what_is_hidden_keeps_nothing(world: Store, app_client: AppClient) -> None:
    """A refusal would tell that there is something hidden, and that it refers to this."""
    client = await app_client()
    await put(world, make("Condition/c1", subject=ref("Patient/a")), source="Organization/ecm-1")
    why = [ref("Condition/c1")]
    hidden = make("Procedure/hidden", status="completed", subject=ref("Patient/b"), reasonReference=why)
    await put(world, hidden, source="Organization/ecm-2")
    assert (await client.delete("/Condition/c1")).status_code == 204


async def test_delete_preconditions(world: Store, app_client: AppClient) -> None:
    client = await app_client()
    assert (await client.delete("/CareTeam/a")).status_code == 428
    assert (await client.delete("/CareTeam/a", headers={"If-Match": 'W/"2"'})).status_code == 412
    assert (await client.delete("/CareTeam/a", headers={"If-Match": 'W/"1"'})).status_code == 204


async def test_if_none_match_excludes_what_is_there(world: Store, app_client: AppClient) -> None:
    client = await app_client()
    for tag in ("*", 'W/"1"'):
        assert (await client.delete("/Observation/a", headers={"If-None-Match": tag})).status_code == 412
    assert (await client.delete("/Observation/a", headers={"If-None-Match": 'W/"2"'})).status_code == 204
