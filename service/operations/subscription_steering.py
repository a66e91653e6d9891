"""What a subscriber does to its own deliveries: $pause, $resume, $test-event, $resend, $rotate-secret.

Our own operations: https://enlace.example.org/fhir/OperationDefinition/subscription-pause and the others beside it.
"""

from dataclasses import dataclass

from fhir_profiles import Resource
from fhir_profiles.json_text import write_json
from service.access.context import Context
from service.clock import instant
from service.errors import Category, FhirError, Issue
from service.interactions.decision import Answer, Decision, fixed
from service.notify import secrets
from service.operations.parameters import Params, known
from service.operations.subscription_access import Asked, changing, require_active, whole
from service.store import deliveries, subscriptions
from service.store.change import AuditRow, Statement
from service.store.epochs import epoch

OVERLAP_S = 86_400
"""For so long the secret before the new one signs as well."""
KEPT_DAYS = deliveries.KEPT_US // 86_400_000_000
NAMES = ("_format", "_pretty")
_RANGE = (*NAMES, "eventsSinceNumber", "eventsUntilNumber")


def none(params: Params) -> None:
    """Raises MALFORMED where there are parameters: these operations take none."""
    _, issues = known(params, NAMES)
    if issues:
        raise FhirError(Category.MALFORMED, issues)


async def pause(ctx: Context, fhir_id: str) -> Decision:
    """Events are matched and wait; nothing is sent. What is on its way goes out."""
    asked = await changing(ctx, fhir_id)
    audit = ctx.audit("E", "subscription-pause", asked.found.reference)
    return _done(asked, audit, [subscriptions.changed(asked.state.key, paused=True)], paused=True)


async def resume(ctx: Context, fhir_id: str) -> Decision:
    """Delivery goes on where it stopped, at once."""
    asked = await changing(ctx, fhir_id)
    key = asked.state.key
    again = [subscriptions.changed(key, paused=False), deliveries.nudged(key, ctx.now_us)]
    return _done(asked, ctx.audit("E", "subscription-resume", asked.found.reference), again, paused=False)


def _done(asked: Asked, audit: AuditRow, statements: list[Statement], *, paused: bool) -> Decision:
    change = asked.change(audit)
    change.statements += statements
    parts: list[Resource] = [
        {"name": "paused", "valueBoolean": paused},
        {"name": "status", "valueCode": asked.state.status},
    ]
    return Decision(change, fixed(Answer(200, _parameters(*parts))))


async def test_event(ctx: Context, fhir_id: str) -> Decision:
    """An event about the Subscription itself, with the next number, on the way of all others."""
    asked = await changing(ctx, fhir_id)
    require_active(asked.state, "$test-event")
    change = asked.change(ctx.audit("E", "subscription-test", asked.found.reference))
    change.statements += deliveries.test_event(asked.state.key, ctx.now_us, ctx.store.next_id(ctx.now_us))
    parts: list[Resource] = [
        {"name": "queued", "valueBoolean": True},
        {"name": "paused", "valueBoolean": asked.state.paused},
    ]
    return Decision(change, fixed(Answer(200, _parameters(*parts))))


@dataclass(frozen=True)
class Range:
    """Event numbers, both included. until 0: to the last."""

    since: int
    until: int = 0


def parse_range(params: Params) -> Range:
    """Raises MALFORMED with one issue per parameter."""
    found, issues = known(params, _RANGE)
    if "eventsSinceNumber" not in found and not issues:
        issues.append(Issue("Parameter 'eventsSinceNumber' says from which event number on.", code="required"))
    since = whole("eventsSinceNumber", found.get("eventsSinceNumber", ["1"])[0], issues)
    until = whole("eventsUntilNumber", found["eventsUntilNumber"][0], issues) if "eventsUntilNumber" in found else 0
    if until and since > until:
        issues.append(Issue("'eventsUntilNumber' must not be below 'eventsSinceNumber'.", code="value"))
    if issues:
        raise FhirError(Category.MALFORMED, issues)
    return Range(since, until)


async def resend(ctx: Context, fhir_id: str, wanted: Range) -> Decision:
    """Events are sent once more under their numbers, as access stands when they leave."""
    asked = await changing(ctx, fhir_id)
    state = asked.state
    require_active(state, "$resend")
    if state.channel == "websocket":
        text = "A websocket has no $resend: $events answers the same events at once."
        raise FhirError(Category.RULE, [Issue(text, "Subscription.channel.type")], reason="subscription-channel")
    until = min(wanted.until or state.numbered, state.numbered)
    kept = await deliveries.events(ctx.store, state.key, wanted.since, until, deliveries.MOST_RESENT + 1)
    if not kept:
        text = f"No event in this range is kept: numbers go to {state.numbered}, and events are kept {KEPT_DAYS} days."
        raise FhirError(Category.RULE, [Issue(text, code="not-found")], reason="subscription-range")
    if len(kept) > deliveries.MOST_RESENT:
        text = f"At most {deliveries.MOST_RESENT} events are sent again at a time: narrow the range."
        raise FhirError(Category.RULE, [Issue(text, code="too-costly")], reason="subscription-range")
    numbers = [one.number for one in kept]
    change = asked.change(
        ctx.audit("E", "subscription-resend", asked.found.reference, detail={"first": numbers[0], "last": numbers[-1]})
    )
    change.statements += deliveries.resend(
        state.key, numbers[0], numbers[-1], ctx.now_us, lambda: ctx.store.next_id(ctx.now_us)
    )
    parts: list[Resource] = [
        {"name": "events", "valueInteger": len(numbers)},
        {"name": "eventsSinceNumber", "valueString": str(numbers[0])},
        {"name": "eventsUntilNumber", "valueString": str(numbers[-1])},
    ]
    return Decision(change, fixed(Answer(200, _parameters(*parts))))


async def rotate_secret(ctx: Context, fhir_id: str) -> Decision:
    """The new secret stands in this answer and nowhere else; both sign until the old one's time is over."""
    asked = await changing(ctx, fhir_id)
    state = asked.state
    if state.channel != "rest-hook":
        text = f"Only notifications of a rest-hook are signed; this Subscription's channel is {state.channel}."
        raise FhirError(Category.RULE, [Issue(text, "Subscription.channel.type")], reason="subscription-channel")
    fresh, until_us = secrets.new_secret(), ctx.now_us + OVERLAP_S * 1_000_000
    # Two at once: the later one must keep what the earlier one gave out.
    turn = ctx.store.keys.of("subscription-secret", fhir_id)
    change = asked.change(ctx.audit("E", "subscription-secret", asked.found.reference))
    change.epochs[turn] = await epoch(ctx.store, turn)
    change.bump_epochs.add(turn)
    latest = await subscriptions.get(ctx.store, state.key) or state
    change.statements.append(
        subscriptions.changed(
            state.key,
            secret=secrets.sealed(ctx.settings.page_key, fresh),
            secret_before=latest.secret,
            secret_before_until_us=until_us,
        )
    )
    parts = [
        {"name": "secret", "valueString": secrets.shown(fresh)},
        {"name": "former-valid-until", "valueInstant": instant(until_us)},
    ]
    return Decision(change, fixed(Answer(200, _parameters(*parts))))


def _parameters(*parts: Resource) -> bytes:
    return write_json({"resourceType": "Parameters", "parameter": list(parts)})
