"""Who may give a member to whom, and what happens to a write that meets the end of a right.

Source: ../shared/facts/security.md 2.1, 2.3, L47, L49, G3.
"""

import os
from typing import Any

import pytest

from service.access.context import Context
from service.access.context import Settings as Behaviour
from service.access.granting import gained, given_by
from service.caller import Caller, Role
from service.interactions.decision import Preconditions
from service.interactions.update import update
from service.search.dates import MAX_US, MIN_US
from service.store import epochs
from service.store.change import PanelRow, Stale
from service.store.engine import Store
from service.store.panels import Given
from tests.service.conftest import AppClient
from tests.service.world import (
    CBO1,
    CBO2,
    ECM1,
    ECM2,
    LCM1,
    PLAN1,
    change_of,
    coverage,
    episode,
    patient,
    put,
    ref,
    request,
    task,
    team,
)

POSTGRESQL_IN_DEEP = True
DAY = 86_400_000_000


def body_of(resource: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {name: value for name, value in resource.items() if name != "id"} | more


async def rows(store: Store, patient_: str) -> set[tuple[int, str]]:
    sql = "SELECT subject, role FROM panel WHERE patient = ? AND end_us > ?"
    return {tuple(row) for row in await store.fetch(sql, (store.keys.resource(patient_), store.clock.now_us()))}


# --- the rules, pure ----------------------------------------------------------------------------------------------


def test_only_another_subject_or_another_time_is_a_gain() -> None:
    had = [Given(1, 9, "payor", 10, 20)]
    for row, gain in (((1, 10, 20), False), ((1, 12, 15), False), ((1, 10, 21), True), ((1, 9, 20), True),
                      ((2, 10, 20), True)):  # fmt: skip
        wanted = PanelRow(row[0], 9, "coverage", "payor", row[1], row[2])
        assert bool(gained([wanted], had)) is gain, row
    assert gained([PanelRow(1, 8, "coverage", "payor", 10, 20)], had)


def test_nobody_gives_itself_a_task_and_the_days_after_its_end_are_counted_once() -> None:
    owner = PanelRow(1, 9, "task", "task-owner", MIN_US, MAX_US)
    assert given_by([owner], [], frozenset({1}), 0) == ()
    assert given_by([owner], [Given(1, 9, "task-owner", MIN_US, MAX_US)], frozenset({1}), 0) == (owner,)
    offered = Given(1, 9, "task-candidate", MIN_US, MAX_US)
    assert given_by([owner], [offered], frozenset({1}), 0) == (owner,)
    closed = PanelRow(1, 9, "task", "task-owner", MIN_US, 500)
    assert given_by([closed], [Given(1, 9, "task-owner", MIN_US, 300)], frozenset(), 200)[0].end_us == 300
    assert given_by([closed], [Given(1, 9, "task-owner", MIN_US, MAX_US)], frozenset(), 200)[0].end_us == 500
    over = PanelRow(1, 9, "episode", "ecm-provider", MIN_US, 200)
    assert given_by([over], [], frozenset(), 200) == ()
    assert given_by([over], [Given(1, 9, "ecm-provider", MIN_US, 100)], frozenset(), 200)[0].end_us == 100


# --- assignments --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["CareTeam", "EpisodeOfCare", "Coverage"])
async def test_an_author_does_not_renew_what_ended(world: Store, app_client: AppClient, kind: str) -> None:
    """The provider wrote its own assignment; the plan ended all others; no write gives it back."""
    await put(world, patient("Patient/m"), coverage("Coverage/m", "Patient/m", PLAN1))
    made = {
        "CareTeam": team("CareTeam/m", "Patient/m", ECM1),
        "EpisodeOfCare": episode("EpisodeOfCare/m", "Patient/m", ECM1, LCM1),
        "Coverage": coverage("Coverage/m2", "Patient/m", ECM1),
    }[kind]
    await put(world, {**made, "status": "cancelled" if kind != "CareTeam" else "inactive"}, source=ECM1)
    ecm = await app_client("ecm-provider", ECM1)
    path = f"/{kind}/{made['id']}"
    assert (await ecm.get("/Patient/m")).status_code == 404 and (await ecm.get(path)).status_code == 200
    before = await rows(world, "Patient/m")
    again = await ecm.put(path, json=made, headers={"If-Match": 'W/"1"'})
    assert again.status_code == 403 and "does not have the member now" in again.text
    patched = [{"op": "replace", "path": "/status", "value": "active"}]
    headers = {"If-Match": 'W/"1"', "Content-Type": "application/json-patch+json"}
    assert (await ecm.request("PATCH", path, json=patched, headers=headers)).status_code == 403
    assert (await ecm.post(f"/{kind}", json=body_of(made))).status_code == 422
    assert await rows(world, "Patient/m") == before and (await ecm.get("/Patient/m")).status_code == 404


async def test_who_has_a_member_gives_it_to_others(world: Store, app_client: AppClient) -> None:
    ecm, cbo = await app_client("ecm-provider", ECM1), await app_client("ecm-provider", CBO1)
    made = await ecm.post("/CareTeam", json=body_of(team("CareTeam/x", "Patient/a", CBO1)))
    assert made.status_code == 201 and (await cbo.get("/Patient/a")).status_code == 200
    # Whoever has it by this team alone does not make it longer.
    longer = {**made.json(), "participant": [*made.json()["participant"], {"member": ref(CBO2)}]}
    path, headers = f"/CareTeam/{made.json()['id']}", {"If-Match": 'W/"1"'}
    assert (await cbo.put(path, json=longer, headers=headers)).status_code == 403
    assert (await ecm.put(path, json=longer, headers=headers)).status_code == 200


async def test_a_first_enrolment_needs_the_patient_to_be_ones_own(world: Store, app_client: AppClient) -> None:
    ecm = await app_client("ecm-provider", ECM1)
    made = (await ecm.post("/Patient", json={"resourceType": "Patient", "gender": "female"})).json()
    member = f"Patient/{made['id']}"
    assert (await ecm.post("/Coverage", json=body_of(coverage("Coverage/x", member, PLAN1)))).status_code == 201
    assert (await ecm.post("/CareTeam", json=body_of(team("CareTeam/x", member, ECM1)))).status_code == 201
    await put(world, episode("EpisodeOfCare/x", member, ECM2), source=PLAN1)
    refused = await ecm.post("/EpisodeOfCare", json=body_of(episode("EpisodeOfCare/y", member, CBO1)))
    assert refused.status_code == 201  # it still has the member, by its team
    await world.commit(change_of(world, team("CareTeam/z", member, CBO2), ECM1))
    theirs = await app_client("ecm-provider", ECM2)
    assert (await theirs.get(f"/{member}")).status_code == 200


async def test_a_patient_and_its_team_in_one_transaction(world: Store, app_client: AppClient) -> None:
    ecm = await app_client("ecm-provider", ECM1)
    urn = "urn:uuid:0b8f3a62-6a1c-4c3e-9a57-0f3d0f9c6a01"
    entries = [
        {"fullUrl": urn, "resource": {"resourceType": "Patient"}, "request": {"method": "POST", "url": "Patient"}},
        {"resource": body_of(team("CareTeam/x", urn, ECM1)), "request": {"method": "POST", "url": "CareTeam"}},
    ]
    answer = await ecm.post("", json={"resourceType": "Bundle", "type": "transaction", "entry": entries})
    assert answer.status_code == 200, answer.text


# --- Tasks --------------------------------------------------------------------------------------------------------


def follow_up(requester: str | None, owner: str | None, **more: Any) -> dict[str, Any]:
    body = {"resourceType": "Task", "status": "requested", "intent": "order", "for": ref("Patient/a"), **more}
    named = {"requester": requester, "owner": owner}
    return body | {name: ref(value) for name, value in named.items() if value}


async def test_a_task_is_asked_by_its_requester_only(world: Store, app_client: AppClient) -> None:
    ecm = await app_client("ecm-provider", ECM1)
    for requester, owner, status in ((ECM2, CBO1, 403), (PLAN1, ECM1, 403), (ECM1, CBO1, 201), (None, CBO1, 201)):
        answer = await ecm.post("/Task", json=follow_up(requester, owner))
        assert answer.status_code == status, (requester, owner, answer.text)
    assert "requester must be your organization" in (await ecm.post("/Task", json=follow_up(ECM2, CBO1))).text
    changed = {**answer.json(), "requester": ref(ECM2)}
    moved = await ecm.put(f"/Task/{changed['id']}", json=changed, headers={"If-Match": 'W/"1"'})
    assert moved.status_code == 403


async def test_a_task_to_oneself_keeps_no_view(world: Store, app_client: AppClient) -> None:
    """Neither an organization, nor a person in its name, outlives the assignment by a Task of its own."""
    ecm, lcm = await app_client("ecm-provider", ECM1), await app_client("lcm", ECM1, LCM1)
    for client, requester, owner in ((ecm, ECM1, ECM1), (ecm, None, ECM1), (lcm, ECM1, LCM1), (lcm, LCM1, CBO1)):
        assert (await client.post("/Task", json=follow_up(requester, owner))).status_code == 201
    await put(world, {**follow_up(None, LCM1), "id": "alert"}, source="Organization/service")
    for resource, source, expect in (
        (episode("EpisodeOfCare/a", "Patient/a", ECM1, LCM1) | {"status": "finished"}, PLAN1, 1),
        (team("CareTeam/a", "Patient/a") | {"status": "inactive"}, ECM1, 1),
    ):
        await world.commit(change_of(world, resource, source, expect))
    for client in (ecm, lcm):
        for path in ("/Patient/a", "/Coverage/a", "/Procedure/a", "/Patient/a/$everything"):
            assert (await client.get(path)).status_code == 404, path
        assert (await client.get("/Procedure?_total=accurate")).json()["total"] == 0
        assert (await client.post("/Task", json=follow_up(None, CBO1))).status_code == 422
    assert (await lcm.get("/Task/alert")).status_code == 200, "what is hers to do stays"


async def test_an_owner_hands_a_task_to_nobody(world: Store, app_client: AppClient) -> None:
    ecm, cbo = await app_client("ecm-provider", ECM1), await app_client("cbo", CBO1)
    made = (await ecm.post("/Task", json=follow_up(ECM1, CBO1))).json()
    handed = {**made, "owner": ref(CBO2)}
    path, headers = f"/Task/{made['id']}", {"If-Match": 'W/"1"'}
    assert (await cbo.put(path, json=handed, headers=headers)).status_code == 403
    assert (await ecm.put(path, json=handed, headers=headers)).status_code == 200


async def test_l49_the_old_owner_of_a_task_is_out_at_once(world: Store, app_client: AppClient) -> None:
    ecm = await app_client("ecm-provider", ECM1)
    cbos = [await app_client("cbo", one) for one in (CBO1, CBO2)]
    await put(world, patient("Patient/m"), episode("EpisodeOfCare/m", "Patient/m", ECM1))
    made = (await ecm.post("/Task", json={**follow_up(ECM1, CBO1), "for": ref("Patient/m")})).json()
    path = f"/Task/{made['id']}"
    assert [(await one.get(path)).status_code for one in cbos] == [200, 404]
    assert [(await one.get("/Patient/m")).status_code for one in cbos] == [200, 404]
    moved = await ecm.put(path, json={**made, "owner": ref(CBO2)}, headers={"If-Match": 'W/"1"'})
    assert moved.status_code == 200
    assert [(await one.get(path)).status_code for one in cbos] == [404, 200]
    assert [(await one.get("/Patient/m")).status_code for one in cbos] == [404, 200]


async def test_a_note_on_a_closed_task_does_not_prolong_the_view(
    world: Store, app_client: AppClient, clock: Any
) -> None:
    ecm, cbo = await app_client("ecm-provider", ECM1), await app_client("cbo", CBO1)
    made = (await ecm.post("/Task", json=follow_up(ECM1, CBO1))).json()
    path = f"/Task/{made['id']}"
    closed = await cbo.put(path, json={**made, "status": "completed"}, headers={"If-Match": 'W/"1"'})
    assert closed.status_code == 200
    rejected = task("Task/a", "Patient/a", "ServiceRequest/a", ECM1, CBO1) | {"status": "rejected"}
    await world.commit(change_of(world, rejected, ECM1, expect=1))
    clock.advance(20 * DAY)
    cbo = await app_client("cbo", CBO1)
    noted = {**closed.json(), "note": [{"text": "Once more."}]}
    assert (await cbo.put(path, json=noted, headers={"If-Match": 'W/"2"'})).status_code == 200
    assert (await cbo.get("/Patient/a")).status_code == 200
    clock.advance(11 * DAY)
    assert (await (await app_client("cbo", CBO1)).get("/Patient/a")).status_code == 404


# --- before and after ---------------------------------------------------------------------------------------------


async def test_only_the_author_labels_a_shared_resource(world: Store, app_client: AppClient) -> None:
    """A label would hide it from those who share it; the author's labels cannot be taken off either."""
    cbo, ecm = await app_client("cbo", CBO1), await app_client("ecm-provider", ECM1)
    label = {"system": "http://terminology.hl7.org/CodeSystem/v3-ActCode", "code": "SUD"}
    shared = (await cbo.get("/Task/a")).json()
    headers = {"If-Match": 'W/"1"'}
    labelled = {**shared, "status": "accepted", "meta": {**shared["meta"], "security": [label]}}
    refused = await cbo.put("/Task/a", json=labelled, headers=headers)
    assert refused.status_code == 422 and "meta.security" in refused.text
    assert (await ecm.put("/Task/a", json={**labelled, "status": "requested"}, headers=headers)).status_code == 200


async def test_a24_what_the_server_owns_never_follows_a_client(world: Store, app_client: AppClient) -> None:
    cbo = await app_client("cbo", CBO1)
    shared = (await cbo.get("/Task/a")).json()
    mine = {"versionId": "77", "lastUpdated": "1999-01-01T00:00:00Z", "source": "http://example.org/x"}
    done = await cbo.put("/Task/a", json={**shared, "status": "accepted", "meta": mine}, headers={"If-Match": 'W/"1"'})
    meta = done.json()["meta"]
    assert done.status_code == 200 and meta["versionId"] == "2" and not meta["lastUpdated"].startswith("1999")
    facts = "SELECT source_org, patient FROM resource WHERE rtype = 'Task' AND fhir_id = 'a'"
    keys = world.keys
    assert [tuple(row) for row in await world.fetch(facts)] == [(keys.resource(ECM1), keys.resource("Patient/a"))]
    patch = [{"op": "replace", "path": "/meta/versionId", "value": "99"}, {"op": "replace", "path": "/meta/lastUpdated",
             "value": "1999-01-01T00:00:00Z"}]  # fmt: skip
    headers = {"If-Match": 'W/"2"', "Content-Type": "application/json-patch+json"}
    again = await cbo.request("PATCH", "/Task/a", json=patch, headers=headers)
    assert again.status_code != 200 or again.json()["meta"]["versionId"] in ("2", "3")


# --- the race with a revocation -----------------------------------------------------------------------------------


async def test_l47_g03_an_assignment_that_ended_is_ended_for_the_next_request(
    world: Store, app_client: AppClient
) -> None:
    """Ended and given again, many times over: what starts after the commit sees it at once."""
    await put(world, patient("Patient/m"), team("CareTeam/m", "Patient/m", CBO1))
    client = await app_client("ecm-provider", CBO1)
    for number in range(500 if os.environ.get("ENLACE_TEST_DEEP") else 10):
        assert (await client.get("/Patient/m")).status_code == 200, number
        ended = team("CareTeam/m", "Patient/m", CBO1) | {"status": "inactive"}
        await world.commit(change_of(world, ended, expect=2 * number + 1))
        assert (await client.get("/Patient/m")).status_code == 404, number
        assert (await client.get("/Patient?_total=accurate")).json()["total"] == 0, number
        await world.commit(change_of(world, team("CareTeam/m", "Patient/m", CBO1), expect=2 * number + 2))


async def test_g03_a_write_does_not_commit_behind_the_end_of_the_right_it_was_decided_by(
    world: Store, app_client: AppClient
) -> None:
    """Decided, then the Task goes to another, then committed: stale, and decided again it is not found."""
    caller = Caller("c", Role.CBO, CBO1, allows=lambda _letter, _type: True)
    ctx = Context(world, caller, world.clock.now_us(), Behaviour())
    cbo = await app_client("cbo", CBO1)
    await put(world, {**follow_up(ECM1, CBO1), "id": "f"}, source=ECM1)
    body = (await cbo.get("/Task/f")).json()
    team_ = team("CareTeam/f", "Patient/a", CBO1)
    await put(world, team_, source=ECM1)
    decision = await update(ctx, "Task", "f", {**body, "status": "accepted"}, Preconditions(if_match=(1,)))
    assert world.keys.resource("Patient/a") in decision.change.epochs
    await world.commit(change_of(world, team_ | {"status": "inactive"}, ECM1, expect=1))
    with pytest.raises(Stale):
        await world.commit(decision.change)


async def test_a_task_that_moves_bumps_no_epoch(world: Store, app_client: AppClient) -> None:
    """So that many who work on one Task do not make each other's writes stale."""
    key = world.keys.resource("Patient/a")
    cbo = await app_client("cbo", CBO1)
    body, before = (await cbo.get("/Task/a")).json(), await epochs.epoch(world, key)
    for number, status in enumerate(("accepted", "in-progress"), 1):
        answer = await cbo.put("/Task/a", json={**body, "status": status}, headers={"If-Match": f'W/"{number}"'})
        assert answer.status_code == 200
    assert await epochs.epoch(world, key) == before
    reason = {"text": "No more."}
    ended = {**body, "status": "failed", "statusReason": reason}
    assert (await cbo.put("/Task/a", json=ended, headers={"If-Match": 'W/"3"'})).status_code == 200
    assert await epochs.epoch(world, key) == before + 1


# --- grace --------------------------------------------------------------------------------------------------------


async def test_a_grace_reads_and_never_writes(world: Store, app: Any, app_client: AppClient, clock: Any) -> None:
    await put(world, patient("Patient/m"), episode("EpisodeOfCare/m", "Patient/m", ECM1))
    ecm, plan = await app_client("ecm-provider", ECM1), await app_client("mcp", ECM1)
    body = {
        "resourceType": "Goal",
        "lifecycleStatus": "active",
        "description": {"text": "x"},
        "subject": ref("Patient/m"),
    }
    goal = (await ecm.post("/Goal", json=body)).json()
    ended = episode("EpisodeOfCare/m", "Patient/m", ECM1) | {"status": "finished"}
    await world.commit(change_of(world, ended, expect=1))
    paths = ("/Patient/m", "/Patient/m/_history", "/Patient/m/_history/1", "/Patient/m/$everything")

    async def read(client: Any) -> set[int]:
        found = (await client.get("/Patient?_id=m&_total=accurate")).json()["total"]
        return {(await client.get(path)).status_code for path in paths} | {200 if found else 404}

    assert await read(ecm) == {404}
    shared = app.state.enlace
    shared.behaviour = Behaviour(shared.behaviour.env, shared.behaviour.base_url, shared.page_key, ecm_grace_days=10)
    assert await read(ecm) == {200} and await read(plan) == {404}
    assert (await ecm.post("/Goal", json=body)).status_code == 422
    wanted = {"resourceType": "Patient", "id": "m", "gender": "male"}
    assert (await ecm.put("/Patient/m", json=wanted)).status_code == 404
    assert (await ecm.put(f"/Goal/{goal['id']}", json=goal)).status_code == 200, "its own stays its own"
    clock.advance(10 * DAY)
    assert await read(await app_client("ecm-provider", ECM1)) == {404}


async def test_l01_l35_a_request_for_a_referral_of_a_foreign_member_is_as_of_an_absent_one(
    world: Store, app_client: AppClient
) -> None:
    ecm = await app_client("ecm-provider", ECM1)
    texts = []
    for member in ("Patient/b", "Patient/nobody"):
        for body in (body_of(request("ServiceRequest/x", member, ECM1)), {**follow_up(ECM1, CBO1), "for": ref(member)}):
            texts.append((await ecm.post(f"/{body['resourceType']}", json=body)).text)
    assert texts[:2] == texts[2:]
