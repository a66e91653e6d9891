"""update: https://hl7.org/fhir/R4/http.html#update ; If-Match is law on Task, CarePlan, CareTeam and Consent."""

from typing import Any

from fhir_profiles import Resource
from fhir_profiles.catalog import catalog
from fhir_profiles.json_text import write_json
from service.access.context import Context, parse
from service.access.directory import check_entry, is_own_entry
from service.access.roles import check_scope, check_write
from service.errors import Category, FhirError, Issue, not_found
from service.interactions.checks import check_patient, check_references, check_structure
from service.interactions.decision import Answer, Decision, Preconditions, fixed, of_write
from service.interactions.read import gone
from service.search.values import patient_of
from service.store import read as store_read
from service.store.change import Change
from service.store.read import Found
from service.workflow.steps import Step, run_after, run_before

SHARED = frozenset({"CarePlan", "CareTeam", "Goal", "Task", "Communication", "EpisodeOfCare", "Patient"})
"""Types that others than the author's organization may update, where they see them and their role writes the type."""


async def update(ctx: Context, rtype: str, fhir_id: str, body: Any, pre: Preconditions) -> Decision:
    """200 with the new version; an update that changes nothing makes no version. Never creates (404)."""
    check_scope(ctx.caller, "u", rtype)
    check_write(ctx.caller, rtype)
    current = await current_for_write(ctx, rtype, fhir_id)
    check_if_match(rtype, current, pre)
    if isinstance(body, dict) and body.get("id") != fhir_id:
        text = "The id in the body must be the id in the URL."
        raise FhirError(Category.MALFORMED, [Issue(text, f"{rtype}.id", "value")])
    resource = check_structure(body, rtype)
    return await replaced(ctx, resource, current, pre)


async def replaced(ctx: Context, resource: Resource, current: Found, pre: Preconditions) -> Decision:
    """The Change of a structurally sound new version."""
    rtype = resource["resourceType"]
    old = parse(current.body)
    author = await store_read.source_org(ctx.store, current.key)
    if author != ctx.organization_key and not ctx.restriction.unrestricted:
        if rtype not in SHARED and not is_own_entry(ctx.caller, old):
            text = f"Only the organization that wrote this {rtype} may change it."
            raise FhirError(Category.FORBIDDEN, text, reason="author")
        _keep_labels(old, resource)
    if _same(old, resource):
        audit = ctx.audit("U", "update-unchanged", current.reference, ctx.patients_of(current))
        answer = Answer(200, current.body, current.version, current.vid, current.reference)
        return Decision(Change(audit=[audit]), fixed(answer))
    check_entry(ctx.caller, resource)
    await check_patient(ctx, resource, old)
    await check_references(ctx, resource, old)
    change = Change()
    step = Step(ctx, "update", resource, old, change)
    await run_before(step)
    write = ctx.write(step.new, current.version, source_org=author)
    change.writes.append(write)
    await run_after(step)
    patient = patient_of(step.new, rtype)
    change.audit.append(ctx.audit("U", "update", write.reference, (patient,) if patient else ()))
    return Decision(change, of_write(200), retry=pre.if_match is None)


async def current_for_write(ctx: Context, rtype: str, fhir_id: str) -> Found:
    current = await store_read.head(ctx.store, rtype, fhir_id, ctx.restriction)
    if current is None:
        raise not_found(rtype, fhir_id)
    if current.deleted:
        raise gone(current)
    return current


def check_if_match(rtype: str, current: Found, pre: Preconditions) -> None:
    if pre.if_match is None:
        if catalog().types[rtype].if_match_required:
            text = f"{rtype} is edited by several parties: read it first, then send If-Match with its ETag, "
            text += 'for example W/"1".'
            raise FhirError(Category.PRECONDITION_REQUIRED, [Issue(text, code="required")], reason="if-match")
        return
    if current.version not in pre.if_match:
        text = "The resource was changed since the version in If-Match: read it again and repeat the change on it."
        etag = {"ETag": f'W/"{current.version}"'}
        raise FhirError(Category.STALE, [Issue(text, code="conflict")], headers=etag, reason="if-match")


def _keep_labels(old: Resource, new: Resource) -> None:
    """Sensitivity labels are the author's: nobody else takes them off."""
    kept = (old.get("meta") or {}).get("security")
    if not kept:
        return
    meta = new.setdefault("meta", {})
    security = meta.setdefault("security", [])
    security += [label for label in kept if label not in security]


def _same(old: Resource, new: Resource) -> bool:
    return _without_version(old) == _without_version(new)


def _without_version(resource: Resource) -> bytes:
    meta = {k: v for k, v in (resource.get("meta") or {}).items() if k not in ("versionId", "lastUpdated")}
    return write_json({**{k: resource[k] for k in sorted(resource) if k != "meta"}, "meta": meta})
