"""XML over HTTP: what goes in is what JSON would have been; every answer and refusal comes as it was asked for."""

import gzip
import json
import zlib
from typing import Any

import httpx
import pytest
from lxml import etree
from starlette.requests import Request

from fhir_profiles.catalog import catalog
from fhir_profiles.xml_text import write_xml, xml_of
from service.api.body import raw
from service.api.xml_reader import read_xml
from service.errors import FhirError
from service.store.engine import Store
from tests.fhir_profiles.examples import FOLDER, load
from tests.fhir_profiles.test_xml_reader import HOSTILE
from tests.service.conftest import AppClient
from tests.service.world import observation

XML = {"Content-Type": "application/fhir+xml"}
F = "{http://hl7.org/fhir}"
NS = 'xmlns="http://hl7.org/fhir"'


@pytest.fixture
def database_url(sqlite_url: str) -> str:
    """What HTTP does is the same over both engines: once is enough here."""
    return sqlite_url


def tree(answer: httpx.Response, root: str) -> Any:
    assert answer.headers["content-type"] == "application/fhir+xml; charset=utf-8", answer.text
    found = etree.fromstring(answer.content)
    assert found.tag == F + root, answer.text
    return found


async def test_a_resource_goes_in_and_out_in_both_formats(world: Store, app_client: AppClient) -> None:
    client = await app_client()
    sent = observation("Observation/x", "Patient/a", valueQuantity={"value": 1, "unit": "kg"})
    body = write_xml(sent).replace(b'<value value="1"/>', b'<value value="1.50"/>')
    made = await client.post("/Observation", content=body, headers={**XML, "Accept": "application/fhir+xml"})
    assert (
        made.status_code == 201
        and tree(made, "Observation").find(f".//{F}valueQuantity/{F}value").get("value") == "1.50"
    )
    url = made.headers["location"].partition("/_history")[0]
    as_json = await client.get(url)
    as_xml = await client.get(url, params={"_format": "xml"})
    assert b'"value":1.50' in as_json.content and as_json.headers["etag"] == as_xml.headers["etag"]
    assert xml_of(as_json.content) == as_xml.content
    again = await client.put(url, content=as_xml.content, headers={**XML, "If-Match": as_xml.headers["etag"]})
    assert again.status_code == 200 and again.json()["meta"]["versionId"] == "1", "what comes out goes in unchanged"


async def test_validate_says_of_xml_what_it_says_of_json(store: Store, app_client: AppClient) -> None:
    client = await app_client("admin", "Organization/op")
    for rtype, entry in catalog().types.items():
        if "validate" in entry.operations:
            await validated(client, rtype)


async def validated(client: httpx.AsyncClient, rtype: str) -> None:
    body = (FOLDER / f"{rtype}-example.json").read_bytes()
    json_headers = {"Content-Type": "application/fhir+json"}
    of_json = await client.post(f"/{rtype}/$validate", content=body, headers=json_headers)
    of_xml = await client.post(f"/{rtype}/$validate", content=xml_of(body, pretty=True), headers=XML)
    assert of_json.status_code == of_xml.status_code == 200 and of_json.json() == of_xml.json()
    assert read_xml(xml_of(body)) == load(FOLDER / f"{rtype}-example.json")


@pytest.mark.parametrize(
    ("status", "method", "url", "more"),
    [
        (401, "GET", "/Patient/a", {"headers": {"Authorization": "Bearer " + "x" * 43}}),
        (404, "GET", "/Patient/nope", {}),
        (404, "GET", "/Shoe/1", {}),
        (405, "DELETE", "/AuditEvent/1", {}),
        (400, "GET", "/Patient?birthdate=x", {}),
        (400, "POST", "/Patient", {"content": f"<Patient {NS}><active value='x'/></Patient>", "headers": XML}),
        (413, "GET", "/Patient?name=" + "x" * 9000, {}),
        (415, "POST", "/Patient", {"content": b"x", "headers": {"Content-Type": "text/plain"}}),
        (422, "POST", "/Patient", {"content": f"<Patient {NS}><gender value='x'/></Patient>", "headers": XML}),
    ],
)
async def test_refusals_come_as_xml(
    world: Store, app_client: AppClient, status: int, method: str, url: str, more: dict[str, Any]
) -> None:
    client = await app_client()
    headers = {"Accept": "application/fhir+xml", **more.pop("headers", {})}
    answer = await client.request(method, url, headers=headers, **more)
    assert answer.status_code == status, answer.text
    issues = tree(answer, "OperationOutcome").findall(f"{F}issue")
    assert issues and all(issue.find(f"{F}diagnostics").get("value") for issue in issues)


async def test_a_fault_in_xml_names_line_and_element(world: Store, app_client: AppClient) -> None:
    client = await app_client()
    body = f'<Patient {NS}>\n  <active value="true"/>\n  <shoe value="1"/>\n</Patient>'
    answer = await client.post("/Patient", content=body, headers=XML)
    (issue,) = answer.json()["issue"]
    assert answer.status_code == 400
    assert issue["diagnostics"].startswith("Line 3: ") and issue["expression"] == ["Patient.shoe"]


async def test_who_takes_neither_is_told_both(world: Store, app_client: AppClient) -> None:
    client = await app_client()
    for more in ({"headers": {"Accept": "text/turtle"}}, {"params": {"_format": "ttl"}}):
        answer = await client.get("/Patient/a", **more)  # type: ignore[arg-type]
        assert answer.status_code == 406
        said = answer.json()["issue"][0]["diagnostics"]
        assert "application/fhir+json" in said and "application/fhir+xml" in said


