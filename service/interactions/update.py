"""update, plain and conditional: https://hl7.org/fhir/R4/http.html#update and #cond-update

If-Match is law on Task, CarePlan, CareTeam and Consent. Ids of patients' data are the service's own; where the catalog
says updateCreate (the directory, which everyone sees whole) a PUT to an unknown id creates it.
"""

from typing import Any

from fhir_profiles import Resource
from fhir_profiles.catalog import catalog
from fhir_profiles.json_text import write_json
from service.access import tripwire, views
from service.access.context import Context, parse
from service.access.directory import check_entry, is_own_entry
from service.access.granting import granted, rely_on_sight
from service.access.labelling import labelled_for
from service.access.labels import carried, labels
from service.access.roles import check_scope, check_write
from service.access.scoping import out_of_reach
from service.caller import Role
from service.errors import Category, FhirError, Issue, not_found
from service.interactions.checks import check_patient, check_references, check_structure
from service.interactions.conditional import Query, ask, check_absent, check_preconditions
from service.interactions.create import made, with_id
from service.interactions.decision import Answer, Decision, Preconditions, fixed, of_write
from service.interactions.notices import noticed
from service.interactions.read import gone
from service.search.restriction import See
from service.search.values import patient_of
from service.store import read as store_read
from service.store.change import Change
from service.store.read import Found
from service.workflow import referral_candidates
from service.workflow.steps import Step, run_after, run_before

SHARED = frozenset({"CarePlan", "CareTeam", "Goal", "Task", "Communication", "EpisodeOfCare", "Patient"})
"""Types that others than the author's organization may update, where they see them and their role writes the type."""
LOWERS = frozenset({Role.ADMIN, Role.SYSTEM})
"""Who may take a sensitivity label off: the operator and the service itself, never a sender."""


async def update(ctx: Context, rtype: str, fhir_id: str, body: Any, pre: Preconditions) -> Decision:
    """200 with the new version; an update that changes nothing makes no version. 201 where updateCreate lets it."""
    check_scope(ctx.caller, "u", rtype)
    check_write(ctx.caller, rtype)
    current = await store_read.head(ctx.store, rtype, fhir_id, ctx.scoped("u"))
    if current is None or current.deleted:
        return await _brought_in(ctx, rtype, fhir_id, body, pre, current)
    await tripwire.check_found(ctx, (current,))
    check_preconditions(rtype, current, pre)
    check_body_id(rtype, fhir_id, body)
    return await replaced(ctx, check_structure(body, rtype), current, pre)


async def update_where(
    ctx: Context, rtype: str, query: Query, body: Any, pre: Preconditions, *, fhir_id: str | None = None
) -> Decision:
    """The one resource that fits is updated; where none does, one is created (201). Several: 412.

    fhir_id: one that the service chose before, for what is created.
    """
    check_scope(ctx.caller, "u", rtype)
    check_write(ctx.caller, rtype)
    change = Change()
    current = await ask(ctx, rtype, query, change, "The URL")
    if current is None:
        check_scope(ctx.caller, "c", rtype)
        check_absent(pre)
        if isinstance(body, dict) and "id" in body:
            return await _under_own_id(ctx, rtype, body, change)
        return await made(ctx, rtype, with_id(body, fhir_id or ctx.new_id()), change)
    check_reached(ctx, "u", current)
    check_preconditions(rtype, current, pre)
    if isinstance(body, dict) and "id" not in body:
        body = with_id(body, current.fhir_id)
    check_body_id(rtype, current.fhir_id, body)
    return await replaced(ctx, check_structure(body, rtype), current, pre)


async def _brought_in(
    ctx: Context, rtype: str, fhir_id: str, body: Any, pre: Preconditions, former: Found | None
) -> Decision:
    """PUT to an id that is not there: 404, the same for absent and foreign, unless the type takes ids of clients."""
    if not takes_ids(ctx, rtype):
        if former is not None:
            raise gone(former)
        await _refuse_view(ctx, rtype, fhir_id)
        text = f"{rtype}/{fhir_id} is not known. PUT does not create a {rtype}: POST it, and it gets an id."
        raise FhirError(Category.NOT_FOUND, [Issue(text, code="not-found")])
    check_scope(ctx.caller, "c", rtype)
    check_absent(pre)
    check_body_id(rtype, fhir_id, body)
    return await _created_as(ctx, rtype, body, Change(), former)


async def _under_own_id(ctx: Context, rtype: str, body: Resource, change: Change) -> Decision:
    """What no resource fitted is created under the id in the body: 400 where ids are ours, 409 where it is in use."""
    if not takes_ids(ctx, rtype):
        text = f"Nothing fits the query, and a new {rtype} gets its id from the service: leave the id out."
        raise FhirError(Category.MALFORMED, [Issue(text, f"{rtype}.id", "value")], reason="client-id")
    resource = check_structure(body, rtype)
    former = await store_read.head(ctx.store, rtype, resource["id"], ctx.restriction)
    if former is not None and not former.deleted:
        text = "Nothing fits the query, but the id in the body is that of another resource: leave it out."
        raise FhirError(Category.CONFLICT, [Issue(text, f"{rtype}.id", "conflict")], reason="client-id")
    return await _created_as(ctx, rtype, resource, change, former)


