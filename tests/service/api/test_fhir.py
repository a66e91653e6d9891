"""The FHIR base through HTTP: what the CapabilityStatement says is what answers; errors are OperationOutcomes."""

import asyncio
from typing import Any

import pytest

from fhir_profiles.catalog import catalog
from fhir_profiles.json_text import write_json
from fhir_profiles.validate import validate
from service.store.database import Unavailable
from service.store.engine import Store
from tests.fhir_profiles.examples import FOLDER, load
from tests.service.conftest import AppClient
from tests.service.world import ECM1, change_of, observation

JSON = {"Content-Type": "application/fhir+json"}
ALL = {"read", "vread", "create", "update", "delete", "history-instance", "search-type"}
SAMPLES = {"token": "a", "reference": "x", "date": "2026", "string": "a", "uri": "http://example.org/x"}


@pytest.fixture
def database_url(sqlite_url: str) -> str:
    """What HTTP does is the same over both engines: once is enough here."""
    return sqlite_url


def outcome(answer: Any) -> dict[str, Any]:
    assert answer.headers["content-type"].startswith("application/fhir+json"), answer.text
    body: dict[str, Any] = answer.json()
    assert body["resourceType"] == "OperationOutcome" and body["issue"]
    return body


@pytest.mark.parametrize("rtype", sorted(catalog().types))
async def test_each_listed_interaction_answers_and_no_other(store: Store, app_client: AppClient, rtype: str) -> None:
    client, entry = await app_client("admin", "Organization/op"), catalog().types[rtype]
    resource = {**load(FOLDER / f"{rtype}-example.json"), "id": "x"}
    if "create" in entry.interactions:
        await store.commit(change_of(store, resource))
    text = (await client.get(f"/{rtype}/x")).content or b"{}"
    tag = {"If-Match": 'W/"1"', **JSON}
    requests = {
        "read": ("GET", f"/{rtype}/x", None),
        "vread": ("GET", f"/{rtype}/x/_history/1", None),
        "history-instance": ("GET", f"/{rtype}/x/_history", None),
        "search-type": ("GET", f"/{rtype}", None),
        "create": ("POST", f"/{rtype}", b"{}"),
        "update": ("PUT", f"/{rtype}/x", text),
        "delete": ("DELETE", f"/{rtype}/x", None),
    }
    for name, (method, path, body) in requests.items():
        answer = await client.request(method, path, content=body, headers=tag)
        if name not in entry.interactions:
            assert answer.status_code == 405, name
            allow = {m.strip() for m in answer.headers["allow"].split(",")}
            assert method not in allow
            outcome(answer)
            continue
        wanted = {200, 204, 400} if name == "create" else {200, 204}
        if rtype == "AuditEvent" and name == "read":
            wanted = {404}
        if rtype == "Task" and name == "delete":
            wanted = {422}
        assert answer.status_code in wanted, (name, answer.status_code, answer.text)
    if "create" in entry.interactions:
        assert (await client.post(f"/{rtype}", content=b"{}", headers=JSON)).status_code == 400
    assert entry.interactions <= ALL


@pytest.mark.parametrize("rtype", sorted(catalog().types))
async def test_each_listed_search_parameter_is_executed(store: Store, app_client: AppClient, rtype: str) -> None:
    client = await app_client("admin", "Organization/op")
    strict = {"Prefer": "handling=strict"}
    for code, parameter in catalog().types[rtype].search.items():
        value = (
            "true" if parameter.datatypes and parameter.datatypes <= {"boolean", "truth"} else SAMPLES[parameter.type]
        )
        answer = await client.get(f"/{rtype}", params={code: value}, headers=strict)
        assert answer.status_code == 200, (code, answer.text)
        assert f"{code}=" in answer.json()["link"][0]["url"]
    unknown = await client.get(f"/{rtype}?shoe=42", headers=strict)
    assert unknown.status_code == 400
    for include in catalog().types[rtype].includes:
        assert (await client.get(f"/{rtype}?_include={include}", headers=strict)).status_code == 200
    for include in catalog().types[rtype].revincludes:
        assert (await client.get(f"/{rtype}?_revinclude={include}", headers=strict)).status_code == 200


