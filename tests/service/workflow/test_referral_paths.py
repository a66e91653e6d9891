"""The law on every path: all pairs of statuses x parties x with and without what is needed x ways to write a Task.

Some of them in normal runs, all in deep ones. Also `received` and `ready`, and businessStatus.
"""

import os
from collections.abc import Awaitable, Callable
from itertools import product
from typing import Any

import httpx
import pytest

from service.access.context import Context, Settings
from service.caller import system_caller
from service.errors import FhirError
from service.store.change import Change
from service.store.engine import Store
from service.workflow import derived
from service.workflow.referral_business import BESIDE, BY_INITIATOR, BY_RECIPIENT, NAMES, SYSTEM, issues
from service.workflow.referral_law import EITHER, OPEN, RECEIVED, REQUESTER, TARGET, TRANSITIONS
from tests.service.conftest import AppClient
from tests.service.world import CBO1, ECM1, PLAN1, change_of, put, ref, task

POSTGRESQL_IN_DEEP = True
STATUSES = sorted({row.old for row in TRANSITIONS} | {row.new for row in TRANSITIONS})
TABLE = {(row.old, row.new): row for row in TRANSITIONS}
REASON, OUTPUT = {"statusReason": {"text": "why"}}, {"output": [{"type": {"text": "x"}, "valueString": "done"}]}
GIVEN = {"reason": REASON, "output": OUTPUT}
NUMBERS = "http://example.org/t"
Send = Callable[[httpx.AsyncClient, dict[str, Any], dict[str, Any]], Awaitable[int]]


def headers(kind: str = "application/fhir+json") -> dict[str, str]:
    return {"If-Match": 'W/"1"', "Content-Type": kind}


async def _put(client: httpx.AsyncClient, old: dict[str, Any], changes: dict[str, Any]) -> int:
    answer = await client.put(f"/Task/{old['id']}", json=old | changes, headers=headers())
    return answer.status_code


async def _conditional(client: httpx.AsyncClient, old: dict[str, Any], changes: dict[str, Any]) -> int:
    where = f"/Task?identifier={NUMBERS}|{old['id']}"
    return (await client.put(where, json=old | changes, headers=headers())).status_code


async def _json_patch(client: httpx.AsyncClient, old: dict[str, Any], changes: dict[str, Any]) -> int:
    steps = [{"op": "add", "path": f"/{name}", "value": value} for name, value in changes.items()]
    kind = "application/json-patch+json"
    return (await client.request("PATCH", f"/Task/{old['id']}", json=steps, headers=headers(kind))).status_code


async def _merge_patch(client: httpx.AsyncClient, old: dict[str, Any], changes: dict[str, Any]) -> int:
    kind = "application/merge-patch+json"
    return (await client.request("PATCH", f"/Task/{old['id']}", json=changes, headers=headers(kind))).status_code


async def _fhirpath_patch(client: httpx.AsyncClient, old: dict[str, Any], changes: dict[str, Any]) -> int:
    def part(name: str, key: str, value: Any) -> dict[str, Any]:
        return {"name": name, f"value{key}": value}

    steps = []
    for name, value in changes.items():
        listed = value if isinstance(value, list) else [value]
        kind = "replace" if name == "status" else "add"
        path = f"Task.{name}" if name == "status" else "Task"
        for one in listed:
            parts = [part("type", "Code", kind), part("path", "String", path)]
            if kind == "add":
                parts.append(part("name", "String", name))
            typed = {"status": part("value", "Code", one), "statusReason": part("value", "CodeableConcept", one)}
            whole = {"name": "value", "part": [part("type", "CodeableConcept", {"text": "x"}),
                                               part("valueString", "String", "done")]}  # fmt: skip
            parts.append(typed.get(name, whole))
            steps.append({"name": "operation", "part": parts})
    body = {"resourceType": "Parameters", "parameter": steps}
    return (await client.request("PATCH", f"/Task/{old['id']}", json=body, headers=headers())).status_code


async def _conditional_patch(client: httpx.AsyncClient, old: dict[str, Any], changes: dict[str, Any]) -> int:
    where, kind = f"/Task?identifier={NUMBERS}|{old['id']}", "application/merge-patch+json"
    return (await client.request("PATCH", where, json=changes, headers=headers(kind))).status_code


