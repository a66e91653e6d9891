"""The CapabilityStatement is true: what it states is served, what it does not state is refused, type by type.

All from the catalog: a line added to capability_statement.json is tested by being there.
"""

import json
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from fhir_profiles.catalog import HERE, TypeEntry, catalog
from fhir_profiles.json_text import write_json
from service.api.fhir import ROWS
from service.store.engine import Store
from tests.fhir_profiles.examples import FOLDER, load
from tests.service.conftest import AppClient
from tests.service.world import change_of

TYPES = sorted(catalog().types)
STATEMENT = catalog().statement
REST = STATEMENT["rest"][0]
BLOCKS = {block["type"]: block for block in REST["resource"]}
JSON = {"Content-Type": "application/fhir+json"}
STRICT = {"Prefer": "handling=strict"}
MATCH = {"If-Match": 'W/"1"', **JSON}
PATCH = {**MATCH, "Content-Type": "application/json-patch+json"}
NOTHING = b'[{"op":"test","path":"/id","value":"x"}]'
SAMPLES = {
    "token": "a", "reference": "x", "date": "2026", "string": "a", "uri": "http://example.org/x",
    "number": "1", "quantity": "5", "special": "37.9|-121.2|10|km",
}  # fmt: skip
OWN_FORMS = {"open-at": "now", "stale": "180"}
COMPILED: dict[str, Any] = json.loads((HERE / "search_parameters" / "compiled.json").read_text())
OPERATIONS = {row.interaction[1:] for row in ROWS if row.interaction.startswith("$")}


@pytest.fixture
def database_url(sqlite_url: str) -> str:
    """What HTTP does is the same over both engines: once is enough here."""
    return sqlite_url


@pytest.fixture
async def client(store: Store, app_client: AppClient) -> httpx.AsyncClient:
    return await app_client("admin", "Organization/op")


async def stored(store: Store, client: httpx.AsyncClient, rtype: str) -> bytes:
    """The example of the type, as it is read back from [type]/x."""
    if rtype == "AuditEvent":
        return b"{}"
    await store.commit(change_of(store, {**load(FOLDER / f"{rtype}-example.json"), "id": "x"}))
    return (await client.get(f"/{rtype}/x")).content


async def _interactions(store: Store, client: httpx.AsyncClient, rtype: str) -> None:
    entry, body = catalog().types[rtype], await stored(store, client, rtype)
    requests: dict[str, tuple[str, str, bytes | None, dict[str, str]]] = {
        "read": ("GET", f"/{rtype}/x", None, {}),
        "vread": ("GET", f"/{rtype}/x/_history/1", None, {}),
        "history-instance": ("GET", f"/{rtype}/x/_history", None, {}),
        "history-type": ("GET", f"/{rtype}/_history", None, {}),
        "search-type": ("GET", f"/{rtype}", None, {}),
        "create": ("POST", f"/{rtype}", b"{}", JSON),
        "update": ("PUT", f"/{rtype}/x", body, MATCH),
        "patch": ("PATCH", f"/{rtype}/x", NOTHING, PATCH),
        "delete": ("DELETE", f"/{rtype}/x", None, MATCH),
    }
    assert entry.interactions <= set(requests)
    for name, (method, path, content, headers) in requests.items():
        answer = await client.request(method, path, content=content, headers=headers)
        if name not in entry.interactions:
            assert answer.status_code == 405 and method not in answer.headers["allow"].split(", "), name
            assert answer.json()["resourceType"] == "OperationOutcome"
            continue
        wanted = {"create": {400}, "delete": {204, 422}}.get(name, {200})
        if rtype == "AuditEvent" and name == "read":
            wanted = {404}  # there is no event of this id
        assert answer.status_code in wanted, (name, answer.status_code, answer.text)


