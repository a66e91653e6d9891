"""Headers and queries into plain values."""

import pytest
from starlette.requests import Request

from service.api.headers import (
    answer_headers,
    body_is_xml,
    preconditions,
    prefers,
    query,
    url_query,
)
from service.errors import Category, FhirError
from service.interactions.decision import Answer
from service.store.slots import vid_at


def request(query_string: bytes = b"", **headers: str) -> Request:
    raw = [(name.replace("_", "-").encode(), value.encode("latin-1")) for name, value in headers.items()]
    return Request({"type": "http", "method": "GET", "path": "/", "headers": raw, "query_string": query_string})


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ('W/"3"', (3,)),
        ('"3"', (3,)),
        ("3", (3,)),
        ('W/"3", "4",5', (3, 4, 5)),
        ("x", (-1,)),
        ("", (-1,)),
        ("W/3x", (-1,)),
    ],
)
def test_versions(text: str, wanted: tuple[int, ...]) -> None:
    assert preconditions(request(if_match=text)).if_match == wanted
    assert preconditions(request(if_none_match=text)).if_none_match == wanted
    assert preconditions(request()).if_match is None


def test_if_none_exist_with_and_without_its_type() -> None:
    for text in ("identifier=a%7Cb&x=", "Patient?identifier=a%7Cb&x=", "?identifier=a%7Cb&x="):
        assert preconditions(request(if_none_exist=text)).if_none_exist == (("identifier", "a|b"), ("x", ""))


@pytest.mark.parametrize("text", ["%FF=1", "a=%ED%A0%80", "&".join(["a=1"] * 300)])
def test_a_query_that_cannot_be_read(text: str) -> None:
    with pytest.raises(FhirError) as refused:
        query(text)
    assert refused.value.category is Category.MALFORMED


def test_a_url_that_is_too_long() -> None:
    with pytest.raises(FhirError) as refused:
        url_query(request(b"a=" + b"x" * 9000))
    assert refused.value.category is Category.TOO_LARGE


@pytest.mark.parametrize(
    ("content_type", "xml"),
    [
        ("application/fhir+json", False),
        ("application/json", False),
        ("application/fhir+xml", True),
        ("application/xml", True),
        ("text/xml", True),
        ("text/plain", None),
        ("", None),
    ],
)
def test_what_a_body_is_announced_as(content_type: str, xml: bool | None) -> None:
    if xml is not None:
        assert body_is_xml(content_type) is xml
        return
    with pytest.raises(FhirError) as refused:
        body_is_xml(content_type)
    assert refused.value.category is Category.UNSUPPORTED_MEDIA


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("Sun, 08 Mar 2026 07:30:00 GMT", 1_772_955_000),
        ("Sunday, 08-Mar-26 07:30:00 GMT", 1_772_955_000),
        ("Sun Mar  8 07:30:00 2026", 1_772_955_000),
        ("yesterday", None),
        ("Sun, 99 Mar 2026 07:30:00 GMT", None),
        ("", None),
    ],
)
def test_if_modified_since(text: str, seconds: int | None) -> None:
    assert preconditions(request(if_modified_since=text)).if_modified_since == seconds


def test_prefer() -> None:
    assert prefers(request(prefer='return="minimal"; handling=Strict, respond-async')) == {
        "return": "minimal",
        "handling": "strict",
        "respond-async": "",
    }


def test_answer_headers() -> None:
    made = answer_headers(Answer(201, b"", 3, vid_at(1_772_955_000_000_000), "Task/1"), "http://h/fhir")
    assert made == {
        "Cache-Control": "no-store",
        "ETag": 'W/"3"',
        "Last-Modified": "Sun, 08 Mar 2026 07:30:00 GMT",
        "Location": "http://h/fhir/Task/1/_history/3",
    }
