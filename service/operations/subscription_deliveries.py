"""Subscription/[id]/$deliveries: the ledger of attempts, newest first, and how delivery stands, in words.

Our own operation: https://enlace.example.org/fhir/OperationDefinition/subscription-deliveries. It holds no data of
members: event numbers, times, outcomes.
"""

from dataclasses import dataclass

from fhir_profiles import Resource
from fhir_profiles.json_text import write_json
from service.access.context import Context
from service.clock import instant
from service.errors import Category, FhirError, Issue
from service.interactions.decision import Answer, Decision, fixed
from service.notify.failure_words import in_words
from service.notify.model import NEVER_US, Outcome, State
from service.operations.parameters import Params, known
from service.operations.subscription_access import Asked, reading, whole
from service.store import deliveries
from service.store.change import Change
from service.store.deliveries import Attempt

NAMES = ("_count", "_format", "_pretty", "before", "number", "outcome")
COUNT, MAX_COUNT = 50, 200


@dataclass(frozen=True)
class Wanted:
    """before: id of an attempt, those before it are wanted. number: attempts at this event. None: any."""

    count: int = COUNT
    before: int | None = None
    outcome: str | None = None
    number: int | None = None


def parse(params: Params) -> Wanted:
    """Raises MALFORMED with one issue per parameter. A _count above the most gives the most."""
    found, issues = known(params, NAMES)
    values = {name: texts[0] for name, texts in found.items()}
    count = whole("_count", values.get("_count", str(COUNT)), issues)
    before = values.get("before")
    if before is not None and not (before.isascii() and before.isdigit() and len(before) <= 19):
        issues.append(Issue("Parameter 'before' takes the id of an attempt.", code="value"))
        before = None
    outcomes = [one.value for one in Outcome]
    if values.get("outcome", "ok") not in outcomes:
        issues.append(Issue(f"Parameter 'outcome' takes {', '.join(outcomes)}.", code="code-invalid"))
    number = whole("number", values["number"], issues) if "number" in values else None
    if issues:
        raise FhirError(Category.MALFORMED, issues)
    return Wanted(min(count, MAX_COUNT), int(before) if before else None, values.get("outcome"), number)


async def ledger(ctx: Context, fhir_id: str, wanted: Wanted) -> Decision:
    """A Parameters resource; `next` is the id to ask on with as `before`."""
    asked = await reading(ctx, fhir_id)
    key = asked.state.key
    rows = await deliveries.attempts(
        ctx.store,
        key,
        before_id=wanted.before,
        outcome=wanted.outcome,
        number=wanted.number,
        limit=wanted.count + 1,
    )
    parts = [*await _standing(ctx, asked), *(_attempt(one) for one in rows[: wanted.count])]
    if len(rows) > wanted.count:
        parts.append({"name": "next", "valueString": str(rows[wanted.count - 1].id)})
    audit = ctx.audit("E", "subscription-deliveries", asked.found.reference, shown=(asked.found,))
    body = write_json({"resourceType": "Parameters", "parameter": parts})
    return Decision(Change(audit=[audit]), fixed(Answer(200, body)))


async def _standing(ctx: Context, asked: Asked) -> list[Resource]:
    state = asked.state
    parts: list[Resource] = [
        {"name": "status", "valueCode": state.status},
        {"name": "paused", "valueBoolean": state.paused},
        {"name": "numbered", "valueString": str(state.numbered)},
        {"name": "delivered", "valueString": str(state.delivered)},
        {"name": "failures", "valueInteger": state.failures},
    ]
    oldest = await deliveries.oldest_undelivered(ctx.store, state.key)
    times = {
        "failing-since": state.failing_since_us if state.failures else 0,
        "next-attempt": state.due_us if _tries_again(state, ctx.now_us) else 0,
        "oldest-undelivered": oldest or 0,
    }
    parts += [{"name": name, "valueInstant": instant(us)} for name, us in times.items() if us]
    words = state.error if state.status == "error" else ""
    if not words and state.failures:
        failed = await _last_failure(ctx, state.key)
        words = in_words(failed.reason, failed.status) if failed else ""
    return [*parts, {"name": "failure", "valueString": words}] if words else parts


def _tries_again(state: State, now_us: int) -> bool:
    return state.failures > 0 and not state.paused and now_us < state.due_us < NEVER_US


async def _last_failure(ctx: Context, key: int) -> Attempt | None:
    """Of the last attempts, the newest that was none."""
    rows = await deliveries.attempts(ctx.store, key, limit=1)
    return rows[0] if rows and rows[0].outcome != Outcome.OK.value else None


def _attempt(one: Attempt) -> Resource:
    parts: list[Resource] = [
        {"name": "id", "valueString": str(one.id)},
        {"name": "at", "valueInstant": instant(one.at_us)},
        {"name": "kind", "valueCode": one.kind},
        {"name": "outcome", "valueCode": one.outcome},
        {"name": "ms", "valueInteger": one.ms},
    ]
    if one.last:
        parts += [
            {"name": "first", "valueString": str(one.first)},
            {"name": "last", "valueString": str(one.last)},
        ]
    if one.status:
        parts.append({"name": "status", "valueInteger": one.status})
    if one.outcome != Outcome.OK.value:
        parts.append({"name": "reason", "valueCode": one.reason or "unknown"})
        parts.append({"name": "text", "valueString": in_words(one.reason, one.status)})
    if one.receipt:
        parts.append({"name": "receipt", "valueString": one.receipt})
    return {"name": "attempt", "part": parts}
