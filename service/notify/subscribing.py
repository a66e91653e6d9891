"""A Subscription is written: checked whole, compiled into its row, and its status set, all in the Change of the write.

create, update, patch, conditional ones and transactions come here alike (service/workflow/subscriptions.py). The
subscriber is the client that made it: events are told as that client may hear of them, whoever changes it later.
"""

from dataclasses import replace

from fhir_profiles import Resource
from fhir_profiles.topics import topics
from service.access.context import Context
from service.auth.client_rules import BACKEND
from service.caller import Role
from service.errors import Category, FhirError, Issue
from service.notify import secrets, subscription_rules
from service.notify.model import NEVER_US, Spec, State, spec_of
from service.notify.subscription_extensions import BACKPORT, CONTENT
from service.notify.subscription_status import REFUSED, after
from service.store import credentials, subscriptions
from service.store.change import ABSENT, Change
from service.store.credentials import RegisteredClient
from service.store.epochs import epoch

MOST = 100
"""Subscriptions of one client: ../shared/facts/security.md A7."""
OPERATOR = 0
"""Anchor of who may hear of everybody."""
_MAKER = "Only the client that made this Subscription changes it: make one of your own, or delete this one."
_PERSON = (
    "Only backend services subscribe: an app acts for a person, and its access ends with the session. People are told "
    "by notices (Practitioner/$notification-preferences)."
)
_UNKNOWN = "Only clients that are registered here subscribe: what a subscriber may hear is decided from its entry."
_MANY = f"The client has {MOST} Subscriptions, which is the most: delete one that is not needed any more."


async def created(ctx: Context, new: Resource, change: Change) -> Resource:
    """Before a create: the resource as it is stored; 403 for who may not subscribe, 422 with all that is refused."""
    client = await _subscriber(ctx, ctx.caller.client_id)
    spec, issues = subscription_rules.read(new, _circumstances(ctx, client))
    status = after("", new["status"], anew=True)
    if status is None:
        issues.append(Issue(REFUSED, "Subscription.status", "business-rule"))
    if await _too_many(ctx, client, f"Subscription/{new['id']}", change):
        issues.append(Issue(_MANY, "Subscription", "too-costly"))
    if spec is None or status is None or issues:
        raise FhirError(Category.RULE, issues, reason="subscription")
    state = _made(ctx, client, new["id"], spec, status)
    change.statements += subscriptions.saved(state, _anchors(ctx, client, status))
    return _complete(new, spec, status, "")


async def altered(ctx: Context, new: Resource, old: Resource, change: Change) -> Resource:
    """Before an update: as created; 403 where another client than the subscriber sends it."""
    state = await subscriptions.by_id(ctx.store, new["id"])
    if state is None:  # written past this way: from now on it is its writer's
        return await created(ctx, new, change)
    mine = ctx.caller.client_id == state.client_id
    if not mine and not ctx.restriction.unrestricted:
        raise FhirError(Category.FORBIDDEN, [Issue(_MAKER, "Subscription", "forbidden")], reason="subscription-client")
    client = await _subscriber(ctx, state.client_id)
    spec, issues = subscription_rules.read(new, _circumstances(ctx, client))
    anew = spec is not None and _shakes_hands(spec, spec_of(state.spec))
    status = after(old["status"], new["status"], anew=anew)
    if status is None:
        issues.append(Issue(REFUSED, "Subscription.status", "business-rule"))
    if spec is None or status is None or issues:
        raise FhirError(Category.RULE, issues, reason="subscription")
    scopes = ctx.caller.scopes if mine else state.scopes
    changed = _asks(replace(state, scopes=scopes), spec, status, ctx.now_us)
    if status != old["status"]:
        changed = replace(changed, failures=0, failing_since_us=0, error="")
    change.bump_epochs.add(state.key)  # who is at work on it decides again
    change.statements += subscriptions.saved(changed, _anchors(ctx, client, status))
    return _complete(new, spec, status, old.get("error", "") if status == "error" else "")


