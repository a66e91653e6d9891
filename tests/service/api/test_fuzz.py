"""Hostile requests: never a 5xx, always an OperationOutcome for an error under /fhir, and the service lives on."""

import os
import random
from typing import Any

import httpx

from service.api.xml_reader import read_xml
from service.store.engine import Store
from tests.service.conftest import AppClient
from tests.service.world import CBO1, ECM1, observation, task

COUNT = 2_000 if os.environ.get("ENLACE_TEST_DEEP") else 300
METHODS = (
    ["GET"] * 6 + ["POST"] * 6 + ["PUT"] * 4 + ["PATCH"] * 3 + ["DELETE", "HEAD", "OPTIONS", "TRACE", "PROPFIND", "G!T"]
)
# fmt: off
TYPES = ["Patient", "Task", "Observation", "AuditEvent", "Organization", "Foo", "patient", "%00", "Pa%20ent", "é", "$"]
IDS = [
    "a", "b", "nope", "%00", "a%2Fb", "..", "x" * 65, "_history", "_search", "$validate", "%F0%9F%98%80", "a%0a",
    "-", "%ff",
]
TAILS = [
    "", "/", "/_history", "/_history/1", "/_history/%00", "/_history/99999999999999999", "/_history/1/x", "//",
    "/$everything",
]
VALUES = [
    "", "a", "0", "-1", "999999999999999999999", "%00", "%FF", "%ED%A0%80", "a,b,,c", ",", "|", "a|b|c", "\\",
    "2026-13-45",
    "ge9999-12-31", "lt0001-01-01", "gt9999-12-31T23:59:59.999Z", "2026-02-30", "eq", "x" * 1100, "Patient/a",
    "Patient/",
    "http://[::1/Patient/a", "https://127.0.0.1/fhir/Patient/a", "urn:uuid:1", "true", "%F0%9F%98%80", "\u202e",
    "1e400",
    "Patient/a b", "AAAA", "..", "*", "9" * 30, "ap2026", "T|1", "Patient%00x",
]
NAMES = [
    "_id", "_lastUpdated", "_count", "_sort", "_total", "_summary", "_include", "_revinclude", "_page", "_format",
    "_pretty",
    "_tag", "_profile", "name", "name:exact", "name:contains", "birthdate", "birthdate:missing", "patient",
    "patient:identifier",
    "subject:Patient", "status:not", "identifier", "date", "_has:Task:patient:status", "patient.name", "x", "",
    "%00", "é", "_elements",
    "owner", "authored-on", "_filter", "entity", "agent",
]
HEADERS: list[tuple[str, list[bytes]]] = [
    ("Accept", [b"*/*", b"application/fhir+xml", b"text/html", b"\xff\xfe", b"", b"application/json;q=0", b"a" * 500]),
    ("If-Match", [b'W/"1"', b'"', b"*", b"W/", b"9" * 40, b",,,", b"\xb2", b'W/"1", x']),
    ("If-None-Match", [b'W/"1"', b"*", b"\xff", b'""']),
    ("If-None-Exist", [b"identifier=x|y", b"", b"?", b"%FF=%FF", b"\xff\xff", b"_id=a&_id=b", b"name=" + b"x" * 2000]),
    ("Prefer", [b"return=minimal", b"handling=strict", b"=;=,", b"\xff", b"return=nothing"]),
    ("X-Request-Id", [b"ok-1", b"bad id", b"\xff", b"x" * 300]),
    ("Content-Encoding", [b"gzip", b"identity", b"\xff"]),
    ("Host", [b"evil.example.org", b"[::1", b""]),
]
KINDS = [b"application/fhir+json"] * 6
KINDS += [
    b"application/json", b"application/fhir+xml", b"application/json-patch+json", b"application/x-www-form-urlencoded",
    b"text/plain", b"", b"\xff",
]
BODIES: list[bytes] = [
    b"", b"{", b"null", b"[]", b'"x"', b"1e999", b"\xff\xfe", b"\x00", b'{"resourceType":"Patient"}',
    b'{"resourceType":"Foo"}',
    b'{"resourceType":["Patient"]}', b'{"resourceType":"Patient","id":{}}', b'{"resourceType":"Patient","name":"x"}',
    b'{"resourceType":"Patient","birthDate":"9999-99-99"}', b'{"resourceType":"Patient","meta":[]}',
    b'{"resourceType":"Patient","meta":{"security":["x"]}}',
    b'{"resourceType":"Patient","contained":[{"resourceType":"Patient"}]}',
    b'{"resourceType":"Patient","link":[{"other":{"reference":"Patient/\\u0000"},"type":"refer"}]}',
    b'{"resourceType":"Patient","a":1,"a":2}', b'{"resourceType":"Patient","x":NaN}', b"[" * 5000, b'{"a":' * 200,
    b'{"resourceType":"Patient","multipleBirthInteger":' + b"9" * 60 + b"}",
    b'{"resourceType":"Patient","name":[{"family":"\\ud800"}]}',
    b'{"resourceType":"Parameters","parameter":"x"}',
    b'{"resourceType":"Parameters","parameter":[{"name":"resource"}]}',
    b'<Patient xmlns="http://hl7.org/fhir"/>', b'<Patient xmlns="http://hl7.org/fhir"><name value="x"/></Patient>',
    b'<!DOCTYPE x [<!ENTITY a "a">]><Patient xmlns="http://hl7.org/fhir"><id value="&a;"/></Patient>',
    b'[{"op":"add","path":"/a/b","value":1}]', b'[{"op":"remove","path":"/id"}]', b'{"id":null}',
    b'{"resourceType":"Bundle","type":"batch","entry":[{"request":{"method":"GET","url":"%00"}}]}',
    b"gender=female&gender=%FF", b"_count=x", b"&" * 500, b"name=\xc3\xa9",
    b'{"resourceType":"Task","focus":{"reference":5}}',
    b'{"resourceType":"Task","id":"a","status":"requested","intent":"order","focus":{"reference":"ServiceRequest/"}}',

    b'{"resourceType":"Observation","id":"a","status":"final","code":{"text":"x"},"effectiveDateTime":"0000-00-00T24:61:61Z"}',
]
# fmt: on


