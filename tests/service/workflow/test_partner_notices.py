"""A partner's server tells that something changed: one Subscription there, a look at once, and nothing lost without."""

import json
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from service.egress import EgressFailed
from service.log_events import CATALOGUE
from service.store import partner_notices as stored
from service.store import partners
from service.store.change import Change
from service.store.engine import Store
from service.store.partner_notices import APART_US, Notices
from tests.frozen_clock import FrozenClock
from tests.service.conftest import AppClient
from tests.service.workflow.partner_pushing import here, look, opened
from tests.service.workflow.partner_world import HOUR, THERE, TOKEN_URL, FakePartner, add_partner, worker

POSTGRESQL_IN_DEEP = True
Resource = dict[str, Any]
TOPIC = "http://hl7.org/fhir/us/sdoh-clinicalcare/SubscriptionTopic/Task"
NAMED = (
    "http://hl7.org/fhir/uv/subscriptions-backport/StructureDefinition/capabilitystatement-subscriptiontopic-canonical"
)
MINUTE = 60_000_000
SHAKE = b'{"parameter": [{"name": "type", "valueCode": "handshake"}]}'


def offering(*topics: str, codes: tuple[str, ...] = ("create", "read")) -> Resource:
    """A CapabilityStatement."""
    block: Resource = {"type": "Subscription", "interaction": [{"code": one} for one in codes]}
    if topics:
        block["extension"] = [{"url": NAMED, "valueCanonical": one} for one in topics]
    return {"resourceType": "CapabilityStatement", "rest": [{"resource": [{"type": "Task"}, block]}]}


@pytest.fixture
async def there(world: Store) -> FakePartner:
    await add_partner(world)
    made = FakePartner()
    made.offers = offering("http://elsewhere.example.org/topic", f"{TOPIC}|3.0.0")
    return made


async def row(store: Store) -> Notices:
    found = await stored.of_partner(store, "food-bank")
    assert found is not None
    return found


def endpoint(there: FakePartner) -> str:
    (one,) = there.subscriptions()
    return str(one["channel"]["endpoint"])


async def tell(app: FastAPI, url: str, body: bytes = b"{}") -> httpx.Response:
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app)) as http:
        return await http.post(url, content=body, headers={"Content-Type": "application/fhir+json"})


async def due_us(store: Store) -> int:
    one = await partners.partner(store, "food-bank")
    assert one is not None
    return one.due_us


async def test_one_subscription_by_the_topic_of_the_guide(
    world: Store, app_client: AppClient, clock: FrozenClock, there: FakePartner
) -> None:
    await worker(world, there).drain()
    assert not there.subscriptions()  # nothing of ours stands there
    await opened(app_client)
    await opened(app_client)
    await worker(world, there).drain()
    await look(world, clock, there)
    (made,) = there.subscriptions()
    assert made["criteria"] == TOPIC and made["channel"]["type"] == "rest-hook"
    assert made["_criteria"]["extension"][0]["valueString"] == "Task?owner=Organization/us&status:not=requested"
    assert made["channel"]["_payload"]["extension"][0]["valueCode"] == "empty"
    assert endpoint(there).startswith("http://127.0.0.1:8000/partners/notices/")
    token = endpoint(there).rpartition("/")[2]
    assert token not in str(await world.fetch("SELECT * FROM partner_notice"))  # the digest alone is kept
    assert (await row(world)).remote == f"{THERE}/Subscription/{made['id']}"


