"""Closed-loop referrals: what may be written of a Task, on every path (REST, Bundle, patch, page, link, job).

The tables: referral_law.py. Source: SDOHCC 3.0.0, ../shared/facts/closed-loop.md 1.2-1.4; ../shared/decisions.md 22.
The ServiceRequest belongs to the requester; its Task is moved by both parties, each in its own steps.
"""

from fhir_profiles import Resource
from service.access.context import Context, parse
from service.errors import Category, FhirError, Issue
from service.search.references import normal_reference
from service.search.restriction import EVERYTHING
from service.store import read, tasks
from service.workflow import patient_tasks, referral_business, referral_candidates
from service.workflow.parties import acts_for, organization_of, reference_of
from service.workflow.referral_law import (
    ALLOWED,
    BEGUN,
    BELONGS,
    EITHER,
    FIRST,
    FIXED,
    FOLD,
    OPEN,
    RECEIVED,
    REQUESTER,
    SOURCE,
    TARGET,
    TERMINAL,
    TRANSITIONS,
)
from service.workflow.steps import Step

__all__ = [
    "EITHER", "FIRST", "FIXED", "OPEN", "REQUESTER", "SOURCE", "TARGET", "TERMINAL", "TRANSITIONS", "organization_of"
]  # fmt: skip

_NOT_YOURS = (
    "Only the requester of a ServiceRequest refers it: forward the Task that you own ($forward), or create a "
    "ServiceRequest of your own, basedOn this one."
)
_FOLDED = (
    "A referral goes from requested to accepted, then to in-progress. Software that skips the first step is let do so "
    "by the extension enlace-referral-fold on its Organization: then both are written."
)


def focus_of(task: Resource, ctx: Context) -> str:
    """The relative reference in focus, however it is written: absolute, or of a version."""
    return normal_reference(reference_of(task, "focus"), ctx.settings.base_url) or ""


def is_referral(task: Resource, ctx: Context) -> bool:
    return focus_of(task, ctx).startswith("ServiceRequest/")


def _refuse(issues: list[Issue], reason: str) -> None:
    if issues:
        raise FhirError(Category.RULE, issues, reason=reason)


def _rule(text: str, expression: str, code: str = "business-rule") -> Issue:
    return Issue(text, expression, code)


# --- a new Task ----------------------------------------------------------------------------------------------------


