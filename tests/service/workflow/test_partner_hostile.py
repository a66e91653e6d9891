"""What a partner's server may answer that no honest one does: nothing of it is taken, and a person can see it."""

import json
import os
from typing import Any

import pytest

from service.egress import Answer, EgressRefused
from service.store import partners
from service.store.engine import Store
from service.workflow.partner_client import Away, Odd, read_json, token_of
from tests.frozen_clock import FrozenClock
from tests.service.conftest import AppClient
from tests.service.workflow.partner_pushing import here, look, opened, procedure, statuses
from tests.service.workflow.partner_world import THERE, TOKEN_URL, FakePartner, add_partner, row, work_items, worker
from tests.service.world import BASE

POSTGRESQL_IN_DEEP = True
DEEP = bool(os.environ.get("ENLACE_TEST_DEEP"))


@pytest.fixture
async def there(world: Store) -> FakePartner:
    await add_partner(world)
    return FakePartner()


def on(method: str, answer: Answer | Exception, part: str = "") -> Any:
    def spoil(asked: str, url: str, honest: Answer) -> Answer:
        if asked != method or part not in url:
            return honest
        if isinstance(answer, Exception):
            raise answer
        return answer

    return spoil


def said(body: Any, status: int = 200, **headers: str) -> Answer:
    return Answer(status, headers, body if isinstance(body, bytes) else json.dumps(body).encode())


GARBLED = {
    "redirect": said(b"", 302, location="https://elsewhere.example.org/"),
    "html": said(b"<html>We are back soon</html>"),
    "array": said([1]),
    "deep": said(b"[" * 100_000),
    "twice": said(b'{"resourceType":"Task","resourceType":"Task"}'),
    "number": said(b'{"a": NaN}'),
    "no-utf-8": said(b'{"a": "\xff"}'),
}


@pytest.mark.parametrize("name", GARBLED if DEEP else ("html", "deep"))
async def test_a_garbled_answer_to_a_create_is_tried_again_without_a_second_task(
    world: Store, app_client: AppClient, clock: FrozenClock, there: FakePartner, name: str
) -> None:
    there.spoil = on("POST", GARBLED[name])
    fhir_id = await opened(app_client)
    await worker(world, there).drain()
    known = await row(world, fhir_id)
    assert known.state == "to-send" and known.error in ("redirect", "garbage") and known.due_us > clock.now_us()
    there.spoil = None
    await look(world, clock, there)
    assert (await row(world, fhir_id)).state == "sent" and len(there.tasks()) == 1


@pytest.mark.parametrize("name", GARBLED if DEEP else ("redirect", "html"))
async def test_a_garbled_answer_to_a_look_changes_nothing(
    world: Store, app_client: AppClient, clock: FrozenClock, there: FakePartner, name: str
) -> None:
    fhir_id = await opened(app_client)
    await worker(world, there).drain()
    there.moves("accepted")
    there.spoil = on("GET", GARBLED[name])
    await look(world, clock, there)
    assert await statuses(world, fhir_id) == ["requested"] and (await row(world, fhir_id)).error
    there.spoil = None
    await look(world, clock, there)
    assert (await here(world, fhir_id))["status"] == "accepted" and not (await row(world, fhir_id)).error


LOCATIONS = ("https://elsewhere.example.org/fhir/Task/1", "Task/../Patient/1", "Patient/1", "", "Task/a b")


@pytest.mark.parametrize("location", LOCATIONS if DEEP else LOCATIONS[:2])
async def test_a_location_that_is_no_task_of_the_partner(
    world: Store, app_client: AppClient, there: FakePartner, location: str
) -> None:
    there.spoil = on("POST", Answer(201, {"location": location}, b""))
    fhir_id = await opened(app_client)
    await worker(world, there).drain()
    assert ((await row(world, fhir_id)).state, (await row(world, fhir_id)).error) == ("failed", "other-reference")
    assert all(url.startswith(THERE) for _, url in there.asked) and len(await work_items(world)) == 1