async def ended(ctx: Context, old: Resource, change: Change) -> None:
    """Before a deletion: nothing is left but the audit."""
    key = ctx.store.keys.resource(f"Subscription/{old['id']}")
    change.bump_epochs.add(key)
    change.statements += subscriptions.removed(key)


async def _subscriber(ctx: Context, client_id: str) -> RegisteredClient:
    client = await credentials.client_by_id(ctx.store, client_id)
    if client is None or client.kind != BACKEND:
        text = _UNKNOWN if client is None else _PERSON
        raise FhirError(Category.FORBIDDEN, [Issue(text, code="forbidden")], reason="subscription-client")
    return client


def _circumstances(ctx: Context, client: RegisteredClient) -> subscription_rules.Circumstances:
    settings = ctx.settings
    return subscription_rules.Circumstances(
        ctx.store.keys,
        settings.base_url,
        ctx.now_us,
        settings.env == "sandbox",
        client.endpoints,
        settings.egress_allow,
        settings.channels,
        settings.mail_encrypted,
        frozenset(ctx.readable().types),
    )


async def _too_many(ctx: Context, client: RegisteredClient, reference: str, change: Change) -> bool:
    """Counted under an epoch of the client, so that of many creates at once none is overlooked."""
    subject = ctx.store.keys.of("subscriptions", client.id)
    change.epochs[subject] = await epoch(ctx.store, subject)
    change.bump_epochs.add(subject)
    stored = await subscriptions.count(ctx.store, client.id)
    others = [
        pending
        for name, pending in ctx.pending.items()
        if name.startswith("Subscription/") and name != reference and pending.version == ABSENT
    ]
    return stored + len(others) >= MOST


def _complete(new: Resource, spec: Spec, status: str, error: str) -> Resource:
    """With what the service says of it: status, reason of an error, payload content where the client left it out.

    A copy: a write that loses a race is decided again on what the client sent.
    """
    made = {**new, "status": status}
    made.pop("error", None)
    if error:
        made["error"] = error
    payload = new["channel"].get("_payload") or {}
    known, url = payload.get("extension", []), BACKPORT + CONTENT
    if not any(one.get("url") == url for one in known):
        known = [*known, {"url": url, "valueCode": str(spec.content)}]
    made["channel"] = {**new["channel"], "_payload": {**payload, "extension": known}}
    return made


def _made(ctx: Context, client: RegisteredClient, fhir_id: str, spec: Spec, status: str) -> State:
    state = State(
        key=ctx.store.keys.resource(f"Subscription/{fhir_id}"),
        fhir_id=fhir_id,
        client_id=client.id,
        organization=client.organization,
        scopes=ctx.caller.scopes,
        topic="",
        channel="",
        spec="",
        status=status,
        paused=False,
        numbered=0,
        delivered=0,
        due_us=0,
        lease_until_us=0,
        failures=0,
        failing_since_us=0,
        error="",
        beat_us=0,
        secret=secrets.sealed(ctx.settings.page_key, secrets.new_secret()),
        secret_before=None,
        secret_before_until_us=0,
        created_us=ctx.now_us,
    )
    return _asks(state, spec, status, ctx.now_us)


def _asks(state: State, spec: Spec, status: str, now_us: int) -> State:
    """The row with what the resource says now. Whatever it was waiting for, a worker looks at it again."""
    due_us = NEVER_US if status == "off" else now_us
    slug = topics()[spec.topic].slug
    return replace(state, topic=slug, channel=spec.channel, spec=spec.text(), status=status, due_us=due_us)


def _shakes_hands(new: Spec, old: Spec) -> bool:
    return (new.channel, new.endpoint, new.headers) != (old.channel, old.endpoint, old.headers)


def _anchors(ctx: Context, client: RegisteredClient, status: str) -> tuple[int, ...]:
    """By whom it is found; by nobody while it is off."""
    if status == "off":
        return ()
    if client.role == Role.ADMIN and ctx.settings.env == "sandbox":
        return (OPERATOR,)
    named = (client.organization, client.person)
    return tuple(ctx.store.keys.resource(one) for one in named if one)
