"""Who may hear of what, decided anew each time that something leaves: as the subscriber's own read would be answered.

Nothing is remembered of an earlier decision, so whoever takes a right away need not delete waiting events: they are
decided again before they are numbered, and again before each later attempt. What is decided relies on the access epochs
of the patients, on the heads of the resources, on the client's epoch and on its organizations as they were read before;
the Change that numbers carries them (Telling.rely), so that who loses a right in between is not told.
Neither emergency access (rows of a person; no person subscribes) nor the grace after an assignment's end counts.
../shared/facts/security.md 2.3, L41, L42; ../shared/decisions.md 23.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum

from fhir_profiles.topics import Topic, topics
from service.access import redisclosure, tripwire
from service.access.context import Context, Settings, parse
from service.access.redisclosure import Notice
from service.access.views import is_view
from service.access.views import shown as in_view
from service.auth.client_rules import BACKEND
from service.auth.scopes import compile_allows, intersect, requested, text_of
from service.caller import Caller, Role
from service.notify.model import Content, Event, Spec, State, Told
from service.notify.topics import context_of
from service.store import epochs, event_versions, read
from service.store.change import AuditRow, Change
from service.store.credentials import client_by_id, client_key, place_now
from service.store.engine import Store
from service.store.event_versions import Version
from service.store.read import Found
from service.store.together import together

_METHODS = {1: "POST", 2: "PUT", 3: "DELETE"}


class Barred(StrEnum):
    """Why nothing goes to a client, in words for `Subscription.error`."""

    ENDED = "The client that made this subscription was revoked."
    SUSPENDED = (
        "The client of this subscription is suspended. When the operator has resumed it, set status to requested."
    )
    PERSON = "Only the system of an organization is sent notifications, and this client acts for a person."
    ORGANIZATION = "The organization of the client is not active. When it is again, set status to requested."


@dataclass
class Subscriber(Context):
    """The client of a subscription, as it may read now. epochs, relied: what that rests on, read before it was.

    endpoints: whereto the operator lets it send.
    """

    epochs: dict[int, int] = field(default_factory=dict)
    relied: dict[str, int] = field(default_factory=dict)
    endpoints: tuple[str, ...] = ()


@dataclass(frozen=True)
class Telling:
    """told: of the events that may be told, by number. shown: what leaves with them, for the audit row.

    notice: of 42 CFR Part 2, and the Consents behind it. patients: whom it is about.
    """

    told: list[Told]
    shown: list[Found]
    notice: Notice = field(default_factory=lambda: Notice([]))
    patients: tuple[str, ...] = ()
    epochs: dict[int, int] = field(default_factory=dict)
    relied: dict[str, int] = field(default_factory=dict)

    def rely(self, change: Change) -> None:
        """The Change holds only while nobody took away what this was decided by."""
        change.epochs |= self.epochs
        change.relied |= self.relied

    async def stands(self, store: Store) -> bool:
        """Whether that is so at this moment."""
        if await epochs.several(store, self.epochs) != self.epochs:
            return False
        return await read.versions_now(store, list(self.relied)) == self.relied

    def row(self, ctx: Context, kind: str, target: str, **detail: object) -> AuditRow:
        """The audit row of the disclosure."""
        row = ctx.audit("R", kind, target, self.patients, shown=self.shown, detail=detail)
        return self.notice.upon(ctx, row)


async def subscriber(store: Store, state: State, behaviour: Settings, now_us: int) -> Subscriber | None:
    """The client as it stands now; None: suspended, ended, of an inactive organization, or acting for a person."""
    found = await standing(store, state, behaviour, now_us)
    return found if isinstance(found, Subscriber) else None


async def standing(store: Store, state: State, behaviour: Settings, now_us: int) -> Subscriber | Barred:
    """The client as it stands now, or why nothing goes to it."""
    mine = client_key(store.keys, state.client_id)
    counted, heads, client, (active, _, above) = await together(
        store,
        epochs.several(store, (mine, store.keys.resource(state.organization))),
        read.versions_now(store, [state.organization]),
        client_by_id(store, state.client_id),
        place_now(store, state.organization, None),
    )
    if client is None or client.ended:
        return Barred.ENDED
    if client.suspended:
        return Barred.SUSPENDED
    if client.person is not None or client.kind != BACKEND or client.role not in _ROLES:
        return Barred.PERSON
    if client.organization != state.organization:
        return Barred.ENDED
    if not active:
        return Barred.ORGANIZATION
    # Scopes that the operator took from the client meanwhile do not count.
    scopes = text_of(intersect(requested(state.scopes), requested(client.scopes)))
    caller = Caller(
        client_id=client.id,
        role=Role(client.role),
        organization=client.organization,
        scopes=scopes,
        allows=compile_allows(scopes),
        purpose=client.purpose,
        above=tuple(f"Organization/{one}" for one in above),
    )
    strict = replace(behaviour, ecm_grace_days=0, break_glass=False)
    made = Subscriber(store, caller, now_us, strict, state.reference, epochs=counted, relied=heads)
    made.endpoints = client.endpoints
    return made


_ROLES = frozenset(role.value for role in Role if role is not Role.SYSTEM)


async def tell(
    ctx: Context, spec: Spec, events: Sequence[Event], content: Content, known: Mapping[int, Version] | None = None
) -> Telling:
    """What the subscriber may hear of these events now. An event that it may not hear of has no Told.

    known: versions that were read already. Raises tripwire.Moved where a right moved while this looked: decide again.
    """
    # The epochs of the patients come with the versions, before what is decided by: that may be read by another
    # connection, as the reader role.
    versions = await _versions(ctx.store, [e.vid for e in events if e.kind != "test" and not e.emptied], known or {})
    counted = {key: epoch for one in versions.values() for key, epoch in one.epochs.items()}
    patients = set(counted)
    seen, who = await together(
        ctx.store, _seen(ctx, list(versions.values())), read.references(ctx.store, sorted(patients))
    )
    found = {one.vid: one for one in seen}
    topic = topics().get(spec.topic)
    context = {
        vid: _context(topic, one, ctx.settings.base_url)
        if content is not Content.EMPTY and not versions[vid].deleted
        else ()
        for vid, one in found.items()
    }
    named = await _included(ctx, {ref for several in context.values() for ref in several}, patients)
    await tripwire.check_found(ctx, [*found.values(), *named.values()])
    shown = _leaving(content, list(found.values()), list(named.values()))
    notice = await redisclosure.notice(ctx, shown)
    protected = {one.reference for one in redisclosure.protected(ctx, shown)}
    former = await event_versions.before(ctx.store, list(found)) if spec.format else {}
    told = []
    for event in events:
        if event.kind == "test":
            told.append(await _test(ctx, event, content))
        elif event.vid in found and not event.emptied:
            kept = [named[ref] for ref in context[event.vid] if ref in named]
            one = _told(ctx, event, versions[event.vid], found[event.vid], kept, content)
            one = replace(one, before=former.get(event.vid))
            states = protected & {one.reference, *(reference for reference, _ in one.included)}
            told.append(replace(one, notice=redisclosure.outcome(notice.issues)) if states and one.body else one)
    more = {one.reference: one.version for one in named.values()}
    more |= {one.reference: one.head for one in versions.values() if one.vid in found}
    about = sorted({one.patient for one in shown if one.patient is not None})
    base_epochs, base_relied = (ctx.epochs, ctx.relied) if isinstance(ctx, Subscriber) else ({}, {})
    names = tuple(who[key] for key in about if key in who)
    return Telling(told, shown, notice, names, base_epochs | counted, base_relied | more)


async def _versions(store: Store, vids: Sequence[int], known: Mapping[int, Version]) -> dict[int, Version]:
    found = {vid: known[vid] for vid in vids if vid in known}
    return found | await event_versions.by_vid(store, [vid for vid in vids if vid not in found])


async def _seen(ctx: Context, versions: Sequence[Version]) -> list[Found]:
    """Those versions that the subscriber may read, as they were: by relation, Consents, labels and scopes."""
    by_type: dict[str, list[int]] = {}
    for one in versions:
        if one.of != one.patient:
            continue  # about another member than the resource is now: nobody's
        by_type.setdefault(one.rtype, []).append(one.vid)
    found = []
    for rtype, vids in by_type.items():
        if ctx.caller.allows("r", rtype):
            found += await read.of_vids(ctx.store, rtype, vids, ctx.restriction)
    # Of a minimum view nobody is told that it changed: what is hidden may change without a trace.
    return [one for one in found if _reached(ctx, one) and not is_view(ctx.seen, one.rtype, one.source_org)]


def _reached(ctx: Context, one: Found) -> bool:
    """Whether the scopes reach the version as it was; of a deletion, only whose record it was is known."""
    alternatives = ctx.restriction.narrowed.get(one.rtype)
    if alternatives is None:
        return True
    if one.body is None:
        return any(not way.clauses and way.patient in (None, one.patient) for way in alternatives)
    return ctx.reaches("r", one.rtype, parse(one.body), one.patient)


def _context(topic: Topic | None, one: Found, base_url: str) -> tuple[str, ...]:
    return context_of(topic, parse(one.body), base_url) if topic is not None and one.body is not None else ()


async def _included(ctx: Context, references: set[str], patients: set[int]) -> dict[str, Found]:
    """What the topic's shape adds, as far as it may be read; of no other patient than those decided about."""
    if not references:
        return {}
    restriction = ctx.for_reading(ctx.readable(), views=True)
    found = await read.heads(ctx.store, sorted(references), restriction)
    return {name: one for name, one in found.items() if one.patient is None or one.patient in patients}