async def test_a_create_that_answers_with_another_task(world: Store, app_client: AppClient, there: FakePartner) -> None:
    other = {"resourceType": "Task", "id": "9", "status": "accepted", "intent": "order", "identifier": []}
    there.spoil = on("POST", said(other, 201))
    fhir_id = await opened(app_client)
    await worker(world, there).drain()
    assert ((await row(world, fhir_id)).state, (await row(world, fhir_id)).error) == ("failed", "other-task")


async def test_a_search_that_shows_other_tasks(
    world: Store, app_client: AppClient, clock: FrozenClock, there: FakePartner
) -> None:
    fhir_id = await opened(app_client)
    await worker(world, there).drain()
    (ours,) = there.tasks()
    stranger = {**ours, "id": "stranger", "status": "completed"}
    bundle = {"resourceType": "Bundle", "type": "searchset", "entry": [{"resource": stranger}, "x", {"resource": 1}]}
    there.spoil = on("GET", said(bundle), "_id=")
    await look(world, clock, there)
    assert await statuses(world, fhir_id) == ["requested"]


async def test_our_task_turned_into_another(
    world: Store, app_client: AppClient, clock: FrozenClock, there: FakePartner
) -> None:
    fhir_id = await opened(app_client)
    await worker(world, there).drain()
    there.moves("accepted", identifier=[], focus={"reference": f"{BASE}/ServiceRequest/b"})
    await look(world, clock, there)
    assert await statuses(world, fhir_id) == ["requested"] and "other-task" in (await work_items(world))[0]


async def test_our_task_turned_to_another_patient(
    world: Store, app_client: AppClient, clock: FrozenClock, there: FakePartner
) -> None:
    fhir_id = await opened(app_client)
    await worker(world, there).drain()
    there.moves("accepted", **{"for": {"reference": f"{BASE}/Patient/b"}})
    await look(world, clock, there)
    await look(world, clock, there)
    assert await statuses(world, fhir_id) == ["requested"]
    assert len(await work_items(world)) == 1 and (await row(world, fhir_id)).error == "other-patient"


@pytest.mark.parametrize(
    "subject", [f"{BASE}/Patient/b", "Patient/theirs", "", "https://elsewhere.example.org/Patient/1"]
)
async def test_a_procedure_about_somebody_else(
    world: Store, app_client: AppClient, clock: FrozenClock, there: FakePartner, subject: str
) -> None:
    fhir_id = await opened(app_client)
    await worker(world, there).drain()
    there.put(procedure(subject))
    there.moves("completed", output=[{"type": {"text": "x"}, "valueReference": {"reference": "Procedure/p1"}}])
    await look(world, clock, there)
    assert await statuses(world, fhir_id) == ["requested"] and "other-patient" in (await work_items(world))[0]
    assert not await world.fetch("SELECT 1 FROM resource WHERE rtype = 'Procedure' AND fhir_id LIKE 'pp-%'")


async def test_an_output_elsewhere_is_named_and_not_fetched(
    world: Store, app_client: AppClient, clock: FrozenClock, there: FakePartner
) -> None:
    fhir_id = await opened(app_client)
    await worker(world, there).drain()
    urls = ("https://elsewhere.example.org/fhir/Procedure/1", "Procedure/none", "Observation/1", "Procedure/../x")
    there.moves("completed", output=[{"type": {"text": "x"}, "valueReference": {"reference": one}} for one in urls])
    await look(world, clock, there)
    stands = await here(world, fhir_id)
    shown = [one["valueReference"].get("reference") for one in stands["output"]]
    assert shown == [urls[0], f"{THERE}/Procedure/none", f"{THERE}/Observation/1", None]
    assert all(url.startswith(THERE) and ".." not in url for _, url in there.asked)


STEPS = ("draft", "entered-in-error", "nonsense", "", None, 7, "ready")


