"""vread: each version by its number; the deletion is gone; foreign and unknown are absent."""

from service.store.engine import Store
from tests.service.conftest import AppClient
from tests.service.interactions.foreign import same_answers
from tests.service.world import condition, episode, observation, put


async def test_each_version_by_number(world: Store, app_client: AppClient) -> None:
    client = await app_client()
    body = observation("Observation/a", "Patient/a", status="amended")
    assert (await client.put("/Observation/a", json=body)).status_code == 200
    first, second = await client.get("/Observation/a/_history/1"), await client.get("/Observation/a/_history/2")
    assert (first.json()["status"], second.json()["status"]) == ("final", "amended")
    assert (first.headers["etag"], second.headers["etag"]) == ('W/"1"', 'W/"2"')


async def test_unknown_versions_and_foreign_resources(world: Store, app_client: AppClient) -> None:
    client = await app_client()
    for version in ("2", "0", "99999999999999999999", "x", "-1", "1.0", "²"):
        assert (await client.get(f"/Observation/a/_history/{version}")).status_code == 404
    assert (await same_answers(client, "GET", "/Observation/{id}/_history/1", "b")).status_code == 404
    assert (await same_answers(client, "GET", "/Observation/{id}/_history/9", "b")).status_code == 404


async def test_the_version_that_deleted_is_gone(world: Store, app_client: AppClient) -> None:
    client = await app_client()
    await client.delete("/Observation/a")
    assert (await client.get("/Observation/a/_history/2")).status_code == 410
    assert (await client.get("/Observation/a/_history/1")).status_code == 200


async def test_former_versions_keep_their_own_labels(world: Store, app_client: AppClient) -> None:
    """What was labelled then is not shown to others because the operator took its label off since."""
    await put(world, episode("EpisodeOfCare/nine", "Patient/a", "Organization/ecm-9"))
    author, other = await app_client(), await app_client("ecm-provider", "Organization/ecm-9")
    operator = await app_client("admin", "Organization/op")
    open_body = condition("Condition/sud-a", "Patient/a")
    assert (await operator.put("/Condition/sud-a", json=open_body)).status_code == 200
    assert (await other.get("/Condition/sud-a")).status_code == 200
    assert (await other.get("/Condition/sud-a/_history/1")).status_code == 404
    assert len((await other.get("/Condition/sud-a/_history")).json()["entry"]) == 1
    assert (await author.get("/Condition/sud-a/_history/1")).status_code == 200
