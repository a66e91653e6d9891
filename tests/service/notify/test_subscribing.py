"""Subscription by REST: what is refused, in which words, and who may subscribe."""

import asyncio
import json
from dataclasses import replace
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from fhir_profiles.topics import topics
from service.access.context import Settings as Behaviour
from service.notify import payloads
from service.notify.model import Content, spec_of
from service.notify.offer import offering
from service.notify.subscribing import MOST
from service.settings import load
from service.store import subscriptions
from service.store.change import Change
from service.store.engine import Store
from tests.service.conftest import AppClient
from tests.service.notify.asking import JSON, expressions, made, post, row
from tests.service.notify.subscription_samples import TOPIC, extension, refused, set_endpoints, subscription
from tests.service.world import CBO1, ECM1, ECM2, PLAN1

POSTGRESQL_IN_DEEP = True


@pytest.fixture
async def client(world: Store, app_client: AppClient) -> httpx.AsyncClient:
    return await app_client("ecm-provider", ECM1)


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
    for level in ("full-resource", "id-only"):  # else the attachment would be missing without a word
        answer = await post(client, subscription(**mail, payload=attached, content=level))
        assert "encrypted" in answer.json()["issue"][0]["diagnostics"]
    assert expressions(await post(client, subscription(**mail, payload="text/plain", content="id-only")))
    sms = {"channel": "sms", "endpoint": "tel:+19165550100", "payload": "text/plain"}
    assert expressions(await post(client, subscription(**sms, content="id-only")))
    assert expressions(await post(client, subscription(**{**mail, "endpoint": "mailto:a@b.org,c@d.org"})))
    assert expressions(await post(client, subscription(**{**mail, "endpoint": "mailto:a@b.org?bcc=c@d.org"})))
    assert expressions(await post(client, subscription(**{**sms, "endpoint": "tel:555"}, content="empty")))
    beat = (extension("backport-heartbeat-period", valueUnsignedInt=600),)
    assert expressions(await post(client, subscription(**mail, more=beat)))
    assert spec_of((await row(world, await made(client, **sms, content=None))).spec).content is Content.EMPTY
    spanish = await post(client, subscription(**sms, content=None) | {"language": "es"})
    assert spec_of((await row(world, spanish.json())).spec).language == "es"
    app.state.enlace.behaviour = replace(app.state.enlace.behaviour, mail_encrypted=True)
    assert spec_of((await row(world, await made(client, **mail, payload=attached))).spec).content is Content.ID_ONLY
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


async def test_validate_tells_the_same(client: httpx.AsyncClient) -> None:
    body = json.dumps(refused()[0])
    answer = await client.post("/Subscription/$validate?mode=create", content=body, headers=JSON)
    assert answer.status_code == 200 and "error" in {one["severity"] for one in answer.json()["issue"]}
