"""G13, L39, L54: what names a person reaches no log, metric, refusal or job, also when requests fail.

Each piece of a made-up person is a word of its own that stands nowhere else. Refusals name types, elements, parameters
and ids as they were sent, never a value; the audit alone may keep what was asked.
"""

import io
import json
import logging
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from service import log_events
from service.interactions import read as read_interaction
from service.store import sources
from service.store.change import Change
from service.store.engine import Store
from tests.service.adt_world import MERCY, Sender
from tests.service.conftest import AppClient
from tests.service.world import ECM1, access_token, put, ref

POSTGRESQL_IN_DEEP = True

WORDS = [f"Zq{n:02d}vanary" for n in range(40)]
FAMILY, GIVEN, STREET, CITY, PHONE, EMAIL, CIN, NOTE, CODE, DISPLAY, *REST = WORDS
JSON = dict[str, Any]


def person() -> JSON:
    return {
        "resourceType": "Patient",
        "name": [{"family": FAMILY, "given": [GIVEN]}],
        "identifier": [{"system": "http://example.org/mrn", "value": CIN}],
        "address": [{"line": [STREET], "city": CITY}],
        "telecom": [{"system": "phone", "value": PHONE}, {"system": "email", "value": EMAIL}],
    }


def bundle(kind: str, *entries: tuple[str, str, JSON | None]) -> JSON:
    made: list[JSON] = []
    for method, url, resource in entries:
        made.append({"request": {"method": method, "url": url}} | ({"resource": resource} if resource else {}))
    return {"resourceType": "Bundle", "type": kind, "entry": made}


def observation(word: str, **more: Any) -> JSON:
    body = {
        "resourceType": "Observation",
        "status": "final",
        "code": {"text": word},
        "subject": {"reference": "Patient/a"},
    }
    return body | more


PATCH = {"Content-Type": "application/json-patch+json"}
FORM = {"Content-Type": "application/x-www-form-urlencoded"}
REQUESTS: list[tuple[str, str, Any, dict[str, str]]] = [
    ("POST", "/Patient", person(), {}),
    ("POST", "/Patient", person() | {"birthDate": REST[0], "gender": REST[1], "madeUp": REST[3]}, {}),
    ("POST", "/Patient", {"resourceType": REST[4]}, {}),
    ("POST", "/Patient", f'{{"resourceType":"Patient","name":"{REST[5]}', {}),
    ("POST", "/Patient", f'{{"resourceType":"Patient","id":"x","id":"{REST[5]}"}}', {}),
    ("PUT", "/Patient/a", person() | {"id": "b"}, {"If-Match": f'W/"{REST[6]}"'}),
    ("PUT", "/Patient/absent", person() | {"id": "absent"}, {}),
    ("GET", "/Patient/absent", None, {}),
    ("GET", f"/{REST[9]}/x", None, {}),
    ("GET", f"/Patient?family={FAMILY}&_count={REST[10]}", None, {}),
    ("GET", f"/Patient?birthdate={REST[11]}", None, {}),
    ("GET", f"/Patient?made-up={REST[13]}", None, {"Prefer": "handling=strict"}),
    ("GET", f"/Observation?value-quantity={REST[14]}&_sort={REST[15]}", None, {}),
    ("GET", f"/Patient?_page={REST[16]}", None, {}),
    ("GET", f"/Patient?_filter=family eq {REST[17]} and and", None, {}),
    ("GET", f"/Patient?_has:Observation:patient:made-up={REST[18]}&_include={REST[19]}", None, {}),
    ("POST", "/Patient/_search", f"family={FAMILY}&telecom={PHONE}&_sort={REST[20]}", FORM),
    (
        "POST",
        "/Observation",
        observation(NOTE, note=[{"text": NOTE}], subject=ref(f"Patient/{REST[21]}")),
        {},
    ),
    ("POST", "/Observation", observation(NOTE, valueQuantity={"value": REST[22]}), {}),
    (
        "POST",
        "/Observation",
        observation(CODE, text={"status": "generated", "div": f"<script>{REST[23]}"}),
        {},
    ),
    ("PATCH", "/Patient/a", [{"op": "test", "path": "/name/0/family", "value": REST[24]}], PATCH),
    ("PATCH", "/Patient/a", [{"op": "add", "path": "/madeUp/x", "value": REST[26]}], PATCH),
    ("POST", "", bundle("transaction", ("POST", "Patient", person()), ("PUT", "Patient/absent", person())), {}),
    ("POST", "", bundle("batch", ("GET", "Patient/absent", None), ("POST", "Patient", {"x": REST[29]})), {}),
    ("POST", "/Patient/$match", {"resourceType": "Patient", "name": [{"family": FAMILY}], "birthDate": CITY}, {}),
    ("POST", "/Patient/$validate", person() | {"gender": DISPLAY}, {}),
    ("GET", "/Patient/a/$everything?_type=" + STREET, None, {}),
    ("GET", "/Patient/a/_history?_since=" + EMAIL, None, {}),
]


