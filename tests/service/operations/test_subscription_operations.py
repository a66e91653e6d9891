"""The operations on a Subscription through HTTP: what they answer, to whom, and what stays behind."""

from typing import Any

import httpx
import pytest

from service.notify import secrets
from service.notify.model import State
from service.operations import subscription_events
from service.store.change import Change, Statement
from tests.service.conftest import AppClient
from tests.service.notify.fake_receiver import DOWN, JSON, OK, Desk, events_of, kind_of
from tests.service.world import CBO1, CBO2, ECM1, ECM2

POSTGRESQL_IN_DEEP = True
ONES = ("$status", "$events", "$deliveries")
ACTS = ("$pause", "$resume", "$test-event", "$resend", "$rotate-secret")


@pytest.fixture
async def ours(app_client: AppClient) -> httpx.AsyncClient:
    return await app_client("cbo", CBO1)


@pytest.fixture
async def state(desk: Desk, ours: httpx.AsyncClient) -> State:
    return await desk.subscribes(ours, content="full-resource")


async def news(desk: Desk, number: int = 1) -> None:
    """A Task of CBO 1 changes, and that is told."""
    status = ("", "accepted", "in-progress", "completed")[number]
    await desk.changes("Task/a", businessStatus={"text": f"news {number}"}, status=status)
    await desk.work()


def values(answer: httpx.Response) -> dict[str, Any]:
    """name -> value of a Parameters resource; of one that repeats the last."""
    assert answer.status_code == 200, answer.text
    return {
        one["name"]: next((value for name, value in one.items() if name.startswith("value")), one.get("part"))
        for one in answer.json()["parameter"]
    }


async def test_status_of_one_and_of_several(desk: Desk, ours: httpx.AsyncClient, state: State) -> None:
    other = await desk.subscribes(ours)
    one = (await ours.get(f"/{state.reference}/$status")).json()
    assert (one["type"], one["total"]) == ("searchset", 1)
    status = values(httpx.Response(200, json=one["entry"][0]["resource"]))
    assert (status["status"], status["type"], status["events-since-subscription-start"]) == (
        "active",
        "query-status",
        "0",
    )
    assert one["entry"][0]["search"] == {"mode": "match"}
    body = {"resourceType": "Parameters", "parameter": [{"name": "id", "valueId": other.fhir_id}]}
    named = (await ours.post("/Subscription/$status", json=body, headers=JSON)).json()
    assert [entry["resource"]["parameter"][0]["valueReference"]["reference"][-36:] for entry in named["entry"]] == [
        other.fhir_id
    ]
    for query, count in (
        ("", 2),
        ("?status=active", 2),
        ("?status=off,error", 0),
        (f"?id={state.fhir_id},{other.fhir_id}", 2),
        (f"?id={state.fhir_id}&id=nobody", 1),
    ):
        assert (await ours.get(f"/Subscription/$status{query}")).json()["total"] == count, query
    wrong = await ours.get("/Subscription/$status?status=asleep&ids=1")
    assert wrong.status_code == 400 and len(wrong.json()["issue"]) == 2


async def test_nobody_else_learns_that_it_is_there(
    desk: Desk, ours: httpx.AsyncClient, state: State, app_client: AppClient
) -> None:
    """Absent and foreign, byte for byte, whatever is asked; an operator sees all."""
    await news(desk)
    for role, organization in (("cbo", CBO2), ("ecm-provider", ECM1), ("lcm", ECM2), ("referrer", "Organization/r")):
        other = await app_client(role, organization)
        for name in (*ONES, *ACTS, "$get-ws-binding-token"):
            query = "?eventsSinceNumber=1" if name == "$resend" else ""
            method = "POST" if name in ACTS else "GET"
            foreign = await other.request(method, f"/{state.reference}/{name}{query}")
            absent = await other.request(method, f"/Subscription/{'0' * 36}/{name}{query}")
            assert foreign.status_code == absent.status_code == 404, (role, name, foreign.text)
            assert foreign.content == absent.content.replace(b"0" * 36, state.fhir_id.encode())
        for query in ("", f"?id={state.fhir_id}"):
            assert (await other.get(f"/Subscription/$status{query}")).json()["total"] == 0
    operator = await app_client("admin", "Organization/operator")
    assert (await operator.get(f"/{state.reference}/$deliveries")).status_code == 200
    assert (await operator.post(f"/{state.reference}/$pause")).status_code == 200
    colleague = await app_client("cbo", CBO1)
    assert (await colleague.get(f"/{state.reference}/$deliveries")).status_code == 200
    assert (await colleague.post(f"/{state.reference}/$rotate-secret")).status_code == 403
    reader = await app_client("cbo", CBO1, scopes="system/Subscription.r")
    assert (await reader.post(f"/{state.reference}/$pause")).status_code == 403
    seer = await app_client("cbo", CBO1, scopes="system/Task.rs")
    assert (await seer.get(f"/{state.reference}/$events")).status_code == 403


