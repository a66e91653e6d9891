"""Chains of referrals: who owns a referral forwards it, and what becomes of its parts is mirrored to who asked.

Source: SDOHCC 3.0.0 (indirect referral, coordination platform), ../shared/facts/closed-loop.md 1.1, 1.3. A part is a
referral Task with the other in partOf, whose requester is the other's owner. Steps after a write add the job
`referral.mirror`; the job (chain_mirror.py) decides from what stands then.
"""

from fhir_profiles import Resource
from service.access.context import Context, parse
from service.errors import Category, FhirError, Issue
from service.search.references import normal_reference
from service.search.restriction import EVERYTHING
from service.store import epochs, read
from service.store import referral_chains as rows
from service.store.change import Job
from service.workflow import referral_business
from service.workflow.parties import acts_for, reference_of
from service.workflow.referral_law import COUPLED, OPEN, REASONS
from service.workflow.referrals import focus_of, is_referral, organization_of
from service.workflow.steps import Step

MOST_LEVELS = 8
"""Referrals below each other, the first included."""
MOST_PARTS = 100
"""Parts of one referral, ended ones included."""
JOB = "referral.mirror"
MIRRORED = ("status", "statusReason", "businessStatus", "output")
"""Elements of a part of which its parent hears."""
_RESUMED = COUPLED[-1].code


# --- what is there -------------------------------------------------------------------------------------------------


async def root_of(ctx: Context, task: Resource | str) -> str:
    """The relative reference of the first referral of the chain that a Task (or its reference) stands in."""
    reference = task if isinstance(task, str) else f"Task/{task['id']}"
    line = await above(ctx, task)
    return line[-1] if line else reference


async def above(ctx: Context, task: Resource | str) -> list[str]:
    """References of the referrals that a Task is part of, the nearest first."""
    found = await _standing(ctx, task) if isinstance(task, str) else (task, 0)
    line: list[str] = []
    while found is not None and len(line) < 2 * MOST_LEVELS:
        parent = await parent_of(ctx, found[0])
        if parent is None or parent[0] in line:
            break
        line.append(parent[0])
        found = parent[1:]
    return line


async def parent_of(ctx: Context, task: Resource) -> tuple[str, Resource, int] | None:
    """(reference, resource, version) of the referral that a Task is part of, whether or not the caller sees it."""
    for reference in _wholes(ctx, task):
        found = await _standing(ctx, reference)
        if found is not None and is_referral(found[0], ctx):
            return reference, *found
    return None


async def children(ctx: Context, task: Resource) -> list[tuple[Resource, int]]:
    """The referrals that the owner of a Task made of it, with their versions."""
    return [(parse(one.body), one.version) for one in await parts(ctx, task)]


async def parts(ctx: Context, task: Resource) -> list[rows.Part]:
    """As children(), as stored. What others wrote below a Task that is not theirs says nothing of it."""
    owner = await organization_of(ctx, reference_of(task, "owner"))
    found = await rows.parts(ctx.store, f"Task/{task['id']}")
    return [one for one in found if owner and await _is_part(ctx, parse(one.body), owner)]


async def _is_part(ctx: Context, task: Resource, owner: str) -> bool:
    return is_referral(task, ctx) and await organization_of(ctx, reference_of(task, "requester")) == owner


def _wholes(ctx: Context, task: Resource) -> list[str]:
    """Relative references in partOf to Tasks of this server."""
    written = [str(one.get("reference") or "") for one in task.get("partOf") or () if isinstance(one, dict)]
    found = [normal_reference(one, ctx.settings.base_url) or "" for one in written]
    return [one for one in dict.fromkeys(found) if one.startswith("Task/")]


async def _standing(ctx: Context, reference: str) -> tuple[Resource, int] | None:
    """As it will stand, whoever asks: a part's owner need not see what it serves."""
    own = ctx.pending.get(reference)
    if own is not None:
        return None if own.resource is None else (own.resource, own.version)
    found = await read.head(ctx.store, "Task", reference.partition("/")[2], EVERYTHING)
    return None if found is None or found.body is None else (parse(found.body), found.version)


# --- before a write ------------------------------------------------------------------------------------------------


async def check_new(step: Step) -> None:
    """A referral that is part of another: the other is open, and its owner asks. The Change relies on that."""
    if is_referral(step.new, step.ctx):
        await _check_part(step)


