"""$explain-access: which client, scope, role, panel row and Consent decide whether somebody may have a resource.

Our own operation: https://enlace.example.org/fhir/OperationDefinition/explain-access. It decides nothing: the store is
asked as the actor would ask it, the second wall judges again, and both are told with what they rest on: names of rows
and Consents, no content. Who may ask: the operator about all, everybody else about itself. Not authors about others:
the answer would say in whose care a member is, and that may be what a label hides.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace

from fhir_profiles import Resource
from fhir_profiles.json_text import write_json
from service.access import tripwire
from service.access.consent.rules import Permit, Reason
from service.access.context import Context
from service.access.labels import group_names
from service.access.roles import check_scope, rights
from service.auth.sandbox import caller_of
from service.caller import Caller, Role
from service.clock import instant
from service.errors import Category, FhirError, Issue, not_found
from service.interactions.decision import Answer, Decision, fixed
from service.operations.parameters import Params, known
from service.search.dates import MAX_US, MIN_US
from service.search.references import normal_reference
from service.search.restriction import See
from service.store import credentials
from service.store import read as store_read
from service.store.change import Change
from service.store.raw_facts import PanelFact, RawFacts, raw_facts
from service.store.read import Found

NAMES = ("_format", "_pretty", "actor", "resource")
MAX_CLIENTS = 20
_SEES = {
    See.OPEN: "Everybody with a scope for the type sees it.",
    See.PANEL: "The role sees it of members in its panel.",
    See.PARTY: "The role sees it where it takes part, of members in its panel.",
    See.OWN: "The role sees only what its own organization wrote.",
    See.VIEW: "The role sees a minimum view of members whose Task it owns.",
}
_RULES = {
    "no-relation": "Nothing relates the actor to this patient now.",
    "author": "The actor's organization wrote it.",
    "treatment-payment-operations": "Care, payment and operations need no Consent where no label stands.",
    "break-glass": "Emergency access opens it now.",
    "no-consent-names-the-label": "It bears a label, and no Consent in force names that label for the actor.",
}


@dataclass(frozen=True)
class Wanted:
    """resource: relative reference. actor: id of a client, or reference of an Organization or Practitioner."""

    resource: str
    actor: str


def parse(params: Params, base_url: str) -> Wanted:
    """Raises MALFORMED with one issue per parameter."""
    found, issues = known(params, NAMES)
    values = {name: (found.get(name) or [""])[0] for name in ("resource", "actor")}
    resource = normal_reference(values["resource"], base_url) or ""
    if "/" not in resource or "://" in resource:
        issues.append(Issue("Parameter 'resource' takes a reference such as Condition/123.", code="required"))
    if not values["actor"]:
        text = "Parameter 'actor' takes the id of a client, or the reference of an Organization or a Practitioner."
        issues.append(Issue(text, code="required"))
    if issues:
        raise FhirError(Category.MALFORMED, issues)
    return Wanted(resource, values["actor"])


async def explain(ctx: Context, wanted: Wanted) -> Decision:
    """A Parameters resource: one part for each client that acts for the actor. 404 where the asker may not see it."""
    rtype, _, fhir_id = wanted.resource.partition("/")
    check_scope(ctx.caller, "r", rtype)
    found = await store_read.head(ctx.store, rtype, fhir_id, ctx.for_reading(ctx.restriction))
    if found is None or found.deleted:
        raise not_found(rtype, fhir_id)
    actors = await _actors(ctx, wanted.actor)
    told = [await _told(ctx, found, actor) for actor in actors]
    body = {"resourceType": "Parameters", "parameter": [_string("resource", found.reference), *told]}
    audit = ctx.audit("E", "explain-access", found.reference, ctx.patients_of(found))
    return Decision(Change(audit=[audit]), fixed(Answer(200, write_json(body))))


async def _actors(ctx: Context, actor: str) -> list[Caller]:
    """The clients that the asker may ask about; 403 before it is told whether there are any."""
    mine = (ctx.caller.client_id, ctx.caller.organization, ctx.caller.person)
    operator = ctx.caller.role in (Role.ADMIN, Role.SYSTEM)
    if not operator and actor not in mine:
        text = "You ask about yourself only: give your own client, organization or person."
        raise FhirError(Category.FORBIDDEN, [Issue(text, "actor", "forbidden")], reason="explain")
    # An app alone sees nothing: its rights are those of the person who uses it.
    registered = [one for one in await credentials.clients(ctx.store) if one.kind == "backend"]
    clients = [one for one in registered if actor in (one.id, one.organization, one.person)]
    clients = [one for one in clients if operator or one.organization == ctx.caller.organization]
    if actor == ctx.caller.client_id and not clients:
        return [ctx.caller]
    if not clients:
        raise FhirError(
            Category.RULE, [Issue("No client acts for this actor.", "actor", "not-found")], reason="explain"
        )
    live = [one for one in clients if one.active][:MAX_CLIENTS] or clients[:1]
    return [caller_of(one) for one in live]


async def _told(ctx: Context, found: Found, actor: Caller) -> Resource:
    seen = Context(ctx.store, actor, ctx.now_us, ctx.settings)
    allowed = actor.allows("r", found.rtype)
    by_store = await store_read.head(
        ctx.store, found.rtype, found.fhir_id, seen.for_reading(seen.restriction, views=True)
    )
    asked = replace(tripwire.asked_of([found], seen.seen), parties=frozenset({found.key}))
    facts = await raw_facts(ctx.store, asked)
    granted = allowed and by_store is not None
    verdict = [_code("decision", "permit" if granted else "deny")]
    steps = [*_client(actor), _scope(actor, found.rtype, allowed, seen), _role(actor, found.rtype)]
    steps += await _panel(ctx, found, facts, seen)
    steps += await _consent(ctx, found, facts, seen)
    agrees = tripwire.judged(found, facts, seen.seen, seen.grace_us) or not granted
    steps.append(_step("second-wall", agrees, "It was judged again from the stored facts."))
    return {"name": "actor", "part": [_string("client", actor.client_id), *verdict, *steps]}


def _client(actor: Caller) -> Iterator[Resource]:
    yield _string("organization", actor.organization)
    yield _code("role", actor.role)
    yield _code("purpose", actor.purpose)


def _scope(actor: Caller, rtype: str, allowed: bool, seen: Context) -> Resource:
    if not allowed:
        return _step("scope", False, f"No scope of the client holds {rtype}.r.")
    narrowed = rtype in seen.restriction.narrowed
    return _step("scope", True, f"A scope holds {rtype}.r{', for what its query fits' if narrowed else ''}.")


def _role(actor: Caller, rtype: str) -> Resource:
    rule = rights(actor.role).sees.get(rtype)
    return _step("role", rule is not None, _SEES[rule] if rule else f"The role {actor.role} does not see {rtype}.")


async def _panel(ctx: Context, found: Found, facts: RawFacts, seen: Context) -> list[Resource]:
    """Each panel row of the actor for this patient, ended ones too."""
    rows = [one for one in facts.panel if one.patient == found.patient and one.subject in seen.seen.subjects]
    sources = await _named(ctx, [one.source for one in rows])
    return [
        _step("panel", tripwire.counts(row, facts, seen.seen), f"{row.basis}, {row.role}", sources.get(row.source), row)
        for row in rows
    ]


async def _consent(ctx: Context, found: Found, facts: RawFacts, seen: Context) -> list[Resource]:
    if seen.seen.unrestricted or rights(seen.caller.role).sees.get(found.rtype) in (None, See.OPEN):
        return []
    labels = group_names(found.labels)
    steps = [_string("label", name) for name in labels]
    relation = tripwire.relation_of(found, facts, seen.seen, seen.grace_us)
    verdict = tripwire.verdict_of(found, relation, facts, seen.seen)
    names = await _named(ctx, [one.consent for one in verdict.reasons if one.consent])
    permitted = isinstance(verdict, Permit)
    return steps + [
        _step("rule", permitted, _sentence(one, permitted), names.get(one.consent)) for one in verdict.reasons
    ]


async def _named(ctx: Context, keys: list[int]) -> dict[int, str]:
    """References of those that the asker sees."""
    found = await store_read.references(ctx.store, keys)
    if ctx.seen.unrestricted:
        return found
    seen = await store_read.heads(ctx.store, list(found.values()), ctx.for_reading(ctx.readable()))
    return {key: reference for key, reference in found.items() if reference in seen}


def _sentence(reason: Reason, permitted: bool) -> str:
    """All reasons of a verdict point its way."""
    return _RULES.get(reason.rule, f"Rule {reason.number} of the Consent {'permits' if permitted else 'denies'} it.")


def _step(name: str, fits: bool, text: str, reference: str | None = None, period: PanelFact | None = None) -> Resource:
    parts: list[Resource] = [{"name": "fits", "valueBoolean": fits}, _string("text", text)]
    if reference:
        parts.append({"name": "reference", "valueReference": {"reference": reference}})
    if period:
        bounds = {"start": (period.start_us, MIN_US), "end": (period.end_us, MAX_US)}
        known_ = {word: instant(us) for word, (us, open_) in bounds.items() if us != open_}
        if known_:
            parts.append({"name": "period", "valuePeriod": known_})
    return {"name": name, "part": parts}


def _string(name: str, value: str) -> Resource:
    return {"name": name, "valueString": value}


def _code(name: str, value: str) -> Resource:
    return {"name": name, "valueCode": str(value)}
