"""What becomes of a Subscription that was taken: its row, its status, who changes it, who sees it."""

import json
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from service.notify import secrets
from service.notify.model import NEVER_US, Content, State, spec_of
from service.store import subscriptions
from service.store.change import Change
from service.store.engine import Store
from tests.service.conftest import AppClient
from tests.service.notify.asking import JSON, expressions, made, put, row
from tests.service.notify.subscription_samples import TOPIC, extension, subscription
from tests.service.world import ECM1, ECM2, LCM1, change_of, make

POSTGRESQL_IN_DEEP = True


@pytest.fixture
async def client(world: Store, app_client: AppClient) -> httpx.AsyncClient:
    return await app_client("ecm-provider", ECM1)


async def test_a_row_with_all_that_was_asked(client: httpx.AsyncClient, world: Store, app: FastAPI) -> None:
    resource = await made(
        client,
        filters=("Task?owner=Organization/cbo-1",),
        headers=("X-Key: abc",),
        more=(
            extension("backport-heartbeat-period", valueUnsignedInt=600),
            extension("backport-timeout", valueUnsignedInt=9),
            extension("backport-max-count", valuePositiveInt=5),
        ),
        end="2030-01-01T00:00:00Z",
        status="active",
        content=None,
        error="mine",
        payload="application/fhir+xml",
    )
    assert resource["status"] == "requested" and "error" not in resource
    assert resource["channel"]["_payload"]["extension"][0]["valueCode"] == "id-only"
    state = await row(world, resource)
    spec = spec_of(state.spec)
    assert (spec.topic, spec.filters, spec.headers) == (TOPIC, ("Task?owner=Organization/cbo-1",), ("X-Key: abc",))
    assert (spec.heartbeat_s, spec.timeout_s, spec.max_count, spec.mime) == (600, 9, 5, "application/fhir+xml")
    assert spec.end_us == 1_893_456_000_000_000 and spec.content is Content.ID_ONLY
    assert (state.topic, state.channel, state.status, state.organization) == (
        "referral-status", "rest-hook", "requested", ECM1,
    )  # fmt: skip
    assert state.due_us == world.clock.now_us() and state.numbered == state.delivered == state.failures == 0
    assert len(secrets.opened(app.state.enlace.page_key, state.secret)) == secrets.BYTES
    anchors = await world.fetch("SELECT topic, subject FROM subscription_anchor WHERE subscription = ?", (state.key,))
    assert anchors == [("referral-status", world.keys.resource(ECM1))]


async def test_anchors_of_a_person_and_of_an_operator(world: Store, app_client: AppClient) -> None:
    for role, organization, person, wanted in (
        ("lcm", ECM1, LCM1, {world.keys.resource(ECM1), world.keys.resource(LCM1)}),
        ("admin", "Organization/op", None, {0}),
    ):
        state = await row(world, await made(await app_client(role, organization, person)))
        found = await world.fetch("SELECT subject FROM subscription_anchor WHERE subscription = ?", (state.key,))
        assert {one[0] for one in found} == wanted


LAW = [
    ("active", "active", "active"),
    ("active", "requested", "requested"),
    ("active", "off", "off"),
    ("active", "error", None),
    ("error", "requested", "requested"),
    ("error", "active", "requested"),
    ("error", "error", "error"),
    ("off", "active", "requested"),
    ("requested", "active", "requested"),
]


async def test_the_law_of_status(client: httpx.AsyncClient, world: Store) -> None:
    for stored, sent, wanted in LAW:
        resource = await made(client)
        state = await row(world, resource)
        await as_service(world, state, stored)
        world.clock.advance(1_000_000)  # type: ignore[attr-defined]
        answer = await put(client, {**resource, "status": sent, "reason": "another"})
        if wanted is None:
            assert expressions(answer) == ["Subscription.status"]
            continue
        assert answer.status_code == 200 and answer.json()["status"] == wanted
        now = await row(world, resource)
        assert now.status == wanted and (now.numbered, now.delivered, now.secret) == (7, 5, state.secret)
        assert now.due_us == (NEVER_US if wanted == "off" else world.clock.now_us())
        kept = wanted == stored
        assert (now.failures, now.error) == ((3, "it failed") if kept else (0, ""))
        assert answer.json().get("error") == ("it failed" if wanted == "error" else None)
        anchors = await world.fetch("SELECT 1 FROM subscription_anchor WHERE subscription = ?", (state.key,))
        assert bool(anchors) is (wanted != "off")


async def as_service(store: Store, state: State, status: str) -> None:
    """The service wrote this status, after some deliveries."""
    body = json.loads((await store.fetch("SELECT body FROM version WHERE key = ?", (state.key,)))[0][0])
    body |= {"status": status, **({"error": "it failed"} if status == "error" else {})}
    change = change_of(store, body, ECM1, expect=1)
    columns = {"status": status, "numbered": 7, "delivered": 5, "failures": 3, "error": "it failed"}
    change.statements.append(subscriptions.changed(state.key, **columns))
    await store.commit(change)


@pytest.mark.parametrize(
    ("changes", "wanted"),
    [
        ({"endpoint": "https://elsewhere.example.org/x"}, "requested"),
        ({"header": ["X-A: 1"]}, "requested"),
        ({"payload": "application/fhir+xml"}, "active"),
    ],
)
async def test_another_endpoint_shakes_hands_anew(
    client: httpx.AsyncClient, world: Store, changes: dict[str, Any], wanted: str
) -> None:
    resource = await made(client)
    await as_service(world, await row(world, resource), "active")
    changed = {**resource, "status": "active", "channel": {**resource["channel"], **changes}}
    assert (await put(client, changed)).json()["status"] == wanted


