"""The closed-loop status and the reason for closure stand on each step of an ECM or CS referral, with their dates."""

import os
from typing import Any

import pytest

from service.store.engine import Store
from service.workflow.closed_loop import DATE_URL, PROVIDER, REASON, STATUS, WHY
from tests.service.conftest import AppClient
from tests.service.workflow.calaim_world import advance, code_of, coded, moved, opened
from tests.service.world import CBO1, ECM1, PLAN1, make, put, ref, request, task

POSTGRESQL_IN_DEEP = True
"""What decides is no SQL."""
DEEP = bool(os.environ.get("ENLACE_TEST_DEEP"))
OUTPUT = {"output": [{"type": {"text": "x"}, "valueString": "done"}]}
WHY_TEXT = {"statusReason": {"text": "why"}}


def date_of(body: dict[str, Any], element: str = "businessStatus", system: str = STATUS) -> str:
    coding = next(c for c in body[element]["coding"] if c["system"] == system)
    (one,) = [e["valueDateTime"] for e in coding["extension"] if e["url"] == DATE_URL]
    return str(one)


async def test_the_status_follows_each_step_by_itself(world: Store, app_client: AppClient) -> None:
    ecm, cbo = await app_client(), await app_client("cbo", CBO1)
    await put(world, request("ServiceRequest/n", "Patient/a", ECM1, code=coded("housing-deposits")), source=ECM1)
    body = task("Task/n", "Patient/a", "ServiceRequest/n", ECM1, CBO1)
    made = (await ecm.post("/Task", json=body)).json()
    assert code_of(made, "businessStatus", STATUS) == "pending" and not made.get("statusReason")
    first, was = date_of(made), "pending"
    advance(world)
    for status, shows, more in (
        ("accepted", "accepted", {}),
        ("in-progress", "outreach-initiated", {}),
        ("on-hold", "outreach-initiated", WHY_TEXT),
        ("in-progress", "outreach-initiated", {}),
        ("completed", "referral-loop-closed", OUTPUT),
    ):
        before = date_of((await cbo.get(f"/Task/{made['id']}")).json())
        answer = await moved(cbo, made["id"], status=status, **more)
        assert answer.status_code == 200, answer.text
        after = answer.json()
        assert code_of(after, "businessStatus", STATUS) == shows
        stays = shows == was
        assert (date_of(after) == before) == stays and date_of(after) >= first
        was = shows
        advance(world)
    assert code_of(after, "statusReason", REASON) == "services-received" and after["statusReason"]["text"] == "why"
    assert date_of(after, "statusReason", REASON) == date_of(after)


@pytest.mark.parametrize("status", sorted(PROVIDER) if DEEP else ["accepted", "cancelled", "rejected"])
async def test_a_clients_status_must_fit(world: Store, app_client: AppClient, status: str) -> None:
    from_ = {"requested": None, "accepted": "requested", "rejected": "requested"}.get(status, "accepted")
    if from_ is None:
        return
    cbo = await app_client("cbo", CBO1)
    more = {**(OUTPUT if status == "completed" else {}), **WHY_TEXT}
    fits = PROVIDER[status]
    for code in ("pending", "accepted", "declined", "outreach-initiated", "referral-loop-closed"):
        number = await opened(world, status=from_)
        answer = await moved(cbo, number, status=status, businessStatus=coded(code, STATUS), **more)
        assert answer.status_code == (200 if code in fits else 422), (status, code, answer.text)
        if code in fits:
            assert code_of(answer.json(), "businessStatus", STATUS) == code
        else:
            assert fits[0] in answer.text and "Task.businessStatus" in answer.text
    for code in (
        "services-received",
        "unable-to-reach",
        "not-eligible",
        "no-longer-wanted",
        "provider-declined",
        "not-appropriate",
        "other",
    ):
        number = await opened(world, status=from_)
        reason = {"text": "why", **coded(code, REASON)}
        answer = await moved(cbo, number, status=status, **{**more, "statusReason": reason})
        assert answer.status_code == (200 if code in WHY.get(status, ()) else 422), (status, code, answer.text)


