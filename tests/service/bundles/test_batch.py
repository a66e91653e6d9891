"""batch: what an entry answers is what the same request would answer by itself; none touches another."""

import base64
import json
from datetime import datetime
from email.utils import format_datetime
from typing import Any

import httpx

from service.store.engine import Store
from tests.service.bundles.sending import IDENTIFIER, Json, entry, goal, identified, new, post, statuses
from tests.service.conftest import AppClient
from tests.service.world import ECM1, put, ref

TAG = 'W/"1"'


async def alone(client: httpx.AsyncClient, one: Json) -> httpx.Response:
    request = one["request"]
    names = {"ifMatch": "If-Match", "ifNoneMatch": "If-None-Match", "ifNoneExist": "If-None-Exist"}
    headers = {names[name]: value for name, value in request.items() if name in names}
    if since := request.get("ifModifiedSince"):
        headers["If-Modified-Since"] = format_datetime(datetime.fromisoformat(since), usegmt=True)
    body = one.get("resource", {})
    if body.get("resourceType") == "Binary":
        headers["Content-Type"] = body["contentType"]
        content = base64.b64decode(body["data"])
        return await client.request(request["method"], "/" + request["url"], content=content, headers=headers)
    return await client.request(request["method"], "/" + request["url"], json=body or None, headers=headers)


def same_facts(single: httpx.Response, part: Json) -> None:
    """Status, outcome, body and headers alike, apart from ids, versions and times of two different writes."""
    response = part["response"]
    assert int(response["status"]) == single.status_code, (single.text, part)
    assert ("etag" in response) == ("etag" in single.headers)
    assert ("lastModified" in response) == ("last-modified" in single.headers)
    assert ("location" in response) == ("location" in single.headers)
    if single.status_code >= 400:
        told = response["outcome"]
        if "expression" not in single.json()["issue"][0]:
            told["issue"][0].pop("expression", None)  # an entry says where in the Bundle it is wrong
        assert told == single.json()
        return
    if not single.content:
        assert "resource" not in part
        return
    assert _plain(part["resource"]) == _plain(single.json())


def _plain(resource: Json) -> Any:
    if resource["resourceType"] == "Bundle":
        return [one["resource"]["id"] for one in resource.get("entry", [])], resource.get("total")
    return {name: value for name, value in resource.items() if name not in ("id", "meta", "text", "identifier")}


def cases() -> dict[str, tuple[Json, Json]]:
    """name -> two entries that ask for the same, each of a resource of its own where they write."""
    new_goal = {"resource": goal("Patient/a")}
    return {
        "read": (entry("GET", "Patient/a"),) * 2,
        "head": (entry("HEAD", "Patient/a"),) * 2,
        "vread": (entry("GET", "Patient/a/_history/1"),) * 2,
        "history": (entry("GET", "Patient/a/_history"),) * 2,
        "not modified": (entry("GET", "Patient/a", ifNoneMatch=TAG),) * 2,
        "not modified since": (entry("GET", "Patient/a", ifModifiedSince="2030-01-01T00:00:00+00:00"),) * 2,
        "modified since": (entry("GET", "Patient/a", ifModifiedSince="2020-01-01T00:00:00+00:00"),) * 2,
        "foreign": (entry("GET", "Patient/b"), entry("GET", "Patient/b")),
        "absent": (entry("GET", "Patient/none"),) * 2,
        "unknown type": (entry("GET", "Shoe/1"),) * 2,
        "search": (entry("GET", "Task?status=requested"),) * 2,
        "search with a slash": (entry("GET", "Task/?status=requested"),) * 2,
        "bad search": (entry("GET", "Task?owner:missing=x"),) * 2,
        "create": (entry("POST", "Goal", **new_goal), entry("POST", "Goal", **new_goal)),
        "create of nonsense": (entry("POST", "Goal", new("Goal", shoe=1)),) * 2,
        "create of another type": (entry("POST", "Goal", new("Task")),) * 2,
        "create with a stranger": (entry("POST", "Goal", goal("Patient/b")),) * 2,
        "update": tuple(entry("PUT", f"Observation/o{n}", _observation(n, "amended")) for n in (1, 2)),
        "update unchanged": tuple(entry("PUT", f"Observation/o{n}", _observation(n, "final")) for n in (3, 4)),
        "update stale": (entry("PUT", "Observation/o5", _observation(5, "amended"), ifMatch='W/"7"'),) * 2,
        "update of another id": (entry("PUT", "Observation/o5", _observation(6, "amended")),) * 2,
        "update without If-Match": (entry("PUT", "Task/a", new("Task", id="a")),) * 2,
        "delete": (entry("DELETE", "Observation/o5"), entry("DELETE", "Observation/o6")),
        "delete of what is referred to": (entry("DELETE", "ServiceRequest/a"),) * 2,
        "patch": tuple(entry("PATCH", f"Observation/o{n}", _patch("amended")) for n in (7, 8)),
        "patch that fails": (entry("PATCH", "Observation/o3", _patch("amended", "/shoe/size")),) * 2,
        "patch of an unknown kind": (entry("PATCH", "Observation/o3", _patch("x", kind="text/plain")),) * 2,
        "patch where": tuple(entry("PATCH", f"Observation?_id=o{n}", _patch("final")) for n in (7, 8)),
        "update where": tuple(entry("PUT", f"Observation?_id=o{n}", _observation(n, "amended")) for n in (7, 8)),
        "update where several fit": (entry("PUT", "Observation?status=final", _observation(3, "amended")),) * 2,
        "create unless it is there": tuple(
            entry("POST", "Goal", identified(goal("Patient/a"), v), ifNoneExist=f"identifier={IDENTIFIER}|{v}")
            for v in ("e1", "e2")
        ),
        "create where it is there": (
            entry("POST", "Observation", _observation(3, "final"), ifNoneExist="_id=o3"),
            entry("POST", "Observation?_id=o3", _observation(3, "final")),
        ),
        "delete where": tuple(entry("DELETE", f"Observation?_id=o{n}") for n in (7, 8)),
        "delete where nothing fits": (entry("DELETE", "Observation?_id=none"),) * 2,
        "method": (entry("DELETE", "Goal"),) * 2,
        "validate": (entry("POST", "Goal/$validate", goal("Patient/a")),) * 2,
    }  # type: ignore[return-value]


