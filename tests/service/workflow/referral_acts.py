"""Ways to act on a referral, one function for each: PUT, patches, Bundles, operations, the answer by a link.

Each answers the HTTP status; of a link the status that the error would have. Used by test_referral_machine.py.
"""

from typing import Any

import httpx

from service.access.context import Context, Settings
from service.auth.scopes import compile_allows
from service.caller import Caller, Role
from service.errors import FhirError
from service.store.engine import Store
from service.web.reply_actions import BY_CODE, Answer
from service.web.reply_doing import answered
from tests.service.world import ref

Resource = dict[str, Any]
TYPES = {"statusReason": "CodeableConcept", "businessStatus": "CodeableConcept", "owner": "Reference"}


def _match(tag: str) -> dict[str, str]:
    return {"If-Match": tag} if tag else {}


async def by_put(client: httpx.AsyncClient, old: Resource, changes: Resource, tag: str) -> httpx.Response:
    return await client.put(f"/{old['resourceType']}/{old['id']}", json=old | changes, headers=_match(tag))


async def by_json_patch(client: httpx.AsyncClient, old: Resource, changes: Resource, tag: str) -> httpx.Response:
    steps = [{"op": "add", "path": f"/{name}", "value": value} for name, value in changes.items()]
    return await _patch(client, old, steps, tag, "application/json-patch+json")


async def by_merge_patch(client: httpx.AsyncClient, old: Resource, changes: Resource, tag: str) -> httpx.Response:
    return await _patch(client, old, changes, tag, "application/merge-patch+json")


async def by_fhirpath(client: httpx.AsyncClient, old: Resource, changes: Resource, tag: str) -> httpx.Response:
    steps: list[Resource] = []
    for name, value in changes.items():
        if name == "status":
            steps.append(_step("replace", "Task.status", "", {"name": "value", "valueCode": value}))
        elif name == "output":
            for one in value[len(old.get("output", ())) :]:
                parts = [{"name": "type", "valueCodeableConcept": one["type"]}]
                parts.append({"name": "valueString", "valueString": one["valueString"]})
                steps.append(_step("add", "Task", name, {"name": "value", "part": parts}))
        else:
            value_part = {"name": "value", f"value{TYPES[name]}": value}
            there = name in old
            steps.append(_step("replace" if there else "add", f"Task.{name}" if there else "Task", name, value_part))
    return await _patch(client, old, {"resourceType": "Parameters", "parameter": steps}, tag, "application/fhir+json")


def _step(kind: str, path: str, name: str, value: Resource) -> Resource:
    parts: list[Resource] = [{"name": "type", "valueCode": kind}, {"name": "path", "valueString": path}]
    if kind == "add":
        parts.append({"name": "name", "valueString": name})
    return {"name": "operation", "part": [*parts, value]}


async def _patch(client: httpx.AsyncClient, old: Resource, body: Any, tag: str, kind: str) -> httpx.Response:
    headers = _match(tag) | {"Content-Type": kind}
    return await client.request("PATCH", f"/{old['resourceType']}/{old['id']}", json=body, headers=headers)


def entry(old: Resource, changes: Resource, tag: str) -> Resource:
    request = {"method": "PUT", "url": f"{old['resourceType']}/{old['id']}", **({"ifMatch": tag} if tag else {})}
    return {"resource": old | changes, "request": request}


async def bundle(client: httpx.AsyncClient, kind: str, *entries: Resource) -> tuple[int, list[int]]:
    """(status of the whole, of each entry where it is told)"""
    answer = await client.post("", json={"resourceType": "Bundle", "type": kind, "entry": list(entries)})
    told = answer.json().get("entry", []) if answer.status_code == 200 else []
    return answer.status_code, [int(one["response"]["status"][:3]) for one in told]


WAYS = {"put": by_put, "json": by_json_patch, "merge": by_merge_patch, "fhirpath": by_fhirpath}


async def write(client: httpx.AsyncClient, way: str, old: Resource, changes: Resource, tag: str) -> int:
    if way in WAYS:
        return (await WAYS[way](client, old, changes, tag)).status_code
    status, each = await bundle(client, way, entry(old, changes, tag))
    return each[0] if way == "batch" and each else status


# --- operations and the link -----------------------------------------------------------------------------------------


async def operation(client: httpx.AsyncClient, path: str, *values: tuple[str, str, Any]) -> int:
    listed = [{"name": name, kind: ref(value) if kind == "valueReference" else value} for name, kind, value in values]
    body = {"resourceType": "Parameters", "parameter": listed}
    return (await client.post(path, json=body)).status_code


async def by_link(store: Store, organization: str, task: Resource, request: Resource, version: int, code: str) -> int:
    """As the page does it: reply.py reads as this caller, reply_doing.py writes."""
    allows = compile_allows("system/*.cruds")
    caller = Caller("reply-link", Role.CBO, organization, scopes="system/*.cruds", allows=allows)
    ctx = Context(store, caller, store.clock.now_us(), Settings())
    given = Answer(BY_CODE[code], "In our own words", "2026-03-01")
    try:
        return (await answered(ctx, task, version, request, given, "America/Los_Angeles")).status
    except FhirError as error:
        return error.category.status
