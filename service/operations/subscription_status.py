"""Subscription/$status, Subscription/[id]/$status: how delivery stands, without events.

http://hl7.org/fhir/uv/subscriptions-backport/OperationDefinition/backport-subscription-status
"""

from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import urlencode

from fhir_profiles import Resource
from fhir_profiles.json_text import write_json
from service.access.context import Context
from service.access.roles import check_scope
from service.clock import instant
from service.errors import Category, FhirError, Issue
from service.interactions.decision import Answer, Decision, fixed
from service.notify.bundles import status_of
from service.notify.model import Kind, State, spec_of
from service.operations.parameters import Params, known
from service.operations.subscription_access import RTYPE, reading
from service.store import read as store_read
from service.store import subscriptions_seen
from service.store.change import Change

STATUSES = ("requested", "active", "error", "off")
NAMES = ("_format", "_pretty", "id", "status")
MOST = 500
"""Subscriptions of one answer; more are asked for by id or status."""


@dataclass(frozen=True)
class Wanted:
    """ids, statuses: () for all."""

    ids: tuple[str, ...] = ()
    statuses: tuple[str, ...] = ()


def parse(params: Params) -> Wanted:
    """Values repeat, or stand behind each other with commas. Raises MALFORMED with one issue per parameter."""
    found, issues = known(params, NAMES, several=("id", "status"))
    ids, statuses = _listed(found.get("id")), _listed(found.get("status"))
    if any(status not in STATUSES for status in statuses):
        issues.append(Issue(f"Parameter 'status' takes {', '.join(STATUSES)}.", code="code-invalid"))
    if len(ids) > MOST:
        issues.append(Issue(f"Parameter 'id' may name {MOST} Subscriptions at most.", code="too-costly"))
    if issues:
        raise FhirError(Category.MALFORMED, issues)
    return Wanted(ids, statuses)


def _listed(values: Sequence[str] | None) -> tuple[str, ...]:
    return tuple(dict.fromkeys(one for value in values or () for one in value.split(",") if one))


async def of_one(ctx: Context, fhir_id: str, wanted: Wanted) -> Decision:
    """A searchset Bundle with one status; the parameter id is of no use here, and ignored as the operation says."""
    asked = await reading(ctx, fhir_id)
    audit = ctx.audit("E", "subscription-status", asked.found.reference, shown=(asked.found,))
    fits = not wanted.statuses or asked.state.status in wanted.statuses
    return Decision(Change(audit=[audit]), fixed(Answer(200, _bundle(ctx, [asked.state] if fits else []))))


async def of_several(ctx: Context, wanted: Wanted) -> Decision:
    """Those of the caller's organization, of an operator all; a foreign id is as one that nobody has."""
    check_scope(ctx.caller, "r", RTYPE)
    states = await subscriptions_seen.seen(
        ctx.store, ctx.restriction, ids=wanted.ids, statuses=wanted.statuses, limit=MOST + 1
    )
    if len(states) > MOST:
        text = f"There are more than {MOST} Subscriptions: ask by id or status."
        raise FhirError(Category.MALFORMED, [Issue(text, code="too-costly")], reason="too-costly")
    found = await store_read.heads(ctx.store, [one.reference for one in states], ctx.restriction)
    states = [one for one in states if one.reference in found]
    audit = ctx.audit("E", "subscription-status", RTYPE, shown=tuple(found.values()))
    asked = {name: ",".join(values) for name, values in (("id", wanted.ids), ("status", wanted.statuses)) if values}
    query = "?" + urlencode(asked, safe=",") if asked else ""
    return Decision(Change(audit=[audit]), fixed(Answer(200, _bundle(ctx, states, query))))


def _bundle(ctx: Context, states: Sequence[State], query: str = "") -> bytes:
    base_url = ctx.settings.base_url
    body: Resource = {
        "resourceType": "Bundle",
        "id": ctx.new_id(),
        "meta": {"lastUpdated": instant(ctx.now_us)},
        "type": "searchset",
        "total": len(states),
        "link": [{"relation": "self", "url": f"{base_url}/{RTYPE}/$status{query}"}],
    }
    entries = [_entry(one, base_url, ctx.now_us) for one in states]
    return write_json({**body, "entry": entries} if entries else body)


def _entry(state: State, base_url: str, now_us: int) -> Resource:
    status = status_of(state, spec_of(state.spec), Kind.QUERY_STATUS, base_url, at_us=now_us)
    return {"fullUrl": f"urn:uuid:{status['id']}", "resource": status, "search": {"mode": "match"}}
