"""Open referrals: who sees one that nobody owns, who takes it, and what those hear who were late."""

import asyncio
from typing import Any

import pytest

from service.access.panels import CANDIDATE, OWNED_FOR, panel_rows
from service.search.keys import Keys
from service.store.engine import Store
from tests.service.conftest import AppClient
from tests.service.world import BASE, CBO1, CBO2, ECM1, ECM2, LCM2, SUD, change_of, make, put, ref, request, task

POSTGRESQL_IN_DEEP = True

REASON, OUTPUT = {"statusReason": {"text": "why"}}, {"output": [{"type": {"text": "x"}, "valueString": "done"}]}
KEYS = Keys(b"k")


def an_open_task(*offered: str, name: str = "Task/open", **more: Any) -> dict[str, Any]:
    body = task(name, "Patient/a", "ServiceRequest/o", ECM1, None)
    return body | ({"restriction": {"recipient": [ref(one) for one in offered]}} if offered else {}) | more


def posted(body: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in body.items() if name != "id"}


@pytest.fixture
async def pool(world: Store, app_client: AppClient) -> str:
    """An open referral offered to both organizations; its path."""
    await put(world, request("ServiceRequest/o", "Patient/a", ECM1), source=ECM1)
    made = await (await app_client()).post("/Task", json=posted(an_open_task(CBO1, CBO2)))
    assert made.status_code == 201, made.text
    return f"/Task/{made.json()['id']}"


def rows(**more: Any) -> set[str]:
    found = panel_rows(an_open_task(CBO1, **more), "Patient/a", KEYS, 0)
    return {row.role for row in found if row.subject == KEYS.resource(CBO1)}


def test_a_candidate_has_a_row_while_the_referral_is_requested_and_nobodys() -> None:
    assert rows() == {CANDIDATE}
    for more in (
        {"status": "draft"},
        {"status": "accepted"},
        {"owner": ref(CBO2)},
        {"focus": ref("Condition/a")},
        {"restriction": {"recipient": [ref("Practitioner/x"), ref("Patient/a")]}},
        {"status": "rejected"},
    ):
        assert rows(**more) == set(), more  # fmt: skip
    assert rows(owner=ref(CBO1)) == {"task-owner"}
    assert rows(restriction={"recipient": [ref(f"{BASE}/{CBO1}")]}) == set()  # absolute: not below an unknown base


async def test_candidates_see_the_referral_and_its_request_and_no_member(
    world: Store, app_client: AppClient, pool: str
) -> None:
    for one in (CBO1, CBO2):
        cbo = await app_client("cbo", one)
        got = await cbo.get(pool)
        assert got.status_code == 200 and (await cbo.get("/ServiceRequest/o")).status_code == 200
        found = await cbo.get("/Task?owner:missing=true&status=requested")
        assert [entry["resource"]["id"] for entry in found.json()["entry"]] == [pool.rpartition("/")[2]]
        about = {"resourceType": "Procedure", "status": "completed", "subject": ref("Patient/a")}
        if one == CBO2:  # the first one works for the member already, by another referral
            assert (await cbo.get("/Patient/a")).status_code == 404
            assert (await cbo.post("/Procedure", json=about)).status_code == 422
        history = await cbo.get(f"{pool}/_history")
        assert history.status_code == 200
    for role, stranger in (("cbo", "Organization/cbo-3"), ("ecm-provider", ECM2), ("mcp", "Organization/plan-2")):
        client = await app_client(role, stranger)
        assert (await client.get(pool)).status_code == 404
        assert (await client.get("/ServiceRequest/o")).status_code == 404
        assert (await client.get("/Task?owner:missing=true")).json().get("entry") is None


