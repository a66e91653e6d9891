"""What the command line tells of a subscription, and the resource that `enlace subscriptions add` makes."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from service.clock import instant
from service.notify.model import spec_of

if TYPE_CHECKING:
    from service.settings import Settings
    from service.store.engine import Store
    from service.store.notify_rows import State

BACKPORT = "http://hl7.org/fhir/uv/subscriptions-backport/StructureDefinition"
MIME = {"email": "text/plain", "sms": "text/plain"}
TIMES: tuple[str, ...] = ("failing-since", "next-attempt", "oldest-undelivered")
REACTIVATE = (
    "Its client starts it again: PUT the Subscription with status requested. After the handshake delivery goes on "
    "where it stopped."
)


def statuses() -> tuple[str, ...]:
    from service.operations.subscription_status import STATUSES

    return STATUSES


def topic_url(topic: str) -> str:
    """The canonical of a short name; anything else as it is, for the rules to refuse."""
    from fhir_profiles.topics import topics

    return next((one.url for one in topics().values() if one.slug == topic), topic)


def resource(
    topic: str,
    channel: str,
    endpoint: str,
    content: str | None,
    payload: str | None,
    filters: tuple[str, ...],
    headers: tuple[str, ...],
    numbers: Mapping[str, int],
) -> dict[str, Any]:
    """content None: what is usual for the channel. numbers: backport extension -> its value; 0 leaves it out."""
    level = {"url": f"{BACKPORT}/backport-payload-content", "valueCode": content}
    extensions = [
        {"url": f"{BACKPORT}/backport-{name}", _member(name): value} for name, value in numbers.items() if value
    ]
    found: dict[str, Any] = {
        "resourceType": "Subscription",
        "meta": {"profile": [f"{BACKPORT}/backport-subscription"]},
        "status": "requested",
        "reason": "Made by the operator at the command line",
        "criteria": topic_url(topic),
        "channel": {
            **({"extension": extensions} if extensions else {}),
            "type": channel,
            **({"endpoint": endpoint} if endpoint else {}),
            "payload": payload or MIME.get(channel, "application/fhir+json"),
            **({"_payload": {"extension": [level]}} if content else {}),
            **({"header": list(headers)} if headers else {}),
        },
    }
    if filters:
        url = f"{BACKPORT}/backport-filter-criteria"
        found["_criteria"] = {"extension": [{"url": url, "valueString": text} for text in filters]}
    return found


def _member(name: str) -> str:
    return "valuePositiveInt" if name == "max-count" else "valueUnsignedInt"


def facts(state: "State") -> dict[str, Any]:
    """Of its row, without the secret and without the endpoint's path, which may hold a token of the receiver's."""
    spec = spec_of(state.spec)
    return {
        "id": state.fhir_id,
        "status": state.status,
        "paused": state.paused,
        "topic": spec.topic.rsplit("/", 1)[-1],
        "channel": state.channel,
        "endpoint": _place(spec.endpoint),
        "content": spec.content.value,
        "filters": list(spec.filters),
        "client": state.client_id,
        "organization": state.organization,
        "numbered": state.numbered,
        "delivered": state.delivered,
        "failures": state.failures,
    }


def _place(endpoint: str) -> str:
    """Host of a URL; of mail and telephone the whole would name a person."""
    scheme, _, rest = endpoint.partition("://")
    if rest:
        return f"{scheme}://{rest.partition('/')[0]}"
    return f"{endpoint.partition(':')[0]}:..." if endpoint else ""


async def shown(store: "Store", settings: "Settings", fhir_id: str) -> dict[str, Any]:
    """facts, the times, the last failures in words, and what helps. FhirError where there is none."""
    from service.cli import operator
    from service.notify.failure_words import in_words
    from service.operations.subscription_deliveries import Wanted, ledger
    from service.store import deliveries, subscriptions

    ctx = operator.context(store, settings)
    bare = fhir_id.removeprefix("Subscription/")
    answer = await operator.answered(ctx, lambda given: ledger(given, bare, Wanted(count=1)))
    standing = operator.parameters(answer)
    state = await subscriptions.by_id(store, bare)
    assert state is not None
    failed = await deliveries.attempts(store, state.key, outcome="failed", limit=3)
    failed += await deliveries.attempts(store, state.key, outcome="refused", limit=3)
    last = sorted(failed, key=lambda one: -one.id)[:3]
    found = facts(state) | {name: standing[name] for name in TIMES if name in standing}
    return found | {
        "error": state.error if state.status == "error" else "",
        "last_failures": [{"at": instant(one.at_us), "why": in_words(one.reason, one.status)} for one in last],
        "remedy": remedy(state),
    }


def remedy(state: "State") -> str:
    if state.status == "error":
        return REACTIVATE
    if state.paused:
        return f"Paused: `enlace subscriptions resume {state.fhir_id}`."
    if state.status == "off":
        return "Off: its client said so. It hears nothing until its client writes it with status requested."
    return ""


def lines(found: Mapping[str, Any]) -> list[str]:
    """For people: a line each, empty ones left out."""
    told = [
        f"{name.replace('_', ' ').replace('-', ' ')}: {', '.join(value) if isinstance(value, list) else value}"
        for name, value in found.items()
        if name not in ("last_failures", "remedy", "paused") and value not in ("", [], None)
    ]
    told += [f"failed at {one['at']}: {one['why']}" for one in found["last_failures"]]
    return [*told, found["remedy"]] if found["remedy"] else told


def state_of(row: Mapping[str, Any]) -> str:
    beside = " (paused)" if row["paused"] else " (failing)" if row["failures"] else ""
    return f"{row['status']}{beside}"


async def secret_of(store: "Store", settings: "Settings", fhir_id: str) -> str:
    """In plain, to be shown once; "" for a channel that signs nothing."""
    from service.notify import secrets
    from service.store import subscriptions

    state = await subscriptions.by_id(store, fhir_id)
    if state is None or state.channel != "rest-hook":
        return ""
    return secrets.shown(secrets.opened(settings.secret_key(), state.secret))
