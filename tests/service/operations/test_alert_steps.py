"""What a recipient does with an alert: acknowledged, put off, handed on, denied, answered; by nobody else."""

from typing import Any

import pytest

from service.store import alert_work
from service.store.engine import Store
from service.workflow.alert_stand_in import stand_in_id
from tests.frozen_clock import FrozenClock
from tests.scenarios.adt_truth import resources
from tests.service.adt_world import Sender, adt_world
from tests.service.conftest import AppClient
from tests.service.notify.notice_world import role
from tests.service.world import ECM1, ECM2, LCM1, LCM2, make, put

POSTGRESQL_IN_DEEP = True
COLLEAGUE = "Practitioner/colleague"


@pytest.fixture
async def alert(store: Store) -> str:
    await adt_world(store)
    await put(store, make(COLLEAGUE, name=[{"family": "League", "given": ["Col"]}]))
    await put(store, role("lcm-1", LCM1, ECM1, "lead-care-manager"), role("col", COLLEAGUE, ECM1, "care-coordinator"))
    send = Sender(store)
    assert await send(send.adt("A01")) == [("applied", "matched")]
    [found] = (await resources(store, "Communication")).values()
    return f"Communication/{found['id']}"


def asked(**values: Any) -> dict[str, Any]:
    kinds = {"minutes": "valueInteger", "to": "valueReference", "code": "valueCode", "until": "valueDateTime"}
    parts = [
        {"name": name, kinds.get(name, "valueString"): {"reference": value} if name == "to" else value}
        for name, value in values.items()
    ]
    return {"resourceType": "Parameters", "parameter": parts}


async def work(store: Store, alert: str) -> tuple[str, int, str]:
    row = await alert_work.of_alert(store, alert)
    assert row is not None
    return row.state, row.level, row.outcome


async def kinds(store: Store) -> list[str]:
    return [row[0] for row in await store.fetch("SELECT kind FROM audit WHERE kind LIKE 'alert-%' ORDER BY slot, seq")]


async def test_acknowledged_once_and_again(store: Store, alert: str, app_client: AppClient) -> None:
    ana = await app_client("lcm", ECM1, LCM1)
    first = await ana.post(f"/{alert}/$acknowledge")
    assert first.status_code == 200 and first.json()["received"]
    again = await ana.post(f"/{alert}/$acknowledge", json={"resourceType": "Parameters"})
    assert again.status_code == 200 and again.json() == first.json()
    assert await work(store, alert) == ("acknowledged", 0, "")
    assert await kinds(store) == ["alert-acknowledged"] * 2


async def test_a_plain_update_stops_the_clock_and_its_undoing_starts_it(
    store: Store, alert: str, app_client: AppClient
) -> None:
    ana = await app_client("lcm", ECM1, LCM1)
    body = (await ana.get(f"/{alert}")).json()
    assert (await ana.put(f"/{alert}", json={**body, "received": "2026-03-01T10:00:00-08:00"})).status_code == 200
    assert (await work(store, alert))[0] == "acknowledged"
    assert (await ana.put(f"/{alert}", json=body)).status_code == 200
    assert (await work(store, alert))[0] == "open"


async def test_put_off_for_a_time(store: Store, alert: str, app_client: AppClient, clock: FrozenClock) -> None:
    ana = await app_client("lcm", ECM1, LCM1)
    answer = await ana.post(f"/{alert}/$snooze", json=asked(minutes=60, reason="In a meeting"))
    assert answer.status_code == 200
    assert answer.json()["note"][0]["text"].startswith("Snoozed until ")
    assert answer.json()["note"][0]["authorReference"] == {"reference": LCM1}
    row = await alert_work.of_alert(store, alert)
    assert row is not None and (row.state, row.due_us) == ("snoozed", clock.now_us() + 3_600_000_000)
    version = answer.json()["meta"]["versionId"]
    same = await ana.post(f"/{alert}/$snooze", json=asked(minutes=60))
    assert same.json()["meta"]["versionId"] == version, "asked for what is so already"
    for wrong in (asked(minutes=2), asked(until="2020-01-01T00:00:00Z"), asked(minutes=60, until="x"), asked()):
        assert (await ana.post(f"/{alert}/$snooze", json=wrong)).status_code in (400, 422)


