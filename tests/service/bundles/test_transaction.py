"""transaction: all or nothing, references between entries, conditions, twins, what a write sees of the others."""

import base64
import json
from typing import Any

import httpx
import pytest

from service.store.engine import Store
from tests.service.bundles.sending import IDENTIFIER, Json, entry, goal, identified, issues, new, post, statuses, uuid
from tests.service.conftest import AppClient
from tests.service.world import CBO1, ECM1, make, put, ref, request, task


async def count(store: Store) -> tuple[int, int]:
    rows = await store.fetch("SELECT (SELECT count(*) FROM version), (SELECT count(*) FROM ix)")
    return rows[0][0], rows[0][1]


def without_id(resource: Json) -> Json:
    return {name: value for name, value in resource.items() if name != "id"}


async def test_entries_refer_to_each_other_in_any_order(world: Store, app_client: AppClient) -> None:
    client = await app_client()
    order = without_id(request("ServiceRequest/x", "Patient/a", ECM1))
    referral = without_id(task("Task/x", "Patient/a", uuid(1), ECM1, CBO1))
    answer = await post(
        client,
        "transaction",
        entry("GET", "ServiceRequest?code:text=x&_summary=count"),
        entry("POST", "Task", referral, uuid(2)),
        entry("POST", "ServiceRequest", order, uuid(1)),
        entry("POST", "Goal", goal("Patient/a", addresses=[ref(uuid(1).upper().replace("URN:UUID", "urn:uuid"))])),
    )
    assert answer.status_code == 200, answer.text
    parts = answer.json()["entry"]
    assert statuses(answer)[1:] == ["201", "201", "201"] and answer.json()["type"] == "transaction-response"
    at = f"ServiceRequest/{parts[2]['resource']['id']}"
    assert parts[1]["resource"]["focus"]["reference"] == at
    assert parts[3]["resource"]["addresses"][0]["reference"] == at
    assert parts[2]["response"]["location"] == f"{at}/_history/1" and parts[2]["response"]["etag"] == 'W/"1"'
    kinds = [row[0] for row in await world.fetch("SELECT kind FROM audit ORDER BY seq")]
    assert kinds.count("create") == 3 and kinds.count("transaction") == 1


async def test_what_reads_sees_what_was_written(world: Store, app_client: AppClient) -> None:
    client = await app_client()
    body = {**(await client.get("/Observation/a")).json(), "status": "amended"}
    answer = await post(
        client,
        "transaction",
        entry("GET", "Observation/a"),
        entry("GET", "Condition/a"),
        entry("PUT", "Observation/a", body),
        entry("DELETE", "Condition/a"),
        entry("GET", f"Goal?identifier={IDENTIFIER}|r1"),
        entry("POST", "Goal", identified(goal("Patient/a"), "r1")),
    )
    assert statuses(answer) == ["200", "410", "200", "204", "200", "201"], answer.text
    parts = answer.json()["entry"]
    assert parts[0]["resource"]["status"] == "amended" and parts[0]["resource"]["meta"]["versionId"] == "2"
    assert parts[4]["resource"]["entry"][0]["resource"]["id"] == parts[5]["resource"]["id"]


async def test_one_bad_entry_stops_all_and_every_problem_is_named(world: Store, app_client: AppClient) -> None:
    client = await app_client()
    before = await count(world)
    answer = await post(
        client,
        "transaction",
        entry("POST", "Goal", goal("Patient/a"), uuid(1)),
        entry("POST", "Goal", new("Goal", subject=ref("Patient/a"))),
        entry("PUT", "Observation/b", make("Observation/b")),
        entry("POST", "Goal", goal("Patient/b")),
        entry("POST", "Goal", goal("Patient/a", addresses=[ref(uuid(9))])),
        entry("POST", "Condition/7", new("Condition", subject=ref("Patient/a")), uuid(3)),
        entry("POST", "Goal", goal("Patient/a", addresses=[ref(uuid(3))])),
    )
    assert answer.status_code == 400
    found = issues(answer)
    assert {place.partition(".resource")[0].partition(".request")[0] for _, place in found} == {
        f"Bundle.entry[{n}]"
        for n in (1, 2, 3, 4, 5)  # and not 6, whose target is at fault
    }
    assert ("not-found", "Bundle.entry[3].resource.subject") in found
    assert ("not-found", "Bundle.entry[4].resource.addresses[0]") in found
    assert ("required", "Bundle.entry[1].resource.lifecycleStatus") in found
    assert await count(world) == before
    assert (await world.fetch("SELECT count(*) FROM audit WHERE kind = 'refusal'"))[0][0] == 1


