"""Subscriptions for tests, by their example, and clients that subscribe."""

import copy
from typing import Any

from service.store.engine import Store
from tests.fhir_profiles.examples import FOLDER, load

BACKPORT = "http://hl7.org/fhir/uv/subscriptions-backport/StructureDefinition/"
TOPIC = "https://enlace.example.org/fhir/SubscriptionTopic/referral-status"
HOOK = "https://hooks.example.org/enlace"

Resource = dict[str, Any]


def extension(name: str, **value: Any) -> Resource:
    return {"url": BACKPORT + name, **value}


def subscription(
    *,
    channel: str = "rest-hook",
    endpoint: str = HOOK,
    payload: str | None = "application/fhir+json",
    content: str | None = "id-only",
    filters: tuple[str, ...] = (),
    headers: tuple[str, ...] = (),
    more: tuple[Resource, ...] = (),
    **elements: Any,
) -> Resource:
    """more: extensions of the channel. elements: of the resource, beside or in place of those here."""
    way: Resource = {"type": channel}
    way |= {"endpoint": endpoint} if endpoint else {}
    way |= {"payload": payload} if payload else {}
    way |= {"_payload": {"extension": [extension("backport-payload-content", valueCode=content)]}} if content else {}
    way |= {"header": list(headers)} if headers else {}
    way |= {"extension": list(more)} if more else {}
    asked = [extension("backport-filter-criteria", valueString=text) for text in filters]
    made: Resource = {
        "resourceType": "Subscription",
        "status": "requested",
        "reason": "tests",
        "criteria": TOPIC,
        **({"_criteria": {"extension": asked}} if asked else {}),
        "channel": way,
    }
    return copy.deepcopy({**made, **elements})


def refused() -> list[Resource]:
    """The rejection cases that are shown as examples."""
    return [load(path) for path in sorted((FOLDER / "refused").glob("subscription-*.json"))]


async def set_endpoints(store: Store, client_id: str, *endpoints: str) -> None:
    from dataclasses import replace

    from service.store import credentials
    from service.store.change import Change

    client = await credentials.client_by_id(store, client_id)
    assert client is not None
    changed = credentials.change_client(replace(client, endpoints=endpoints))
    await store.commit(Change(statements=[changed]))
