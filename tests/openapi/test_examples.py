"""Every operation has an example, and every example is true: valid for its schema in the document and for R4."""

import json
from collections.abc import Iterator
from decimal import Decimal
from functools import cache
from typing import Any

import jsonschema_rs
import pytest

from fhir_profiles.catalog import catalog
from fhir_profiles.validate import validate
from mappers.hl7v2.header import Header, peek
from openapi.build import document
from openapi.components import FHIR_XML, response_name
from openapi.limits import limits
from service.errors import Category
from service.settings import load

Media = tuple[str, str, dict[str, Any]]
MADE: dict[str, Any] = document("https://fhir.example.org")


def resolved(value: dict[str, Any]) -> dict[str, Any]:
    while "$ref" in value:
        found: Any = MADE
        for step in value["$ref"].removeprefix("#/").split("/"):
            found = found[step]
        value = found
    return value


OPERATIONS = [
    (f"{method.upper()} {path}", operation)
    for path, item in MADE["paths"].items()
    for method, operation in item.items()
]


def bodies(operation: dict[str, Any]) -> Iterator[Media]:
    """(request or status, media type, media) of all that goes in and comes out."""
    for kind, media in resolved(operation.get("requestBody", {})).get("content", {}).items():
        yield "request", kind, media
    for status, response in operation["responses"].items():
        for kind, media in resolved(response).get("content", {}).items():
            if kind != FHIR_XML:  # the same resource: its example is the JSON one
                yield status, kind, media


def examples(media: dict[str, Any]) -> list[Any]:
    named = [resolved(one)["value"] for one in media.get("examples", {}).values()]
    return named + ([media["example"]] if "example" in media else [])


@cache
def _problems(text: str) -> tuple[str, ...]:
    """Of a resource, by R4; cached, since all refusals are shared."""
    value = json.loads(text, parse_float=Decimal)
    return tuple(p.diagnostics for p in validate(value, value["resourceType"]) if p.severity in ("error", "fatal"))


def sound(value: Any, schema: dict[str, Any]) -> None:
    jsonschema_rs.validate({**schema, "components": {"schemas": MADE["components"]["schemas"]}}, value)
    if isinstance(value, dict) and "resourceType" in value:
        assert _problems(json.dumps(value)) == ()


@pytest.mark.parametrize("tag", sorted({operation["tags"][0] for _, operation in OPERATIONS}))
def test_each_body_of_each_operation_has_an_example_that_is_valid(tag: str) -> None:
    for name, operation in OPERATIONS:
        if operation["tags"][0] != tag:
            continue
        found = list(bodies(operation))
        assert found, f"{name}: an operation without any body has refusals at least"
        for where, kind, media in found:
            given = examples(media)
            assert given, (name, where, kind)
            for example in given:
                sound(example, media["schema"])


def test_each_refusal_is_documented_with_its_outcome() -> None:
    responses = MADE["components"]["responses"]
    shared = set(Category)
    assert set(responses) == {response_name(one) for one in shared}
    for category in shared:
        (outcome,) = examples(responses[response_name(category)]["content"]["application/fhir+json"])
        assert [issue["code"] for issue in outcome["issue"]] == [category.code]


def test_who_must_wait_is_told_how_long() -> None:
    for name, operation in OPERATIONS:
        for status in {"429", "503"} & set(operation["responses"]):
            if name != "GET /readyz":
                assert "Retry-After" in resolved(operation["responses"][status])["headers"], (name, status)
        if name.split()[1].startswith("/fhir/") and operation["security"]:
            assert {"429", "500", "503"} <= set(operation["responses"]), name


def test_the_page_has_a_button_to_authorize() -> None:
    schemes = MADE["components"]["securitySchemes"]
    assert schemes["bearer"]["type"] == "http" and schemes["bearer"]["scheme"] == "bearer"
    flow = schemes["oauth2"]["flows"]["clientCredentials"]
    assert flow["tokenUrl"] == "https://fhir.example.org/auth/token" and "/auth/token" in MADE["paths"]
    for name, operation in OPERATIONS:
        for scopes in (one["oauth2"] for one in operation["security"] if "oauth2" in one):
            assert set(scopes) <= set(flow["scopes"]), name
    closed = [operation for name, operation in OPERATIONS if operation["tags"][0] in catalog().types]
    assert all({"bearer", "oauth2"} <= {key for one in op["security"] for key in one} for op in closed)


def test_bundles_hold_what_was_asked_for() -> None:
    for rtype, entry in catalog().types.items():
        for ending, wanted in (("-search", "search-type"), ("-history", "history-instance")):
            found = MADE["components"]["examples"].get(rtype + ending)
            assert (found is not None) is (wanted in entry.interactions)
            assert found is None or found["value"]["entry"][0]["resource"]["resourceType"] == rtype


def test_limits_are_those_of_the_code() -> None:
    values = MADE["x-enlace-limits"]
    assert values == {limit.name: limit.value for limit in limits()}
    assert values["bodyBytes"] == 10 * 1024 * 1024 and values["pageSizeMost"] == 200
    settings = load({})
    assert values["clientRequestsPerSecond"] == settings.client_rate
    assert values["requestsInWork"] == settings.max_in_flight
    text = MADE["info"]["description"]
    for limit in limits():
        assert limit.what in text and (limit.beyond in text)


def test_the_message_can_be_read() -> None:
    for example in bodies(MADE["paths"]["/hl7v2"]["post"]):
        if example[1] == "application/hl7-v2":
            for message in examples(example[2]):
                assert isinstance(peek(message.encode()), Header)
