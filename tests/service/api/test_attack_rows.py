"""Rows of the table of attacks that are settled at the edge of HTTP: ../shared/facts/security.md 5.

tests/service/access/security_rows.py says where the other rows are.
"""

import gzip
import io
import json
import logging
import os
import re
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import quote, urlsplit

import httpx
import pytest
from fastapi import FastAPI

from service import log_events
from service.api.server import config
from service.store.engine import Store
from tests.frozen_clock import FrozenClock
from tests.service.conftest import AppClient
from tests.service.world import CBO1, ECM1, ECM2, access_token, episode, observation, put

POSTGRESQL_IN_DEEP = True
RECORD = ("Made", "mrn-a", "weight")
"""Words of the record of patient A."""
DEEP = bool(os.environ.get("ENLACE_TEST_DEEP"))
JSON = {"Content-Type": "application/fhir+json"}


@pytest.fixture
async def bare(app: FastAPI) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test") as http:
        yield http


async def send(app: FastAPI, method: str, raw: str, headers: list[tuple[bytes, bytes]], body: bytes = b"") -> Any:
    """(status, headers, body) of a request as no HTTP client would send it. raw: path and query, encoded."""
    path, _, query = raw.partition("?")
    plain = re.sub(rb"%([0-9A-Fa-f]{2})", lambda m: bytes([int(m[1], 16)]), path.encode()).decode("utf-8", "replace")
    scope = {
        "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": method, "scheme": "http",
        "path": plain, "raw_path": path.encode(), "query_string": query.encode(), "root_path": "",
        "headers": [(b"host", b"test"), *headers], "client": ("127.0.0.1", 1), "server": ("test", 80),
    }  # fmt: skip
    told: list[Any] = []

    async def receive() -> Any:
        return {"type": "http.request", "body": body, "more_body": False}

    async def sending(message: Any) -> None:
        told.append(message)

    await app(scope, receive, sending)
    text = b"".join(one.get("body", b"") for one in told).decode("utf-8", "replace")
    return told[0]["status"], dict(told[0]["headers"]), text


TRAVERSAL = (
    "..", "../../etc/passwd", "..%2f..%2fetc%2fpasswd", "%2e%2e%2f%2e%2e%2f", "....//", "..%5c..%5c", "%252e%252e%252f",
    "a%00.css", "/etc/passwd", "file:%2f%2f%2fetc%2fpasswd", "C:%5cwindows", "enlace.css%00.png", "~root", ".env",
    "%c0%ae%c0%ae%2f",
)  # fmt: skip


async def test_a08_no_path_leaves_its_folder(bare: httpx.AsyncClient, app: FastAPI, app_client: AppClient) -> None:
    bearer = (await app_client("ecm-provider", ECM1)).headers["Authorization"].encode()
    for one in TRAVERSAL:
        for place in ("/static/{}", "/docs/{}", "/fhir/Patient/{}", "/fhir/DocumentReference/{}", "/sees/{}/x"):
            status, _, text = await send(app, "GET", place.format(one), [(b"authorization", bearer)])
            assert status in (303, 400, 401, 404), (place, one, status)
            assert "root:" not in text and "[fonts]" not in text
    assert (await bare.get("/static/enlace.css")).status_code == 200


HOSTILE = ("%00", "a%00b", "%ED%A0%80", "%FF", "%F4%90%80%80", "\\x00", "%EF%BF%BE", "%E2%80%AE", "%0d%0aX: y")


async def test_a10_no_character_reaches_the_database_that_it_refuses(world: Store, app: FastAPI) -> None:
    bearer = (b"authorization", f"Bearer {await access_token(world, 'ecm-provider', ECM1)}".encode())
    names = ("name", "identifier", "_id", "birthdate", "general-practitioner", "_tag", "_sort", "_page", "{}")
    for value in HOSTILE:
        for name in names:
            url = f"/fhir/Patient?{name.format(value)}={value}"
            status, _, text = await send(app, "GET", url, [bearer])
            assert status in (200, 400, 404, 413), (name, value, status, text)
        for url in (f"/fhir/Patient/{value}", f"/fhir/Patient/a/_history/{value}", f"/fhir/Patient/a/{value}"):
            assert (await send(app, "GET", url, [bearer]))[0] in (400, 404, 405), url
        raw = re.sub(rb"%(..)", lambda m: bytes([int(m[1], 16)]), value.encode())
        for header in (b"x-request-id", b"if-none-exist", b"if-match", b"accept", b"prefer", b"user-agent"):
            status, _, text = await send(app, "GET", "/fhir/Patient/a", [bearer, (header, raw)])
            assert status < 500, (header, value, text)