def _bundle(kind: str) -> Send:
    async def send(client: httpx.AsyncClient, old: dict[str, Any], changes: dict[str, Any]) -> int:
        request = {"method": "PUT", "url": f"Task/{old['id']}", "ifMatch": 'W/"1"'}
        entry = {"resource": old | changes, "request": request}
        answer = await client.post("", json={"resourceType": "Bundle", "type": kind, "entry": [entry]})
        if kind == "transaction":
            return answer.status_code
        return int(answer.json()["entry"][0]["response"]["status"][:3])

    return send


PATHS: dict[str, Send] = {
    "put": _put,
    "conditional put": _conditional,
    "json patch": _json_patch,
    "merge patch": _merge_patch,
    "fhirpath patch": _fhirpath_patch,
    "conditional patch": _conditional_patch,
    "batch": _bundle("batch"),
    "transaction": _bundle("transaction"),
}
WHO = {
    "requester": ("ecm-provider", ECM1),
    "target": ("cbo", CBO1),
    "other": ("mcp", PLAN1),
    "nobody": ("cbo", "Organization/x"),
}
CASES = [
    (old, new, who, full, path)
    for old, new, who, full, path in product(STATUSES, STATUSES, WHO, (True, False), PATHS)
    if old != new and (full or (old, new) in TABLE)
]


def expected(old: str, new: str, who: str, full: bool, path: str) -> int:
    row = TABLE.get((old, new))
    if who == "nobody":
        return 404 if not path.startswith("conditional") else 422 if path == "conditional put" else 404
    if row is None:
        return 422
    if who not in row.who:
        return 403
    return 200 if full or not row.needs else 422


@pytest.mark.parametrize("way", PATHS)
async def test_all_pairs_parties_needs_and_paths(world: Store, app_client: AppClient, way: str) -> None:
    clients = {who: await app_client(*one) for who, one in WHO.items()}
    chosen = [case for case in CASES[:: 1 if os.environ.get("ENLACE_TEST_DEEP") else 61] if case[-1] == way]
    assert len(chosen) > 5
    wrong = []
    for number, case in enumerate(chosen):
        old, new, who, full, path = case
        row, wanted = TABLE.get((old, new)), expected(*case)
        changes: dict[str, Any] = {"status": new}
        for need in row.needs if row and full else ():
            changes |= GIVEN[need]
        body = task(f"Task/n{number}", "Patient/a", "ServiceRequest/a", ECM1, CBO1, status=old)
        body["identifier"] = [{"system": NUMBERS, "value": body["id"]}]
        await put(world, body, source=ECM1)
        if path == "conditional put" and who == "nobody":
            continue  # nothing fits what it sees, so this would create: test_a_new_task_on_every_path
        got = await PATHS[path](clients[who], body, changes)
        if got != wanted:
            wrong.append((case, wanted, got))
        found = await world.fetch("SELECT version FROM resource WHERE rtype = 'Task' AND fhir_id = ?", (body["id"],))
        if found[0][0] != (2 if wanted == 200 else 1):
            wrong.append((case, "versions", found[0][0]))
    assert not wrong


def test_no_pair_is_left_out() -> None:
    assert len(TABLE) == len(TRANSITIONS) == 26 and len(STATUSES) == 10
    assert len(CASES) == (90 + len(TRANSITIONS)) * len(WHO) * len(PATHS)


async def test_the_service_itself_writes_by_the_same_law(world: Store) -> None:
    """A job has no party: it may take each edge, and no other; what is needed is needed."""
    for old, new in product(STATUSES, STATUSES):
        row = TABLE.get((old, new))
        for full in (True, False):
            body = task("Task/j", "Patient/a", "ServiceRequest/a", ECM1, CBO1, status=old)
            ctx = Context(world, system_caller(), world.clock.now_us(), Settings())
            ctx.pending["Task/j"] = derived.Pending(body, 1)
            changes: dict[str, Any] = {"status": new}
            for need in row.needs if row and full else ():
                changes |= GIVEN[need]
            try:
                await derived.put(ctx, Change(), body | changes, 1, "test")
                done = True
            except FhirError:
                done = False
            assert done == (old == new or (row is not None and (full or not row.needs))), (old, new, full)