@pytest.mark.parametrize("member", ["Patient/b", "Patient/none"])
async def test_foreign_and_absent_are_refused_alike(world: Store, app_client: AppClient, member: str) -> None:
    client = await app_client()
    answer = await post(
        client,
        "transaction",
        entry("POST", "Goal", goal(f"Patient?identifier=http://example.org/mrn|mrn-{member[8:]}")),
        entry("POST", "Goal", goal("Patient?gender=female", "run"), uuid(2)),
    )
    assert answer.status_code == 412, answer.text
    assert answer.json()["issue"][0]["diagnostics"].startswith("The conditional reference matches nothing")
    assert issues(answer) == [("not-found", "Bundle.entry[0].resource.subject")]


async def test_conditional_references(world: Store, app_client: AppClient) -> None:
    client = await app_client()
    mrn = "Patient?identifier=http://example.org/mrn|mrn-a"
    query = f"identifier={IDENTIFIER}|c1"
    answer = await post(
        client,
        "transaction",
        entry("POST", "Goal", goal(mrn)),
        entry("POST", "Condition", identified(new("Condition", subject=ref(mrn)), "c1"), ifNoneExist=query),
        entry("POST", "Goal", goal(mrn, addresses=[ref(f"Condition?{query}")])),
    )
    assert answer.status_code == 200, answer.text
    parts = answer.json()["entry"]
    assert {parts[n]["resource"]["subject"]["reference"] for n in (0, 1, 2)} == {"Patient/a"}
    assert parts[2]["resource"]["addresses"][0]["reference"] == f"Condition/{parts[1]['resource']['id']}"
    unclear = entry("POST", "Goal", goal(mrn, addresses=[ref("Condition?subject=Patient/a")]))
    several = await post(client, "transaction", unclear)
    assert several.status_code == 412
    assert issues(several) == [("multiple-matches", "Bundle.entry[0].resource.addresses[0]")]


async def test_a_new_member_comes_with_its_record(world: Store, app_client: AppClient) -> None:
    """The caller sees what it writes; what its writes would open to it is still closed to them."""
    client = await app_client()
    member = new("Patient", name=[{"family": "New"}])
    team = new("CareTeam", status="active", subject=ref(uuid(1)), participant=[{"member": ref(ECM1)}])
    parts = await _rejoined(
        client,
        entry("POST", "Goal", goal(uuid(1))),
        entry("POST", "CareTeam", team),
        entry("POST", "Patient", member, uuid(1)),
        entry("GET", "CareTeam?subject:Patient.family=New"),
    )
    assert len(parts[3]["resource"]["entry"]) == 1
    intruding = {**team, "subject": ref("Patient/b")}
    answer = await post(
        client, "transaction", entry("POST", "CareTeam", intruding), entry("POST", "Goal", goal("Patient/b"))
    )
    assert answer.status_code == 422
    assert [place for _, place in issues(answer)] == [f"Bundle.entry[{n}].resource.subject" for n in (0, 1)]


async def test_sent_again_it_changes_nothing(world: Store, app_client: AppClient) -> None:
    """starter#826: conditional creates, and references to them, find what the first run made."""
    client = await app_client()
    condition = identified(new("Condition", subject=ref("Patient/a"), code={"text": "x"}), "s1")
    entries = (
        entry("POST", "Condition", condition, uuid(1), ifNoneExist=f"identifier={IDENTIFIER}|s1"),
        entry(
            "POST",
            "Goal",
            identified(goal("Patient/a", addresses=[ref(uuid(1))]), "s2"),
            ifNoneExist=f"identifier={IDENTIFIER}|s2",
        ),
    )
    first = await post(client, "transaction", *entries)
    before = await count(world)
    again = await post(client, "transaction", *entries)
    assert statuses(first) == ["201", "201"] and statuses(again) == ["200", "200"]
    assert [one["response"]["location"] for one in again.json()["entry"]] == [
        one["response"]["location"] for one in first.json()["entry"]
    ]
    assert await count(world) == before
    more = await post(
        client, "transaction", entries[0], entry("POST", "Goal", goal("Patient/a", addresses=[ref(uuid(1))]))
    )
    assert statuses(more) == ["200", "201"]
    reference = more.json()["entry"][1]["resource"]["addresses"][0]["reference"]
    assert first.json()["entry"][0]["response"]["location"].startswith(reference + "/")


def twins() -> dict[str, tuple[list[Json], int, int]]:
    order = make("Observation/a", status="final", code={"text": "x"}, subject=ref("Patient/a"))
    query = f"identifier={IDENTIFIER}|t1"
    created = entry("POST", "Goal", identified(goal("Patient/a"), "t1"), ifNoneExist=query)
    plain = entry("POST", "Goal", goal("Patient/a"))
    return {
        "two updates": ([entry("PUT", "Observation/a", order), plain, entry("PUT", "Observation/a", order)], 0, 2),
        "update and delete": ([plain, entry("PUT", "Observation/a", order), entry("DELETE", "Observation/a")], 1, 2),
        "two conditional creates": ([created, created], 0, 1),
        "one fullUrl": ([{**plain, "fullUrl": uuid(1)}, {**plain, "fullUrl": uuid(1)}], 0, 1),
    }


