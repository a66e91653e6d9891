"""Tasks for the member: every pair of statuses, who moves them, what a step may change, the profile's invariants."""

from typing import Any

import pytest

from service.access.context import Context
from service.caller import Caller, Role
from service.errors import FhirError
from service.store.change import Change
from service.store.engine import Store
from service.workflow.patient_tasks import CODES_OF, EDGES, MEMBERS, SDC, STATUSES, TERMINAL, is_one, shape_issues
from service.workflow.steps import Step, run_before
from tests.service.conftest import AppClient
from tests.service.world import CBO1, ECM1, make, ref

WHO = {
    "requester": Caller("e", Role.ECM_PROVIDER, ECM1),
    "other": Caller("c", Role.CBO, CBO1),
    "nobody": Caller("h", Role.HOSPITAL, "Organization/h"),
}


def coded(system: str, code: str) -> dict[str, Any]:
    return {"coding": [{"system": system, "code": code}]}


def part(system: str, code: str, **value: Any) -> dict[str, Any]:
    return {"type": coded(system, code), **(value or {"valueString": "x"})}


def a_task(kind: str = "general-information", system: str = CODES_OF, **more: Any) -> dict[str, Any]:
    body = make("Task/p", status="ready", intent="order", priority="routine", code=coded(system, kind))
    body |= {"for": ref("Patient/a"), "owner": ref("Patient/a"), "requester": ref(ECM1), "description": "What else?"}
    return body | {"authoredOn": "2026-03-01T10:00:00Z"} | more


def form(*inputs: str, **more: Any) -> dict[str, Any]:
    systems = {"questionnaire": SDC}
    listed = [part(systems.get(one, CODES_OF), one) for one in inputs]
    return a_task("complete-questionnaire", SDC, input=listed, **more)


async def refusal(store: Store, who: str, old: dict[str, Any] | None, new: dict[str, Any]) -> FhirError | None:
    ctx = Context(store, WHO[who], store.clock.now_us())
    try:
        await run_before(Step(ctx, "create" if old is None else "update", new, old, Change()))
    except FhirError as error:
        return error
    return None


async def test_all_pairs_by_every_party(world: Store) -> None:
    for old in STATUSES:
        for new in STATUSES:
            for who in WHO:
                refused = await refusal(world, who, a_task(status=old), a_task(status=new))
                fits = who == "requester" and (old == new or (old, new) in EDGES)
                assert (refused is None) == fits, (old, new, who)
                if refused:
                    assert refused.category.status == (422 if who == "requester" else 403)


async def test_a_step_of_the_member_changes_status_reason_and_output_only(world: Store) -> None:
    out = {"output": [part(CODES_OF, "general-information-response", valueMarkdown="Nothing.")]}
    for new in STATUSES:
        old = a_task(status="in-progress" if new == "on-hold" else "ready" if new != "ready" else "completed")
        for more, beside in ((out, False), ({"statusReason": {"text": "x"}}, False), ({"priority": "urgent"}, True),
                             ({"note": [{"text": "x"}]}, True), ({"description": "Other?"}, True)):  # fmt: skip
            refused = await refusal(world, "requester", old, a_task(status=new, **more))
            fits = (old["status"], new) in EDGES and not (beside and new in MEMBERS)
            assert (refused is None) == fits, (new, more)
    for element in ("for", "requester", "owner", "code"):
        changed = a_task(**{element: ref("Patient/b") if element != "code" else coded(CODES_OF, "make-contact")})
        assert await refusal(world, "requester", a_task(), changed) is not None
    for status in STATUSES:
        noted = a_task(status=status, note=[{"text": "n"}])
        assert (await refusal(world, "requester", a_task(status=status), noted) is not None) == (status in TERMINAL)


SHAPES: list[tuple[dict[str, Any], str]] = [
    (a_task(), ""),
    (a_task(priority="stat"), "Task.priority"),
    (a_task(intent="plan"), "Task.intent"),
    (a_task(status="requested"), "Task.status"),
    (a_task(owner=ref(CBO1)), "Task.owner"),
    (a_task(requester=ref("Practitioner/lcm-1")), "Task.requester"),
    (a_task(requester=ref("PractitionerRole/x")), ""),
    (a_task(statusReason=coded("x", "y")), "Task.statusReason.text"),
    (a_task(description=""), "Task.description"),
    (a_task(output=[part(CODES_OF, "chosen-contact")]), "Task.output"),
    (form("questionnaire", "questionnaire-category"), ""),
    (form("questionnaire-url", "questionnaire-category"), ""),
    (form("questionnaire"), "Task.input"),
    (form("questionnaire-category"), "Task.input"),
    (form("questionnaire", "questionnaire-pdf", "questionnaire-category"), "Task.input"),
    (form("questionnaire", "questionnaire-category", status="completed"), "Task.output"),
    (
        form("questionnaire", "questionnaire-category", status="completed",
             output=[part(SDC, "questionnaire-response")]),
        "",
    ),
    (form("questionnaire-pdf", "questionnaire-category", status="completed"), "Task.output"),
    (
        form("questionnaire-pdf", "questionnaire-category", status="completed",
             output=[part(CODES_OF, "questionnaire-pdf-completed")]),
        "",
    ),
    (form("questionnaire-url", "questionnaire-category", status="completed"), ""),
    (a_task("review-material"), "Task.focus"),
    (a_task("review-material", focus=ref("DocumentReference/x")), ""),
    (a_task("make-contact"), "Task.input"),
    (a_task("make-contact", input=[part(CODES_OF, "contact-entity")]), ""),
    (a_task("make-contact", input=[part(CODES_OF, "contact-entity")], description=""), "Task.description"),
    (
        a_task("make-contact", input=[part(CODES_OF, "contact-entity")],
               output=[part(CODES_OF, "general-information-response")]),
        "Task.output",
    ),
]  # fmt: skip


@pytest.mark.parametrize(("body", "element"), SHAPES)
def test_the_profile_and_its_invariants(body: dict[str, Any], element: str) -> None:
    assert [issue.expression for issue in shape_issues(body)] == ([element] if element else [])
    assert is_one(body)


def test_what_is_a_task_for_the_member() -> None:
    assert is_one(make("Task/x", owner=ref("RelatedPerson/r"))) and not is_one(make("Task/x", owner=ref(CBO1)))
    assert not is_one(a_task(focus=ref("ServiceRequest/a")))


async def test_over_http_the_requester_writes_down_what_the_member_did(world: Store, app_client: AppClient) -> None:
    ecm, plan = await app_client(), await app_client("mcp", "Organization/plan-1")
    body = {name: value for name, value in a_task().items() if name != "id"}
    assert (await ecm.post("/Task", json=body | {"status": "in-progress"})).status_code == 422
    assert (await plan.post("/Task", json=body)).status_code == 403
    made = await ecm.post("/Task", json=body)
    assert made.status_code == 201, made.text
    path = f"/Task/{made.json()['id']}"
    done = made.json() | {"status": "completed", "output": [part(CODES_OF, "general-information-response")]}
    assert (await plan.put(path, json=done, headers={"If-Match": 'W/"1"'})).status_code == 403
    assert (await ecm.put(path, json=done, headers={"If-Match": 'W/"1"'})).status_code == 200
