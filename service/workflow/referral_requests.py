"""Closed-loop referrals: what may be written of a ServiceRequest. It is its requester's, in every status.

Source: ../shared/facts/closed-loop.md 1.3 (ServiceRequest.status vs Task.status), ../shared/decisions.md 22. What its
Tasks make of it, and it of them: referral_coupling.py.
"""

from collections.abc import Collection

from service.access.context import Context
from service.errors import Category, FhirError, Issue
from service.search.references import normal_reference
from service.store import epochs, tasks
from service.workflow.calaim_tasks import stored
from service.workflow.parties import acts_for, reference_of
from service.workflow.referral_law import ENDS_ALONE, OPEN, REQUEST_TRANSITIONS
from service.workflow.referrals import focus_of
from service.workflow.steps import Step

_STAYS = ("subject", "requester", "intent")
_STOPPED = ("on-hold", "revoked", "entered-in-error")


def _rule(text: str, expression: str) -> Issue:
    return Issue(text, expression, "business-rule")


async def check_request(step: Step) -> None:
    """The requester writes its own requests, draft or active."""
    request, ctx = step.new, step.ctx
    if ctx.restriction.unrestricted:
        return
    if request.get("status") not in ("draft", "active"):
        issue = _rule("A ServiceRequest starts with status draft or active.", "ServiceRequest.status")
        raise FhirError(Category.RULE, [issue], reason="request")
    requester = reference_of(request, "requester")
    if not requester or not await acts_for(ctx, requester):
        raise FhirError(
            Category.FORBIDDEN,
            [Issue("requester must be your organization, or a PractitionerRole of it.", "ServiceRequest.requester")],
            reason="party",
        )


async def check_request_update(step: Step) -> None:
    """It is completed, or an error, only when no Task about it is open; revoked or on hold it takes them along."""
    old, new = step.old or {}, step.new
    status_old, status_new = str(old.get("status")), str(new.get("status"))
    issues = [
        _rule(
            f"{element} of a ServiceRequest cannot be changed: revoke it and create a new one.",
            f"ServiceRequest.{element}",
        )
        for element in _STAYS
        if old.get(element) != new.get(element)
    ]
    if status_old != status_new:
        if (status_old, status_new) not in REQUEST_TRANSITIONS:
            allowed = ", ".join(sorted(n for o, n in REQUEST_TRANSITIONS if o == status_old)) or "nothing"
            text = f"A ServiceRequest goes from {status_old} to {allowed}, not to {status_new}."
            issues.append(_rule(text, "ServiceRequest.status"))
        elif status_new in ENDS_ALONE and await _open_ones(step):
            text = "A referral of this request is still open: wait for its outcome, or cancel its Task first."
            issues.append(_rule(text, "ServiceRequest.status"))
        elif (status_old, status_new) == ("on-hold", "active") and await _served_waits(step):
            text = "The ServiceRequest that this one is basedOn is on hold or over: its requester lets it go on."
            issues.append(_rule(text, "ServiceRequest.status"))
    if issues:
        raise FhirError(Category.RULE, issues, reason="request")


async def _served_waits(step: Step) -> bool:
    """Who coordinates does not go on with what the member's requester stopped."""
    if step.ctx.restriction.unrestricted:
        return False
    based = [one for one in step.new.get("basedOn") or () if isinstance(one, dict)]
    names = [normal_reference(str(one.get("reference", "")), step.ctx.settings.base_url) or "" for one in based]
    found = [await stored(step.ctx, one) for one in names if one.startswith("ServiceRequest/")]
    return any(one is not None and one.get("status") in _STOPPED for one in found)


async def _open_ones(step: Step) -> bool:
    """The Change relies on what is found: neither is a Task opened meanwhile, nor does one of these move."""
    reference, store = f"ServiceRequest/{step.new['id']}", step.ctx.store
    subject = tasks.subject(store, reference)
    step.change.epochs[subject] = await epochs.epoch(store, subject)  # before looking: one opened meanwhile
    stored = await tasks.about(store, reference, OPEN)
    step.change.relied |= stored
    return _open_after(step.ctx, reference, stored)


def _open_after(ctx: Context, reference: str, stored: Collection[str]) -> bool:
    """Whether a Task about the request is open when all of this transaction is done: stored ones, or of its own."""
    own = (one.resource for name, one in ctx.pending.items() if name.startswith("Task/") and one.resource)
    return any(name not in ctx.pending for name in stored) or any(
        task.get("status") in OPEN and focus_of(task, ctx) == reference for task in own
    )