# --- a new Task ----------------------------------------------------------------------------------------------------


async def test_a_new_task_on_every_path(world: Store, app_client: AppClient) -> None:
    ecm, cbo = await app_client(), await app_client("cbo", CBO1)

    async def create(client: httpx.AsyncClient, path: str, body: dict[str, Any]) -> int:
        where = f"identifier={NUMBERS}|{path}-{body['status']}"
        match path:
            case "post":
                return (await client.post("/Task", json=body)).status_code
            case "if-none-exist":
                return (await client.post("/Task", json=body, headers={"If-None-Exist": where})).status_code
            case "conditional put":
                return (await client.put(f"/Task?{where}", json=body)).status_code
        entry = {"resource": body, "request": {"method": "POST", "url": "Task"}}
        answer = await client.post("", json={"resourceType": "Bundle", "type": path, "entry": [entry]})
        if path == "transaction":
            return 201 if answer.status_code == 200 else answer.status_code
        return int(answer.json()["entry"][0]["response"]["status"][:3])

    for path in ("post", "if-none-exist", "conditional put", "batch", "transaction"):
        for status in (*STATUSES, "received", "ready"):
            body = task("Task/n", "Patient/a", "ServiceRequest/a", ECM1, CBO1, status=status, **REASON)
            del body["id"]
            wanted = 201 if status in ("draft", "requested", "received", "ready") else 422
            assert await create(ecm, path, body) == wanted, (path, status)
            assert await create(cbo, path, body) == (403 if wanted == 201 else 422), (path, status)


@pytest.mark.parametrize(("old", "sent", "stored"), [(*pair, to) for pair, to in RECEIVED.items() if pair[0]])
async def test_received_and_ready_are_mapped_and_never_stored(
    world: Store, app_client: AppClient, old: str, sent: str, stored: str
) -> None:
    who = await app_client() if old == "draft" else await app_client("cbo", CBO1)
    await put(world, task("Task/m", "Patient/a", "ServiceRequest/a", ECM1, CBO1, status=old), source=ECM1)
    now = (await who.get("/Task/m")).json()
    answer = await who.put("/Task/m", json=now | {"status": sent}, headers=headers())
    assert (answer.status_code, answer.json()["status"]) == (200, stored), answer.text
    assert answer.json()["businessStatus"] == {"text": sent.capitalize()}


@pytest.mark.parametrize("old", [one for one in STATUSES if one not in ("draft", "requested")])
async def test_received_is_nowhere_else(world: Store, app_client: AppClient, old: str) -> None:
    await put(world, task("Task/m", "Patient/a", "ServiceRequest/a", ECM1, CBO1, status=old), source=ECM1)
    cbo = await app_client("cbo", CBO1)
    now = (await cbo.get("/Task/m")).json()
    for sent in ("received", *(["ready"] if old != "accepted" else [])):
        answer = await cbo.put("/Task/m", json=now | {"status": sent}, headers=headers())
        assert answer.status_code == 422, (old, sent)


# --- elements and businessStatus -----------------------------------------------------------------------------------


async def test_each_side_changes_its_own_elements(world: Store, app_client: AppClient) -> None:
    ecm, cbo = await app_client(), await app_client("cbo", CBO1)
    changes = {
        "priority": "stat", "restriction": {"period": {"end": "2027-01-01"}}, "input": OUTPUT["output"],
        "output": OUTPUT["output"], "executionPeriod": {"start": "2026-03-02"},
    }  # fmt: skip
    for element, value in changes.items():
        mine, other = (cbo, ecm) if element in ("output", "executionPeriod") else (ecm, cbo)
        now = await ecm.get("/Task/a")
        body, match = now.json() | {element: value}, {"If-Match": now.headers["etag"]}
        refused = await other.put("/Task/a", json=body, headers=match)
        assert refused.status_code == 422 and f"Task.{element}" in refused.text
        assert (await mine.put("/Task/a", json=body, headers=match)).status_code == 200


def coded(code: str) -> dict[str, Any]:
    return {"businessStatus": {"coding": [{"system": SYSTEM, "code": code}]}} if code else {}


