"""The operator's sending systems over HTTP: found by nobody else, whole, checked, and never overwritten unseen."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from service.interactions.receive_hl7v2 import Receiver
from service.store import sources
from service.store.change import Change
from service.store.engine import Store
from service.workflow.sending_systems import source_of
from service.workflow.source_form import DEFAULTS
from tests.service.adt_world import MERCY, Sender
from tests.service.world import access_token, make, put

POSTGRESQL_IN_DEEP = True

WHOLE: dict[str, Any] = {
    "name": "hie",
    "application": "ENGINE",
    "facility": "HIE",
    "organization": "",
    "active": True,
    "display": "Made-up exchange",
    "zone": "America/Denver",
    "charset": "UNICODE UTF-8",
    "ack_mode": "enhanced",
    "reply_always": False,
    "processing_ids": ["P", "T"],
    "cin_authorities": ["MEDI-CAL"],
    "class_map": {"PV1-18:OBS": "OBSERVATION"},
    "disposition_map": {"Home": "01"},
    "authorities": {"Mercy": "urn:oid:1.2.3"},
    "facilities": {"1234567893": {"organization": "Organization/mercy", "display": "Mercy", "zone": "America/Boise"}},
    "certificates": ["sha256:" + "a1" * 32, "dns:feed.example", "client:c1"],
    "hours": {"mon": "07:00-19:00", "sun": ""},
}


@pytest.fixture
async def admin(app: FastAPI, store: Store) -> AsyncIterator[httpx.AsyncClient]:
    await put(store, make("Organization/mercy", name="Mercy"))
    await store.commit(Change(statements=[sources.put(MERCY)]))
    token = await access_token(store, "admin", "Organization/mercy")
    headers = {"Authorization": f"Bearer {token}"}
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test", headers=headers) as client:
        yield client


async def audit(store: Store) -> list[tuple[str, str, int, str]]:
    rows = await store.fetch(
        "SELECT action, kind, outcome, target FROM audit WHERE kind LIKE 'source-%' ORDER BY slot, seq"
    )
    return [tuple(row) for row in rows]


async def test_a_source_is_added_read_and_changed(store: Store, admin: httpx.AsyncClient) -> None:
    made = await admin.post("/adt/sources", json=WHOLE)
    assert (made.status_code, made.json()) == (201, WHOLE), made.text
    assert made.headers["location"] == "/adt/sources/hie"
    read = await admin.get("/adt/sources/hie")
    assert read.json() == WHOLE and read.headers["etag"] == made.headers["etag"]
    assert [one["name"] for one in (await admin.get("/adt/sources")).json()["sources"]] == ["hie", "mercy"]
    changed = await admin.put(
        "/adt/sources/hie", json=WHOLE | {"zone": "America/Boise"}, headers={"If-Match": read.headers["etag"]}
    )
    assert (changed.status_code, changed.json()["zone"]) == (200, "America/Boise")
    assert changed.headers["etag"] == (await admin.get("/adt/sources/hie")).headers["etag"] != read.headers["etag"]
    assert await audit(store) == [
        ("C", "source-add", 0, "source/hie"),
        ("R", "source-read", 0, "source/hie"),
        ("E", "source-read", 0, "source"),
        ("U", "source-change", 0, "source/hie"),
        ("R", "source-read", 0, "source/hie"),
    ]


async def test_what_the_mappers_read_is_what_was_written(store: Store, admin: httpx.AsyncClient) -> None:
    await admin.post("/adt/sources", json=WHOLE)
    config = await source_of(store, "hie")
    assert config is not None
    assert config.authority("mercy", "x") == config.authority("", "MERCY") == "urn:oid:1.2.3"
    assert (config.disposition("HOME"), config.disposition("AWAY")) == ("01", "")
    there = config.at("x", "1234567893")
    assert (there.facility, there.facility_display, there.zone) == ("Organization/mercy", "Mercy", "America/Boise")
    assert config.at("") is config
    assert config.at("nowhere").facility_display == "", "an exchange is no hospital: the name is the one that was sent"
    assert (config.reply_always, config.ack_mode, config.processing_ids) == (False, "enhanced", ("P", "T"))


async def test_what_is_not_named_is_as_by_default(admin: httpx.AsyncClient) -> None:
    least = {"name": "new", "facility": "NEW", "organization": "Organization/mercy"}
    assert (await admin.post("/adt/sources", json=least)).json() == DEFAULTS | least
    old = await admin.get("/adt/sources/mercy")
    assert old.json() == DEFAULTS | {
        "name": "mercy", "application": "EPIC", "facility": "MERCY", "organization": "Organization/mercy",
        "display": "Mercy Made-up",
    }  # fmt: skip
    same = await admin.put("/adt/sources/mercy", json=old.json(), headers={"If-Match": old.headers["etag"]})
    assert (same.status_code, same.json()) == (200, old.json())


async def test_it_holds_for_the_next_message(store: Store, admin: httpx.AsyncClient) -> None:
    body = {"name": "valley", "application": "CERNER", "facility": "VALLEY", "organization": "Organization/mercy"}
    assert (await admin.post("/adt/sources", json=body | {"ack_mode": "enhanced"})).status_code == 201
    ack = await Receiver(store).receive(Sender(store).adt("A01", MSH_3="CERNER", MSH_4="VALLEY"))
    assert ack and b"MSA|CA|" in ack


WRONG: dict[str, Any] = {
    "name": "no blanks", "application": 1, "facility": "", "organization": "Patient/a", "active": "yes",
    "display": "x\x1b", "zone": "Mars/Base", "charset": "KLINGON", "ack_mode": "later", "reply_always": 1,
    "processing_ids": ["X"], "cin_authorities": [""], "class_map": {"PV1-4:R": "ED"}, "disposition_map": {"HOME": "1"},
    "authorities": {"A": "not a uri"}, "facilities": {"1": {"organization": "Mercy"}}, "certificates": ["sha256:1"],
    "hours": {"mon": "19:00-07:00"},
}  # fmt: skip


async def test_all_that_is_wrong_is_said_at_once(store: Store, admin: httpx.AsyncClient) -> None:
    answer = await admin.post("/adt/sources", json={k: v for k, v in WRONG.items() if k != "display"} | {"colour": 1})
    assert answer.status_code == 400
    text = answer.json()["error_description"]
    assert "Some members are not known here" in text and "colour" not in text
    assert all(f"{name} is " in text for name in WRONG if name != "display")
    for name, value in WRONG.items():
        if name != "display":
            alone = await admin.post("/adt/sources", json=WHOLE | {name: value})
            assert (alone.status_code, alone.json()["error"]) == (400, "invalid_source"), name
            assert alone.json()["error_description"].count(". ") == 0
    assert (await audit(store))[0] == ("E", "source-add", 4, "source")


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({"organization": "Organization/nope"}, "There is no Organization/nope: write it first."),
        ({"facilities": {"x": {"organization": "Organization/nope"}}}, "There is no Organization/nope"),
        ({"application": "EPIC", "facility": "MERCY"}, "EPIC/MERCY is already mercy"),
        ({"facilities": {}}, "organization is required where facilities names none."),
    ],
)
async def test_what_cannot_stand_beside_the_others(admin: httpx.AsyncClient, body: dict[str, Any], words: str) -> None:
    answer = await admin.post("/adt/sources", json=WHOLE | body)
    assert answer.status_code == 400 and words in answer.json()["error_description"]
    assert (await admin.get("/adt/sources/hie")).status_code == 404


async def test_nobody_overwrites_what_they_have_not_seen(admin: httpx.AsyncClient) -> None:
    tag = (await admin.post("/adt/sources", json=WHOLE)).headers["etag"]
    assert (await admin.post("/adt/sources", json=WHOLE)).status_code == 409
    assert (await admin.put("/adt/sources/hie", json=WHOLE)).status_code == 428
    assert (await admin.put("/adt/sources/hie", json=WHOLE, headers={"If-Match": 'W/"77"'})).status_code == 412
    bodies = [WHOLE | {"display": f"number {n}"} for n in range(8)]
    answers = await asyncio.gather(
        *(admin.put("/adt/sources/hie", json=body, headers={"If-Match": tag}) for body in bodies)
    )
    assert sorted(answer.status_code for answer in answers) == [200] + [412] * 7
    kept = next(answer.json() for answer in answers if answer.status_code == 200)
    assert (await admin.get("/adt/sources/hie")).json() == kept


async def test_two_new_sources_of_one_sender_at_once(store: Store, admin: httpx.AsyncClient) -> None:
    answers = await asyncio.gather(*(admin.post("/adt/sources", json=WHOLE | {"name": f"hie{n}"}) for n in range(6)))
    assert sorted(answer.status_code for answer in answers)[0] == 201
    assert {answer.status_code for answer in answers} <= {201, 400, 409}
    assert len([s for s in await sources.all_sources(store) if s.facility == "HIE"]) == 1


async def test_a_name_stays(admin: httpx.AsyncClient) -> None:
    tag = (await admin.post("/adt/sources", json=WHOLE)).headers["etag"]
    answer = await admin.put("/adt/sources/hie", json=WHOLE | {"name": "other"}, headers={"If-Match": tag})
    assert answer.status_code == 400 and "name cannot change" in answer.json()["error_description"]


@pytest.mark.parametrize("role", ["hospital", "ecm-provider", "lcm", "mcp", "cbo"])
async def test_for_others_there_is_nothing(store: Store, admin: httpx.AsyncClient, app: FastAPI, role: str) -> None:
    token = await access_token(store, role, "Organization/mercy")
    headers = {"Authorization": f"Bearer {token}"}
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test", headers=headers) as client:
        answers = [
            *[await client.get(f"/adt/sources{name}") for name in ("", "/mercy", "/x")],
            await client.post("/adt/sources", json=WHOLE),
            await client.put("/adt/sources/mercy", json=WHOLE),
        ]
    assert {(answer.status_code, answer.content) for answer in answers} == {(404, answers[0].content)}


async def test_the_scope_is_needed(store: Store, admin: httpx.AsyncClient, app: FastAPI) -> None:
    token = await access_token(store, "admin", "Organization/mercy", None, "system/*.rs")
    headers = {"Authorization": f"Bearer {token}"}
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test", headers=headers) as client:
        assert (await client.get("/adt/sources/mercy")).status_code == 200
        refused = await client.post("/adt/sources", json=WHOLE)
        assert (refused.status_code, refused.json()["error"]) == (403, "insufficient_scope")
        assert (await client.post("/adt/sources", content=b"{}")).status_code == 403


async def test_bodies_that_are_none(admin: httpx.AsyncClient) -> None:
    assert (await admin.post("/adt/sources", content=b"x")).status_code == 415
    for body in (b"[]", b"{", b"", b'"x"'):
        answer = await admin.post("/adt/sources", content=body, headers={"Content-Type": "application/json"})
        assert (answer.status_code, set(answer.json())) == (400, {"error", "error_description"})
