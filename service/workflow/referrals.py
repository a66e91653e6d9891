"""Closed-loop referrals: which status may follow which, set by whom, and what must be present.

Source: SDOHCC 3.0.0 referral state machine, ../shared/facts/closed-loop.md 1.3; ../shared/decisions.md 22. The
ServiceRequest belongs to the requester; its Task is moved by both parties, each in its own steps.
"""

from collections.abc import Collection
from typing import NamedTuple

from fhir_profiles import Resource
from service.access.context import Context
from service.errors import Category, FhirError, Issue
from service.search.references import normal_reference
from service.store import epochs, tasks
from service.workflow.parties import acts_for, reference_of
from service.workflow.steps import Step

SOURCE = "http://hl7.org/fhir/us/sdoh-clinicalcare"

REQUESTER, TARGET, EITHER = frozenset({"requester"}), frozenset({"target"}), frozenset({"requester", "target"})


class Transition(NamedTuple):
    """needs: "reason" (statusReason.text), "output" (what was done)."""

    old: str
    new: str
    who: frozenset[str]
    needs: tuple[str, ...] = ()


TRANSITIONS = (
    Transition("draft", "requested", REQUESTER),
    Transition("requested", "accepted", TARGET),
    Transition("requested", "rejected", TARGET, ("reason",)),
    Transition("requested", "cancelled", EITHER, ("reason",)),
    Transition("accepted", "in-progress", TARGET),
    Transition("accepted", "on-hold", TARGET, ("reason",)),
    Transition("accepted", "completed", TARGET, ("output",)),
    Transition("accepted", "failed", TARGET, ("reason",)),
    Transition("accepted", "cancelled", EITHER, ("reason",)),
    Transition("in-progress", "completed", TARGET, ("output",)),
    Transition("in-progress", "failed", TARGET, ("reason",)),
    Transition("in-progress", "on-hold", TARGET, ("reason",)),
    Transition("in-progress", "cancelled", EITHER, ("reason",)),
    Transition("on-hold", "in-progress", TARGET),
    Transition("on-hold", "completed", TARGET, ("output",)),
    Transition("on-hold", "failed", TARGET, ("reason",)),
    Transition("on-hold", "cancelled", EITHER, ("reason",)),
    *(
        Transition(status, "entered-in-error", REQUESTER)
        for status in (
            "draft",
            "requested",
            "accepted",
            "rejected",
            "cancelled",
            "in-progress",
            "on-hold",
            "failed",
            "completed",
        )
    ),
)
_ALLOWED = {(row.old, row.new): row for row in TRANSITIONS}
FIRST = ("draft", "requested")
OPEN = ("requested", "accepted", "in-progress", "on-hold")
TERMINAL = ("rejected", "cancelled", "failed", "completed", "entered-in-error")

REQUEST_TRANSITIONS = frozenset(
    {
        ("draft", "active"),
        ("draft", "revoked"),
        ("active", "on-hold"),
        ("active", "revoked"),
        ("active", "completed"),
        ("on-hold", "active"),
        ("on-hold", "revoked"),
        *((status, "entered-in-error") for status in ("draft", "active", "on-hold", "revoked", "completed")),
    }
)
FIXED = ("for", "focus", "requester", "intent", "authoredOn", "code")
"""Elements of a referral Task that never change: a different referral is a new Task."""


def _focus(task: Resource, ctx: Context) -> str:
    """The relative reference in focus, however it is written: absolute, or of a version."""
    return normal_reference(reference_of(task, "focus"), ctx.settings.base_url) or ""


def is_referral(task: Resource, ctx: Context) -> bool:
    return _focus(task, ctx).startswith("ServiceRequest/")


def _refuse(issues: list[Issue], reason: str) -> None:
    if issues:
        raise FhirError(Category.RULE, issues, reason=reason)


def _rule(text: str, expression: str, code: str = "business-rule") -> Issue:
    return Issue(text, expression, code)


# --- Task ----------------------------------------------------------------------------------------------------------


async def check_new_task(step: Step) -> None:
    """A new referral Task starts at draft or requested, from its requester, about an active ServiceRequest."""
    task, ctx = step.new, step.ctx
    if not is_referral(task, ctx):
        await _check_requester(step, None)
        return
    issues = [
        _rule(f"A referral Task needs {element}: {why}.", f"Task.{element}", "required")
        for element, why in (
            ("for", "the member"),
            ("requester", "who refers"),
            ("authoredOn", "when it was referred"),
        )
        if not task.get(element)
    ]
    if task.get("status") not in FIRST and not ctx.restriction.unrestricted:
        issues.append(_rule("A referral starts with status draft or requested.", "Task.status"))
    if task.get("intent") != "order":
        issues.append(_rule("A referral Task has the intent order.", "Task.intent"))
    issues += _needs(task, ())
    issues += await _focus_issues(step)
    _refuse(issues, "referral")
    await _check_requester(step, None)


