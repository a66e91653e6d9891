"""After a Task was written: what stands on a partner's server may have to change. Only a row, in the same Change.

Nothing is sent here: a worker does that (partner_runner.py), from what stands then.
"""

from service.search.references import normal_reference
from service.store import partners
from service.workflow.parties import reference_of
from service.workflow.referrals import is_referral
from service.workflow.steps import Step


async def task_changed(step: Step) -> None:
    """A referral for an organization that has a partner's server, or one that is there already."""
    task, ctx = step.new, step.ctx
    if not is_referral(task, ctx):
        return
    owner = normal_reference(reference_of(task, "owner"), ctx.settings.base_url) or ""
    if task.get("status") == "requested" and owner.startswith("Organization/"):
        one = await partners.of_organization(ctx.store, owner, partners.PUSHES)
        if one is not None:
            step.change.statements.append(partners.opened(str(task["id"]), one.name))
            return
    if step.old is not None:
        step.change.statements.append(partners.changed(str(task["id"])))