def _leaving(content: Content, found: list[Found], named: list[Found]) -> list[Found]:
    """What is disclosed: that a resource changed, and with content the resources."""
    if content is Content.EMPTY:
        return []
    return [*found, *named] if content is Content.FULL else found


def _told(ctx: Context, event: Event, version: Version, one: Found, named: Sequence[Found], content: Content) -> Told:
    bare = Told(event.number, event.at_us)
    if content is Content.EMPTY:
        return bare
    method = _METHODS[version.op]
    bare = replace(bare, reference=one.reference, method=method, context=tuple(n.reference for n in named))
    if content is Content.ID_ONLY or version.deleted or one.body is None:
        return bare  # of what was deleted meanwhile nobody is sent a copy any more
    bodies = [(n.reference, body) for n in named if (body := _body(ctx, n)) is not None]
    return replace(bare, body=_body(ctx, one), included=tuple(bodies))


def _body(ctx: Context, one: Found) -> bytes | None:
    body = redisclosure.shown(ctx, in_view(ctx, one)).body
    return None if body is None else bytes(body)


async def _test(ctx: Context, event: Event, content: Content) -> Told:
    """A test tells of the Subscription itself, which its client wrote."""
    bare = Told(event.number, event.at_us)
    if content is Content.EMPTY:
        return bare
    reference = (await read.references(ctx.store, [event.key])).get(event.key, "")
    return replace(bare, reference=reference)