async def test_an_example_of_each_type_is_created_and_comes_back(store: Store, app_client: AppClient) -> None:
    client = await app_client("admin", "Organization/op")
    examples = {rtype: load(FOLDER / f"{rtype}-example.json") for rtype in catalog().types}
    for rtype, example in examples.items():
        if "create" not in catalog().types[rtype].interactions:
            continue
        answer = await client.post(
            f"/{rtype}/$validate", content=b'{"resourceType":"%s"' % rtype.encode(), headers=JSON
        )
        assert answer.status_code == 400
        answer = await client.post(f"/{rtype}/$validate", content=write_json(example), headers=JSON)
        issues = outcome(answer)["issue"]
        assert answer.status_code == 200
        assert all(i["code"] == "not-found" for i in issues if i["severity"] == "error"), issues


async def test_metadata_is_open_and_cached(store: Store, app_client: AppClient) -> None:
    client = await app_client()
    for path in ("/metadata", "/metadata/"):
        answer = await client.get(path, headers={"Authorization": ""})
        statement = answer.json()
        assert statement["resourceType"] == "CapabilityStatement" and statement["fhirVersion"] == "4.0.1"
        again = await client.get(path, headers={"If-None-Match": answer.headers["etag"]})
        assert again.status_code == 304
    assert {r["type"] for r in statement["rest"][0]["resource"]} == set(catalog().types)
    assert validate(statement, "CapabilityStatement") == []


@pytest.mark.parametrize("path", ["", "/", "/Patient/a/", "/Patient/", "/Nope", "/Nope/1", "/Patient/a/b/c"])
@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "PROPFIND", "HEAD"])
async def test_both_slashes_and_every_method_answer_in_fhir(
    world: Store, app_client: AppClient, path: str, method: str
) -> None:
    client = await app_client()
    answer = await client.request(method, f"http://test/fhir{path}", content=b"{}", headers=JSON)
    assert answer.status_code < 500 and answer.status_code not in (301, 302, 307, 308)
    if answer.status_code >= 400 and method != "HEAD":
        outcome(answer)
    if answer.status_code == 405:
        assert "allow" in answer.headers
    if path.startswith("/Patient/a/") and path.endswith("a/"):
        assert (answer.status_code == 200) == (method in ("GET", "HEAD"))


async def test_head_has_the_headers_and_no_body(world: Store, app_client: AppClient) -> None:
    client = await app_client()
    answer = await client.head("/Patient/a")
    assert (answer.status_code, answer.content, answer.headers["etag"]) == (200, b"", 'W/"1"')
    assert (await client.head("/Patient/nope")).status_code == 404


@pytest.mark.parametrize(
    ("status", "request_"),
    [
        (401, {"method": "GET", "url": "/Patient/a", "headers": {"Authorization": "Bearer " + "x" * 43}}),
        (404, {"method": "GET", "url": "/Patient/nope"}),
        (404, {"method": "GET", "url": "/Shoe/1"}),
        (405, {"method": "PATCH", "url": "/Patient/a"}),
        (405, {"method": "POST", "url": "/AuditEvent/$validate", "content": b"{}", "headers": JSON}),
        (406, {"method": "GET", "url": "/Patient/a", "headers": {"Accept": "application/fhir+xml"}}),
        (413, {"method": "POST", "url": "/Patient", "content": b"{" + b" " * 11_000_000, "headers": JSON}),
        (413, {"method": "GET", "url": "/Patient?name=" + "x" * 9000}),
        (415, {"method": "POST", "url": "/Patient", "content": b"<Patient/>", "headers": {"Content-Type": "text/xml"}}),
        (400, {"method": "POST", "url": "/Patient", "content": b"{", "headers": JSON}),
        (400, {"method": "GET", "url": "/Patient?birthdate=nonsense"}),
        (
            422,
            {"method": "POST", "url": "/Patient", "json": {"resourceType": "Patient", "gender": "x"}, "headers": JSON},
        ),
    ],
)
async def test_errors(world: Store, app_client: AppClient, status: int, request_: dict[str, Any]) -> None:
    client = await app_client()
    answer = await client.request(**request_)
    assert answer.status_code == status, answer.text
    outcome(answer)
    rows = await world.fetch("SELECT kind, outcome FROM audit ORDER BY seq DESC LIMIT 1")
    assert tuple(rows[0]) == ("refusal", 4)


