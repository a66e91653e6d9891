"""Caps of a service under $authorize and PUT: to the cent, by many at once, in one transaction; on both databases."""

import asyncio
from typing import Any

import httpx

from service.store import service_use
from service.store.engine import Store
from service.workflow.calaim_tasks import AUTHORIZATION_URL, OUTCOMES
from tests.service.conftest import AppClient
from tests.service.operations.test_authorize import APPROVED, PERIOD, decided
from tests.service.workflow.calaim_world import opened
from tests.service.world import PLAN1


async def test_a_cap_is_kept_to_the_cent(world: Store, app_client: AppClient) -> None:
    plan = await app_client("mcp", PLAN1)

    async def ask_for(value: float, **more: Any) -> httpx.Response:
        number = await opened(world, "home-modifications", PLAN1)
        return await decided(plan, number, **APPROVED, quantity={"value": value, "unit": "USD"}, **more)

    assert (await ask_for(7000.01)).status_code == 200
    refused = await ask_for(500)
    assert refused.status_code == 422 and "$499.99 are left" in refused.text
    assert (await ask_for(499.99)).status_code == 200
    assert (await ask_for(0.01)).status_code == 422
    assert (await ask_for(0.01, exception="moved to another home")).status_code == 200


async def test_of_many_at_once_none_gets_more_than_there_is(world: Store, app_client: AppClient) -> None:
    plan = await app_client("mcp", PLAN1)
    numbers = [await opened(world, "home-modifications", PLAN1) for _ in range(5)]
    quantity = {"value": 2000, "unit": "USD"}
    answers = await asyncio.gather(*(decided(plan, n, **APPROVED, quantity=quantity) for n in numbers))
    told = sorted(answer.status_code for answer in answers)
    assert told.count(200) == 3 and set(told) <= {200, 409, 422}
    assert sum(row[2] for row in await service_use.of_patient(world, "Patient/a")) == 600_000


async def test_two_in_one_transaction_are_counted_together(world: Store, app_client: AppClient) -> None:
    plan = await app_client("mcp", PLAN1)
    entries = []
    for _ in range(2):
        number = await opened(world, "home-modifications", PLAN1)
        one = (await plan.get(f"/Task/{number}")).json()
        one |= {
            "status": "accepted",
            "businessStatus": {"coding": [{"system": OUTCOMES, "code": "approved"}]},
            "extension": [{"url": AUTHORIZATION_URL, "valueIdentifier": {"value": number, "period": PERIOD}}],
            "output": [
                {
                    "type": {
                        "coding": [{"system": OUTCOMES.replace("outcome", "output"), "code": "authorized-quantity"}]
                    },
                    "valueQuantity": {"value": 4000, "unit": "USD"},
                }
            ],
        }
        entries.append({"resource": one, "request": {"method": "PUT", "url": f"Task/{number}", "ifMatch": 'W/"1"'}})
    bundle = {"resourceType": "Bundle", "type": "transaction", "entry": entries}
    answer = await plan.post("", json=bundle)
    assert answer.status_code == 422 and "are left" in answer.text, answer.text
    assert (await plan.post("", json={**bundle, "entry": entries[:1]})).status_code == 200  # a PUT is as good
    assert [row[2] for row in await service_use.of_patient(world, "Patient/a")] == [400_000]
