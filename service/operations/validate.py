"""$validate: what an interaction would say, without doing it. https://hl7.org/fhir/R4/resource-operation-validate.html

With `mode` the interaction itself decides and what it decided is dropped, so that the two cannot come to differ.
"""

from collections.abc import Awaitable
from dataclasses import dataclass, replace
from typing import Any

from fhir_profiles.catalog import catalog
from fhir_profiles.json_text import write_json
from fhir_profiles.validate import validate as problems_of
from service.access.context import Context, parse
from service.access.roles import check_scope
from service.errors import Category, FhirError, Issue, not_found
from service.interactions.checks import check_references, check_structure
from service.interactions.create import create
from service.interactions.decision import Answer, Decision, Preconditions, fixed
from service.interactions.delete import delete
from service.interactions.read import gone
from service.interactions.update import update
from service.operations.parameters import Params, known, pairs, parts
from service.store import read as store_read
from service.store.change import Change
from service.store.read import Found

LETTERS = {"create": "c", "update": "u", "delete": "d", "profile": "c", "": "c"}
_NAMES = ("resource", "mode", "profile", "_format", "_pretty")
_PROFILE = (
    "The resource was checked against FHIR R4 and the rules of this service, not against the profile named: "
    "profiles are not held here yet."
)


@dataclass(frozen=True)
class Asked:
    """resource: None where none was sent. profile: whether one was named, as a parameter or by the resource's meta."""

    resource: Any
    mode: str = ""
    profile: bool = False


def read(params: Params, body: Any) -> Asked:
    """From the query and the body: a resource alone, or Parameters with it. Raises MALFORMED."""
    given = [part.get("resource") for part in parts(body) if part.get("name") == "resource"]
    alone = not isinstance(body, dict) or body.get("resourceType") != "Parameters"
    rest = [part for part in parts(body) if part.get("name") != "resource"]
    values, issues = known([*params, *pairs({"resourceType": "Parameters", "parameter": rest})], _NAMES)
    mode = values.get("mode", [""])[0]
    if mode not in LETTERS or values.get("mode") == [""]:
        issues.append(Issue("Parameter 'mode' takes one of create, update, delete, profile.", code="value"))
    if len(given) > 1:
        issues.append(Issue("Parameter 'resource' may stand once.", "Parameters.parameter", "value"))
    if issues:
        raise FhirError(Category.MALFORMED, issues)
    return Asked(body if alone else given[0] if given else None, mode, "profile" in values or mode == "profile")


async def validate(ctx: Context, rtype: str, fhir_id: str, asked: Asked) -> Decision:
    """200 with an OperationOutcome, whether the resource is valid or not. fhir_id: "" for the operation on the type.

    404 or 410 where the operation is on a resource that is not there: absent and foreign are the same.
    """
    stored = None
    check_scope(ctx.caller, LETTERS[asked.mode] if asked.resource is not None or asked.mode else "r", rtype)
    if fhir_id:
        stored = await _stored(ctx, rtype, fhir_id)
    issues = await _issues(ctx, rtype, stored, asked)
    if asked.profile:
        issues.append(Issue(_PROFILE, code="not-supported", severity="warning"))
    if not issues:
        issues = [Issue("No problems were found.", code="informational", severity="information")]
    outcome = {"resourceType": "OperationOutcome", "issue": [issue.to_fhir() for issue in issues]}
    audit = ctx.audit("E", "validate", stored.reference if stored else rtype, ctx.patients_of(stored) if stored else ())
    return Decision(Change(audit=[audit]), fixed(Answer(200, write_json(outcome))))


async def _stored(ctx: Context, rtype: str, fhir_id: str) -> Found:
    found = await store_read.head(ctx.store, rtype, fhir_id, ctx.restriction)
    if found is None:
        raise not_found(rtype, fhir_id)
    if found.deleted:
        raise gone(found)
    return found


async def _issues(ctx: Context, rtype: str, stored: Found | None, asked: Asked) -> list[Issue]:
    entry = catalog().types[rtype]
    if asked.mode in ("create", "update", "delete") and asked.mode not in entry.interactions:
        text = f"{rtype} is served without {asked.mode}: see /fhir/metadata."
        return [Issue(text, rtype, "not-supported")]
    if asked.mode == "delete":
        return await _deletion(ctx, rtype, stored, asked)
    resource = asked.resource
    if resource is None:
        if asked.mode or stored is None:
            return [Issue("Send the resource to check, alone or as the parameter 'resource'.", rtype, "required")]
        resource = parse(stored.body)
    if asked.mode == "create":
        refused = await _refused(create(ctx, rtype, resource, Preconditions()))
    elif asked.mode == "update":
        refused = await _update(ctx, rtype, stored, resource)
    else:
        refused = await _plain(ctx, rtype, stored, resource)
    if any(issue.severity in ("error", "fatal") for issue in refused):
        return refused
    warnings = [p for p in problems_of(resource, rtype) if p.severity not in ("error", "fatal")]
    return refused + [Issue(p.diagnostics, p.expression, p.code, p.severity) for p in warnings]


async def _plain(ctx: Context, rtype: str, stored: Found | None, resource: Any) -> list[Issue]:
    """Structure, bindings and references, whatever is to become of the resource."""
    try:
        former = parse(stored.body) if stored else None
        await check_references(ctx, check_structure(resource, rtype), former)
    except FhirError as refusal:
        return _of(refusal)
    return []


async def _update(ctx: Context, rtype: str, stored: Found | None, resource: Any) -> list[Issue]:
    """On a type the resource's own id says which one is meant. If-Match is taken as sent with the current version."""
    fhir_id = stored.fhir_id if stored else resource.get("id") if isinstance(resource, dict) else None
    if not isinstance(fhir_id, str) or not fhir_id:
        return [Issue("mode=update needs the id of the resource that is to change.", f"{rtype}.id", "required")]
    current = stored or await store_read.head(ctx.store, rtype, fhir_id, ctx.restriction)
    return await _refused(update(ctx, rtype, fhir_id, resource, _current(current)))


async def _deletion(ctx: Context, rtype: str, stored: Found | None, asked: Asked) -> list[Issue]:
    fhir_id = stored.fhir_id if stored else asked.resource.get("id") if isinstance(asked.resource, dict) else None
    if not isinstance(fhir_id, str) or not fhir_id:
        text = "mode=delete is asked of a resource: POST [type]/[id]/$validate?mode=delete."
        return [Issue(text, f"{rtype}.id", "required")]
    current = stored or await store_read.head(ctx.store, rtype, fhir_id, ctx.restriction)
    return await _refused(delete(ctx, rtype, fhir_id, _current(current)))


def _current(found: Found | None) -> Preconditions:
    return Preconditions(if_match=(found.version,)) if found and not found.deleted else Preconditions()


async def _refused(decision: Awaitable[Decision]) -> list[Issue]:
    """The issues with which the interaction refuses. What it decided is not committed."""
    try:
        await decision
    except FhirError as refusal:
        return _of(refusal)
    return []


def _of(refusal: FhirError) -> list[Issue]:
    return [replace(issue, code=issue.code or refusal.category.code) for issue in refusal.issues]