async def test_handed_on_to_a_colleague_who_sees_the_alert_alone(
    store: Store, alert: str, app_client: AppClient
) -> None:
    ana, col = await app_client("lcm", ECM1, LCM1), await app_client("lcm", ECM1, COLLEAGUE)
    assert (await col.get(f"/{alert}")).status_code == 404
    answer = await ana.post(f"/{alert}/$reassign", json=asked(to=COLLEAGUE, reason="Holiday"))
    assert [one["reference"] for one in answer.json()["recipient"]] == [LCM1, COLLEAGUE]
    assert answer.json()["note"][0]["text"] == "Handed on to Col League. Holiday"
    tasks = await resources(store, "Task")
    assert [task["owner"]["reference"] for task in tasks.values()] == [COLLEAGUE]
    assert (await col.get(f"/{alert}")).status_code == 200
    assert (await col.get("/Patient/rosa")).status_code == 404
    repeated = await ana.post(f"/{alert}/$reassign", json=asked(to=COLLEAGUE))
    assert repeated.json()["meta"] == answer.json()["meta"]
    assert (await col.post(f"/{alert}/$acknowledge")).status_code == 200
    assert (await work(store, alert))[0] == "acknowledged"


async def test_without_a_follow_up_the_colleague_gets_a_task_of_its_own(
    store: Store, alert: str, app_client: AppClient
) -> None:
    ana, col = await app_client("lcm", ECM1, LCM1), await app_client("lcm", ECM1, COLLEAGUE)
    [task] = (await resources(store, "Task")).values()
    done = {**task, "status": "cancelled", "statusReason": {"text": "no"}}
    put_back = await ana.put(f"/Task/{task['id']}", json=done, headers={"If-Match": f'W/"{task["meta"]["versionId"]}"'})
    assert put_back.status_code == 200, put_back.text
    assert (await ana.post(f"/{alert}/$reassign", json=asked(to=COLLEAGUE))).status_code == 200
    own = f"{stand_in_id(alert.partition('/')[2], COLLEAGUE)}"
    assert (await resources(store, "Task"))[own]["owner"]["reference"] == COLLEAGUE
    assert (await col.post(f"/{alert}/$acknowledge")).status_code == 200
    assert (await resources(store, "Task"))[own]["status"] == "completed"


@pytest.mark.parametrize("to", [LCM2, "Practitioner/absent", "Patient/rosa", ECM1])
async def test_handed_on_to_colleagues_only(alert: str, app_client: AppClient, to: str) -> None:
    ana = await app_client("lcm", ECM1, LCM1)
    answer = await ana.post(f"/{alert}/$reassign", json=asked(to=to))
    assert answer.status_code == 422
    assert "nobody who works for your organization" in answer.text


@pytest.mark.parametrize(
    ("code", "status"), [("reached", "completed"), ("attempted", "in-progress"), ("not-needed", "cancelled")]
)
async def test_an_outcome_acknowledges_and_fills_the_follow_up_in(
    store: Store, alert: str, app_client: AppClient, code: str, status: str
) -> None:
    ana = await app_client("lcm", ECM1, LCM1)
    answer = await ana.post(f"/{alert}/$outcome", json=asked(code=code, reason="Spoke to the ward"))
    assert answer.json()["received"] and "Spoke to the ward" in answer.json()["note"][0]["text"]
    [task] = (await resources(store, "Task")).values()
    assert task["status"] == status
    assert task["output"][0]["valueCodeableConcept"]["coding"][0]["code"] == code
    assert await work(store, alert) == ("acknowledged", 0, code)
    again = await ana.post(f"/{alert}/$outcome", json=asked(code=code))
    assert again.json()["meta"] == answer.json()["meta"]
    assert (await ana.post(f"/{alert}/$outcome", json=asked(code="maybe"))).status_code == 400


@pytest.mark.parametrize(
    ("code", "status"), [("reached", "completed"), ("attempted", "in-progress"), ("not-needed", "cancelled")]
)
async def test_the_outcome_of_a_discharge_fills_in_the_contact_of_its_checklist_and_no_more(
    store: Store, alert: str, app_client: AppClient, code: str, status: str
) -> None:
    send = Sender(store)
    await send(send.adt("A03", ago=1, control_id="X3", PV1_36="01"))
    told = (await resources(store, "Communication")).values()
    [discharge] = [one for one in told if f"Communication/{one['id']}" != alert]
    [ours] = [t for t in (await resources(store, "Task")).values() if "tcs-contact" in str(t["code"])]
    foreign = {**ours, "id": "foreign", "meta": {}, "owner": {"reference": COLLEAGUE}}
    await put(
        store, {name: value for name, value in foreign.items() if name not in ("meta", "instantiatesUri")}, source=ECM1
    )
    ana = await app_client("lcm", ECM1, LCM1)
    answer = await ana.post(f"/Communication/{discharge['id']}/$outcome", json=asked(code=code, reason="Spoke to her"))
    assert answer.status_code == 200, answer.text
    assert (await resources(store, "Task"))["foreign"]["status"] == "requested", "another's is not ours to move"
    found = (await resources(store, "Task")).values()
    checklist = {one["instantiatesUri"].partition("#")[2]: one for one in found if one.get("instantiatesUri")}
    contact = checklist.pop("contact")
    assert contact["status"] == status
    assert contact["output"][0]["valueCodeableConcept"]["coding"][0]["code"] == code
    assert {one["status"] for one in checklist.values()} == {"requested"}, "a visit is not made by a call"