async def _conditional_flags(store: Store, client: httpx.AsyncClient, rtype: str) -> None:
    block, body = BLOCKS[rtype], await stored(store, client, rtype)
    writes = {
        "conditionalUpdate": ("PUT", body, MATCH),
        "conditionalPatch": ("PATCH", NOTHING, PATCH),
        "conditionalDelete": ("DELETE", None, MATCH),
    }
    stated = {name: block.get(name, False) not in (False, "not-supported") for name in writes}
    stated["conditionalPatch"] = stated["conditionalUpdate"] and "patch" in catalog().types[rtype].interactions
    for name, (method, content, headers) in writes.items():
        answer = await client.request(method, f"/{rtype}?_id=x", content=content, headers=headers)
        wanted = {200, 204, 422} if stated[name] else {405}
        assert answer.status_code in wanted, (name, answer.status_code, answer.text)
        assert answer.status_code != 422 or rtype == "Task", name
    again = await client.post(f"/{rtype}", content=body, headers={**JSON, "If-None-Exist": "_id=none,x"})
    assert (again.status_code in (200, 201, 400, 422)) is block["conditionalCreate"], again.text
    assert block["conditionalCreate"] or again.status_code == 405


async def _conditional_read_and_update_as_create(store: Store, client: httpx.AsyncClient, rtype: str) -> None:
    block = BLOCKS[rtype]
    if rtype == "AuditEvent":
        return
    body = json.loads(await stored(store, client, rtype))
    first = await client.get(f"/{rtype}/x")
    full = block.get("conditionalRead") == "full-support"
    for header, value in (
        ("If-None-Match", first.headers["etag"]),
        ("If-Modified-Since", first.headers["last-modified"]),
    ):
        answer = await client.get(f"/{rtype}/x", headers={header: value})
        assert (answer.status_code == 304) is full, header
    answer = await client.put(f"/{rtype}/new", content=write_json({**body, "id": "new"}), headers=JSON)
    wanted = (201, 422) if block["updateCreate"] else (404, 405, 428)
    assert answer.status_code in wanted, answer.text  # 422: it refers to what is not there


async def _operations(store: Store, client: httpx.AsyncClient, rtype: str) -> None:
    await stored(store, client, rtype)
    stated = catalog().types[rtype].operations
    assert stated <= OPERATIONS
    for name in sorted(OPERATIONS | {"shoe"}):
        for path in (f"/{rtype}/${name}", f"/{rtype}/x/${name}"):
            asked = b'{"resourceType":"%s"}' % rtype.encode()
            answers = [
                await client.get(path),
                await client.post(path, content=asked, headers=JSON),
            ]
            codes = {answer.status_code for answer in answers}
            if name not in stated:
                assert codes <= {404, 405}, (path, codes)
        if name in stated:
            served = {row.path for row in ROWS if row.interaction == f"${name}"}
            assert any("{id}" in path for path in served) or codes <= {404, 405}
    if "validate" in stated:
        answer = await client.post(f"/{rtype}/$validate", content=asked, headers=JSON)
        assert answer.status_code in (200, 400), answer.text
    if "everything" in stated:
        assert (await client.get(f"/{rtype}/x/$everything")).status_code == 200
    if "match" in stated:
        wanted = write_json({**load(FOLDER / f"{rtype}-example.json")})
        assert (await client.post(f"/{rtype}/$match", content=wanted, headers=JSON)).status_code == 200


def value_of(rtype: str, code: str, entry: TypeEntry) -> str:
    """A value that the parameter can take."""
    parameter = entry.search[code]
    if parameter.type == "composite":
        parts = {"quantity": "5", "date": "2026", "string": "a", "concept": "a", "value": "a"}
        end = (
            "a"
            if rtype == "Group"
            else parts.get(code.rpartition("-")[2], "Patient/x" if code == "relationship" else "a")
        )
        return f"{end}$a" if code == "relationship" else f"a${end}"
    if parameter.datatypes and parameter.datatypes <= {"boolean", "truth"}:
        return "true"
    return OWN_FORMS.get(parameter.code, SAMPLES[parameter.type])


def chunks(items: list[str], size: int) -> Iterator[list[str]]:
    for at in range(0, len(items), size):
        yield items[at : at + size]


async def _search_parameters(_store: Store, client: httpx.AsyncClient, rtype: str) -> None:
    """Stated ones together, by what the self link says was executed; each other one of R4 is refused by name."""
    entry = catalog().types[rtype]
    for codes in chunks(sorted(entry.search), 20):
        asked = [(code, value_of(rtype, code, entry)) for code in codes]
        answer = await client.get(f"/{rtype}", params=asked, headers=STRICT)
        assert answer.status_code == 200, answer.text
        executed = httpx.URL(answer.json()["link"][0]["url"]).params
        assert {code for code, _ in asked} <= {name.partition(":")[0] for name in executed}
    others = sorted({*COMPILED.get(rtype, {}), *COMPILED["Resource"], "shoe"} - set(entry.search))
    for codes in chunks(others, 30):
        answer = await client.get(f"/{rtype}", params=[(code, "a") for code in codes], headers=STRICT)
        assert answer.status_code == 400
        said = " ".join(issue["diagnostics"] for issue in answer.json()["issue"])
        assert all(f"'{code}'" in said for code in codes), (codes, said)