async def _created_as(ctx: Context, rtype: str, body: Any, change: Change, former: Found | None) -> Decision:
    """A deleted one comes back as its next version, and for its author only: its history goes on."""
    author = await store_read.source_org(ctx.store, former.key) if former is not None else ctx.organization_key
    if author != ctx.organization_key and not ctx.restriction.unrestricted:
        text = f"Only the organization that wrote this {rtype} may write it again."
        raise FhirError(Category.FORBIDDEN, text, reason="author")
    return await made(ctx, rtype, body, change, former, author)


def takes_ids(ctx: Context, rtype: str) -> bool:
    """Whether the caller may choose an id: only where it sees all resources of the type, so that none is guessed at."""
    whole = ctx.restriction.unrestricted or ctx.restriction.rule(rtype) is See.OPEN
    return catalog().types[rtype].update_create and whole


def check_body_id(rtype: str, fhir_id: str, body: Any) -> None:
    if isinstance(body, dict) and body.get("id") != fhir_id:
        text = "The id in the body must be the id of the resource that is updated."
        raise FhirError(Category.MALFORMED, [Issue(text, f"{rtype}.id", "value")])


async def replaced(
    ctx: Context, resource: Resource, current: Found, pre: Preconditions, kind: str = "update"
) -> Decision:
    """The Change of a structurally sound new version. kind: update or patch, for the audit row."""
    rtype = resource["resourceType"]
    old = parse(current.body)
    author = current.source_org
    others = author != ctx.organization_key and not ctx.restriction.unrestricted
    if others and rtype not in SHARED and not is_own_entry(ctx.caller, old):
        text = f"Only the organization that wrote this {rtype} may change it."
        raise FhirError(Category.FORBIDDEN, text, reason="author")
    if others:
        _check_labels(resource, current, old)
    if ctx.caller.role not in LOWERS:
        resource = await labelled_for(ctx, carried(old, resource), current, author)
    if _same(old, resource):
        audit = ctx.audit("U", "update-unchanged", current.reference, shown=(current,))
        answer = Answer(200, current.body, current.version, current.vid, current.reference)
        return await noticed(ctx, Decision(Change(audit=[audit]), fixed(answer)), current)
    check_entry(ctx.caller, resource, old)
    await check_patient(ctx, resource, old)
    await check_references(ctx, resource, old)
    change = Change()
    if author != ctx.organization_key:
        await rely_on_sight(ctx, current, change)
    step = Step(ctx, "update", resource, old, change)
    await run_before(step)
    write = await granted(ctx, ctx.write(step.new, current.version, source_org=author))
    ctx.check_reach("u", write)
    change.writes.append(write)
    await run_after(step)
    patient = patient_of(step.new, rtype, ctx.settings.base_url)
    change.audit.append(ctx.audit("U", kind, write.reference, (patient,) if patient else ()))
    decision = Decision(change, of_write(200), retry=pre.if_match is None)
    return decision if author == ctx.organization_key else await noticed(ctx, decision, current)


def _check_labels(new: Resource, current: Found, old: Resource) -> None:
    """422 where another than the author labels a resource: it would hide it from those who share it."""
    if labels(new) & ~(labels(old) | current.labels):
        text = "Security labels of a shared resource are its author's: leave them as you read them."
        raise FhirError(Category.RULE, [Issue(text, f"{current.rtype}.meta.security", "business-rule")], reason="label")


def check_reached(ctx: Context, letter: str, found: Found) -> None:
    """403 where a search found what the scopes do not reach with this letter."""
    if not ctx.reaches(letter, found.rtype, parse(found.body), found.patient):
        raise out_of_reach(letter, found.rtype)


async def current_for_write(ctx: Context, rtype: str, fhir_id: str, letter: str) -> Found:
    current = await store_read.head(ctx.store, rtype, fhir_id, ctx.scoped(letter))
    if current is None:
        await _refuse_view(ctx, rtype, fhir_id)
        raise not_found(rtype, fhir_id)
    if current.deleted:
        raise gone(current)
    await tripwire.check_found(ctx, (current,))
    return current


async def _refuse_view(ctx: Context, rtype: str, fhir_id: str) -> None:
    """403 for what the caller reads as a minimum view; 412 for a referral that it could have claimed."""
    if rtype == "Task":
        await referral_candidates.refuse_lost(ctx, fhir_id)
    if ctx.seen.unrestricted or ctx.seen.rule(rtype) is not See.VIEW:
        return
    found = await store_read.head(ctx.store, rtype, fhir_id, ctx.for_reading(ctx.restriction, views=True))
    if found is not None and not found.deleted:
        raise views.refuse_write(rtype)


def _same(old: Resource, new: Resource) -> bool:
    return _without_version(old) == _without_version(new)


def _without_version(resource: Resource) -> bytes:
    meta = {k: v for k, v in (resource.get("meta") or {}).items() if k not in ("versionId", "lastUpdated")}
    return write_json({**{k: resource[k] for k in sorted(resource) if k != "meta"}, "meta": meta})
