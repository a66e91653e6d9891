"""Task/[id]/$forward: the owner of a referral hands it on, to one or several, under a ServiceRequest of its own.

Our own operation: https://enlace.example.org/fhir/OperationDefinition/task-forward. Source: SDOHCC 3.0.0 refer-1 and
refer-2, ../shared/facts/closed-loop.md 1.1. One Change for all, each resource checked as a POST of it would be. What
comes of the parts is mirrored to the Task (service/workflow/chain_mirror.py).
"""

import json
from collections.abc import Sequence
from typing import Any

from fhir_profiles import Resource
from fhir_profiles.json_text import write_json
from service.access import tripwire
from service.access.context import Context, Pending, parse
from service.access.roles import check_scope, check_write
from service.clock import instant
from service.errors import Category, FhirError, Issue, not_found
from service.interactions.create import made
from service.interactions.decision import Answer, Decision
from service.operations.forward_asked import EACH, Asked, target_of
from service.search.references import normal_reference
from service.store import epochs, read
from service.store import referral_chains as rows
from service.store.change import ABSENT, Change, Committed, Write
from service.store.read import Found
from service.workflow import chain_sight
from service.workflow.chain_copies import Target, labelled, request_of, task_of
from service.workflow.chain_mirror import read_chain
from service.workflow.chain_states import Piece
from service.workflow.parties import acts_for, reference_of
from service.workflow.referral_law import OPEN
from service.workflow.referrals import focus_of, is_referral, organization_of

_NOT_OWNER = "Only the organization that a referral was sent to forwards it."
_NO_REFERRAL = "Only a referral is forwarded: a Task with a ServiceRequest in focus."
_HIDDEN = (
    "The referral is not forwarded: the member's Consents do not let {name} see what it would hold. Ask the member, or "
    "forward it to another."
)
_BUSY = "{name} has this already, by a part of the referral that is open: wait for its outcome, or cancel it."
_WHICH = (
    "Several pieces of this referral wait for somebody: say by the parameter request which ServiceRequest this is for."
)
_NO_PIECE = "request names a ServiceRequest that this referral was forwarded with before, which is still active."


def check_caller(ctx: Context) -> None:
    """403 before anything is looked at."""
    for letter, rtype in (("r", "Task"), ("c", "Task"), ("c", "ServiceRequest")):
        check_scope(ctx.caller, letter, rtype)
    for rtype in ("Task", "ServiceRequest"):
        check_write(ctx.caller, rtype)


async def forward(ctx: Context, fhir_id: str, asked: Asked) -> Decision:
    """201 with Parameters: each ServiceRequest and Task that was made, and warnings as an OperationOutcome."""
    check_caller(ctx)
    change = Change()
    subject = rows.subject(ctx.store, f"Task/{fhir_id}")
    change.epochs[subject] = await epochs.epoch(ctx.store, subject)  # of two at once the second sees the first's
    found = await read.head(ctx.store, "Task", fhir_id, ctx.restriction)
    if found is None or found.deleted:
        raise not_found("Task", fhir_id)
    await tripwire.check_found(ctx, (found,))
    parent = parse(found.body)
    source = await _check_parent(ctx, parent)
    change.relied |= {found.reference: found.version, source.reference: source.version}
    targets, warnings = await _targets(ctx, asked)
    piece = await _piece(ctx, found.reference, asked, targets)
    patient = normal_reference(reference_of(parent, "for"), ctx.settings.base_url) or ""
    pending, known = dict(ctx.pending), dict(ctx.known)
    ctx.known[patient] = True  # who owns the Task has the member for it, whoever's panel the member is in
    try:
        writes = await _made(ctx, change, (found, parent), source, targets, asked, piece)
    finally:
        ctx.pending, ctx.known = pending, known
    for target in targets:
        who = await chain_sight.asker(ctx, target.organization)
        if not await chain_sight.may_see(ctx, who, patient, _for(writes, target)):
            issue = Issue(_HIDDEN.format(name=asked.named(target)), "Parameters.parameter", "suppressed")
            raise FhirError(Category.FORBIDDEN, [issue], reason="consent")
    change.audit.append(ctx.audit("E", "forward", found.reference, (patient,) if patient else (), shown=(source,)))
    names = [one.reference for one in writes]
    return Decision(change, lambda committed: Answer(201, _answer(committed, names, warnings)))


async def _check_parent(ctx: Context, parent: Resource) -> Found:
    """The ServiceRequest that was sent, as the caller sees it."""
    if not is_referral(parent, ctx):
        raise FhirError(Category.RULE, [Issue(_NO_REFERRAL, "Task.focus", "business-rule")], reason="forward")
    if not await acts_for(ctx, reference_of(parent, "owner")):
        raise FhirError(Category.FORBIDDEN, [Issue(_NOT_OWNER, "Task.owner", "forbidden")], reason="party")
    if parent.get("status") not in OPEN:
        text = f"The referral is {parent.get('status')}: only one that is open is forwarded."
        raise FhirError(Category.RULE, [Issue(text, "Task.status", "business-rule")], reason="forward")
    source = await ctx.head(focus_of(parent, ctx))
    if source is None:
        text = "The ServiceRequest of this referral is not to be seen: a Consent may stand in the way."
        raise FhirError(Category.RULE, [Issue(text, "Task.focus", "suppressed")], reason="forward")
    await tripwire.check_found(ctx, (source,))
    if parse(source.body).get("status") != "active":
        text = "The ServiceRequest of this referral is not active: its requester decides whether it goes on."
        raise FhirError(Category.RULE, [Issue(text, "Task.focus", "business-rule")], reason="forward")
    return source