async def test_patch_conditional_update_and_transaction_take_the_same_path(
    client: httpx.AsyncClient, world: Store
) -> None:
    resource = await made(client)
    path, patching = f"/Subscription/{resource['id']}", {"Content-Type": "application/json-patch+json"}
    bad = [{"op": "replace", "path": "/channel/endpoint", "value": "http://hooks.example.org/x"}]
    assert expressions(await client.patch(path, content=json.dumps(bad), headers=patching))
    off = [{"op": "replace", "path": "/status", "value": "off"}]
    assert (await client.patch(path, content=json.dumps(off), headers=patching)).json()["status"] == "off"
    assert (await row(world, resource)).status == "off"
    body = {**resource, "status": "active"}
    answer = await client.put(f"/Subscription?_id={resource['id']}", content=json.dumps(body), headers=JSON)
    assert answer.json()["status"] == "requested" == (await row(world, resource)).status
    entries = [
        {"resource": subscription(), "request": {"method": "POST", "url": "Subscription"}},
        {"request": {"method": "DELETE", "url": f"Subscription/{resource['id']}"}},
    ]
    bundle = {"resourceType": "Bundle", "type": "transaction", "entry": entries}
    answer = await client.post("/", content=json.dumps(bundle), headers=JSON)
    assert answer.status_code == 200, answer.text
    assert await subscriptions.by_id(world, resource["id"]) is None
    assert len(await subscriptions.find(world)) == 1


async def test_only_its_client_changes_it_and_foreign_ones_do_not_see_it(
    client: httpx.AsyncClient, app_client: AppClient, world: Store
) -> None:
    resource = await made(client)
    beside, foreign, operator = (
        await app_client("ecm-provider", ECM1),
        await app_client("ecm-provider", ECM2),
        await app_client("admin", "Organization/op"),
    )
    changed = {**resource, "reason": "another"}
    assert (await put(beside, changed)).status_code == 403
    absent = (await foreign.get("/Subscription/none")).text.replace("none", resource["id"])
    assert (await foreign.get(f"/Subscription/{resource['id']}")).text == absent
    assert (await put(foreign, changed)).status_code == 404
    assert "entry" not in (await foreign.get("/Subscription")).json()
    before = await row(world, resource)
    assert (await put(operator, changed)).status_code == 200
    after = await row(world, resource)
    assert (after.client_id, after.scopes, after.organization) == (before.client_id, before.scopes, before.organization)
    assert (await beside.delete(f"/Subscription/{resource['id']}")).status_code == 204


async def test_scopes_are_those_of_who_wrote_it_last(client: httpx.AsyncClient, world: Store) -> None:
    resource = await made(client)
    assert (await row(world, resource)).scopes == "system/*.cruds"


async def test_deleting_leaves_nothing(client: httpx.AsyncClient, world: Store) -> None:
    from service.store.change import Statement

    state = await row(world, resource := await made(client))
    other = await row(world, await made(client))
    for key in (state.key, other.key):
        waiting = "INSERT INTO event_waiting (subscription, id, vid, key, kind, at_us) VALUES (?, 1, 1, 1, 'event', 1)"
        event = (
            "INSERT INTO subscription_event (subscription, number, vid, key, kind, emptied, at_us, settled_us)"
            " VALUES (?, 1, 1, 1, 'event', 0, 1, 0)"
        )
        await world.commit(Change(statements=[Statement(waiting, (key,)), Statement(event, (key,))]))
    assert (await client.delete(f"/Subscription/{resource['id']}")).status_code == 204
    for table in ("subscription_anchor", "event_waiting", "subscription_event"):
        assert [one[0] for one in await world.fetch(f"SELECT subscription FROM {table}")] == [other.key]
    assert await subscriptions.get(world, state.key) is None and await subscriptions.get(world, other.key) == other


async def test_the_search_parameters_of_r4(client: httpx.AsyncClient) -> None:
    await made(client, contact=[{"system": "email", "value": "it@example.org"}])
    for query, found in (
        ("contact=it@example.org", 1),
        (f"criteria={TOPIC}", 1),
        ("payload=application/fhir%2Bjson", 1),
        ("status=requested", 1),
        ("type=rest-hook", 1),
        ("url=https://hooks.example.org/enlace", 1),
        ("status=active", 0),
        ("type=email", 0),
    ):
        answer = await client.get(f"/Subscription?{query}", headers={"Prefer": "handling=strict"})
        assert len(answer.json().get("entry", ())) == found, query


async def test_an_update_of_what_was_written_past_the_service(client: httpx.AsyncClient, world: Store) -> None:
    """Restored or imported: its next write makes the row."""
    elements = {name: value for name, value in subscription().items() if name != "resourceType"}
    resource = make("Subscription/old", **elements)
    await world.commit(change_of(world, resource, ECM1))
    assert await subscriptions.by_id(world, "old") is None
    assert (await put(client, {**resource, "reason": "again"})).status_code == 200
    assert (await row(world, resource)).status == "requested"


async def test_find_goes_through_all_by_pages(world: Store, client: httpx.AsyncClient) -> None:
    states: list[State] = []
    while len(states) < 5 or min(state.key for state in states) > 0:  # keys are hashes, with a sign
        states.append(await row(world, await made(client)))
    found, after = [], 0
    while page := await subscriptions.find(world, status="requested", after=after, limit=2):
        found += page
        after = page[-1].key
    assert found == sorted(states, key=lambda state: state.key)
    assert await subscriptions.find(world, status="off") == []
    assert sorted(await subscriptions.of_client(world, states[0].client_id), key=lambda state: state.key) == found
