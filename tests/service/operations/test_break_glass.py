"""Emergency access: who may take it, what it opens and for how long, what it leaves behind."""

from typing import Any

import httpx
import pytest

from service.access.labels import ACT
from service.operations.break_glass import FACTS
from service.store import break_glass
from service.store.engine import Store
from tests.frozen_clock import FrozenClock
from tests.service.conftest import AppClient
from tests.service.world import CBO1, ECM1, ECM2, LCM1, PLAN1, condition, episode, put, ref

POSTGRESQL_IN_DEEP = True

REASON = "Found unconscious; the hospital asks which medicines he takes."
MINUTE = 60_000_000


def body(**values: Any) -> dict[str, Any]:
    values = {"reason": REASON} | values
    kinds = {int: "valueInteger", str: "valueString"}
    return {
        "resourceType": "Parameters",
        "parameter": [{"name": name, kinds[type(value)]: value} for name, value in values.items()],
    }


async def take(client: httpx.AsyncClient, patient: str = "Patient/b", **values: Any) -> httpx.Response:
    return await client.post(f"/{patient}/$break-glass", json=body(**values))


async def sees(client: httpx.AsyncClient, *references: str) -> list[bool]:
    return [(await client.get(f"/{one}")).status_code == 200 for one in references]


@pytest.fixture
async def lcm(world: Store, app_client: AppClient) -> httpx.AsyncClient:
    """A care manager of ECM 1, who has patient A; B is a stranger with records of every kind."""
    for code in ("SUD", "42CFRPart2", "PSYTHPN"):
        label = {"security": [{"system": ACT, "code": code}]}
        await put(world, condition(f"Condition/{code.lower()}", "Patient/b", meta=label), source=ECM2)
    return await app_client("lcm", ECM1, LCM1)


RECORD = ("Patient/b", "Observation/b", "Condition/sud-b", "Condition/sud", "Condition/42cfrpart2", "Condition/psythpn")


async def test_it_opens_one_record_and_ends_by_itself(lcm: httpx.AsyncClient, clock: FrozenClock) -> None:
    assert not any(await sees(lcm, *RECORD))
    answer = await take(lcm, minutes=30)
    assert answer.status_code == 200, answer.text
    assert await sees(lcm, *RECORD) == [True, True, True, True, False, False]
    found = (await lcm.get("/Observation", params={"patient": "Patient/b"})).json()
    assert [e["resource"]["id"] for e in found["entry"] if e["search"]["mode"] == "match"] == ["b"]
    clock.advance(30 * MINUTE - 1)
    assert (await sees(lcm, "Patient/b")) == [True]
    clock.advance(1)
    assert not any(await sees(lcm, *RECORD))
    assert "entry" not in (await lcm.get("/Observation", params={"patient": "Patient/b"})).json()


async def test_part_2_needs_the_four_facts(lcm: httpx.AsyncClient) -> None:
    partly = await take(lcm, recipient="Dr. A. Made-Up", nature="overdose")
    assert partly.status_code == 400 and "missing: affiliation, discloser" in partly.text
    answer = await take(lcm, **dict.fromkeys(FACTS, "Made up for this test"))
    assert answer.status_code == 200
    assert {"name": "part2", "valueBoolean": True} in answer.json()["parameter"]
    assert await sees(lcm, *RECORD) == [True, True, True, True, True, False]
    told = await lcm.get("/Condition/42cfrpart2")
    assert "part2-notice" in told.headers["link"]


async def test_it_opens_it_for_the_person_alone(lcm: httpx.AsyncClient, app_client: AppClient) -> None:
    assert (await take(lcm)).status_code == 200
    assert await sees(await app_client("ecm-provider", ECM1), "Patient/b", "Observation/b") == [False, False]
    assert await sees(await app_client("lcm", ECM1, "Practitioner/other"), "Observation/b") == [False]


@pytest.mark.parametrize(
    ("role", "organization", "person"),
    [
        ("ecm-provider", ECM1, None),
        ("lcm", ECM1, None),
        ("mcp", PLAN1, "Practitioner/lcm-1"),
        ("cbo", CBO1, "Practitioner/lcm-1"),
        ("hospital", ECM1, "Practitioner/lcm-1"),
        ("referrer", ECM1, "Practitioner/lcm-1"),
        ("admin", "Organization/op", "Practitioner/lcm-1"),
    ],
)
async def test_others_are_refused_alike_for_every_patient(
    world: Store, app_client: AppClient, role: str, organization: str, person: str | None
) -> None:
    client = await app_client(role, organization, person)
    answers = [await take(client, patient) for patient in ("Patient/b", "Patient/a", "Patient/nobody")]
    assert [one.status_code for one in answers] == [403, 403, 403]
    assert len({one.text for one in answers}) == 1
    assert await world.fetch("SELECT id FROM break_glass") == []


