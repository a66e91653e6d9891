"""What the programs of the Python clients share: facts in on standard input, a JSON line per step out.

As steps.mjs. A step that fails is one line with its error; the steps after it run all the same.
"""

import json
import sys
import traceback
from collections.abc import Callable
from typing import Any

FACTS: dict[str, Any] = json.load(sys.stdin)
"""base, token, assertion, patient, organization, cbo, name: see test_real_clients.py."""
SYSTEM = f"https://example.org/{FACTS['name']}"
"""Of the identifiers of this client's own orders."""


def step(name: str, work: Callable[[], None]) -> None:
    """Runs one step and prints how it ended."""
    line: dict[str, Any] = {"step": name}
    try:
        work()
    except Exception as error:
        answer = getattr(getattr(error, "response", None), "text", "")
        line["error"] = "".join(traceback.format_exception(error)[-2:]) + answer[:2000]
    print(json.dumps(line), flush=True)


def order(number: int | str, **more: Any) -> dict[str, Any]:
    """A ServiceRequest for the member, with an identifier of this client."""
    return {
        "resourceType": "ServiceRequest",
        "identifier": [{"system": SYSTEM, "value": str(number)}],
        "status": "active",
        "intent": "order",
        "code": {"text": "Grab bars"},
        "subject": {"reference": FACTS["patient"]},
        "requester": {"reference": FACTS["organization"]},
        **more,
    }


def task(focus: str) -> dict[str, Any]:
    return {
        "resourceType": "Task",
        "status": "requested",
        "intent": "order",
        "focus": {"reference": focus},
        "for": {"reference": FACTS["patient"]},
        "authoredOn": "2026-03-02T09:30:00-08:00",
        "requester": {"reference": FACTS["organization"]},
        "owner": {"reference": FACTS["cbo"]},
    }


def bundle(kind: str, *entries: dict[str, Any]) -> dict[str, Any]:
    return {"resourceType": "Bundle", "type": kind, "entry": list(entries)}


def posted(resource: dict[str, Any], full_url: str | None = None) -> dict[str, Any]:
    """An entry of a batch or transaction that creates the resource."""
    named = {"fullUrl": full_url} if full_url else {}
    return {**named, "resource": resource, "request": {"method": "POST", "url": resource["resourceType"]}}