async def _check_requester(step: Step, old: Resource | None) -> None:
    """Only for itself does one ask others: a Task gives its owner a view of the member. Without requester: the author.

    The requester of a Task that is there stays.
    """
    requester = reference_of(step.new, "requester")
    if step.ctx.restriction.unrestricted or not requester or requester == reference_of(old or {}, "requester"):
        return
    if await acts_for(step.ctx, requester):
        return
    text = "Only the requester itself opens a Task: requester must be your organization, a PractitionerRole of it, or "
    text += "be left out."
    raise FhirError(Category.FORBIDDEN, [Issue(text, "Task.requester", "forbidden")], reason="party")


async def _focus_issues(step: Step) -> list[Issue]:
    """What is wrong with the ServiceRequest in focus; the Change relies on it, and tells those who close it."""
    task, ctx = step.new, step.ctx
    focus = _focus(task, ctx)
    found = await ctx.resource(focus)
    if found is None:
        return []
    request, version = found
    step.change.relied[focus] = version
    step.change.bump_epochs.add(tasks.subject(ctx.store, focus))
    issues = []
    if request.get("status") not in ("active", "completed" if ctx.restriction.unrestricted else "active"):
        issues.append(_rule("The ServiceRequest in focus must be active before it is referred.", "Task.focus"))
    if _member(request, "subject", ctx) != _member(task, "for", ctx):
        issues.append(_rule("The member must be the subject of the ServiceRequest in focus.", "Task.for"))
    return issues


def _member(resource: Resource, element: str, ctx: Context) -> str | None:
    return normal_reference(reference_of(resource, element), ctx.settings.base_url)


async def check_transition(step: Step) -> None:
    """422 for a step that is not in TRANSITIONS or lacks what it needs, 403 for the wrong party."""
    task, old = step.new, step.old
    if old is None or not (is_referral(old, step.ctx) or is_referral(task, step.ctx)):
        await _check_other_task(step)
        return
    parties = await _parties(step, old)
    issues = [
        _rule(f"{element} of a referral cannot be changed: cancel it and open a new one.", f"Task.{element}")
        for element in FIXED
        if old.get(element) != task.get(element)
    ]
    status_old, status_new = str(old.get("status")), str(task.get("status"))
    issues += _owner_issues(step, old, task)
    if status_old == status_new:
        _check_party(parties, EITHER, status_new)
        changed = {name for name in {*old, *task} - {"meta"} if old.get(name) != task.get(name)}
        if status_old in TERMINAL and changed:
            text = f"A referral that is {status_old} is closed and stays as it is: write a Communication about it."
            issues.append(_rule(text, "Task.status"))
        _refuse([*issues, *_needs(task, ())], "referral")
        return
    row = _ALLOWED.get((status_old, status_new))
    if row is None:
        allowed = ", ".join(t.new for t in TRANSITIONS if t.old == status_old) or "nothing"
        text = f"A referral goes from {status_old} to {allowed}, not to {status_new}."
        _refuse([*issues, _rule(text, "Task.status")], "transition")
        return
    _check_party(parties, row.who, status_new)
    if status_old == "draft" and status_new in OPEN:
        issues += await _focus_issues(step)
    _refuse([*issues, *_needs(task, row.needs)], "transition")


async def _parties(step: Step, task: Resource) -> frozenset[str]:
    """Which sides of this referral the caller stands on. An open request is claimed by any possible target."""
    if step.ctx.restriction.unrestricted:
        return EITHER
    sides = set()
    if await acts_for(step.ctx, reference_of(task, "requester")):
        sides.add("requester")
    owner = reference_of(task, "owner")
    claims = not owner and reference_of(step.new, "owner") == step.ctx.caller.organization
    if claims or (owner and await acts_for(step.ctx, owner)):
        sides.add("target")
    return frozenset(sides)


def _check_party(parties: frozenset[str], who: frozenset[str], status: str) -> None:
    if parties & who:
        return
    side = "the organization that the referral was sent to" if who == TARGET else "the requester"
    side = "a party to the referral" if who == EITHER else side
    raise FhirError(
        Category.FORBIDDEN, [Issue(f"Only {side} sets a referral to {status}.", "Task.status")], reason="party"
    )


def _owner_issues(step: Step, old: Resource, new: Resource) -> list[Issue]:
    if old.get("owner") == new.get("owner"):
        return []
    if not old.get("owner") and new.get("status") == "accepted":
        return []
    text = "The owner of a referral cannot be changed: cancel it and refer to the other organization."
    return [_rule(text, "Task.owner")]


