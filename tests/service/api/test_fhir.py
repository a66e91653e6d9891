"""The FHIR base through HTTP: both slashes, every method, errors as OperationOutcomes; see also test_capability.py."""

import asyncio
from typing import Any

import pytest

from fhir_profiles.catalog import SearchParameter, catalog
from fhir_profiles.json_text import write_json
from service.store.database import Unavailable
from service.store.engine import Store
from tests.fhir_profiles.examples import FOLDER, load
from tests.service.conftest import AppClient
from tests.service.world import ECM1, observation

JSON = {"Content-Type": "application/fhir+json"}
ALL = {"read", "vread", "create", "update", "delete", "history-instance", "search-type"}
SAMPLES = {"token": "a", "reference": "x", "date": "2026", "string": "a", "uri": "http://example.org/x"} | {
    "number": "0.5",
    "quantity": "5.4|http://unitsofmeasure.org|mg",
    "special": "38|-121|10|km",
}
OWN_FORMS = {"open-at": "now", "stale": "180"}


def sample(parameter: SearchParameter) -> str:
    """A value that the parameter takes."""
    if parameter.groups:
        return "$".join(SAMPLES[part.kind] for part in parameter.groups[0].parts)
    truths = parameter.datatypes and parameter.datatypes <= {"boolean", "truth"}
    return "true" if truths else OWN_FORMS.get(parameter.code, SAMPLES[parameter.type])


@pytest.fixture
def database_url(sqlite_url: str) -> str:
    """What HTTP does is the same over both engines: once is enough here."""
    return sqlite_url


def outcome(answer: Any) -> dict[str, Any]:
    assert answer.headers["content-type"].startswith("application/fhir+json"), answer.text
    body: dict[str, Any] = answer.json()
    assert body["resourceType"] == "OperationOutcome" and body["issue"]
    return body


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
    for path in ("/Patient/a", "/Patient/nope", "/Patient?_id=a&_elements=id", "/metadata"):
        got, head = await client.get(path), await client.head(path)
        assert (head.status_code, head.content) == (got.status_code, b"")
        assert head.headers["content-type"] == got.headers["content-type"]
        if "?" not in path:  # a Bundle bears the time of its making
            assert int(head.headers["content-length"]) == len(got.content)


@pytest.mark.parametrize("path", ["/Patient/$shoe", "/Patient/a/$shoe"])
async def test_an_unknown_operation_is_named_as_such(world: Store, app_client: AppClient, path: str) -> None:
    client = await app_client()
    for answer in (await client.get(path), await client.post(path, json={})):
        assert answer.status_code in (404, 405)
        said = outcome(answer)["issue"][0]["diagnostics"]
        assert "/fhir/metadata" in said and ("$everything" in said or answer.status_code == 405)


async def test_what_is_no_id_is_explained(world: Store, app_client: AppClient) -> None:
    answer = await (await app_client()).get("/Patient/a_b")
    assert answer.status_code == 404 and "1 to 64" in outcome(answer)["issue"][0]["diagnostics"]


async def test_a_refused_method_says_which_are_served(world: Store, app_client: AppClient) -> None:
    answer = await (await app_client()).post("/Patient/a", json={})
    assert (answer.status_code, answer.headers["allow"]) == (405, "DELETE, GET, HEAD, PATCH, PUT")
    assert "DELETE, GET, HEAD, PATCH, PUT" in outcome(answer)["issue"][0]["diagnostics"]


@pytest.mark.parametrize(
    ("status", "request_"),
    [
        (401, {"method": "GET", "url": "/Patient/a", "headers": {"Authorization": "Bearer " + "x" * 43}}),
        (404, {"method": "GET", "url": "/Patient/nope"}),
        (404, {"method": "GET", "url": "/Shoe/1"}),
        (405, {"method": "PATCH", "url": "/AuditEvent/a"}),
        (405, {"method": "POST", "url": "/AuditEvent/$validate", "content": b"{}", "headers": JSON}),
        (406, {"method": "GET", "url": "/Patient/a", "headers": {"Accept": "text/turtle"}}),
        (413, {"method": "POST", "url": "/Patient", "content": b"{" + b" " * 11_000_000, "headers": JSON}),
        (413, {"method": "GET", "url": "/Patient?name=" + "x" * 9000}),
        (
            415,
            {"method": "POST", "url": "/Patient", "content": b"<Patient/>", "headers": {"Content-Type": "text/html"}},
        ),
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
