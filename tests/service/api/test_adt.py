"""The operator's API of hospital feeds: who finds it, what it shows where, what is refused, trial and replay."""

from typing import Any

import httpx
import pytest

from service.api import operated
from service.store import sources
from service.store.change import Change
from service.store.engine import Store
from service.store.sources import RegisteredSource
from tests.service.adt_world import Sender, adt_world, luis, said
from tests.service.conftest import AppClient

POSTGRESQL_IN_DEEP = True
BASE = "http://test"
VALLEY = RegisteredSource("valley", "CERNER", "VALLEY", "Organization/mercy", {"display": "Valley Made-up"}, True)


@pytest.fixture
async def sender(store: Store) -> Sender:
    """C1 rosa's admission, C2 a stranger, C3 from a sender that nobody registered."""
    await adt_world(store)
    made = Sender(store)
    stranger = said("", "Nobody", mrn="M-777", given="Una", birth_date="1950-01-01")
    await made(
        made.adt("A01", visit_number="V1"), made.adt("A01", stranger, visit_number="V2"),
        made.adt("A01", luis(), MSH_3="CERNER", MSH_4="VALLEY", visit_number="V3"),
    )  # fmt: skip
    return made


@pytest.fixture
async def admin(sender: Sender, app_client: AppClient) -> httpx.AsyncClient:
    client = await app_client("admin", "Organization/op")
    client.base_url = httpx.URL(BASE)
    return client


async def test_feeds_tell_counts_and_nothing_else(admin: httpx.AsyncClient, sender: Sender) -> None:
    answer = await admin.get("/adt/feeds")
    assert answer.status_code == 200 and answer.headers["cache-control"] == "no-store"
    mercy, strangers = answer.json()["feeds"]
    assert (mercy["name"], mercy["active"], mercy["messages"]["last_hour"]) == ("mercy", True, 2)
    assert mercy["states_last_day"] == {"applied": 1, "unmatched": 1} and mercy["unmatched_share"] == 0.5
    assert (mercy["error_share"], mercy["waiting"], mercy["alarms"]) == (0.0, 0, [])
    assert strangers["name"] == "unregistered"
    assert not [word for word in ("Quillfeather", "M-777", "CERNER") if word in answer.text]


async def test_a_list_has_words_and_names_of_people_stay_out_of_urls(admin: httpx.AsyncClient) -> None:
    found = (await admin.get("/adt/messages")).json()["messages"]
    assert [one["control_id"] for one in found] == ["C3", "C2", "C1"]
    assert found[2]["words"].startswith("Its member was found") and found[0]["remedy"].startswith("`enlace adt source")
    assert [m["control_id"] for m in (await admin.get("/adt/messages?state=unmatched")).json()["messages"]] == ["C2"]
    refused = await admin.get("/adt/messages?mrn=M-777&state=lost&limit=0&colour=red")
    said = refused.json()["error_description"]
    assert refused.status_code == 400 and "M-777" not in said
    for word in ("/adt/messages/_search", "state is one of", "limit is a number from 1 to 1000", "colour is not known"):
        assert word in said
    for body, expected in (
        ({"mrn": "M-777"}, ["C2"]), ({"name": "quillfeather, rosalind"}, ["C1"]), ({"visit": "V3"}, ["C3"]),
        ({"cin": luis()["cin"], "event": "a01"}, ["C3"]), ({"patient": "Patient/rosa", "limit": 1}, ["C1"]),
    ):  # fmt: skip
        answer = await admin.post("/adt/messages/_search", json=body)
        assert [m["control_id"] for m in answer.json()["messages"]] == expected, body
    for wrong in ({"ids": [1]}, {"mrn": 7}, {"since": "yesterday"}, {"patient": "rosa"}, {"day": "2026-02-30"}, []):
        assert (await admin.post("/adt/messages/_search", json=wrong)).status_code == 400, wrong
    assert (await admin.post("/adt/messages/_search", content="mrn=1")).status_code == 415


async def test_a_control_id_of_two_contents_shows_after_both_had_their_effect(
    admin: httpx.AsyncClient, sender: Sender
) -> None:
    await sender(sender.adt("A08", control_id="C1", ago=30), sender.adt("A08", control_id="C9", ago=20))
    found = (await admin.get("/adt/messages")).json()["messages"]
    assert [(one["control_id"], one["reason"]) for one in found if one["same_control_id"]] == [("C1", "matched")] * 2
    body = (await admin.get(f"/adt/messages/{found[0]['id']}")).json()
    assert (body["control_id"], body["same_control_id"]) == ("C9", False)