async def test_a11_a12_adverse_text_costs_no_time(world: Store, app: FastAPI) -> None:
    """100 KB that backtracking expressions choke on: the limit of a test's time would end them. Range is not served."""
    bearer = (b"authorization", f"Bearer {await access_token(world, 'ecm-provider', ECM1)}".encode())
    long = 100_000
    headers = [
        (b"content-type", b"multipart/form-data; boundary=" + b'"\\' * (long // 2)),
        (b"content-type", b"a/b;" + b" ;" * (long // 2)),
        (b"accept", b"application/fhir+json;" + b"q=0," * (long // 4)),
        (b"prefer", b"return=" * (long // 7)),
        (b"if-match", b'W/"' * (long // 3)),
        (b"if-none-match", b"9" * long),
        (b"if-modified-since", b"Mon, " * (long // 5)),
        (b"authorization", b"Bearer " + b" " * long),
        (b"x-request-id", b"a" * long),
        (b"range", b"bytes=" + b"0-1," * (long // 4)),
        (b"cookie", b'a="\\' * (long // 4)),
        (b"forwarded", b"for=" * (long // 4)),
    ]
    for header in headers:
        rest = [] if header[0] == b"authorization" else [bearer]
        for method, url, body in (("GET", "/fhir/Patient/a", b""), ("POST", "/fhir/Patient", b"{}")):
            status, _, _ = await send(app, method, url, [*rest, header], body)
            assert status < 500, header[0]
    for value in ("(a+)+$" * 1000, "a" * 8000, "%" * 8000, "\\," * 4000, "|" * 8000, "a or " * 1500, "(" * 8000):
        for name in ("name:contains", "name", "_filter", "birthdate", "identifier", "_has:Task:patient:status"):
            status, _, _ = await send(app, "GET", f"/fhir/Patient?{name}={quote(value)}"[:8100], [bearer])
            assert status < 500, (name, value[:9])


async def test_a16_no_request_body_is_unpacked(bare: httpx.AsyncClient, app_client: AppClient) -> None:
    """A packed body is refused by its header, or counted while it is unpacked: never more than the limit."""
    client = await app_client("ecm-provider", ECM1)
    bomb = gzip.compress(b'{"resourceType":"Patient","x":"' + b"0" * 40_000_000 + b'"}')
    for encoding in ("gzip", "x-gzip", "deflate", "br", "zstd", "gzip, gzip"):
        answer = await client.post("/Patient", content=bomb, headers={**JSON, "Content-Encoding": encoding})
        assert answer.status_code in (400, 413, 415), (encoding, answer.status_code)


def test_a17_the_server_waits_for_nobody_long() -> None:
    """Slow bodies hold no place (test_admission.py); slow headers end by size, and idle connections by time."""
    bounds = config(FastAPI())
    assert (bounds.h11_max_incomplete_event_size or 0) <= 16_384
    assert bounds.timeout_keep_alive <= 30 and bounds.ws == "none" and not bounds.proxy_headers


INJECTION = (
    "'", "';--", "' OR '1'='1", "1; DROP TABLE resource", "a' UNION SELECT body FROM version--", "\\'", "$1", "?", "%s",
    "{0}", "1 OR 1=1", "(SELECT 1)", "a') OR ('1'='1", "pg_sleep(9)", "/**/", '"', "`", "a\\", "%' --",
)  # fmt: skip
PLACES = (
    "/Patient?name={}", "/Patient?name:contains={}", "/Patient?identifier={}|{}", "/Patient?_id={}",
    "/Patient?_sort={}",
    "/Patient?_sort=-{}", "/Patient?birthdate={}", "/Patient?{}=a", "/Patient?_filter=name eq \"{}\"", "/Patient/{}",
    "/Patient?_has:Task:patient:{}=a", "/Patient?_include=Patient:{}", "/Task?patient.name={}", "/Patient?_count={}",
    "/Patient/a/_history?_since={}", "/Patient/a/_history/{}", "/Patient?_elements={}", "/?_type={}", "/{}/a",
    "/Observation?value-quantity={}", "/AuditEvent?entity={}", "/Patient/a/$everything?_type={}", "/Patient?_page={}",
    "/Task?_list={}", "/Location?near={}", "/Observation?code-value-quantity={}${}", "/Patient?_lastUpdated={}",
    "/Provenance?target={}", "/Task?owner:identifier={}", "/Patient?_tag={}",
)  # fmt: skip


async def test_a21_values_and_names_are_never_sql(world: Store, app_client: AppClient) -> None:
    """Nothing foreign is found, nothing breaks, nothing is said of SQL; and the tables are still there."""
    client = await app_client("ecm-provider", ECM1)
    for number, place in enumerate(PLACES):
        for text in INJECTION if DEEP else INJECTION[number % 6 :: 6]:
            path, _, query = place.partition("?")
            url = path.replace("{}", quote(text, safe=""))
            if query:
                name, _, value = query.partition("=")
                url += f"?{quote(name.replace('{}', text))}={quote(value.replace('{}', text))}"
            answer = await client.get(url)
            assert answer.status_code < 500, (place, text, answer.text)
            assert "mrn-b" not in answer.text
            assert not re.search(r"sqlite|postgres|syntax error|SELECT .* FROM", _diagnostics(answer), re.IGNORECASE)
    scoped = await client.post("http://test/auth/token", data={"scope": "system/Patient.rs?name=' OR 1=1--"})
    assert scoped.status_code in (400, 401)
    assert (await client.get("/Patient?_total=accurate")).json()["total"] == 1


def _diagnostics(answer: httpx.Response) -> str:
    body = answer.json()
    issues = body.get("issue", []) + [i for e in body.get("entry", []) for i in e.get("resource", {}).get("issue", [])]
    told = " ".join(one.get("diagnostics", "") for one in issues)
    return told.replace("SELECT body FROM version", "")


EVIL = "evil.example.net"
HEADERS: tuple[dict[str, str], ...] = (
    {"Host": EVIL}, {"Host": f"{EVIL}:80"}, {"Host": f"127.0.0.1:8000@{EVIL}"}, {"Host": f"127.0.0.1:8000.{EVIL}"},
    {"Host": ""}, {"X-Forwarded-Host": EVIL}, {"X-Forwarded-Host": f"{EVIL}, 127.0.0.1"},
    {"X-Forwarded-Proto": "gopher"},
    {"X-Forwarded-Port": "1"}, {"X-Forwarded-Server": EVIL}, {"X-Forwarded-Prefix": f"//{EVIL}"},
    {"Forwarded": f"host={EVIL};proto=https"}, {"X-Original-URL": f"http://{EVIL}/"},
    {"X-Rewrite-URL": "/fhir/Patient/b"},
    {"X-Host": EVIL}, {"X-HTTP-Host-Override": EVIL}, {"X-Forwarded-Scheme": "http", "X-Scheme": EVIL},
    {"Origin": f"http://{EVIL}", "Referer": f"http://{EVIL}/"}, {"X-Forwarded-For": "10.0.0.1",
    "X-Real-IP": "10.0.0.1"},
    {"Host": EVIL, "X-Forwarded-Host": EVIL, "X-Forwarded-Proto": "https", "Forwarded": f"host={EVIL}"},
)  # fmt: skip


async def test_a25_no_header_changes_a_link(world: Store, app_client: AppClient, bare: httpx.AsyncClient) -> None:
    client = await app_client("ecm-provider", ECM1)
    await put(world, *(observation(f"Observation/o{n}", "Patient/a") for n in range(3)), source=ECM1)
    body = {k: v for k, v in observation("Observation/x", "Patient/a").items() if k != "id"}

    async def links(headers: dict[str, str]) -> list[Any]:
        page = await client.get("/Observation?_count=1&_sort=_id", headers=headers)
        whole = page.json()
        made = await client.post("/Observation", json=body, headers=headers)
        smart = await bare.get("/fhir/.well-known/smart-configuration", headers=headers)
        statement = await bare.get("/fhir/metadata", headers=headers)
        front = await bare.get("/inbox/list", headers=headers)
        answers = (page, made, smart, statement, front)
        told = [EVIL in one.text or EVIL in str(one.headers.get("location", "")) for one in answers]
        urls = [urlsplit(one["url"])[:3] for one in whole["link"]] + [
            urlsplit(e["fullUrl"])[:2] for e in whole["entry"]
        ]
        where = urlsplit(made.headers["Location"])[:2]
        return [urls, where, smart.json(), statement.json()["implementation"], front.status_code, told]

    plain = await links({})
    assert len(HEADERS) == 20 and not any(plain[-1])
    for headers in HEADERS:
        assert await links(headers) == plain, headers


LINES = ("x\r\nINJECTED", "x\nINJECTED", "\x1b[31mINJECTED", "x%0d%0aINJECTED", '","level":"INJECTED', "\u2028INJECTED")


async def test_a26_nothing_that_is_sent_makes_a_log_line(world: Store, app: FastAPI) -> None:
    """CR, LF and terminal codes in paths, parameters, headers and bodies: lines stay JSON and hold none of it."""
    log_events.configure("json", "debug", stream=(logged := io.StringIO()))
    logging.getLogger().setLevel(logging.DEBUG)
    token = await access_token(world, "ecm-provider", ECM1)
    bearer, count = (b"authorization", f"Bearer {token}".encode()), 0
    for text in LINES:
        raw, quoted = text.encode(), quote(text)
        for method, url, headers, body in (
            ("GET", f"/fhir/Patient/{quoted}", [bearer], b""),
            ("GET", f"/fhir/{quoted}", [bearer], b""),
            ("GET", f"/fhir/Patient?name={quoted}&{quoted}=x", [bearer], b""),
            ("GET", f"/{quoted}", [bearer], b""),
            ("GET", "/fhir/Patient/a", [bearer, (b"x-request-id", raw)], b""),
            ("GET", "/fhir/Patient/a", [(b"authorization", raw)], b""),
            ("GET", "/fhir/Patient/a", [bearer, (b"user-agent", raw), (b"accept", raw), (b"traceparent", raw)], b""),
            (text, "/fhir/Patient/a", [bearer], b""),
            ("POST", "/fhir/Patient", [bearer, (b"content-type", b"application/fhir+json")], raw),
            ("POST", "/auth/token", [(b"content-type", b"application/x-www-form-urlencoded")], b"client_id=" + raw),
            ("POST", "/hl7v2", [bearer, (b"content-type", b"application/hl7-v2")], raw),
        ):
            status, given, _ = await send(app, method, url, headers, body)
            assert status < 500, (text, url)
            assert b"INJECTED" not in given.get(b"x-request-id", b"")
            count += 1
    lines = logged.getvalue().splitlines()
    assert len(lines) >= count // 2
    for line in lines:
        assert isinstance(json.loads(line), dict) and "INJECTED" not in line and "\x1b" not in line


SUFFIXES = (
    ".css",
    ".js",
    ".png",
    ".json",
    "/x.css",
    ";.css",
    "%00.css",
    "%3F.css",
    "%23.css",
    "/..%2fstatic%2fenlace.css",
)


async def test_a29_a_suffix_makes_nothing_a_file(world: Store, app: FastAPI) -> None:
    bearer = (b"authorization", f"Bearer {await access_token(world, 'ecm-provider', ECM1)}".encode())
    pages = ("/sees/Patient/a", "/inbox/list", "/members/a/disclosures", "/sandbox")
    for suffix in SUFFIXES:
        for path in ("/fhir/Patient/a", "/fhir/Patient", "/fhir/metadata", "/fhir/Patient/a/_history/1", *pages):
            status, headers, text = await send(app, "GET", path + suffix, [bearer])
            asks = path in pages and status in (303, 401, 405)  # for a login, or for the press of a button
            assert status in (400, 404) or asks, (path, suffix, status)
            assert headers.get(b"cache-control", b"no-store") == b"no-store"
            assert not [word for word in RECORD if word in text], (path, suffix)


VARIANTS = (
    "/fhir//Patient/a", "//fhir/Patient/a", "/fhir/./Patient/a", "/fhir/x/../Patient/a", "/fhir/Patient/a/",
    "/fhir/Patient//a",
    "/FHIR/Patient/a", "/fhir/patient/a", "/fhir/PATIENT/a", "/Fhir/Patient/a", "/fhir/%50atient/a",
    "/fhir/Patient/%61",
    "/fhir%2fPatient%2fa", "/fhir/Patient%2fa", "/fhir/%2550atient/a", "/fhir/Patient/%2561", "/fhir/Patient;x=y/a",
    "/fhir/Patient/a;x=y", "/fhir/Patient/a%20", "/fhir/Patient/a%09", "/fhir/Patient/a%00", "/fhir/Patient/a%0a",
    "/fhir\\Patient\\a", "/fhir/Patient/a?", "/fhir/Patient/a#x", "/fhir/Patient/a/.", "/fhir/Patient/a/..",
    "/fhir/Patient/*",
    "/fhir/Patient/a//_history", "/fhir/Patient/a/_HISTORY", "/fhir/Patient/a/_history/01",
    "/fhir/Patient/a/_history/%31",
    "/./fhir/Patient/a", "/x/../fhir/Patient/a", "/metadata/../fhir/Patient/a", "/fhir/metadata/../Patient/a",
    "/fhir/metadata/Patient/a", "/static/../fhir/Patient/a", "/healthz/../fhir/Patient/a",
    "/fhir/Patient/a/$EVERYTHING",
)  # fmt: skip
METHODS = ("HEAD", "get", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "PROPFIND", "GET ")
OVERRIDES = ("x-http-method-override", "x-method-override", "x-http-method", "x-original-method")


async def test_a31_no_way_of_writing_a_path_is_less_checked(world: Store, app: FastAPI) -> None:
    assert len(VARIANTS) == 40
    tokens = [await access_token(world, *who) for who in (("ecm-provider", ECM2), ("cbo", "Organization/cbo-2"))]
    bearers = [[], *([(b"authorization", f"Bearer {one}".encode())] for one in tokens)]
    for number, path in enumerate(VARIANTS):
        for method in ("GET", *(METHODS if DEEP else METHODS[number % 5 :: 5])):
            for headers in bearers:
                kind = (b"content-type", b"application/fhir+json")
                status, _, text = await send(app, method, path, [*headers, kind], b"{}")
                assert 400 <= status < 500 or (status in (200, 204) and method in ("OPTIONS", "DELETE")), (path, method)
                assert not [word for word in RECORD if word in text], (path, method)
    assert (await world.fetch("SELECT deleted FROM resource r JOIN version v ON v.vid = r.vid WHERE r.fhir_id = 'a' "
                              "AND r.rtype = 'Patient'"))[0][0] in (0, False)  # fmt: skip
    ours = (b"authorization", f"Bearer {await access_token(world, 'ecm-provider', ECM1)}".encode())
    for name in OVERRIDES:
        for other in (b"DELETE", b"PUT"):
            status, _, text = await send(app, "GET", "/fhir/Patient/a?_method=DELETE", [ours, (name.encode(), other)])
            assert status in (200, 400) and (status != 200 or "Made" in text)
            posted = await send(app, "POST", "/fhir/Patient/a", [ours, (name.encode(), other)], b"_method=DELETE")
            assert posted[0] in (404, 405)
    assert (await send(app, "GET", "/fhir/Patient/a", [ours]))[0] == 200


async def test_a34_no_key_of_a_client_brings_anothers_answer(world: Store, app_client: AppClient) -> None:
    """There is no store of answers: each request is decided anew, whatever key it bears."""
    key = {"Idempotency-Key": "same", "X-Request-Id": "same", "X-Idempotency-Key": "same"}
    ours, theirs = await app_client("ecm-provider", ECM1), await app_client("ecm-provider", ECM2)
    body = {k: v for k, v in observation("Observation/x", "Patient/a").items() if k != "id"}
    first = await ours.post("/Observation", json=body, headers=key)
    again = await ours.post("/Observation", json=body, headers=key)
    assert first.status_code == again.status_code == 201 and first.json()["id"] != again.json()["id"]
    refused = await theirs.post("/Observation", json=body, headers=key)
    assert refused.status_code == 422 and first.json()["id"] not in refused.text
    for path in ("/Patient/a", f"/Observation/{first.json()['id']}"):
        assert (await ours.get(path, headers=key)).status_code == 200
        assert (await theirs.get(path, headers=key)).status_code == 404
    cbo = await app_client("cbo", CBO1)
    assert (await cbo.post("/Observation", json=body, headers=key)).status_code == 201, "its own, decided anew"


async def test_a35_the_clock_of_the_service_decides(world: Store, app_client: AppClient, clock: FrozenClock) -> None:
    """No date that a client sends moves a period or an expiry, and a clock that runs back makes nothing older."""
    client = await app_client("ecm-provider", ECM2)
    period = {"start": "2020-01-01", "end": "2021-01-01"}
    await put(world, episode("EpisodeOfCare/past", "Patient/a", ECM2, period=period))
    for sent in ({"Date": "Wed, 01 Jul 2020 00:00:00 GMT"}, {"If-Modified-Since": "Wed, 01 Jul 2020 00:00:00 GMT"}):
        assert (await client.get("/Patient/a", headers=sent)).status_code == 404
    assert (await client.get("/Patient/a/_history?_at=2020-07-01")).status_code == 404
    ours = await app_client("ecm-provider", ECM1)
    body = {k: v for k, v in observation("Observation/x", "Patient/a").items() if k != "id"}
    first = (await ours.post("/Observation", json=body)).json()
    clock.advance(-3_600_000_000)
    second = await ours.put(f"/Observation/{first['id']}", json={**body, "id": first["id"], "note": [{"text": "n"}]})
    assert second.json()["meta"]["lastUpdated"] > first["meta"]["lastUpdated"]
    clock.advance(2 * 86_400_000_000)
    assert (await ours.get("/Patient/a")).status_code == 401, "the token ended"
