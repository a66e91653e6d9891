"""The OpenAPI document: committed as generated, valid, with true examples, and just what the application serves."""

import json
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import httpx
import pytest
import yaml
from fastapi import FastAPI
from openapi_spec_validator import validate as validate_document
from starlette.routing import Route

from fhir_profiles.catalog import catalog
from fhir_profiles.validate import validate
from openapi.build import FILE, document, text
from openapi.fhir_paths import PREFIX, missing
from openapi.interactions import INTERACTIONS, key_of, path_of
from service import web
from service.api.fhir import ROWS
from service.auth.tokens import new_token
from service.interactions.receive_hl7v2 import Receiver
from service.main import build
from service.settings import load
from service.store import partner_notices, sources
from service.store.change import Change
from service.store.engine import Store, open_store
from tests.frozen_clock import FrozenClock
from tests.service.adt_world import MERCY
from tests.service.notify.subscribed import subscribe
from tests.service.world import access_token, put

Operation = tuple[str, str, dict[str, Any]]


@pytest.fixture(scope="module")
def made() -> dict[str, Any]:
    return document()


def operations(made: dict[str, Any]) -> Iterator[Operation]:
    for path, item in made["paths"].items():
        for method, operation in item.items():
            yield method.upper(), path, operation


def test_the_committed_file_is_the_generated_one() -> None:
    assert FILE.read_text("utf-8") == text(), "Run `enlace openapi` and commit openapi/openapi.yaml."


def test_the_yaml_says_what_the_document_says(made: dict[str, Any]) -> None:
    assert yaml.load(FILE.read_text("utf-8"), Loader=yaml.CSafeLoader) == made


def test_it_is_a_valid_openapi_document(made: dict[str, Any]) -> None:
    validate_document(made)
    names = [operation["operationId"] for _, _, operation in operations(made)]
    assert len(names) == len(set(names))


def test_every_type_has_a_true_example(made: dict[str, Any]) -> None:
    examples = made["components"]["examples"]
    assert set(catalog().types) <= set(examples)
    for rtype in catalog().types:
        resource = json.loads(json.dumps(examples[rtype]["value"]), parse_float=Decimal)
        assert [p for p in validate(resource, rtype) if p.severity in ("error", "fatal")] == []


def test_every_refusal_is_a_true_operation_outcome(made: dict[str, Any]) -> None:
    for response in made["components"]["responses"].values():
        example = response["content"]["application/fhir+json"]["example"]
        assert validate(example, "OperationOutcome") == []


def test_every_row_of_the_route_table_is_documented(made: dict[str, Any]) -> None:
    """Add an Interaction to openapi/interactions.py for each that is missing."""
    assert missing() == set()
    assert {key_of(row) for row in ROWS} == set(INTERACTIONS), "and none is documented that is not there"


def test_if_match_is_required_just_where_the_catalog_says(made: dict[str, Any]) -> None:
    for name, entry in catalog().types.items():
        if "update" in entry.interactions:
            operation = made["paths"][f"/fhir/{name}/{{id}}"]["put"]
            wanted = {"$ref": "#/components/parameters/If-Match-required"}
            assert (wanted in operation["parameters"]) is entry.if_match_required
            assert ("428" in operation["responses"]) is entry.if_match_required


def test_each_search_parameter_is_documented(made: dict[str, Any]) -> None:
    for name, entry in catalog().types.items():
        if name == "AuditEvent":
            continue  # searched by patient and date alone
        given = {p.get("name") for p in made["paths"][f"/fhir/{name}"]["get"]["parameters"]}
        assert set(entry.search) <= given


@pytest.fixture
async def store(sqlite_url: str, clock: FrozenClock) -> Any:
    opened = await open_store(sqlite_url, clock)
    yield opened
    await opened.close()


@pytest.fixture
def app(store: Store, tmp_path: Path) -> FastAPI:
    return build(store, load({"ENLACE_DATABASE_URL": store.url, "ENLACE_SECRET_KEY_FILE": str(tmp_path / "key")}))


@pytest.fixture
async def client(app: FastAPI, store: Store) -> Any:
    token = await access_token(store, "admin", "Organization/operator")
    headers = {"Authorization": f"Bearer {token}"}
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test", headers=headers) as opened:
        yield opened


def test_no_served_route_is_undocumented(app: FastAPI, made: dict[str, Any]) -> None:
    apart = {route.path for route in web.routes} | {"/openapi.json", "/docs", "/docs/{name}"}
    generic = {path for path in (r.path for r in app.routes if isinstance(r, Route)) if path.startswith("/fhir/{path:")}
    rows = {PREFIX + row.path for row in ROWS}
    served = {r.path.rstrip("/") or "/" for r in app.routes if isinstance(r, Route)} - apart
    assert served - generic - rows <= set(made["paths"])
    assert rows <= served
    for row in ROWS:
        documented = {path_of(row, entry) for entry in catalog().types.values()}
        assert {PREFIX + path for path in documented} & set(made["paths"]), row.path
    assert {"/auth/token", "/hl7v2", "/readyz", "/fhir/{type}/{id}"} <= served


def _types(path: str) -> list[str]:
    return [part for part in path.split("/") if part in catalog().types]


async def test_each_type_serves_the_documented_methods_and_no_other(client: httpx.AsyncClient, made: Any) -> None:
    """What is missing from the document answers 405, and Allow names what stands in it."""
    for path, item in made["paths"].items():
        if _types(path):
            methods = {method.upper() for method in item}
            place = path.replace("{id}", "example").replace("{vid}", "1").replace("{compartment}", "Task")
            answer = await client.request("OPTIONS", place)
            assert answer.status_code == 405
            assert set(answer.headers["allow"].split(", ")) - {"HEAD"} == methods, path


