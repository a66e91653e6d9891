"""What came of a referral stands in the care plan that planned it: once, in one version, by a rule that is named."""

from typing import Any

import pytest

from fhir_profiles.validate import validate
from service.store.change import Change, Job
from service.store.engine import Store
from tests.scenarios.adt_truth import resources
from tests.service.conftest import AppClient
from tests.service.workflow.referral_world import DONE, WHY, drain, referral
from tests.service.world import CBO1, ECM1, SUD, change_of, make, put, ref

POSTGRESQL_IN_DEEP = True


async def plan(store: Store, *planned: str, **more: Any) -> None:
    activity = [{"reference": ref(one)} for one in planned]
    body = {"status": "active", "intent": "plan", "subject": ref("Patient/a"), "activity": activity}
    await put(store, make("CarePlan/p", **(body | more)), source=ECM1)


async def stored(store: Store) -> dict[str, Any]:
    return (await resources(store, "CarePlan"))["p"]


async def test_the_outcome_goes_into_the_activity(world: Store, app_client: AppClient) -> None:
    await plan(world, "Appointment/x", "ServiceRequest/a")
    one = await referral(world, app_client)
    await one.step("accepted")
    assert (await stored(world))["meta"]["versionId"] == "1"
    coded = {"type": {"text": "resulting-activity"}, "valueCodeableConcept": {"text": "Meals"}}
    letter = {"type": {"text": "x"}, "valueReference": ref("Communication/none")}
    await one.step("completed", output=[*DONE["output"], coded])
    for _ in range(2):
        await world.commit(Change(jobs=[Job("referral.outcome", {"task": one.reference})]))
        await drain(world)
    found = await stored(world)
    other, mine = found["activity"]
    assert found["meta"]["versionId"] == "2" and other == {"reference": ref("Appointment/x")}
    assert mine["outcomeReference"] == [ref("Procedure/a")] and mine["outcomeCodeableConcept"] == [{"text": "Meals"}]
    [note] = mine["progress"]
    assert note["text"].startswith("The referral was completed.") and note["authorReference"] == ref(CBO1)
    assert validate(found, "CarePlan") == [] and letter not in found["activity"]
    [row] = await world.fetch("SELECT reason FROM audit WHERE kind = 'derived' AND target = 'CarePlan/p'")
    assert row[0] == "referral-outcome"
    ecm = await one.ecm()
    page = (await ecm.get("/Provenance?target=CarePlan/p")).json()
    assert page.get("entry"), "Provenance of the version"


@pytest.mark.parametrize(("status", "words"), [("rejected", "declined"), ("cancelled", "cancelled")])
async def test_an_end_without_a_service_is_a_note(world: Store, app_client: AppClient, status: str, words: str) -> None:
    await plan(world, "ServiceRequest/a")
    one = await referral(world, app_client)
    await one.step(status, **WHY)
    [activity] = (await stored(world))["activity"]
    assert "outcomeReference" not in activity
    assert words in activity["progress"][0]["text"] and "Made-up reason" in activity["progress"][0]["text"]


async def test_two_referrals_of_one_request_stand_beside_each_other(world: Store, app_client: AppClient) -> None:
    await plan(world, "ServiceRequest/a")
    await (await referral(world, app_client)).step("rejected", **WHY)
    again = await referral(world, app_client)
    await again.step("accepted")
    await again.step("completed", **DONE)
    [activity] = (await stored(world))["activity"]
    assert len(activity["progress"]) == 2 and activity["outcomeReference"] == [ref("Procedure/a")]


@pytest.mark.parametrize("more", [{"status": "completed"}, {"subject": ref("Patient/b")}])
async def test_a_plan_that_is_over_or_anothers_stays(world: Store, app_client: AppClient, more: dict[str, Any]) -> None:
    await plan(world, "ServiceRequest/a", **more)
    await (await referral(world, app_client)).step("rejected", **WHY)
    assert (await stored(world))["meta"]["versionId"] == "1"


async def test_what_is_labelled_is_named_and_not_told(world: Store, app_client: AppClient) -> None:
    await plan(world, "ServiceRequest/a")
    one = await referral(world, app_client, meta=SUD)
    await one.step("cancelled", await one.ecm(), **WHY)
    [activity] = (await stored(world))["activity"]
    assert activity["progress"][0]["text"] == f"The referral was cancelled. ({one.reference})"
    assert "authorReference" not in activity["progress"][0]


async def test_of_what_is_labelled_the_plan_says_neither_whose_nor_what(world: Store, app_client: AppClient) -> None:
    await plan(world, "ServiceRequest/a")
    one = await referral(world, app_client)
    await one.step("accepted")
    output = [{"type": {"text": "x"}, "valueReference": ref("Procedure/a", display="Methadone")}]
    task_, codes = await one.task(), [{"system": "http://terminology.hl7.org/CodeSystem/v3-ActCode", "code": "SUD"}]
    raised = {**task_, "meta": {"security": codes}, "status": "completed", "output": output}
    await world.commit(change_of(world, raised, ECM1, expect=int(task_["meta"]["versionId"])))
    await world.commit(Change(jobs=[Job("referral.outcome", {"task": one.reference})]))
    await drain(world)
    [activity] = (await stored(world))["activity"]
    assert activity["outcomeReference"] == [ref("Procedure/a")] and "authorReference" not in activity["progress"][0]
