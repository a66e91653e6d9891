"""create, plain and conditional: https://hl7.org/fhir/R4/http.html#create and #ccreate"""

from typing import Any

from fhir_profiles import Resource
from service.access.context import Context
from service.access.directory import check_entry
from service.access.roles import check_scope, check_write
from service.errors import Category, FhirError, Issue
from service.interactions.checks import check_patient, check_references, check_structure
from service.interactions.decision import Answer, Decision, Preconditions, fixed, of_write
from service.search.query import parse
from service.search.values import patient_of
from service.store.change import ABSENT, Change
from service.store.epochs import epoch
from service.store.find import search as find
from service.store.read import Found
from service.workflow.steps import Step, run_after, run_before

QUESTIONS = 65_536
"""Conditional creates of one question exclude each other by a counter; so many counters, so that they never grow."""


async def create(ctx: Context, rtype: str, body: Any, pre: Preconditions) -> Decision:
    """201 with the stored resource; 200 with the existing one where If-None-Exist matches it; 412 where several do."""
    check_scope(ctx.caller, "c", rtype)
    check_write(ctx.caller, rtype)
    change = Change()
    if pre.if_none_exist is not None:
        # The counter is read before the search: whoever answers the same question meanwhile makes this Change stale.
        question = _question(ctx, rtype, pre.if_none_exist)
        change.epochs[question] = await epoch(ctx.store, question)
        change.bump_epochs.add(question)
        existing = await _matches(ctx, rtype, pre.if_none_exist)
        if existing:
            return _existing(ctx, existing)
    resource = check_structure(_with_id(body, rtype, ctx.new_id()), rtype)
    check_entry(ctx.caller, resource)
    await check_references(ctx, resource, None)
    await check_patient(ctx, resource, None)
    return await written(ctx, resource, change)


async def written(ctx: Context, resource: Resource, change: Change) -> Decision:
    """The Change of a checked new resource: its workflow steps, its version, its audit row."""
    rtype = resource["resourceType"]
    step = Step(ctx, "create", resource, None, change)
    await run_before(step)
    write = ctx.write(step.new, ABSENT)
    change.writes.append(write)
    await run_after(step)
    patient = patient_of(step.new, rtype)
    change.audit.append(ctx.audit("C", "create", write.reference, (patient,) if patient else ()))
    return Decision(change, of_write(201))


def _with_id(body: Any, rtype: str, fhir_id: str) -> Any:
    """The server assigns the id: one that the client sent is replaced (http.html#create)."""
    if not isinstance(body, dict):
        return body
    rest = {name: value for name, value in body.items() if name not in ("resourceType", "id")}
    return {"resourceType": body.get("resourceType"), "id": fhir_id, **rest}


async def _matches(ctx: Context, rtype: str, query: tuple[tuple[str, str], ...]) -> list[Found]:
    """Up to two visible resources that fit the If-None-Exist query; 412 if none of it can be searched."""
    check_scope(ctx.caller, "s", rtype)
    keys, base = ctx.store.keys, ctx.settings.base_url
    criteria = parse(rtype, [*query, ("_count", "2")], keys, strict=True, now_us=ctx.now_us, base_url=base)
    if not criteria.clauses:
        text = "If-None-Exist must hold at least one search parameter, such as identifier=system|value."
        raise FhirError(Category.STALE, text, reason="if-none-exist")
    page = await find(ctx.store, criteria, ctx.restriction, include_restriction=ctx.restriction)
    return page.matches


def _existing(ctx: Context, existing: list[Found]) -> Decision:
    if len(existing) > 1:
        text = "If-None-Exist matches more than one resource: make the query select at most one."
        raise FhirError(Category.STALE, [Issue(text, code="multiple-matches")], reason="if-none-exist")
    found = existing[0]
    audit = ctx.audit("R", "create-existing", found.reference, ctx.patients_of(found))
    answer = Answer(200, found.body, found.version, found.vid, found.reference)
    return Decision(Change(audit=[audit]), fixed(answer))


def _question(ctx: Context, rtype: str, query: tuple[tuple[str, str], ...]) -> int:
    parts = sorted(f"{name}={value}" for name, value in query)
    return ctx.store.keys.of("if-none-exist", ctx.caller.organization, rtype, *parts) % QUESTIONS