async def test_one_takes_it_and_the_other_is_told_and_sees_it_no_more(
    world: Store, app_client: AppClient, pool: str
) -> None:
    first, second = await app_client("cbo", CBO1), await app_client("cbo", CBO2)
    seen = (await second.get(pool)).json()
    one, headers = {"If-Match": 'W/"1"'}, {"If-Match": 'W/"1"', "Content-Type": "application/json-patch+json"}
    assert (await first.put(pool, json=seen | {"status": "accepted"}, headers=one)).status_code == 403
    for wrong in ({"owner": ref(CBO1)}, {"status": "rejected", "owner": ref(CBO1), **REASON}):
        assert (await first.put(pool, json=seen | wrong, headers=one)).status_code == 422
    other = await first.put(pool, json=seen | {"status": "accepted", "owner": ref(CBO2)}, headers=one)
    assert other.status_code == 403 and "claim it" in other.text
    taken = await first.put(pool, json=seen | {"status": "accepted", "owner": ref(CBO1)}, headers=one)
    assert taken.status_code == 200, taken.text
    assert (await second.get(pool)).status_code == 404 and (await second.get("/ServiceRequest/o")).status_code == 404
    late = await second.put(pool, json=seen | {"status": "accepted", "owner": ref(CBO2)}, headers=one)
    assert late.status_code == 412 and "Another organization has taken this referral" in late.text
    patch = [{"op": "replace", "path": "/status", "value": "accepted"}]
    assert (await second.request("PATCH", pool, json=patch, headers=headers)).status_code == 412
    stranger = await app_client("cbo", "Organization/cbo-3")
    assert (await stranger.put(pool, json=seen, headers=one)).status_code == 404
    view = await first.get("/Patient/a")
    assert view.status_code == 200 and view.json()["meta"]["tag"][0]["code"] == "SUBSETTED"


async def test_of_two_at_once_one_takes_it(world: Store, app_client: AppClient, pool: str) -> None:
    cbos = {one: await app_client("cbo", one) for one in (CBO1, CBO2)}
    seen = (await cbos[CBO1].get(pool)).json()

    async def claim(one: str) -> int:
        body = seen | {"status": "accepted", "owner": ref(one)}
        return (await cbos[one].put(pool, json=body, headers={"If-Match": 'W/"1"'})).status_code

    assert sorted(await asyncio.gather(*map(claim, cbos))) == [200, 412]


async def test_who_was_not_asked_takes_nothing(world: Store, app_client: AppClient) -> None:
    """An ECM provider that has the member sees the open referral, and it is not offered to it."""
    await put(world, request("ServiceRequest/o", "Patient/a", ECM1), source=ECM1)
    await put(world, an_open_task(CBO2), make("EpisodeOfCare/x", status="active", patient=ref("Patient/a"),
              managingOrganization=ref(ECM2), careManager=ref(LCM2)), source=ECM1)  # fmt: skip
    other = await app_client("ecm-provider", ECM2)
    seen = (await other.get("/Task/open")).json()
    taken = {**seen, "status": "accepted", "owner": ref(ECM2)}
    refused = await other.put("/Task/open", json=taken, headers={"If-Match": 'W/"1"'})
    assert refused.status_code == 403


async def test_a_role_is_offered_it_as_its_organization(world: Store, app_client: AppClient) -> None:
    await put(world, request("ServiceRequest/o", "Patient/a", ECM1), source=ECM1)
    await put(world, make("PractitionerRole/r", organization=ref(CBO2)), source=CBO2)
    ecm, cbo = await app_client(), await app_client("cbo", CBO2)
    made = await ecm.post("/Task", json=posted(an_open_task("PractitionerRole/r")))
    assert made.status_code == 201, made.text
    assert made.json()["restriction"]["recipient"] == [ref("PractitionerRole/r"), ref(CBO2)]
    assert (await cbo.get(f"/Task/{made.json()['id']}")).status_code == 200
    for offered in ("Practitioner/lcm-1", "Patient/a"):
        wrong = await ecm.post("/Task", json=posted(an_open_task(offered)))
        assert wrong.status_code == 422 and "Task.restriction.recipient" in wrong.text