async def check_new_task(step: Step) -> None:
    """A new referral Task starts at draft or requested, from its requester, about an active ServiceRequest of its."""
    ctx = step.ctx
    if not is_referral(step.new, ctx):
        if patient_tasks.is_one(step.new):
            await patient_tasks.check_new(step)
        await _check_requester(step, None)
        return
    _received(step, "")
    await referral_candidates.owned(step)
    issues = await _offer(step, None)
    task = step.new
    issues += [
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
    issues += referral_business.issues(None, task, EITHER if ctx.restriction.unrestricted else REQUESTER)
    issues += await _focus_issues(step)
    _refuse(issues, "referral")
    await _check_requester(step, None)
    await _check_own_request(step)


async def _offer(step: Step, old: Resource | None) -> list[Issue]:
    """Candidates of a Task without owner, where they are new."""
    offered = step.new.get("restriction")
    if step.new.get("owner") or not offered or (old is not None and old.get("restriction") == offered):
        return []
    step.new, issues = await referral_candidates.completed(step.ctx, step.new)
    return issues + await referral_candidates.naming(step.ctx, step.new, focus_of(step.new, step.ctx))


def _received(step: Step, old: str) -> None:
    """`received` and `ready`, which other profiles send, are never stored: what they say of receipt is noted."""
    status = str(step.new.get("status"))
    stored = RECEIVED.get((old, status))
    if stored is not None:
        noted = step.new.get("businessStatus") or {"text": status.capitalize()}
        step.new = {**step.new, "status": stored, "businessStatus": noted}


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


async def _check_own_request(step: Step) -> None:
    """Who owns a referral would else hand the member on under another's ServiceRequest."""
    ctx, focus = step.ctx, focus_of(step.new, step.ctx)
    if ctx.restriction.unrestricted:
        return
    own = ctx.pending.get(focus)
    if own is not None and own.resource is not None and own.version == 0:
        return
    request = await step.stored(focus) if focus in step.change.relied else None  # _focus_issues: the caller sees it
    if request is None or await acts_for(ctx, reference_of(request, "requester")):
        return
    head = await ctx.head(focus)
    if head is None or head.source_org not in ctx.restriction.own:
        raise FhirError(Category.FORBIDDEN, [Issue(_NOT_YOURS, "Task.focus", "forbidden")], reason="party")


async def _focus_issues(step: Step) -> list[Issue]:
    """What is wrong with the ServiceRequest in focus; the Change relies on it, and tells those who close it."""
    task, ctx = step.new, step.ctx
    focus = focus_of(task, ctx)
    found = await ctx.resource(focus)
    if found is None:
        return []
    request, version = found
    step.found[focus] = request
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


# --- a step of a Task ----------------------------------------------------------------------------------------------


async def check_transition(step: Step) -> None:
    """422 for a step that is not in TRANSITIONS or lacks what it needs, 403 for the wrong party."""
    old = step.old
    if old is None or not (is_referral(old, step.ctx) or is_referral(step.new, step.ctx)):
        if patient_tasks.is_one(old or {}) or patient_tasks.is_one(step.new):
            await patient_tasks.check_step(step)
        else:
            await _check_other_task(step)
        return
    status_old = str(old.get("status"))
    _received(step, status_old)
    await referral_candidates.owned(step)
    parties = await _parties(step, old)
    await _fold(step, parties)
    issues = await _offer(step, old)
    task = step.new
    status_new = str(task.get("status"))
    issues += _element_issues(old, task, parties)
    issues += _owner_issues(old, task)
    if status_old == status_new:
        await _check_party(step, parties, EITHER, status_new)
        changed = {name for name in {*old, *task} - {"meta"} if old.get(name) != task.get(name)}
        if status_old in TERMINAL and changed:
            text = f"A referral that is {status_old} is closed and stays as it is: write a Communication about it."
            issues.append(_rule(text, "Task.status"))
        issues += _business(step, old, parties)
        _refuse([*issues, *_needs(task, ())], "referral")
        return
    row = ALLOWED.get((status_old, status_new))
    if row is None:
        allowed = ", ".join(t.new for t in TRANSITIONS if t.old == status_old) or "nothing"
        text = f"A referral goes from {status_old} to {allowed}, not to {status_new}."
        _refuse([*issues, _rule(text, "Task.status")], "transition")
        return
    await _check_party(step, parties, row.who, status_new)
    if status_old == "draft" and status_new in OPEN:
        issues += await _focus_issues(step)
    issues += await _begun_issues(step, status_new)
    issues += _business(step, old, parties)
    _refuse([*issues, *_needs(step.new, row.needs)], "transition")


def _business(step: Step, old: Resource, parties: frozenset[str]) -> list[Issue]:
    """What the service itself writes drops a BSeR code that no longer fits; people are asked to."""
    found = referral_business.issues(old, step.new, parties)
    if found and step.ctx.restriction.unrestricted:
        step.new = referral_business.without_code(step.new)
        return []
    return found


async def _fold(step: Step, parties: frozenset[str]) -> None:
    """requested -> in-progress of an organization that folds: accepted now, in-progress by a job of the same commit."""
    old = step.old or {}
    if (old.get("status"), step.new.get("status")) != ("requested", "in-progress") or "target" not in parties:
        return
    owner = await step.ctx.resource(await organization_of(step.ctx, reference_of(step.new, "owner")))
    folds = any(
        one.get("url") == FOLD and one.get("valueBoolean") for one in (owner or ({}, 0))[0].get("extension", ())
    )
    if not folds:
        _refuse([_rule(_FOLDED, "Task.status")], "fold")
    step.new = {**step.new, "status": "accepted"}
    from service.workflow.referral_coupling import fold_job

    step.change.jobs.append(fold_job(step.new))


async def _begun_issues(step: Step, status: str) -> list[Issue]:
    """Nobody begins, or goes on, while the ServiceRequest is on hold or over. What a rule writes follows from facts."""
    ctx, focus = step.ctx, focus_of(step.new, step.ctx)
    if status not in BEGUN or ctx.restriction.unrestricted:
        return []
    if focus in ctx.pending:
        request = ctx.pending[focus].resource or {}
    else:
        found = await read.head(ctx.store, "ServiceRequest", focus.partition("/")[2], EVERYTHING)
        if found is None or found.deleted:
            return []
        request = step.found[focus] = parse(found.body)
        step.change.relied[focus] = found.version
    standing = request.get("status")
    if standing == "on-hold":
        text = f"The ServiceRequest is on hold: its Task becomes {status} when the requester makes it active again."
        return [_rule(text, "Task.status")]
    if standing in ("revoked", "entered-in-error"):
        return [_rule(f"The ServiceRequest is {standing}: its Task cannot become {status}.", "Task.status")]
    return []


async def _parties(step: Step, task: Resource) -> frozenset[str]:
    """Which sides of this referral the caller stands on. An open one is claimed by those whom it is offered to."""
    if step.ctx.restriction.unrestricted:
        return EITHER
    sides = set()
    if await acts_for(step.ctx, reference_of(task, "requester")):
        sides.add("requester")
    owner = reference_of(task, "owner")
    if (owner and await acts_for(step.ctx, owner)) or await referral_candidates.claims(step.ctx, task, step.new):
        sides.add("target")
    return frozenset(sides)


async def _check_party(step: Step, parties: frozenset[str], who: frozenset[str], status: str) -> None:
    if parties & who:
        return
    side = "the organization that the referral was sent to" if who == TARGET else "the requester"
    side = "a party to the referral" if who == EITHER else side
    text = f"Only {side} sets a referral to {status}."
    if await referral_candidates.offered(step.ctx, step.old or {}):
        text = "This referral is open to several: claim it (status accepted, owner your organization), or leave it."
    raise FhirError(Category.FORBIDDEN, [Issue(text, "Task.status")], reason="party")


def _element_issues(old: Resource, new: Resource, parties: frozenset[str]) -> list[Issue]:
    changed = {name for name in (*FIXED, *BELONGS) if old.get(name) != new.get(name)}
    issues = [
        _rule(f"{element} of a referral cannot be changed: cancel it and open a new one.", f"Task.{element}")
        for element in FIXED
        if element in changed
    ]
    for element, side in BELONGS.items():
        if element in changed and parties and side not in parties:
            whose = "requester" if side == "requester" else "organization that it was sent to"
            issues.append(_rule(f"{element} of a referral is changed by the {whose} alone.", f"Task.{element}"))
    return issues


def _owner_issues(old: Resource, new: Resource) -> list[Issue]:
    if old.get("owner") == new.get("owner"):
        return []
    if not old.get("owner") and new.get("status") == "accepted":
        return []
    text = "The owner of a referral cannot be changed: cancel it and refer to the other organization."
    if not old.get("owner"):
        text = "An open referral is claimed by accepting it: owner and status accepted in one step."
    return [_rule(text, "Task.owner")]


def _needs(task: Resource, needs: tuple[str, ...]) -> list[Issue]:
    issues = []
    reason = task.get("statusReason") or {}
    if ("reason" in needs or reason) and not str(reason.get("text") or "").strip():
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