def hostile(chance: random.Random) -> dict[str, Any]:
    """One request: parts that are fine and parts that are not, in any combination."""
    path = chance.choice(["", "/", "/metadata", "/metadata/", "/" + "x" * 9000]) if chance.random() < 0.05 else ""
    if not path:
        path = "/" + chance.choice(TYPES[:5] if chance.random() < 0.8 else TYPES)
        if chance.random() < 0.7:
            path += "/" + chance.choice(IDS[:3] if chance.random() < 0.5 else IDS) + chance.choice(TAILS)
    if chance.random() < 0.5:
        path += "?" + "&".join(f"{chance.choice(NAMES)}={chance.choice(VALUES)}" for _ in range(chance.randint(1, 4)))
    headers = [("Content-Type", chance.choice(KINDS))]
    headers += [(name, chance.choice(values)) for name, values in HEADERS if chance.random() < 0.3]
    body = chance.choice(BODIES)
    if chance.random() < 0.3:
        known = observation("Observation/a", "Patient/a")
        if chance.random() < 0.5:
            known = task("Task/a", "Patient/a", "x/y", "a/b", None)
        text = bytearray(httpx.Request("POST", "http://x", json=known).content)
        for _ in range(chance.randint(0, 3)):
            text[chance.randrange(len(text))] = chance.randrange(256)
        body = bytes(text)
    return {"method": chance.choice(METHODS), "path": path, "headers": headers, "content": body}


async def test_hostile_requests_get_an_outcome_and_nothing_breaks(world: Store, app_client: AppClient) -> None:
    chance = random.Random(int(os.environ.get("ENLACE_TEST_SEED", "20260307")))
    roles = (("ecm-provider", ECM1), ("admin", "Organization/op"), ("cbo", CBO1))
    clients = [await app_client(*role) for role in roles]
    for _ in range(COUNT):
        one = hostile(chance)
        client = chance.choice(clients)
        headers = [(name.encode(), value) for name, value in one["headers"]]
        if chance.random() < 0.05:
            wrong = [b"Bearer x", b"Basic Zm9v", b"\xff", b"Bearer " + b"a" * 43]
            headers.append((b"Authorization", chance.choice(wrong)))
        try:
            request = client.build_request(one["method"], one["path"], headers=headers, content=one["content"])
        except httpx.InvalidURL:
            continue
        answer = await client.send(request)
        assert answer.status_code < 500, (one, answer.text)
        if answer.status_code >= 400 and one["method"] != "HEAD":
            outcome = read_xml(answer.content) if "xml" in answer.headers["content-type"] else answer.json()
            assert answer.headers["content-type"].startswith("application/fhir+"), (one, answer.text)
            assert outcome["resourceType"] == "OperationOutcome" and outcome["issue"], one
    admin = clients[1]
    assert (await admin.get("/Patient?_count=1")).status_code == 200
    assert (await admin.get("http://test/healthz")).status_code == 200