async def test_dates_are_kept_checked_and_never_lost(world: Store, app_client: AppClient) -> None:
    cbo = await app_client("cbo", CBO1)
    number = await opened(world)

    def dated(when: str, code: str = "accepted") -> dict[str, Any]:
        coding = {"system": STATUS, "code": code, "extension": [{"url": DATE_URL, "valueDateTime": when}]}
        return {"coding": [coding]}

    for when in ("2999-01-01T00:00:00Z", "2020-01-01"):
        assert (await moved(cbo, number, status="accepted", businessStatus=dated(when))).status_code == 422
    answer = await moved(cbo, number, status="accepted", businessStatus=dated("2026-03-01T11:00:00Z"))
    assert answer.status_code == 200 and date_of(answer.json()) == "2026-03-01T11:00:00Z"
    advance(world)
    answer = await moved(cbo, number, businessStatus=None, note=[{"text": "n"}])  # who drops it does not lose it
    assert date_of(answer.json()) == "2026-03-01T11:00:00Z"
    answer = await moved(cbo, number, status="in-progress")  # the old date is not that of the new status
    assert date_of(answer.json()) != "2026-03-01T11:00:00Z"
    two = {"coding": [*dated("2026-03-01T11:00:00Z")["coding"], *dated("2026-03-01T11:00:00Z", "pending")["coding"]]}
    assert (await moved(cbo, number, businessStatus=two)).status_code == 422


async def test_other_codings_stand_beside_it(world: Store, app_client: AppClient) -> None:
    cbo = await app_client("cbo", CBO1)
    number = await opened(world)
    bser = {"system": "http://hl7.org/fhir/us/bser/CodeSystem/TaskBusinessStatusCS", "code": "3.0"}
    answer = await moved(cbo, number, status="accepted", businessStatus={"coding": [bser], "text": "ok"})
    assert answer.status_code == 200, answer.text
    assert bser in answer.json()["businessStatus"]["coding"] and answer.json()["businessStatus"]["text"] == "ok"


@pytest.mark.parametrize("service", ["sobering-centers", "", "yoga"])
async def test_what_is_exempt_or_no_calaim_service_is_left_alone(
    world: Store, app_client: AppClient, service: str
) -> None:
    cbo = await app_client("cbo", CBO1)
    number = await opened(world, service)
    answer = await moved(cbo, number, status="accepted")
    assert answer.status_code == 200 and "businessStatus" not in answer.json()


async def test_the_plans_task_shows_no_status_of_its_own_until_it_ends(world: Store, app_client: AppClient) -> None:
    plan = await app_client("mcp", PLAN1)
    number = await opened(world, "asthma-remediation", PLAN1)
    answer = await moved(plan, number, status="rejected", **WHY_TEXT)
    assert answer.status_code == 200, answer.text
    assert "businessStatus" not in answer.json() and "coding" not in answer.json()["statusReason"]
    number = await opened(world, "asthma-remediation", PLAN1, status="accepted")
    answer = await moved(plan, number, status="cancelled", **WHY_TEXT)
    assert code_of(answer.json(), "businessStatus", STATUS) == "referral-loop-closed"
    assert code_of(answer.json(), "statusReason", REASON) == "other"


async def test_a_request_based_on_another_is_of_its_service(world: Store, app_client: AppClient) -> None:
    cbo = await app_client("cbo", CBO1)
    await put(world, request("ServiceRequest/top", "Patient/a", ECM1, code=coded("home-modifications")), source=ECM1)
    below = request("ServiceRequest/below", "Patient/a", PLAN1, basedOn=[ref("ServiceRequest/top")])
    child = task("Task/below", "Patient/a", "ServiceRequest/below", PLAN1, CBO1)
    await put(world, below, child, make("Procedure/done", status="completed", subject=ref("Patient/a")), source=PLAN1)
    answer = await moved(cbo, "below", status="rejected", statusReason={"text": "full"})
    assert code_of(answer.json(), "businessStatus", STATUS) == "declined", answer.text