@pytest.mark.timeout(240)
async def test_each_operation_answers_as_documented(client: httpx.AsyncClient, store: Store, made: Any) -> None:
    """With the example of each type stored: no 404, no 405, no 5xx, and no status that the document does not name."""
    for rtype in set(catalog().types) - {"AuditEvent"}:
        example = made["components"]["examples"][rtype]
        await put(store, json.loads(json.dumps(example["value"]), parse_float=Decimal))
    await subscribe(store, made["components"]["examples"]["Subscription"]["value"]["id"], "Organization/operator")
    ordered = sorted(operations(made), key=lambda one: ("GET", "POST", "PATCH", "PUT", "DELETE").index(one[0]))
    token, digest = new_token()
    told = partner_notices.making("food-bank", digest.hex(), 1, 0)
    await store.commit(Change(statements=[sources.put(MERCY), told]))
    assert await Receiver(store).receive(b"MSH|^~\\&|EPIC|MERCY|||20260307||ADT^A01|1|P|2.5.1\r")
    message = (await store.fetch("SELECT max(id) FROM inbox"))[0][0]
    events = (await client.get("/fhir/AuditEvent?_count=1")).json()
    (registered,) = (await client.get("/auth/clients")).json()["clients"]
    seen = set()
    for method, path, operation in ordered:
        (address,) = _address(made, path, operation, events)
        address = address.replace("{client_id}", registered["client_id"]).replace("{name}", MERCY.name)
        address = address.replace("{token}", token)
        if path.startswith("/adt/messages/{id}"):
            address = path.replace("{id}", str(message))
        sent = _sent(made, operation)
        if method == "PATCH" and path == "/auth/clients/{client_id}":
            sent["content"] = '{"client_name": "Renamed"}'  # suspended, it could ask no more
        answer = await client.request(method, address, **sent)
        seen.add(answer.status_code)
        if method != "DELETE":  # what a conditional one has deleted before may be gone
            assert answer.status_code not in (404, 410), (method, path, answer.text)
        assert answer.status_code != 405 and answer.status_code < 500, (method, path, answer.text)
        assert str(answer.status_code) in operation["responses"], (method, path, answer.status_code, answer.text)
        if answer.content and answer.status_code != 304:
            documented = _resolved(made, operation["responses"][str(answer.status_code)])["content"]
            assert answer.headers["content-type"].partition(";")[0] in documented, (method, path, answer.status_code)
        if _types(path):
            assert answer.headers["x-request-id"]
    assert {200, 201, 204} <= seen


def _resolved(made: dict[str, Any], value: dict[str, Any]) -> dict[str, Any]:
    if "$ref" not in value:
        return value
    found: dict[str, Any] = made["components"]["responses"][value["$ref"].rpartition("/")[2]]
    return found


def _address(made: dict[str, Any], path: str, operation: Any, events: Any) -> tuple[str]:
    for rtype in _types(path):
        event = events["entry"][0]["resource"]["id"]
        found = event if rtype == "AuditEvent" else made["components"]["examples"][rtype]["value"]["id"]
        if {"$ref": "#/components/parameters/criteria"} in operation.get("parameters", ()):
            path += f"?_id={found}"
        path = path.replace("{id}", found)
    if path.endswith("/$explain-access"):
        found = made["components"]["examples"]["Organization"]["value"]["id"]
        path += f"?resource=Organization/{found}&actor=Organization/operator"
    return (path.replace("{vid}", "1").replace("{compartment}", "Task"),)


def _sent(made: dict[str, Any], operation: dict[str, Any]) -> dict[str, Any]:
    """Body and headers: the document's own example in the media type that it names, and If-Match where it must be."""
    headers = {"If-Match": 'W/"1"'} if {"$ref": _IF_MATCH} in operation.get("parameters", ()) else {}
    asked = operation.get("requestBody", {})
    if "$ref" in asked:
        asked = made["components"]["requestBodies"][asked["$ref"].rpartition("/")[2]]
    for kind, media in asked.get("content", {}).items():
        headers["Content-Type"] = kind
        examples = [made["components"]["examples"][name]["value"] for name in media.get("examples", {})]
        body = examples[0] if examples else media["example"]
        if kind == "application/x-www-form-urlencoded":
            return {"headers": headers, "content": urlencode(body)}
        return {"headers": headers, "content": body if isinstance(body, str) else json.dumps(body)}
    return {"headers": headers}


_IF_MATCH = "#/components/parameters/If-Match-required"


async def test_the_application_serves_this_document(app: FastAPI, client: httpx.AsyncClient, made: Any) -> None:
    first = await client.get("/openapi.json")
    assert first.json() == app.openapi() == made
    again = await client.get("/openapi.json", headers={"If-None-Match": first.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")
    assert document("https://enlace.example.org")["servers"] == [{"url": "https://enlace.example.org"}]


async def test_the_page_loads_nothing_from_elsewhere(client: httpx.AsyncClient) -> None:
    page = await client.get("/docs")
    assert page.status_code == 200 and "default-src 'none'" in page.headers["content-security-policy"]
    assert "http" not in page.text and "//" not in page.text
    for name, kind in (("swagger-ui.css", "text/css"), ("swagger-ui-bundle.js", "text/javascript")):
        assert name in page.text
        answer = await client.get(f"/docs/{name}")
        assert (answer.status_code, answer.headers["content-type"].partition(";")[0]) == (200, kind)
        assert len(answer.content) > 100_000
    assert b"/openapi.json" in (await client.get("/docs/start.js")).content
    assert (await client.get("/docs/other.js")).status_code == 404