@pytest.mark.parametrize("status", STEPS)
async def test_strange_statuses(
    world: Store, app_client: AppClient, clock: FrozenClock, there: FakePartner, status: Any
) -> None:
    fhir_id = await opened(app_client)
    await worker(world, there).drain()
    there.moves(status)
    await look(world, clock, there)
    expected = {"entered-in-error": "cancelled", "ready": "accepted"}.get(status, "requested")
    assert (await here(world, fhir_id))["status"] == expected
    assert bool(await work_items(world)) == (expected == "requested" and status != "draft")


async def test_a_step_back_is_a_conflict(
    world: Store, app_client: AppClient, clock: FrozenClock, there: FakePartner
) -> None:
    fhir_id = await opened(app_client)
    await worker(world, there).drain()
    for status in ("in-progress", "accepted"):
        there.moves(status)
        await look(world, clock, there)
    assert await statuses(world, fhir_id) == ["requested", "accepted", "in-progress"]
    assert "in-progress-here-accepted-there" in (await work_items(world))[0]


async def test_broken_elements_beside_the_status_are_left_out(
    world: Store, app_client: AppClient, clock: FrozenClock, there: FakePartner
) -> None:
    fhir_id = await opened(app_client)
    await worker(world, there).drain()
    there.moves("accepted", note=[{"text": 7}, "x"], businessStatus={"coding": "x"}, statusReason="no")
    await look(world, clock, there)
    stands = await here(world, fhir_id)
    assert stands["status"] == "accepted" and "businessStatus" not in stands and "note" not in stands


async def test_the_guard_refuses_the_address(
    world: Store, app_client: AppClient, clock: FrozenClock, there: FakePartner
) -> None:
    there.spoil = on("POST", EgressRefused("address-not-public"))
    fhir_id = await opened(app_client)
    await worker(world, there).drain()
    one = await partners.partner(world, "food-bank")
    assert one is not None and one.error == "egress-address-not-public" and one.retry_us > clock.now_us()
    assert (await row(world, fhir_id)).state == "to-send"


TOKENS = (
    b"<html>", b"{}", b'{"access_token": 7, "token_type": "bearer"}', b'{"access_token": "a", "token_type": "mac"}',
    b'{"access_token": "a\\nb", "token_type": "bearer"}', b'{"access_token": "", "token_type": "bearer"}',
)  # fmt: skip


@pytest.mark.parametrize("body", TOKENS)
def test_a_token_endpoint_that_gives_no_token(body: bytes) -> None:
    with pytest.raises(Away, match="token-garbage"):
        token_of(body)


@pytest.mark.parametrize("seconds", [b"-1", b'"x"', b"1e400", b"true", b"99999999"])
def test_a_token_whose_end_is_nonsense_is_kept_for_a_minute(seconds: bytes) -> None:
    assert token_of(b'{"access_token":"a","token_type":"Bearer","expires_in":' + seconds + b"}") == ("a", 60)


async def test_a_token_that_is_not_taken_is_asked_for_once_more(
    world: Store, app_client: AppClient, clock: FrozenClock
) -> None:
    await add_partner(world, token_url=TOKEN_URL)
    there = FakePartner()
    there.spoil = on("POST", said({}, 401), "/Task")
    fhir_id = await opened(app_client)
    await worker(world, there).drain()
    one = await partners.partner(world, "food-bank")
    assert one is not None and one.error == "token-not-taken" and len(there.tokens) == 2
    there.spoil = None
    await look(world, clock, there)
    assert (await row(world, fhir_id)).state == "sent" and len(there.tasks()) == 1


@pytest.mark.parametrize("name", GARBLED)
def test_nothing_garbled_is_read(name: str) -> None:
    with pytest.raises(Odd):
        read_json(GARBLED[name].body)


def test_json_is_one_object() -> None:
    with pytest.raises(Odd):
        read_json(b"null")
    assert str(read_json(b'{"a": 1.10}')["a"]) == "1.10"