async def test_one_identity_twice_is_refused_naming_both(world: Store, app_client: AppClient) -> None:
    client = await app_client()
    before = await count(world)
    for case, (entries, one, other) in twins().items():
        answer = await post(client, "transaction", *entries)
        assert answer.status_code == 400, case
        assert [code for code, _ in issues(answer)] == ["duplicate"] * 2, case
        text = answer.json()["issue"][0]["diagnostics"]
        assert f"Bundle.entry[{one}]" in text and f"Bundle.entry[{other}]" in text, case
    assert await count(world) == before


async def test_a_referral_is_completed_with_its_request(world: Store, app_client: AppClient) -> None:
    """Each is judged as the other will be: the open Task holds nothing back that closes in the same transaction."""
    client = await app_client()
    closed = {**(await client.get("/Task/a")).json(), "status": "cancelled", "statusReason": {"text": "moved away"}}
    done = {**(await client.get("/ServiceRequest/a")).json(), "status": "completed"}
    alone = await post(client, "transaction", entry("PUT", "ServiceRequest/a", done))
    assert alone.status_code == 422
    together = (
        entry("PUT", "ServiceRequest/a", done),
        entry("PUT", "Task/a", closed, ifMatch='W/"1"'),
    )
    assert (await post(client, "transaction", *together)).status_code == 200
    open_again = without_id(task("Task/x", "Patient/a", "ServiceRequest/a", ECM1, CBO1))
    assert (await post(client, "transaction", entry("POST", "Task", open_again))).status_code == 422


async def test_a_request_is_not_closed_while_a_referral_of_it_opens(world: Store, app_client: AppClient) -> None:
    client = await app_client()
    await put(world, request("ServiceRequest/y", "Patient/a", ECM1), source=ECM1)
    done = {**(await client.get("/ServiceRequest/y")).json(), "status": "completed"}
    opened = without_id(task("Task/y", "Patient/a", "ServiceRequest/y", ECM1, CBO1))
    answer = await post(client, "transaction", entry("PUT", "ServiceRequest/y", done), entry("POST", "Task", opened))
    assert answer.status_code == 422
    assert {place for _, place in issues(answer)} == {
        "Bundle.entry[0].resource.status",
        "Bundle.entry[1].resource.focus",
    }


async def test_what_is_deleted_together_holds_nothing_back(world: Store, app_client: AppClient) -> None:
    client = await app_client()
    await put(world, request("ServiceRequest/z", "Patient/a", ECM1), source=ECM1)
    message = {"status": "completed", "subject": ref("Patient/a"), "sender": ref(ECM1)}
    about = {**message, "basedOn": [ref("ServiceRequest/z")]}
    await put(world, make("Communication/z", **about), make("Communication/y", **about), source=ECM1)
    first = entry("DELETE", "Communication/y")
    gone = entry("DELETE", "ServiceRequest/z")
    assert (await post(client, "transaction", gone, first)).status_code == 409
    kept = await post(
        client,
        "transaction",
        gone,
        first,
        entry("DELETE", "Communication/z"),
        entry("POST", "Communication", new("Communication", **about)),
    )
    assert kept.status_code == 422 and ("not-found", "Bundle.entry[3].resource.basedOn[0]") in issues(kept)
    freed = make("Communication/z", **message)
    answer = await post(client, "transaction", gone, entry("PUT", "Communication/z", freed), first)
    assert answer.status_code == 200 and statuses(answer) == ["204", "200", "204"], answer.text


async def test_preconditions_fail_the_whole(world: Store, app_client: AppClient) -> None:
    client = await app_client()
    before = await count(world)
    body = {**(await client.get("/Observation/a")).json(), "status": "amended"}
    answer = await post(
        client,
        "transaction",
        entry("PUT", "Observation/a", body, ifMatch='W/"9"'),
        entry("POST", "Goal", goal("Patient/a")),
    )
    assert answer.status_code == 412 and issues(answer) == [("conflict", "Bundle.entry[0]")]
    assert await count(world) == before


async def test_an_update_that_changes_nothing_makes_no_version(world: Store, app_client: AppClient) -> None:
    client = await app_client()
    body = (await client.get("/Observation/a")).json()
    answer = await post(client, "transaction", entry("PUT", "Observation/a", body), entry("GET", "Observation/a"))
    assert statuses(answer) == ["200", "200"]
    assert {one["resource"]["meta"]["versionId"] for one in answer.json()["entry"]} == {"1"}