async def test_a_role_owns_it_for_its_organization(world: Store, app_client: AppClient) -> None:
    """SDOHCC lets a PractitionerRole own a Task: its organization sees the referral and answers it."""
    await put(world, request("ServiceRequest/o", "Patient/a", ECM1), source=ECM1)
    await put(world, make("PractitionerRole/r", organization=ref(CBO2)), source=CBO2)
    ecm, cbo = await app_client(), await app_client("cbo", CBO2)
    forged = [{"url": OWNED_FOR, "valueReference": ref("Organization/ecm-2")}]
    owner = ref("PractitionerRole/r", extension=forged)
    made = await ecm.post("/Task", json=posted(an_open_task(owner=owner)))
    assert made.status_code == 201, made.text
    assert made.json()["owner"]["extension"][0]["valueReference"] == ref(CBO2)
    path = f"/Task/{made.json()['id']}"
    seen = await cbo.get(path)
    assert seen.status_code == (await cbo.get("/ServiceRequest/o")).status_code == 200
    assert (await cbo.get("/Patient/a")).json()["meta"]["tag"][0]["code"] == "SUBSETTED"
    for number, status in ((1, "accepted"), (2, "in-progress")):
        body = seen.json() | {"status": status, "owner": ref("PractitionerRole/r", extension=forged)}
        answer = await cbo.put(path, json=body, headers={"If-Match": f'W/"{number}"'})
        assert answer.status_code == 200 and answer.json()["owner"] == made.json()["owner"]
    assert (await (await app_client("ecm-provider", ECM2)).get(path)).status_code == 404
    await put(world, make("Task/plain", **{k: v for k, v in an_open_task().items() if k not in ("id", "resourceType")},
              owner=ref("PractitionerRole/r")), source=ECM1)  # fmt: skip
    assert (await cbo.get("/Task/plain")).status_code == 404  # what was stored before keeps its former view


async def test_the_requester_offers_it_to_others(world: Store, app_client: AppClient, pool: str) -> None:
    ecm, cbo = await app_client(), await app_client("cbo", CBO2)
    body = (await ecm.get(pool)).json() | {"restriction": {"recipient": [ref(CBO1)]}}
    assert (await cbo.put(pool, json=body, headers={"If-Match": 'W/"1"'})).status_code == 403
    assert (await ecm.put(pool, json=body, headers={"If-Match": 'W/"1"'})).status_code == 200
    assert (await cbo.get(pool)).status_code == 404
    assert (await (await app_client("cbo", CBO1)).get(pool)).status_code == 200


async def test_a_labelled_request_is_offered_without_it(world: Store, app_client: AppClient) -> None:
    """A label needs a Consent: the candidate sees what says nothing of it."""
    await put(world, request("ServiceRequest/o", "Patient/a", ECM1, meta=SUD), source=ECM1)
    await put(world, an_open_task(CBO2), source=ECM1)
    cbo = await app_client("cbo", CBO2)
    assert (await cbo.get("/Task/open")).status_code == 200
    assert (await cbo.get("/ServiceRequest/o")).status_code == 404


# --- who may give the member ---------------------------------------------------------------------------------------


async def test_an_owner_does_not_refer_under_anothers_request(world: Store, app_client: AppClient) -> None:
    """The request is its requester's: an owner that refers on has one of its own."""
    cbo = await app_client("cbo", CBO1)
    body = task("Task/x", "Patient/a", "ServiceRequest/a", CBO1, CBO2)
    refused = await cbo.post("/Task", json=posted(body))
    assert refused.status_code == 403 and "$forward" in refused.text
    assert (await (await app_client("cbo", CBO2)).get("/Patient/a")).status_code == 404


async def test_a_task_without_request_gives_a_view_only_from_who_has_the_member_itself(
    world: Store, app_client: AppClient
) -> None:
    """Two organizations that write Tasks to each other would else keep the member for ever."""
    cbo, ecm = await app_client("cbo", CBO1), await app_client()
    body = {"resourceType": "Task", "status": "requested", "intent": "order", "for": ref("Patient/a")}
    for more in ({"owner": ref(CBO2), "requester": ref(CBO1)}, {"owner": ref(CBO2)}):
        assert (await cbo.post("/Task", json=body | more)).status_code == 403
    own = await cbo.post("/Task", json=body | {"owner": ref(CBO1), "requester": ref(CBO1)})
    assert own.status_code == 201  # its own reminder: it gives nothing
    ended = task("Task/a", "Patient/a", "ServiceRequest/a", ECM1, CBO1) | {"status": "rejected"}
    await world.commit(change_of(world, ended, ECM1, expect=1))
    cbo = await app_client("cbo", CBO1)
    assert [(await cbo.get(path)).status_code for path in ("/Patient/a", "/ServiceRequest/a", "/Task/a")] == [404] * 3
    assert (await cbo.get(f"/Task/{own.json()['id']}")).status_code == 200
    given = await ecm.post("/Task", json=body | {"owner": ref(CBO2), "requester": ref(ECM1)})
    assert given.status_code == 201
    assert (await (await app_client("cbo", CBO2)).get("/Patient/a")).status_code == 200