async def test_events_are_told_again_as_access_stands_now(
    desk: Desk, ours: httpx.AsyncClient, state: State, app_client: AppClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    await news(desk)
    await news(desk, 2)
    await news(desk, 3)
    every = (await ours.get(f"/{state.reference}/$events")).json()
    assert (every["type"], kind_of(every)) == ("history", "query-event")
    assert events_of(every) == [(1, "Task/a"), (2, "Task/a"), (3, "Task/a")]
    resources = [entry["resource"] for entry in every["entry"][1:]]
    texts = [one["businessStatus"]["text"] for one in resources if one["resourceType"] == "Task"]
    assert texts == ["news 1", "news 2", "news 3"]
    some = await ours.get(f"/{state.reference}/$events?eventsSinceNumber=2&eventsUntilNumber=2&content=id-only")
    assert events_of(some.json()) == [(2, "Task/a")] and "resource" not in some.json()["entry"][1]
    empty = (await ours.get(f"/{state.reference}/$events?content=empty")).json()
    assert events_of(empty) == [(1, ""), (2, ""), (3, "")] and len(empty["entry"]) == 1
    wrong = await ours.get(f"/{state.reference}/$events?content=all&eventsSinceNumber=x&since=1")
    assert wrong.status_code == 400 and len(wrong.json()["issue"]) == 3
    monkeypatch.setattr(subscription_events, "MOST", 2)
    first = (await ours.get(f"/{state.reference}/$events")).json()
    (link,) = first["link"]
    rest = (await ours.get(link["url"].partition("/fhir")[2])).json()
    assert [number for page in (first, rest) for number, _ in events_of(page)] == [1, 2, 3] and "link" not in rest
    # A colleague's system with narrower scopes has no more of it than its scopes give.
    narrow = await app_client("cbo", CBO1, scopes="system/Subscription.r")
    assert events_of((await narrow.get(f"/{state.reference}/$events?eventsUntilNumber=2")).json()) == [(1, ""), (2, "")]
    await desk.changes("Task/a", owner={"reference": CBO2})
    silent = (await ours.get(f"/{state.reference}/$events?eventsUntilNumber=2")).json()
    assert events_of(silent) == [(1, ""), (2, "")] and "news" not in str(silent)


async def test_the_content_level_is_never_exceeded(desk: Desk, ours: httpx.AsyncClient) -> None:
    state = await desk.subscribes(ours, content="id-only")
    await news(desk)
    answer = (await ours.get(f"/{state.reference}/$events?content=full-resource")).json()
    assert events_of(answer) == [(1, "Task/a")]
    assert [entry for entry in answer["entry"][1:] if "resource" in entry] == []


async def test_pause_and_resume(desk: Desk, ours: httpx.AsyncClient, state: State) -> None:
    for _ in range(2):  # twice is as once
        assert values(await ours.post(f"/{state.reference}/$pause")) == {"paused": True, "status": "active"}
    await news(desk)
    assert desk.receiver.numbers() == []
    assert values(await ours.get(f"/{state.reference}/$deliveries"))["paused"] is True
    assert values(await ours.post(f"/{state.reference}/$resume"))["paused"] is False
    await desk.work()
    assert desk.receiver.numbers() == [1]
    assert (await ours.post(f"/{state.reference}/$pause?for=ever")).status_code == 400
    assert (await ours.get(f"/{state.reference}/$pause")).status_code == 405


async def test_a_test_event_and_sending_again(desk: Desk, ours: httpx.AsyncClient, state: State) -> None:
    assert values(await ours.post(f"/{state.reference}/$test-event"))["queued"] is True
    await desk.work()
    await news(desk)
    assert desk.receiver.told() == [(1, state.reference), (2, "Task/a")]
    again = await ours.post(f"/{state.reference}/$resend?eventsSinceNumber=2")
    assert values(again) == {"events": 1, "eventsSinceNumber": "2", "eventsUntilNumber": "2"}
    await desk.work()
    assert desk.receiver.numbers() == [1, 2, 2]
    for query, status in (
        ("", 400),
        ("?eventsSinceNumber=0", 400),
        ("?eventsSinceNumber=2&eventsUntilNumber=1", 400),
        ("?eventsSinceNumber=3", 422),
    ):
        assert (await ours.post(f"/{state.reference}/$resend{query}")).status_code == status, query
    assert (await desk.puts(ours, await desk.state(state.fhir_id), status="off")).status_code == 200
    for name in ("$test-event", "$resend?eventsSinceNumber=1"):
        refused = await ours.post(f"/{state.reference}/{name}")
        assert refused.status_code == 422 and "this one is off" in refused.text


async def test_the_ledger_says_what_failed_in_words(desk: Desk, ours: httpx.AsyncClient, state: State) -> None:
    desk.receiver.answers = [DOWN, DOWN, OK]
    await news(desk)
    found = values(await ours.get(f"/{state.reference}/$deliveries"))
    assert (found["failures"], found["numbered"], found["delivered"]) == (1, "1", "0")
    assert found["failure"].startswith("The receiver failed (5xx).") and found["failure"].endswith("Status 503.")
    assert {"failing-since", "next-attempt", "oldest-undelivered"} <= found.keys()
    await desk.work(60)
    await desk.work(60)
    ledger = await ours.get(f"/{state.reference}/$deliveries")
    outcomes = [dict(_part(one))["outcome"] for one in ledger.json()["parameter"] if one["name"] == "attempt"]
    assert outcomes == ["ok", "failed", "failed", "ok"]  # newest first; the first was the handshake
    assert "failure" not in values(ledger) and values(ledger)["delivered"] == "1"
    for query, count in (("?outcome=failed", 2), ("?number=1", 3), ("?number=2", 0), ("?_count=3", 3)):
        page = (await ours.get(f"/{state.reference}/$deliveries{query}")).json()["parameter"]
        assert len([one for one in page if one["name"] == "attempt"]) == count, query
    first = values(await ours.get(f"/{state.reference}/$deliveries?_count=3"))
    rest = await ours.get(f"/{state.reference}/$deliveries?_count=3&before={first['next']}")
    kinds = [dict(_part(one))["kind"] for one in rest.json()["parameter"] if one["name"] == "attempt"]
    assert kinds == ["handshake"] and "next" not in values(rest)
    wrong = await ours.get(f"/{state.reference}/$deliveries?_count=no&before=x&outcome=good&number=0")
    assert wrong.status_code == 400 and len(wrong.json()["issue"]) == 4


def _part(parameter: dict[str, Any]) -> list[tuple[str, Any]]:
    return [(one["name"], next(v for n, v in one.items() if n.startswith("value"))) for one in parameter["part"]]


async def test_a_new_secret_is_shown_once_and_the_old_one_signs_for_a_day(
    desk: Desk, ours: httpx.AsyncClient, state: State
) -> None:
    shown = [values(await ours.post(f"/{state.reference}/$rotate-secret"))["secret"] for _ in range(2)]
    key = desk.behaviour.page_key
    stored = await desk.state(state.fhir_id)
    assert stored.secret_before is not None
    assert [secrets.shown(secrets.opened(key, one)) for one in (stored.secret_before, stored.secret)] == shown
    await news(desk)
    assert [secrets.shown(one) for one in desk.receiver.sent[-1].secrets] == [shown[1], shown[0]]
    await desk.work(24 * 3600)
    await news(desk, 2)
    assert [secrets.shown(one) for one in desk.receiver.sent[-1].secrets] == [shown[1]]
    rows = await desk.store.fetch("SELECT kind, detail, target FROM audit WHERE kind = 'subscription-secret'")
    assert len(rows) == 2 and all(one not in str(rows) for one in shown)


async def test_each_act_is_in_the_audit(desk: Desk, ours: httpx.AsyncClient, state: State) -> None:
    await news(desk)
    for name in ACTS:
        assert (await ours.post(f"/{state.reference}/{name}{'?eventsSinceNumber=1' * (name == '$resend')}")).is_success
    for name in ONES:
        assert (await ours.get(f"/{state.reference}/{name}")).is_success
    rows = await desk.store.fetch("SELECT kind, patients FROM audit WHERE target = ?", (state.reference,))
    kinds = {f"subscription-{one}" for one in "pause resume test resend secret status events deliveries".split()}
    assert kinds <= {row[0] for row in rows}
    assert ["Patient/a" in str(row[1]) for row in rows if row[0] == "subscription-events"] == [True]


async def test_a_token_for_a_websocket(desk: Desk, ours: httpx.AsyncClient, app_client: AppClient) -> None:
    asked = {"channel": "websocket", "endpoint": ""}
    hook, one = await desk.subscribes(ours), await desk.subscribes(ours, **asked)
    two = await desk.subscribes(ours, **asked)
    every = await ours.get("/Subscription/$get-ws-binding-token")
    listed = [p["valueString"] for p in every.json()["parameter"] if p["name"] == "subscription"]
    assert listed == [one.reference, two.reference]
    token = values(await ours.post(f"/{one.reference}/$get-ws-binding-token"))
    assert token["subscription"] == one.reference and token["websocket-url"].endswith(":8000/ws")
    assert token["websocket-url"].startswith("ws://") and len(token["token"]) == 43
    texts = await desk.store.fetch("SELECT detail FROM audit WHERE kind = 'subscription-ws-token'")
    assert len(texts) == 2 and token["token"] not in str(texts)
    assert token["token"].encode() not in str(await desk.store.fetch("SELECT hash FROM ws_token")).encode()
    for place in (f"/{hook.reference}/", f"/Subscription/$get-ws-binding-token?id={hook.fhir_id},nobody"):
        refused = await ours.get(place + ("$get-ws-binding-token" if place.endswith("/") else ""))
        assert refused.status_code == 422 and "channel is rest-hook" in refused.text
    colleague = await app_client("cbo", CBO1)
    assert (await colleague.get(f"/{one.reference}/$get-ws-binding-token")).status_code == 422
    assert (await colleague.get("/Subscription/$get-ws-binding-token")).status_code == 422
    stranger = await app_client("cbo", CBO2)
    foreign = await stranger.get(f"/Subscription/$get-ws-binding-token?id={one.fhir_id}")
    absent = await stranger.get(f"/Subscription/$get-ws-binding-token?id={'0' * 36}")
    assert foreign.content == absent.content.replace(b"0" * 36, one.fhir_id.encode())


@pytest.mark.parametrize(
    ("scopes", "given"),
    [
        ("system/Subscription.rs", False),
        ("system/Subscription.rs system/Task.rs?status=accepted", False),
        ("system/Subscription.rs system/Task.rs", True),
        ("system/*.rs", True),
    ],
)
async def test_a_narrower_token_binds_no_websocket(desk: Desk, app_client: AppClient, scopes: str, given: bool) -> None:
    """A socket tells what the Subscription's own scopes read."""
    client = await app_client("cbo", CBO1, scopes="system/Subscription.cruds system/Task.rs")
    state = await desk.subscribes(client, channel="websocket", endpoint="")
    narrowed = Statement("UPDATE token SET scopes = ? WHERE client_id = ?", (scopes, state.client_id))
    await desk.store.commit(Change(statements=[narrowed]))
    answer = await client.get(f"/{state.reference}/$get-ws-binding-token")
    assert answer.status_code == (200 if given else 422), answer.text
    assert given or "reads less than the Subscription" in answer.text
    assert (await client.get("/Subscription/$get-ws-binding-token")).is_success is given