async def test_searches_bundles_history_and_forms(world: Store, app_client: AppClient) -> None:
    client = await app_client()
    found = tree(await client.get("/Patient?_format=xml"), "Bundle")
    links = {
        link.find(f"{F}relation").get("value"): link.find(f"{F}url").get("value") for link in found.iter(f"{F}link")
    }
    assert "self" in links and found.find(f".//{F}resource/{F}Patient/{F}id").get("value") == "a"
    tree(await client.get("/Patient/a/_history", headers={"Accept": "text/xml"}), "Bundle")
    tree(await client.post("/Patient/_search", data={"name": "Made", "_format": "xml"}), "Bundle")
    bundle = {
        "resourceType": "Bundle",
        "type": "batch",
        "entry": [
            {"request": {"method": "GET", "url": "Patient/a"}},
            {"request": {"method": "GET", "url": "Patient/b"}},
        ],
    }
    done = tree(
        await client.post("", content=write_xml(bundle), headers={**XML, "Accept": "application/fhir+xml"}), "Bundle"
    )
    statuses = [one.get("value")[:3] for one in done.iterfind(f".//{F}response/{F}status")]
    assert statuses == ["200", "404"]


async def test_a_patch_in_xml(world: Store, app_client: AppClient) -> None:
    client = await app_client()
    parts = [
        ("type", "valueCode", "replace"),
        ("path", "valueString", "Observation.status"),
        ("value", "valueCode", "amended"),
    ]
    operation = {"name": "operation", "part": [{"name": name, kind: value} for name, kind, value in parts]}
    body = write_xml({"resourceType": "Parameters", "parameter": [operation]})
    answer = await client.patch("/Observation/a", content=body, headers=XML)
    assert answer.status_code == 200 and answer.json()["status"] == "amended", answer.text


@pytest.mark.parametrize("method", ["GET", "HEAD"])
async def test_prefer_and_head_in_xml(world: Store, app_client: AppClient, method: str) -> None:
    client = await app_client()
    answer = await client.request(method, "/Patient/a", headers={"Accept": "application/xml"})
    assert answer.status_code == 200 and bool(answer.content) is (method == "GET")
    body = json.dumps(observation("Observation/a", "Patient/a", status="amended"))
    prefer = {"Prefer": "return=OperationOutcome", "Content-Type": "application/json", "Accept": "text/xml"}
    tree(await client.put("/Observation/a", content=body, headers=prefer), "OperationOutcome")


async def test_pretty(world: Store, app_client: AppClient) -> None:
    client = await app_client()
    plain = await client.get("/Patient/a")
    shown = await client.get("/Patient/a?_pretty=true", headers={"Accept-Charset": "iso-8859-1"})
    assert shown.content.startswith(b'{\n  "resourceType"') and shown.json() == plain.json()
    shown_xml = await client.get("/Patient/a?_pretty=true&_format=xml")
    assert b"\n  <id" in shown_xml.content and read_xml(shown_xml.content) == read_xml(xml_of(plain.content))


async def test_hostile_xml_is_400(world: Store, app_client: AppClient) -> None:
    client = await app_client()
    for name, content in HOSTILE.items():
        answer = await client.post("/Patient", content=content, headers=XML)
        assert answer.status_code == 400 and answer.json()["issue"], (name, answer.text)
        assert "root:" not in answer.text


async def test_empty_and_large_xml(world: Store, app_client: AppClient) -> None:
    client = await app_client()
    assert (await client.post("/Patient", content=b" ", headers=XML)).status_code == 400
    body = f"<Patient {NS}>".encode() + b" " * 11_000_000
    assert (await client.post("/Patient", content=body, headers=XML)).status_code == 413
    with pytest.raises(FhirError):
        read_xml(body)


async def test_packed_bodies(world: Store, app_client: AppClient) -> None:
    client = await app_client()
    body = json.dumps(observation("Observation/z", "Patient/a", id=None)).replace('"id": null, ', "").encode()

    async def sent(content: bytes, encoding: str = "gzip") -> int:
        headers = {"Content-Type": "application/fhir+json", "Content-Encoding": encoding}
        return (await client.post("/Observation", content=content, headers=headers)).status_code

    assert await sent(gzip.compress(body)) == 201
    assert await sent(body, "identity") == 201
    assert await sent(gzip.compress(write_xml(json.loads(body)))) == 400, "announced as JSON"
    assert await sent(gzip.compress(body)[:-9]) == 400
    assert await sent(gzip.compress(body) + b"x") == 400
    assert await sent(body) == 400
    assert await sent(zlib.compress(body), "deflate") == 415
    assert await sent(body, "br") == 415
    assert await sent(gzip.compress(b"{" + b" " * 200_000_000, 9)) == 413, "a bomb of 200 kB"


async def test_a_bomb_is_never_unpacked_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    """At most a little more than the limit exists at a time."""
    packed, most = gzip.compress(b"x" * 50_000_000), []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": packed, "more_body": False}

    def unpacking(wbits: int) -> Any:
        real = _DECOMPRESS(wbits=wbits)

        class Watched:
            def __getattr__(self, name: str) -> Any:
                return getattr(real, name)

            def decompress(self, data: bytes, limit: int = 0) -> bytes:
                most.append(limit)
                return real.decompress(data, limit)

        return Watched()

    monkeypatch.setattr("service.api.body.zlib.decompressobj", unpacking)
    scope = {"type": "http", "method": "POST", "path": "/", "headers": [(b"content-encoding", b"gzip")]}
    with pytest.raises(FhirError) as refused:
        await raw(Request(scope, receive), 1_000)
    assert refused.value.category.status == 413 and most == [1_001]


_DECOMPRESS = zlib.decompressobj