async def test_a_notice_makes_the_next_look_due_now_and_at_most_once_a_minute(
    world: Store, app: FastAPI, app_client: AppClient, clock: FrozenClock, there: FakePartner
) -> None:
    fhir_id = await opened(app_client)
    await worker(world, there).drain()
    shaken = await tell(app, endpoint(there), SHAKE)
    assert (shaken.status_code, shaken.content) == (200, b"")
    assert ((await row(world)).status, (await row(world)).since_us) == ("active", clock.now_us())
    assert await due_us(world) > clock.now_us() + MINUTE  # a handshake is no change
    for status in ("accepted", "in-progress"):
        clock.advance(HOUR // 10)
        there.moves(status)
        assert (await tell(app, endpoint(there))).status_code == 200
        await worker(world, there).drain()
        assert (await here(world, fhir_id))["status"] == status
    there.moves("on-hold", statusReason={"text": "Waits."})
    looks = there.count("GET", "Task?")
    for _ in range(20):
        assert (await tell(app, endpoint(there), b"x" * 200_000)).status_code == 200
        await worker(world, there).drain()
        clock.advance(APART_US // 25)
    assert there.count("GET", "Task?") == looks and (await here(world, fhir_id))["status"] == "in-progress"
    clock.advance(APART_US // 5)
    await worker(world, there).drain()
    assert there.count("GET", "Task?") == looks + 1 and (await here(world, fhir_id))["status"] == "on-hold"
    assert await due_us(world) == clock.now_us() + HOUR  # and then at the interval again


async def test_a_notice_during_a_look_is_followed_by_another_look(
    world: Store, app: FastAPI, app_client: AppClient, clock: FrozenClock, there: FakePartner
) -> None:
    fhir_id = await opened(app_client)
    await worker(world, there).drain()
    clock.advance(HOUR)
    one = await partners.partner(world, "food-bank")
    assert one is not None
    began_us = clock.now_us()
    clock.advance(1_000)  # the look has asked, and notes what it saw after the notice came
    there.moves("accepted")
    await tell(app, endpoint(there))
    await world.commit(Change(statements=[partners.looked(one, began_us)]))
    await worker(world, there).drain()
    assert (await here(world, fhir_id))["status"] == "accepted"


async def test_an_address_that_nobody_has_is_as_unknown_as_any(
    world: Store, app: FastAPI, app_client: AppClient, there: FakePartner
) -> None:
    await opened(app_client)
    await worker(world, there).drain()
    root = endpoint(there).rpartition("/")[0]
    unknown = await tell(app, f"{root[:-8]}/nothing")
    for token in ("x", "A" * 43, endpoint(there).rpartition("/")[2][:-1] + "~"):
        answer = await tell(app, f"{root}/{token}")
        assert (answer.status_code, answer.content) == (404, unknown.content)
        assert set(answer.headers) == set(unknown.headers)
    assert (await row(world)).status == "requested"


@pytest.mark.parametrize("status", ["error", "off", ""])
async def test_what_ends_there_is_made_anew_under_another_secret(
    world: Store, app: FastAPI, app_client: AppClient, clock: FrozenClock, there: FakePartner, status: str
) -> None:
    fhir_id = await opened(app_client)
    await worker(world, there).drain()
    first = endpoint(there)
    await tell(app, first, SHAKE)
    (made,) = there.subscriptions()
    there.put({**made, "status": "active"})
    await look(world, clock, there)  # good so far
    if status:
        there.put({**made, "status": status})
    else:
        there.resources.pop(f"Subscription/{made['id']}")
    there.moves("accepted")
    await look(world, clock, there)
    assert (await here(world, fhir_id))["status"] == "accepted"  # nothing is lost
    assert endpoint(there) != first and (await row(world)).status == "requested"
    assert (await tell(app, first)).status_code == 404
    (made,) = there.subscriptions()
    there.put({**made, "status": "error"})  # ended again before anybody saw it well: not at once
    await look(world, clock, there)
    stands = await row(world)
    assert (stands.status, stands.error) == ("lost", "error-there") and stands.due_us > clock.now_us()
    assert (await tell(app, endpoint(there))).status_code == 404
    await look(world, clock, there)
    assert (await row(world)).status == "requested" and len(there.subscriptions()) == 1


async def test_interrupted_between_asking_and_recording(
    world: Store, app_client: AppClient, clock: FrozenClock, there: FakePartner
) -> None:
    def lost(method: str, url: str, answer: Any) -> Any:
        if method == "POST" and url.endswith("/Subscription"):
            raise EgressFailed("timeout")
        return answer

    fhir_id = await opened(app_client)
    there.spoil = lost
    await worker(world, there).drain()
    stands = await row(world)
    assert (stands.status, stands.error, stands.token) == ("none", "timeout", "")
    one = await partners.partner(world, "food-bank")
    assert one is not None and one.state == "active"  # that referrals go is another matter
    there.spoil = None
    there.moves("accepted")
    await look(world, clock, there)
    assert len(there.subscriptions()) == 1 and (await row(world)).status == "requested"
    assert (await here(world, fhir_id))["status"] == "accepted"


async def test_a_server_that_tells_of_nothing_is_asked(
    world: Store, app_client: AppClient, clock: FrozenClock, there: FakePartner
) -> None:
    fhir_id = await opened(app_client)
    for offers in (None, {}, {"rest": "x"}, offering(codes=("read",)), offering("http://elsewhere.example.org/topic")):
        there.offers = offers
        clock.advance(24 * HOUR)  # asked less and less often, at last once a day
        await worker(world, there).drain()
        assert (await row(world)).status == "none" and not there.subscriptions()
    assert (await row(world)).error == "not-offered"
    asked = there.count("GET", "metadata")
    await look(world, clock, there)
    assert there.count("GET", "metadata") == asked == 5
    there.moves("accepted")
    await look(world, clock, there)
    assert (await here(world, fhir_id))["status"] == "accepted"


async def test_plain_r4_and_what_is_refused_is_asked_for_more_simply(
    world: Store, app_client: AppClient, there: FakePartner
) -> None:
    there.offers = offering()
    await opened(app_client)
    await worker(world, there).drain()
    (made,) = there.subscriptions()
    assert made["criteria"] == "Task?owner=Organization/us" and set(made["channel"]) == {"type", "endpoint"}


async def test_a_filter_that_is_refused_is_left_out(world: Store, app_client: AppClient, there: FakePartner) -> None:
    def picky(method: str, url: str, answer: Any) -> Any:
        if method == "POST" and url.endswith("/Subscription") and "_criteria" in there.subscriptions()[-1]:
            there.resources.pop(f"Subscription/{there.subscriptions()[-1]['id']}")
            return there._json(422, {"resourceType": "OperationOutcome"})
        return answer

    there.spoil = picky
    await opened(app_client)
    await worker(world, there).drain()
    (made,) = there.subscriptions()
    assert "_criteria" not in made and made["criteria"] == TOPIC


async def test_a_token_of_its_own_so_that_referrals_go_where_it_is_not_granted(
    world: Store, app_client: AppClient, there: FakePartner
) -> None:
    await add_partner(world, token_url=TOKEN_URL, client_id="enlace")
    fhir_id = await opened(app_client)
    there.grants_not = "Subscription"
    await worker(world, there).drain()
    assert (await row(world)).error == "token-status-400" and len(there.tasks()) == 1
    assert (await here(world, fhir_id))["status"] == "requested"
    one = await partners.partner(world, "food-bank")
    assert one is not None and (one.state, one.error) == ("active", "")


async def test_an_operator_who_wants_none_has_it_taken_away(
    world: Store, app: FastAPI, app_client: AppClient, clock: FrozenClock, there: FakePartner
) -> None:
    await opened(app_client)
    await worker(world, there).drain()
    address = endpoint(there)
    await add_partner(world, notices="poll")
    await look(world, clock, there)
    assert not there.subscriptions() and await stored.of_partner(world, "food-bank") is None
    assert (await tell(app, address)).status_code == 404


async def test_a_hostile_answer_is_an_error_in_its_row_and_no_more(
    world: Store, app_client: AppClient, clock: FrozenClock, there: FakePartner
) -> None:
    answers: list[Any] = [
        {"resourceType": "Subscription", "id": "../Task/1", "status": "active"},
        {"resourceType": "Subscription", "id": "x", "status": ["active"]},
        {"resourceType": "Patient", "id": "x"},
        {"resourceType": "Subscription", "id": "x", "status": "error"},
    ]
    fhir_id = await opened(app_client)
    for answer in answers:
        there.spoil = lambda method, url, real, body=answer: (
            there._json(201, body) if method == "POST" and url.endswith("/Subscription") else real
        )
        clock.advance(24 * HOUR)
        await worker(world, there).drain()
        stands = await row(world)
        assert (stands.status, stands.token) == ("none", "") and stands.error, answer
    there.spoil = None
    there.moves("accepted")
    await look(world, clock, there)
    assert (await here(world, fhir_id))["status"] == "accepted"
    assert json.dumps(sorted(CATALOGUE["partner.untold"].fields)) == '["partner", "reason", "tries"]'