def _patch(status: str, path: str = "/status", kind: str = "application/json-patch+json") -> Json:
    data = base64.b64encode(json.dumps([{"op": "replace", "path": path, "value": status}]).encode()).decode()
    return new("Binary", contentType=kind, data=data)


def _observation(number: int, status: str) -> Json:
    return new("Observation", id=f"o{number}", status=status, code={"text": "weight"}, subject=ref("Patient/a"))


async def test_an_entry_answers_as_the_request_alone(world: Store, app_client: AppClient) -> None:
    await put(world, *(_observation(n, "final") for n in range(1, 9)), source=ECM1)
    client = await app_client()
    for name, (one, other) in cases().items():
        single = await alone(client, one)
        answer = await post(client, "batch", other)
        assert answer.status_code == 200, (name, answer.text)
        try:
            same_facts(single, answer.json()["entry"][0])
        except AssertionError as error:
            raise AssertionError(f"{name}: {error}") from error


async def test_all_cases_at_once_and_each_is_audited(world: Store, app_client: AppClient) -> None:
    client = await app_client()
    entries = [pair[0] for pair in cases().values()]
    before = len(await world.fetch("SELECT seq FROM audit"))
    answer = await post(client, "batch", *entries)
    assert len(answer.json()["entry"]) == len(entries)
    assert len(await world.fetch("SELECT seq FROM audit")) == before + len(entries) + 1
    kinds = {row[0] for row in await world.fetch("SELECT kind FROM audit")}
    assert {"batch", "refusal", "read", "search-type", "create"} <= kinds


async def test_entries_about_one_resource_follow_each_other(world: Store, app_client: AppClient) -> None:
    client = await app_client()
    other = goal("Patient/a", "swim")
    made = (await client.post("/Goal", json=other)).json()
    path = f"Goal/{made['id']}"
    changed = {**other, "id": made["id"], "lifecycleStatus": "completed"}
    answer = await post(client, "batch", entry("GET", path), entry("PUT", path, changed), entry("GET", path))
    assert [one["resource"]["lifecycleStatus"] for one in answer.json()["entry"]] == [
        "active",
        "completed",
        "completed",
    ]


async def test_equal_conditions_make_one_resource(world: Store, app_client: AppClient) -> None:
    client = await app_client()
    query = "identifier=https://example.org/orders|b1"
    entries = [entry("POST", "Goal", identified(goal("Patient/a"), "b1"), ifNoneExist=query) for _ in range(20)]
    answer = await post(client, "batch", *entries)
    assert sorted(statuses(answer)) == ["200"] * 19 + ["201"]
