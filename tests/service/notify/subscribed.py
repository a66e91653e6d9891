"""Subscriptions as rows, and what waits for them, for tests of matching."""

from typing import Any

from fhir_profiles.topics import topics
from service.notify.matching import match
from service.notify.model import NEVER_US, Content, Spec, State
from service.store import subscriptions
from service.store.change import Change
from service.store.engine import Store
from tests.service.world import BASE, CBO1, ECM1, task

TASKS = "task-updated"
URLS = {topic.slug: url for url, topic in topics().items()}


async def subscribe(
    store: Store,
    name: str,
    organization: str,
    *filters: str,
    topic: str = TASKS,
    anchors: tuple[int, ...] | None = None,
    **columns: Any,
) -> int:
    spec = Spec(
        URLS[topic], "rest-hook", "https://a.example/", "application/fhir+json", Content.ID_ONLY, filters=filters
    )
    key = store.keys.resource(f"Subscription/{name}")
    plain = dict.fromkeys(
        ("numbered", "delivered", "lease_until_us", "failures", "failing_since_us", "beat_us", "created_us"), 0
    )
    state = State(
        key=key,
        fhir_id=name,
        client_id=name,
        organization=organization,
        topic=topic,
        spec=spec.text(),
        secret=b"",
        secret_before=None,
        secret_before_until_us=0,
        **{"scopes": "", "channel": "rest-hook", "status": "active", "paused": False, "due_us": NEVER_US, "error": ""}
        | plain
        | columns,
    )
    found = (store.keys.resource(organization),) if anchors is None else anchors
    await store.commit(Change(statements=subscriptions.saved(state, found)))
    return key


async def waiting(store: Store, name: str) -> list[str]:
    """What waits for a subscription, in order."""
    sql = (
        "SELECT v.rtype, v.fhir_id, v.version, w.vid, w.key, v.key, w.id, w.kind FROM event_waiting w "
        "JOIN version v ON v.vid = w.vid WHERE w.subscription = ? ORDER BY w.id"
    )
    rows = await store.fetch(sql, (store.keys.resource(f"Subscription/{name}"),))
    assert all((row[4], row[6], row[7]) == (row[5], row[3], "event") for row in rows)
    return [f"{rtype}/{fhir_id}/{version}" for rtype, fhir_id, version, *_ in rows]


async def due(store: Store, key: int) -> int:
    found = await subscriptions.get(store, key)
    assert found is not None
    return found.due_us


async def left(store: Store) -> int:
    return int((await store.fetch("SELECT count(*) FROM outbox"))[0][0])


async def all_matched(store: Store, most: int = 500) -> int:
    count = 0
    while found := await match(store, BASE, most=most):
        count += found
    assert await left(store) == 0
    return count


def a_task(number: int = 1, owner: str = CBO1, member: str = "Patient/a", requester: str = ECM1, **more: Any) -> Any:
    return task(f"Task/x{number}", member, "ServiceRequest/a", requester, owner, **more)
