"""Subscription by REST: what is refused and in which words, what becomes of the status, and what the row says of it."""

import asyncio
import json
from dataclasses import replace
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from fhir_profiles.topics import topics
from service.access.context import Settings as Behaviour
from service.notify import payloads, secrets
from service.notify.model import NEVER_US, Content, State, spec_of
from service.notify.offer import offering
from service.notify.subscribing import MOST
from service.settings import load
from service.store import subscriptions
from service.store.change import Change
from service.store.engine import Store
from tests.service.conftest import AppClient
from tests.service.notify.subscription_samples import TOPIC, extension, refused, set_endpoints, subscription
from tests.service.world import CBO1, ECM1, ECM2, LCM1, PLAN1, change_of, make

POSTGRESQL_IN_DEEP = True
JSON = {"Content-Type": "application/fhir+json"}


@pytest.fixture
async def client(world: Store, app_client: AppClient) -> httpx.AsyncClient:
    return await app_client("ecm-provider", ECM1)


async def post(client: httpx.AsyncClient, resource: dict[str, Any]) -> httpx.Response:
    return await client.post("/Subscription", content=json.dumps(resource), headers=JSON)


async def put(client: httpx.AsyncClient, resource: dict[str, Any]) -> httpx.Response:
    return await client.put(f"/Subscription/{resource['id']}", content=json.dumps(resource), headers=JSON)


async def made(client: httpx.AsyncClient, **asked: Any) -> dict[str, Any]:
    answer = await post(client, subscription(**asked))
    assert answer.status_code == 201, answer.text
    found: dict[str, Any] = answer.json()
    return found


async def row(store: Store, resource: dict[str, Any]) -> State:
    state = await subscriptions.by_id(store, resource["id"])
    assert state is not None
    return state


def expressions(answer: httpx.Response) -> list[str]:
    assert answer.status_code == 422, answer.text
    return [one["expression"][0] for one in answer.json()["issue"]]


# --- what is refused --------------------------------------------------------------------------------------------------


async def test_the_examples_of_rejection_are_refused_each_at_its_element(client: httpx.AsyncClient) -> None:
    told = {one["id"].removeprefix("subscription-"): expressions(await post(client, one)) for one in refused()}
    assert told == {
        "topic": ["Subscription.criteria"],
        "filter": ["Subscription.criteria.extension[0]"],
        "channel": ["Subscription.channel.type"],
        "payload": ["Subscription.channel.payload"],
        "payload-content": ["Subscription.channel.payload.extension[0]"],
        "endpoint": ["Subscription.channel.endpoint"],
        "cross-version-extension": ["Subscription.extension[0]"],
    }
    assert "entry" not in (await client.get("/Subscription")).json()


async def test_everything_is_refused_at_once(client: httpx.AsyncClient) -> None:
    bad = subscription(
        endpoint="https://10.0.0.1/x",
        payload="text/csv",
        filters=("Task?colour=blue", "Task?owner:above=Organization/x"),
        headers=("X-A: 1\r\nX-B: 2", "Host: a", "X-Good: 1"),
        more=(
            extension("backport-heartbeat-period", valueUnsignedInt=1),
            extension("backport-timeout", valueUnsignedInt=3600),
            extension("backport-max-count", valuePositiveInt=5000),
            extension("backport-unheard-of", valueString="x"),
        ),
        end="2020-01-01T00:00:00Z",
        status="error",
    )
    answer = await post(client, bad)
    assert sorted(expressions(answer)) == [
        "Subscription.channel.endpoint",
        "Subscription.channel.extension[0]",
        "Subscription.channel.extension[1]",
        "Subscription.channel.extension[2]",
        "Subscription.channel.extension[3]",
        "Subscription.channel.header[0]",
        "Subscription.channel.header[1]",
        "Subscription.channel.payload",
        "Subscription.criteria.extension[0]",
        "Subscription.criteria.extension[1]",
        "Subscription.end",
        "Subscription.status",
    ]
    for text in (answer.text,):
        assert "10.0.0.1" not in text and "blue" not in text and "X-B" not in text


ENDPOINTS = [
    ("http://hooks.example.org/x", "plain http"),
    ("https://127.0.0.1/x", "not public"),
    ("https://169.254.169.254/latest", "not public"),
    ("https://[fe80::1]/x", "not public"),
    ("https://[::ffff:10.0.0.1]/x", "not public"),
    ("https://metadata.internal/x", "one network"),
    ("https://user:secret@hooks.example.org/x", "user name"),
    ("https://hooks.example.org:8443/x", "port 443"),
    ("https://hooks.example.org/x#y", "fragment"),
    ("mailto:a@example.org", "https"),
    ("", "https"),
]


async def test_endpoints_of_rest_hook(client: httpx.AsyncClient) -> None:
    for endpoint, word in ENDPOINTS:
        answer = await post(client, subscription(endpoint=endpoint))
        assert expressions(answer) == ["Subscription.channel.endpoint"]
        assert word in answer.json()["issue"][0]["diagnostics"] and "secret" not in answer.text