async def test_validate_says_everything_and_writes_nothing(world: Store, app_client: AppClient) -> None:
    client = await app_client()
    bad = {"resourceType": "Patient", "gender": "x", "birthDate": "1980-02-30"}
    answer = await client.post("/Patient/$validate", json=bad)
    places = {i["expression"][0] for i in outcome(answer)["issue"]}
    assert answer.status_code == 200 and places == {"Patient.gender", "Patient.birthDate"}
    wrapped = {"resourceType": "Parameters", "parameter": [{"name": "resource", "resource": bad}]}
    assert (await client.post("/Patient/$validate", json=wrapped)).json() == answer.json()
    good = await client.post("/Observation/$validate", json=observation("Observation/x", "Patient/a"))
    assert [i["severity"] for i in outcome(good)["issue"]] == ["information"]
    foreign = await client.post("/Observation/$validate", json=observation("Observation/x", "Patient/b"))
    absent = await client.post("/Observation/$validate", json=observation("Observation/x", "Patient/z"))
    assert foreign.content == absent.content and outcome(foreign)["issue"][0]["severity"] == "error"
    assert len(await world.fetch("SELECT 1 FROM resource WHERE rtype = 'Patient'")) == 2


async def test_without_an_audit_row_there_is_no_data(
    world: Store, app_client: AppClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = await app_client()

    async def broken(_change: Any) -> Any:
        raise Unavailable("disk full")

    monkeypatch.setattr(world, "commit", broken)
    for method, url, more in (
        ("GET", "/Patient/a", {}),
        ("GET", "/Patient", {}),
        ("GET", "/Patient/a/_history", {}),
        ("GET", "/Patient/b", {}),
        ("PUT", "/Observation/a", {"json": observation("Observation/a", "Patient/a", status="amended")}),
    ):
        answer = await client.request(method, url, **more)
        assert answer.status_code == 503 and "Made" not in answer.text
        outcome(answer)
        assert "retry-after" in answer.headers


async def test_requests_at_once_keep_their_answers_apart(world: Store, app_client: AppClient) -> None:
    ours, theirs = await app_client(), await app_client("ecm-provider", "Organization/ecm-2")
    answers = await asyncio.gather(
        *((ours if n % 2 else theirs).get(f"/Patient/{'ab'[n % 2 == 0]}") for n in range(60))
    )
    assert [a.status_code for a in answers] == [200] * 60
    crossed = await asyncio.gather(
        *((ours if n % 2 else theirs).get(f"/Patient/{'ba'[n % 2 == 0]}") for n in range(60))
    )
    assert [a.status_code for a in crossed] == [404] * 60


async def test_the_request_id_is_echoed_and_audited(world: Store, app_client: AppClient) -> None:
    client = await app_client("ecm-provider", ECM1)
    answer = await client.get("/Patient/a", headers={"X-Request-Id": "trace-7"})
    assert answer.headers["x-request-id"] == "trace-7"
    rows = await world.fetch("SELECT request_id FROM audit ORDER BY seq DESC LIMIT 1")
    assert rows[0][0] == "trace-7"
    assert (await client.get("/Patient/a", headers={"X-Request-Id": "bad id\t"})).headers["x-request-id"] != "bad id"