async def test_anothers_task_about_the_alert_is_left_alone(store: Store, alert: str, app_client: AppClient) -> None:
    [own] = (await resources(store, "Task")).values()
    await put(store, {**own, "id": "fu-theirs", "owner": {"reference": LCM2}}, source=ECM2)
    ana = await app_client("lcm", ECM1, LCM1)
    assert (await ana.post(f"/{alert}/$reassign", json=asked(to=COLLEAGUE))).status_code == 200
    assert (await ana.post(f"/{alert}/$outcome", json=asked(code="not-needed"))).status_code == 200
    theirs = (await resources(store, "Task"))["fu-theirs"]
    assert (theirs["meta"]["versionId"], theirs["owner"]["reference"]) == ("1", LCM2)


async def test_not_my_member_puts_the_match_up_for_review(store: Store, alert: str, app_client: AppClient) -> None:
    ana = await app_client("lcm", ECM1, LCM1)
    answer = await ana.post(f"/{alert}/$not-my-member", json=asked(reason="She is at home"))
    assert answer.status_code == 200 and answer.json()["received"], answer.text
    reviews = await store.fetch("SELECT stay, state, patient FROM match_review")
    stay = answer.json()["encounter"]["reference"].partition("/")[2]
    assert [tuple(one) for one in reviews] == [(stay, "open", "Patient/rosa")]
    assert (await work(store, alert))[2] == "not-my-member"
    again = await ana.post(f"/{alert}/$not-my-member")
    assert again.json()["meta"] == answer.json()["meta"]
    assert len(await store.fetch("SELECT 1 FROM match_review")) == 1


STEPS: dict[str, Any] = {
    "acknowledge": None,
    "snooze": asked(minutes=30),
    "reassign": asked(to=COLLEAGUE),
    "not-my-member": None,
    "outcome": asked(code="reached"),
}


async def test_nobody_else_and_foreign_is_as_absent(store: Store, alert: str, app_client: AppClient) -> None:
    before = await store.fetch("SELECT count(*) FROM version")
    stranger = await app_client("lcm", ECM2, LCM2)
    hospital = await app_client("hospital", "Organization/mercy")
    reader = await app_client("lcm", ECM1, LCM1, scopes="user/*.rs")
    plan = await app_client("mcp", "Organization/plan-1")
    for name, body in STEPS.items():
        foreign = await stranger.post(f"/{alert}/${name}", json=body)
        absent = await stranger.post(f"/Communication/al-absent/${name}", json=body)
        assert (foreign.status_code, absent.status_code) == (404, 404)
        assert foreign.text.replace(alert, "X") == absent.text.replace("Communication/al-absent", "X")
        for other in (hospital, reader, plan):
            assert (await other.post(f"/{alert}/${name}", json=body)).status_code == 403, name
    assert [tuple(r) for r in await store.fetch("SELECT count(*) FROM version")] == [tuple(r) for r in before]


async def test_nothing_is_done_about_what_was_taken_back_or_is_no_alert(
    store: Store, alert: str, app_client: AppClient
) -> None:
    send = Sender(store)
    await send(send.adt("A11", ago=1, control_id="X11"))
    plain = make("Communication/plain", status="completed", subject={"reference": "Patient/rosa"})
    await put(store, plain, source=ECM1)
    ana = await app_client("lcm", ECM1, LCM1)
    for name, body in STEPS.items():
        answer = await ana.post(f"/{alert}/${name}", json=body)
        assert answer.status_code == 422 and "taken back" in answer.text
        assert (await ana.post(f"/Communication/plain/${name}", json=body)).status_code == 422
    assert (await work(store, alert))[0] == "ended"
