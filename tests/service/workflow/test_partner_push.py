"""A referral for an organization with a server of its own stands there exactly once; what becomes of it comes back."""

import asyncio
import json
from functools import partial
from typing import Any

import pytest

from service.store import partners
from service.store.change import Change
from service.store.engine import Store
from service.workflow import partner_poll, partner_runner
from tests.frozen_clock import FrozenClock
from tests.service.conftest import AppClient
from tests.service.workflow.partner_pushing import here, look, opened, withdraw
from tests.service.workflow.partner_world import (
    HOUR,
    THERE,
    TOKEN_URL,
    FakePartner,
    KilledHere,
    add_partner,
    row,
    work_items,
    worker,
)
from tests.service.world import BASE, CBO1, ECM1, SUD

POSTGRESQL_IN_DEEP = True
Resource = dict[str, Any]


@pytest.fixture
async def there(world: Store) -> FakePartner:
    await add_partner(world)
    return FakePartner()


async def test_sent_once_with_absolute_references(world: Store, app_client: AppClient, there: FakePartner) -> None:
    fhir_id = await opened(app_client, note=[{"text": "Calls after five."}])
    await worker(world, there).drain()
    await worker(world, there).drain()
    (sent,) = there.tasks()
    assert sent["focus"] == {"reference": f"{BASE}/ServiceRequest/a"}
    assert sent["for"] == {"reference": f"{BASE}/Patient/a"}
    assert sent["requester"] == {"reference": f"{BASE}/{ECM1}"} and sent["owner"] == {"reference": "Organization/us"}
    assert sent["identifier"] == [{"system": "urn:ietf:rfc:3986", "value": f"{BASE}/Task/{fhir_id}"}]
    assert sent["status"] == "requested" and sent["note"] == [{"text": "Calls after five."}]
    assert there.count("POST") == 1
    known = await row(world, fhir_id)
    assert (known.state, known.remote) == ("sent", f"{THERE}/Task/{sent['id']}")
    audited = await world.fetch("SELECT organization FROM audit WHERE kind = 'partner-sent'")
    assert [one[0] for one in audited] == [CBO1]


async def test_nothing_is_sent_without_a_partner_or_of_a_draft(world: Store, app_client: AppClient) -> None:
    await add_partner(world, organization="Organization/cbo-2")
    await add_partner(world, name="receives", direction="pull")
    there = FakePartner()
    await opened(app_client)
    await worker(world, there).drain()
    assert not there.asked


@pytest.mark.parametrize("conditional", [True, False])
async def test_killed_between_sending_and_recording(
    world: Store, app_client: AppClient, clock: FrozenClock, conditional: bool
) -> None:
    await add_partner(world)
    there = FakePartner(conditional=conditional)
    there.killed_after = "POST"
    fhir_id = await opened(app_client)
    killed = worker(world, there)
    await killed._begin()
    assert isinstance((await asyncio.gather(*killed._turns, return_exceptions=True))[0], KilledHere)
    assert len(there.tasks()) == 1 and (await row(world, fhir_id)).remote == ""
    await look(world, clock, there)
    assert len(there.tasks()) == 1 and (await row(world, fhir_id)).state == "sent"


async def test_two_workers_at_once_send_it_once(world: Store, app_client: AppClient) -> None:
    await add_partner(world)
    there = FakePartner(conditional=False)
    await opened(app_client)
    await asyncio.gather(*(worker(world, there).drain() for _ in range(3)))
    assert there.count("POST") == 1


