"""Bundles for tests: made of entries, posted, and looked into."""

from typing import Any

import httpx

Json = dict[str, Any]
IDENTIFIER = "https://example.org/orders"


def entry(method: str, url: str, resource: Json | None = None, full_url: str = "", **request: str) -> Json:
    """request: ifMatch, ifNoneExist, ..."""
    out: Json = {"request": {"method": method, "url": url, **request}}
    if resource is not None:
        out["resource"] = resource
    if full_url:
        out["fullUrl"] = full_url
    return out


def uuid(number: int) -> str:
    return f"urn:uuid:00000000-0000-4000-8000-{number:012d}"


def identified(resource: Json, value: str) -> Json:
    return {**resource, "identifier": [{"system": IDENTIFIER, "value": value}]}


def new(rtype: str, **elements: Any) -> Json:
    return {"resourceType": rtype, **elements}


def goal(member: str, text: str = "walk", **more: Any) -> Json:
    return new("Goal", lifecycleStatus="active", description={"text": text}, subject={"reference": member}, **more)


async def post(client: httpx.AsyncClient, kind: str, *entries: Json, **headers: str) -> httpx.Response:
    bundle: Json = {"resourceType": "Bundle", "type": kind, "entry": list(entries)}
    return await client.post("", json=bundle, headers=headers, timeout=60)


def statuses(answer: httpx.Response) -> list[str]:
    return [one["response"]["status"] for one in answer.json()["entry"]]


def issues(answer: httpx.Response) -> list[tuple[str, str]]:
    """(code, expression) of an OperationOutcome."""
    return [(one["code"], one.get("expression", [""])[0]) for one in answer.json()["issue"]]