async def test_no_word_of_a_person_leaves_but_in_answers_to_those_who_see_it(
    world: Store, app: FastAPI, app_client: AppClient, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    caplog.set_level(logging.DEBUG)
    log_events.configure("json", "debug", stream=(logged := io.StringIO()))
    await put(world, observation(NOTE, id="canary"))
    client = await app_client("ecm-provider", ECM1)
    refused: list[str] = []
    for method, path, body, headers in REQUESTS:
        content = body if isinstance(body, str) else json.dumps(body) if body is not None else None
        sent = {"Content-Type": "application/fhir+json", **headers} if content is not None else headers
        answer = await client.request(method, f"http://test/fhir{path}", content=content, headers=sent)
        assert answer.status_code != 500, (method, path, answer.text)
        refused.append(str(dict(answer.headers)) + (answer.text if answer.status_code >= 400 else ""))
        if path == "" and answer.status_code == 200:  # the entries of a batch each have an outcome
            refused += [json.dumps(e["response"].get("outcome")) for e in answer.json()["entry"]]

    async def broken(*_: Any) -> Any:
        raise RuntimeError(f"{FAMILY} {CIN}")

    monkeypatch.setattr(read_interaction.store_read, "head", broken)
    failed = await client.get("/Patient/a")
    assert failed.status_code == 500
    refused.append(failed.text + str(dict(failed.headers)))
    monkeypatch.undo()
    await _messages(world, app, refused)
    metrics = await client.get("http://test/metrics")
    jobs = await world.fetch("SELECT kind, ordering_key, last_error FROM job")
    # The client of this test logs what it asks for.
    libraries = " ".join(r.getMessage() for r in caplog.records if not r.name.startswith(("httpx", "httpcore")))
    told = " ".join(refused)
    assert [w for w in WORDS if w in logged.getvalue() + libraries] == [], "logged"
    assert [w for w in WORDS if w in told] == [], "in a refusal"
    assert [w for w in WORDS if w in metrics.text + str(jobs)] == []
    assert logged.getvalue().count("\n") > len(REQUESTS), "nothing was logged at all"


async def _messages(world: Store, app: FastAPI, refused: list[str]) -> None:
    """Messages that are taken, that are broken, and that come as JSON."""
    await world.commit(Change(statements=[sources.put(MERCY)]))
    sender = Sender(world)
    good = sender.adt("A01").replace(b"\rPV1", f"\rNK1|1|{REST[28]}^{REST[29]}\rPV1".encode())
    token = await access_token(world, "hospital", "Organization/mercy")
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/hl7-v2"}
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test", headers=headers) as http:
        for raw in (good, good[:40], good.replace(b"MSH", NOTE.encode()), json.dumps(person()).encode()):
            answer = await http.post("/hl7v2", content=raw)
            refused.append(answer.text + str(dict(answer.headers)))
