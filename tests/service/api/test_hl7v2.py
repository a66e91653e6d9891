"""POST /hl7v2: who may, in which shape, and that the path is the listener's."""

import base64
import gzip
from collections.abc import AsyncIterator, Awaitable, Callable

import httpx
import pytest
from fastapi import FastAPI

from service.api import hl7v2
from service.store import sources
from service.store.change import Change
from service.store.engine import Store
from tests.service.adt_world import MERCY, Sender
from tests.service.world import access_token

POSTGRESQL_IN_DEEP = True

Http = Callable[..., Awaitable[httpx.AsyncClient]]
HL7 = {"Content-Type": "application/hl7-v2"}


@pytest.fixture
async def sender(store: Store) -> Sender:
    await store.commit(Change(statements=[sources.put(MERCY)]))
    return Sender(store)


@pytest.fixture
async def http(app: FastAPI, store: Store) -> AsyncIterator[Http]:
    opened: list[httpx.AsyncClient] = []

    async def make(role: str | None = "hospital") -> httpx.AsyncClient:
        token = await access_token(store, role, "Organization/mercy") if role else None
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        opened.append(httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test", headers=headers))
        return opened[-1]

    yield make
    for client in opened:
        await client.aclose()


async def audit(store: Store) -> list[tuple[str, int, str, str]]:
    rows = await store.fetch("SELECT kind, outcome, reason, organization FROM audit WHERE target = 'hl7v2'")
    return [tuple(row) for row in rows]


@pytest.mark.parametrize("role", ["hospital", "admin"])
async def test_a_hospital_sends_and_gets_the_same_answer_as_over_mllp(
    store: Store, sender: Sender, http: Http, role: str
) -> None:
    raw = sender.adt("A01")
    answer = await (await http(role)).post("/hl7v2", content=raw, headers=HL7)
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("application/hl7-v2")
    assert answer.headers["cache-control"] == "no-store"
    assert b"MSA|AA|" in answer.content
    assert await sender.receiver.receive(raw) == answer.content
    assert await audit(store) == [("hl7v2", 0, "", "Organization/mercy")]


@pytest.mark.parametrize("role", ["lcm", "ecm-provider", "mcp", "cbo", "referrer"])
async def test_no_other_role_may(store: Store, sender: Sender, http: Http, role: str) -> None:
    answer = await (await http(role)).post("/hl7v2", content=sender.adt("A01"), headers=HL7)
    assert answer.status_code == 403
    assert answer.json()["resourceType"] == "OperationOutcome"
    assert await store.fetch("SELECT id FROM inbox") == []
    assert await audit(store) == [("refusal", 4, "role", "Organization/mercy")]


async def test_nobody_without_a_token(store: Store, sender: Sender, http: Http) -> None:
    answer = await (await http(None)).post("/hl7v2", content=sender.adt("A01"), headers=HL7)
    assert answer.status_code == 401
    assert "www-authenticate" in answer.headers
    assert (await audit(store))[0][:2] == ("refusal", 4)


@pytest.mark.parametrize("kind", ["application/hl7-v2+xml", "", "application/fhir+json"])
async def test_other_content_types_are_refused(http: Http, sender: Sender, kind: str) -> None:
    answer = await (await http()).post("/hl7v2", content=sender.adt("A01"), headers={"Content-Type": kind})
    assert answer.status_code == 415


@pytest.mark.parametrize("kind", ["x-application/hl7-v2+er7", "text/plain; charset=utf-8", "APPLICATION/HL7-V2"])
async def test_the_usual_content_types(http: Http, sender: Sender, kind: str) -> None:
    answer = await (await http()).post("/hl7v2", content=sender.adt("A01"), headers={"Content-Type": kind})
    assert answer.status_code == 200


async def test_base64_in_json_is_answered_so(store: Store, sender: Sender, http: Http) -> None:
    raw = sender.adt("A01")
    text, client = base64.b64encode(raw).decode(), await http()
    first, *others = [
        await client.post("/hl7v2", json=body)
        for body in ({"message": {"data": text}}, {"data": text}, {"message": text[:8] + "\n" + text[8:]})
    ]
    assert first.status_code == 200 and first.headers["cache-control"] == "no-store"
    ack = base64.b64decode(first.json()["hl7Ack"])
    assert b"MSA|AA|" in ack and await sender.receiver.receive(raw) == ack
    assert all(other.json() == first.json() for other in others)
    assert await store.fetch("SELECT raw FROM inbox") == [(raw,)]


@pytest.mark.parametrize(
    "body", ["[]", "{}", '{"message": 5}', '{"message": {"data": "%%%"}}', '{"data": ""}', "{", "1"]
)
async def test_json_without_a_message(store: Store, http: Http, body: str) -> None:
    answer = await (await http()).post("/hl7v2", content=body, headers={"Content-Type": "application/json"})
    assert (answer.status_code, answer.json()["resourceType"]) == (400, "OperationOutcome")
    assert await store.fetch("SELECT id FROM inbox") == []


async def test_a_packed_batch_is_answered_by_a_batch(store: Store, sender: Sender, http: Http) -> None:
    batch = b"BHS|^~\\&|EPIC\r" + sender.adt("A01") + sender.adt("A03") + b"BTS|2\r"
    client = await http()
    answer = await client.post("/hl7v2", content=gzip.compress(batch), headers={**HL7, "Content-Encoding": "gzip"})
    assert answer.status_code == 200 and answer.content.count(b"\rMSA|AA|") == 2
    assert [row[0] for row in await store.fetch("SELECT event FROM inbox ORDER BY id")] == ["A01", "A03"]


async def test_a_hospital_does_not_speak_for_another(store: Store, sender: Sender, app: FastAPI) -> None:
    token = await access_token(store, "hospital", "Organization/elsewhere")
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test") as client:
        headers = {**HL7, "Authorization": f"Bearer {token}"}
        answer = await client.post("/hl7v2", content=sender.adt("A01"), headers=headers)
    assert (answer.status_code, b"MSA|AA|" in answer.content) == (200, True), "as for its own: nothing is told"
    rows = await store.fetch("SELECT source, state, reason FROM inbox")
    assert [tuple(row) for row in rows] == [("?!EPIC/MERCY", "unregistered", "sender-not-proven")]


async def test_empty_and_oversize_bodies(
    store: Store, http: Http, sender: Sender, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = await http()
    assert (await client.post("/hl7v2", content=b"", headers=HL7)).status_code == 400
    monkeypatch.setattr(hl7v2, "MAX_BYTES", 100)
    assert (await client.post("/hl7v2", content=sender.adt("A01"), headers=HL7)).status_code == 413
    assert await store.fetch("SELECT id FROM inbox") == []


async def test_what_cannot_be_read_is_answered_negatively_with_200(http: Http) -> None:
    answer = await (await http()).post("/hl7v2", content=b"no header", headers=HL7)
    assert (answer.status_code, b"MSA|AR" in answer.content) == (200, True)


async def test_other_methods(http: Http) -> None:
    assert (await (await http()).get("/hl7v2")).status_code == 405