async def test_one_message_and_its_values_in_the_sandbox_only(
    admin: httpx.AsyncClient, sender: Sender, app_client: AppClient
) -> None:
    [(id,)] = await sender.store.fetch("SELECT id FROM inbox WHERE control_id = 'C1'")
    shown = await admin.get(f"/adt/messages/{id}")
    body = shown.json()
    assert body["state"] == "applied" and body["encounter"] and body["alerts"] and body["understood"]
    assert "raw" not in body and not [w for w in ("Quillfeather", "91000001A", "Rosalind") if w in shown.text]
    whole = (await admin.get(f"/adt/messages/{id}?content=true")).json()
    assert "Quillfeather" in whole["raw"]
    rows = await sender.store.fetch("SELECT kind, detail FROM audit WHERE kind = 'message-read' ORDER BY seq")
    assert [kind for kind, _ in rows] == ["message-read"] * 2
    for unknown in ("7", "0", "x", str(2**64)):
        assert (await admin.get(f"/adt/messages/{unknown}")).status_code == 404
    provider = await app_client("ecm-provider", "Organization/ecm-1")
    for path in ("/adt/feeds", "/adt/messages", f"/adt/messages/{id}", f"/adt/messages/{id}/replay", "/adt/replay"):
        method = "POST" if path.endswith("replay") else "GET"
        hidden = await provider.request(method, f"{BASE}{path}")
        assert (hidden.status_code, hidden.json()["error"]) == (404, "not_found"), path


async def test_outside_the_sandbox_no_value_is_shown(
    admin: httpx.AsyncClient, sender: Sender, monkeypatch: pytest.MonkeyPatch
) -> None:
    [(id,)] = await sender.store.fetch("SELECT id FROM inbox WHERE control_id = 'C1'")
    known = operated.authenticated

    async def as_before(shared: Any, *rest: Any) -> Any:
        """A token is good in one environment only; here the same caller asks in another one."""
        monkeypatch.setattr(shared, "settings", shared.settings.model_copy(update={"env": "sandbox"}))
        caller = await known(shared, *rest)
        monkeypatch.setattr(shared, "settings", shared.settings.model_copy(update={"env": "production"}))
        return caller

    monkeypatch.setattr(operated, "authenticated", as_before)
    answer = await admin.get(f"/adt/messages/{id}?content=true")
    assert answer.status_code == 200 and answer.json()["state"] == "applied"
    assert "raw" not in answer.json() and "Quillfeather" not in answer.text
    listed = await admin.get("/adt/messages")
    assert len(listed.json()["messages"]) == 3
    tried = await admin.post("/adt/replay", json={"ids": [id], "trial": True})
    assert tried.json()["looked"] == 1
    assert not [one.url for one in (answer, listed, tried) if "Patient/" in one.text]
    for about in ({"name": "Quillfeather"}, {"mrn": "M-777"}, {"patient": "Patient/rosa"}):
        for path in ("/adt/messages/_search", "/adt/replay"):
            refused = await admin.post(path, json={**about, "trial": True} if "replay" in path else about)
            assert refused.status_code == 400 and "enlace adt inbox" in refused.json()["error_description"]
    assert (await admin.post("/adt/messages/_search", json={"state": "applied"})).status_code == 200


async def test_a_trial_says_what_a_replay_then_does(admin: httpx.AsyncClient, sender: Sender) -> None:
    store = sender.store
    await store.commit(Change(statements=[sources.put(VALLEY)]))
    before = await store.fetch("SELECT count(*) FROM version")
    trial = (await admin.post("/adt/replay", json={"state": "unregistered", "trial": True})).json()
    assert (trial["looked"], trial["changed"], trial["messages"][0]["renamed"]) == (1, 1, "valley")
    assert await store.fetch("SELECT count(*) FROM version") == before
    assert (await admin.post("/adt/replay", json={"state": "unregistered"})).json()["queued"] == 1
    assert (await sender())[2] == ("applied", "matched")
    [(id,)] = await store.fetch("SELECT id FROM inbox WHERE control_id = 'C3'")
    again = (await admin.post(f"/adt/messages/{id}/replay", json={"trial": True})).json()
    assert (again["changed"], again["messages"][0]["writes"]) == (0, [])
    assert (await admin.post(f"/adt/messages/{id}/replay")).json() == {"queued": 1, "repeated": 0, "purged": 0}
    before = await store.fetch("SELECT count(*) FROM version")
    await sender()
    assert await store.fetch("SELECT count(*) FROM version") == before, "it had its effect"
    for nothing in ({}, {"trial": True}, {"limit": 5}, {"ids": "all"}, {"ids": [0]}, {"ids": [1], "trial": "yes"}):
        assert (await admin.post("/adt/replay", json=nothing)).status_code == 400, nothing
