"""history: newest first, paged by links that are bound to caller and query."""

from service.store.engine import Store
from tests.service.conftest import AppClient
from tests.service.interactions.foreign import same_answers
from tests.service.world import observation


async def test_history_newest_first_with_methods(world: Store, app_client: AppClient) -> None:
    client = await app_client()
    await client.put("/Observation/a", json=observation("Observation/a", "Patient/a", status="amended"))
    await client.delete("/Observation/a")
    bundle = (await client.get("/Observation/a/_history")).json()
    assert bundle["type"] == "history"
    assert [e["request"]["method"] for e in bundle["entry"]] == ["DELETE", "PUT", "POST"]
    assert [e["response"]["etag"] for e in bundle["entry"]] == ['W/"3"', 'W/"2"', 'W/"1"']
    assert "resource" not in bundle["entry"][0]


async def test_history_pages(world: Store, app_client: AppClient) -> None:
    client, other = await app_client(), await app_client()
    for n in range(6):
        body = observation("Observation/a", "Patient/a", note=[{"text": str(n)}])
        assert (await client.put("/Observation/a", json=body)).status_code == 200
    versions, url = [], "/Observation/a/_history?_count=3"
    while url:
        bundle = (await client.get(url)).json()
        versions += [e["resource"]["meta"]["versionId"] for e in bundle["entry"]]
        links = {link["relation"]: link["url"] for link in bundle["link"]}
        url = links.get("next", "").replace("http://127.0.0.1:8000/fhir", "")
        if url:
            assert (await other.get(url)).status_code == 400
            assert (await client.get(url.replace("_count=3", "_count=4"))).status_code == 400
    assert versions == ["7", "6", "5", "4", "3", "2", "1"]


async def test_foreign_history_is_absent(world: Store, app_client: AppClient) -> None:
    client = await app_client()
    assert (await same_answers(client, "GET", "/Observation/{id}/_history", "b")).status_code == 404
    assert (await same_answers(client, "GET", "/Patient/{id}/_history?_count=1", "b")).status_code == 404


async def test_what_history_does_not_take_is_refused(world: Store, app_client: AppClient) -> None:
    client = await app_client()
    for query in ("_since=2026", "_count=x", "_count=-1", "_page=AAAA", "_at=2026"):
        assert (await client.get(f"/Observation/a/_history?{query}")).status_code == 400
