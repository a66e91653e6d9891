"""Which format is answered: _format before Accept, weights, JSON unless told; and what the formats look like."""

from typing import Any

import pytest
from starlette.requests import Request

from service.api.formats import FHIR_JSON, FHIR_XML, Format, check_format, choose, chosen, indented, render
from service.errors import Category, FhirError

BROWSER = "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,*/*;q=0.8"
MEDPLUM = "application/fhir+json, */*; q=0.1"


def request(*accept: str) -> Request:
    raw = [(b"accept", value.encode("latin-1")) for value in accept]
    return Request({"type": "http", "method": "GET", "path": "/", "headers": raw, "query_string": b""})


def format_of(accept: str | None, **params: str) -> str:
    asked = request() if accept is None else request(accept)
    choose(asked, list(params.items()))
    try:
        check_format(asked)
    except FhirError as refused:
        assert refused.category is Category.NOT_ACCEPTABLE
        assert "application/fhir+json or application/fhir+xml" in refused.issues[0].diagnostics
        assert chosen(asked).xml is False, "the refusal itself comes as JSON"
        return "406"
    return "xml" if chosen(asked).xml else "json"


@pytest.mark.parametrize(
    ("accept", "wanted"),
    [
        (None, "json"),
        ("", "json"),
        ("*/*", "json"),
        ("application/*", "json"),
        ("text/*", "json"),
        ("application/json", "json"),
        ("application/fhir+json; charset=utf-8", "json"),
        ("application/json;q=0.5, text/plain", "json"),
        ("application/fhir+xml", "xml"),
        ("application/xml", "xml"),
        ("text/xml", "xml"),
        ("application/xml+fhir", "xml"),
        ("Application/FHIR+XML;Q=0.5", "xml"),
        ("application/fhir+xml;q=0.9, application/fhir+json;q=0.8", "xml"),
        ("application/fhir+xml;q=0.8, application/fhir+json;q=0.9", "json"),
        ("application/fhir+xml, application/fhir+json", "json"),
        ("application/fhir+xml, */*;q=0.1", "xml"),
        ("application/fhir+json;q=0, */*", "xml"),
        ("application/fhir+xml;q=0, */*", "json"),
        ("application/json-patch+json", "json"),
        (BROWSER, "json"),
        (MEDPLUM, "json"),
        ("text/html", "json"),
        ("application/fhir+json; fhirVersion=4.0", "json"),
        ("application/fhir+json; fhirVersion=3.0", "406"),
        ("application/fhir+json;q=0", "406"),
        ("application/fhir+json;q=x", "406"),
        ("text/turtle", "406"),
        ("image/png", "406"),
        ("\xff\xfe", "406"),
    ],
)
def test_accept(accept: str | None, wanted: str) -> None:
    assert format_of(accept) == wanted


@pytest.mark.parametrize(
    ("word", "wanted"),
    [
        ("json", "json"),
        ("application/json", "json"),
        ("application/fhir+json", "json"),
        ("application/fhir json", "json"),
        ("xml", "xml"),
        ("text/xml", "xml"),
        ("application/xml", "xml"),
        ("application/fhir+xml", "xml"),
        ("application/fhir xml", "xml"),
        ("XML", "xml"),
        ("html", "json"),
        ("ttl", "406"),
        ("application/fhir+turtle", "406"),
    ],
)
def test_format_beats_accept(word: str, wanted: str) -> None:
    for accept in (None, "application/fhir+json", "application/fhir+xml", "image/png"):
        assert format_of(accept, _format=word) == wanted


def test_an_empty_format_asks_for_nothing() -> None:
    assert format_of("application/fhir+xml", _format="") == "xml"


def test_several_accept_headers_count_together() -> None:
    asked = request("image/png", "application/fhir+xml")
    choose(asked, [])
    assert chosen(asked) == Format(xml=True)


@pytest.mark.parametrize(("value", "pretty"), [("true", True), ("TRUE", True), ("false", False), ("", False)])
def test_pretty(value: str, pretty: bool) -> None:
    asked = request()
    choose(asked, [("_pretty", value)])
    assert chosen(asked) == Format(pretty=pretty)


def test_indented_json_keeps_every_digit() -> None:
    body = b'{"resourceType":"Basic","a":[1.50,1E+5,0.0000001,123456789012345678901234567890,-0],"b":"x\\n","c":true}'
    made = indented(body)
    assert made.splitlines()[1] == b'  "resourceType": "Basic",'
    assert b"".join(line.strip() for line in made.splitlines()).replace(b'": ', b'":') == body


def test_one_body_in_each_format() -> None:
    body = b'{"resourceType":"Basic","id":"b"}'
    assert render(body, Format()) == body
    made: dict[Any, bytes] = {xml: render(body, Format(xml=xml, pretty=True)) for xml in (False, True)}
    assert made[False].startswith(b'{\n  "resource') and b'\n  <id value="b"/>' in made[True]
    assert (Format().media_type, Format(xml=True).media_type) == (FHIR_JSON, FHIR_XML)