ONE_BY_ONE: list[dict[str, Any]] = [
    {"channel": "websocket", "endpoint": "https://hooks.example.org/x"},
    {"channel": "email", "endpoint": "mailto:a@example.org"},  # no mail server is set up
    {"channel": "sms", "endpoint": "tel:+19165550100", "payload": "text/plain", "content": None},
    {"payload": None},
    {"headers": tuple(f"X-{n}: 1" for n in range(21))},
    {"headers": ("X-A: 1", "x-a: 2")},
    {"headers": ("Transfer-Encoding: chunked",)},
    {"headers": ("Content-Length: 4",)},
    {"headers": ("webhook-signature: v1,x",)},
    {"filters": ("Task?status=accepted",) * 11},
    {"filters": ("Patient?name=x",)},
    {"filters": ("Task?patient.name=x",)},
    {"criteria": "Task?status=requested"},
    {"criteria": TOPIC + "|99"},
    {
        "extension": [
            {"url": "http://hl7.org/fhir/4.3/StructureDefinition/extension-Subscription.topic", "valueUri": TOPIC}
        ]
    },
    {"modifierExtension": [{"url": "http://example.org/not", "valueBoolean": True}]},
    {"extension": [extension("backport-timeout", valueUnsignedInt=5)]},  # it stands elsewhere
    {"more": (extension("backport-timeout", valueString="5"),)},
    {"more": (extension("backport-timeout", valueUnsignedInt=5),) * 2},
]


async def test_refused_one_by_one(client: httpx.AsyncClient) -> None:
    for asked in ONE_BY_ONE:
        answer = await post(client, subscription(**asked))
        assert len(set(expressions(answer))) == 1, answer.text


async def test_a_payload_that_a_channel_cannot_carry(
    client: httpx.AsyncClient, app: FastAPI, world: Store, clock: Any
) -> None:
    app.state.enlace.behaviour = replace(
        app.state.enlace.behaviour, channels=frozenset({"rest-hook", "email", "sms", "websocket"})
    )
    mail = {"channel": "email", "endpoint": "mailto:care@example.org"}
    attached = "text/plain;attach=application/fhir+json"
    answer = await post(client, subscription(**mail, payload=attached, content="full-resource"))
    assert "encrypted" in answer.json()["issue"][0]["diagnostics"]
    assert expressions(await post(client, subscription(**mail, payload="text/plain", content="id-only")))
    sms = {"channel": "sms", "endpoint": "tel:+19165550100", "payload": "text/plain"}
    assert expressions(await post(client, subscription(**sms, content="id-only")))
    assert expressions(await post(client, subscription(**{**mail, "endpoint": "mailto:a@b.org,c@d.org"})))
    assert expressions(await post(client, subscription(**{**mail, "endpoint": "mailto:a@b.org?bcc=c@d.org"})))
    assert expressions(await post(client, subscription(**{**sms, "endpoint": "tel:555"}, content="empty")))
    beat = (extension("backport-heartbeat-period", valueUnsignedInt=600),)
    assert expressions(await post(client, subscription(**mail, more=beat)))
    assert spec_of((await row(world, await made(client, **mail, payload=attached))).spec).content is Content.ID_ONLY
    assert spec_of((await row(world, await made(client, **sms, content=None))).spec).content is Content.EMPTY
    app.state.enlace.behaviour = replace(app.state.enlace.behaviour, mail_encrypted=True)
    await made(client, **mail, payload=attached, content="full-resource")


async def test_only_endpoints_of_the_client(client: httpx.AsyncClient, app: FastAPI, world: Store) -> None:
    mine = (await row(world, await made(client))).client_id
    await set_endpoints(world, mine, "hooks.other.example.org", "@example.org")
    answer = await post(client, subscription())
    assert "enlace client endpoints" in answer.json()["issue"][0]["diagnostics"]
    await made(client, endpoint="https://Hooks.other.example.org/deep?x=1")
    await set_endpoints(world, mine)
    shared = app.state.enlace
    shared.behaviour = Behaviour("production", shared.behaviour.base_url, shared.page_key)
    assert expressions(await post(client, subscription())) == ["Subscription.channel.endpoint"]


async def test_an_exception_of_the_egress_guard(client: httpx.AsyncClient, app: FastAPI) -> None:
    shared = app.state.enlace
    shared.behaviour = replace(shared.behaviour, egress_allow=("127.0.0.1:9099",))
    await made(client, endpoint="http://127.0.0.1:9099/hook")


async def test_who_may_subscribe(world: Store, app_client: AppClient) -> None:
    for role, organization in (("mcp", PLAN1), ("cbo", CBO1), ("referrer", ECM2), ("admin", "Organization/op")):
        assert (await post(await app_client(role, organization), subscription())).status_code == 201, role
    assert (await post(await app_client("hospital", ECM1), subscription())).status_code == 403
    narrow = await app_client("ecm-provider", ECM1, scopes="system/Subscription.cruds system/Patient.rs")
    answer = await post(narrow, subscription())
    assert expressions(answer) == ["Subscription.criteria"] and "system/Task.rs" in answer.text
    assert (
        await post(await app_client("ecm-provider", ECM1, scopes="system/Task.rs"), subscription())
    ).status_code == 403


