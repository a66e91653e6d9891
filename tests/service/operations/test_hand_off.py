"""A warm hand-off is recorded by either side, once; the follow-up that was promised is a Task with its clock."""

from typing import Any

import httpx
import pytest

from fhir_profiles.validate import validate
from service.store.engine import Store
from tests.scenarios.adt_truth import resources
from tests.service.conftest import AppClient
from tests.service.notify.notice_world import World
from tests.service.workflow.referral_world import DAY, DONE, WHY, Referral, pass_by, referral
from tests.service.world import CBO1, CBO2, ECM1, ECM2, LCM1, make, put, ref

POSTGRESQL_IN_DEEP = True
KINDS = {"participant": "valueReference", "accepted-by": "valueReference", "time": "valueDateTime"}
KINDS |= {"follow-up": "valueDate", "medium": "valueCode"}
USUAL: dict[str, Any] = {"participant": ["Patient/a", LCM1, CBO1], "accepted-by": CBO1, "follow-up": "2026-03-20"}
ANSWERS = "https://enlace.example.org/fhir/CodeSystem/follow-up-answer"


def asked(**changes: Any) -> dict[str, Any]:
    values = {name: value for name, value in (USUAL | {k.replace("_", "-"): v for k, v in changes.items()}).items()}
    listed = []
    for name, value in values.items():
        for one in value if isinstance(value, list) else [value] if value else []:
            kind = KINDS.get(name, "valueString")
            listed.append({"name": name, kind: ref(one) if kind == "valueReference" else one})
    return {"resourceType": "Parameters", "parameter": listed}


@pytest.fixture
async def one(world: Store, app_client: AppClient) -> Referral:
    return await referral(world, app_client)


async def post(client: httpx.AsyncClient, one: Referral, **changes: Any) -> httpx.Response:
    return await client.post(f"/{one.reference}/$hand-off", json=asked(**changes))


def parts(answer: httpx.Response) -> dict[str, str]:
    assert answer.status_code == 200, answer.text
    return {part["name"]: part["valueReference"]["reference"] for part in answer.json()["parameter"]}


async def test_it_is_recorded_with_its_promise(world: Store, one: Referral) -> None:
    await one.step("accepted")
    ecm = await one.ecm()
    made = parts(await post(ecm, one, note="Prefers mornings", medium="in-person-home"))
    assert parts(await post(ecm, one, note="Prefers mornings", medium="in-person-home")) == made, "the same again"
    record = (await resources(world, "Communication"))[made["record"].partition("/")[2]]
    assert record["recipient"][0] == ref(CBO1) and record["note"] == [{"text": "Prefers mornings"}]
    task = await one.task()
    assert [o["valueReference"] for o in task["output"]] == [ref(made["record"])] and task["meta"]["versionId"] == "3"
    [item] = await one.items()
    assert made["follow-up"] == f"Task/{item['id']}" and item["owner"] == ref(ECM1)
    assert item["restriction"]["period"]["end"] == "2026-03-20"
    assert [validate(r, r["resourceType"]) for r in (record, task, item)] == [[]] * 3
    assert "first-contact" not in await one.clocks() and "first-contact" in await one.clocks("met")
    for client, status in ((await one.cbo(), 200), (await one.app_client("cbo", CBO2), 404)):
        assert (await client.get(f"/{made['record']}")).status_code == status
    assert len(await world.fetch("SELECT 1 FROM audit WHERE kind = 'hand-off'")) == 2


async def test_who_was_there_gets_no_message_of_it(world: Store, one: Referral) -> None:
    parts(await post(await one.ecm(), one))
    people = World(world)
    await people.run()
    assert not [notice for notice in await people.rows() if notice.kind in ("member-message", "referral-message")]


async def test_by_the_owner_and_by_nobody_else(one: Referral, app_client: AppClient) -> None:
    assert (await post(await app_client("ecm-provider", ECM2), one)).status_code == 404
    assert (await post(await app_client("mcp", "Organization/plan-1"), one)).status_code in (403, 404)
    made = parts(await post(await one.cbo(), one, participant=["Patient/a", ECM1, CBO1]))
    assert made["record"]