async def _includes(_store: Store, client: httpx.AsyncClient, rtype: str) -> None:
    entry = catalog().types[rtype]
    for name, stated in (("_include", entry.includes), ("_revinclude", entry.revincludes)):
        for some in chunks(sorted(stated), 3):
            answer = await client.get(f"/{rtype}", params=[(name, one) for one in some], headers=STRICT)
            assert answer.status_code == 200, (some, answer.text)
        for other in (f"{rtype}:shoe", "Shoe:patient", f"{rtype}:_id"):
            answer = await client.get(f"/{rtype}", params={name: other}, headers=STRICT)
            assert answer.status_code == 400, (name, other)


EACH = (
    _interactions,
    _conditional_flags,
    _conditional_read_and_update_as_create,
    _operations,
    _search_parameters,
    _includes,
)


@pytest.mark.parametrize("check", EACH, ids=lambda check: check.__name__.strip("_"))
async def test_each_type(store: Store, client: httpx.AsyncClient, check: Any) -> None:
    for rtype in TYPES:
        await check(store, client, rtype)


async def test_of_the_whole_service(store: Store, client: httpx.AsyncClient) -> None:
    requests = {
        "history-system": client.build_request("GET", "/_history"),
        "search-system": client.build_request("GET", "?_type=Patient"),
        "transaction": client.build_request("POST", "/", json={"resourceType": "Bundle", "type": "transaction"}),
        "batch": client.build_request("POST", "", json={"resourceType": "Bundle", "type": "batch"}),
    }
    assert catalog().interactions <= set(requests)
    for name, request in requests.items():
        answer = await client.send(request)
        assert (answer.status_code == 200) is (name in catalog().interactions), (name, answer.text)
    for url in REST.get("compartment", []):
        rtype = url.rpartition("/")[2].capitalize()
        assert (await client.get(f"/{rtype}/x/Task")).status_code == 200
    assert (await client.get("/Practitioner/x/Task")).status_code == 404


async def test_formats(store: Store, client: httpx.AsyncClient) -> None:
    body = await stored(store, client, "Organization")
    for word in STATEMENT["format"]:
        answer = await client.get("/Organization/x", params={"_format": word})
        kind = "xml" if "xml" in word else "json"
        assert answer.status_code == 200 and answer.headers["content-type"].startswith(f"application/fhir+{kind}")
    for word in ("ttl", "text/turtle", "application/fhir+turtle"):
        assert (await client.get("/Organization/x", params={"_format": word})).status_code == 406
    answer = await client.put("/Organization/x", content=body, headers={"Content-Type": "text/turtle"})
    assert answer.status_code == 415


async def test_patch_formats(store: Store, client: httpx.AsyncClient) -> None:
    await stored(store, client, "Organization")
    operation = [{"name": "type", "valueCode": "delete"}, {"name": "path", "valueString": "Organization.alias"}]
    parameters = {"resourceType": "Parameters", "parameter": [{"name": "operation", "part": operation}]}
    part = "".join(
        f'<part><name value="{one["name"]}"/><{key} value="{value}"/></part>'
        for one in operation
        for key, value in one.items()
        if key != "name"
    )
    as_xml = (
        f'<Parameters xmlns="http://hl7.org/fhir"><parameter><name value="operation"/>{part}</parameter></Parameters>'
    )
    bodies = {
        "application/json-patch+json": NOTHING,
        "application/merge-patch+json": b'{"alias":null}',
        "application/fhir+json": write_json(parameters),
        "application/fhir+xml": as_xml.encode(),
    }
    assert set(STATEMENT["patchFormat"]) == set(bodies)
    for kind, content in bodies.items():
        answer = await client.patch("/Organization/x", content=content, headers={"Content-Type": kind})
        assert answer.status_code == 200, (kind, answer.text)
    answer = await client.patch("/Organization/x", content=b"x", headers={"Content-Type": "text/plain"})
    assert answer.status_code == 415