def test_business_status_by_its_table() -> None:
    """Every code there was x every code x every status x every party."""
    for was, code, status, who in product(("", *NAMES), NAMES, BESIDE, (REQUESTER, TARGET, EITHER)):
        allowed = {one for side, table in (("requester", BY_INITIATOR), ("target", BY_RECIPIENT)) if side in who
                   for one in table.get(was, ())}  # fmt: skip
        fits = code in BESIDE[status] and (code == was or code in allowed)
        found = issues({"status": status, **coded(was)}, {"status": status, **coded(code)}, who)
        assert (not found) == fits, (was, code, status, who)
    assert issues(None, {"status": "requested", **coded("9.9")}, EITHER)
    assert not issues(None, {"status": "requested", "businessStatus": {"text": "anything"}}, TARGET)
    assert {code for codes in BESIDE.values() for code in codes} == set(NAMES)


async def test_the_requester_asks_and_the_recipient_confirms(world: Store, app_client: AppClient) -> None:
    """scheduled, no-show, scheduled anew, asked to cancel, cancelled: BSeR's handshake."""
    ecm, cbo = await app_client(), await app_client("cbo", CBO1)

    async def step(client: Any, status: str, code: str, **more: Any) -> int:
        now = await client.get("/Task/a")
        body = now.json() | {"status": status} | coded(code) | more
        return int((await client.put("/Task/a", json=body, headers={"If-Match": now.headers["etag"]})).status_code)

    assert await step(cbo, "accepted", "3.0") == 200
    assert await step(cbo, "in-progress", "5.1.1") == 200
    assert await step(ecm, "in-progress", "5.1.2") == 422
    assert await step(cbo, "in-progress", "5.1.2") == 200
    assert await step(cbo, "in-progress", "5.1.1") == 200
    assert await step(ecm, "in-progress", "5.2") == 200
    assert await step(cbo, "in-progress", "5.1.1") == 422
    assert await step(cbo, "cancelled", "5.1.1", **REASON) == 422
    assert await step(cbo, "cancelled", "6.0", **REASON) == 200


async def test_what_a_rule_moves_drops_a_code_that_no_longer_fits(world: Store) -> None:
    body = task("Task/j", "Patient/a", "ServiceRequest/a", ECM1, CBO1, status="in-progress", **coded("5.1.1"))
    await put(world, body, source=ECM1)
    ctx = Context(world, system_caller(), world.clock.now_us(), Settings())
    written = await derived.put(ctx, Change(), body | {"status": "cancelled"} | REASON, 1, "test")
    assert "businessStatus" not in written


async def test_a_reason_is_words(world: Store, app_client: AppClient) -> None:
    cbo = await app_client("cbo", CBO1)
    now = (await cbo.get("/Task/a")).json()
    for reason in ({"coding": [{"code": "x"}]}, {"text": "   "}, None):
        body = now | {"status": "rejected"} | ({"statusReason": reason} if reason else {})
        assert (await cbo.put("/Task/a", json=body, headers=headers())).status_code in (400, 422)


@pytest.mark.parametrize("status", OPEN)
async def test_a_task_of_a_request_that_is_over_does_not_begin(
    world: Store, app_client: AppClient, status: str
) -> None:
    """As long as the job has not come by: by the request as it stands."""
    from tests.service.world import request

    await put(world, request("ServiceRequest/r", "Patient/a", ECM1), source=ECM1)
    await put(world, task("Task/m", "Patient/a", "ServiceRequest/r", ECM1, CBO1, status=status), source=ECM1)
    await world.commit(change_of(world, request("ServiceRequest/r", "Patient/a", ECM1, status="revoked"), ECM1, 1))
    cbo = await app_client("cbo", CBO1)
    now = (await cbo.get("/Task/m")).json()
    for new in ("accepted", "in-progress"):
        if (status, new) in TABLE:
            answer = await cbo.put("/Task/m", json=now | {"status": new}, headers=headers())
            assert answer.status_code == 422 and "revoked" in answer.text
    ended = now | {"status": "cancelled"} | REASON
    assert (await cbo.put("/Task/m", json=ended, headers=headers())).status_code == 200
    assert ref(ECM1) == now["requester"]