async def test_scopes_are_those_of_each_entry(world: Store, app_client: AppClient) -> None:
    client = await app_client(scopes="system/Goal.cu system/Patient.r")
    good = entry("POST", "Goal", goal("Patient/a"))
    assert (await post(client, "transaction", good)).status_code == 200
    refused = await post(client, "transaction", good, entry("POST", "Condition", new("Condition")))
    assert refused.status_code == 403 and issues(refused) == [("forbidden", "Bundle.entry[1]")]
    asked = {**good["request"], "ifNoneExist": f"identifier={IDENTIFIER}|z"}
    assert (await post(client, "transaction", {**good, "request": asked})).status_code == 403


async def _rejoined(client: httpx.AsyncClient, *entries: Json) -> Any:
    answer = await post(client, "transaction", *entries)
    assert answer.status_code == 200, answer.text
    return answer.json()["entry"]


async def test_patches_are_entries_too(world: Store, app_client: AppClient) -> None:
    client = await app_client()
    operations = [{"op": "replace", "path": "/status", "value": "amended"}]
    data = base64.b64encode(json.dumps(operations).encode()).decode()
    binary = new("Binary", contentType="application/json-patch+json", data=data)
    parts = await _rejoined(client, entry("PATCH", "Observation/a", binary), entry("GET", "Observation/a"))
    assert parts[0]["resource"]["status"] == parts[1]["resource"]["status"] == "amended"
    bad = new("Binary", contentType="application/json-patch+json", data="%%%")
    answer = await post(client, "transaction", entry("PATCH", "Observation/a", bad))
    assert answer.status_code == 400 and issues(answer)[0][1].startswith("Bundle.entry[0]")


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
async def test_patches_see_each_other_in_any_order(world: Store, app_client: AppClient, order: tuple[int, int]) -> None:
    client = await app_client()
    complete = _patch({"path": "/status", "value": "completed"})
    cancel = _patch({"path": "/status", "value": "cancelled"}, {"path": "/statusReason", "value": {"text": "moved"}})
    assert (await post(client, "transaction", entry("PATCH", "ServiceRequest/a", complete))).status_code == 422
    entries = (
        entry("PATCH", "ServiceRequest/a", complete),
        entry("PATCH", "Task/a", cancel, ifMatch='W/"1"'),
    )
    parts = await _rejoined(client, *(entries[n] for n in order))
    assert {one["resource"]["status"] for one in parts} == {"completed", "cancelled"}


def _patch(*operations: Json) -> Json:
    data = base64.b64encode(json.dumps([{"op": "add", **one} for one in operations]).encode()).decode()
    return new("Binary", contentType="application/json-patch+json", data=data)


async def test_a_fhirpath_patch_refers_to_what_is_created(world: Store, app_client: AppClient) -> None:
    client = await app_client()
    made = new("Procedure", status="completed", subject=ref("Patient/a"))
    operation = [
        {"name": "type", "valueCode": "add"},
        {"name": "path", "valueString": "Observation"},
        {"name": "name", "valueString": "partOf"},
        {"name": "value", "valueReference": ref(uuid(1))},
    ]
    patch = new("Parameters", parameter=[{"name": "operation", "part": operation}])
    parts = await _rejoined(
        client, entry("PATCH", "Observation?_id=a", patch), entry("POST", "Procedure", made, uuid(1))
    )
    assert parts[0]["resource"]["partOf"] == [ref(f"Procedure/{parts[1]['resource']['id']}")]


async def test_conditional_update_and_delete(world: Store, app_client: AppClient) -> None:
    client = await app_client()
    query = f"identifier={IDENTIFIER}|u1"
    body = identified(goal("Patient/a"), "u1")
    parts = await _rejoined(
        client,
        entry("PUT", f"Goal?{query}", body, uuid(1)),
        entry("POST", "Goal", goal("Patient/a", "b", extension=[_points_at(uuid(1))])),
    )
    made, other = (one["resource"]["id"] for one in parts)
    assert parts[0]["response"]["status"] == "201"
    assert parts[1]["resource"]["extension"][0]["valueReference"]["reference"] == f"Goal/{made}"
    changed = {**body, "lifecycleStatus": "completed"}
    parts = await _rejoined(client, entry("PUT", f"Goal?{query}", changed))
    assert parts[0]["response"]["status"] == "200" and parts[0]["resource"]["id"] == made
    assert (await client.delete(f"/Goal/{other}")).status_code == 204
    parts = await _rejoined(client, entry("DELETE", f"Goal?{query}"), entry("DELETE", "Goal?identifier=x|none"))
    assert [one["response"]["status"] for one in parts] == ["204", "204"]
    assert (await client.get(f"/Goal/{made}")).status_code == 410


def _points_at(reference: str) -> Json:
    return {"url": "http://example.org/about", "valueReference": ref(reference)}