@pytest.mark.parametrize(
    ("changes", "status", "words"),
    [
        ({"participant": ["Patient/a"]}, 400, "one of the participants"),
        ({"participant": [LCM1, CBO1]}, 400, "the member takes part"),
        ({"accepted_by": "Patient/a"}, 400, "not the member"),
        ({"accepted_by": ""}, 400, "one of the participants"),
        ({"participant": ["Patient/a", CBO1, "Device/x"]}, 400, "participant is a reference"),
        ({"medium": "fax"}, 400, "medium is one of"),
        ({"follow_up": "2026-02-01"}, 400, "follow-up is a date"),
        ({"follow_up": "2029-01-01"}, 400, "follow-up is a date"),
        ({"time": "2026-05-01T10:00:00Z"}, 400, "not in the future"),
        ({"time": "soon"}, 400, "not in the future"),
        ({"wish": "x"}, 400, "is one of participant"),
        ({"note": "x" * 3000}, 400, "1 to 2000"),
        ({"participant": ["Patient/b", CBO1]}, 422, "the one of the referral"),
        ({"participant": ["Patient/a", CBO1, "Practitioner/nobody"]}, 422, "not known here"),
        ({"participant": ["Patient/a", CBO1, "RelatedPerson/other"]}, 422, "not known here"),
    ],
)
async def test_what_is_wrong_is_said(
    world: Store, one: Referral, changes: dict[str, Any], status: int, words: str
) -> None:
    await put(world, make("RelatedPerson/other", patient=ref("Patient/b")), source=ECM1)
    answer = await post(await one.ecm(), one, **changes)
    assert answer.status_code == status and words in answer.text
    assert await one.told("warm-hand-off") == [] and (await one.task())["meta"]["versionId"] == "1"


async def test_only_while_the_referral_is_open(one: Referral) -> None:
    await one.step("rejected", **WHY)
    answer = await post(await one.ecm(), one)
    assert answer.status_code == 422 and "open" in answer.text


async def test_a_hand_off_is_not_what_was_done(one: Referral) -> None:
    parts(await post(await one.ecm(), one, follow_up=""))
    await one.step("accepted")
    assert (await one.put(status="completed")).status_code == 422
    task = await one.task()
    await one.step("completed", output=[*task["output"], *DONE["output"]])


# --- promised follow-ups ---------------------------------------------------------------------------------------------


def said(**answers: Any) -> list[dict[str, Any]]:
    kinds = {bool: "valueBoolean", str: "valueString"}
    found = []
    for name, value in answers.items():
        code = name.replace("_", "-")
        kind = "valueDate" if code == "next-follow-up" else kinds[type(value)]
        found.append({"type": {"coding": [{"system": ANSWERS, "code": code}]}, kind: value})
    return found


async def answer(one: Referral, item: dict[str, Any], **changes: Any) -> httpx.Response:
    now = (await resources(one.store, "Task"))[item["id"]]
    headers = {"If-Match": f'W/"{now["meta"]["versionId"]}"'}
    return await (await one.ecm()).put(f"/Task/{item['id']}", json=now | changes, headers=headers)


async def test_a_promise_that_is_not_kept_is_overdue_and_told_once(world: Store, one: Referral) -> None:
    parts(await post(await one.ecm(), one))
    for _ in range(2):
        await pass_by(world, 25 * DAY)
    [item] = [i for i in await one.items() if i["id"].startswith("fp-")]
    assert [e["valueCode"] for e in item["extension"]] == ["follow-up"]
    told = [m for m in await one.told("referral-overdue") if m["about"] == [ref(f"Task/{item['id']}")]]
    assert len(told) == 1 and told[0]["recipient"] == [ref(ECM1)]
    assert (await (await one.ecm()).get("/Task?overdue=follow-up&_total=accurate")).json()["total"] == 1
    done = await answer(one, item, status="completed", output=said(applied=True, used_service=True))
    assert done.status_code == 200, done.text
    assert "extension" not in done.json()


@pytest.mark.parametrize(
    ("answers", "status"),
    [
        ({}, 422),
        ({"applied": True}, 422),
        ({"applied": False, "used_service": False}, 422),
        ({"applied": True, "used_service": False, "next_step": "Another pantry"}, 200),
        ({"applied": True, "used_service": True, "still_receiving": True}, 200),
    ],
)
async def test_it_is_completed_with_what_was_found(one: Referral, answers: dict[str, Any], status: int) -> None:
    parts(await post(await one.ecm(), one))
    [item] = await one.items()
    found = {"output": said(**answers)} if answers else {}
    done = await answer(one, item, status="completed", **found)
    assert done.status_code == status, done.text


async def test_the_next_one_follows(world: Store, one: Referral) -> None:
    parts(await post(await one.ecm(), one))
    [item] = await one.items()
    later = said(applied=False, used_service=False, next_follow_up="2026-04-20")
    assert (await answer(one, item, status="completed", output=later)).status_code == 200
    await pass_by(world, 1)
    await pass_by(world, 1)
    [again] = await one.items()
    assert again["id"] != item["id"] and again["restriction"]["period"]["end"] == "2026-04-20"