async def test_nothing_is_lost_over_hours_of_downtime(
    world: Store, app_client: AppClient, clock: FrozenClock, there: FakePartner
) -> None:
    sent = await opened(app_client)
    await worker(world, there).drain()
    there.down = "connect"
    waiting = [await opened(app_client) for _ in range(3)]
    for _ in range(40):
        clock.advance(HOUR // 4)
        await worker(world, there).drain()
    one = await partners.partner(world, "food-bank")
    assert one is not None and (one.state, one.error) == ("failing", "connect") and one.failing_since_us
    there.moves("accepted")
    there.down = None
    await look(world, clock, there)
    assert len(there.tasks()) == 4
    assert {(await row(world, one)).state for one in [sent, *waiting]} == {"sent"}
    assert (await here(world, sent))["status"] == "accepted"
    again = await partners.partner(world, "food-bank")
    assert again is not None and (again.state, again.error, again.failing_since_us) == ("active", "", None)


async def test_one_over_which_we_stumble_keeps_no_other_waiting(
    world: Store, app_client: AppClient, clock: FrozenClock, there: FakePartner, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = await opened(app_client)
    clock.advance(1_000_000)
    second = await opened(app_client)
    bad = min(first, second)  # the one that is taken first, now and at each look
    good = max(first, second)

    async def stumbling(real: Any, turn: Any, known: Any, *more: Any) -> None:
        if known.task == bad:
            raise KeyError("a defect")
        await real(turn, known, *more)

    with monkeypatch.context() as patch:
        patch.setattr(partner_runner, "push", partial(stumbling, partner_runner.push))
        await worker(world, there).drain()
        assert [(await row(world, one)).state for one in (bad, good)] == ["to-send", "sent"]
        assert (await row(world, bad)).error == "KeyError"
    clock.advance(60_000_000)
    await worker(world, there).drain()
    assert {(await row(world, one)).state for one in (bad, good)} == {"sent"}
    for known in there.tasks():
        there.put({**known, "status": "accepted"})
    with monkeypatch.context() as patch:
        patch.setattr(partner_poll, "settle", partial(stumbling, partner_poll.settle))
        await look(world, clock, there)
        assert [(await here(world, one))["status"] for one in (bad, good)] == ["requested", "accepted"]
    await look(world, clock, there)
    assert (await here(world, bad))["status"] == "accepted"


async def test_what_was_withdrawn_before_it_was_sent_is_never_sent(
    world: Store, app_client: AppClient, clock: FrozenClock, there: FakePartner
) -> None:
    there.down = "connect"
    fhir_id = await opened(app_client)
    await worker(world, there).drain()
    await withdraw(app_client, fhir_id)
    there.down = None
    await look(world, clock, there)
    assert not there.tasks() and (await row(world, fhir_id)).state == "closed"


async def test_what_was_withdrawn_after_a_kill_is_withdrawn_there_too(
    world: Store, app_client: AppClient, clock: FrozenClock, there: FakePartner
) -> None:
    there.killed_after = "POST"
    fhir_id = await opened(app_client)
    killed = worker(world, there)
    await killed._begin()
    await asyncio.gather(*killed._turns, return_exceptions=True)
    await withdraw(app_client, fhir_id)
    await look(world, clock, there)
    (sent,) = there.tasks()
    assert sent["status"] == "cancelled" and (await row(world, fhir_id)).state == "closed"


async def test_a_refused_note_ends_no_referral(
    world: Store, app_client: AppClient, clock: FrozenClock, there: FakePartner
) -> None:
    def refuses(method: str, _url: str, answer: Any) -> Any:
        return there._json(422, {"resourceType": "OperationOutcome"}) if method == "PUT" else answer

    fhir_id = await opened(app_client)
    await worker(world, there).drain()
    there.spoil = refuses
    http = await app_client("ecm-provider", ECM1)
    stands = await http.get(f"/Task/{fhir_id}")
    body = stands.json() | {"note": [{"text": "Call first."}]}
    assert (await http.put(f"/Task/{fhir_id}", json=body, headers={"If-Match": stands.headers["etag"]})).is_success
    await look(world, clock, there)
    assert (await row(world, fhir_id)).state == "refused"
    there.moves("accepted")
    await look(world, clock, there)
    assert (await here(world, fhir_id))["status"] == "accepted"


async def test_signs_in_with_our_own_key(world: Store, app_client: AppClient) -> None:
    await add_partner(world, token_url=TOKEN_URL, client_id="enlace-there")
    there = FakePartner()
    await opened(app_client)
    await worker(world, there).drain()
    (form,) = there.tokens
    assert form["scope"] == ["system/Task.cruds"] and form["grant_type"] == ["client_credentials"]
    http = await app_client()
    origin = str(http.base_url).removesuffix("/").removesuffix("/fhir")
    keys = (await http.get(f"{origin}/auth/jwks")).json()["keys"]
    from service.auth.assertions import check_assertion

    claims = check_assertion(
        form["client_assertion"][0], client_id="enlace-there", client_keys=keys, token_url=TOKEN_URL,
        now_us=world.clock.now_us(),
    )  # fmt: skip
    assert claims.client_id == "enlace-there"


async def test_a_person_sees_and_tries_again(
    world: Store, app_client: AppClient, clock: FrozenClock, there: FakePartner
) -> None:
    def refuses(method: str, _url: str, answer: Any) -> Any:
        return there._json(422, {"resourceType": "OperationOutcome"}) if method == "POST" else answer

    there.spoil = refuses
    fhir_id = await opened(app_client)
    await worker(world, there).drain()
    known = await row(world, fhir_id)
    assert (known.state, known.error) == ("refused", "status-422")
    assert [one.partition(":")[0] for one in await work_items(world)] == ["partner-refused"]
    there.spoil = None
    there.resources.clear()
    await world.commit(Change(statements=[partners.again("food-bank", fhir_id)]))
    await worker(world, there).drain()
    assert (await row(world, fhir_id)).state == "sent" and len(there.tasks()) == 1


async def test_what_the_organization_may_not_see_is_not_sent(
    world: Store, app_client: AppClient, there: FakePartner
) -> None:
    label = {"security": [{"system": "http://terminology.hl7.org/CodeSystem/v3-ActCode", "code": "SUD"}]}
    fhir_id = await opened(app_client, meta=label)
    await worker(world, there).drain()
    assert not there.asked and (await row(world, fhir_id)).error == "not-visible"
    assert len(await work_items(world)) == 1


async def test_what_it_may_no_longer_see_is_not_told_it_later(
    world: Store, app_client: AppClient, there: FakePartner
) -> None:
    """Labelled after it was sent: a note stays here, and of a withdrawal only that it is one goes there."""
    fhir_id = await opened(app_client)
    await worker(world, there).drain()
    http = await app_client("ecm-provider", ECM1)
    for more in ({"note": [{"text": "A secret."}], "meta": SUD},
                 {"status": "cancelled", "statusReason": {"text": "A secret."}}):  # fmt: skip
        body = await here(world, fhir_id) | more
        answer = await http.put(f"/Task/{fhir_id}", json=body, headers={"If-Match": f'W/"{await version(world)}"'})
        assert answer.status_code == 200, answer.text
        await worker(world, there).drain()
        assert "secret" not in json.dumps(there.tasks())
    assert there.tasks()[0]["status"] == "cancelled" and there.tasks()[0]["statusReason"]["text"]


async def version(store: Store) -> int:
    sql = "SELECT MAX(version) FROM version WHERE rtype = 'Task' AND fhir_id NOT IN ('a', 'b')"
    return int((await store.fetch(sql))[0][0])
