"""Subscription/$get-ws-binding-token: a token with which a websocket hears of subscriptions, once, within 5 minutes.

http://hl7.org/fhir/uv/subscriptions-backport/OperationDefinition/backport-subscription-get-ws-binding-token
"""

import secrets
from collections.abc import Sequence
from dataclasses import replace
from hashlib import sha256

from fhir_profiles import Resource
from fhir_profiles.json_text import write_json
from service.access.context import Context
from service.access.roles import check_scope
from service.auth.scopes import Scope, intersect, requested
from service.clock import instant
from service.errors import Category, FhirError, Issue
from service.interactions.decision import Answer, Decision, fixed
from service.notify.model import State
from service.operations.parameters import Params, known
from service.operations.subscription_access import RTYPE, reading
from service.store import read as store_read
from service.store import subscriptions_seen, websockets
from service.store.change import Change
from service.store.websockets import Token

TTL_S = 300
MOST = 100
"""Subscriptions of one token: as many as a client may have."""
PATH = "/ws"
NAMES = ("_format", "_pretty", "id")


def parse(params: Params) -> tuple[str, ...]:
    """Ids, repeated or with commas. Raises MALFORMED."""
    found, issues = known(params, NAMES, several=("id",))
    ids = tuple(dict.fromkeys(one for value in found.get("id", ()) for one in value.split(",") if one))
    if len(ids) > MOST:
        issues.append(Issue(f"Parameter 'id' may name {MOST} Subscriptions at most.", code="too-costly"))
    if issues:
        raise FhirError(Category.MALFORMED, issues)
    return ids


async def for_one(ctx: Context, fhir_id: str, _ids: Sequence[str]) -> Decision:
    """The parameter id is ignored here, as the operation says."""
    asked = await reading(ctx, fhir_id)
    problem = _problem(ctx, asked.state)
    if problem:
        raise FhirError(Category.RULE, [Issue(problem, RTYPE)], reason="websocket-token")
    return _issued(ctx, [asked.state], asked.found.reference)


async def for_several(ctx: Context, ids: Sequence[str]) -> Decision:
    """Without ids: all websocket subscriptions of this client. A foreign id is answered as one that nobody has."""
    check_scope(ctx.caller, "r", RTYPE)
    wanted = {"ids": ids} if ids else {"client_id": ctx.caller.client_id, "channel": "websocket"}
    states = await subscriptions_seen.seen(ctx.store, ctx.restriction, limit=MOST, **wanted)
    heads = await store_read.heads(ctx.store, [one.reference for one in states], ctx.restriction)
    states = [one for one in states if one.reference in heads and (ids or _problem(ctx, one) == "")]
    issues = [Issue(problem, one.reference) for one in states if (problem := _problem(ctx, one))]
    known_ids = {one.fhir_id for one in states}
    missing = [f"{RTYPE}/{one}" for one in ids if one not in known_ids]
    issues += [Issue(f"{one} is not known.", code="not-found") for one in missing]
    if not states and not issues:
        issues.append(Issue("This client has no websocket Subscription: create one, or name it by id."))
    if issues:
        raise FhirError(Category.RULE, issues, reason="websocket-token")
    return _issued(ctx, states, RTYPE)


def _problem(ctx: Context, state: State) -> str:
    """Why this caller gets no token for it; "" where it does."""
    if state.client_id != ctx.caller.client_id or ctx.caller.person is not None:
        return "Only the client that made the Subscription, acting for itself, binds a websocket to it."
    if _reads_less(ctx, state):
        return "The access token reads less than the Subscription: ask for one with the scopes that wrote it."
    if state.channel != "websocket":
        return f"Its channel is {state.channel}: a token is for channel websocket."
    if state.status in ("off", "error"):
        return f"It is {state.status}: write it again with status requested."
    return ""


def _reads_less(ctx: Context, state: State) -> bool:
    """A socket tells what the scopes of the Subscription read, so who binds one must read all of that."""
    theirs, mine = _reading(state.scopes), _reading(ctx.caller.scopes)
    return set(intersect(theirs, mine)) != set(theirs)


def _reading(scopes: str) -> tuple[Scope, ...]:
    found = (replace(one, letters="r", v1=False) for one in requested(scopes) if "r" in one.letters)
    return tuple(one for one in found if one.rtype != RTYPE)


def _issued(ctx: Context, states: Sequence[State], target: str) -> Decision:
    text = secrets.token_urlsafe(32)
    expires_us = ctx.now_us + TTL_S * 1_000_000
    token = Token(ctx.caller.client_id, tuple(one.key for one in states), ctx.caller.token, expires_us)
    audit = ctx.audit("E", "subscription-ws-token", target, detail={"subscriptions": [one.fhir_id for one in states]})
    change = Change(statements=[websockets.inserted(sha256(text.encode()).digest(), token)], audit=[audit])
    parts: list[Resource] = [
        {"name": "token", "valueString": text},
        {"name": "expiration", "valueDateTime": instant(expires_us)},
        *({"name": "subscription", "valueString": f"{RTYPE}/{one.fhir_id}"} for one in states),
        {"name": "websocket-url", "valueUrl": websocket_url(ctx.settings.base_url)},
    ]
    body = write_json({"resourceType": "Parameters", "parameter": parts})
    return Decision(change, fixed(Answer(200, body)))


def websocket_url(base_url: str) -> str:
    """ws or wss, as the FHIR base is http or https; the token is not part of it."""
    return "ws" + base_url.removeprefix("http").removesuffix("/fhir") + PATH
