"""What became of a referral on a partner's server comes back: steps, results, reasons, and what does not fit."""

import json
from typing import Any

import pytest

from service.store.engine import Store
from tests.frozen_clock import FrozenClock
from tests.service.conftest import AppClient
from tests.service.workflow.partner_pushing import here, look, opened, procedure, statuses, withdraw
from tests.service.workflow.partner_world import (
    THERE,
    FakePartner,
    add_partner,
    row,
    work_items,
    worker,
)
from tests.service.world import CBO1, ECM1, SUD, make, ref

POSTGRESQL_IN_DEEP = True
Resource = dict[str, Any]


@pytest.fixture
async def there(world: Store) -> FakePartner:
    await add_partner(world)
    return FakePartner()


async def test_every_step_there_comes_back(
    world: Store, app_client: AppClient, clock: FrozenClock, there: FakePartner
) -> None:
    fhir_id = await opened(app_client)
    await worker(world, there).drain()
    there.moves("received")
    await look(world, clock, there)
    stands = await here(world, fhir_id)
    assert (stands["status"], stands["businessStatus"]["text"]) == ("requested", "Received by the partner's server")
    for status in ("accepted", "in-progress"):
        there.moves(status)
        await look(world, clock, there)
        assert (await here(world, fhir_id))["status"] == status
    there.moves("on-hold", statusReason={"text": "Waits for stock."}, note=[{"text": "Back on Monday."}])
    await look(world, clock, there)
    stands = await here(world, fhir_id)
    assert stands["statusReason"] == {"text": "Waits for stock."} and stands["note"] == [{"text": "Back on Monday."}]
    assert there.count("PUT") == 0 and there.count("POST") == 1
    before = len(await statuses(world, fhir_id))
    await look(world, clock, there)
    assert len(await statuses(world, fhir_id)) == before  # seen again, and nothing new


async def test_what_was_done_there_is_copied_below_our_request(
    world: Store, app_client: AppClient, clock: FrozenClock, there: FakePartner
) -> None:
    fhir_id = await opened(app_client)
    await worker(world, there).drain()
    there.put(procedure())
    output = [{"type": {"text": "resulting-activity"}, "valueReference": {"reference": "Procedure/p1"}}]
    there.moves("completed", output=output)
    await look(world, clock, there)
    assert await statuses(world, fhir_id) == ["requested", "accepted", "completed"]
    stands = await here(world, fhir_id)
    copy = await here(world, stands["output"][0]["valueReference"]["reference"].partition("/")[2], "Procedure")
    assert copy["subject"] == {"reference": "Patient/a"} and copy["basedOn"] == [{"reference": "ServiceRequest/a"}]
    assert copy["code"] == {"text": "Food box"} and copy["performer"] == [{"actor": {"reference": CBO1}}]
    assert copy["identifier"][0]["value"] == f"{THERE}/Procedure/p1" and "recorder" not in copy
    assert (await row(world, fhir_id)).state == "closed"
    http = await app_client("ecm-provider", ECM1)
    assert (await http.get(f"/Procedure/{copy['id']}")).status_code == 200


async def test_completed_without_a_word_about_what(
    world: Store, app_client: AppClient, clock: FrozenClock, there: FakePartner
) -> None:
    fhir_id = await opened(app_client)
    await worker(world, there).drain()
    there.moves("completed")
    await look(world, clock, there)
    stands = await here(world, fhir_id)
    assert stands["status"] == "completed" and "names no result" in stands["output"][0]["valueString"]


async def test_a_late_decline_is_a_cancellation_with_its_reason(
    world: Store, app_client: AppClient, clock: FrozenClock, there: FakePartner
) -> None:
    fhir_id = await opened(app_client)
    await worker(world, there).drain()
    there.moves("accepted")
    await look(world, clock, there)
    there.moves("rejected")
    await look(world, clock, there)
    await look(world, clock, there)
    stands = await here(world, fhir_id)
    assert stands["status"] == "cancelled" and stands["statusReason"]["text"] == "The partner's server gives no reason."
    assert there.count("PUT") == 0 and not await work_items(world) and (await row(world, fhir_id)).state == "closed"


async def test_our_cancellation_goes_there_under_the_version_that_was_read(
    world: Store, app_client: AppClient, clock: FrozenClock, there: FakePartner
) -> None:
    fhir_id = await opened(app_client)
    await worker(world, there).drain()
    there.moves("accepted", note=[{"text": "Theirs."}])
    await withdraw(app_client, fhir_id)
    await worker(world, there).drain()
    (sent,) = there.tasks()
    assert (sent["status"], sent["statusReason"]["text"], sent["note"]) == (
        "cancelled", "Moved away.", [{"text": "Theirs."}],
    )  # fmt: skip
    assert (await row(world, fhir_id)).state == "closed" and there.count("PUT") == 1


async def test_both_moved_the_law_decides_and_the_requester_hears_of_it(
    world: Store, app_client: AppClient, clock: FrozenClock, there: FakePartner
) -> None:
    fhir_id = await opened(app_client)
    await worker(world, there).drain()
    there.moves("completed")
    await withdraw(app_client, fhir_id)
    await look(world, clock, there)
    await look(world, clock, there)
    assert (await here(world, fhir_id))["status"] == "cancelled"
    assert there.tasks()[0]["status"] == "completed"
    (said,) = await work_items(world)
    assert "partner-conflict" in said and "cancelled-here-completed-there" in said
    http = await app_client("ecm-provider", ECM1)
    (fhir_id,) = [one[0] for one in await world.fetch("SELECT fhir_id FROM resource WHERE fhir_id LIKE 'pw-%'")]
    assert (await http.get(f"/Task/{fhir_id}")).json()["owner"] == {"reference": ECM1}
    assert (await (await app_client("cbo", CBO1)).get(f"/Task/{fhir_id}")).status_code == 404


async def test_what_it_labels_comes_back_labelled_or_without_words(
    world: Store, app_client: AppClient, clock: FrozenClock, there: FakePartner
) -> None:
    fhir_id = await opened(app_client)
    await worker(world, there).drain()
    (task_,) = there.tasks()
    there.put(make("Procedure/p", status="completed", subject=task_["for"], code={"text": "c"}, meta=SUD))
    output = [{"type": {"text": "x"}, "valueReference": ref("Procedure/p", display="A secret.")},
              {"type": {"text": "x"}, "valueString": "A secret."}]  # fmt: skip
    words = {"note": [{"text": "A secret."}], "businessStatus": {"text": "A secret."}}
    there.moves("completed", meta=SUD, output=output, **words)
    await look(world, clock, there)
    ours = await here(world, fhir_id)
    assert ours["status"] == "completed" and "secret" not in json.dumps(ours), ours
    (result,) = ours["output"]
    copy = await here(world, result["valueReference"]["reference"].partition("/")[2], "Procedure")
    assert copy["meta"]["security"] == SUD["security"]
    await look(world, clock, there)
    assert (await row(world, fhir_id)).state == "closed"