async def _targets(ctx: Context, asked: Asked) -> tuple[list[Target], list[Issue]]:
    targets: list[Target] = []
    issues: list[Issue] = []
    warnings: list[Issue] = []
    for name, reference in asked.numbered():
        target, wrong, told = await target_of(ctx, name, reference)
        if target is not None and target.organization == ctx.caller.organization:
            wrong = [Issue(f"{name} is your own organization: do the work as the owner of this Task.", code="value")]
        if target is not None and target.organization in {one.organization for one in targets}:
            wrong = [Issue(f"{name} is an organization that another target names already.", code="duplicate")]
        issues += wrong
        warnings += told
        if target is not None:
            targets.append(target)
    if issues:
        raise FhirError(Category.RULE, issues, reason="forward")
    return targets, warnings


async def _piece(ctx: Context, reference: str, asked: Asked, targets: Sequence[Target]) -> Resource | None:
    """The ServiceRequest to go on with, where a piece of the referral waits for somebody; None: new ones are made."""
    chain = await read_chain(ctx, reference)
    found: list[Piece] = chain.found if chain is not None else []
    requests = chain.requests if chain is not None else {}
    stuck = [one.request for one in found if one.stuck and requests.get(one.request, {}).get("status") == "active"]
    again = None
    if asked.request:
        again = next((one.request for one in found if one.request == asked.request and not one.done), None)
        if again is None or requests.get(again, {}).get("status") != "active":
            raise FhirError(Category.RULE, [Issue(_NO_PIECE, "Parameters.parameter", "value")], reason="forward")
    elif len(stuck) > 1:
        raise FhirError(Category.RULE, [Issue(_WHICH, "Parameters.parameter", "required")], reason="forward")
    elif stuck and not asked.wanted.code:
        again = stuck[0]
    open_ = [(child, one.request) for one in found for child in one.open]
    holders: dict[str, list[str]] = {}
    for child, request in open_:
        owner = chain.below[child.id].task if chain is not None else {}
        holders.setdefault(await organization_of(ctx, reference_of(owner, "owner")), []).append(request)
    issues = [
        Issue(_BUSY.format(name=asked.named(target)), "Parameters.parameter", "duplicate")
        for target in targets
        if any(_same(requests.get(one), asked.wanted.code) for one in holders.get(target.organization, ()))
    ]
    if issues:
        raise FhirError(Category.RULE, issues, reason="forward")
    return requests[again] if again is not None else None


def _same(request: Resource | None, code: Resource) -> bool:
    """Whether what is asked for is what the target has already: a request with another code is other work."""
    return not code or (request or {}).get("code") == code


async def _made(
    ctx: Context,
    change: Change,
    whole: tuple[Found, Resource],
    source: Found,
    targets: Sequence[Target],
    asked: Asked,
    piece: Resource | None,
) -> list[Write]:
    """The ServiceRequests, then the Tasks, as the Change will write them."""
    (found, parent), now = whole, instant(ctx.now_us)
    coordinator: Resource = {"reference": ctx.caller.organization}
    wanted, body = asked.wanted, parse(source.body)
    groups = [[one] for one in targets] if asked.policy == EACH and piece is None else [list(targets)]
    patient = normal_reference(reference_of(parent, "for"), ctx.settings.base_url) or ""
    made_ones: list[str] = []
    for group in groups:
        request = piece
        if request is None:
            whom = [await chain_sight.asker(ctx, one.organization) for one in group]
            passed = await chain_sight.passed(ctx, whom, body, patient)
            new = request_of(body, ctx.new_id(), coordinator, group, wanted, passed, now)
            request = labelled(new, body, source.labels)
            made_ones.append(await _add(ctx, change, request))
        for target in group:
            task = task_of(parent, request, ctx.new_id(), coordinator, target, wanted, now)
            bits = found.labels | source.labels
            made_ones.append(await _add(ctx, change, labelled(task, parent, bits)))
    return [one for name in made_ones for one in change.writes if one.reference == name]


async def _add(ctx: Context, change: Change, body: Resource) -> str:
    reference = f"{body['resourceType']}/{body['id']}"
    await made(ctx, body["resourceType"], body, change)
    ctx.pending[reference] = Pending(body, ABSENT)
    return reference


def _for(writes: Sequence[Write], target: Target) -> list[Write]:
    """What of it this target sees: its own Task and the request that this is about."""
    tasks = [one for one in writes if one.rtype == "Task" and one.resource is not None]
    own = [one for one in tasks if reference_of(one.resource or {}, "owner") == target.organization]
    about = {reference_of(one.resource or {}, "focus") for one in own}
    return [*own, *(one for one in writes if one.reference in about)]


def _answer(committed: Committed, names: Sequence[str], warnings: Sequence[Issue]) -> bytes:
    words = {"ServiceRequest": "request", "Task": "task"}
    written = {one.reference: one.body for one in committed.written}
    listed: list[dict[str, Any]] = [
        {"name": words[name.partition("/")[0]], "resource": json.loads(written[name] or b"{}")} for name in names
    ]
    if warnings:
        told = [{"severity": "warning", "code": one.code, "diagnostics": one.diagnostics} for one in warnings]
        listed.append({"name": "outcome", "resource": {"resourceType": "OperationOutcome", "issue": told}})
    return write_json({"resourceType": "Parameters", "parameter": listed})