def _needs(task: Resource, needs: tuple[str, ...]) -> list[Issue]:
    issues = []
    reason = task.get("statusReason") or {}
    if ("reason" in needs or reason) and not reason.get("text"):
        status = task.get("status")
        issues.append(
            _rule(
                f"Say why: statusReason.text is required when status is {status}.", "Task.statusReason.text", "required"
            )
        )
    if "output" in needs and not task.get("output"):
        text = "A completed referral says what was done: add output, such as a reference to the Procedure."
        issues.append(_rule(text, "Task.output", "required"))
    return issues


async def _check_other_task(step: Step) -> None:
    """Tasks that are no referral (follow-ups): by owner or requester, and out of a terminal status only as an error."""
    old = step.old or {}
    status_old, status_new = old.get("status"), step.new.get("status")
    if status_old in TERMINAL and status_new not in (status_old, "entered-in-error"):
        _refuse([_rule(f"A Task that is {status_old} stays so.", "Task.status")], "transition")
    await _check_requester(step, old)
    requester, owner = reference_of(old, "requester"), reference_of(old, "owner")
    if requester and owner and owner != reference_of(step.new, "owner") and not await acts_for(step.ctx, requester):
        text = "Only the requester hands a Task to another owner: it gives the member to somebody."
        raise FhirError(Category.FORBIDDEN, [Issue(text, "Task.owner", "forbidden")], reason="party")
    for element in ("owner", "requester"):
        if await acts_for(step.ctx, reference_of(old, element)):
            return
    raise FhirError(
        Category.FORBIDDEN, [Issue("Only the owner or the requester changes a Task.", "Task.owner")], reason="party"
    )


async def check_task_deletion(step: Step) -> None:
    """A referral that was sent is history: it is cancelled or marked as an error, never deleted."""
    if is_referral(step.new, step.ctx) and step.new.get("status") != "draft":
        _refuse(
            [_rule("A referral that was sent is not deleted: set it to cancelled or entered-in-error.", "Task.status")],
            "deletion",
        )


# --- ServiceRequest ------------------------------------------------------------------------------------------------


async def check_request(step: Step) -> None:
    """The requester writes its own requests, draft or active."""
    request, ctx = step.new, step.ctx
    if ctx.restriction.unrestricted:
        return
    if request.get("status") not in ("draft", "active"):
        _refuse([_rule("A ServiceRequest starts with status draft or active.", "ServiceRequest.status")], "request")
    requester = reference_of(request, "requester")
    if not requester or not await acts_for(ctx, requester):
        raise FhirError(
            Category.FORBIDDEN,
            [Issue("requester must be your organization, or a PractitionerRole of it.", "ServiceRequest.requester")],
            reason="party",
        )


async def check_request_update(step: Step) -> None:
    """The requester alone moves it; it ends only when no Task about it is open."""
    old, new = step.old or {}, step.new
    status_old, status_new = str(old.get("status")), str(new.get("status"))
    issues = [
        _rule(
            f"{element} of a ServiceRequest cannot be changed: revoke it and create a new one.",
            f"ServiceRequest.{element}",
        )
        for element in ("subject", "requester", "intent")
        if old.get(element) != new.get(element)
    ]
    if status_old != status_new:
        if (status_old, status_new) not in REQUEST_TRANSITIONS:
            allowed = ", ".join(sorted(n for o, n in REQUEST_TRANSITIONS if o == status_old)) or "nothing"
            text = f"A ServiceRequest goes from {status_old} to {allowed}, not to {status_new}."
            issues.append(_rule(text, "ServiceRequest.status"))
        elif status_new in ("completed", "revoked", "entered-in-error"):
            reference, store = f"ServiceRequest/{new['id']}", step.ctx.store
            subject = tasks.subject(store, reference)
            step.change.epochs[subject] = await epochs.epoch(store, subject)  # before looking: one opened meanwhile
            open_tasks = await tasks.about(store, reference, OPEN)
            step.change.relied |= open_tasks
            if _open_after(step.ctx, reference, open_tasks):
                text = "A referral of this request is still open: wait for its outcome, or cancel its Task first."
                issues.append(_rule(text, "ServiceRequest.status"))
    _refuse(issues, "request")


def _open_after(ctx: Context, reference: str, stored: Collection[str]) -> bool:
    """Whether a Task about the request is open when all of this transaction is done: stored ones, or of its own."""
    own = (one.resource for name, one in ctx.pending.items() if name.startswith("Task/") and one.resource)
    return any(name not in ctx.pending for name in stored) or any(
        task.get("status") in OPEN and _focus(task, ctx) == reference for task in own
    )