async def check_update(step: Step) -> None:
    """What a referral is part of stays as it is, once it was sent; a draft is looked at when it is sent."""
    old, new, ctx = step.old or {}, step.new, step.ctx
    if not is_referral(old, ctx):
        return
    if old.get("status") == "draft":
        await _check_part(step)
    elif _wholes(ctx, old) != _wholes(ctx, new) and (await parent_of(ctx, old) or await parent_of(ctx, new)):
        text = "What a referral is part of cannot be changed: cancel it and forward the other one ($forward)."
        raise FhirError(Category.RULE, [Issue(text, "Task.partOf", "business-rule")], reason="chain")


async def _check_part(step: Step) -> None:
    ctx, task = step.ctx, step.new
    parent = await parent_of(ctx, task)
    if parent is None:
        return
    reference, whole, version = parent
    issues = []
    if len(_wholes(ctx, task)) > 1:
        issues.append(_rule("A referral is part of one other referral: name one Task in partOf."))
    if whole.get("status") not in OPEN and task.get("status") != "draft":
        issues.append(_rule(f"The referral in partOf is {whole.get('status')}: only an open one is forwarded."))
    if focus_of(task, ctx) == focus_of(whole, ctx):
        text = "Who forwards a referral writes a ServiceRequest of its own, basedOn the one that it was sent."
        issues.append(Issue(text, "Task.focus", "business-rule"))
    if reference_of(task, "for") and _member(ctx, task) != _member(ctx, whole):
        issues.append(Issue("The member must be that of the referral in partOf.", "Task.for", "business-rule"))
    if len(await above(ctx, task)) >= MOST_LEVELS:
        issues.append(_rule(f"A chain of referrals has at most {MOST_LEVELS} levels: refer directly instead."))
    if len(await rows.parts(ctx.store, reference)) >= MOST_PARTS:
        issues.append(_rule(f"One referral has at most {MOST_PARTS} parts: close it and refer anew."))
    if issues:
        raise FhirError(Category.RULE, issues, reason="chain")
    await _check_owner(step, whole)
    step.change.relied.setdefault(reference, version)


async def _check_owner(step: Step, whole: Resource) -> None:
    """Else whoever sees a Task could drive it by parts of its own."""
    ctx, owner = step.ctx, reference_of(whole, "owner")
    if ctx.restriction.unrestricted:
        return
    asks = await organization_of(ctx, reference_of(step.new, "requester"))
    if await acts_for(ctx, owner) and asks == await organization_of(ctx, owner):
        return
    text = "Only who owns a referral forwards it: requester of the part must be the owner of the Task in partOf."
    raise FhirError(Category.FORBIDDEN, [Issue(text, "Task.partOf", "forbidden")], reason="party")


def _member(ctx: Context, task: Resource) -> str | None:
    return normal_reference(reference_of(task, "for"), ctx.settings.base_url)


def _rule(text: str) -> Issue:
    return Issue(text, "Task.partOf", "business-rule")


# --- after a write -------------------------------------------------------------------------------------------------


async def moved(step: Step) -> None:
    """A part that moved is mirrored upward; a referral that moved is looked at with its parts."""
    ctx, old, new = step.ctx, step.old, step.new
    if not is_referral(new, ctx):
        return
    parent = await parent_of(ctx, new)
    if parent is not None and any((old or {}).get(name) != new.get(name) for name in MIRRORED):
        if old is None or old.get("status") == "draft":
            step.change.bump_epochs.add(rows.subject(ctx.store, parent[0]))
        step.change.jobs.append(await job(ctx, parent[0]))
    if old is not None and _concerns_parts(old, new):
        reference = f"Task/{new['id']}"
        subject = rows.subject(ctx.store, reference)
        step.change.epochs.setdefault(subject, await epochs.epoch(ctx.store, subject))  # before looking
        if await rows.parts(ctx.store, reference):
            step.change.jobs.append(await job(ctx, reference))


def _concerns_parts(old: Resource, new: Resource) -> bool:
    """It moved, its requester asked to cancel it, or its ServiceRequest goes on after a hold."""
    asked = referral_business.ASKED
    return (
        old.get("status") != new.get("status")
        or (referral_business.code_of(old) != asked and referral_business.code_of(new) == asked)
        or (_rule_of(old) != _RESUMED and _rule_of(new) == _RESUMED)
    )


def _rule_of(task: Resource) -> str:
    codings = (task.get("statusReason") or {}).get("coding") or ()
    return next((str(one.get("code")) for one in codings if one.get("system") == REASONS), "")


async def job(ctx: Context, task: str) -> Job:
    """Looks at a referral (its reference) and its parts; jobs of one chain run one after the other."""
    return Job(JOB, {"task": task}, ordering_key=await root_of(ctx, task))