async def test_an_app_of_a_person_does_not_subscribe(client: httpx.AsyncClient, world: Store) -> None:
    from service.store.change import Statement

    await world.commit(Change(statements=[Statement("UPDATE client SET kind = ?", ("public",))]))
    answer = await post(client, subscription())
    assert answer.status_code == 403 and "backend" in answer.json()["issue"][0]["diagnostics"]


async def test_the_most_of_one_client(client: httpx.AsyncClient, world: Store) -> None:
    state = await row(world, await made(client))
    more = [replace(state, key=number, fhir_id=f"x{number}") for number in range(MOST - 3)]
    statements = [statement for one in more for statement in subscriptions.saved(one, ())]
    await world.commit(Change(statements=statements))
    answers = await asyncio.gather(*(post(client, subscription()) for _ in range(5)))
    assert sorted(answer.status_code for answer in answers) == [201, 201, 422, 422, 422]
    assert "100" in next(a for a in answers if a.status_code == 422).json()["issue"][0]["diagnostics"]
    assert await subscriptions.count(world, state.client_id) == MOST


async def test_the_most_counts_what_a_transaction_makes(client: httpx.AsyncClient, world: Store) -> None:
    state = await row(world, await made(client))
    more = [replace(state, key=number, fhir_id=f"x{number}") for number in range(MOST - 2)]
    await world.commit(Change(statements=[s for one in more for s in subscriptions.saved(one, ())]))
    entry = {"resource": subscription(), "request": {"method": "POST", "url": "Subscription"}}
    bundle = {"resourceType": "Bundle", "type": "transaction", "entry": [entry, entry]}
    answer = await client.post("/", content=json.dumps(bundle), headers=JSON)
    assert answer.status_code == 422, answer.text
    bundle["entry"] = [entry]
    assert (await client.post("/", content=json.dumps(bundle), headers=JSON)).status_code == 200
    assert await subscriptions.count(world, state.client_id) == MOST


async def test_l40_a_filter_on_a_foreign_member_is_taken_as_one_on_nobody(client: httpx.AsyncClient) -> None:
    """Patient/b is another plan's, Patient/none is not there."""
    answers = [await post(client, subscription(filters=(f"Task?patient=Patient/{one}",))) for one in ("b", "none")]
    told = []
    for name, answer in zip(("Patient/b", "Patient/none"), answers, strict=True):
        body = answer.json()
        del body["meta"], body["id"]
        told.append((answer.status_code, json.dumps(body).replace(name, "")))
    assert told[0] == told[1] and told[0][0] == 201


async def test_topics_channels_and_profile_are_stated(client: httpx.AsyncClient) -> None:
    rows = (await client.get("/metadata")).json()["rest"][0]["resource"]
    (block,) = [one for one in rows if one["type"] == "Subscription"]
    stated = [one["valueCanonical"] for one in block["extension"]]
    assert stated == sorted(topics(), key=lambda url: topics()[url].slug) and len(stated) >= 8
    assert block["supportedProfile"] == [extension("backport-subscription")["url"]]
    assert all(channel in block["documentation"] for channel in payloads.CHANNELS)
    assert all(mime in block["documentation"] for row in payloads.CHANNELS.values() for mime in row.mimes)
    for url in stated:
        answer = await post(client, subscription(criteria=url))
        assert answer.status_code == 201, (url, answer.text)


async def test_what_is_offered_follows_from_the_settings() -> None:
    def made(**settings: str) -> Behaviour:
        named = {f"ENLACE_{name.upper()}": value for name, value in settings.items()}
        return offering(Behaviour(), load(named))

    assert made().channels == {"rest-hook", "websocket"} and not made().mail_encrypted
    assert made(smtp_url="smtps://mail.example.org").channels == {"rest-hook", "websocket", "email"}
    assert made(smtp_url="smtps://mail.example.org").mail_encrypted
    assert made(smtp_url="smtp://mail.example.org").mail_encrypted  # STARTTLS is demanded
    assert not made(smtp_url="smtp://127.0.0.1:2525").mail_encrypted  # in a sandbox, to the own machine
    assert "sms" in made(sms_url="https://sms.example.org").channels


# --- what is made of it -----------------------------------------------------------------------------------------------


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


async def test_validate_tells_the_same(client: httpx.AsyncClient) -> None:
    body = json.dumps(refused()[0])
    answer = await client.post("/Subscription/$validate?mode=create", content=body, headers=JSON)
    assert answer.status_code == 200 and "error" in {one["severity"] for one in answer.json()["issue"]}


async def test_find_goes_through_all_by_pages(world: Store, client: httpx.AsyncClient) -> None:
    states = [await row(world, await made(client)) for _ in range(5)]
    found, after = [], 0
    while page := await subscriptions.find(world, status="requested", after=after, limit=2):
        found += page
        after = page[-1].key
    assert found == sorted(states, key=lambda state: state.key) and min(state.key for state in found) < 0
    assert await subscriptions.find(world, status="off") == []
    assert sorted(await subscriptions.of_client(world, states[0].client_id), key=lambda state: state.key) == found