async def test_an_unknown_patient_is_not_found_and_leaves_nothing(lcm: httpx.AsyncClient, world: Store) -> None:
    assert (await take(lcm, "Patient/nobody")).status_code == 404
    assert await world.fetch("SELECT id FROM break_glass") == []


async def test_the_scope_is_needed(app_client: AppClient, world: Store) -> None:
    client = await app_client("lcm", ECM1, LCM1, scopes="system/Task.cruds")
    assert (await take(client)).status_code == 403


@pytest.mark.parametrize(
    "wrong",
    [{"reason": "short"}, {"minutes": 0}, {"minutes": 61}, {"minutes": "x"}, {"other": "1"}, {"reason": "x" * 1001}],
)
async def test_what_is_asked_wrongly_is_refused(lcm: httpx.AsyncClient, wrong: dict[str, Any]) -> None:
    answer = await take(lcm, **wrong)
    assert answer.status_code == 400 and not any(await sees(lcm, "Patient/b"))


async def test_it_reads_and_does_not_write(lcm: httpx.AsyncClient, app_client: AppClient) -> None:
    """Else an hour would be enough to take the member over."""
    assert (await take(lcm)).status_code == 200
    mine = {k: v for k, v in episode("EpisodeOfCare/x", "Patient/b", ECM1, LCM1).items() if k != "id"}
    note = {k: v for k, v in condition("Condition/x", "Patient/b").items() if k != "id"}
    for resource in (mine, note):
        answer = await lcm.post(f"/{resource['resourceType']}", json=resource)
        assert answer.status_code == 403, answer.text
    assert (await lcm.post("/Condition", json=note | {"subject": ref("Patient/a")})).status_code == 201


async def test_it_is_recorded_and_reviewed(lcm: httpx.AsyncClient, world: Store, app_client: AppClient) -> None:
    answer = (await take(lcm)).json()
    values = {one["name"]: one for one in answer["parameter"]}
    (taken,) = await break_glass.all_taken(world, waiting=True)
    assert (taken.actor, taken.patient, taken.reason) == (LCM1, "Patient/b", REASON)
    rows = await world.fetch("SELECT patients, reason, purpose FROM audit WHERE kind = 'break-glass'")
    assert [tuple(row) for row in rows] == [("Patient/b", REASON, "BTG")]
    task = f"/{values['review']['valueReference']['reference']}"
    office = await app_client("ecm-provider", ECM1)
    shown = (await office.get(task)).json()
    assert shown["owner"] == {"reference": ECM1} and "for" not in shown and "Patient/" not in str(shown)
    changed = shown | {"status": "completed"}
    for client in (lcm, office):
        headers = {"If-Match": 'W/"1"'}
        answers = await client.put(task, json=changed, headers=headers), await client.delete(task, headers=headers)
        assert [one.status_code for one in answers] == [403, 403]


async def test_the_review_closes_the_task(lcm: httpx.AsyncClient, world: Store) -> None:
    from service.access.context import Context
    from service.caller import system_caller
    from service.workflow.emergency_reviews import review

    await take(lcm)
    (taken,) = await break_glass.all_taken(world, waiting=True)
    ctx = Context(world, system_caller(), world.clock.now_us())
    await world.commit(await review(ctx, taken, "P. Officer", "not-justified"))
    assert await break_glass.all_taken(world, waiting=True) == []
    assert (await lcm.get(f"/Task/{taken.id}")).json()["status"] == "completed"


async def test_it_can_be_switched_off(world: Store, app_client: AppClient, app: Any) -> None:
    from dataclasses import replace

    shared = app.state.enlace
    shared.behaviour = replace(shared.behaviour, break_glass=False)
    answer = await take(await app_client("lcm", ECM1, LCM1))
    assert answer.status_code == 403 and "switched off" in answer.text


@pytest.mark.parametrize("scopes", ["user/*.rs", "user/Patient.cruds", "user/Task.cruds"])
async def test_an_app_that_may_only_read_does_not_open_more(world: Store, app_client: AppClient, scopes: str) -> None:
    """The person let it read what the person sees; what the person sees is not the app's to widen."""
    app = await app_client("lcm", ECM1, LCM1, scopes)
    answer = await take(app)
    assert answer.status_code == 403 and "insufficient_scope" in answer.headers["WWW-Authenticate"]
    assert await world.fetch("SELECT id FROM break_glass") == []
    able = await app_client("lcm", ECM1, LCM1, "user/Patient.r user/Task.c")
    assert (await take(able)).status_code == 200
