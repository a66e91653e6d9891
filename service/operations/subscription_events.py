"""Subscription/[id]/$events: what was told, once more, with access decided anew for each event.

http://hl7.org/fhir/uv/subscriptions-backport/OperationDefinition/backport-subscription-events
"""

from dataclasses import dataclass, replace

from fhir_profiles.json_text import write_json
from service.access.context import Context
from service.access.redisclosure import outcome
from service.errors import Category, FhirError, Issue
from service.interactions.decision import Answer, Decision, fixed
from service.notify.bundles import notification
from service.notify.deciding import Telling, subscriber, tell
from service.notify.model import Content, Event, Kind, Spec, State, Told
from service.operations.parameters import Params, known
from service.operations.subscription_access import reading, whole
from service.store import deliveries
from service.store.change import Change

NAMES = ("_format", "_pretty", "content", "eventsSinceNumber", "eventsUntilNumber")
MOST = 100
"""Events of one answer; its link leads to more."""
_LEVELS = (Content.EMPTY, Content.ID_ONLY, Content.FULL)


@dataclass(frozen=True)
class Wanted:
    """since, until: event numbers, both included. until 0: to the last. content: None for the subscription's own."""

    since: int = 1
    until: int = 0
    content: Content | None = None


def parse(params: Params) -> Wanted:
    """Raises MALFORMED with one issue per parameter."""
    found, issues = known(params, NAMES)
    since = whole("eventsSinceNumber", found.get("eventsSinceNumber", ["1"])[0], issues, least=0)
    until = found.get("eventsUntilNumber")
    last = whole("eventsUntilNumber", until[0], issues) if until else 0
    content = found.get("content")
    if content and content[0] not in [level.value for level in _LEVELS]:
        issues.append(Issue("Parameter 'content' takes empty, id-only or full-resource.", code="code-invalid"))
    if issues:
        raise FhirError(Category.MALFORMED, issues)
    return Wanted(max(since, 1), last, Content(content[0]) if content else None)


def level(spec: Spec, asked: Content | None) -> Content:
    """What is asked for, and never more than the subscription has."""
    return min(asked or spec.content, spec.content, key=_LEVELS.index)


async def events(ctx: Context, fhir_id: str, wanted: Wanted) -> Decision:
    """A history Bundle of type query-event, oldest first. An event without its right is a number alone."""
    asked = await reading(ctx, fhir_id)
    state, spec = asked.state, replace(asked.spec, content=level(asked.spec, wanted.content))
    until = min(wanted.until or state.numbered, state.numbered)
    found: list[Event] = []
    if wanted.since <= until:
        found = list(await deliveries.events(ctx.store, state.key, wanted.since, until, MOST + 1))
    page = found[:MOST]
    telling = await _telling(ctx, state, spec, page)
    told = telling.told if telling else []
    silent = {one.number for one in page} - {one.number for one in told}
    body = notification(state, spec, Kind.QUERY_EVENT, told, ctx.settings.base_url, numbers=silent, at_us=ctx.now_us)
    if len(found) > MOST:
        body = _with_next(body, state, spec, found[MOST].number, wanted.until, ctx.settings.base_url)
    patients, shown = (telling.patients, telling.shown) if telling else ((), [])
    row = ctx.audit("E", "subscription-events", asked.found.reference, patients, shown=(asked.found, *shown))
    if telling is None:
        return Decision(Change(audit=[row]), fixed(Answer(200, body)))
    change = Change(audit=[telling.notice.upon(ctx, row)])
    return Decision(change, fixed(Answer(200, body, notice=outcome(telling.notice.issues))))


async def _telling(ctx: Context, state: State, spec: Spec, page: list[Event]) -> Telling | None:
    """What both may have: the subscriber, in whose name it was told, and who asks now, perhaps with fewer rights."""
    behalf = await subscriber(ctx.store, state, ctx.settings, ctx.now_us)
    heard = [event for event in page if not event.emptied]
    if behalf is None or not heard:
        return None
    behalf.again = ctx.again
    theirs = await tell(behalf, spec, heard, spec.content)
    if (ctx.caller.client_id, ctx.caller.scopes, ctx.caller.person) == (state.client_id, state.scopes, None):
        return theirs
    by_number = {one.number: one for one in theirs.told}
    mine = await tell(ctx, spec, [event for event in heard if event.number in by_number], spec.content)
    told = [_both(one, by_number[one.number]) for one in mine.told]
    named = {name for one in told for name in (one.reference, *(reference for reference, _ in one.included))}
    return replace(mine, told=told, shown=[one for one in mine.shown if one.reference in named])


def _both(mine: Told, theirs: Told) -> Told:
    context = tuple(one for one in mine.context if one in theirs.context)
    return replace(mine, context=context, included=tuple(one for one in mine.included if one in theirs.included))


def _with_next(body: bytes, state: State, spec: Spec, number: int, until: int, base_url: str) -> bytes:
    """The stored bytes inside stay as they are: the link is put behind the last member."""
    query = f"eventsSinceNumber={number}&content={spec.content.value}" + (
        f"&eventsUntilNumber={until}" if until else ""
    )
    link = write_json([{"relation": "next", "url": f"{base_url}/{state.reference}/$events?{query}"}])
    return body.rstrip()[:-1] + b',"link":' + link + b"}"
